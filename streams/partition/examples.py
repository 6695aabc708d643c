"""Ids of wrong answers, a few of each stream and pane, so that a bad window can be looked into."""

import numpy as np
import pyarrow as pa

from schemas.coded import PairChanges, Profiles
from schemas.panes import MOST_EXAMPLES
from schemas.records import IntArray
from streams.partition import kernels

PANE_MASK = (1 << 40) - 1


class Examples:
    """The wrong answers whose ids have the smallest hashes; of a regression, any labelled prediction.

    Which they are depends on their ids alone, so neither on order nor on chance. One whose label is
    corrected later is not taken back: it goes when its pane goes. An implicit label gives none, since the id
    of a prediction that waits is known by its hash only.

    Parameters
    ----------
    width_ms
        Of a pane.
    """

    def __init__(self, width_ms: int) -> None:
        self._width_ms = width_ms
        self._table = np.full(256, -1, np.int32)
        self._count = 0
        self._allocate(64)
        self._ids: list[list[str]] = []

    def _allocate(self, rows: int) -> None:
        self._keys = np.zeros(rows, np.int64)
        self._hashes = np.zeros((rows, MOST_EXAMPLES), np.uint64)
        self._source = np.zeros((rows, MOST_EXAMPLES), np.int64)
        self._touched = np.zeros(rows, np.uint8)

    @property
    def nbytes(self) -> int:
        """Memory taken, an id counted as a text of some forty bytes."""
        return self._count * (9 + 16 * MOST_EXAMPLES + 200 * MOST_EXAMPLES) + self._table.nbytes

    def add(self, changes: PairChanges, ids: pa.StringArray, profiles: Profiles) -> None:
        """Take in the changes that a batch with these prediction ids made."""
        offsets, data = _bytes_of(ids)
        begin = 0
        while begin < len(changes):
            begin, self._count = kernels.choose(
                begin, changes, self._width_ms, profiles.stream, profiles.class_key, offsets, data,
                self._count, self._table, self._keys, self._hashes, self._source, self._touched,
            )  # fmt: skip
            if begin < len(changes):
                self._grow()
        self._ids += [[] for _ in range(self._count - len(self._ids))]
        for row in np.flatnonzero(self._touched[: self._count]).tolist():
            held, source = self._ids[row], self._source[row].tolist()
            self._ids[row] = [
                ids[at].as_py() if at >= 0 else held[-1 - at] for at in source if at != kernels.NONE
            ]
            self._source[row, : len(self._ids[row])] = -1 - np.arange(len(self._ids[row]))
            self._touched[row] = 0

    def of(self, stream: int, pane: int) -> list[str]:
        """Return the ids of a pane, at most ``MOST_EXAMPLES``, in the order of their hashes."""
        row = kernels.find(np.int64(stream << 40 | pane), self._table, self._keys)
        return self._ids[row] if row >= 0 else []

    def drop_below(self, floor_ms: int) -> None:
        """Forget panes that start below ``floor_ms``."""
        kept = np.flatnonzero((self._keys[: self._count] & PANE_MASK) * self._width_ms >= floor_ms)
        if len(kept) == self._count:
            return
        self._move(kept)
        self._ids = [self._ids[row] for row in kept.tolist()]
        self._count = len(kept)
        kernels.refill(self._table, self._keys, self._count)

    def _arrays(self) -> tuple[np.ndarray, ...]:
        return self._keys, self._hashes, self._source, self._touched

    def _move(self, kept: IntArray) -> None:
        for array in self._arrays():
            array[: len(kept)] = array[kept]

    def _grow(self) -> None:
        old = self._arrays()
        self._allocate(2 * len(self._keys))
        for new, kept in zip(self._arrays(), old, strict=True):
            new[: len(kept)] = kept
        self._table = np.full(2 * len(self._table), -1, np.int32)
        kernels.refill(self._table, self._keys, self._count)


def _bytes_of(ids: pa.StringArray) -> tuple[np.ndarray, np.ndarray]:
    _, offsets, data = ids.buffers()
    return (
        np.frombuffer(offsets, np.int32, len(ids) + 1, ids.offset * 4),
        np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8),
    )
