"""The cold join on a real engine: whatever came late, elsewhere or was evicted ends in model_quality."""

import random
from collections import defaultdict
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from raw_columns import T0_MS, scalars

from schemas.columns import INFERENCE_COLUMNS, LABEL_COLUMNS
from schemas.findings import Progress
from schemas.records import DecodedBatch
from schemas.settings import JoinSettings, ModelSettings, MonitorSettings
from sinks.clickhouse.writers import Writer
from sinks.cold import ColdJoiner, ColdSettings, Reached
from sinks.cold.store import ColdStore
from streams.cold import join_cold
from streams.partition import PartitionStage

HOUR_MS = 3_600_000
WIDTH_MS = 60_000
PARTITIONS = 3
KINDS = (
    "on_time",
    "late",
    "late",
    "prediction_late",
    "elsewhere",
    "repeated",
    "corrected",
    "withdrawn",
    "never",
    "first",
)


class Streams:
    """Hot stages of three partitions, a raw role that writes at once, and the joiner."""

    def __init__(
        self,
        database: Any,
        horizon_ms: int = HOUR_MS,
        implicit_after_ms: int | None = None,
        rows_at_once: int = 250_000,
    ) -> None:
        given = {} if implicit_after_ms is None else {"m": implicit_after_ms}
        models = {name: ModelSettings(implicit_label="1", implicit_after_ms=ms) for name, ms in given.items()}
        self.monitor = MonitorSettings(pane_width_ms=WIDTH_MS, models=models)
        self.stages = [
            PartitionStage(p, 1, 0, JoinSettings(horizon_ms), self.monitor) for p in range(PARTITIONS)
        ]
        self.writer = Writer(database.client, database.name)
        self.database = database
        self.offsets = {(kind, p): 0 for kind in ("inference", "label") for p in range(PARTITIONS)}
        self.now_ms = T0_MS
        self.published: list[Any] = []
        self.joiner = ColdJoiner(
            ColdSettings(WIDTH_MS, interval_ms=1, rows_at_once=rows_at_once, implicit_after_ms=given),
            self.compute,
            self.publish,
        )
        self.joiner.connect(self.store())
        self._known = dict.fromkeys(range(PARTITIONS), -1)

    def store(self) -> ColdStore:
        return ColdStore(self.database.client, self.database.name, "inference-events", WIDTH_MS)

    def compute(self, raw: Any, reached: Reached) -> Any:
        return join_cold(
            raw.pieces, raw.counted, raw.counted_features,
            monitor=self.monitor, as_of_ms=reached.as_of_ms, bound=reached.bound,
        )  # fmt: skip

    def publish(self, rows: Any) -> None:
        self.published.append(rows)
        self.writer.write_rollups(rows.panes)
        self.writer.write_features(rows.features)

    def take(self, kind: str, partition: int, events: list[dict[str, Any]], at_ms: int) -> None:
        self.now_ms = max(self.now_ms, at_ms)
        batch = batch_of(kind, events, self.offsets[kind, partition], at_ms)
        self.offsets[kind, partition] += len(events)
        stage = self.stages[partition]
        if kind == "inference":
            stage.apply_inference(DecodedBatch(batch))
            self.writer.write_predictions(batch, "inference-events", partition)
        else:
            stage.apply_labels(DecodedBatch(batch))
            self.writer.write_labels(batch, "label-events", partition)

    def advance(self, now_ms: int) -> None:
        self.now_ms = max(self.now_ms, now_ms)
        for stage in self.stages:
            stage.advance(now_ms, now_ms)
            self.writer.write_rollups(stage.take_changed())
            self.writer.write_features(stage.take_changed_features())
            self.writer.write_dead_letters(stage.take_dead_letters())

    def reached(self) -> tuple[Reached, set[int]]:
        reports, restless = [], set()
        for p, stage in enumerate(self.stages):
            join = stage.counters.join
            unmatched = join.waiting + join.cold_labels + join.cold_predictions
            if unmatched != self._known[p]:
                restless.add(p)
                self._known[p] = unmatched
            reports.append(
                Progress(
                    p,
                    PARTITIONS,
                    1,
                    self.now_ms,
                    self.now_ms,
                    True,
                    stage.floor_ms,
                    stage.next_inference_offset,
                    stage.next_label_offset,
                    unmatched,
                )
            )
        bounds = [tuple(self.offsets[kind, p] for p in range(PARTITIONS)) for kind in ("inference", "label")]
        return Reached(tuple(reports), *bounds), restless

    def join(self) -> None:
        """Two passes: the first finds what is touched, the second comes after the interval."""
        for _ in range(2):
            self.now_ms += 61
            self.joiner.run(*self.reached(), self.now_ms)

    def quality(self) -> dict[int, tuple[int, int, float | None]]:
        rows = self.database.client.rows(
            "SELECT toUnixTimestamp(window_start) AS start, sum(predictions) AS predictions, "
            "sum(labelled) AS labelled, "
            "if(labelled > 0, sum(accuracy * q.labelled) / labelled, NULL) AS accuracy "
            "FROM model_quality(window_seconds = 60) AS q WHERE segment = '' GROUP BY start"
        )
        return {row["start"] * 1000: (row["predictions"], row["labelled"], row["accuracy"]) for row in rows}


class CountingStore(ColdStore):
    """Remembers which hours were looked through for repeats."""

    def __init__(self, streams: Streams) -> None:
        super().__init__(streams.database.client, streams.database.name, "inference-events", WIDTH_MS)
        self.hours_asked: list[int] = []

    def repeats(self, begin_ms: int, end_ms: int, reached: Reached) -> Any:
        self.hours_asked.append(begin_ms)
        return super().repeats(begin_ms, end_ms, reached)


def batch_of(kind: str, events: list[dict[str, Any]], offset: int, at_ms: int) -> pa.RecordBatch:
    n = len(events)
    schema = INFERENCE_COLUMNS if kind == "inference" else LABEL_COLUMNS
    value = "prediction" if kind == "inference" else "label"
    columns: dict[str, Any] = {
        value: scalars([event[value] for event in events]),
        "timestamp": pa.array([event["timestamp"] for event in events], pa.timestamp("ms")),
        "prediction_id": [event["id"] for event in events],
        "model": [event.get("model", "") if kind == "label" else "m" for event in events],
        "model_version": [event.get("version", "1") for event in events],
        "status": ["ok"] * n,
        "role": ["primary"] * n,
        "source": [""] * n,
        "offset": np.arange(offset, offset + n),
        "record_time_ms": np.full(n, at_ms),
    }
    arrays = []
    for field in schema:
        if field.name == "features":
            features = scalars([event["timestamp"] % 7 for event in events])
            names = pa.array(["x"] * n)
            arrays.append(
                pa.MapArray.from_arrays(np.arange(n + 1, dtype=np.int32), names, features, field.type)
            )
        elif field.name == "segments":
            arrays.append(pa.array([[("s", "a")]] * n, field.type))
        elif field.name in columns:
            found = columns[field.name]
            arrays.append(found if isinstance(found, pa.Array) else pa.array(found, field.type))
        else:
            arrays.append(pa.nulls(n, field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def truth(predictions: list[dict[str, Any]], labels: list[dict[str, Any]]) -> dict[int, Any]:
    """Return what the full join gives: no horizon, no partition, no memory."""
    best: dict[str, dict[str, Any]] = {}
    for label in labels:
        known = best.get(label["id"])
        rank = (label["timestamp"], label["label"] is not None, label["label"] or 0)
        if known is None or rank > (known["timestamp"], known["label"] is not None, known["label"] or 0):
            best[label["id"]] = label
    panes: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
    for event in predictions:
        pane = panes[event["timestamp"] // WIDTH_MS * WIDTH_MS]
        pane[0] += 1
        label = best.get(event["id"])
        if label is not None and label["label"] is not None:
            pane[1] += 1
            pane[2] += label["label"] == event["prediction"]
    return {
        start: (n, labelled, hits / labelled if labelled else None)
        for start, (n, labelled, hits) in panes.items()
    }


def play(
    streams: Streams, seed: int, count: int = 300, join_at_step: int = -1
) -> tuple[list[Any], list[Any]]:
    """Send predictions over three hours and their labels until two days later; return both.

    Of a kind each is sent to a second partition too.
    """
    rng = random.Random(seed)
    sent: list[tuple[int, str, int, dict[str, Any]]] = []
    predictions, labels = [], []
    for i in range(count):
        kind = rng.choice(KINDS)
        made_ms = T0_MS + rng.randint(0, 3 * HOUR_MS)
        event = {
            "id": f"p{i}",
            "timestamp": made_ms,
            "prediction": rng.randint(0, 2),
            "version": rng.choice("12"),
        }
        part = rng.randrange(PARTITIONS)
        predictions.append(event)
        sent.append((made_ms + (5 * HOUR_MS if kind == "prediction_late" else 50), "inference", part, event))
        if kind == "repeated":
            sent.append((made_ms + 60, "inference", (part + 1) % PARTITIONS, event))
        if kind == "never":
            continue
        delay_ms = {"late": 48 * HOUR_MS, "corrected": 10 * HOUR_MS, "first": -2 * HOUR_MS}.get(kind, 600_000)
        label_ms = made_ms + delay_ms + rng.randint(0, HOUR_MS // 2)
        said = [(label_ms, rng.randint(0, 2))]
        if kind in ("corrected", "withdrawn"):
            said.append((label_ms + 16 * HOUR_MS, None if kind == "withdrawn" else rng.randint(0, 2)))
        for at_ms, value in said:
            label = {"id": f"p{i}", "label": value, "timestamp": at_ms}
            labels.append(label)
            where = (part + 1) % PARTITIONS if kind == "elsewhere" else part
            sent.append((max(T0_MS, at_ms), "label", where, label))
    sent.sort(key=lambda found: found[0])
    step_ms = 9 * HOUR_MS
    for start_ms in range(T0_MS, sent[-1][0] + step_ms, step_ms):
        of_step: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
        for at_ms, kind, part, event in sent:
            if start_ms <= at_ms < start_ms + step_ms:
                of_step[kind, part].append(event)
        for (kind, part), events in of_step.items():
            streams.take(kind, part, events, start_ms + step_ms - 1)
        streams.advance(start_ms + step_ms)
        if start_ms == T0_MS + join_at_step * step_ms:
            streams.join()
    return predictions, labels


@pytest.fixture
def streams(embedded_database: Any) -> Streams:
    return Streams(embedded_database)


def test_whatever_came_late_or_elsewhere_ends_in_model_quality(streams: Streams) -> None:
    predictions, labels = play(streams, seed=1, join_at_step=2)
    streams.advance(streams.now_ms + 3 * HOUR_MS)
    expected = truth(predictions, labels)
    hot = streams.quality()
    assert hot != {start: pytest.approx(row) for start, row in expected.items()}
    streams.join()
    assert streams.quality() == {start: pytest.approx(row) for start, row in expected.items()}
    assert streams.joiner.counters.panes_waiting == 0
    assert streams.joiner.counters.open_labels == 0


def test_a_pane_is_read_in_pieces_that_have_all_there_is_of_an_id(streams: Streams) -> None:
    odd = ["", "tab\tline\n", "quote'\\\"", "{after:String}", "ü", "nul\x00", *(f"n{i}" for i in range(94))]
    events = [{"id": name, "prediction": 1, "timestamp": T0_MS + i} for i, name in enumerate(odd)]
    again = [event | {"version": "2"} for event in events[:60]]
    streams.take("inference", 0, events + again, T0_MS + 1_000)
    labels = [{"id": name, "label": i % 2, "timestamp": T0_MS} for i, name in enumerate(odd)]
    streams.take("label", 1, labels + labels[:30], T0_MS + 1_000)
    reached, _ = streams.reached()
    whole = list(streams.store().read("m", [T0_MS], reached).pieces)
    pieces = list(streams.store().read("m", [T0_MS], reached, at_once=7).pieces)
    assert (len(whole), len(pieces)) == (1, 160 // 7 + 1)
    for table in (0, 1):
        ids = [name for piece in pieces for name in piece[table].column("prediction_id").to_pylist()]
        assert sorted(ids) == sorted(whole[0][table].column("prediction_id").to_pylist())
    assert all(set(piece[0].column("prediction_id").to_pylist()) for piece in pieces)
    for predictions, said in pieces:
        assert set(said.column("prediction_id").to_pylist()) == set(
            predictions.column("prediction_id").to_pylist()
        )


def test_a_large_pane_adds_up_from_its_pieces(embedded_database: Any) -> None:
    streams = Streams(embedded_database, rows_at_once=50)
    events = [{"id": f"e{i % 150}", "prediction": 1, "timestamp": T0_MS + i} for i in range(200)]
    streams.take("inference", 0, events, T0_MS + 1_000)
    streams.advance(T0_MS + 3 * HOUR_MS)
    labels = [{"id": f"e{i}", "label": i % 2, "timestamp": T0_MS + 700_000} for i in range(150)]
    streams.take("label", 0, labels, T0_MS + 3 * HOUR_MS)
    streams.join()
    assert streams.quality() == {T0_MS: (150, 150, 0.5)}
    assert streams.joiner.counters.rows_read == 150 + 150


def test_a_pane_that_came_late_as_a_whole_is_as_large_as_its_raw_rows(streams: Streams) -> None:
    streams.take("inference", 0, [{"id": "now", "prediction": 1, "timestamp": T0_MS + 9 * HOUR_MS}], T0_MS)
    streams.advance(T0_MS + 9 * HOUR_MS)
    events = [{"id": f"e{i}", "prediction": 1, "timestamp": T0_MS + i} for i in range(200)]
    streams.take("inference", 0, events, T0_MS + 9 * HOUR_MS)
    streams.advance(T0_MS + 9 * HOUR_MS + 1)
    assert T0_MS not in streams.quality()
    assert streams.store().sizes("m", [T0_MS, T0_MS + WIDTH_MS]) == {T0_MS: 200}


def test_a_joined_pane_is_left_alone_until_something_touches_it_again(streams: Streams) -> None:
    play(streams, seed=2, count=60)
    streams.advance(streams.now_ms + 3 * HOUR_MS)
    streams.join()
    published = len(streams.published)
    joined, looked_up = streams.joiner.counters.panes_joined, streams.joiner.counters.labels_looked_up
    streams.join()
    assert (streams.joiner.counters.panes_joined, len(streams.published)) == (joined, published)
    assert streams.joiner.counters.labels_looked_up == looked_up
    streams.take("label", 0, [{"id": "p0", "label": 9, "timestamp": streams.now_ms}], streams.now_ms)
    streams.join()
    assert streams.joiner.counters.panes_joined == joined + 1


def test_a_restart_knows_which_panes_wait_and_how_far_it_has_looked(streams: Streams) -> None:
    predictions, labels = play(streams, seed=3, count=60)
    streams.advance(streams.now_ms + 3 * HOUR_MS)
    streams.now_ms += 1
    streams.joiner.run(*streams.reached(), streams.now_ms)  # finds them, and is killed before their turn
    assert streams.joiner.counters.panes_waiting
    streams.joiner.connect(streams.store())
    looked_up = streams.joiner.counters.labels_looked_up
    streams.now_ms += 61
    streams.joiner.run(*streams.reached(), streams.now_ms)
    expected = truth(predictions, labels)
    assert streams.quality() == {start: pytest.approx(row) for start, row in expected.items()}
    assert streams.joiner.counters.labels_looked_up == looked_up


def test_a_label_without_a_prediction_stays_open_and_finds_it_days_later(streams: Streams) -> None:
    made_ms = T0_MS + 30 * HOUR_MS
    streams.take("label", 1, [{"id": "a", "label": 1, "timestamp": T0_MS}], T0_MS + 1)
    streams.advance(T0_MS + 3 * HOUR_MS)  # the label has left memory
    streams.join()
    assert streams.joiner.counters.open_labels == 1
    streams.take("inference", 1, [{"id": "a", "prediction": 1, "timestamp": made_ms}], made_ms + 1)
    streams.advance(made_ms + 3 * HOUR_MS)
    assert streams.quality()[made_ms] == (1, 0, None)
    streams.now_ms += 24 * HOUR_MS
    streams.join()
    assert streams.quality()[made_ms] == (1, 1, 1.0)
    assert streams.joiner.counters.open_labels == 0


def test_a_prediction_evicted_by_full_memory_gets_its_label_all_the_same(streams: Streams) -> None:
    events = [{"id": f"e{i}", "prediction": 1, "timestamp": T0_MS + i * 1000} for i in range(600)]
    stage = streams.stages[0]
    stage.limit_waiting(1)
    streams.take("inference", 0, events, T0_MS + 600_000)
    assert stage.floor_ms > T0_MS
    labels = [{"id": f"e{i}", "label": i % 2, "timestamp": T0_MS + 700_000} for i in range(600)]
    streams.take("label", 0, labels, T0_MS + 700_000)
    streams.advance(T0_MS + 4 * HOUR_MS)
    assert streams.quality() != {s: pytest.approx(row) for s, row in truth(events, labels).items()}
    streams.join()
    assert streams.quality() == {s: pytest.approx(row) for s, row in truth(events, labels).items()}


def test_implicit_labels_of_evicted_predictions_are_given_when_they_are_due(embedded_database: Any) -> None:
    streams = Streams(embedded_database, implicit_after_ms=HOUR_MS // 2)
    events = [{"id": f"e{i}", "prediction": 1, "timestamp": T0_MS + i * 1000} for i in range(600)]
    streams.stages[0].limit_waiting(1)
    streams.take("inference", 0, events, T0_MS + 600_000)
    streams.advance(T0_MS + 610_000)
    streams.join()
    evicted_until_ms = streams.stages[0].floor_ms
    assert evicted_until_ms > T0_MS
    streams.advance(T0_MS + 4 * HOUR_MS)
    assert streams.quality()[T0_MS] == (60, 0, None)
    streams.join()
    assert streams.quality() == {T0_MS + i * WIDTH_MS: (60, 60, 1.0) for i in range(10)}


def test_implicit_labels_that_memory_gave_touch_nothing(embedded_database: Any) -> None:
    streams = Streams(embedded_database, implicit_after_ms=HOUR_MS)
    for i in range(5):
        at_ms = T0_MS + i * HOUR_MS // 2
        streams.take("inference", 0, [{"id": f"h{i}", "prediction": 1, "timestamp": at_ms}], at_ms + 1)
        streams.advance(at_ms + 10)
        streams.join()
    streams.advance(T0_MS + 4 * HOUR_MS)
    streams.join()
    assert streams.quality() == {T0_MS + i * HOUR_MS // 2: (1, 1, 1.0) for i in range(5)}
    assert (streams.joiner.counters.panes_joined, streams.joiner.counters.panes_waiting) == (0, 0)


def test_a_prediction_in_two_partitions_counts_once_when_memory_let_go_of_it(streams: Streams) -> None:
    twice, once = ({"id": name, "prediction": 1, "timestamp": T0_MS} for name in "ab")
    other_version = twice | {"version": "2"}
    streams.take("inference", 0, [twice, once], T0_MS + 1)
    streams.take("inference", 1, [twice], T0_MS + 2)
    streams.take("inference", 2, [once | {"id": "c", "timestamp": T0_MS + HOUR_MS}], T0_MS + HOUR_MS + 1)
    streams.take("inference", 0, [other_version], T0_MS + 3)
    streams.take("label", 0, [{"id": "a", "label": 1, "timestamp": T0_MS}], T0_MS + 4)
    streams.advance(T0_MS + HOUR_MS // 2)
    streams.join()
    assert streams.quality() == {T0_MS: (4, 2, 1.0), T0_MS + HOUR_MS: (1, 0, None)}  # still in memory
    streams.advance(T0_MS + 3 * HOUR_MS)
    streams.join()
    assert streams.quality() == {T0_MS: (3, 2, 1.0), T0_MS + HOUR_MS: (1, 0, None)}
    assert streams.joiner.counters.panes_joined == 1
    assert streams.joiner.counters.swept_ms == T0_MS + 2 * HOUR_MS


def test_a_sweep_goes_on_where_another_was_stopped(streams: Streams) -> None:
    event = {"prediction": 1, "timestamp": T0_MS}
    for i in range(4):
        at_ms = T0_MS + i * HOUR_MS
        for part in (0, 1):
            streams.take("inference", part, [event | {"id": f"r{i}", "timestamp": at_ms}], at_ms + 1)
    streams.advance(T0_MS + 9 * HOUR_MS)
    asked = iter([True, True])  # then the turn is lost
    streams.joiner.run(*streams.reached(), streams.now_ms, lambda: next(asked, False))
    assert streams.joiner.counters.panes_waiting == 2
    store = CountingStore(streams)
    streams.joiner.connect(store)
    streams.join()
    assert store.hours_asked == [T0_MS + 2 * HOUR_MS, T0_MS + 3 * HOUR_MS]
    assert streams.quality() == {T0_MS + i * HOUR_MS: (1, 0, None) for i in range(4)}
    streams.joiner.connect(store)
    streams.join()
    assert len(store.hours_asked) == 2
    assert streams.joiner.counters.panes_joined == 4


def test_a_pane_above_any_partition_s_floor_waits(streams: Streams) -> None:
    streams.take("inference", 0, [{"id": "a", "prediction": 1, "timestamp": T0_MS}], T0_MS + 1)
    streams.advance(T0_MS + 30 * 60_000)
    streams.take("label", 1, [{"id": "a", "label": 1, "timestamp": T0_MS}], T0_MS + 30 * 60_000)
    for stage in streams.stages[:2]:
        stage.advance(T0_MS + 3 * HOUR_MS, T0_MS + 3 * HOUR_MS)
    streams.now_ms = T0_MS + 3 * HOUR_MS
    streams.join()
    assert (streams.joiner.counters.panes_waiting, streams.joiner.counters.panes_joined) == (1, 0)
    streams.advance(T0_MS + 3 * HOUR_MS)
    streams.join()
    assert (streams.joiner.counters.panes_waiting, streams.joiner.counters.panes_joined) == (0, 1)
    assert streams.quality()[T0_MS] == (1, 1, 1.0)


def test_a_pane_whose_raw_rows_may_have_expired_stays_as_it_is(streams: Streams) -> None:
    streams.take("inference", 0, [{"id": "a", "prediction": 1, "timestamp": T0_MS}], T0_MS + 1)
    streams.advance(T0_MS + 3 * HOUR_MS)
    streams.take("label", 0, [{"id": "a", "label": 1, "timestamp": T0_MS}], T0_MS + 3 * HOUR_MS)
    before = streams.quality()
    streams.now_ms = T0_MS + 90 * 24 * HOUR_MS
    streams.join()
    assert streams.joiner.counters.panes_expired == 1
    assert streams.joiner.counters.panes_waiting == 0
    assert streams.quality() == before


def test_nothing_is_looked_up_where_every_label_finds_its_prediction(streams: Streams) -> None:
    for i in range(5):
        at_ms = T0_MS + i * HOUR_MS
        streams.take("inference", 0, [{"id": f"h{i}", "prediction": 1, "timestamp": at_ms}], at_ms + 1)
        streams.take("label", 0, [{"id": f"h{i}", "label": 1, "timestamp": at_ms}], at_ms + 2)
        streams.advance(at_ms + 10)
        streams.join()
    counters = streams.joiner.counters
    assert (counters.labels_looked_up, counters.panes_joined, counters.rows_read) == (0, 0, 0)
