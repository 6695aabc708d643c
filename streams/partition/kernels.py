"""Finding the wrong answers with the smallest hashes of their ids, one pass over the changes of a batch."""

import numba as nb
import numpy as np

from schemas.coded import NO_CLASS
from streams.panes.scores.kernels import as_predicted

NONE = np.iinfo(np.int64).min  # a place without an example


@nb.njit(cache=True, nogil=True)
def id_hash(data, begin, end):  # type: ignore[no-untyped-def]
    """Return 64 bits of an id's bytes; no key, so that every run chooses the same examples."""
    h = np.uint64(end - begin) * np.uint64(0x9E3779B97F4A7C15)
    i = begin
    while i < end:
        word = np.uint64(0)
        for k in range(min(8, end - i)):
            word |= np.uint64(data[i + k]) << np.uint64(8 * k)
        h = (h ^ word) * np.uint64(0xBF58476D1CE4E5B9)
        h ^= h >> np.uint64(29)
        i += 8
    h *= np.uint64(0x94D049BB133111EB)
    return h ^ (h >> np.uint64(32))


@nb.njit(cache=True, nogil=True)
def _place(key, table, keys):  # type: ignore[no-untyped-def]
    mask = np.uint64(len(table) - 1)
    h = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
    place = (h ^ (h >> np.uint64(32))) & mask
    while table[place] >= 0 and keys[table[place]] != key:
        place = (place + np.uint64(1)) & mask
    return place


@nb.njit(cache=True, nogil=True)
def find(key, table, keys):  # type: ignore[no-untyped-def]
    """Return the row of a stream and pane, -1: none."""
    return table[_place(key, table, keys)]


@nb.njit(cache=True, nogil=True)
def refill(table, keys, count):  # type: ignore[no-untyped-def]
    table[:] = -1
    for row in range(count):
        table[_place(keys[row], table, keys)] = row


@nb.njit(cache=True, nogil=True)
def choose(  # type: ignore[no-untyped-def]
    begin, changes, width_ms, p_stream, p_class, offsets, data, count, table, keys, hashes, source, touched
):  # fmt: skip
    """Enter the pairs from ``begin`` on into the rows of their stream and pane.

    ``source`` tells for each place of a row which example it holds: a row of the batch, -1 - k for what was
    at place k before, or NONE. Returns (next pair, rows); it stops early where there is no room for a row.
    """
    last_key, row = np.int64(-1), np.int64(0)
    for i in range(begin, len(changes)):
        c = changes[i]
        if c.sign < 0 or c.event < 0:
            continue
        class_key = p_class[c.profile]
        if class_key != NO_CLASS:
            if as_predicted(c.label_key, class_key) == class_key:
                continue
        elif np.isnan(c.number) or np.isnan(c.label_number):
            continue
        key = (np.int64(p_stream[c.profile]) << 40) | (c.time_ms // width_ms)
        if key != last_key:
            place = _place(key, table, keys)
            if table[place] < 0:
                if count == len(keys):
                    return i, count
                keys[count] = key
                hashes[count] = np.uint64(0xFFFFFFFFFFFFFFFF)
                source[count] = NONE
                touched[count] = 0
                table[place] = count
                count += 1
            row, last_key = np.int64(table[place]), key
        h = id_hash(data, offsets[c.event], offsets[c.event + 1])
        places = hashes.shape[1]
        if h >= hashes[row, places - 1]:
            continue
        k = places - 1
        while k > 0 and h <= hashes[row, k - 1]:
            k -= 1
        if h == hashes[row, k]:
            continue  # the same prediction again
        for j in range(places - 1, k, -1):
            hashes[row, j] = hashes[row, j - 1]
            source[row, j] = source[row, j - 1]
        hashes[row, k] = h
        source[row, k] = c.event
        touched[row] = 1
    return len(changes), count
