"""Which models and versions have gone silent."""

from itertools import groupby

from schemas.findings import AlertEvent
from schemas.settings import DAY_MS, MonitorSettings
from streams.alerts.silence import Gap, Silence
from streams.drift import Frontier
from streams.monitor.maintenance import Maintenance
from streams.monitor.store import PaneStore, Series


class Silences:
    """Watches the traffic of each model as a whole, and of each version while another one has traffic."""

    def __init__(self, settings: MonitorSettings) -> None:
        self._width_ms, self._after_ms = settings.pane_width_ms, settings.silence_after_ms
        self._watches: dict[tuple[str, str | None], Silence] = {}

    def advance(self, store: PaneStore, frontier: Frontier, maintenance: Maintenance) -> list[AlertEvent]:
        events: list[AlertEvent] = []
        now_ms = frontier.inference_ms
        for model, group in groupby(store.versions(), lambda version: version[0]):
            versions = {version: series for _, version, series in group}
            lasts = {version: self._last_ms(series) for version, series in versions.items()}
            last_ms = max(lasts.values())

            whole = self._gap(list(versions.values()), now_ms, last_ms)
            events += self._told(model, None, whole, frontier, maintenance)
            for version, series in versions.items():
                if len(versions) > 1 or (model, version) in self._watches:
                    # Counted while the model has traffic elsewhere: if all is silent, the model is.
                    gap = self._gap([series], min(now_ms, last_ms), lasts[version])
                    events += self._told(model, version, gap, frontier, maintenance)
        return events

    def forget(self, model: str, model_version: str, now_ms: int) -> list[AlertEvent]:
        """Stop watching a version that has had no traffic for as long as panes are kept."""
        watch = self._watches.pop((model, model_version), None)
        return [] if watch is None else watch.give_up(now_ms)

    def _told(
        self, model: str, version: str | None, gap: Gap, frontier: Frontier, maintenance: Maintenance
    ) -> list[AlertEvent]:
        watch = self._watches.get((model, version))
        if watch is None:
            watch = self._watches[model, version] = Silence(model, version)
        if gap.now_ms - gap.last_ms < self._after_ms and watch.life.fired is None:
            return []
        quiet_ms = maintenance.quiet_until_ms(model, version or "", gap.now_ms)
        begin_ms = gap.last_ms if quiet_ms is None else max(gap.last_ms, quiet_ms)
        certain = frontier.caught_up and not maintenance.retired(model, version or "", gap.now_ms)
        return watch.advance(gap, begin_ms=begin_ms, silence_after_ms=self._after_ms, certain=certain)

    def _gap(self, several: list[Series], now_ms: int, last_ms: int) -> Gap:
        if now_ms - last_ms < self._after_ms:
            return Gap(now_ms, last_ms, 0.0)
        first_ms, predictions = last_ms - self._width_ms, 0
        for series in several:
            starts = series.between(last_ms - DAY_MS, last_ms)
            first_ms = min([first_ms, *starts[:1]])
            predictions += sum(series.panes[start].sums().counts["predictions"] for start in starts)
        return Gap(now_ms, last_ms, predictions / (last_ms - first_ms))

    def _last_ms(self, series: Series) -> int:
        for start in reversed(series.starts):
            if series.panes[start].sums().counts["predictions"] > 0:
                return start + self._width_ms
        return series.first_ms
