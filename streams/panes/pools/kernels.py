"""Rows, bins and cells found by their keys in open-addressing tables; those of a row are linked."""

import numba as nb
import numpy as np


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
def add_bin(bins, table, first, used, key, n):  # type: ignore[no-untyped-def]
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
def add_cell(cells, table, first, used, key, a, b, n, m):  # type: ignore[no-untyped-def]
    mask = np.uint64(len(table) - 1)
    place = (_mix(key) ^ _mix(a + np.int64(7)) * np.uint64(3) ^ _mix(b) * np.uint64(5)) & mask
    while table[place] >= 0:
        cell = cells[table[place]]
        if cell.key == key and cell.a == a and cell.b == b:
            cell.n += n
            cell.m += m
            return
        place = (place + np.uint64(1)) & mask
    new = used[2]
    used[2] += 1
    table[place] = new
    cells[new].key = key
    cells[new].a = a
    cells[new].b = b
    cells[new].n = n
    cells[new].m = m
    cells[new].next = first[key >> 3]
    first[key >> 3] = new


@nb.njit(cache=True, nogil=True)
def bin_key(row, kind, index):  # type: ignore[no-untyped-def]
    return (row << 16) | (np.int64(kind) << 15) | index


@nb.njit(cache=True, nogil=True)
def cell_key(row, kind):  # type: ignore[no-untyped-def]
    return (row << 3) | np.int64(kind)


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
            add_bin(new, table, first, used, key, old[i].n)


@nb.njit(cache=True, nogil=True)
def move_cells(old, new, table, first, new_row, used):  # type: ignore[no-untyped-def]
    count = used[2]
    used[2] = 0
    table[:] = -1
    first[:] = -1
    for i in range(count):
        row = new_row[old[i].key >> 3]
        if row >= 0 and (old[i].n != 0 or old[i].m != 0):
            key = (row << 3) | (old[i].key & 7)
            add_cell(new, table, first, used, key, old[i].a, old[i].b, old[i].n, old[i].m)


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
    """Copy the entries of rows, their row replaced by its place in ``rows``."""
    n = 0
    low = (np.int64(1) << np.int64(shift)) - 1
    for place in range(len(rows)):
        at = first[rows[place]]
        while at >= 0:
            out[n] = pool[at]
            out[n].key = (np.int64(place) << np.int64(shift)) | (pool[at].key & low)
            n += 1
            at = pool[at].next
