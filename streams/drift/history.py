"""What a signal has been since its baseline began, so that a change has a time and two levels."""

from dataclasses import dataclass
from math import sqrt

import numpy as np

from schemas.coded import FloatArray
from schemas.settings import HOUR_MS

# About three days of panes in full; older ones are merged by twos, so their times get coarser, never wrong.
MOST_STRETCHES = 4096
LEAST_SHARE = 0.125  # of the change as it looks: where a few pairs make two standard errors more than that
# Places whose log likelihood is this close to the likeliest one's may be the true one: simulated steps of
# three to thirty standard errors lie between the outermost of them in 95 % of cases or more.
LIKELY = 4.0


@dataclass(frozen=True, slots=True)
class Luck:
    """What of a signal's spread is chance: variance of one value, and what an hour's values share."""

    within: float
    shared: float


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a change lies in event time, the mean on both sides, and how large it is at least.

    ``before`` is what would have been expected of the time after the change. A change looks larger than it is
    at the moment when it is found, which is why it was found then: up to four times in simulations of thin
    traffic. ``at_least`` is two standard errors less than it looks.
    """

    start_ms: int
    end_ms: int
    likeliest_ms: int  # between start_ms and end_ms
    before: float
    after: float
    low: float  # 95 % interval of after - before
    high: float
    at_least: float


Stretch = tuple[int, int, float, float, int]  # start_ms, end_ms, total, squares, n


class History:
    """Stretches of event time in the order in which they were fed."""

    def __init__(self) -> None:
        self._stretches: list[Stretch] = []

    def append(self, start_ms: int, end_ms: int, total: float, squares: float, n: int) -> None:
        self._stretches.append((start_ms, end_ms, total, squares, n))
        if len(self._stretches) > MOST_STRETCHES:
            old = self._stretches[: MOST_STRETCHES // 2]
            self._stretches[: len(old)] = [_joined(a, b) for a, b in zip(old[::2], old[1::2], strict=True)]

    def place(self, levels: FloatArray | None = None, luck: Luck | None = None) -> Placed:
        """Return where the two sides differ most for their sizes: the likeliest place of one change.

        Parameters
        ----------
        levels
            What is expected by the hour of the day or week, shape ``(24,)`` or ``(168,)``; NaN or None where
            nothing is.
        luck
            How values spread by chance; None: as they do here, and no more from hour to hour.
        """
        table = np.array(self._stretches, float)
        starts, ends, total, squares, n = table.T
        apart = total - n * _expected(levels, starts, total, n)
        all_n = n.sum()
        if luck is None:
            luck = Luck(max(0.0, float(squares.sum() / all_n - (total.sum() / all_n) ** 2)), 0.0)
        hours = max(1.0, len(np.unique(starts // HOUR_MS)))
        per_value = luck.within + luck.shared * all_n / hours
        at, first, last = _split(apart, n, per_value)
        sides = [slice(0, at) if at else slice(0, 1), slice(at, None)]
        means = [float(apart[side].sum() / n[side].sum()) for side in sides]
        after = float(total[sides[1]].sum() / n[sides[1]].sum())
        change = means[1] - means[0]
        spread = sum(_uncertainty(table[side], luck, all_n / hours) for side in sides)
        error, looks = sqrt(spread), abs(change)
        return Placed(
            int(starts[first]),
            int(ends[last]),
            int(starts[at]),
            after - change,
            after,
            change - 1.96 * error,
            change + 1.96 * error,
            max(looks - 2 * error, looks * LEAST_SHARE),
        )

    def forget(self, before_ms: int) -> None:
        """Drop what ended by ``before_ms``: a new baseline begins."""
        self._stretches = [s for s in self._stretches if s[1] > before_ms]


def _expected(levels: FloatArray | None, starts: FloatArray, total: FloatArray, n: FloatArray) -> FloatArray:
    mean = float(total.sum() / n.sum())
    if levels is None:
        return np.full(len(starts), mean)
    found: FloatArray = levels[(starts // HOUR_MS).astype(np.int64) % len(levels)]
    return np.where(np.isnan(found), mean, found)


def _split(apart: FloatArray, n: FloatArray, per_value: float) -> tuple[int, int, int]:
    """Return the first stretch after the change, and the outermost stretches that may hold it."""
    if len(n) < 2:
        return 0, 0, 0
    seen, summed = n.cumsum()[:-1], apart.cumsum()[:-1]
    all_n, everything = n.sum(), apart.sum()
    distance = (summed - everything * seen / all_n) ** 2 * all_n / (seen * (all_n - seen))
    likelihood = distance / (2 * max(per_value, 1e-12))
    best = int(likelihood.argmax())
    likely = np.flatnonzero(likelihood >= likelihood[best] - LIKELY)
    # The change may lie in the stretch before the split too: its end is then all that was after it.
    return best + 1, int(likely[0]), int(likely[-1]) + 1


def _uncertainty(side: FloatArray, luck: Luck, per_hour: float) -> float:
    _, _, total, squares, n = side.T
    values = float(n.sum())
    mean = float(total.sum()) / values
    within = max(0.0, float(squares.sum()) / values - mean * mean)
    return within / values + luck.shared * min(1.0, per_hour / values)


def _joined(a: Stretch, b: Stretch) -> Stretch:
    return a[0], b[1], a[2] + b[2], a[3] + b[3], a[4] + b[4]
