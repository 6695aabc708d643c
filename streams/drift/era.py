"""A signal since its newest baseline began: two weeks of detectors and windows, then its usual week."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from zlib import crc32

from schemas.coded import FloatArray
from schemas.settings import DAY_MS, HOUR_MS, DetectorSettings
from schemas.signals import SignalKey, SignalPane
from streams.drift.baseline import Baseline, fit
from streams.drift.budget import Budget
from streams.drift.detectors import Detector, make_detector
from streams.drift.errors import AbsoluteErrors, Fed, MeanRanks, WrongAnswers
from streams.drift.history import Luck
from streams.drift.kernels import climb
from streams.drift.record import Record, Unit, Units
from streams.drift.warm_up import WARM_UP_DAYS, WarmUp

REFIT_DAYS = 7  # a baseline stands for a week: what changes slowly must not creep into it day by day
SUSPECT_MS = DAY_MS  # how long a detector's word waits for the windows to confirm it
CUSUM_SHARE = 0.8  # of the level; the rest is for the detectors beside it

# Where the configuration leaves a parameter open. River's defaults for Page-Hinkley (delta 0.005, threshold
# 50, alpha 0.9999) are made for short streams: the fading by alpha stops the sum from sinking at delta / (1 -
# alpha), and from there noise alone climbs any threshold sooner or later. So alpha is 1, which makes it a
# two-sided CUSUM, whose run length is exp(2 delta (threshold + 1.17 sd) / var) var / (4 delta**2): for errors
# above 2e8 values at any rate (2.6 years of 200 a minute), for normal scores, one a pane, 7e5 (17 months).
# The price is that Page-Hinkley leaves steps below 5 points to ADWIN.
RATE_DEFAULTS = {"PageHinkley": {"delta": 0.05, "threshold": 40.0, "alpha": 1.0}}
SCORE_DEFAULTS = {"PageHinkley": {"delta": 0.1, "threshold": 5.0, "alpha": 1.0}}


@dataclass(frozen=True, slots=True)
class Watched:
    """What a channel is of, and what it goes by."""

    model: str
    model_version: str
    key: SignalKey
    regression: bool  # whether its values are absolute errors in the user's unit
    smallest_change: float
    detectors: Sequence[DetectorSettings]
    budget: Budget


class Era:
    """Takes the panes of one signal until it has changed; then its time is over."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        signal = watched.key.signal
        self._source: WrongAnswers | AbsoluteErrors | MeanRanks = (
            MeanRanks() if signal != "error" else AbsoluteErrors() if watched.regression else WrongAnswers()
        )
        self._units, self._record = Units(), Record()
        self._warm_up = WarmUp(watched.budget, from_the_start=signal == "error")
        self._detectors = self._made(ranks=signal != "error" or watched.regression)
        self._proposed: tuple[str, int] | None = None  # by which detector, until when
        self._baseline: Baseline | None = None
        self._fitted_day: int | None = None
        self._up = self._down = 0.0
        self._hour = (-1, 0, 0.0)

    def feed(self, pane: SignalPane) -> tuple[Fed | None, str | None, int]:
        """Take in the next pane.

        Returns
        -------
        tuple
            What detectors were fed of it (None while a block of thin panes is gathered), the name of the
            detector whose evidence of a change it completes, and until when that evidence reaches.
        """
        fed = None if pane.n <= 0 else self._source.feed(pane)
        if fed is None:
            return None, None, pane.end_ms
        if self._baseline is None:
            self._propose(fed.values, fed.end_ms)
        for unit in self._gather(pane, fed):
            name = self._speaks(unit)
            if name is not None:
                return fed, name, max(unit.end_ms, fed.end_ms)
        return fed, None, fed.end_ms

    def known(self) -> tuple[FloatArray | None, Luck | None]:
        """Return what is expected of the hours by now, and how values spread by chance."""
        if self._watched.regression:  # known of scores, while changes are told in the user's unit
            return None, None
        if self._baseline is not None:
            return self._baseline.levels, Luck(self._baseline.within, self._baseline.shared)
        spread = self._warm_up.spread
        return self._warm_up.expected(), Luck(spread.within, spread.shown)

    def _gather(self, pane: SignalPane, fed: Fed) -> list[Unit]:
        if not self._watched.regression:
            return self._units.add(pane.start_ms, pane.end_ms, pane.n, pane.total, pane.squares)
        # A block counts where it ends: its score is one value.
        values = fed.values
        start_ms = max(fed.start_ms, fed.end_ms - (pane.end_ms - pane.start_ms))
        return self._units.add(
            start_ms, fed.end_ms, len(values), sum(values), sum(value * value for value in values)
        )

    def _propose(self, values: Sequence[float], end_ms: int) -> None:
        for value in values:
            # Each takes the value, also after another has fired.
            firing = [detector.name for detector in self._detectors if detector.update(value)]
            if firing:
                self._proposed = (firing[0], end_ms + SUSPECT_MS)

    def _speaks(self, unit: Unit) -> str | None:
        """Take in a unit and return the name of the detector that says that the signal has changed."""
        self._refit(unit)
        self._record.add(unit)
        if self._baseline is None:
            beyond = self._warm_up.update(unit)
            if beyond and self._proposed is not None and unit.start_ms < self._proposed[1]:
                return self._proposed[0]
            return None
        residual = self._baseline.residual(unit)
        if isnan(residual):  # an hour that was never seen
            return None
        variance = self._baseline.variance(unit.n)
        smallest = self._watched.smallest_change
        self._up, self._down = climb(self._up, self._down, residual, variance, smallest)
        if max(self._up, self._down) > self._baseline.threshold:
            return "CUSUM"
        return self._beside(unit, residual)

    def _beside(self, unit: Unit, residual: float) -> str | None:
        # One value an hour: quarters of an hour share its luck, and a detector would take that for a change.
        assert self._baseline is not None  # noqa: S101
        hour, n, summed = self._hour
        now = unit.start_ms // HOUR_MS
        if hour != now:
            self._hour = (now, unit.n, residual * unit.n)
            if n:
                rank = self._baseline.rank(summed / n)
                for detector in self._detectors:
                    if detector.update(rank):
                        return detector.name
        else:
            self._hour = (hour, n + unit.n, summed + residual * unit.n)
        return None

    def _refit(self, unit: Unit) -> None:
        day = unit.start_ms // DAY_MS
        if self._fitted_day is None:
            self._fitted_day = day + WARM_UP_DAYS - REFIT_DAYS
        if day < self._fitted_day + REFIT_DAYS:
            return
        known = self._baseline
        # A change that may have begun is not made the usual before it is decided.
        if known is not None and max(self._up, self._down) > known.threshold / 2:
            return
        self._fitted_day = day
        watched = self._watched
        days, grids = self._record.grids()
        seed = crc32(repr((watched.model, watched.model_version, watched.key, day)).encode())
        level = watched.budget.level * CUSUM_SHARE
        fitted = fit(days, grids, level, watched.smallest_change, seed)
        if fitted is not None:
            self._baseline = fitted
            if known is None:
                self._detectors = self._made(ranks=True)

    def _made(self, *, ranks: bool) -> list[Detector]:
        defaults = SCORE_DEFAULTS if ranks else RATE_DEFAULTS
        made = [
            make_detector(s.name, {**defaults.get(s.name, {}), **s.parameters})
            for s in self._watched.detectors
        ]
        # A rank is no yes or no: detectors of binary values sit it out.
        return [detector for detector in made if not (ranks and detector.only_binary)]
