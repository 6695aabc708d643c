"""Names of features to slots, at once for all events that carry the same keys in the same order."""

import numba as nb
import numpy as np


@nb.njit(cache=True, nogil=True, inline="always")
def mix(x):  # type: ignore[no-untyped-def]
    h = np.uint64(x) * np.uint64(0x9E3779B97F4A7C15)
    return h ^ (h >> np.uint64(29))


@nb.njit(cache=True, nogil=True)
def text_hash(text, begin, end, seed):  # type: ignore[no-untyped-def]
    """Return the 64-bit hash of some bytes; equal hashes are never taken for equal texts."""
    h = mix(seed)
    for j in range(begin, end):
        h = (h ^ np.uint64(text[j])) * np.uint64(0x100000001B3)
    return h ^ (h >> np.uint64(32))


@nb.njit(cache=True, nogil=True)
def same_text(a, a_begin, b, b_begin, size):  # type: ignore[no-untyped-def]
    for k in range(size):  # noqa: SIM110 - numba compiles no generators
        if a[a_begin + k] != b[b_begin + k]:
            return False
    return True


@nb.njit(cache=True, nogil=True)
def one_layout(starts, ends, text):  # type: ignore[no-untyped-def]
    """Tell whether all maps of a batch have the same keys in the same order: their bytes repeat."""
    n = len(starts) - 1
    keys = starts[1] - starts[0]
    for i in range(1, n):
        if starts[i + 1] - starts[i] != keys:
            return False
    first, last = np.uint32(starts[0]), np.uint32(starts[n])
    if keys == 0:
        return True
    step = np.uint32(keys)
    period = np.uint32(ends[first + step]) - np.uint32(ends[first])
    unlike = np.uint32(0)
    for j in range(first + step, last + np.uint32(1)):
        unlike |= (np.uint32(ends[j]) - np.uint32(ends[j - step])) ^ period
    if unlike != 0:
        return False
    different = np.uint8(0)
    for j in range(np.uint32(ends[first]) + period, np.uint32(ends[last])):
        different |= text[j] ^ text[j - period]
    return different == 0


@nb.njit(cache=True, nogil=True)
def find_lines(  # type: ignore[no-untyped-def]
    begin, rows, stream, starts, key_ends, key_text, kept,
    name_table, name_stream, name_ends, name_text, name_slot, closed, used, slots, slot_start,
):  # fmt: skip
    """Write where in ``slots`` the slots of each row's keys begin; ``used[0]`` slots are there already.

    ``kept`` holds (row, stream) of key lists met lately, shape ``(lists, 2)``: most producers send the same
    keys in the same order each time. Returns the next row: early at a key that has no name yet.
    """
    mask = np.uint64(len(name_table) - 1)
    for i in range(begin, len(rows)):
        first = starts[rows[i]]
        size = starts[rows[i] + 1] - first
        found = -1
        for line in range(len(kept)):
            other = kept[line, 0]
            if other < 0 or stream[i] != kept[line, 1]:
                continue
            before = starts[rows[other]]
            length = key_ends[first + size] - key_ends[first]
            if (
                starts[rows[other] + 1] - before != size
                or key_ends[before + size] - key_ends[before] != length
            ):
                continue
            apart = key_ends[first] - key_ends[before]
            unlike = 0
            for k in range(size):
                unlike |= (key_ends[first + k] - key_ends[before + k]) ^ apart
            if unlike == 0 and same_text(key_text, key_ends[first], key_text, key_ends[before], length):
                found = other
                break
        if found >= 0:
            slot_start[i] = slot_start[found]
            continue
        at = used[0]
        for k in range(size):
            a, b = key_ends[first + k], key_ends[first + k + 1]
            place = text_hash(key_text, a, b, np.int64(stream[i])) & mask
            slot = np.int32(0)  # of no name: that of the prediction
            while name_table[place] >= 0:
                name = name_table[place]
                if (
                    name_stream[name] == stream[i]
                    and name_ends[name + 1] - name_ends[name] == b - a
                    and same_text(name_text, name_ends[name], key_text, a, b - a)
                ):
                    slot = name_slot[name]
                    break
                place = (place + np.uint64(1)) & mask
            if slot == 0:
                if not closed[stream[i]]:
                    return i, first + k
                slot = np.int32(-1)
            slots[at + k] = slot
        used[0] += size
        slot_start[i] = at
        kept[i % len(kept), 0] = i
        kept[i % len(kept), 1] = stream[i]
    return len(rows), -1


@nb.njit(cache=True, nogil=True)
def place_name(name, name_table, name_stream, name_ends, name_text):  # type: ignore[no-untyped-def]
    mask = np.uint64(len(name_table) - 1)
    h = text_hash(name_text, name_ends[name], name_ends[name + 1], np.int64(name_stream[name]))
    place = h & mask
    while name_table[place] >= 0:
        place = (place + np.uint64(1)) & mask
    name_table[place] = name
