"""A day and more of simulated traffic in ClickHouse, by way of decoder, partition and monitor."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa

from aftcast.demo.story import configuration_of
from aftcast.simulation import Simulation
from aftcast.simulation.events import INFERENCE, Event
from schemas.findings import LifecycleEvent, Progress, StreamTotals
from schemas.records import RawBatch
from schemas.settings import JoinSettings
from sinks.clickhouse.client import Client
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.rows import reference_rows
from sinks.clickhouse.writers import Writer
from streams.decode import Decoder
from streams.monitor import Monitor
from streams.monitor.stage import Findings
from streams.partition import PartitionStage

HOUR_MS = 3_600_000
START_MS = 2_524_608_000_000  # 2050-01-01, so that no TTL ever takes a test's rows
# A day freezes the references of features; what comes after it is held against them.
END_MS = START_MS + 28 * HOUR_MS
RISE_MS = START_MS + 24 * HOUR_MS
STEP_MS = 1_800_000
PANE_MS = 300_000  # a fifth of the rows that panes of a minute would be
EVENTS_PER_S = 0.3
TOPICS = {"inference": "inference-events", "labels": "label-events"}
NOBODYS = Event(
    "labels",
    START_MS + HOUR_MS,
    b"x",
    b'{"prediction_id": "x", "label": "fraud", "timestamp": 2524611600000}',
)
DEPLOYED = LifecycleEvent("fraud", RISE_MS - 600_000, "deployed", "3.2", "new features", "release bot")
# For marks on charts alone; the last maintenance has no end.
HAPPENED = tuple(
    LifecycleEvent(
        "fraud", START_MS + int(hours * HOUR_MS), kind, message="<img src=x onerror=alert(1)>", actor="ann"
    )
    for kind, hours in (
        ("promoted", 2.0), ("rolled_back", 3.0), ("maintenance_started", 4.0), ("maintenance_ended", 5.5),
        ("maintenance_started", 20.0),
    )
)  # fmt: skip


def write_demo_data(client: Client, database: str) -> None:
    """Create the database, and write all that a worker and its raw role would have written."""
    migrate(client, database)
    writer = Writer(client, database)
    settings = configuration_of("localhost", "http://localhost", database, 1.0).monitor_settings()
    settings = replace(settings, pane_width_ms=PANE_MS)
    stage = PartitionStage(0, 1, START_MS - HOUR_MS, JoinSettings(10**15, 10**12), settings)
    monitor = Monitor(settings)
    decoder = Decoder()
    parts: dict[str, list[pa.RecordBatch]] = {"rollups": [], "features": [], INFERENCE: [], "labels": []}
    letters = []
    findings: list[Findings] = []
    monitor.absorb_lifecycle(DEPLOYED.model, DEPLOYED.model_version, DEPLOYED.timestamp_ms, DEPLOYED.kind)
    told = [DEPLOYED, *HAPPENED]
    times_ms = np.array([event.timestamp_ms for event in told])
    writer.write_lifecycle(told, np.arange(len(told)), times_ms, "lifecycle-events", 0)
    for time_ms, batches in _steps():
        for kind, batch in batches.items():
            decoded = (decoder.decode_inference if kind == INFERENCE else decoder.decode_labels)(batch)
            columns = _with_ids(decoded.columns) if kind == INFERENCE else decoded.columns
            parts[kind].append(columns)
            letters += decoded.dead_letters
            (stage.apply_inference if kind == INFERENCE else stage.apply_labels)(decoded)
        stage.advance(time_ms, time_ms)
        letters += stage.take_dead_letters()
        changed = stage.take_changed()
        features = stage.take_changed_features(time_ms)
        parts["rollups"].append(changed)
        parts["features"].append(features)
        monitor.absorb(changed)
        monitor.absorb_features(features)
        counters = stage.counters
        read = counters.inference_read + counters.labels_read
        dead = counters.inference_dead_lettered + counters.labels_dead_lettered
        monitor.absorb_totals(StreamTotals(0, 1, time_ms, read, dead))
        findings.append(monitor.advance([Progress(0, 1, 1, time_ms, time_ms, caught_up=True)]))
    every = Findings.of(findings)
    writer.write_drift_events(every.drifts)
    over = replace(every.alerts[0], event_id="over", fingerprint="over", status="resolved")
    writer.write_alerts([*every.alerts, over])
    writer.write_model_states(every.states)
    writer.write_delay_curves(every.curves)
    writer.write_calibrations(every.calibrations)
    writer.write("feature_references", reference_rows(every.references))
    writer.write_rollups(_one(parts["rollups"]))
    writer.write_features(_one(parts["features"]))
    writer.write_predictions(_one(parts[INFERENCE]), TOPICS[INFERENCE], 0)
    writer.write_labels(_one(parts["labels"]), TOPICS["labels"], 0)
    writer.write_dead_letters(letters)
    client.command(
        f"INSERT INTO {database}.cold_panes VALUES "  # noqa: S608
        "('fraud', '2050-01-01 02:00:00', '2050-01-02 03:00:00', NULL, 1)"
    )


def _steps() -> Iterator[tuple[int, dict[str, RawBatch]]]:
    """Yield each step's end, and what was sent until then, by topic."""
    simulation = Simulation(7, START_MS, EVENTS_PER_S, rise_ms=RISE_MS)
    events = [event for block in simulation.blocks(END_MS) for event in block if event.time_ms < END_MS]
    events.insert(next(i for i, event in enumerate(events) if event.time_ms > NOBODYS.time_ms), NOBODYS)
    offsets = dict.fromkeys(TOPICS, 0)
    waiting: dict[str, list[Event]] = {kind: [] for kind in TOPICS}
    time_ms = START_MS + STEP_MS
    for event in [*events, None]:
        while event is None or event.time_ms >= time_ms:
            yield time_ms, {kind: _raw(kind, offsets, waiting[kind]) for kind in TOPICS if waiting[kind]}
            waiting = {kind: [] for kind in TOPICS}
            time_ms += STEP_MS
            if event is None:
                return
        waiting[event.kind].append(event)


def _raw(kind: str, offsets: dict[str, int], events: list[Event]) -> RawBatch:
    first, offsets[kind] = offsets[kind], offsets[kind] + len(events)
    return RawBatch(
        TOPICS[kind],
        0,
        np.arange(first, offsets[kind]),
        np.array([event.time_ms for event in events]),
        [event.key for event in events],
        [event.value for event in events],
    )


def _with_ids(columns: pa.RecordBatch) -> pa.RecordBatch:
    """Give predictions the ids of requests and traces, which the simulation leaves out."""
    for name in ("request_id", "trace_id"):
        ids = pa.array([f"{name[:1]}-{text}" for text in columns["prediction_id"].to_pylist()], pa.string())
        columns = columns.set_column(columns.schema.get_field_index(name), columns.schema.field(name), ids)
    return columns


def _one(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    (batch,) = pa.Table.from_batches(batches).combine_chunks().to_batches()
    return batch
