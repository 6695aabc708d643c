"""Mature panes go to the detectors in order, once; those that agree on a change make one drift event."""

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.findings import DriftEvent, Task
from schemas.panes import PaneSums
from schemas.settings import DetectorSettings
from streams.drift.detectors import Detector, make_detector
from streams.drift.errors import AbsoluteErrors, Fed, WrongAnswers
from streams.drift.history import History

# After a drift a new baseline stands when this much has come: detectors are fed, but what they say is not
# told. Enough for a mean error of 10 % to be known to one point.
SETTLING_VALUES = 1000
SETTLING_PANES = 30

# Where the configuration leaves a parameter open. River's defaults for Page-Hinkley (delta 0.005, threshold
# 50, alpha 0.9999) are made for short streams: the fading by alpha stops the sum from sinking at delta / (1 -
# alpha), and from there noise alone climbs any threshold sooner or later. So alpha is 1, which makes it a
# two-sided CUSUM, whose run length is exp(2 delta (threshold + 1.17 sd) / var) var / (4 delta**2): for errors
# above 2e8 values at any rate (2.6 years of 200 a minute), for normal scores, one a pane, 7e5 (17 months).
# The price is that Page-Hinkley leaves steps below 5 points to ADWIN.
RATE_DEFAULTS = {"PageHinkley": {"delta": 0.05, "threshold": 40.0, "alpha": 1.0}}
SCORE_DEFAULTS = {"PageHinkley": {"delta": 0.1, "threshold": 5.0, "alpha": 1.0}}


@dataclass(frozen=True, slots=True)
class Found:
    """A drift event, and how large the change is at least."""

    drift: DriftEvent
    at_least: float


class ErrorSignal:
    """The error of one model version: what its detectors have been fed, and when they may speak."""

    def __init__(
        self,
        model: str,
        model_version: str,
        task: Task,
        horizon_ms: int,
        settings: Sequence[DetectorSettings],
    ) -> None:
        self._model, self._version = model, model_version
        self.regression = task == "regression"
        self._horizon_ms = horizon_ms
        self._settings = settings
        self._history = History()
        self._errors: WrongAnswers | AbsoluteErrors
        self._detectors: list[Detector]
        self._begin()
        self._settled = True  # the first baseline is each detector's own affair

    def feed(self, start_ms: int, end_ms: int, sums: PaneSums) -> tuple[Fed | None, Found | None]:
        """Take in the next mature pane.

        Returns
        -------
        tuple
            What detectors were fed of it (None while a block of thin panes is gathered), and the change that
            it completes the evidence of.
        """
        fed = self._errors.feed(start_ms, end_ms, sums)
        if fed is None:
            return None, None
        self._history.append(fed)
        self._panes += 1
        self._values += len(fed.values)
        for value in fed.values:
            # Each takes the value, also after another has fired.
            firing = [detector for detector in self._detectors if detector.update(value)]
            if firing and self._settled:
                return fed, self._found(firing[0], fed)
        # The reference of a regression is its settling: no detector is fed before it stands.
        if self.regression or (self._panes >= SETTLING_PANES and self._values >= SETTLING_VALUES):
            self._settled = True
        return fed, None

    def _found(self, detector: Detector, fed: Fed) -> Found:
        placed = self._history.place()
        self._history.forget(placed.start_ms)
        self._begin()
        drift = DriftEvent(
            model=self._model,
            model_version=self._version,
            segment="",
            feature="",
            signal="error",
            detector=detector.name,
            detected_at_ms=fed.end_ms + self._horizon_ms,
            change_start_ms=placed.start_ms,
            change_end_ms=placed.end_ms,
            before=placed.before,
            after=placed.after,
        )
        return Found(drift, placed.at_least)

    def _begin(self) -> None:
        defaults = SCORE_DEFAULTS if self.regression else RATE_DEFAULTS
        detectors = [
            make_detector(s.name, {**defaults.get(s.name, {}), **s.parameters}) for s in self._settings
        ]
        # A score is no yes or no: detectors of binary values sit regressions out.
        self._detectors = [d for d in detectors if not (self.regression and d.only_binary)]
        self._errors = AbsoluteErrors() if self.regression else WrongAnswers()
        self._settled = False
        self._panes = self._values = 0
