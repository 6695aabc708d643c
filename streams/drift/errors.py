"""What detectors are fed of one pane: values in [0, 1] that stand for what was counted."""

from dataclasses import dataclass
from math import erf, fsum, sqrt
from statistics import median

import numpy as np

from schemas.signals import SignalPane

# Of a busier pane this many values stand for all: detectors take about a microsecond a value, and a step from
# 10 to 20 % shows after 270. The values then spread less from pane to pane than as many independent ones, so
# this can only lower the number of false alarms.
MOST_VALUES = 200
BLOCK_PAIRS = 30  # a mean of fewer absolute errors is too skewed for a normal score
REFERENCE_BLOCKS = 60
MAD_TO_SD = 0.6745  # median of |z| for a standard normal z


@dataclass(frozen=True, slots=True)
class Fed:
    """A stretch of event time, what its pairs add up to, and the values that stand for them."""

    start_ms: int
    end_ms: int
    total: float  # errors, or absolute errors
    squares: float
    n: int  # labelled pairs
    values: tuple[float, ...]


def interleaved(ones: int, n: int) -> tuple[float, ...]:
    """Return ``n`` values of which ``ones`` are 1.0, as evenly spread as can be.

    Examples
    --------
    >>> interleaved(2, 5)
    (0.0, 1.0, 0.0, 1.0, 0.0)
    """
    steps = (np.arange(n + 1) * ones + n // 2) // max(n, 1)
    return tuple(np.diff(steps).astype(float).tolist())


class WrongAnswers:
    """Classification: a one for each wrong answer, a zero for each right one, evenly interleaved.

    Within a pane order carries no information. A pane with more than ``MOST_VALUES`` pairs is stood for by
    that many, in the same proportion; what rounding leaves is carried to the next.
    """

    def __init__(self) -> None:
        self._carried = 0.0

    def feed(self, pane: SignalPane) -> Fed:
        n, wrong = pane.n, round(pane.total)
        if n <= MOST_VALUES:
            values = interleaved(wrong, n)
        else:
            exact = self._carried + MOST_VALUES * pane.total / n
            ones = min(MOST_VALUES, max(0, round(exact)))
            self._carried = exact - ones
            values = interleaved(ones, MOST_VALUES)
        return Fed(pane.start_ms, pane.end_ms, pane.total, pane.squares, n, values)


class MeanRanks:
    """Ranks against a reference: their mean over the pane, one value."""

    def feed(self, pane: SignalPane) -> Fed:
        mean = min(1.0, max(0.0, pane.total / pane.n))
        return Fed(pane.start_ms, pane.end_ms, pane.total, pane.squares, pane.n, (mean,))


class AbsoluteErrors:
    """Regression: where a block's mean absolute error lies among those of a reference, as a normal score.

    A pane has no single errors, only their sums, and one wild error can be a million times the rest. So the
    unit is a block of consecutive panes with at least 30 pairs; its mean absolute error ``m`` becomes
    ``Phi((m - m0) / s0)``, in [0, 1], which one wild error moves to 1.0 and no further. ``m0`` is the median
    of the first 60 mature blocks, ``s0`` their spread (median absolute deviation, as a standard deviation).
    From then on a block has at least as many pairs as the median block of the reference: quiet hours are not
    noisier than it, and its luck is the same offset by day and by night. A block is fed once: repeating it
    would feign evidence.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[int, int, float, float, int]] = []
        self._reference: list[tuple[float, int]] = []
        self._least = BLOCK_PAIRS
        self._centre = self._spread = 0.0

    def feed(self, pane: SignalPane) -> Fed | None:
        end_ms = pane.end_ms
        self._waiting.append((pane.start_ms, end_ms, pane.total, pane.squares, pane.n))
        pairs = sum(part[4] for part in self._waiting)
        if pairs < self._least:
            return None
        total, squares = fsum(part[2] for part in self._waiting), fsum(part[3] for part in self._waiting)
        first_ms = self._waiting[0][0]
        self._waiting.clear()
        return Fed(first_ms, end_ms, total, squares, pairs, self._values(total / pairs, pairs))

    def _values(self, mean: float, n: int) -> tuple[float, ...]:
        if len(self._reference) == REFERENCE_BLOCKS:
            return (self._score(mean),)
        self._reference.append((mean, n))
        if len(self._reference) == REFERENCE_BLOCKS:
            self._least = int(median(n for _, n in self._reference))
            self._centre = median(mean for mean, _ in self._reference)
            self._spread = median(abs(mean - self._centre) for mean, _ in self._reference) / MAD_TO_SD
        return ()

    def _score(self, mean: float) -> float:
        distance = mean - self._centre
        if self._spread == 0.0:  # most of the reference is one value, such as no error at all
            return 0.5 if distance == 0.0 else float(distance > 0.0)
        return 0.5 * (1.0 + erf(distance / self._spread / sqrt(2.0)))
