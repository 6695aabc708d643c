"""What adding up hours tells Prometheus: what it did, what waits for it, and since when."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from aftcast.hour_building import HourCounters

HOUR_COUNTERS = {
    "aftcast_hourly_built": ("built", "Hours of one model each that were added up."),
    "aftcast_hourly_retries": ("retries", "Times that ClickHouse was away or too slow."),
}
HOURS_WAITING = ("aftcast_hourly_waiting", "Hours that are quiet and not added up: views read their panes.")
HOURS_OLDEST = ("aftcast_hourly_oldest_waiting_seconds", "Unix time of the last touch of the oldest of them.")
HOURS_LAST_RUN = ("aftcast_hourly_last_run_seconds", "Unix time of the last pass; without it there was none.")


class HourCollector(Collector):
    """Reads the counters of adding up when Prometheus asks."""

    def __init__(self, counters: HourCounters) -> None:
        self._counters = counters

    def collect(self) -> Iterator[Metric]:
        counters = self._counters
        for name, (field, explanation) in HOUR_COUNTERS.items():
            yield CounterMetricFamily(name, explanation, value=getattr(counters, field))
        waiting = counters.waiting
        yield GaugeMetricFamily(*HOURS_WAITING, value=waiting.hours)
        for (name, explanation), time_ms in (
            (HOURS_OLDEST, waiting.since_ms),
            (HOURS_LAST_RUN, counters.last_run_ms),
        ):
            gauge = GaugeMetricFamily(name, explanation, labels=[])
            if time_ms is not None:
                gauge.add_metric([], time_ms / 1000)
            yield gauge
