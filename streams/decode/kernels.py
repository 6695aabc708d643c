"""Loops over Arrow buffers that numpy has no word for: map rows in which a key stands twice."""

import numba as nb
import numpy as np
import numpy.typing as npt


@nb.njit(cache=True, nogil=True)
def _same_keys(
    row: int, other: int, count: int, ends: npt.NDArray[np.int32], text: npt.NDArray[np.uint8]
) -> bool:
    start, before = ends[row], ends[other]
    size = ends[row + count] - start
    if size != ends[other + count] - before:
        return False
    unlike = 0
    for k in range(count):
        unlike |= (ends[row + k] - start) ^ (ends[other + k] - before)
    for j in range(size):
        unlike |= text[start + j] ^ text[before + j]
    return unlike == 0


@nb.njit(cache=True, nogil=True)
def mark_repeated_keys(
    rows: npt.NDArray[np.int32],
    ends: npt.NDArray[np.int32],
    text: npt.NDArray[np.uint8],
    marks: npt.NDArray[np.bool_],
) -> int:
    """Mark each map row whose keys may repeat, by equal hashes; return how many were marked.

    ``rows`` bounds the entries of each map, ``ends`` the bytes of each key in ``text``.
    """
    marked = 0
    repeats = False
    for i in range(len(rows) - 1):
        row, count = rows[i], rows[i + 1] - rows[i]
        # Most producers send the same keys in the same order each time: one comparison settles the row.
        if i > 0 and count == row - rows[i - 1] and _same_keys(row, rows[i - 1], count, ends, text):
            pass
        else:
            hashes = np.empty(count, np.uint64)
            for k in range(count):
                h = np.uint64(14695981039346656037)
                for j in range(ends[row + k], ends[row + k + 1]):
                    h = (h ^ np.uint64(text[j])) * np.uint64(1099511628211)
                hashes[k] = h
            hashes.sort()
            repeats = False
            for k in range(1, count):
                if hashes[k] == hashes[k - 1]:
                    repeats = True
        if repeats:
            marks[i] = True
            marked += 1
    return marked
