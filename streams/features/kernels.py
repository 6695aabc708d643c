"""The inner loop over features: each value adds to its cell or its category, in the rows of its event."""

import math

import numba as nb
import numpy as np

from schemas.coded import ANSWERED, KIND_SHIFT, SCORED
from schemas.columns import BOOLEAN, DOUBLE, LONG, NULL, STRING
from schemas.features import GRID_LOWEST
from streams.features.layout import (
    CATEGORIES,
    CATEGORIES_KEPT,
    FEATURES,
    LONGEST_CATEGORY,
    PAGE_CELLS,
    PAGES,
    PANE_BITS,
    PREDICTION_SLOT,
    ROWS,
    SEGMENT_BITS,
    TEXT,
    WIDE,
    WIDE_UNIT,
)
from streams.features.names.kernels import mix, same_text, text_hash

_SPLIT = 134217729.0  # 2**27 + 1, Veltkamp's constant
_MAGNITUDE = np.int64(0x7FFF_FFFF_FFFF_FFFF)
_LOWEST_BITS = np.int64(np.float64(GRID_LOWEST).view(np.int64))
_FIRST_CELL = np.int64(_LOWEST_BITS >> 46)
_CELL_BITS, _IN_PAGE = np.int64(6), np.int64(PAGE_CELLS - 1)
OCTAVE_SHIFT = np.int64(12)
_PANE_SHIFT, _STREAM_SHIFT = np.int64(SEGMENT_BITS), np.int64(PANE_BITS + SEGMENT_BITS)


@nb.njit(cache=True, nogil=True)
def find_row(key, table, keys, used):  # type: ignore[no-untyped-def]
    mask = np.uint64(len(table) - 1)
    place = mix(key) & mask
    while table[place] >= 0:
        if keys[table[place]] == key:
            return np.int64(table[place])
        place = (place + np.uint64(1)) & mask
    row = used[ROWS]
    used[ROWS] += 1
    keys[row] = key
    table[place] = row
    return row


@nb.njit(cache=True, nogil=True)
def _new_feature(row, slot, directory, features, used):  # type: ignore[no-untyped-def]
    new = used[FEATURES]
    used[FEATURES] += 1
    directory[row, slot] = new
    f = features[new]
    f.numbers = 0
    f.zeros = 0
    f.pivot = math.nan
    f.sum_high = 0.0
    f.sum_low = 0.0
    f.square_high = 0.0
    f.square_low = 0.0
    f.wide = 0.0
    f.trues = 0
    f.falses = 0
    f.other = 0
    f.first_page = -1
    f.first_category = -1
    f.kept = 0
    f.row = row
    f.slot = slot
    return new


@nb.njit(cache=True, nogil=True)
def new_page(place, key, page_table, pages, cells, features, used):  # type: ignore[no-untyped-def]
    new = used[PAGES]
    used[PAGES] += 1
    page_table[place] = new
    feature = key >> OCTAVE_SHIFT
    pages[new].key = key
    pages[new].next = features[feature].first_page
    features[feature].first_page = new
    cells[new, :] = 0
    return new


@nb.njit(cache=True, nogil=True)
def page_place(key):  # type: ignore[no-untyped-def]
    return (np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)


@nb.njit(cache=True, nogil=True)
def category_place(h, feature):  # type: ignore[no-untyped-def]
    return mix(h ^ (np.uint64(feature) << np.uint64(32)))


@nb.njit(cache=True, nogil=True)
def _new_category(  # type: ignore[no-untyped-def]
    place, h, feature, text, begin, size, features, category_table, categories, texts, used
):  # fmt: skip
    f = features[feature]
    if f.kept >= CATEGORIES_KEPT:
        f.other += 1
        return
    new = used[CATEGORIES]
    used[CATEGORIES] += 1
    category_table[place] = new
    c = categories[new]
    c.hash = h
    c.n = 1
    c.at = used[TEXT]
    c.length = size
    c.feature = feature
    c.next = f.first_category
    f.first_category = new
    f.kept += 1
    for k in range(size):
        texts[used[TEXT] + k] = text[begin + k]
    used[TEXT] += size


@nb.njit(cache=True, nogil=True)
def count_values(  # type: ignore[no-untyped-def]
    begin, begin_target, rows, time_ms, profile, number, width_ms, slots, slot_start, left_out,
    starts, kinds, bits, bit_offset, longs, doubles, text_ends, text,
    p_stream, p_flags, p_offsets, p_segments, asked,
    row_table, row_keys, row_used_at, now, directory,
    features, page_table, pages, cells, category_table, categories, texts, used,
):  # fmt: skip
    """Count the features of events ``begin`` and on, the first from its row ``begin_target`` on.

    Returns the next event and its next row: early where something is full. The rows of an event are those
    of all traffic and of its segments that are asked for.
    """
    scratch = np.empty(1, np.float64)
    as_bits = scratch.view(np.int64)
    page_mask = np.uint64(len(page_table) - 1)
    page_mask = np.uint64(len(page_table) - 1)
    category_mask = np.uint64(len(category_table) - 1)
    last_key, last_row = np.int64(-1), np.int64(-1)
    for i in range(begin, len(rows)):
        first = np.int64(starts[rows[i]])
        size = np.int64(starts[rows[i] + 1]) - first
        p = profile[i]
        pane = time_ms[i] // width_ms
        of_pane = np.int64(p_stream[p]) << _STREAM_SHIFT | pane << _PANE_SHIFT
        flags = p_flags[p]
        kind = flags >> np.uint8(KIND_SHIFT)
        is_number = np.int64(
            (flags & (ANSWERED | SCORED)) == ANSWERED
            and (kind == LONG or kind == DOUBLE)
            and not math.isnan(number[i])
        )
        for s in range(p_offsets[p] - 1 + begin_target, p_offsets[p + 1]):
            segment = np.int64(0)
            if s >= p_offsets[p]:
                segment = np.int64(p_segments[s])
                if not asked[segment]:
                    continue
            if (
                used[ROWS] + 1 > len(row_keys)
                or used[FEATURES] + size + 1 > len(features)
                or used[PAGES] + size + 1 > len(pages)
                or used[CATEGORIES] + size > len(categories)
                or used[TEXT] + size * LONGEST_CATEGORY > len(texts)
            ):
                # Rows of this event that are done already are not done again.
                return i, s - p_offsets[p] + 1
            key = of_pane | segment
            if key != last_key:
                last_key, last_row = key, find_row(key, row_table, row_keys, used)
            row = last_row
            row_used_at[row] = now
            at = slot_start[i]
            for k in range(size + is_number):
                # All of it in one place: a call that takes these arrays costs more than what it would do.
                j = first + k
                if k == size:
                    slot, value_kind = np.int64(PREDICTION_SLOT), np.int64(DOUBLE)
                    x = number[i]
                else:
                    slot, value_kind = np.int64(slots[at + k]), np.int64(kinds[j])
                    if value_kind == NULL:
                        continue
                    if slot < 0:
                        if segment == 0:
                            left_out[-slot] += 1
                        continue
                    x = float(longs[j]) if value_kind == LONG else doubles[j]
                feature = np.int64(directory[row, slot])
                if feature < 0:
                    feature = _new_feature(row, slot, directory, features, used)
                f = features[feature]
                f.dirty = 1
                if value_kind == BOOLEAN:
                    bit = bit_offset + j
                    if bits[bit >> 3] >> np.uint8(bit & 7) & np.uint8(1):
                        f.trues += 1
                    else:
                        f.falses += 1
                    continue
                if value_kind == STRING:
                    begins = np.int64(text_ends[j])
                    length = np.int64(text_ends[j + 1]) - begins
                    if length > LONGEST_CATEGORY:
                        f.other += 1
                        continue
                    h = text_hash(text, begins, begins + length, 0)
                    place = category_place(h, feature) & category_mask
                    found = np.int64(category_table[place])
                    while found >= 0:
                        c = categories[found]
                        if (
                            c.hash == h
                            and c.feature == feature
                            and c.length == length
                            and same_text(texts, c.at, text, begins, length)
                        ):
                            break
                        place = (place + np.uint64(1)) & category_mask
                        found = np.int64(category_table[place])
                    if found >= 0:
                        categories[found].n += 1
                        continue
                    _new_category(
                        place, h, feature, text, begins, length, features, category_table, categories, texts,
                        used,
                    )  # fmt: skip
                    continue
                f.numbers += 1
                if math.isnan(f.pivot):
                    f.pivot = x if abs(x) < WIDE else 0.0
                if abs(x) < WIDE:
                    # Two-sum (Knuth 1969) and two-product (Dekker 1971): what rounding takes is kept in
                    # the low part.
                    d = x - f.pivot
                    back = d - x
                    taken = (x - (d - back)) - (f.pivot + back)
                    high = f.sum_high
                    total = high + d
                    back = total - high
                    f.sum_low += ((high - (total - back)) + (d - back)) + taken
                    f.sum_high = total
                    square = d * d
                    big = _SPLIT * d
                    head = big - (big - d)
                    tail = d - head
                    rest = ((head * head - square) + 2.0 * head * tail) + tail * tail
                    high = f.square_high
                    total = high + square
                    back = total - high
                    f.square_low += ((high - (total - back)) + (square - back)) + (rest + 2.0 * d * taken)
                    f.square_high = total
                else:
                    f.wide += x / WIDE_UNIT
                    f.square_low = math.inf
                scratch[0] = x
                magnitude = as_bits[0] & _MAGNITUDE
                if magnitude < _LOWEST_BITS:
                    f.zeros += 1
                    continue
                cell = (magnitude >> np.int64(46)) - _FIRST_CELL
                page_key = feature << OCTAVE_SHIFT | cell >> _CELL_BITS << np.int64(1) | np.int64(x < 0.0)
                place = page_place(page_key) & page_mask
                page = np.int64(page_table[place])
                while page >= 0 and pages[page].key != page_key:
                    place = (place + np.uint64(1)) & page_mask
                    page = np.int64(page_table[place])
                if page < 0:
                    page = new_page(place, page_key, page_table, pages, cells, features, used)
                cells[page, cell & _IN_PAGE] += 1
        begin_target = 0
    return len(rows), 0
