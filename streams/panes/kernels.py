"""The panes' inner loops: every event adds to, or takes back from, the rows of its pane."""

import math

import numba as nb
import numpy as np

from schemas.coded import KIND_SHIFT, NO_CLASS, SCORED
from schemas.columns import NULL
from schemas.panes import (
    DELAY_FLOOR_MS,
    DURATION_GROWTH,
    LATENCY_FLOOR_MS,
    PROBABILITY_UNITS,
    SUB_BINS,
    WEIGHT_UNITS,
)
from streams.panes.exact_sums import add_exactly
from streams.panes.grids.kernels import age_bin, confidence_bin, pair_weight
from streams.panes.layout import (
    ABS_ERR,
    AGE_HIT,
    AGE_MISS,
    APE,
    BRIER,
    CALIBRATION_HITS,
    CALIBRATION_N,
    CALIBRATION_P,
    CONFIDENCE_ALL,
    CONFIDENCE_HITS,
    CONFIDENCE_N,
    CONFUSION,
    COST,
    COUNT,
    DELAY,
    ERR,
    LATENCY,
    LOG_LOSS,
    PANE_BITS,
    PREDICTED,
    SCORE_NEGATIVE,
    SCORE_POSITIVE,
    SCORE_UNITS,
    SEGMENT_BITS,
    SQ_ERR,
    STATUS,
    VALUE,
)
from streams.panes.pools.kernels import add_bin, add_cell, bin_key, cell_key, find_row
from streams.panes.scores.kernels import as_predicted, calibration_bin, judge, most_probable, score_place
from streams.panes.terms.kernels import add_label, add_term

_LOG_GROWTH = math.log(DURATION_GROWTH)
_PREDICTIONS, _FAILURES, _DUPLICATES = COUNT["predictions"], COUNT["failures"], COUNT["duplicates"]
_BOOLEANS, _SCORED, _LABELLED = COUNT["booleans"], COUNT["scored"], COUNT["labelled"]
_CLASS_N, _HITS, _REG_N, _APE_N = COUNT["class_n"], COUNT["hits"], COUNT["reg_n"], COUNT["ape_n"]
_COST_N, _VALUE_N, _SCORE_N = COUNT["cost_n"], COUNT["value_n"], COUNT["score_n"]
_BOUNDS_N, _BOUNDS_HITS, _CORRECTED = COUNT["bounds_n"], COUNT["bounds_hits"], COUNT["corrected"]
_CLASS_EXTRA, _HITS_EXTRA = COUNT["class_extra"], COUNT["hits_extra"]
_REG_EXTRA, _APE_EXTRA, _SCORE_EXTRA = COUNT["reg_extra"], COUNT["ape_extra"], COUNT["score_extra"]
_BOUNDS_EXTRA, _BOUNDS_HITS_EXTRA = COUNT["bounds_extra"], COUNT["bounds_hits_extra"]
LAST_BIN = np.int64(2_000)  # 7e27 times the floor: what is longer is no duration, and must not take memory


@nb.njit(cache=True, nogil=True)
def _bin(value_ms, floor_ms):  # type: ignore[no-untyped-def]
    if value_ms <= 0.0:
        return np.int64(0)
    index = 1 + np.int64(math.ceil(math.log(value_ms / floor_ms) / _LOG_GROWTH - 1e-9))
    return min(max(np.int64(1), index), LAST_BIN)


@nb.njit(cache=True, nogil=True)
def row_key(stream, pane, segment):  # type: ignore[no-untyped-def]
    return (np.int64(stream) << (PANE_BITS + SEGMENT_BITS)) | (pane << SEGMENT_BITS) | np.int64(segment)


@nb.njit(cache=True, nogil=True)
def add_predictions(  # type: ignore[no-untyped-def]
    begin, time_ms, profile, number, latency_ms, cost, status, duplicate, vectors,
    p_scoring, score_offsets, score_keys, score_row, confidence, width_ms,
    p_stream, p_class, p_flags, p_offsets, p_segments,
    table, keys, counts, sums, dirty,
    bins, bin_table, first_bin, cells, cell_table, first_cell, wide, used,
):  # fmt: skip
    """Count predictions ``begin`` and on; returns the next row, early where something is nearly full."""
    for i in range(begin, len(time_ms)):
        p = profile[i]
        first, last = p_offsets[p], p_offsets[p + 1]
        rows_needed = last - first + 1
        if (
            used[0] + rows_needed > len(keys)
            or used[1] + rows_needed > len(bins)
            or used[2] + 2 * rows_needed > len(cells)
            or used[3] + rows_needed > len(wide)
            or used[4] + rows_needed > len(confidence)
        ):
            return i
        pane = time_ms[i] // width_ms
        flags = p_flags[p]
        kind = flags >> np.uint8(KIND_SHIFT)
        latency_bin = np.int64(-1)
        if not math.isnan(latency_ms[i]):
            latency_bin = _bin(latency_ms[i], LATENCY_FLOOR_MS)
        confidence_place = np.int64(-1)
        scoring = p_scoring[p]
        if scoring >= 0 and score_keys[score_offsets[scoring]] != NO_CLASS:
            size = score_offsets[scoring + 1] - score_offsets[scoring]
            confidence_place = confidence_bin(most_probable(number[i], size, vectors))
        for s in range(first - 1, last):
            segment = 0 if s < first else p_segments[s]
            row = find_row(row_key(p_stream[p], pane, segment), table, keys, used)
            dirty[row] = 1
            if duplicate[i]:
                counts[row, _DUPLICATES] += 1
                continue
            counts[row, _PREDICTIONS] += 1
            if status[i] >= 0:
                counts[row, _FAILURES] += 1
                key = cell_key(row, STATUS)
                add_cell(cells, cell_table, first_cell, used, key, np.int64(status[i]), 0, 1, 0)
            elif kind != NULL:
                counts[row, _BOOLEANS + kind - 1] += 1
                if flags & SCORED:
                    counts[row, _SCORED] += 1
                if p_class[p] != NO_CLASS:
                    key = cell_key(row, PREDICTED)
                    add_cell(cells, cell_table, first_cell, used, key, p_class[p], 0, 1, 0)
                if confidence_place >= 0:
                    if score_row[row] < 0:
                        score_row[row] = used[4]
                        used[4] += 1
                    confidence[score_row[row], confidence_place, CONFIDENCE_ALL] += 1
            if latency_bin >= 0:
                add_bin(bins, bin_table, first_bin, used, bin_key(row, LATENCY, latency_bin), 1)
            if not math.isnan(cost[i]):
                counts[row, _COST_N] += 1
                add_term(sums, row, COST, cost[i], 1, wide, used)
    return len(time_ms)


@nb.njit(cache=True, nogil=True)
def _add_score(cells, table, first, used, row, class_key, came_true, place, units):  # type: ignore[no-untyped-def]
    index = np.int64(math.floor(place))
    position = np.int64((place - index) * SUB_BINS)
    key = cell_key(row, SCORE_POSITIVE if came_true else SCORE_NEGATIVE)
    add_cell(cells, table, first, used, key, class_key, index, units, units * position)


@nb.njit(cache=True, nogil=True)
def add_pairs(  # type: ignore[no-untyped-def]
    begin, changes, vectors, p_scoring, score_offsets, score_keys, score_row, score_sums, calibration,
    confidence, width_ms,
    p_stream, p_class, p_flags, p_offsets, p_segments,
    table, keys, counts, sums, dirty,
    bins, bin_table, first_bin, cells, cell_table, first_cell, wide, used,
):  # fmt: skip
    """Count labelled pairs ``begin`` and on, or take them back; returns the next one, as above."""
    for i in range(begin, len(changes)):
        c = changes[i]
        p = c.profile
        first, last = p_offsets[p], p_offsets[p + 1]
        scoring = p_scoring[p]
        score_first, score_last = 0, 0
        if scoring >= 0:
            score_first, score_last = score_offsets[scoring], score_offsets[scoring + 1]
        rows_needed = last - first + 1
        if (
            used[0] + rows_needed > len(keys)
            or used[1] + rows_needed > len(bins)
            or used[2] + (2 + score_last - score_first) * rows_needed > len(cells)
            or used[3] + 8 * rows_needed > len(wide)
            or used[4] + rows_needed > len(calibration)
        ):
            return i
        sign = np.int64(c.sign)
        pane = c.time_ms // width_ms
        weight = pair_weight(c.probability)
        extra = sign * np.int64(round((weight - 1.0) * WEIGHT_UNITS))
        delay_bin = _bin(float(c.delay_ms), DELAY_FLOOR_MS)
        has_class = p_class[p] != NO_CLASS and c.label_key != NO_CLASS
        label_key = as_predicted(c.label_key, p_class[p])
        hit = has_class and label_key == p_class[p]
        age_kind = AGE_HIT if hit or not has_class else AGE_MISS
        age_class = p_class[p] if has_class else np.int64(NO_CLASS)
        age = age_bin(float(c.age_ms))
        has_bounds = scoring >= 0 and score_keys[score_first] == NO_CLASS
        number, lower, upper = c.number, 0.0, 0.0
        if has_bounds:
            at, mask = np.int64(c.number), len(vectors) - 1
            number, lower, upper = vectors[at & mask], vectors[(at + 1) & mask], vectors[(at + 2) & mask]
        is_pair = (scoring < 0 or has_bounds) and not math.isnan(number) and not math.isnan(c.label_number)
        is_scored = scoring >= 0 and not has_bounds and c.label_key != NO_CLASS
        if is_scored:
            loss, squares, p_told, came_true = judge(
                score_keys, score_first, score_last, c.number, vectors, c.label_key
            )
            told_bin = calibration_bin(p_told)
            told_units = sign * np.int64(round(weight * p_told * PROBABILITY_UNITS))
            units = sign * np.int64(round(weight * PROBABILITY_UNITS))
            score_units = sign * np.int64(round(weight * SCORE_UNITS))
            confidence_place = confidence_bin(p_told)
            place = score_place(p_told)
        for s in range(first - 1, last):
            segment = 0 if s < first else p_segments[s]
            row = find_row(row_key(p_stream[p], pane, segment), table, keys, used)
            dirty[row] = 1
            counts[row, _LABELLED] += sign
            counts[row, _CORRECTED] += sign * c.corrected
            add_bin(bins, bin_table, first_bin, used, bin_key(row, DELAY, delay_bin), sign)
            add_cell(cells, cell_table, first_cell, used, cell_key(row, age_kind), age_class, age, sign, 0)
            if has_class:
                counts[row, _CLASS_N] += sign
                counts[row, _CLASS_EXTRA] += extra
                if hit:
                    counts[row, _HITS] += sign
                    counts[row, _HITS_EXTRA] += extra
                key = cell_key(row, CONFUSION)
                add_cell(cells, cell_table, first_cell, used, key, label_key, p_class[p], sign, extra)
            if is_scored:
                counts[row, _SCORE_N] += sign
                counts[row, _SCORE_EXTRA] += extra
                if score_row[row] < 0:
                    score_row[row] = used[4]
                    used[4] += 1
                of_row = score_row[row]
                # A term that is too small for the sum changes no digit of it that anyone could see.
                add_exactly(score_sums[of_row, LOG_LOSS], weight * loss, sign)
                add_exactly(score_sums[of_row, BRIER], weight * squares, sign)
                calibration[of_row, told_bin, CALIBRATION_N] += units
                calibration[of_row, told_bin, CALIBRATION_P] += told_units
                if came_true:
                    calibration[of_row, told_bin, CALIBRATION_HITS] += units
                confidence[of_row, confidence_place, CONFIDENCE_N] += units
                if hit:
                    confidence[of_row, confidence_place, CONFIDENCE_HITS] += units
                for k in range(score_first, score_last):
                    class_key = score_keys[k]
                    of_class = as_predicted(c.label_key, class_key) == class_key
                    if score_last - score_first > 1:
                        at = (np.int64(c.number) + k - score_first) & (len(vectors) - 1)
                        place = score_place(vectors[at])
                    _add_score(
                        cells, cell_table, first_cell, used, row, class_key, of_class, place, score_units
                    )
            if is_pair:
                counts[row, _REG_N] += sign
                counts[row, _REG_EXTRA] += extra
                error = number - c.label_number
                add_term(sums, row, ERR, weight * error, sign, wide, used)
                add_term(sums, row, ABS_ERR, weight * abs(error), sign, wide, used)
                add_term(sums, row, SQ_ERR, weight * (error * error), sign, wide, used)
                add_label(sums, row, c.label_number, weight, sign, wide, used)
                if c.label_number != 0.0:
                    counts[row, _APE_N] += sign
                    counts[row, _APE_EXTRA] += extra
                    add_term(sums, row, APE, weight * (abs(error) / abs(c.label_number)), sign, wide, used)
                if has_bounds:
                    counts[row, _BOUNDS_N] += sign
                    counts[row, _BOUNDS_EXTRA] += extra
                    if lower <= c.label_number <= upper:
                        counts[row, _BOUNDS_HITS] += sign
                        counts[row, _BOUNDS_HITS_EXTRA] += extra
            if not math.isnan(c.value):
                counts[row, _VALUE_N] += sign
                add_term(sums, row, VALUE, c.value, sign, wide, used)
    return len(changes)
