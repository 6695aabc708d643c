"""All threshold rules over all model versions: which windows are due now, and their figures."""

from bisect import bisect_left
from collections.abc import Callable

from schemas.figures import Figures
from schemas.findings import AlertEvent, Task
from schemas.settings import MonitorSettings, RuleSettings
from streams.alerts.rules import WITHOUT_LABELS, concerns
from streams.alerts.thresholds import Threshold, evaluate_range
from streams.drift import Frontier
from streams.metrics import model_quality
from streams.monitor.maintenance import Maintenance
from streams.monitor.store import PaneStore, Series

RowOf = Callable[[str, str, str, int, int], Figures]


class Thresholds:
    """Evaluates each rule on each model version that it concerns, window by window."""

    def __init__(self, settings: MonitorSettings) -> None:
        self._settings = settings
        self._watches: dict[tuple[int, str, str], Threshold] = {}

    def advance(
        self,
        store: PaneStore,
        tasks: dict[tuple[str, str], Task],
        frontier: Frontier,
        maintenance: Maintenance,
        row_of: RowOf | None = None,
    ) -> list[AlertEvent]:
        """Return what follows from the windows that are due.

        Parameters
        ----------
        row_of
            The row of ``model_quality`` of a model, version and segment from a start to an end, nowcast and
            all; None: a plain one, which has no nowcast of young windows.
        """
        events: list[AlertEvent] = []
        cache: dict[tuple[str, str, str, int, int], Figures] = {}
        for key in sorted(store.series):
            model, version, segment = key
            series = store.series[key]
            task = tasks.get((model, version), "binary")
            mature_ms = frontier.mature_until_ms(model)

            def figures(
                start_ms: int,
                end_ms: int,
                *,
                series: Series = series,
                task: Task = task,
                mature_ms: int = mature_ms,
                key: tuple[str, str, str] = key,
            ) -> Figures:
                at = (*key, start_ms, end_ms)
                if at not in cache and row_of is not None:
                    cache[at] = row_of(*at)
                elif at not in cache:
                    cache[at] = model_quality(
                        series.window(start_ms, end_ms),
                        task,
                        mature=end_ms <= mature_ms,
                        window_ms=end_ms - start_ms,
                    )
                return cache[at]

            for number, rule in enumerate(self._settings.rules):
                if concerns(rule, model, segment):
                    watch = self._watches.get((number, model, version))
                    if watch is None:
                        watch = self._watches[number, model, version] = Threshold(rule, model, version)
                    events += self._evaluate(
                        watch=watch,
                        series=series,
                        figures=figures,
                        frontier=frontier,
                        maintenance=maintenance,
                    )
            series.changed.clear()
        return events

    def dropped(self, model: str, before_ms: int) -> None:
        """Take note that a model's panes before a time are gone: their windows can no longer be revised."""
        for (_, name, _), watch in self._watches.items():
            if name == model:
                watch.forget(before_ms)

    def forget(self, model: str, model_version: str, now_ms: int) -> list[AlertEvent]:
        """Stop watching a version that has had no traffic for as long as panes are kept."""
        keys = [key for key in self._watches if key[1:] == (model, model_version)]
        return [event for key in keys for event in self._watches.pop(key).give_up(now_ms)]

    def _evaluate(
        self,
        *,
        watch: Threshold,
        series: Series,
        figures: Callable[[int, int], Figures],
        frontier: Frontier,
        maintenance: Maintenance,
    ) -> list[AlertEvent]:
        model, version = watch.life.subject.model, watch.life.subject.model_version
        rule, width_ms = watch.rule, self._settings.pane_width_ms
        mature_ms, horizon_ms = frontier.mature_until_ms(model), frontier.horizon_ms(model)
        newest_ms = mature_ms
        if rule.on != "mature":
            newest_ms = newest_window_end(rule, series, mature_ms, frontier.closed_until_ms, width_ms)
        before = watch.evaluated_ms
        first_ms = series.first_ms + width_ms if before is None else before + width_ms
        if rule.on != "mature" and before is not None and newest_ms == before and series.changed:
            first_ms = before  # labels came for the newest window
        now_ms = frontier.now_ms

        def complete_ms(end_ms: int) -> int:
            return max(end_ms, now_ms) if rule.on != "mature" else end_ms + horizon_ms

        events = evaluate_range(
            watch,
            range(first_ms, min(newest_ms, series.last_ms + width_ms + rule.window_ms) + 1, width_ms),
            figures,
            complete_ms,
            lambda start_ms, end_ms: maintenance.covers(model, version, start_ms, end_ms),
        )
        if watch.follows:
            starts = sorted(series.changed)

            def changed(start_ms: int, end_ms: int) -> bool:
                at = bisect_left(starts, start_ms)
                return at < len(starts) and starts[at] < end_ms

            events += watch.revise(figures, changed, mature_ms=mature_ms, now_ms=now_ms)
        return events


def newest_window_end(
    rule: RuleSettings, series: Series, mature_ms: int, closed_ms: int, width_ms: int
) -> int:
    """Return the end of the newest closed window with the labels that the rule wants.

    Labels come late, so the very newest window seldom has them; the search goes back as far as the mature
    windows. Where none has enough, it is the newest closed window.
    """
    if rule.metric in WITHOUT_LABELS:
        return closed_ms

    def labelled(start_ms: int) -> int:
        pane = series.panes.get(start_ms)
        return 0 if pane is None else pane.sums().counts["labelled"]

    newest_ms = end_ms = min(closed_ms, series.last_ms + width_ms)
    n = sum(labelled(start) for start in series.between(end_ms - rule.window_ms, end_ms))
    while n < rule.min_labelled and end_ms > mature_ms:
        end_ms -= width_ms
        n += labelled(end_ms - rule.window_ms) - labelled(end_ms)
    return end_ms if n >= rule.min_labelled else newest_ms
