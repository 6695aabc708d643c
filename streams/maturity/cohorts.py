"""Answers by the hour in which they were made, and the ages at which their labels came."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import floor, log2

import numpy as np

from schemas.panes import AGE_FLOOR_MS, PaneSums, add_bins, age_edge_ms
from schemas.records import IntArray
from schemas.settings import HOUR_MS

BINS = 96  # of ages: the last one ends after 163 days, and holds what is older too
Outcome = tuple[str, bool]  # predicted class ('' of a regression), whether the answer was right


@dataclass(frozen=True, slots=True)
class Cohort:
    """What was answered in one hour, and what of it is labelled by age."""

    start_ms: int
    answered: dict[str, int] = field(default_factory=dict)  # by predicted class
    ages: dict[Outcome, IntArray] = field(default_factory=dict)  # labelled pairs, shape (BINS,)
    labelled: int = 0
    confidence_n: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    confidence_hits: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def n(self) -> int:
        return sum(self.answered.values())


def cohort_of(start_ms: int, panes: Iterable[PaneSums]) -> Cohort:
    """Return the cohort that panes add up to."""
    answered: dict[str, int] = {}
    ages: dict[Outcome, IntArray] = {}
    labelled = 0
    confidence_n, confidence_hits = [], []
    for sums in panes:
        n = sums.counts["predictions"] - sums.counts["failures"]
        predicted = sums.maps["predicted"]
        for name, count in predicted.items():
            answered[name] = answered.get(name, 0) + count
        rest = n - sum(predicted.values())
        if rest > 0:
            answered[""] = answered.get("", 0) + rest
        labelled += sums.counts["labelled"]
        for hit, name in ((True, "age_hits"), (False, "age_misses")):
            for predicted_class, bins in sums.class_bins[name].items():
                known = ages.setdefault((predicted_class, hit), np.zeros(BINS, np.int64))
                known[: len(bins)] += bins[:BINS]
                known[-1] += bins[BINS:].sum()
        confidence_n.append(sums.histograms["confidence_n"])
        confidence_hits.append(sums.histograms["confidence_hits"])
    return Cohort(start_ms, answered, ages, labelled, add_bins(confidence_n), add_bins(confidence_hits))


def ripe_bin(age_ms: float) -> int:
    """Return the last age bin that has ended by an age: labels of that bin have all come; -1 if none has.

    Examples
    --------
    >>> [ripe_bin(s * 1000) for s in (0, 1, 3600, 4096)]
    [-1, 0, 47, 48]
    """
    if age_ms < AGE_FLOOR_MS:
        return -1
    return min(floor(4 * log2(age_ms / AGE_FLOOR_MS) + 1e-9), BINS - 1)


@dataclass(frozen=True, slots=True)
class Slice:
    """Cohorts in order, of each the labels that came up to the end of age bin ``upto``."""

    cohorts: tuple[Cohort, ...]
    upto: int

    def outcomes(self) -> dict[Outcome, IntArray]:
        """Return labels by age of each outcome, shape ``(n_cohorts, upto + 1)``."""
        found: dict[Outcome, IntArray] = {}
        for i, cohort in enumerate(self.cohorts):
            for outcome, bins in cohort.ages.items():
                if outcome not in found:
                    found[outcome] = np.zeros((len(self.cohorts), self.upto + 1), np.int64)
                found[outcome][i] += bins[: self.upto + 1]
        return dict(sorted(found.items()))

    def labelled(self) -> IntArray:
        """Return how many labels came of each cohort, those whose age nobody knows included."""
        counts = []
        for cohort in self.cohorts:
            later = sum(int(bins[self.upto + 1 :].sum()) for bins in cohort.ages.values())
            counts.append(cohort.labelled - later)
        return np.array(counts, np.int64)

    def answered(self) -> IntArray:
        return np.array([cohort.n for cohort in self.cohorts], np.int64)


@dataclass(slots=True)
class _Kept:
    cohort: Cohort
    ripe: int  # the age bin that was ripe when it was read
    stale: bool = False


class Cohorts:
    """The cohorts of one model version, read again only when an older age is asked of them."""

    def __init__(self) -> None:
        self._kept: dict[int, _Kept] = {}

    def touch(self, starts_ms: Iterable[int]) -> None:
        """Take note that panes have changed."""
        for hour_ms in {start // HOUR_MS * HOUR_MS for start in starts_ms}:
            known = self._kept.get(hour_ms)
            if known is None:
                self._kept[hour_ms] = _Kept(Cohort(hour_ms), -2, stale=True)
            else:
                known.stale = True

    @property
    def first_ms(self) -> int | None:
        return min(self._kept, default=None)

    def slice(
        self,
        now_ms: int,
        upto: int,
        since_ms: int,
        read: Callable[[int], Cohort | None],
        without: Callable[[int], bool] = lambda _: False,
    ) -> Slice:
        """Return the cohorts since a time that are old enough for age bin ``upto`` to be complete.

        ``read`` gives an hour as its panes stand now, None when they are gone; ``without`` says which hours
        are left out.
        """
        until_ms = now_ms - age_edge_ms(upto) - HOUR_MS
        hours = sorted(hour for hour in self._kept if since_ms <= hour <= until_ms and not without(hour))
        return Slice(tuple(self._upto(hour_ms, upto, now_ms, read) for hour_ms in hours), upto)

    def _upto(self, hour_ms: int, upto: int, now_ms: int, read: Callable[[int], Cohort | None]) -> Cohort:
        kept = self._kept[hour_ms]
        if kept.stale and kept.ripe < upto:
            cohort = read(hour_ms)
            if cohort is not None:
                kept.cohort, kept.stale = cohort, False
            kept.ripe = ripe_bin(now_ms - hour_ms - HOUR_MS)
        return kept.cohort

    def forget(self, before_ms: int) -> None:
        for hour_ms in [hour for hour in self._kept if hour < before_ms]:
            del self._kept[hour_ms]


def merged(slices: list[Slice]) -> Slice:
    """Return the cohorts of several versions as one, hour by hour; all have the same ``upto``."""
    by_hour: dict[int, list[Cohort]] = {}
    for part in slices:
        for cohort in part.cohorts:
            by_hour.setdefault(cohort.start_ms, []).append(cohort)
    return Slice(tuple(_added(by_hour[hour]) for hour in sorted(by_hour)), slices[0].upto if slices else 0)


def _added(cohorts: list[Cohort]) -> Cohort:
    if len(cohorts) == 1:
        return cohorts[0]
    answered: dict[str, int] = {}
    ages: dict[Outcome, IntArray] = {}
    for cohort in cohorts:
        for name, n in cohort.answered.items():
            answered[name] = answered.get(name, 0) + n
        for outcome, bins in cohort.ages.items():
            ages[outcome] = ages[outcome] + bins if outcome in ages else bins
    return Cohort(
        cohorts[0].start_ms,
        answered,
        ages,
        sum(cohort.labelled for cohort in cohorts),
        add_bins([cohort.confidence_n for cohort in cohorts]),
        add_bins([cohort.confidence_hits for cohort in cohorts]),
    )
