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
    values: int


class History:
    """Stretches of event time in the order in which they were fed."""

    def __init__(self) -> None:
        self._stretches: list[_Stretch] = []

    def append(self, fed: Fed, values: int) -> None:
        """Note a stretch, of which ``values`` values have been fed."""
        self._stretches.append(_Stretch(fed.start_ms, fed.end_ms, fed.total, fed.n, values))
        if len(self._stretches) > MOST_STRETCHES:
            old = self._stretches[: MOST_STRETCHES // 2]
            self._stretches[: len(old)] = [_joined(a, b) for a, b in zip(old[::2], old[1::2], strict=True)]

    def place(self, since_change: int | None) -> Placed:
        """Return where the change lies that ``since_change`` values have come after.

        None places it where the two sides differ most for their sizes (the cumulative sum's largest
        standardised distance from the line between its ends).
        """
        i = self._likeliest() if since_change is None else self._back(since_change)
        at = self._stretches[i]
        # The stretch of the change holds both levels: it is left out where there is something else.
        before = self._stretches[:i] or [at]
        after = self._stretches[i + 1 :] or [at]
        return Placed(at.start_ms, at.end_ms, _mean(before), _mean(after))

    def forget(self, before_ms: int) -> None:
        """Drop what ended by ``before_ms``: a new baseline begins."""
        self._stretches = [s for s in self._stretches if s.end_ms > before_ms]

    def _back(self, values: int) -> int:
        left = values
        for i in range(len(self._stretches) - 1, 0, -1):
            left -= self._stretches[i].values
            if left <= 0:
                return i
        return 0

    def _likeliest(self) -> int:
        n, total = sum(s.n for s in self._stretches), fsum(s.total for s in self._stretches)
        best, at, seen, summed = -1.0, len(self._stretches) - 1, 0, 0.0
        for i, stretch in enumerate(self._stretches[:-1]):
            seen, summed = seen + stretch.n, summed + stretch.total
            distance = (summed - total * seen / n) ** 2 / (seen * (n - seen))
            if distance > best:
                best, at = distance, i + 1
        return at


def _joined(a: _Stretch, b: _Stretch) -> _Stretch:
    return replace(a, end_ms=b.end_ms, total=a.total + b.total, n=a.n + b.n, values=a.values + b.values)


def _mean(stretches: list[_Stretch]) -> float:
    return fsum(s.total for s in stretches) / sum(s.n for s in stretches)
