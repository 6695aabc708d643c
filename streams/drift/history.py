"""What a signal has been since its baseline began, so that a change has a time and two levels."""

from dataclasses import dataclass, replace
from math import fsum

from streams.drift.errors import Fed

# About three days of panes in full; older ones are merged by twos, so their times get coarser, never wrong.
MOST_STRETCHES = 4096


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a change lies in event time, and the mean error on both sides of it."""

    start_ms: int
    end_ms: int
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class _Stretch:
    start_ms: int
    end_ms: int
    total: float
    n: int


class History:
    """Stretches of event time in the order in which they were fed."""

    def __init__(self) -> None:
        self._stretches: list[_Stretch] = []

    def append(self, fed: Fed) -> None:
        self._stretches.append(_Stretch(fed.start_ms, fed.end_ms, fed.total, fed.n))
        if len(self._stretches) > MOST_STRETCHES:
            old = self._stretches[: MOST_STRETCHES // 2]
            self._stretches[: len(old)] = [_joined(a, b) for a, b in zip(old[::2], old[1::2], strict=True)]

    def place(self) -> Placed:
        """Return where the two sides differ most for their sizes: the likeliest place of one change.

        It is the largest standardised distance of the cumulative sum from the line between its ends.
        """
        n, total = sum(s.n for s in self._stretches), fsum(s.total for s in self._stretches)
        best, i, seen, summed = -1.0, 0, 0, 0.0
        for j, stretch in enumerate(self._stretches[:-1], 1):
            seen, summed = seen + stretch.n, summed + stretch.total
            distance = (summed - total * seen / n) ** 2 / (seen * (n - seen))
            if distance > best:
                best, i = distance, j
        at = self._stretches[i]
        return Placed(at.start_ms, at.end_ms, _mean(self._stretches[:i] or [at]), _mean(self._stretches[i:]))

    def forget(self, before_ms: int) -> None:
        """Drop what ended by ``before_ms``: a new baseline begins."""
        self._stretches = [s for s in self._stretches if s.end_ms > before_ms]


def _joined(a: _Stretch, b: _Stretch) -> _Stretch:
    return replace(a, end_ms=b.end_ms, total=a.total + b.total, n=a.n + b.n)


def _mean(stretches: list[_Stretch]) -> float:
    return fsum(s.total for s in stretches) / sum(s.n for s in stretches)
