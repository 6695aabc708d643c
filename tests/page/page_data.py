"""Eight hours of simulated traffic in ClickHouse by way of decoder, partition and monitor."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from aftcast.demo.references import with_references
from aftcast.demo.story import configuration_of
from aftcast.simulation import INFERENCE, Event, Simulation
from schemas.findings import LifecycleEvent, Progress
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

HOUR_MS, STEP_MS, PANE_MS = 3_600_000, 600_000, 300_000
START_MS = 2_524_608_000_000  # 2050-01-01, so that no TTL ever takes a test's rows
END_MS = START_MS + 8 * HOUR_MS
RISE_MS = START_MS + 5 * HOUR_MS
TOPICS = {INFERENCE: "inference-events", "labels": "label-events"}
NOBODYS = b'{"prediction_id": "nobodys", "label": "fraud", "timestamp": %d}' % (START_MS + HOUR_MS)
LIFECYCLE = [
    LifecycleEvent("fraud", RISE_MS - 600_000, "deployed", "3.1", "a new threshold", "release bot"),
    LifecycleEvent("price", START_MS + 2 * HOUR_MS, "maintenance_started", "", "moving house", "ops"),
    LifecycleEvent("price", START_MS + 3 * HOUR_MS, "maintenance_ended", "", "", "ops"),
]


def fill(client: Client, database: str, file: Path) -> list[dict[str, Any]]:
    """Create the database, write what a worker and its raw role would have written, and return the truth."""
    migrate(client, database)
    configuration = configuration_of("localhost", "http://localhost", database, 1.0)
    settings = with_references(configuration, 7, START_MS, file).monitor_settings()
    settings = replace(settings, pane_width_ms=PANE_MS)
    writer, decoder, monitor = Writer(client, database), Decoder(), Monitor(settings)
    stage = PartitionStage(0, 1, START_MS - HOUR_MS, JoinSettings(10**15, 10**12), settings)
    simulation = Simulation(7, START_MS, 0.6, rise_ms=RISE_MS, keep_truth=True)
    parts: dict[str, list[pa.RecordBatch]] = {"rollups": [], "features": [], INFERENCE: [], "labels": []}
    findings: list[Findings] = []
    letters = []
    for event in LIFECYCLE:
        monitor.absorb_lifecycle(event.model, event.model_version, event.timestamp_ms, event.kind)
    times = np.array([event.timestamp_ms for event in LIFECYCLE])
    writer.write_lifecycle(LIFECYCLE, np.arange(len(LIFECYCLE)), times, "lifecycle-events", 0)
    for time_ms, batches in _steps(simulation):
        for kind, batch in batches.items():
            decoded = (decoder.decode_inference if kind == INFERENCE else decoder.decode_labels)(batch)
            parts[kind].append(decoded.columns)
            letters += decoded.dead_letters
            (stage.apply_inference if kind == INFERENCE else stage.apply_labels)(decoded)
        stage.advance(time_ms, time_ms)
        letters += stage.take_dead_letters()
        parts["rollups"].append(stage.take_changed())
        parts["features"].append(stage.take_changed_features(time_ms))
        monitor.absorb(parts["rollups"][-1])
        monitor.absorb_features(parts["features"][-1])
        findings.append(monitor.advance([Progress(0, 1, 1, time_ms, time_ms, caught_up=True)]))
    every = Findings.of(findings)
    writer.write_drift_events(every.drifts)
    writer.write_alerts(every.alerts)
    writer.write_model_states(every.states)
    writer.write_delay_curves(every.curves)
    writer.write_calibrations(every.calibrations)
    writer.write("feature_references", reference_rows(every.references))
    writer.write_rollups(_one(parts["rollups"]))
    writer.write_features(_one(parts["features"]))
    writer.write_predictions(_one(parts[INFERENCE]), TOPICS[INFERENCE], 0)
    writer.write_labels(_one(parts["labels"]), TOPICS["labels"], 0)
    writer.write_dead_letters(letters)
    return [document for document in simulation.truth if document["timestamp_ms"] < END_MS]


def _steps(simulation: Simulation) -> Iterator[tuple[int, dict[str, RawBatch]]]:
    """Yield each step's end, and what was sent until then, by topic."""
    events = [event for block in simulation.blocks(END_MS) for event in block if event.time_ms < END_MS]
    events.append(Event("labels", START_MS + HOUR_MS, b"nobodys", NOBODYS))
    events.sort(key=lambda event: event.time_ms)
    offsets = dict.fromkeys(TOPICS, 0)
    position = 0
    for time_ms in range(START_MS + STEP_MS, END_MS + 1, STEP_MS):
        upto = position
        while upto < len(events) and events[upto].time_ms < time_ms:
            upto += 1
        batches = {}
        for kind, topic in TOPICS.items():
            some = [event for event in events[position:upto] if event.kind == kind]
            batches[kind] = RawBatch(
                topic,
                0,
                np.arange(offsets[kind], offsets[kind] + len(some)),
                np.array([event.time_ms for event in some]),
                [event.key for event in some],
                [event.value for event in some],
            )
            offsets[kind] += len(some)
        position = upto
        yield time_ms, batches


def _one(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    (batch,) = pa.Table.from_batches(batches).combine_chunks().to_batches()
    return batch
