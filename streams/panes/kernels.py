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
)
from streams.panes.exact_sums import DIGITS, add_exactly
from streams.panes.layout import (
    ABS_ERR,
    APE,
    BRIER,
    CALIBRATION_HITS,
    CALIBRATION_N,
    CALIBRATION_P,
    CONFUSION,
    COST,
    COUNT,
    DELAY,
    ERR,
    LABEL,
    LABEL_SQ,
    LATENCY,
    LOG_LOSS,
    PANE_BITS,
    PREDICTED,
    SCORE_NEGATIVE,
    SCORE_POSITIVE,
    SCORE_STEP,
    SEGMENT_BITS,
    SQ_ERR,
    STATUS,
    VALUE,
)
from streams.panes.scores.kernels import as_predicted, calibration_bin, judge, score_place

_LOG_GROWTH = math.log(DURATION_GROWTH)
_PREDICTIONS, _FAILURES, _DUPLICATES = COUNT["predictions"], COUNT["failures"], COUNT["duplicates"]
_BOOLEANS, _SCORED, _LABELLED = COUNT["booleans"], COUNT["scored"], COUNT["labelled"]
_CLASS_N, _HITS, _REG_N, _APE_N = COUNT["class_n"], COUNT["hits"], COUNT["reg_n"], COUNT["ape_n"]
_COST_N, _VALUE_N, _SCORE_N = COUNT["cost_n"], COUNT["value_n"], COUNT["score_n"]
LAST_BIN = np.int64(2_000)  # 7e27 times the floor: what is longer is no duration, and must not take memory
_SPLIT = 134217729.0  # 2**27 + 1, Veltkamp's constant
# The square of a term in between is held exactly: its 106 bits end above 2**-256.
_SMALLEST_SQUARED, _LARGEST_SQUARED = 2.0**-72, 2.0**100


@nb.njit(cache=True, nogil=True)
def _mix(x):  # type: ignore[no-untyped-def]
    h = np.uint64(x) * np.uint64(0x9E3779B97F4A7C15)
    h ^= h >> np.uint64(29)
    h *= np.uint64(0xBF58476D1CE4E5B9)
    return h ^ (h >> np.uint64(32))


@nb.njit(cache=True, nogil=True)
def find_row(key, table, keys, used):  # type: ignore[no-untyped-def]
    """Return the row of ``key``, added if new; ``used[0]`` is how many there are."""
    mask = np.uint64(len(table) - 1)
    place = _mix(key) & mask
    while table[place] >= 0:
        if keys[table[place]] == key:
            return np.int64(table[place])
        place = (place + np.uint64(1)) & mask
    row = used[0]
    used[0] += 1
    keys[row] = key
    table[place] = row
    return row


@nb.njit(cache=True, nogil=True)
def _add_bin(bins, table, first, used, key, n):  # type: ignore[no-untyped-def]
    mask = np.uint64(len(table) - 1)
    place = _mix(key) & mask
    while table[place] >= 0:
        found = table[place]
        if bins[found].key == key:
            bins[found].n += n
            return
        place = (place + np.uint64(1)) & mask
    new = used[1]
    used[1] += 1
    table[place] = new
    bins[new].key = key
    bins[new].n = n
    bins[new].next = first[key >> 16]
    first[key >> 16] = new


@nb.njit(cache=True, nogil=True)
def _add_cell(cells, table, first, used, key, a, b, n):  # type: ignore[no-untyped-def]
    mask = np.uint64(len(table) - 1)
    place = (_mix(key) ^ _mix(a + np.int64(7)) * np.uint64(3) ^ _mix(b) * np.uint64(5)) & mask
    while table[place] >= 0:
        cell = cells[table[place]]
        if cell.key == key and cell.a == a and cell.b == b:
            cell.n += n
            return
        place = (place + np.uint64(1)) & mask
    new = used[2]
    used[2] += 1
    table[place] = new
    cells[new].key = key
    cells[new].a = a
    cells[new].b = b
    cells[new].n = n
    cells[new].next = first[key >> 3]
    first[key >> 3] = new


@nb.njit(cache=True, nogil=True)
def bin_key(row, kind, index):  # type: ignore[no-untyped-def]
    return (row << 16) | (np.int64(kind) << 15) | index


@nb.njit(cache=True, nogil=True)
def cell_key(row, kind):  # type: ignore[no-untyped-def]
    return (row << 3) | np.int64(kind)


@nb.njit(cache=True, nogil=True)
def _bin(value_ms, floor_ms):  # type: ignore[no-untyped-def]
    if value_ms <= 0.0:
        return np.int64(0)
    index = 1 + np.int64(math.ceil(math.log(value_ms / floor_ms) / _LOG_GROWTH - 1e-9))
    return min(max(np.int64(1), index), LAST_BIN)


@nb.njit(cache=True, nogil=True)
def _add(sums, row, which, x, sign, wide, used):  # type: ignore[no-untyped-def]
    if not add_exactly(sums[row, which], x, sign):
        w = wide[used[3]]
        w.row = row
        w.sum = which
        w.x = x
        w.sign = sign
        used[3] += 1


@nb.njit(cache=True, nogil=True)
def _add_square(sums, row, x, sign, wide, used):  # type: ignore[no-untyped-def]
    """Add the exact square of ``x`` to LABEL_SQ, as the sum of two doubles (Dekker 1971)."""
    if x == 0.0:
        return
    if not (_SMALLEST_SQUARED < abs(x) < _LARGEST_SQUARED):
        w = wide[used[3]]
        w.row = row
        w.sum = LABEL_SQ
        w.x = x
        w.sign = sign
        used[3] += 1
        return
    square = x * x
    big = _SPLIT * x
    high = big - (big - x)
    low = x - high
    rest = ((high * high - square) + 2.0 * high * low) + low * low
    add_exactly(sums[row, LABEL_SQ], square, sign)
    add_exactly(sums[row, LABEL_SQ], rest, sign)


@nb.njit(cache=True, nogil=True)
def row_key(stream, pane, segment):  # type: ignore[no-untyped-def]
    return (np.int64(stream) << (PANE_BITS + SEGMENT_BITS)) | (pane << SEGMENT_BITS) | np.int64(segment)


@nb.njit(cache=True, nogil=True)
def add_predictions(  # type: ignore[no-untyped-def]
    begin, time_ms, profile, latency_ms, cost, status, duplicate, width_ms,
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
        ):
            return i
        pane = time_ms[i] // width_ms
        flags = p_flags[p]
        kind = flags >> np.uint8(KIND_SHIFT)
        latency_bin = np.int64(-1)
        if not math.isnan(latency_ms[i]):
            latency_bin = _bin(latency_ms[i], LATENCY_FLOOR_MS)
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
                _add_cell(cells, cell_table, first_cell, used, key, np.int64(status[i]), np.int64(0), 1)
            elif kind != NULL:
                counts[row, _BOOLEANS + kind - 1] += 1
                if flags & SCORED:
                    counts[row, _SCORED] += 1
                if p_class[p] != NO_CLASS:
                    key = cell_key(row, PREDICTED)
                    _add_cell(cells, cell_table, first_cell, used, key, p_class[p], np.int64(0), 1)
            if latency_bin >= 0:
                _add_bin(bins, bin_table, first_bin, used, bin_key(row, LATENCY, latency_bin), 1)
            if not math.isnan(cost[i]):
                counts[row, _COST_N] += 1
                _add(sums, row, COST, cost[i], 1, wide, used)
    return len(time_ms)


@nb.njit(cache=True, nogil=True)
def _add_score(cells, table, first, used, row, class_key, came_true, place, sign):  # type: ignore[no-untyped-def]
    index = np.int64(math.floor(place))
    step = np.int64(SCORE_STEP) + np.int64((place - index) * SUB_BINS)
    key = cell_key(row, SCORE_POSITIVE if came_true else SCORE_NEGATIVE)
    _add_cell(cells, table, first, used, key, class_key, index, sign * step)


@nb.njit(cache=True, nogil=True)
def add_pairs(  # type: ignore[no-untyped-def]
    begin, changes, vectors, p_scoring, score_offsets, score_keys, score_row, score_sums, calibration,
    width_ms,
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
            or used[2] + (1 + score_last - score_first) * rows_needed > len(cells)
            or used[3] + 8 * rows_needed > len(wide)
            or used[4] + rows_needed > len(calibration)
        ):
            return i
        sign = c.sign
        pane = c.time_ms // width_ms
        delay_bin = _bin(float(c.delay_ms), DELAY_FLOOR_MS)
        has_class = p_class[p] != NO_CLASS and c.label_key != NO_CLASS
        label_key = as_predicted(c.label_key, p_class[p])
        is_pair = scoring < 0 and not math.isnan(c.number) and not math.isnan(c.label_number)
        is_scored = scoring >= 0 and c.label_key != NO_CLASS
        if is_scored:
            loss, squares, p_told, came_true = judge(
                score_keys, score_first, score_last, c.number, vectors, c.label_key
            )
            told_bin = calibration_bin(p_told)
            told_units = np.int64(round(p_told * PROBABILITY_UNITS))
            place = score_place(p_told)
        for s in range(first - 1, last):
            segment = 0 if s < first else p_segments[s]
            row = find_row(row_key(p_stream[p], pane, segment), table, keys, used)
            dirty[row] = 1
            counts[row, _LABELLED] += sign
            _add_bin(bins, bin_table, first_bin, used, bin_key(row, DELAY, delay_bin), sign)
            if has_class:
                counts[row, _CLASS_N] += sign
                if label_key == p_class[p]:
                    counts[row, _HITS] += sign
                key = cell_key(row, CONFUSION)
                _add_cell(cells, cell_table, first_cell, used, key, label_key, p_class[p], sign)
            if is_scored:
                counts[row, _SCORE_N] += sign
                if score_row[row] < 0:
                    score_row[row] = used[4]
                    used[4] += 1
                of_row = score_row[row]
                # A term that is too small for the sum changes no digit of it that anyone could see.
                add_exactly(score_sums[of_row, LOG_LOSS], loss, sign)
                add_exactly(score_sums[of_row, BRIER], squares, sign)
                calibration[of_row, told_bin, CALIBRATION_N] += sign
                calibration[of_row, told_bin, CALIBRATION_P] += sign * told_units
                if came_true:
                    calibration[of_row, told_bin, CALIBRATION_HITS] += sign
                for k in range(score_first, score_last):
                    class_key = score_keys[k]
                    of_class = as_predicted(c.label_key, class_key) == class_key
                    if score_last - score_first > 1:
                        at = (np.int64(c.number) + k - score_first) & (len(vectors) - 1)
                        place = score_place(vectors[at])
                    _add_score(cells, cell_table, first_cell, used, row, class_key, of_class, place, sign)
            if is_pair:
                counts[row, _REG_N] += sign
                error = c.number - c.label_number
                _add(sums, row, ERR, error, sign, wide, used)
                _add(sums, row, ABS_ERR, abs(error), sign, wide, used)
                _add(sums, row, SQ_ERR, error * error, sign, wide, used)
                _add(sums, row, LABEL, c.label_number, sign, wide, used)
                _add_square(sums, row, c.label_number, sign, wide, used)
                if c.label_number != 0.0:
                    counts[row, _APE_N] += sign
                    _add(sums, row, APE, abs(error) / abs(c.label_number), sign, wide, used)
            if not math.isnan(c.value):
                counts[row, _VALUE_N] += sign
                _add(sums, row, VALUE, c.value, sign, wide, used)
    return len(changes)


@nb.njit(cache=True, nogil=True)
def refill_rows(table, keys, count):  # type: ignore[no-untyped-def]
    mask = np.uint64(len(table) - 1)
    table[:] = -1
    for row in range(count):
        place = _mix(keys[row]) & mask
        while table[place] >= 0:
            place = (place + np.uint64(1)) & mask
        table[place] = row


@nb.njit(cache=True, nogil=True)
def move_bins(old, new, table, first, new_row, used):  # type: ignore[no-untyped-def]
    """Copy a pool under its rows' new numbers (-1: dropped), leaving out zeros; ``first`` is made anew."""
    count = used[1]
    used[1] = 0
    table[:] = -1
    first[:] = -1
    for i in range(count):
        row = new_row[old[i].key >> 16]
        if row >= 0 and old[i].n != 0:
            key = (row << 16) | (old[i].key & 0xFFFF)
            _add_bin(new, table, first, used, key, old[i].n)


@nb.njit(cache=True, nogil=True)
def move_cells(old, new, table, first, new_row, used):  # type: ignore[no-untyped-def]
    count = used[2]
    used[2] = 0
    table[:] = -1
    first[:] = -1
    for i in range(count):
        row = new_row[old[i].key >> 3]
        if row >= 0 and old[i].n != 0:
            key = (row << 3) | (old[i].key & 7)
            _add_cell(new, table, first, used, key, old[i].a, old[i].b, old[i].n)


@nb.njit(cache=True, nogil=True)
def count_linked(rows, pool, first):  # type: ignore[no-untyped-def]
    n = 0
    for row in rows:
        at = first[row]
        while at >= 0:
            n += 1
            at = pool[at].next
    return n


@nb.njit(cache=True, nogil=True)
def collect_linked(rows, pool, first, shift, out):  # type: ignore[no-untyped-def]
    """Copy the non-zero entries of rows, their row replaced by its place in ``rows``; returns how many."""
    n = 0
    low = (np.int64(1) << np.int64(shift)) - 1
    for place in range(len(rows)):
        at = first[rows[place]]
        while at >= 0:
            if pool[at].n != 0:
                out[n] = pool[at]
                out[n].key = (np.int64(place) << np.int64(shift)) | (pool[at].key & low)
                n += 1
            at = pool[at].next
    return n


@nb.njit(cache=True, nogil=True)
def carry_all(sums, count):  # type: ignore[no-untyped-def]
    for i in range(count):
        for j in range(sums.shape[1]):
            over = np.int64(0)
            for k in range(DIGITS - 1):
                value = sums[i, j, k] + over
                sums[i, j, k] = value & np.int64(0xFFFFFFFF)
                over = value >> np.int64(32)
            sums[i, j, DIGITS - 1] += over
