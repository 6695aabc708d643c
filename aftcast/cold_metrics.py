"""What the cold join tells Prometheus: what it did, what waits for it, and since when."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sinks.cold import ColdCounters

COLD_COUNTERS = {
    "aftcast_cold_panes_joined": ("panes_joined", "Panes computed again from raw rows."),
    "aftcast_cold_rows_read": ("rows_read", "Raw rows read for that."),
    "aftcast_cold_labels_looked_up": ("labels_looked_up", "Labels whose predictions were looked for."),
    "aftcast_cold_panes_expired": ("panes_expired", "Touched panes whose raw rows may be gone."),
    "aftcast_cold_retries": ("retries", "Times that ClickHouse or Kafka was away."),
}
COLD_GAUGES = {
    "aftcast_cold_panes_waiting": ("panes_waiting", "Panes that late events touched, not joined yet."),
    "aftcast_cold_open_labels": ("open_labels", "Labels whose prediction has not been found."),
}
OLDEST = ("aftcast_cold_oldest_waiting_seconds", "Unix time since when the oldest of them waits.")
SWEPT = (
    "aftcast_cold_swept_seconds",
    "Unix time of predictions up to which those that came to several partitions were looked for.",
)
LAST_RUN = ("aftcast_cold_last_run_seconds", "Unix time of the last pass; without it there was none.")


class ColdCollector(Collector):
    """Reads the cold join's counters when Prometheus asks."""

    def __init__(self, counters: ColdCounters) -> None:
        self._counters = counters

    def collect(self) -> Iterator[Metric]:
        counters = self._counters
        for name, (field, explanation) in COLD_COUNTERS.items():
            yield CounterMetricFamily(name, explanation, value=getattr(counters, field))
        for name, (field, explanation) in COLD_GAUGES.items():
            yield GaugeMetricFamily(name, explanation, value=getattr(counters, field))
        for (name, explanation), time_ms in (
            (OLDEST, counters.oldest_waiting_ms),
            (SWEPT, counters.swept_ms),
            (LAST_RUN, counters.last_run_ms),
        ):
            gauge = GaugeMetricFamily(name, explanation, labels=[])
            if time_ms is not None:
                gauge.add_metric([], time_ms / 1000)
            yield gauge
