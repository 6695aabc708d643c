"""The monitor: absorbs pane rows, and says what they mean each time the partitions have come further."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import chain

import pyarrow as pa

from schemas.figures import Figures
from schemas.findings import (
    AlertEvent,
    Calibration,
    DelayCurve,
    DriftEvent,
    ModelState,
    Progress,
    StreamTotals,
    Task,
    Trouble,
)
from schemas.panes import PaneSums
from schemas.references import FeatureReference
from schemas.settings import DAY_MS, MonitorSettings
from schemas.signals import SignalPane
from streams.alerts.dead_letters import DeadLetters
from streams.alerts.kinds import with_runbook
from streams.alerts.rules import check
from streams.alerts.troubles import Troubles
from streams.drift import Budget, Frontier, check_detector
from streams.metrics import model_quality
from streams.monitor.drifts import VersionDrift
from streams.monitor.features import FeatureKey, Features
from streams.monitor.gauges import VersionFigures, newest_figures
from streams.monitor.happenings import Happenings
from streams.monitor.maintenance import Maintenance
from streams.monitor.maturing import Maturing
from streams.monitor.segment_counts import SegmentCounts
from streams.monitor.silences import Silences
from streams.monitor.states import VersionState
from streams.monitor.store import PaneStore
from streams.monitor.thresholds import Thresholds
from streams.nowcast import nowcast

KEPT_MS = DAY_MS  # how long a mature pane stays, so that late labels can still correct an alert
STEP_PANES = 15  # of 20 models with two rules each: about 0.1 s


@dataclass(frozen=True, slots=True)
class Findings:
    """What is new since the last time: in the order of model and version, then of event time."""

    drifts: tuple[DriftEvent, ...] = ()
    alerts: tuple[AlertEvent, ...] = ()
    states: tuple[ModelState, ...] = ()
    curves: tuple[DelayCurve, ...] = ()
    calibrations: tuple[Calibration, ...] = ()
    references: tuple[FeatureReference, ...] = ()

    @classmethod
    def of(cls, parts: Sequence["Findings"]) -> "Findings":
        """Return findings that follow each other as one."""
        return cls(
            *(
                tuple(chain.from_iterable(getattr(part, field.name) for part in parts))
                for field in fields(cls)
            )
        )


FROM_HISTOGRAMS = ("_ms", "_s", "auc", "ece")  # ends of the names of figures


class Monitor:
    """Stage 2 for all models of a process; pure: time comes in as the partitions' progress.

    Parameters
    ----------
    settings
        Horizons, rules, detectors.
    keep_all
        Keep every pane of every segment with its histograms, for a replay that shows all windows. Otherwise
        panes are dropped a day after they and the longest rule window have matured, segments are those of
        the rules, and quantiles are None in ``windows`` unless a rule is about one.

    Raises
    ------
    ValueError
        If a rule could never speak, or a detector is not one of river's; the message says what would do.
    """

    def __init__(self, settings: MonitorSettings, *, keep_all: bool = False) -> None:
        for rule in settings.rules:
            check(rule)
        for detector in settings.detectors:
            check_detector(detector.name, detector.parameters)
        self.settings = settings
        self._keep_all = keep_all
        self._store = PaneStore(
            settings.pane_width_ms,
            None if keep_all else {*settings.segments, *(rule.segment for rule in settings.rules)},
            # Nine tenths of a row are histograms that no detector reads.
            histograms=keep_all or any(rule.metric.endswith(FROM_HISTOGRAMS) for rule in settings.rules),
        )
        self._frontier = Frontier(settings)
        self._maintenance = Maintenance()
        self._happenings = Happenings()
        self._thresholds = Thresholds(settings)
        self._silences = Silences(settings)
        self._features = Features(settings, settings.references)
        self._maturing = Maturing(settings)
        self._dead_letters = DeadLetters(settings.dead_letter_share)
        self._troubles = Troubles()
        self._versions: dict[tuple[str, str], VersionState] = {}
        self._drifts: dict[tuple[str, str], VersionDrift] = {}
        self._budgets: dict[str, Budget] = {}
        self._segments = SegmentCounts(settings.pane_width_ms)

    def absorb(self, rows: pa.RecordBatch) -> None:
        """Take in rows of ``PANE_COLUMNS``; of a pane and partition the newest revision counts."""
        self._store.absorb(rows)
        self._segments.absorb(rows)

    def absorb_features(self, rows: pa.RecordBatch) -> None:
        """Take in rows of ``FEATURE_COLUMNS``; of a pane and partition the newest revision counts."""
        self._features.absorb(rows)

    def absorb_totals(self, totals: StreamTotals) -> None:
        """Take in the running totals of one partition, for the share of dead letters."""
        self._dead_letters.absorb(totals)

    def absorb_trouble(self, trouble: Trouble) -> None:
        """Take in what is wrong with the streams themselves, or is no longer."""
        self._troubles.absorb(trouble)

    def absorb_lifecycle(self, model: str, model_version: str, timestamp_ms: int, kind: str) -> None:
        """Take in a lifecycle event; between maintenance_started and _ended no alert begins to fire."""
        self._maintenance.note(model, model_version, timestamp_ms, kind)
        self._happenings.note(model, model_version, timestamp_ms, kind)

    def steps(self, progress: Sequence[Progress]) -> Iterator[Sequence[Progress]]:
        """Walk to what the partitions report in short steps, each for one call of ``advance``.

        After a restart a day of panes is due at once, seconds of work for some models: a caller with
        heartbeats to send does them between the steps. The findings are those of one call.
        """
        firsts = [series.first_ms for _, _, series in self._store.versions()]
        start_ms = self._frontier.now_ms if self._frontier.known else min(firsts, default=None)
        if start_ms is not None and progress:
            end_ms = min(min(report.inference_ms, report.labels_ms) for report in progress)
            stride_ms = STEP_PANES * self.settings.pane_width_ms
            for at_ms in range(start_ms + stride_ms, end_ms, stride_ms):
                yield [
                    replace(
                        report,
                        inference_ms=min(at_ms, report.inference_ms),
                        labels_ms=min(at_ms, report.labels_ms),
                        caught_up=False,
                    )
                    for report in progress
                ]
        yield progress

    def advance(self, progress: Sequence[Progress]) -> Findings:
        """Return what follows from the rows absorbed, now that the partitions are as far as they say.

        Nothing but troubles, until every partition has been heard.
        """
        if not self._frontier.advance(progress):
            return Findings(alerts=tuple(self._led(self._troubles.advance())))
        frontier, store = self._frontier, self._store
        learnt = self._maturing.advance(store, frontier, self._maintenance)
        states: list[ModelState] = []
        drifts: list[DriftEvent] = []
        alerts: list[AlertEvent] = list(learnt.alerts)
        tasks: dict[tuple[str, str], Task] = {}
        references, signals = self._features.advance(frontier.closed_until_ms, self._predictions)
        features: dict[tuple[str, str], list[SignalPane]] = {}
        for model, version, pane in signals:
            features.setdefault((model, version), []).append(pane)
        for model, version, series in store.versions():
            state, drift = self._of(model, version)
            state.look(series, frontier.closed_until_ms)
            tasks[model, version] = state.task
            labels = self._maturing.of(model)
            coverage = None if labels is None else labels.coverage(version)
            own = features.get((model, version), ())
            found, told = drift.advance(store, state.task, frontier, self._maintenance, own)
            drifts += found
            alerts += told
            provable = drift.provable_change(state.task)
            states += state.announce(frontier.standing(model), coverage, provable, frontier.now_ms)
        alerts += self._thresholds.advance(store, tasks, frontier, self._maintenance, self.figures)
        alerts += self._silences.advance(store, frontier, self._maintenance)
        alerts += self._dead_letters.advance()
        alerts += self._troubles.advance()
        alerts += self._drop()
        named = self._led([self._maintenance.name(self._happenings.name(alert)) for alert in alerts])
        return Findings(
            tuple(drifts), tuple(named), tuple(states), learnt.curves, learnt.calibrations, tuple(references)
        )

    def references(self) -> dict[FeatureKey, FeatureReference]:
        """Return what each feature is held against, by model, version, segment, signal and feature."""
        return dict(self._features.references)

    def models(self) -> dict[tuple[str, str], Task]:
        """Return the task of each model and version seen so far, in sorted order."""
        return {key: self._versions[key].task for key in sorted(self._versions)}

    def mature(self, model: str, start_ms: int, end_ms: int) -> bool:
        """Return whether all of ``[start_ms, end_ms)`` is mature: its labels are there, none is skipped."""
        return self._frontier.known and self._frontier.mature(model, start_ms, end_ms)

    def mature_until_ms(self) -> dict[str, int]:
        """Return up to when each model is mature, those aside whose horizon is being learnt."""
        if not self._frontier.known:
            return {}
        standings = {
            model: self._frontier.standing(model) for model in sorted({m for m, _ in self._versions})
        }
        return {model: known.until_ms for model, known in standings.items() if known.maturity != "learning"}

    def newest_figures(self) -> Iterator[VersionFigures]:
        """Walk through the newest hour of each version, for gauges; nothing may be taken in meanwhile."""
        return newest_figures(self._store, self._frontier, self.models())

    def figures(self, model: str, model_version: str, segment: str, start_ms: int, end_ms: int) -> Figures:
        """Return a row of ``model_quality`` of the window ``[start_ms, end_ms)``, nowcast and all.

        Panes of segments that no rule is about, and those that were dropped, are not in it.
        """
        series = self._store.series.get((model, model_version, segment))
        if series is None:
            return self.row(model, model_version, start_ms, end_ms, [], PaneSums())
        young = not self.mature(model, start_ms, end_ms)  # only a nowcast needs single panes
        starts = series.between(start_ms, end_ms) if young else []
        panes = [(start, series.panes[start].sums()) for start in starts]
        return self.row(model, model_version, start_ms, end_ms, panes, series.window(start_ms, end_ms))

    def row(
        self,
        model: str,
        model_version: str,
        start_ms: int,
        end_ms: int,
        panes: Sequence[tuple[int, PaneSums]],
        total: PaneSums,
        task: Task | None = None,
    ) -> Figures:
        """Return a row of ``model_quality`` of panes that somebody else keeps.

        Parameters
        ----------
        panes
            Starts and sums of the window's panes, for the nowcast: each has its own age.
        total
            What they add up to.
        task
            Of the model; None: as the monitor knows it.
        """
        if task is None:
            state = self._versions.get((model, model_version))
            task = "binary" if state is None else state.task
        mature = self.mature(model, start_ms, end_ms)
        labels = self._maturing.of(model)
        told = None
        if labels is not None and not mature and self._frontier.known:
            told = nowcast(
                panes,
                labels.curves(),
                task,
                width_ms=self.settings.pane_width_ms,
                now_ms=self._frontier.now_ms,
                labels_late=self._frontier.standing(model).maturity == "labels_late",
            )
        return model_quality(
            total,
            task,
            mature=mature,
            window_ms=end_ms - start_ms,
            nowcast=told,
            calibration=None if labels is None else labels.calibration(model_version),
        )

    def windows(
        self, model: str, model_version: str, segment: str, window_ms: int
    ) -> Iterator[tuple[int, PaneSums, bool]]:
        """Walk through aligned windows that have panes: start, sums and whether the window is mature.

        The sums are shared with the monitor: read them only.
        """
        series = self._store.series.get((model, model_version, segment))
        if series is None:
            return
        for start_ms in sorted({start // window_ms * window_ms for start in series.starts}):
            end_ms = start_ms + window_ms
            yield start_ms, series.window(start_ms, end_ms), self.mature(model, start_ms, end_ms)

    def _led(self, alerts: list[AlertEvent]) -> list[AlertEvent]:
        return [with_runbook(alert, self.settings.runbook_url) for alert in alerts]

    def _predictions(self, model: str, version: str, segment: str, start_ms: int) -> int | None:
        series = self._store.series.get((model, version, segment))
        pane = None if series is None else series.panes.get(start_ms)
        return None if pane is None else pane.sums().counts["predictions"]

    def _of(self, model: str, version: str) -> tuple[VersionState, VersionDrift]:
        key = model, version
        if key not in self._versions:
            budget = self._budgets.setdefault(model, Budget(self.settings.false_alarms_per_month))
            settings = self.settings.models.get(model)
            self._versions[key] = VersionState(model, version, settings, self.settings.pane_width_ms)
            self._drifts[key] = VersionDrift(model, version, self.settings, budget, self._segments)
        return self._versions[key], self._drifts[key]

    def _drop(self) -> list[AlertEvent]:
        if self._keep_all:
            return []
        longest_ms = max((rule.window_ms for rule in self.settings.rules), default=0)
        now_ms = self._frontier.now_ms
        alerts: list[AlertEvent] = []
        floors_ms = []
        for model in sorted({key[0] for key in self._store.series}):
            fold_ms = self._frontier.mature_until_ms(model) - longest_ms
            labels = self._maturing.of(model)
            before_ms = fold_ms - KEPT_MS
            if labels is not None:
                before_ms = labels.needed_ms(now_ms, before_ms)
            floors_ms.append(before_ms)
            self._thresholds.dropped(model, before_ms)
            self._segments.drop(model, before_ms)
            self._store.fold(model, fold_ms)
            for _, version, segment in self._store.drop(model, before_ms):
                if not segment:
                    self._versions.pop((model, version), None)
                    drift = self._drifts.pop((model, version), None)
                    alerts += [] if drift is None else drift.give_up(now_ms)
                    alerts += self._thresholds.forget(model, version, now_ms)
                    alerts += self._silences.forget(model, version, now_ms)
                    last = not any(key[0] == model for key in self._store.series)
                    alerts += self._maturing.forget(model, version, now_ms, last=last)
                    if last:
                        self._frontier.forget(model)
        if floors_ms:
            self._maintenance.forget(min(floors_ms))
            self._happenings.forget(min(floors_ms))
        return alerts
