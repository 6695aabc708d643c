"""Loops over Arrow buffers that numpy has no word for: frames, and map rows in which a key stands twice."""

import numba as nb
import numpy as np
import numpy.typing as npt

Bounds = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.uint8]
_KEPT = 8  # producers whose key lists are remembered; more only cost time


@nb.njit(cache=True, nogil=True)
def _same_keys(row: np.uint32, other: np.uint32, count: np.uint32, ends: Bounds, text: Bytes) -> bool:
    # Unsigned indices: numba would check signed ones for negatives, at six times the cost.
    start, before = np.uint32(ends[row]), np.uint32(ends[other])
    size = np.uint32(ends[row + count]) - start
    if size != np.uint32(ends[other + count]) - before:
        return False
    apart = start - before
    unlike_ends = np.uint32(0)
    for k in range(count):
        unlike_ends |= (np.uint32(ends[row + np.uint32(k)]) - np.uint32(ends[other + np.uint32(k)])) ^ apart
    unlike = np.uint8(0)
    for j in range(size):
        unlike |= text[start + np.uint32(j)] ^ text[before + np.uint32(j)]
    return bool(unlike_ends == 0 and unlike == 0)


@nb.njit(cache=True, nogil=True)
def _hashes_repeat(row: int, count: int, ends: Bounds, text: Bytes) -> bool:
    hashes = np.empty(count, np.uint64)
    for k in range(count):
        h = np.uint64(14695981039346656037)  # FNV-1a
        for j in range(ends[row + k], ends[row + k + 1]):
            h = (h ^ np.uint64(text[j])) * np.uint64(1099511628211)
        hashes[k] = h
    hashes.sort()
    for k in range(1, count):  # noqa: SIM110 - numba compiles no generators
        if hashes[k] == hashes[k - 1]:
            return True
    return False


@nb.njit(cache=True, nogil=True)
def mark_repeated_keys(rows: Bounds, ends: Bounds, text: Bytes, marks: npt.NDArray[np.bool_]) -> None:
    """Mark each map row in which two keys have the same hash.

    ``rows`` bounds the entries of each map, ``ends`` the bytes of each key in ``text``. Most producers send
    the same keys in the same order each time, so a row is first compared with rows seen before.
    """
    kept = np.zeros(_KEPT, np.uint32)
    kept_count = np.zeros(_KEPT, np.uint32)  # 0: nothing kept here
    kept_repeats = np.zeros(_KEPT, np.bool_)
    replaced = 0
    for i in range(len(rows) - 1):
        row = np.uint32(rows[i])
        count = np.uint32(np.uint32(rows[i + 1]) - row)
        if count < 2:
            continue
        known = False
        for slot in range(_KEPT):
            if kept_count[slot] == count and _same_keys(row, kept[slot], count, ends, text):
                known = True
                marks[i] |= kept_repeats[slot]
                break
        if not known:
            repeats = _hashes_repeat(rows[i], rows[i + 1] - rows[i], ends, text)
            marks[i] |= repeats
            kept[replaced], kept_count[replaced], kept_repeats[replaced] = row, count, repeats
            replaced = (replaced + 1) % _KEPT
