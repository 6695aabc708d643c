"""The worker's smaller parts: clock, security, messages, metrics, watchdog."""

import asyncio
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from faust.auth import SASLCredentials, SSLCredentials
from faust.types import TP
from faust.types.auth import SASLMechanism
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from schemas import messages
from schemas.findings import Progress, StreamTotals
from schemas.panes import PANE_COLUMNS
from streams.join.hot import JoinCounters
from streams.monitor.gauges import GAUGES, VersionFigures
from streams.partition import StageCounters
from streams.worker import outgoing, watchdog
from streams.worker.clock import ScaledClock, SystemClock
from streams.worker.errors import StuckError
from streams.worker.metrics import METRIC_NAMES, MetricsServer, WorkerCollector
from streams.worker.model_metrics import ModelCollector
from streams.worker.security import credentials
from streams.worker.standing import Standing
from streams.worker.watchdog import Watchdog

JOIN = JoinCounters(**dict.fromkeys(JoinCounters.__dataclass_fields__, 0))
STANDING = Standing(
    counters=StageCounters(7, 1, 0, 5, 2, JOIN, 0),
    inference_ms=1_000,
    labels_ms=2_000,
    caught_up=False,
    settled=True,
    pending_records=3,
    waiting_predictions=6,
    waiting_bytes=100,
    pane_bytes=50,
    held_by="",
    restored=(30, 40),
    checkpoints=4,
    checkpoint_ms=31_000,
    panes=9,
)


def test_a_scaled_clock_starts_where_it_is_told_and_runs_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 50.0
    monkeypatch.setattr("time.monotonic", lambda: now_s)
    clock = ScaledClock(1_000, 60.0)
    assert clock.now_ms() == 1_000
    now_s = 51.5
    assert clock.now_ms() == 91_000
    with pytest.raises(ValueError, match=r"^speed must be above 0; got 0$"):
        ScaledClock(0, 0)


def test_the_system_clock_counts_milliseconds_since_1970() -> None:
    assert SystemClock().now_ms() > 1_700_000_000_000
    assert SystemClock.speed == 1.0


def test_security_options_become_credentials_and_what_cannot_be_done_is_refused() -> None:
    assert credentials({"bootstrap.servers": "a"}) is None
    assert isinstance(credentials({"security.protocol": "ssl"}), SSLCredentials)
    sasl = credentials(
        {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": "u",
            "sasl.password": "p",
        }
    )
    assert isinstance(sasl, SASLCredentials)
    assert (sasl.username, sasl.password, sasl.mechanism) == ("u", "p", SASLMechanism.SCRAM_SHA_512)
    with pytest.raises(ValueError, match=r"sasl_mechanism must be PLAIN or SCRAM-\* .*; got 'GSSAPI'$"):
        credentials({"security.protocol": "sasl_plaintext", "sasl.mechanism": "GSSAPI"})


def _rows(models: list[str], text: str = "") -> pa.RecordBatch:
    columns = {}
    for field in PANE_COLUMNS:
        if field.name == "model":
            values: list[Any] = models
        elif field.name == "segment":
            values = [f"{text}{i}" for i in range(len(models))]
        elif pa.types.is_map(field.type) or pa.types.is_list(field.type):
            values = [[]] * len(models)
        else:
            values = [""] * len(models) if pa.types.is_string(field.type) else [0] * len(models)
        columns[field.name] = pa.array(values, field.type)
    return pa.RecordBatch.from_pydict(columns, schema=PANE_COLUMNS)


def test_pane_rows_travel_under_the_name_of_their_model() -> None:
    sent = list(outgoing.pane_messages("pane-updates", _rows(["b", "a", "b"])))
    assert [(m.key, messages.decode_panes(m.value).column("model").to_pylist()) for m in sent] == [
        (b"a", ["a"]),
        (b"b", ["b", "b"]),
    ]
    assert list(outgoing.pane_messages("pane-updates", _rows([]))) == []


def test_rows_that_are_too_much_for_one_message_are_split_and_none_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outgoing, "MESSAGE_LIMIT", 12_000)
    rows = _rows(["m"] * 500)
    sent = [messages.decode_panes(m.value) for m in outgoing.pane_messages("t", rows)]
    assert len(sent) > 1
    assert pa.concat_batches(sent).equals(rows)


def test_progress_goes_to_every_partition_and_totals_to_one() -> None:
    progress = Progress(4, 6, 1, 10, 20, True)
    sent = list(outgoing.progress_messages("t", 3, progress))
    assert [m.partition for m in sent] == [0, 1, 2]
    assert {messages.decode(m.value, Progress) for m in sent} == {progress}
    assert outgoing.totals_message("t", StreamTotals(4, 1, 10, 20, 2)).partition == 0


class Beside(Collector):
    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("beside", "Of another role in this process.", value=9)


def test_metrics_of_all_collectors_are_served_where_the_host_says() -> None:
    server = MetricsServer(
        WorkerCollector(lambda: {3: STANDING}, lambda: (2, 1), lambda: 61_000),
        Beside(),
        host="127.0.0.2",
        port=0,
    )
    try:
        with urllib.request.urlopen(f"http://127.0.0.2:{server.port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        with pytest.raises(urllib.error.URLError, match=r"refused"):
            urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=5)
    finally:
        server.close()
    assert "beside 9.0" in lines
    assert 'aftcast_inference_read_total{partition="3"} 7.0' in lines


def test_metrics_are_served_under_exactly_the_names_of_the_list() -> None:
    collector = WorkerCollector(lambda: {3: STANDING}, lambda: (2, 1), lambda: 61_000)
    whole = VersionFigures("fraud", "3.1", 9, {gauge.name: 0.5 for gauge in GAUGES})
    models = ModelCollector(lambda: [whole], lambda: {"fraud": 60_000})
    server = MetricsServer(collector, models, host="127.0.0.1", port=0)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
    finally:
        server.close()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    values = dict(line.rsplit(" ", 1) for line in lines)
    names = {line.split("{")[0].split(" ")[0].removesuffix("_total") for line in lines}
    assert names == set(METRIC_NAMES)
    assert values['aftcast_inference_read_total{partition="3"}'] == "7.0"
    assert values['aftcast_labels_dead_lettered_total{partition="3"}'] == "2.0"
    assert values['aftcast_lag_seconds{partition="3"}'] == "60.0"
    assert values['aftcast_panes{partition="3"}'] == "9.0"
    assert values['aftcast_restored_records{partition="3"}'] == "30.0"
    assert values['aftcast_restore_records{partition="3"}'] == "40.0"
    assert values['aftcast_checkpoints_total{partition="3"}'] == "4.0"
    assert values['aftcast_checkpoint_age_seconds{partition="3"}'] == "30.0"
    assert values["aftcast_alerts_sent_total"] == "1.0"
    assert values['aftcast_mature_until_seconds{model="fraud"}'] == "60.0"


class Scene:
    """An app, its consumer, and a clock that the test turns."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 0.0
        monkeypatch.setattr(watchdog.time, "monotonic", lambda: self.now_s)
        self.coordinator = SimpleNamespace(generation=1, _pending_exception=None)
        self.positions: dict[TP, int | None] = {TP("inference-events", 0): 0}
        self.consumer = SimpleNamespace(
            _thread=SimpleNamespace(_consumer=SimpleNamespace(_coordinator=self.coordinator)),
            assignment=lambda: set(self.positions),
            handed_over=lambda tp: self.positions[tp],
        )
        self.app = SimpleNamespace(rebalancing=False)
        self.watchdog = Watchdog(60.0)

    def look(self, after_s: float, *standings: Standing) -> None:
        self.now_s += after_s
        self.watchdog.look(self.app, self.consumer, dict(enumerate(standings)))


def test_a_worker_without_progress_while_records_wait_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    scene.look(0, STANDING)
    scene.look(59, STANDING)
    scene.look(0, replace(STANDING, pending_records=2))
    scene.look(60, replace(STANDING, pending_records=2))
    with pytest.raises(StuckError, match=r"^no progress on partitions \[0\] for 60 s$"):
        scene.look(1, replace(STANDING, pending_records=2))


def test_a_worker_that_waits_for_the_registry_or_has_nothing_to_read_is_not_stuck(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene(monkeypatch)
    for _ in range(5):
        scene.look(50, replace(STANDING, held_by="schema registry: 503"), replace(STANDING, caught_up=True))


def test_a_surplus_member_without_partitions_is_not_stuck_but_one_without_a_group_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene(monkeypatch)
    for _ in range(5):
        scene.look(50)
    scene.coordinator.generation = -1
    scene.look(60)
    with pytest.raises(StuckError, match=r"^no assignment from the consumer group for 60 s$"):
        scene.look(1)


def test_partitions_that_are_given_and_never_taken_over_stop_the_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene(monkeypatch)
    scene.positions[TP("label-events", 1)] = None
    scene.look(60)
    scene.positions[TP("label-events", 1)] = 7
    scene.look(10)
    scene.positions[TP("label-events", 1)] = None
    scene.look(60)
    said = r"^assigned and not taken over for 60 s: label-events\[1\]$"
    with pytest.raises(StuckError, match=said):
        scene.look(1)


def test_an_error_of_the_group_that_nobody_would_ask_for_stops_the_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene(monkeypatch)
    scene.coordinator._pending_exception = ConnectionError("SyncGroup")
    with pytest.raises(StuckError, match=r"^the consumer group gave an error that stops it: .*SyncGroup"):
        scene.look(0)


def test_importing_the_shell_needs_no_running_event_loop() -> None:
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
    __import__("streams.worker.run")
