"""What a signal has been since its baseline began, so that a change has a time and two levels."""

from dataclasses import dataclass
from math import fsum, sqrt

from streams.drift.errors import Fed

# About three days of panes in full; older ones are merged by twos, so their times get coarser, never wrong.
MOST_STRETCHES = 4096
LEAST_SHARE = 0.125  # of the change as it looks: where a few pairs make two standard errors more than that


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a change lies in event time, the mean error on both sides, and how large it is at least.

    A change looks larger than it is at the moment when it is found, which is why it was found then: up to
    four times in simulations of thin traffic. ``at_least`` is two standard errors less than it looks.
    """

    start_ms: int
    end_ms: int
    before: float
    after: float
    at_least: float


@dataclass(frozen=True, slots=True)
class _Stretch:
    start_ms: int
    end_ms: int
    total: float
    squares: float
    n: int


class History:
    """Stretches of event time in the order in which they were fed."""

    def __init__(self) -> None:
        self._stretches: list[_Stretch] = []

    def append(self, fed: Fed) -> None:
        self._stretches.append(_Stretch(fed.start_ms, fed.end_ms, fed.total, fed.squares, fed.n))
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
        before, _ = _mean(self._stretches[:i] or [at])
        after, error = _mean(self._stretches[i:])
        looks = abs(after - before)
        return Placed(at.start_ms, at.end_ms, before, after, max(looks - 2 * error, looks * LEAST_SHARE))

    def forget(self, before_ms: int) -> None:
        """Drop what ended by ``before_ms``: a new baseline begins."""
        self._stretches = [s for s in self._stretches if s.end_ms > before_ms]


def _joined(a: _Stretch, b: _Stretch) -> _Stretch:
    return _Stretch(a.start_ms, b.end_ms, a.total + b.total, a.squares + b.squares, a.n + b.n)


def _mean(stretches: list[_Stretch]) -> tuple[float, float]:
    n = sum(s.n for s in stretches)
    mean = fsum(s.total for s in stretches) / n
    return mean, sqrt(max(0.0, fsum(s.squares for s in stretches) / n - mean * mean) / n)
