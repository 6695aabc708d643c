"""How one version's answers are labelled: its cohorts, read out of the panes, and what was told of it."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from schemas.findings import Calibration, DelayCurve
from schemas.panes import PaneSums, add_bins, age_bin
from schemas.settings import HOUR_MS
from streams.maturity import Cohorts, Slice
from streams.maturity.cohorts import Cohort, Outcome, cohort_of
from streams.maturity.curves import moved
from streams.monitor.store import Series
from streams.nowcast import calibrate

STEADY_ANSWERS = 20  # of an hour whose coverage counts
RIGHT_MOVED = 0.005  # of a calibration, that is worth telling


class VersionLabels:
    """The cohorts of one version, and what was told of it."""

    def __init__(self) -> None:
        self.cohorts = Cohorts()
        self.coverage: float | None = None
        self.calibration: Calibration | None = None
        self._series: Series | None = None
        self._floor_ms = 0
        self._told: dict[Outcome, DelayCurve] = {}

    def look(self, series: Series, floor_ms: int) -> None:
        """Take note of what has changed; panes that start before ``floor_ms`` are gone."""
        self._series, self._floor_ms = series, floor_ms
        self.cohorts.touch(series.changed)

    def read(self, hour_ms: int) -> Cohort | None:
        """Return an hour as its panes stand, None where some of them are gone."""
        series = self._series
        if series is None or hour_ms < self._floor_ms:
            return None
        starts = series.between(hour_ms, hour_ms + HOUR_MS)
        return cohort_of(hour_ms, (pane_sums(series, start) for start in starts))

    def learn(self, old: Slice, model: str, version: str, now_ms: int) -> list[Calibration]:
        """Learn the usual coverage, and what confidence is worth, from cohorts that are old enough."""
        coverage = usual_coverage(old)
        self.coverage = self.coverage if coverage is None else coverage
        found = calibrate(
            add_bins([cohort.confidence_n for cohort in old.cohorts]),
            add_bins([cohort.confidence_hits for cohort in old.cohorts]),
        )
        if found is None:
            return []
        known, new = self.calibration, Calibration(model, version, *found, as_of_ms=now_ms)
        if known is not None:
            moves = max(abs(a - b) for a, b in zip(known.right, new.right, strict=True))
            if moves < RIGHT_MOVED and abs(new.n - known.n) < 0.1 * known.n:
                return []
        self.calibration = new
        return [new]

    def tell(self, version: str, curves: Mapping[Outcome, DelayCurve]) -> Iterator[DelayCurve]:
        """Yield the curves that differ from what was told last."""
        for outcome, curve in curves.items():
            if outcome not in self._told or moved(self._told[outcome], curve):
                self._told[outcome] = replace(curve, model_version=version)
                yield self._told[outcome]


def pane_sums(series: Series, start_ms: int) -> PaneSums:
    """Return what a pane adds up to; one that is folded stays so."""
    pane = series.panes[start_ms]
    if start_ms >= series.folded_ms or pane.merged is not None:
        return pane.sums()
    total = PaneSums()
    for partition in sorted(pane.rows):
        row = pane.rows[partition]
        if row.sums is None and row.source is not None:
            total.add(row.source.read(row.index))
        else:
            total.add(row.read())
    return total


def labelled_by(sums: PaneSums, age_ms: int) -> int:
    """Return how many answers of a pane had their label at an age.

    After a restart a pane is judged again at the age at which it was judged before, when its later labels are
    there already. Labels whose age nobody knows count.
    """
    last = age_bin(age_ms)
    later = sum(
        int(bins[last + 1 :].sum())
        for name in ("age_hits", "age_misses")
        for bins in sums.class_bins[name].values()
    )
    return sums.counts["labelled"] - later


def usual_coverage(cohorts: Slice) -> float | None:
    """Return the median share of answers that is labelled in the end, hours weighing what they answered.

    None where nothing was answered. The median, since an outage must not lower what is expected.
    """
    n, labelled = cohorts.answered(), cohorts.labelled()
    counted = n >= min(STEADY_ANSWERS, n.max(initial=0))
    n, labelled = n[counted & (n > 0)], labelled[counted & (n > 0)]
    if not len(n):
        return None
    shares = labelled / n
    order = np.argsort(shares, kind="stable")
    half = int(np.searchsorted(np.cumsum(n[order]), n.sum() / 2))
    return float(shares[order][half])
