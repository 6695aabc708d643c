"""How much traffic the values of one segment key have lately, and which of them earn a name of their own."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from schemas.records import IntArray

HALF_LIFE_MS = 2 * 3_600_000  # of a count: recent is the last hours
SETTLING_MS = 3_600_000  # counted for at least this long before a value takes another's place
CLEARLY_MORE = 2.0  # times the traffic of the value whose place is taken
LEAST = 20.0  # events, decayed: below it a difference is chance
MOST_TRACKED = 10_000  # values counted; beyond them newcomers wait for the pane's end
TRACKED_AFTER_PRUNING = 5_000
MOST_NAMED = 10_000  # values that ever get a name, so that names cannot run out

BEFORE_ALL = -(1 << 62)


class Traffic:
    """Decayed counts by value. The counts never exceed the truth, so that no value is named by mistake.

    Values change places only when time enters a new pane, so that it does not matter how events are cut into
    batches, and ties go by the value's text, so that the same events give the same names.
    """

    def __init__(self, kept: set[str], width_ms: int) -> None:
        self.kept = kept
        self._width_ms = width_ms
        self._counts: dict[str, float] = dict.fromkeys(sorted(kept), 0.0)
        self._in_pane: dict[str, int] = {}  # whole numbers, so that they add up in any order
        self._newcomers = 0  # of these, not in _counts
        self._named = set(kept)
        self._pane = BEFORE_ALL
        self._since_ms = 0

    def told_apart(
        self, texts: list[str], values: IntArray, time_ms: IntArray
    ) -> Iterator[tuple[int, int, set[str]]]:
        """Count events; yield each stretch ``[begin, end)`` of them with the values that are kept in it."""
        newest = np.maximum.accumulate(time_ms // self._width_ms)
        if self._pane == BEFORE_ALL:
            self._pane, self._since_ms = int(newest[0]), int(time_ms[0])
        newest = np.maximum(newest, self._pane)
        starts = [0, *(np.flatnonzero(np.diff(newest)) + 1).tolist(), len(newest)]
        for begin, end in pairwise(starts):
            pane = int(newest[begin])
            if pane > self._pane:
                self._turn(pane)
            yield begin, end, self.kept
            self._count(texts, values[begin:end])

    def _count(self, texts: list[str], values: IntArray) -> None:
        in_pane, counts = self._in_pane, self._counts
        distinct, first, numbers = np.unique(values, return_index=True, return_counts=True)
        order = np.argsort(first)
        for i, n in zip(distinct[order].tolist(), numbers[order].tolist(), strict=True):
            text = texts[i]
            if text in in_pane:
                in_pane[text] += n
            elif text in counts:
                in_pane[text] = n
            elif len(counts) + self._newcomers < MOST_TRACKED:
                in_pane[text] = n
                self._newcomers += 1

    def _turn(self, pane: int) -> None:
        for text, n in self._in_pane.items():
            self._counts[text] = self._counts.get(text, 0.0) + n
        self._in_pane, self._newcomers = {}, 0
        if pane * self._width_ms - self._since_ms >= SETTLING_MS:
            self._exchange()
        if len(self._counts) > TRACKED_AFTER_PRUNING:
            self._prune()
        factor = 0.5 ** ((pane - self._pane) * self._width_ms / HALF_LIFE_MS)
        self._counts = {text: n * factor for text, n in self._counts.items()}
        self._pane = pane

    def _exchange(self) -> None:
        counts = self._counts
        risers = sorted((-n, text) for text, n in counts.items() if n >= LEAST and text not in self.kept)
        if not risers:
            return
        kept = sorted((counts[text], text) for text in self.kept)
        for (less, riser), (n, smallest) in zip(risers, kept, strict=False):
            named = riser in self._named
            if -less < CLEARLY_MORE * n or not (named or len(self._named) < MOST_NAMED):
                break
            self._named.add(riser)
            self.kept.remove(smallest)
            self.kept.add(riser)

    def _prune(self) -> None:
        outside = sorted((-n, text) for text, n in self._counts.items() if text not in self.kept)
        for _, text in outside[TRACKED_AFTER_PRUNING - len(self.kept) :]:
            del self._counts[text]
