"""Reading feature counts out of their pages, putting them back, and closing the gaps of those dropped."""

import numba as nb
import numpy as np

from streams.features.kernels import OCTAVE_SHIFT, category_place, new_page, page_place
from streams.features.layout import CATEGORIES, FEATURES, PAGE_CELLS, PAGES, ROWS, TEXT
from streams.features.names.kernels import mix, text_hash


@nb.njit(cache=True, nogil=True)
def refill_rows(table, keys, used):  # type: ignore[no-untyped-def]
    mask = np.uint64(len(table) - 1)
    table[:] = -1
    for row in range(used[ROWS]):
        place = mix(keys[row]) & mask
        while table[place] >= 0:
            place = (place + np.uint64(1)) & mask
        table[place] = row


@nb.njit(cache=True, nogil=True)
def refill_pages(table, pages, used):  # type: ignore[no-untyped-def]
    mask = np.uint64(len(table) - 1)
    table[:] = -1
    for page in range(used[PAGES]):
        place = page_place(pages[page].key) & mask
        while table[place] >= 0:
            place = (place + np.uint64(1)) & mask
        table[place] = page


@nb.njit(cache=True, nogil=True)
def refill_categories(table, categories, used):  # type: ignore[no-untyped-def]
    mask = np.uint64(len(table) - 1)
    table[:] = -1
    for at in range(used[CATEGORIES]):
        place = category_place(categories[at].hash, categories[at].feature) & mask
        while table[place] >= 0:
            place = (place + np.uint64(1)) & mask
        table[place] = at


@nb.njit(cache=True, nogil=True)
def count_held(chosen, features, pages, cells, categories):  # type: ignore[no-untyped-def]
    """Return how many cells, categories and bytes of text the chosen features hold."""
    n_cells, n_categories, n_bytes = 0, 0, 0
    for feature in chosen:
        n_cells += features[feature].zeros > 0
        page = features[feature].first_page
        while page >= 0:
            for k in range(PAGE_CELLS):
                n_cells += cells[page, k] != 0
            page = pages[page].next
        at = features[feature].first_category
        while at >= 0:
            n_categories += 1
            n_bytes += categories[at].length
            at = categories[at].next
    return n_cells, n_categories, n_bytes


@nb.njit(cache=True, nogil=True)
def collect(  # type: ignore[no-untyped-def]
    chosen, features, pages, cells, categories, texts,
    cell_of, cell, cell_n, category_of, category_n, category_ends, text,
):  # fmt: skip
    """Copy cells and categories of the chosen features, in their order, each under its place among them."""
    i, c, t = 0, 0, 0
    for place in range(len(chosen)):
        f = features[chosen[place]]
        if f.zeros > 0:
            cell_of[i] = place
            cell[i] = 0
            cell_n[i] = f.zeros
            i += 1
        page = f.first_page
        while page >= 0:
            octave = (pages[page].key >> np.int64(1)) & np.int64(0x7FF)
            sign = -1 if pages[page].key & np.int64(1) else 1
            for k in range(PAGE_CELLS):
                if cells[page, k] != 0:
                    cell_of[i] = place
                    cell[i] = sign * (octave * PAGE_CELLS + k + 1)
                    cell_n[i] = cells[page, k]
                    i += 1
            page = pages[page].next
        at = f.first_category
        while at >= 0:
            category_of[c] = place
            category_n[c] = categories[at].n
            for k in range(categories[at].length):
                text[t + k] = texts[categories[at].at + k]
            t += categories[at].length
            c += 1
            category_ends[c] = t
            at = categories[at].next


@nb.njit(cache=True, nogil=True)
def put_cells(first, cell_of, cell, cell_n, features, page_table, pages, cells, used):  # type: ignore[no-untyped-def]
    """Put cells back that were collected; place 0 among them is the feature ``first`` now."""
    mask = np.uint64(len(page_table) - 1)
    for i in range(len(cell)):
        if cell[i] == 0:
            continue  # ``zeros`` stands in the feature
        index = np.int64(abs(cell[i])) - 1
        key = (first + np.int64(cell_of[i])) << OCTAVE_SHIFT | (index // PAGE_CELLS) << np.int64(1)
        if cell[i] < 0:
            key |= np.int64(1)
        place = page_place(key) & mask
        page = page_table[place]
        while page >= 0 and pages[page].key != key:
            place = (place + np.uint64(1)) & mask
            page = page_table[place]
        if page < 0:
            page = new_page(place, key, page_table, pages, cells, features, used)
        cells[page, index % PAGE_CELLS] = cell_n[i]


@nb.njit(cache=True, nogil=True)
def close_gaps(  # type: ignore[no-untyped-def]
    new_row, row_keys, row_used_at, directory, features, pages, cells, categories, texts, used
):  # fmt: skip
    """Move what is kept together; ``new_row`` is -1 for rows that go. The tables are to be refilled."""
    for row in range(used[ROWS]):
        to = new_row[row]
        if to >= 0:
            row_keys[to] = row_keys[row]
            row_used_at[to] = row_used_at[row]
            directory[to] = directory[row]
    rows = 0
    for row in range(used[ROWS]):
        rows += new_row[row] >= 0
    directory[rows : used[ROWS]] = -1
    used[ROWS] = rows
    new_feature = np.full(used[FEATURES], -1, np.int64)
    n = 0
    for feature in range(used[FEATURES]):
        row = new_row[features[feature].row]
        if row < 0:
            continue
        new_feature[feature] = n
        features[n] = features[feature]
        features[n].row = row
        features[n].first_page = -1
        features[n].first_category = -1
        directory[row, features[n].slot] = n
        n += 1
    used[FEATURES] = n
    n = 0
    for page in range(used[PAGES]):
        feature = new_feature[pages[page].key >> OCTAVE_SHIFT]
        if feature < 0:
            continue
        pages[n].key = feature << OCTAVE_SHIFT | (pages[page].key & np.int64(0xFFF))
        pages[n].next = features[feature].first_page
        features[feature].first_page = n
        if n != page:
            cells[n] = cells[page]
        n += 1
    used[PAGES] = n
    n, end = 0, 0
    for at in range(used[CATEGORIES]):
        feature = new_feature[categories[at].feature]
        if feature < 0:
            continue
        c = categories[n]
        begin, size = categories[at].at, categories[at].length
        c.hash = categories[at].hash
        c.n = categories[at].n
        c.at = end
        c.length = size
        c.feature = feature
        c.next = features[feature].first_category
        features[feature].first_category = n
        for k in range(size):
            texts[end + k] = texts[begin + k]
        end += size
        n += 1
    used[CATEGORIES] = n
    used[TEXT] = end


@nb.njit(cache=True, nogil=True)
def exact_moments(numbers, pivot, high, low, square_high, square_low, wide, unit, total, m2):  # type: ignore[no-untyped-def]
    """Round sums that are two doubles each; ``m2`` is about the mean, infinite where squares are too large.

    With S and Q the sums of d = x - pivot and of d * d: m2 = Q - S * S / n, all in two doubles (Dekker 1971).
    """
    for i in range(len(numbers)):
        s = high[i] + low[i]
        s_low = low[i] - (s - high[i])
        if numbers[i] == 0:
            total[i], m2[i] = 0.0, 0.0
            continue
        n = float(numbers[i])
        product, rest = _product(n, pivot[i])
        total[i] = product + s
        back = total[i] - product
        total[i] += ((product - (total[i] - back)) + (s - back)) + (rest + s_low)
        if wide[i] != 0.0:
            total[i] += wide[i] * unit
        if square_low[i] == np.inf:
            m2[i] = np.inf
            continue
        mean = s / n
        # s - mean * n, exactly, over n: the rest of the mean.
        product, rest = _product(mean, n)
        mean_low = (((s - product) - rest) + s_low) / n
        # S * S / n as S * mean, to the second order.
        square, square_rest = _product(s, mean)
        square_rest += s * mean_low + s_low * mean
        q = square_high[i]
        difference = q - square
        back = difference - q
        error = (q - (difference - back)) - (square + back)
        m2[i] = max(0.0, difference + (error + (square_low[i] - square_rest)))


@nb.njit(cache=True, nogil=True)
def _product(a, b):  # type: ignore[no-untyped-def]
    """Return the product as a double and what its rounding took."""
    product = a * b
    big = 134217729.0 * a
    a_high = big - (big - a)
    a_low = a - a_high
    big = 134217729.0 * b
    b_high = big - (big - b)
    b_low = b - b_high
    rest = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    return product, rest


@nb.njit(cache=True, nogil=True)
def put_categories(  # type: ignore[no-untyped-def]
    first, category_of, category_n, category_ends, text, features, categories, texts, used
):  # fmt: skip
    """Put categories back that were collected; their table is to be refilled."""
    for i in range(len(category_n)):
        feature = first + np.int64(category_of[i])
        begin, end = category_ends[i], category_ends[i + 1]
        new = used[CATEGORIES]
        used[CATEGORIES] += 1
        c = categories[new]
        c.hash = text_hash(text, begin, end, 0)
        c.n = category_n[i]
        c.at = used[TEXT]
        c.length = end - begin
        c.feature = feature
        c.next = features[feature].first_category
        features[feature].first_category = new
        for k in range(begin, end):
            texts[used[TEXT]] = text[k]
            used[TEXT] += 1
