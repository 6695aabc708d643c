"""What the raw role tells Prometheus: records read, written and waiting, and how far it is behind."""

import time
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sinks.raw_writer import RawCounters

COUNTERS = {
    "aftcast_raw_read": ("read", "Records read from all topics."),
    "aftcast_raw_written": ("written", "Records whose block is in ClickHouse."),
    "aftcast_raw_blocks": ("blocks", "Blocks written."),
    "aftcast_raw_retries": ("retries", "Writes tried again because ClickHouse was away."),
    "aftcast_raw_skipped": ("skipped", "Dead letters of the inputs, which come by their own topic."),
    "aftcast_raw_unreadable": ("unreadable", "Records of our own topics that another version wrote."),
    "aftcast_raw_gaps": ("gaps", "Times that the log no longer held what was to be read."),
}
WAITING = "aftcast_raw_waiting"
ROWS = "aftcast_raw_rows"
LAGS = (
    ("aftcast_raw_lag_records", "Records of the topic that are not in ClickHouse, by `topic`."),
    ("aftcast_raw_lag_seconds", "Age of the oldest record fetched and not in ClickHouse, by `topic`."),
)


class RawCollector(Collector):
    """Reads the raw role's counters when Prometheus asks."""

    def __init__(self, counters: RawCounters) -> None:
        self._counters = counters

    def collect(self) -> Iterator[Metric]:
        for name, (field, explanation) in COUNTERS.items():
            yield CounterMetricFamily(name, explanation, value=getattr(self._counters, field))
        yield GaugeMetricFamily(WAITING, "Records of the block that is kept.", value=self._counters.waiting)
        rows = CounterMetricFamily(ROWS, "Rows written.", labels=["table"])
        for table, count in sorted(self._counters.rows.items()):
            rows.add_metric([table], count)
        yield rows
        lags = self._counters.lag.by_topic(int(time.time() * 1000))
        for at, (name, explanation) in enumerate(LAGS):
            lag = GaugeMetricFamily(name, explanation, labels=["topic"])
            for topic, figures in lags.items():
                lag.add_metric([topic], figures[at])
            yield lag
