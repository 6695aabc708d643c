"""Memory for rings, straight from the kernel: it grows without a copy and goes back when it is outgrown."""

import mmap

import numpy as np


class Pages:
    """An array of rows that can grow in place.

    Pages that no row has reached yet take no memory. Rows come with anything in them.

    ``filled_at_once`` are arrays that are written from end to end before they are used, such as hash tables:
    the kernel may give them huge pages, where it knows these, as no part of one would lie idle.

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
        if filled_at_once and hasattr(mmap, "MADV_HUGEPAGE"):
            self._mapping.madvise(mmap.MADV_HUGEPAGE)
        self.rows = np.frombuffer(self._mapping, dtype)

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
        self.rows = np.empty(0, dtype)  # a mapping moves only when nobody looks at it
        try:
            self._mapping.resize(rows * dtype.itemsize)
        except BufferError:
            larger = _mapping(rows * dtype.itemsize)
            larger[: before * dtype.itemsize] = self._mapping[:]
            self._mapping = larger
        self.rows = np.frombuffer(self._mapping, dtype)
        wrapped = head + count - before
        if wrapped <= 0:
            return False
        moved = min(wrapped, rows - before)
        self.rows[before : before + moved] = self.rows[:moved]
        self.rows[: wrapped - moved] = self.rows[moved:wrapped].copy()
        return True


def _mapping(size: int) -> mmap.mmap:
    return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
