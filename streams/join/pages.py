"""Memory for rings, straight from the kernel: it grows without a copy and goes back when it is outgrown."""

import mmap

import numpy as np

# From here on the kernel may give huge pages, where it knows these: a row's memory then comes in a seventh of
# the time, and the last page, of which a part may lie idle, is 2 MiB.
HUGE_FROM_BYTES = 8 << 20


class Pages:
    """An array of rows that can grow in place.

    Addresses are reserved up to the next power of two; pages that no row has reached yet take no memory. Rows
    come with anything in them.

    ``filled_at_once`` are arrays that are written from end to end before they are used, such as hash tables:
    these get huge pages however small they are, as no part of one would lie idle.

    Examples
    --------
    >>> pages = Pages(4, np.dtype(np.int64))
    >>> pages.rows[:] = [5, 6, 3, 4]  # a ring of four that begins at 3
    >>> pages.grow(6, head=2, count=4)
    True
    >>> pages.rows.tolist()[2:6]
    [3, 4, 5, 6]
    """

    def __init__(self, rows: int, dtype: np.dtype, *, filled_at_once: bool = False) -> None:
        self._mapping = _mapping(rows * dtype.itemsize)
        if filled_at_once:
            _allow_huge(self._mapping)
        self.rows = np.frombuffer(self._mapping, dtype, rows)

    @property
    def nbytes(self) -> int:
        return self.rows.nbytes

    def grow(self, rows: int, head: int, count: int) -> bool:
        """Make room for ``rows``, of which ``count`` from ``head`` on, around the end, are in use.

        Returns
        -------
        bool
            Whether rows had to move: those that went on at the beginning now go on behind the old end.
        """
        before, dtype = len(self.rows), self.rows.dtype
        if rows * dtype.itemsize > len(self._mapping):
            self.rows = np.empty(0, dtype)  # a mapping moves only when nobody looks at it
            self._enlarge(rows * dtype.itemsize, before * dtype.itemsize)
        self.rows = np.frombuffer(self._mapping, dtype, rows)
        wrapped = head + count - before
        if wrapped <= 0:
            return False
        moved = min(wrapped, rows - before)
        self.rows[before : before + moved] = self.rows[:moved]
        self.rows[: wrapped - moved] = self.rows[moved:wrapped].copy()
        return True

    def _enlarge(self, size: int, used: int) -> None:
        try:
            self._mapping.resize(_reserved(size))
        except BufferError:
            larger = _mapping(size)
            larger[:used] = self._mapping[:used]
            self._mapping = larger
        if len(self._mapping) >= HUGE_FROM_BYTES:
            _allow_huge(self._mapping)


def _mapping(size: int) -> mmap.mmap:
    return mmap.mmap(-1, _reserved(size), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def _reserved(size: int) -> int:
    return max(mmap.PAGESIZE, 1 << (size - 1).bit_length())


def _allow_huge(mapping: mmap.mmap) -> None:
    if hasattr(mmap, "MADV_HUGEPAGE"):
        mapping.madvise(mmap.MADV_HUGEPAGE)
