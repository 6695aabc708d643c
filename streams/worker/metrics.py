"""What a worker tells Prometheus: one closed list of names, read off its partitions at each scrape."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from streams.worker.health import HealthPages, Part, everybody
from streams.worker.model_metrics import MODELS
from streams.worker.standing import Standing


@dataclass(frozen=True, slots=True)
class Series:
    """One metric of a partition: its name, what it counts, and where its value is."""

    name: str
    kind: Literal["counter", "gauge"]
    explanation: str
    value: Callable[[Standing, int], float]


SERIES = (
    Series("aftcast_inference_read", "counter", "Inference records.", lambda s, _: s.counters.inference_read),
    Series("aftcast_labels_read", "counter", "Label records read.", lambda s, _: s.counters.labels_read),
    Series("aftcast_accepted", "counter", "Predictions taken in.", lambda s, _: s.counters.join.accepted),
    Series("aftcast_duplicates", "counter", "Repeats, not used.", lambda s, _: s.counters.join.duplicates),
    Series(
        "aftcast_inference_dead_lettered",
        "counter",
        "Inference records set aside.",
        lambda s, _: s.counters.inference_dead_lettered,
    ),
    Series(
        "aftcast_labels_dead_lettered",
        "counter",
        "Label records set aside.",
        lambda s, _: s.counters.labels_dead_lettered,
    ),
    Series(
        "aftcast_labels_left_cold",
        "counter",
        "Labels that met no prediction within the hot horizon.",
        lambda s, _: s.counters.join.cold_labels,
    ),
    Series(
        "aftcast_scores_not_one",
        "counter",
        "Predictions whose several scores do not sum to one; used as they are.",
        lambda s, _: s.counters.scores_not_one,
    ),
    Series(
        "aftcast_implicit_labels",
        "counter",
        "Implicit labels given.",
        lambda s, _: s.counters.join.implicit,
    ),
    Series(
        "aftcast_implicit_labels_replaced",
        "counter",
        "Implicit labels that gave way to a real label or a withdrawal.",
        lambda s, _: s.counters.join.implicit_replaced,
    ),
    Series(
        "aftcast_implicit_labels_not_given",
        "counter",
        "Predictions that left full memory before theirs was due, or are numbers and it is none.",
        lambda s, _: s.counters.implicit_cold + s.counters.implicit_unusable,
    ),
    Series(
        "aftcast_floors_raised_by_cap",
        "counter",
        "Times that full memory raised the hot floor.",
        lambda s, _: s.counters.floors_raised_by_cap,
    ),
    Series("aftcast_waiting_predictions", "gauge", "In memory.", lambda s, _: s.waiting_predictions),
    Series("aftcast_waiting_bytes", "gauge", "Memory of predictions.", lambda s, _: s.waiting_bytes),
    Series("aftcast_pane_bytes", "gauge", "Memory of panes.", lambda s, _: s.pane_bytes),
    Series("aftcast_panes", "gauge", "Rows of panes in memory, segments counted.", lambda s, _: s.panes),
    Series("aftcast_pending_records", "gauge", "Fetched, not applied.", lambda s, _: s.pending_records),
    Series("aftcast_caught_up", "gauge", "1: all there was is applied.", lambda s, _: float(s.caught_up)),
    Series("aftcast_settled", "gauge", "1: results are sent onward.", lambda s, _: float(s.settled)),
    Series(
        "aftcast_restore_records",
        "gauge",
        "Records that are read again after the partition was taken over; 0 once that is done.",
        lambda s, _: s.restored[1],
    ),
    Series(
        "aftcast_restored_records",
        "gauge",
        "Records of these that are applied again.",
        lambda s, _: s.restored[0],
    ),
    Series("aftcast_checkpoints", "counter", "Checkpoints committed.", lambda s, _: s.checkpoints),
    Series(
        "aftcast_checkpoint_age_seconds",
        "gauge",
        "Since the last one was committed; 0 before the first.",
        lambda s, now_ms: max(0, now_ms - s.checkpoint_ms) / 1000 if s.checkpoints else 0.0,
    ),
    Series(
        "aftcast_lag_seconds",
        "gauge",
        "Record time still to be read in the slower topic.",
        lambda s, now_ms: max(0, now_ms - min(s.inference_ms, s.labels_ms)) / 1000,
    ),
)
FINDINGS = (
    ("aftcast_drifts_found", "Drift events found by this worker."),
    ("aftcast_alerts_sent", "Alert events sent by this worker."),
)
METRIC_NAMES = (
    *(series.name for series in SERIES),
    *(name for name, _ in FINDINGS),
    *(name for name, _ in MODELS),
)


class WorkerCollector(Collector):
    """Reads the worker's partitions when Prometheus asks."""

    def __init__(
        self,
        partitions: Callable[[], Mapping[int, Standing]],
        found: Callable[[], tuple[int, int]],
        now_ms: Callable[[], int],
    ) -> None:
        self._partitions = partitions
        self._found = found
        self._now_ms = now_ms

    def collect(self) -> Iterator[Metric]:
        partitions, now_ms = self._partitions(), self._now_ms()
        for series in SERIES:
            kind = CounterMetricFamily if series.kind == "counter" else GaugeMetricFamily
            family = kind(series.name, series.explanation, labels=["partition"])
            for partition, standing in partitions.items():
                family.add_metric([str(partition)], series.value(standing, now_ms))
            yield family
        for (name, explanation), value in zip(FINDINGS, self._found(), strict=True):
            yield CounterMetricFamily(name, explanation, value=value)


class MetricsServer:
    """``/metrics`` of all collectors together, and the health of all parts; port 0 takes any free one.

    ``admits`` says by its ``Authorization`` header which request gets metrics.
    """

    def __init__(
        self,
        *collectors: Collector,
        host: str,
        port: int,
        parts: Sequence[Part] = (),
        admits: Callable[[str], bool] = everybody,
    ) -> None:
        registry = CollectorRegistry()
        for collector in collectors:
            registry.register(collector)
        self._server, self._thread = start_http_server(port, host, registry)
        metrics = self._server.get_app()
        assert metrics is not None  # noqa: S101 (it was started with one)
        self._server.set_app(HealthPages(metrics, parts, admits))
        self.port = self._server.server_port

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
