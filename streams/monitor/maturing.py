"""What is learnt of each model's labels: horizon, delay curves, calibration; and how far it is mature."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from heapq import merge as merge_sorted
from itertools import groupby

from schemas.findings import AlertEvent, Calibration, DelayCurve, Maturity
from schemas.panes import age_bin, age_edge_ms
from schemas.settings import DAY_MS, HOUR_MS, MonitorSettings
from streams.alerts.labels import HorizonTooShort, LabelsLate, MissingLabels, ShortHorizon, hours
from streams.alerts.life_cycle import Occasion
from streams.drift import Frontier, Standing
from streams.maturity import Holding, Horizon, HorizonLearner, Slice, changed, learn_curves
from streams.maturity.cohorts import BINS, Outcome, merged
from streams.maturity.curves import moved, outcomes_of
from streams.maturity.horizon import HISTORY_MS, THRICE, Short, Slices, since_ms, too_short
from streams.monitor.maintenance import Maintenance
from streams.monitor.store import PaneStore, Series
from streams.monitor.version_labels import VersionLabels, labelled_by, pane_sums

UNLABELLED_KEPT_MS = 10 * DAY_MS  # of panes while a horizon is learnt: labels may come weekly
LEARNING_KEPT_MS = 45 * DAY_MS  # once labels have come: thrice a horizon of 13 days
MOST_LATE = 0.25  # of the cohorts: when more are late, that is how labels come from now on


@dataclass(slots=True)
class Learnt:
    """What a refresh said."""

    curves: tuple[DelayCurve, ...] = ()
    calibrations: tuple[Calibration, ...] = ()
    alerts: tuple[AlertEvent, ...] = ()


class ModelMaturity:
    """One model: all its versions are labelled by the same process."""

    def __init__(self, model: str, configured_ms: int | None, settings: MonitorSettings) -> None:
        self._model, self._configured_ms = model, configured_ms
        self._width_ms = settings.pane_width_ms
        self._versions: dict[str, VersionLabels] = {}
        self._holding = Holding(self._width_ms)
        self._learner = HorizonLearner()
        self._horizon_ms = configured_ms
        self._short: Short | None = None
        self._short_sure = self._changing = False
        self._refreshed_hour = -1
        self._first_ms: int | None = None
        self._late_alert, self._short_alert = LabelsLate(model, ""), HorizonTooShort(model, "")
        self._curves: dict[Outcome, DelayCurve] = {}

    def advance(
        self, versions: Mapping[str, Series], now_ms: int, floor_ms: int, maintenance: Maintenance
    ) -> tuple[Standing, Learnt]:
        """Take in what has changed; panes that start before ``floor_ms`` are gone."""
        for name, series in versions.items():
            version = self._versions.setdefault(name, VersionLabels())
            version.look(series, floor_ms)
            first_ms = series.first_ms
            self._first_ms = first_ms if self._first_ms is None else min(first_ms, self._first_ms)
        learnt = Learnt()
        if now_ms // HOUR_MS != self._refreshed_hour:
            self._refreshed_hour = now_ms // HOUR_MS
            learnt = self._refresh(now_ms)
        learnt.alerts += tuple(self._move(versions, now_ms, maintenance))
        return self._standing(), learnt

    def curves(self) -> Mapping[Outcome, DelayCurve]:
        return self._curves

    def calibration(self, version: str) -> Calibration | None:
        known = self._versions.get(version)
        return None if known is None else known.calibration

    def coverage(self, version: str) -> float | None:
        known = self._versions.get(version)
        return None if known is None else known.coverage

    def needed_ms(self, now_ms: int, before_ms: int) -> int:
        """Return from when on panes are still looked at, where others are done with those ``before_ms``."""
        if self._horizon_ms is not None:
            return min(before_ms, now_ms - round(age_edge_ms(self._old_bin(self._horizon_ms))) - 2 * HOUR_MS)
        # Nothing is mature yet: others wait for as long as it takes, memory does not.
        return now_ms - (UNLABELLED_KEPT_MS if self._learner.known is None else LEARNING_KEPT_MS)

    def forget(self, version: str) -> None:
        self._versions.pop(version, None)

    def give_up(self, now_ms: int) -> list[AlertEvent]:
        """Resolve what fires for a model that is no longer watched."""
        return [*self._late_alert.give_up(now_ms), *self._short_alert.give_up(now_ms)]

    def _standing(self) -> Standing:
        maturity: Maturity = "ready"
        if self._holding.held is not None:
            maturity = "labels_late"
        elif self._short is not None or (self._learner.known is not None and self._learner.known.cut):
            maturity = "horizon_too_short"
        elif self._horizon_ms is None:
            maturity = "learning"
        elif self._changing:
            maturity = "delays_changing"
        until_ms = self._holding.until_ms
        if until_ms is None:
            until_ms = (self._first_ms or 0) // self._width_ms * self._width_ms
        return Standing(maturity, self._horizon_ms, until_ms, tuple(self._holding.skipped))

    def _move(
        self, versions: Mapping[str, Series], now_ms: int, maintenance: Maintenance
    ) -> list[AlertEvent]:
        if self._horizon_ms is None:
            return []
        known = {
            name: (series, coverage)
            for name, series in versions.items()
            if (coverage := self._versions[name].coverage) is not None
        }

        def panes(start_ms: int | None, end_ms: int) -> list[int]:
            if not known:
                return []
            each = [
                series.between(series.first_ms if start_ms is None else start_ms, end_ms)
                for series, _ in known.values()
            ]
            return [start for start, _ in groupby(merge_sorted(*each))]

        def judge(start_ms: int) -> tuple[float, int]:
            expected, labelled = 0.0, 0
            for series, coverage in known.values():
                if start_ms in series.panes:
                    sums = pane_sums(series, start_ms)
                    expected += coverage * (sums.counts["predictions"] - sums.counts["failures"])
                    labelled += labelled_by(sums, now_ms - start_ms)
            return expected, labelled

        skipped = len(self._holding.skipped)
        self._holding.advance(now_ms, self._horizon_ms, panes, judge)
        held = self._holding.held
        resolution = "skipped" if len(self._holding.skipped) > skipped else ""
        if held is None:
            return self._late_alert.advance(None, now_ms, resolution=resolution)
        usual = max(coverage for _, coverage in known.values())
        missing = MissingLabels(
            held.start_ms,
            held.end_ms,
            usual * held.labelled / held.expected,
            usual,
            held.labelled,
            round(held.expected / usual),
        )
        withheld = maintenance.covers(self._model, "", held.start_ms, held.end_ms)
        return self._late_alert.advance(missing, held.end_ms + self._horizon_ms, withheld=withheld)

    def _refresh(self, now_ms: int) -> Learnt:
        if self._first_ms is None:
            return Learnt()
        without = self._late_hours(now_ms)

        def slices(upto: int, earliest_ms: int) -> Slice:
            return merged([s for _, s in self._slices(now_ms, upto, earliest_ms, without)])

        alerts: list[AlertEvent] = []
        if self._configured_ms is not None:
            self._short = too_short(self._configured_ms, self._width_ms, now_ms, slices)
            self._horizon_ms = self._configured_ms
            needed: Horizon | None = None
            if self._short is not None:
                needed = self._learner.learn(now_ms, self._first_ms // HOUR_MS * HOUR_MS, slices)
                self._horizon_ms = (
                    max(needed.ms, self._configured_ms) if needed is not None and needed.sure else None
                )
            alerts += self._tell_short(self._configured_ms, needed, now_ms)
        else:
            found = self._learner.learn(now_ms, self._first_ms // HOUR_MS * HOUR_MS, slices)
            self._horizon_ms = found.ms if found is not None and found.sure else None
        if self._horizon_ms is None:
            return Learnt(alerts=tuple(alerts))
        curves, calibrations = self._learn(now_ms, self._horizon_ms, slices, without)
        oldest_ms = now_ms - round(age_edge_ms(self._old_bin(self._horizon_ms))) - HISTORY_MS - DAY_MS
        for version in self._versions.values():
            version.cohorts.forget(oldest_ms)
        self._holding.forget(oldest_ms)
        return Learnt(tuple(curves), tuple(calibrations), tuple(alerts))

    def _tell_short(self, configured_ms: int, needed: Horizon | None, now_ms: int) -> list[AlertEvent]:
        """Tell at once that the horizon is too short, and once more when it is known which one would do."""
        short, alert = self._short, self._short_alert
        if short is None:
            self._short_sure = False
            return alert.advance(None, now_ms)
        sure = needed is not None and needed.sure
        least_ms = int(age_edge_ms(age_bin(configured_ms) + 1))
        needed_ms = least_ms if needed is None else max(needed.ms, least_ms)
        fired = alert.life.fired
        events = alert.advance(
            ShortHorizon(
                configured_ms, needed_ms, short.late_share, short.since_ms, short.until_ms, short.labelled
            ),
            now_ms,
        )
        if fired is not None and sure and not self._short_sure:
            text = f"{self._model}: maturity horizon of {hours(configured_ms)} is too short; "
            occasion = Occasion(
                fired.window_start_ms,
                fired.window_end_ms,
                now_ms,
                f"{text}{hours(needed_ms)} would do",
                needed_ms / 1000,
                fired.evidence | {"needed_s": needed_ms / 1000},
            )
            events += alert.life.correct(fired, occasion)
        self._short_sure = sure
        return events

    def _learn(
        self, now_ms: int, horizon_ms: int, slices: Slices, without: Callable[[int], bool]
    ) -> tuple[list[DelayCurve], list[Calibration]]:
        upto = self._old_bin(horizon_ms)
        begin_ms = since_ms(now_ms, upto)
        calibrations = []
        for name, own in self._slices(now_ms, upto, begin_ms, without):
            version = self._versions[name]
            calibrations += version.learn(own, self._model, name, now_ms)
        mature = slices(min(age_bin(horizon_ms), upto), begin_ms)
        self._changing = changed(mature)
        found = learn_curves(
            slices(upto, begin_ms), self._model, reliable=not self._changing, as_of_ms=now_ms
        )
        # As told: what is computed from the tables is what is computed here.
        self._curves = {
            outcome: known if (known := self._curves.get(outcome)) and not moved(known, curve) else curve
            for outcome, curve in outcomes_of(found).items()
        } or self._curves
        told = [
            curve
            for name in sorted(self._versions)
            for curve in self._versions[name].tell(name, self._curves)
        ]
        return told, calibrations

    def _late_hours(self, now_ms: int) -> Callable[[int], bool]:
        """Return which hours say nothing about how labels usually come: those of an outage."""
        horizon_ms = self._horizon_ms or 0
        late = [(start - horizon_ms, end) for start, end in self._holding.late]
        begin_ms = max(now_ms - HISTORY_MS, self._first_ms or 0)
        if sum(max(0, end - max(start, begin_ms)) for start, end in late) > MOST_LATE * (now_ms - begin_ms):
            return lambda _: False
        return lambda hour_ms: any(start < hour_ms + HOUR_MS and hour_ms < end for start, end in late)

    def _slices(
        self, now_ms: int, upto: int, earliest_ms: int, without: Callable[[int], bool]
    ) -> Iterator[tuple[str, Slice]]:
        for name in sorted(self._versions):
            version = self._versions[name]
            yield name, version.cohorts.slice(now_ms, upto, earliest_ms, version.read, without)

    def _old_bin(self, horizon_ms: int) -> int:
        """Return the age bin up to which a cohort must be complete to say how labels come."""
        return min(age_bin(max(horizon_ms, self._width_ms)) + THRICE, BINS - 1)


class Maturing:
    """All models: says how far each is mature, and what is learnt of its labels."""

    def __init__(self, settings: MonitorSettings) -> None:
        self._settings = settings
        self._models: dict[str, ModelMaturity] = {}

    def advance(self, store: PaneStore, frontier: Frontier, maintenance: Maintenance) -> Learnt:
        """Note in the frontier how far each model is mature; return what is to be told."""
        told = Learnt()
        for name, group in groupby(store.versions(), lambda version: version[0]):
            model = self._models.get(name)
            if model is None:
                model = self._models[name] = ModelMaturity(name, frontier.configured_ms(name), self._settings)
            floor_ms = store.floors_ms.get(name, 0)
            versions = {version: series for _, version, series in group}
            standing, learnt = model.advance(versions, frontier.now_ms, floor_ms, maintenance)
            frontier.note(name, standing)
            told.curves += learnt.curves
            told.calibrations += learnt.calibrations
            told.alerts += learnt.alerts
        return told

    def of(self, model: str) -> ModelMaturity | None:
        return self._models.get(model)

    def forget(self, model: str, version: str, now_ms: int, *, last: bool) -> list[AlertEvent]:
        """Stop watching a version, and with its last one the model."""
        known = self._models.get(model)
        if known is None:
            return []
        known.forget(version)
        return self._models.pop(model).give_up(now_ms) if last else []
