"""Profiles: the combinations of stream, class, flags and segments that occur, each under one code."""

import numpy as np

from schemas.coded import ByteArray, CodeArray, Profiles, Scorings
from schemas.records import IntArray
from streams.codes import kernels


class ProfileTable:
    """Gives every combination one code, for as long as the process lives.

    Predictions wait by the million; a profile code of four bytes stands for what they have in common.
    """

    def __init__(self) -> None:
        self._count = 0
        self._used = 0
        self._table = np.full(4096, -1, np.int32)
        self._hashes = np.zeros(1024, np.uint64)
        self._stream = np.zeros(1024, np.int32)
        self._class_key = np.zeros(1024, np.int64)
        self._flags = np.zeros(1024, np.uint8)
        self._scoring = np.zeros(1024, np.int32)
        self._offsets = np.zeros(1025, np.int64)
        self._segments = np.zeros(4096, np.int32)

    def __len__(self) -> int:
        return self._count

    def codes(
        self,
        stream: CodeArray,
        class_key: IntArray,
        flags: ByteArray,
        scoring: CodeArray,
        offsets: IntArray,
        segments: CodeArray,
    ) -> CodeArray:
        """Return the profile code of each row, shape ``(n,)``.

        Row ``i`` has the segment codes ``segments[offsets[i] : offsets[i + 1]]``; their order makes another
        profile, which adds up to the same.
        """
        out = np.empty(len(stream), np.int32)
        begin = 0
        while begin < len(stream):
            begin, self._count, self._used = kernels.intern_profiles(
                stream, class_key, flags, scoring, offsets, segments, begin, self._count, self._used,
                self._table, self._hashes, self._stream, self._class_key, self._flags, self._scoring,
                self._offsets, self._segments, out,
            )  # fmt: skip
            if begin < len(stream):
                self._grow(int(offsets[begin + 1] - offsets[begin]))
        return out

    def _grow(self, needed_segments: int) -> None:
        rows = 2 * len(self._stream)
        for name in ("_hashes", "_stream", "_class_key", "_flags", "_scoring"):
            setattr(self, name, _extended(getattr(self, name), rows))
        self._offsets = _extended(self._offsets, rows + 1)
        self._segments = _extended(self._segments, 2 * len(self._segments) + needed_segments)
        self._table = np.full(4 * rows, -1, np.int32)
        kernels.rebuild(self._hashes, self._count, self._table)

    def view(self, scorings: Scorings) -> Profiles:
        """Return the profiles as arrays, valid until the next call of ``codes``."""
        n = self._count
        return Profiles(
            stream=self._stream[:n],
            class_key=self._class_key[:n],
            flags=self._flags[:n],
            segment_offsets=self._offsets[: n + 1],
            segments=self._segments,
            scoring=self._scoring[:n],
            scorings=scorings,
        )


def _extended(array: np.ndarray, length: int) -> np.ndarray:
    larger = np.zeros(length, array.dtype)
    larger[: len(array)] = array
    return larger
