"""Finding or adding profiles in an open-addressing table, one pass over a batch."""

import numba as nb
import numpy as np


@nb.njit(cache=True, nogil=True)
def intern_profiles(  # type: ignore[no-untyped-def]
    stream, class_key, flags, scoring, offsets, segments, begin, count, used,
    table, hashes, p_stream, p_class, p_flags, p_scoring, p_offsets, p_segments, out,
):  # fmt: skip
    """Write the profile code of rows ``begin`` and on into ``out``.

    Returns (next row, profiles, segments used); it stops early where a table is full, so that the caller
    can make it larger and go on.
    """
    mask = np.uint64(len(table) - 1)
    for i in range(begin, len(stream)):
        a, b = offsets[i], offsets[i + 1]
        h = np.uint64(stream[i]) * np.uint64(0x9E3779B97F4A7C15) ^ np.uint64(class_key[i])
        h = (h ^ (h >> np.uint64(32))) * np.uint64(0xBF58476D1CE4E5B9) ^ np.uint64(flags[i])
        h ^= np.uint64(scoring[i] + 1) << np.uint64(8)
        for j in range(a, b):
            h = (h ^ (h >> np.uint64(29)) ^ np.uint64(segments[j])) * np.uint64(0x94D049BB133111EB)
        h ^= h >> np.uint64(31)
        slot = h & mask
        found = -1
        while table[slot] >= 0:
            p = table[slot]
            if (
                hashes[p] == h
                and p_stream[p] == stream[i]
                and p_class[p] == class_key[i]
                and p_flags[p] == flags[i]
                and p_scoring[p] == scoring[i]
                and p_offsets[p + 1] - p_offsets[p] == b - a
            ):
                same = True
                for j in range(b - a):
                    if p_segments[p_offsets[p] + j] != segments[a + j]:
                        same = False
                        break
                if same:
                    found = p
                    break
            slot = (slot + np.uint64(1)) & mask
        if found < 0:
            if count + 1 >= len(p_stream) or 2 * count >= len(table) or used + (b - a) > len(p_segments):
                return i, count, used
            found = count
            table[slot] = found
            hashes[found] = h
            p_stream[found] = stream[i]
            p_class[found] = class_key[i]
            p_flags[found] = flags[i]
            p_scoring[found] = scoring[i]
            for j in range(b - a):
                p_segments[used + j] = segments[a + j]
            used += b - a
            p_offsets[found + 1] = used
            count += 1
        out[i] = found
    return len(stream), count, used


@nb.njit(cache=True, nogil=True)
def rebuild(hashes, count, table):  # type: ignore[no-untyped-def]
    mask = np.uint64(len(table) - 1)
    table[:] = -1
    for p in range(count):
        slot = hashes[p] & mask
        while table[slot] >= 0:
            slot = (slot + np.uint64(1)) & mask
        table[slot] = p
