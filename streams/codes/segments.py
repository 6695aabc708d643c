"""Which values of a segment have a name: the largest hundred of each key and model, the rest is ``other``."""

import numpy as np

from schemas.coded import CodeArray
from schemas.records import IntArray
from streams.codes.names import Names
from streams.codes.traffic import Traffic

SEGMENT_VALUES_PER_KEY = 100  # of one model; the rest is ``other``
OTHER = "other"
CROWDED = -1


class Segments:
    """Segment codes; 0 is ``''``, all traffic.

    A key with no more than ``SEGMENT_VALUES_PER_KEY`` values has a name for each, and nothing is counted.
    From the event on that brings one more, traffic decides.
    """

    def __init__(self, width_ms: int = 60_000) -> None:
        self.names = Names([""])
        self._width_ms = width_ms
        self._kept: dict[tuple[int, str], set[str]] = {}
        self._traffic: dict[tuple[int, str], Traffic] = {}

    def code(self, model: int, key: str, value: str) -> int:
        """Return the code of a value, or ``CROWDED``: then ``crowded`` has to decide."""
        kept = self._kept.setdefault((model, key), set())
        if (model, key) in self._traffic:
            return CROWDED
        if value not in kept:
            if len(kept) >= SEGMENT_VALUES_PER_KEY:
                self._traffic[model, key] = Traffic(kept, self._width_ms)
                return CROWDED
            kept.add(value)
        return self.names.code(f"{key}={value}")

    def crowded(
        self, model: int, key: str, texts: list[str], values: IntArray, time_ms: IntArray
    ) -> CodeArray:
        """Return the codes of the values of a crowded key, in order of arrival, shape ``(n,)``.

        Parameters
        ----------
        texts, values
            The values, as places in ``texts``.
        time_ms
            Of their events.
        """
        out = np.empty(len(values), np.int32)
        other = self.names.code(f"{key}={OTHER}")
        for begin, end, kept in self._traffic[model, key].told_apart(texts, values, time_ms):
            of_text = np.full(len(texts), other, np.int32)
            for i in np.unique(values[begin:end]).tolist():
                if texts[i] in kept:
                    of_text[i] = self.names.code(f"{key}={texts[i]}")
            out[begin:end] = of_text[values[begin:end]]
        return out
