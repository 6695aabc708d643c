"""The error signal of every model version: mature panes in, drift events and their alerts out."""

from schemas.findings import AlertEvent, DriftEvent, Task
from schemas.settings import MonitorSettings
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
        self._alert = DriftAlert(
            model, model_version, "error", pane_width_ms=settings.pane_width_ms, horizon_ms=horizon_ms
        )
        self._fed_until_ms: int | None = None

    def advance(
        self, series: Series, task: Task, frontier: Frontier, maintenance: Maintenance
    ) -> tuple[list[DriftEvent], list[AlertEvent]]:
        drifts: list[DriftEvent] = []
        alerts: list[AlertEvent] = []
        until_ms = frontier.mature_until_ms(self._model)
        since_ms = series.first_ms if self._fed_until_ms is None else self._fed_until_ms
        if until_ms <= since_ms:
            return drifts, alerts
        self._fed_until_ms = until_ms
        signal = self._signal_for(task)
        for start_ms in series.between(since_ms, until_ms):
            end_ms = start_ms + self._settings.pane_width_ms
            fed, found = signal.feed(start_ms, end_ms, series.panes[start_ms].sums())
            if fed is not None:
                alerts += self._alert.fed(fed.start_ms, fed.end_ms, fed.total, fed.squares, fed.n)
            if found is not None:
                drifts.append(found.drift)
                withheld = maintenance.covers(self._model, self._version, start_ms, end_ms)
                alerts += self._alert.drifted(found.drift, found.at_least, withheld=withheld)
        return drifts, alerts

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
