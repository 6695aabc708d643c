"""After how long the labels of a pane are there: told from cohorts that are much older than that."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from schemas.panes import age_bin, age_edge_ms
from schemas.records import IntArray
from schemas.settings import DAY_MS, HOUR_MS
from streams.maturity.cohorts import BINS, Slice, ripe_bin

SHARE = 0.95  # of the labels that ever come, in the slowest cohorts of the slowest outcome
SLOW_COHORTS = (
    0.95  # as many of the cohorts are faster: of a label batch a day the slowest two hours are left
)
GROUP_LABELS = 200  # the age by which 95 % of so many have come is known to two points of the 95
LEAST_LABELS = 50  # of an outcome that is looked at on its own
# A cohort is judged when it is older than three horizons: a curve that is cut off earlier looks complete. In
# whole age bins, of which four are a doubling: 2**(7/4) = 3.4.
THRICE = 7
LONGEST = 86  # the last age bin that a horizon may end with, after 34 days; thrice that is 116 days
HISTORY_MS = 14 * DAY_MS  # of cohorts that are judged: two weeks, since labels may come weekly
ENOUGH_BY_THEN = 0.80  # of what comes in the end: below it a configured horizon is too short ...
SHORT_COHORTS = 0.10  # ... when it is so for a larger share of the cohorts, ...
LEAST_SHORT = 3  # ... and no fewer than this

Slices = Callable[[int, int], Slice]  # (age bin that is complete, earliest cohort) -> cohorts of a model


@dataclass(frozen=True, slots=True)
class Horizon:
    """An age bin by whose end labels are there, and whether cohorts are old enough to be sure of it.

    ``cut`` where labels take longer than the longest horizon, which it is then.
    """

    bin: int
    sure: bool
    cut: bool = False

    @property
    def ms(self) -> int:
        return int(age_edge_ms(self.bin))


class HorizonLearner:
    """Keeps the horizon of one model, learnt anew as cohorts get old enough."""

    def __init__(self) -> None:
        self.known: Horizon | None = None

    def learn(self, now_ms: int, first_ms: int, slices: Slices) -> Horizon | None:
        """Return the horizon, None where too few labels have come to tell.

        Parameters
        ----------
        first_ms
            When the model's first cohort began. A day of cohorts must be old enough, since labels may come in
            one batch a day.
        slices
            The cohorts since a time for which an age bin is complete.
        """
        oldest = min(ripe_bin(now_ms - first_ms - DAY_MS), LONGEST + THRICE)
        if oldest < 0:
            return self.known
        upto = oldest if self.known is None else min(self.known.bin + THRICE, oldest)
        found: Horizon | None = None
        while True:
            needed = horizon_bin(slices(upto, since_ms(now_ms, upto)))
            if needed is None:
                if upto == oldest:
                    break
                upto = oldest
                continue
            cut = upto == LONGEST + THRICE and needed > LONGEST
            found = Horizon(min(needed, LONGEST), cut or needed + THRICE <= upto, cut)
            if found.sure or upto == oldest:
                break
            upto = min(needed + THRICE, oldest)
        self.known = self._next(found, slices)
        return self.known

    def _next(self, found: Horizon | None, slices: Slices) -> Horizon | None:
        known = self.known
        if found is None:
            return known
        if known is None or not known.sure:
            return replace(found, sure=found.sure and not _left_behind(found.bin, slices))
        if found.bin > known.bin:
            return replace(found, sure=True)
        # A bin is a fifth: chance alone moves the estimate to its neighbour and back.
        return found if found.sure and found.bin <= known.bin - 2 else known


def since_ms(now_ms: int, upto: int) -> int:
    """Return where the two weeks of cohorts begin that are old enough for age bin ``upto``."""
    return now_ms - round(age_edge_ms(upto)) - HISTORY_MS


def horizon_bin(cohorts: Slice) -> int | None:
    """Return the age bin by which the slowest cohorts of the slowest outcome have nearly all their labels.

    None where there are fewer than ``LEAST_LABELS`` labels in all.
    """
    outcomes = list(cohorts.outcomes().values())
    together: IntArray = np.sum(outcomes, axis=0) if outcomes else np.zeros((1, 1), np.int64)
    judged = [labels for labels in (together, *outcomes) if labels.sum() >= LEAST_LABELS]
    return max(map(_slow_bin, judged), default=None)


def _slow_bin(labels: IntArray) -> int:
    groups = grouped(labels, GROUP_LABELS)
    reached = np.cumsum(groups, axis=1) >= SHARE * groups.sum(axis=1, keepdims=True)
    return int(np.quantile(reached.argmax(axis=1), SLOW_COHORTS, method="higher"))


def grouped(labels: IntArray, least: int) -> IntArray:
    """Return consecutive rows added until each has at least ``least`` labels; what is left joins the last.

    Examples
    --------
    >>> grouped(np.array([[1, 1], [0, 3], [2, 0], [1, 0]]), 3)
    array([[1, 4],
           [3, 0]])
    """
    total = labels.sum(axis=1)
    ends, seen = [], 0
    for i, n in enumerate(total.tolist(), 1):
        seen += n
        if seen >= least:
            ends.append(i)
            seen = 0
    starts = [0, *ends[:-1]]
    groups: IntArray = np.add.reduceat(labels, starts, axis=0)
    return groups


def _left_behind(horizon: int, slices: Slices) -> bool:
    """Return whether of the cohorts just old enough for a horizon many have hardly any label.

    So it is when labels come once a week: Saturday's are there on Sunday, Monday's are not.
    """
    old = slices(horizon + THRICE, 0)
    answered, labelled = old.answered(), old.labelled()
    coverage = labelled.sum() / max(answered.sum(), 1)
    recent = slices(horizon, old.cohorts[-1].start_ms + HOUR_MS if old.cohorts else 0)
    n, came = recent.answered(), recent.labelled()
    late = came < coverage * n / 2
    return bool(n[late].sum() > 0.1 * n.sum())


@dataclass(frozen=True, slots=True)
class Short:
    """By how much a configured horizon is too short, in the outcome and the cohorts that show it."""

    late_share: float  # of the labels
    labelled: int
    since_ms: int
    until_ms: int


def too_short(horizon_ms: int, width_ms: int, now_ms: int, slices: Slices) -> Short | None:
    """Return how a configured horizon ends before most labels have come, None where it does not.

    It does, where in more than a tenth of the cohorts less than 80 % of an outcome's labels were there at the
    horizon. Cohorts count as soon as they are a little older than it: what has come late has come late.
    """
    # A pane counts a horizon after its end: its first answers are older by a pane then.
    at = age_bin(horizon_ms + width_ms)
    for upto in (at + 1, at + 3, at + THRICE):
        if upto >= BINS:
            break
        cohorts = slices(upto, since_ms(now_ms, upto))
        for labels in cohorts.outcomes().values():
            if labels.sum() < LEAST_LABELS:
                continue
            groups = grouped(labels, GROUP_LABELS)
            in_time = groups[:, : at + 1].sum(axis=1)
            short = int((in_time < ENOUGH_BY_THEN * groups.sum(axis=1)).sum())
            if short >= LEAST_SHORT and short > SHORT_COHORTS * len(groups):
                n = int(groups.sum())
                first_ms, last_ms = cohorts.cohorts[0].start_ms, cohorts.cohorts[-1].start_ms
                return Short(1 - int(in_time.sum()) / n, n, first_ms, last_ms + HOUR_MS)
    return None
