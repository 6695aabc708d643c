"""A drift becomes an alert, which ends when the error is back, turns round, or has become the new normal."""

from collections import deque
from dataclasses import replace
from math import fsum

from schemas.findings import AlertEvent, DriftEvent, Scalar
from streams.alerts.life_cycle import LifeCycle, Occasion, Subject

BACK_PANES = 60  # an hour of panes of a minute, over which the error is held against both levels
BACK_PAIRS = 100
BASELINE_PANES = 1440  # a day: after so many panes without another change the new level is the normal one
BACK_SHARE = 0.25  # of the change
KNOWN_TO = 12.0  # parts of the change: three standard errors are the quarter above


class DriftAlert:
    """The alerts over one signal of one model version: worse is a page, better is for information.

    Resolved for one of three reasons, named in the evidence. ``recovered``: over the newest mature panes
    after the change, an hour of them or as many as it takes to know the error to a twelfth of the change, it
    is back within a quarter of the change. ``reversed``: the detectors found a change that leads back more
    than half of the way. ``new baseline``: a day of panes without another change.

    The change is taken for as large as it is at least, two standard errors less than it looks: it looks
    larger than it is when it is found, and must not pass for a recovery when it turns out smaller. Of a
    change half as large as that, the quarter is still three standard errors away.
    """

    def __init__(
        self, model: str, model_version: str, signal: str, *, pane_width_ms: int, horizon_ms: int
    ) -> None:
        subject = Subject(
            alertname="ErrorDrift",
            kind="drift",
            rule="drift",
            severity="page",
            model=model,
            model_version=model_version,
            metric=signal,
        )
        self._worse = LifeCycle(subject)
        self._better = LifeCycle(replace(subject, alertname="ErrorImproved", severity="info"))
        self._who = f"{model} {model_version}".strip()
        self._back_ms, self._horizon_ms = BACK_PANES * pane_width_ms, horizon_ms
        self._baseline_ms = BASELINE_PANES * pane_width_ms
        self._drift: DriftEvent | None = None
        self._change = 0.0  # how large it is at least
        self._newest: deque[tuple[int, int, float, float, int]] = deque()

    def drifted(self, drift: DriftEvent, at_least: float, *, withheld: bool) -> list[AlertEvent]:
        """Take in a drift event and how large the change is at least, in the unit of the error.

        ``withheld`` during maintenance, when nothing begins to fire.
        """
        known, worse = self._drift, drift.after > drift.before
        self._newest.clear()
        events: list[AlertEvent] = []
        if known is not None:
            is_back = abs(drift.after - known.before) < abs(drift.after - known.after)
            if worse == (known.after > known.before) or not is_back:
                # It fires already; what counts as back is still the level before the first change.
                self._drift = replace(drift, before=known.before)
                self._change = max(self._change, at_least)
                return []
            occasion = self._occasion(drift, {"resolution": "reversed"})
            events = (self._better if worse else self._worse).resolve(occasion)
            self._drift = None
            if not worse:
                return events
        if not withheld:
            events += (self._worse if worse else self._better).fire(self._occasion(drift, {}))
            self._drift, self._change = drift, at_least
        return events

    def fed(self, start_ms: int, end_ms: int, total: float, squares: float, n: int) -> list[AlertEvent]:
        """Take in the next stretch of mature panes: its errors, their squares and its labelled pairs."""
        drift = self._drift
        if drift is None or start_ms < drift.change_end_ms:
            return []
        self._newest.append((start_ms, end_ms, total, squares, n))
        mean, variance, pairs = self._level()
        enough = max(BACK_PAIRS, variance * (KNOWN_TO / self._change) ** 2)
        while self._newest[0][1] <= end_ms - self._back_ms and pairs - self._newest[0][4] >= enough:
            self._newest.popleft()
            mean, variance, pairs = self._level()
        known = pairs >= enough and end_ms - self._newest[0][0] >= self._back_ms
        away = (mean - drift.before) * (1.0 if drift.after > drift.before else -1.0)
        if known and away <= self._change * BACK_SHARE:
            reason = "recovered"
        elif end_ms - drift.change_end_ms >= self._baseline_ms:
            reason = "new baseline"
        else:
            return []
        life = self._worse if drift.after > drift.before else self._better
        self._drift = None
        first_ms = self._newest[0][0]
        self._newest.clear()
        text = (
            f"{self._who}: error {mean:.4g}, {reason} (was {drift.before:.4g}, drifted to {drift.after:.4g})"
        )
        evidence: dict[str, Scalar] = {
            "before": drift.before,
            "after": drift.after,
            "labelled": pairs,
            "resolution": reason,
        }
        return life.resolve(Occasion(first_ms, end_ms, end_ms + self._horizon_ms, text, mean, evidence))

    def give_up(self, now_ms: int) -> list[AlertEvent]:
        """Resolve what fires for a version that is no longer watched."""
        drift, self._drift = self._drift, None
        if drift is None:
            return []
        life = self._worse if drift.after > drift.before else self._better
        text = f"{self._who}: no traffic any more, error cannot be judged"
        return life.resolve(
            Occasion(drift.change_start_ms, now_ms, now_ms, text, None, {"resolution": "no traffic"})
        )

    def _level(self) -> tuple[float, float, int]:
        pairs = sum(part[4] for part in self._newest)
        mean = fsum(part[2] for part in self._newest) / pairs
        return mean, max(0.0, fsum(part[3] for part in self._newest) / pairs - mean * mean), pairs

    def _occasion(self, drift: DriftEvent, more: dict[str, Scalar]) -> Occasion:
        verb = "rose" if drift.after > drift.before else "fell"
        return Occasion(
            window_start_ms=drift.change_start_ms,
            window_end_ms=drift.detected_at_ms - self._horizon_ms,
            timestamp_ms=drift.detected_at_ms,
            summary=f"{self._who}: error {verb} from {drift.before:.4g} to {drift.after:.4g}",
            value=drift.after,
            evidence={
                "before": drift.before,
                "after": drift.after,
                "detector": drift.detector,
                "change_start": drift.change_start_ms,
                "change_end": drift.change_end_ms,
                **more,
            },
        )
