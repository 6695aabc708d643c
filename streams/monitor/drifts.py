"""The signals of every model version: closed and mature panes in, drift events and their alerts out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from schemas.findings import AlertEvent, DriftEvent, Task
from schemas.panes import PaneSums
from schemas.settings import DAY_MS, MonitorSettings
from schemas.signals import SignalPane
from streams.alerts.drifts import DriftAlert
from streams.drift import Budget, Frontier, SignalWatch
from streams.monitor.maintenance import Maintenance
from streams.monitor.provable import Provable
from streams.monitor.segment_counts import SegmentCounts
from streams.monitor.signals import PaneSignals, error_pane
from streams.monitor.store import PaneStore, Series

MOST_EXAMPLES = 10


@dataclass(frozen=True, slots=True)
class _Due:
    """Panes of signals whose evidence is complete at the same time."""

    complete_ms: int
    panes: Sequence[SignalPane]
    horizon_ms: int


class VersionDrift:
    """Feeds one version's panes to its detectors, each once; the past is never fed again."""

    def __init__(
        self,
        model: str,
        model_version: str,
        settings: MonitorSettings,
        budget: Budget,
        segments: SegmentCounts,
    ) -> None:
        self._model, self._version = model, model_version
        self._settings, self._budget, self._segments = settings, budget, segments
        self._watch = SignalWatch(model, model_version, "binary", settings, budget)
        self._signals = PaneSignals()
        self._alert = DriftAlert(model, model_version, pane_width_ms=settings.pane_width_ms)
        self._provable = Provable(budget)
        self._mature_fed_ms: int | None = None
        self._closed_fed_ms: int | None = None

    def advance(
        self,
        store: PaneStore,
        task: Task,
        frontier: Frontier,
        maintenance: Maintenance,
        features: Sequence[SignalPane] = (),
    ) -> tuple[list[DriftEvent], list[AlertEvent]]:
        """Return what the panes that have closed or matured since the last time add to the evidence.

        Parameters
        ----------
        features
            Signals of features over panes that have closed since, in order of event time.
        """
        drifts: list[DriftEvent] = []
        series = store.series[self._model, self._version, ""]
        alerts = self._revised(series, task, frontier.now_ms)
        # A provisional task may turn out otherwise.
        self._watch.retask(task)
        due = [
            *self._closed(store, task, frontier.closed_until_ms),
            *self._mature(store, task, frontier),
            *(_Due(pane.end_ms, (pane,), 0) for pane in features),
        ]
        for one in sorted(due, key=lambda part: part.complete_ms):
            for pane in one.panes:
                self._alert.fed(pane)
                self._provable.fed(pane, task)
            for found in self._watch.feed(one.panes, one.horizon_ms):
                drift = self._with_evidence(found.drift, series, one)
                drifts.append(drift)
                end_ms = one.complete_ms - one.horizon_ms
                start_ms = end_ms - self._settings.pane_width_ms
                withheld = maintenance.covers(self._model, self._version, start_ms, end_ms)
                self._alert.drifted(drift, found.at_least, withheld=withheld)
            alerts += self._alert.tell(one.complete_ms)
        return drifts, alerts

    def provable_change(self, task: Task) -> float | None:
        """Return the smallest rise of the error rate that a day proves, None where there is none."""
        return self._provable.change(task)

    def give_up(self, now_ms: int) -> list[AlertEvent]:
        """Resolve what fires for a version that is no longer watched."""
        self._budget.leave(self._version)
        return self._alert.give_up(now_ms)

    def _closed(self, store: PaneStore, task: Task, until_ms: int) -> Iterator[_Due]:
        series = store.series[self._model, self._version, ""]
        since_ms = series.first_ms if self._closed_fed_ms is None else self._closed_fed_ms
        self._closed_fed_ms = max(since_ms, until_ms)
        for start_ms in series.between(since_ms, until_ms):
            end_ms = start_ms + self._settings.pane_width_ms
            panes = self._signals.without_labels(start_ms, end_ms, self._scopes(store, start_ms), task)
            yield _Due(end_ms, panes, 0)

    def _mature(self, store: PaneStore, task: Task, frontier: Frontier) -> Iterator[_Due]:
        series = store.series[self._model, self._version, ""]
        horizon_ms, until_ms = frontier.horizon_ms(self._model), frontier.mature_until_ms(self._model)
        since_ms = series.first_ms if self._mature_fed_ms is None else self._mature_fed_ms
        if until_ms <= since_ms:
            return
        self._mature_fed_ms = until_ms
        for start_ms in series.between(since_ms, until_ms):
            end_ms = start_ms + self._settings.pane_width_ms
            if not frontier.mature(self._model, start_ms, end_ms):
                continue  # skipped: its labels never came
            panes = self._signals.of_labels(start_ms, end_ms, self._scopes(store, start_ms), task)
            yield _Due(end_ms + horizon_ms, panes, horizon_ms)

    def _scopes(self, store: PaneStore, start_ms: int) -> Mapping[str, PaneSums]:
        scopes = {}
        for segment in ("", *self._settings.segments):
            series = store.series.get((self._model, self._version, segment))
            if series is not None and start_ms in series.panes:
                scopes[segment] = series.panes[start_ms].sums()
        return scopes

    def _with_evidence(self, drift: DriftEvent, series: Series, due: _Due) -> DriftEvent:
        """Add who carries the change, and predictions to look at."""
        end_ms = max(due.complete_ms - due.horizon_ms, drift.change_end_ms)
        examples: list[str] = []
        for start_ms in series.between(drift.change_end_ms, end_ms):
            examples += series.panes[start_ms].sums().examples
            if len(examples) >= MOST_EXAMPLES:
                break
        shares: dict[str, float] = {}
        if drift.signal == "error" and not drift.segment:
            shares = self._segments.shares(
                self._model,
                self._version,
                (drift.change_start_ms - DAY_MS, drift.change_start_ms),
                (drift.change_end_ms, end_ms),
                regression=self._watch.task == "regression",
            )
        return replace(drift, segments=shares, examples=tuple(examples[:MOST_EXAMPLES]))

    def _revised(self, series: Series, task: Task, now_ms: int) -> list[AlertEvent]:
        fed_until_ms = self._mature_fed_ms or 0
        panes = [
            error_pane(start, start + self._settings.pane_width_ms, series.panes[start].sums(), task)
            for start in sorted(series.changed)
            if start < fed_until_ms and start in series.panes
        ]
        return self._alert.revised(panes, now_ms)
