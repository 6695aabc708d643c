"""Random histories of several partitions with rising floors, counted hot and then cold; a command for many.

Run ``python tests/laws/cold_histories.py 5000`` for as many histories of each kind.
"""

import random
import sys
from dataclasses import dataclass, field

import pyarrow as pa
from stage_oracle import Oracle, decoded, rows_of

from schemas.features import FEATURE_COLUMNS
from schemas.panes import PANE_COLUMNS
from schemas.settings import JoinSettings, ModelSettings, MonitorSettings
from sinks.clickhouse.rows import raw_rows
from streams.cold import ColdRows, join_cold
from streams.cold.batches import LABELS, PREDICTIONS
from streams.cold.join import FEATURE_KEYS, PANE_KEYS
from streams.partition import PartitionStage

START_MS = 1_780_000_000_000
WIDTH_MS = 10_000
HORIZON_MS = 60_000
IMPLICIT_AFTER_MS = 24_000
TOPICS = {"inference": "inference-events", "label": "label-events"}
KINDS = {
    "plain": frozenset[str](),
    "repeats": frozenset({"repeats"}),
    "versions": frozenset({"versions"}),
    "reused": frozenset({"reused"}),
    "implicit": frozenset({"implicit"}),
    "all": frozenset({"repeats", "versions", "reused", "implicit"}),
}


@dataclass
class World:
    """The hot stages, what they sent, and what the raw role wrote."""

    monitor: MonitorSettings
    stages: list[PartitionStage]
    raw: dict[str, list[pa.Table]] = field(default_factory=lambda: {"inference": [], "label": []})
    events: list[tuple[str, int, int, dict]] = field(default_factory=list)  # kind, partition, offset, event
    set_aside: set[tuple[int, int]] = field(default_factory=set)  # partition and offset of predictions
    panes: dict[tuple, dict] = field(default_factory=dict)
    features: dict[tuple, dict] = field(default_factory=dict)
    now_ms: int = 0

    def absorb(self, panes: pa.RecordBatch, features: pa.RecordBatch) -> None:
        for rows, keys, known in ((panes, PANE_KEYS, self.panes), (features, FEATURE_KEYS, self.features)):
            for row in rows.to_pylist():
                key = tuple(row[name] for name in keys)
                if key not in known or known[key]["revision"] < row["revision"]:
                    known[key] = row


def event_of(rng, name, version, time_ms):
    kind = rng.random()
    value = rng.choice([0, 1]) if kind < 0.8 else rng.choice([True, "a", 2.5, -0.0, 1e17])
    failed = rng.random() < 0.1
    return {
        "prediction_id": name,
        "model": "m",
        "model_version": version,
        "timestamp": time_ms,
        "prediction": None if failed else value,
        "prediction_lower": None,
        "prediction_upper": None,
        "scores": rng.choice([None, None, {}, {"1": 0.3}, {"a": 0.25, "b": 0.75}]),
        "features": rng.choice(
            [
                {},
                {"x": 1},
                {"x": 1.0, "y": 'q"\\é'},
                {"y": None, "z": True},
                {"x": -2.5e-7, "y": ""},
                {"x": 1e300},
            ]
        ),
        "segments": rng.choice([{}, {"s": "1"}, {"s": "2"}]),
        "status": "timeout" if failed else "ok",
        "latency_ms": rng.choice([None, 3.5]),
        "cost": rng.choice([None, 0.25]),
        "role": rng.choice(["primary"] * 6 + ["test"]),
    }


def history(seed, flags):
    """Return (arrival, kind, partition, event) of a few ids, in order of arrival."""
    rng = random.Random(seed)
    events = []
    for number in range(rng.randint(2, 8)):
        name, part = f"id{number}", rng.randint(0, 1)
        time_ms = START_MS + rng.randint(0, 59_999)
        at_ms = time_ms if rng.random() < 0.7 else time_ms + rng.randint(0, 200_000)
        first = event_of(rng, name, "", time_ms)
        events.append((at_ms, "inference", part, first))
        if rng.random() < 0.3:
            other = 1 - part if "repeats" in flags and rng.random() < 0.5 else part
            events.append((at_ms + rng.randint(0, 50_000), "inference", other, first))
        if "versions" in flags and rng.random() < 0.5:
            later_ms = rng.randint(0, 30_000)
            events.append((at_ms + later_ms, "inference", part, event_of(rng, name, "2", time_ms + later_ms)))
        if "reused" in flags and rng.random() < 0.4:
            later_ms = rng.choice([1, rng.randint(1, 60_000)])
            events.append((at_ms + later_ms, "inference", part, event_of(rng, name, "", time_ms + later_ms)))
        for _ in range(rng.choice([0, 1, 1, 2, 3])):
            label_ms = START_MS + rng.randint(0, 150_000)
            label = {
                "prediction_id": name,
                "model": rng.choice(["", "", "m", "n"]),
                "label": rng.choice([0, 1, 1, None, "a", True, 2.5]),
                "timestamp": rng.choice([START_MS, label_ms]),
                "source": rng.choice(["", "b"]),
                "sampling_probability": rng.choice([None, None, 0.5]),
                "value": rng.choice([None, -1.5]),
            }
            at_ms = max(START_MS, label_ms + rng.randint(-20_000, 60_000))
            events.append((at_ms, "label", part if rng.random() < 0.8 else 1 - part, label))
    events.sort(key=lambda found: (found[0], rng.random()))
    return events


def play(seed, flags, partitions=2):
    """Run the hot stages over a history, with floors that rise by time and by a full memory."""
    rng = random.Random(-seed - 1)
    implicit = ModelSettings(implicit_label="0", implicit_after_ms=IMPLICIT_AFTER_MS)
    monitor = MonitorSettings(pane_width_ms=WIDTH_MS, models={"m": implicit} if "implicit" in flags else {})
    stages = [
        PartitionStage(p, 1, START_MS - 10**9, JoinSettings(HORIZON_MS), monitor) for p in range(partitions)
    ]
    world = World(monitor, stages)
    offsets = {(kind, p): rng.randint(0, 5) for kind in TOPICS for p in range(partitions)}
    for at_ms, kind, part, event in history(seed, flags):
        world.now_ms = max(world.now_ms, at_ms)
        stage = stages[part]
        if rng.random() < 0.4:
            behind_ms = world.now_ms - rng.randint(0, 20_000)
            stage.advance(behind_ms, behind_ms)
        if rng.random() < 0.1:
            stage.limit_waiting(1)
        offset = offsets[kind, part]
        offsets[kind, part] += 1 + (rng.random() < 0.2)
        batch = decoded(kind, [event | {"record_time_ms": at_ms}], offset)
        (stage.apply_inference if kind == "inference" else stage.apply_labels)(batch)
        stage.limit_waiting(1 << 60)
        world.raw[kind].append(raw_rows(batch.columns, TOPICS[kind], part))
        if rng.random() < 0.1:
            world.raw[kind].append(world.raw[kind][-1])  # written again after a crash
        world.events.append((kind, part, offset, event | {"record_time_ms": at_ms}))
        world.absorb(stage.take_changed(), stage.take_changed_features())
        world.set_aside |= {
            (part, letter.offset)
            for letter in stage.take_dead_letters()
            if letter.reason.startswith("id_reused")
        }
    for stage in stages:
        world.now_ms += rng.randint(0, 100_000)
        stage.advance(world.now_ms, world.now_ms)
        world.absorb(stage.take_changed(), stage.take_changed_features())
    return world


def join(world: World, starts_ms: set[int], bound: int = 0, pieces: int = 1) -> ColdRows:
    """Join the given panes cold, ids in so many pieces, and let the rows replace the hot ones."""
    predictions = pa.concat_tables(world.raw["inference"])
    labels = pa.concat_tables(world.raw["label"]) if world.raw["label"] else _no_labels()
    chosen = [
        time.timestamp() * 1000 // WIDTH_MS * WIDTH_MS in starts_ms and (part, offset) not in world.set_aside
        for time, part, offset in zip(
            predictions.column("timestamp").to_pylist(),
            predictions.column("partition").to_pylist(),
            predictions.column("offset").to_pylist(),
            strict=True,
        )
    ]
    as_of_ms = world.now_ms
    found = join_cold(
        _pieces(
            predictions.filter(pa.array(chosen)).select(list(PREDICTIONS)),
            labels.select(list(LABELS)),
            pieces,
        ),
        _keys(world.panes, starts_ms, PANE_KEYS, PANE_COLUMNS),
        _keys(world.features, starts_ms, FEATURE_KEYS, FEATURE_COLUMNS),
        monitor=world.monitor,
        as_of_ms=as_of_ms,
        bound=bound,
    )
    world.absorb(found.panes, found.features)
    return found


def _pieces(predictions, labels, count):
    for piece in range(count):
        yield tuple(_of_piece(table, piece, count) for table in (predictions, labels))


def _of_piece(table, piece, count):
    names = table.column("prediction_id").to_pylist()
    return table.filter(pa.array([int(name[2:]) % count == piece for name in names], pa.bool_()))


def truth(world: World, starts_ms: set[int]):
    """Return the rows of panes by brute force over all events: no floors, no partitions."""
    given = {
        name: (0, model.implicit_after_ms) for name, model in world.monitor.models.items()
    }  # as a number
    oracle = OracleOfEverything(WIDTH_MS, given)
    for kind, part, offset, event in sorted(
        world.events, key=lambda found: (found[3]["record_time_ms"], found[1], found[2])
    ):
        if kind == "label":
            oracle.label(event)
        elif (part, offset) not in world.set_aside:
            oracle.predict(event)
    oracle.aligned_ms = world.now_ms
    return {key: row for key, row in oracle.rows().items() if key[3] in starts_ms}


class OracleOfEverything(Oracle):
    """A prediction is known by its timestamp too."""

    def predict(self, event):
        same = ("model", "model_version", "timestamp")
        if event["role"] == "test":
            return
        known = self._predictions_of[event["prediction_id"]]
        if any(all(other[k] == event[k] for k in same) for other, _ in known):
            self.duplicates.append(event)
            return
        self._keep(event, self._said_of(event))


def merged(world: World, starts_ms: set[int]):
    """Return the rows that stand for panes, by key without the partition; None where two are not zero."""
    standing: dict[tuple, dict | None] = {}
    for row in world.panes.values():
        ((key, counts),) = rows_of([pa.RecordBatch.from_pylist([row], PANE_COLUMNS)]).items()
        if key[3] in starts_ms and any(counts[name] for name in ("predictions", "duplicates")):
            standing[key] = None if key in standing else counts
    return standing


def eligible(world: World) -> set[int]:
    """Return the panes that every partition has let go of."""
    floor_ms = min(stage.floor_ms for stage in world.stages)
    return {start for start in range(START_MS - 600_000, floor_ms, WIDTH_MS) if start + WIDTH_MS <= floor_ms}


def _keys(rows, starts_ms, names, schema):
    found = [
        {name: row[name] for name in names}
        for row in rows.values()
        if round(row["pane_start"].timestamp() * 1000) in starts_ms
    ]
    return pa.Table.from_pylist(found, pa.schema([schema.field(name) for name in names]))


def _no_labels():
    label = {
        "prediction_id": "",
        "model": "",
        "label": None,
        "timestamp": 0,
        "source": "",
        "record_time_ms": 0,
    }
    batch = decoded("label", [label | {"sampling_probability": None, "value": None}])
    return raw_rows(batch.columns, TOPICS["label"], 0).slice(0, 0)


def main(count: int) -> None:
    for name, flags in KINDS.items():
        wrong = []
        for seed in range(count):
            world = play(seed, flags)
            starts_ms = eligible(world)
            join(world, starts_ms, pieces=1 + seed % 3)
            if merged(world, starts_ms) != truth(world, starts_ms):
                wrong.append(seed)
        print(f"{name}: {len(wrong)} wrong of {count} histories {wrong[:5]}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2_000)
