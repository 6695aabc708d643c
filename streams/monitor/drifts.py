"""The error signal of every model version: mature panes in, drift events and their alerts out."""

from schemas.findings import AlertEvent, DriftEvent, Task
from schemas.panes import PaneSums
from schemas.settings import MonitorSettings
from schemas.signals import SignalKey, SignalPane
from streams.alerts.drifts import DriftAlert
from streams.drift import ErrorSignal, Frontier
from streams.monitor.maintenance import Maintenance
from streams.monitor.store import Series


class VersionDrift:
    """Feeds one version's mature panes to its detectors, each once; the past is never fed again."""

    def __init__(self, model: str, model_version: str, settings: MonitorSettings, horizon_ms: int) -> None:
        self._model, self._version = model, model_version
        self._settings, self._horizon_ms = settings, horizon_ms
        self._signal: ErrorSignal | None = None
        self._alert = DriftAlert(model, model_version, pane_width_ms=settings.pane_width_ms)
        self._fed_until_ms: int | None = None

    def advance(
        self, series: Series, task: Task, frontier: Frontier, maintenance: Maintenance
    ) -> tuple[list[DriftEvent], list[AlertEvent]]:
        drifts: list[DriftEvent] = []
        alerts: list[AlertEvent] = []
        until_ms = frontier.mature_until_ms(self._model)
        horizon_ms = frontier.horizon_ms(self._model)
        alerts += self._revised(series, task, frontier.now_ms)
        since_ms = series.first_ms if self._fed_until_ms is None else self._fed_until_ms
        if until_ms <= since_ms:
            return drifts, alerts
        self._fed_until_ms = until_ms
        signal = self._signal_for(task)
        for start_ms in series.between(since_ms, until_ms):
            end_ms = start_ms + self._settings.pane_width_ms
            if not frontier.mature(self._model, start_ms, end_ms):
                continue  # skipped: its labels never came
            sums = series.panes[start_ms].sums()
            _, found = signal.feed(start_ms, end_ms, sums)
            self._alert.fed(error_pane(start_ms, end_ms, sums, task))
            if found is not None:
                drifts.append(found.drift)
                withheld = maintenance.covers(self._model, self._version, start_ms, end_ms)
                self._alert.drifted(found.drift, found.at_least, withheld=withheld)
            alerts += self._alert.tell(end_ms + horizon_ms)
        return drifts, alerts

    def _revised(self, series: Series, task: Task, now_ms: int) -> list[AlertEvent]:
        fed_until_ms = self._fed_until_ms or 0
        panes = [
            error_pane(start, start + self._settings.pane_width_ms, series.panes[start].sums(), task)
            for start in sorted(series.changed)
            if start < fed_until_ms and start in series.panes
        ]
        return self._alert.revised(panes, now_ms)

    def give_up(self, now_ms: int) -> list[AlertEvent]:
        """Resolve what fires for a version that is no longer watched."""
        return self._alert.give_up(now_ms)

    def _signal_for(self, task: Task) -> ErrorSignal:
        # A provisional task may turn out otherwise; wrong answers and absolute errors have no common past.
        if self._signal is None or self._signal.regression != (task == "regression"):
            self._signal = ErrorSignal(
                self._model, self._version, task, self._horizon_ms, self._settings.detectors
            )
        return self._signal


def error_pane(start_ms: int, end_ms: int, sums: PaneSums, task: Task) -> SignalPane:
    """Return what the errors of a pane add up to: wrong answers, or absolute errors."""
    key = SignalKey("error")
    if task == "regression":
        n = sums.counts["reg_n"]
        return SignalPane(key, start_ms, end_ms, n, sums.total("abs_err_sum"), sums.total("sq_err_sum"))
    n = sums.counts["class_n"]
    wrong = float(n - sums.counts["hits"])
    return SignalPane(key, start_ms, end_ms, n, wrong, wrong)
