"""Probabilities of many classes wait beside their predictions, in a ring in order of arrival."""

import numpy as np

from schemas.coded import FloatArray

FIRST_VALUES = 1 << 10


class Vectors:
    """A ring of doubles whose values keep their sequence numbers while it grows.

    Value ``seq`` lies at ``ring[seq & (len(ring) - 1)]``. Nothing is allocated before the first value.

    Examples
    --------
    >>> vectors = Vectors()
    >>> vectors.append(np.array([0.2, 0.3, 0.5])), vectors.append(np.array([0.1, 0.1, 0.8]))
    (0, 3)
    >>> vectors.release(3)
    >>> len(vectors), float(vectors.ring[5])
    (3, 0.8)
    """

    def __init__(self) -> None:
        self.ring: FloatArray = np.zeros(1)
        self._first = self._next = 0

    def __len__(self) -> int:
        return self._next - self._first

    @property
    def nbytes(self) -> int:
        return 8 * len(self)

    def append(self, values: FloatArray) -> int:
        """Add values at the end; return the sequence number of the first of them."""
        if len(self) + len(values) > len(self.ring):
            self._grow(len(self) + len(values))
        begin = self._next
        self._next += len(values)
        self.ring[np.arange(begin, self._next) & (len(self.ring) - 1)] = values
        return begin

    def release(self, before: int) -> None:
        """Forget the values below a sequence number."""
        self._first = max(self._first, before)

    def release_all(self) -> None:
        self._first = self._next

    def _grow(self, needed: int) -> None:
        larger = np.zeros(max(FIRST_VALUES, 1 << (needed - 1).bit_length()))
        seq = np.arange(self._first, self._next)
        larger[seq & (len(larger) - 1)] = self.ring[seq & (len(self.ring) - 1)]
        self.ring = larger
