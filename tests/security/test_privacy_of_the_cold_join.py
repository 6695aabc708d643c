"""The cold join reads raw rows that are treated already: hashes stay what they are, and late labels count."""

import json
import time
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

import numpy as np
import pytest

from schemas.findings import Progress
from schemas.privacy import PrivacySettings, read_rule
from schemas.records import RawBatch
from schemas.settings import JoinSettings, MonitorSettings
from sinks.clickhouse.client import Client, connect
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.writers import Writer
from sinks.cold import ColdJoiner, ColdSettings, Reached
from sinks.cold.store import ColdStore
from streams.cold import join_cold
from streams.decode import Decoder
from streams.partition import PartitionStage

HOUR_MS, WIDTH_MS = 3_600_000, 60_000
T0_MS = int(time.time()) // 3_600 * HOUR_MS - 6 * HOUR_MS  # ClickHouse lets go of raw rows after 90 days
KEY = b"a key of the tests"
RULES = tuple(
    read_rule("hash", text) for text in ("prediction_id", "segments.customer", "features.customer", "source")
)
CUSTOMERS = ("alice", "bob", "carol")


@pytest.fixture(scope="module")
def store(engine_url: str) -> Iterator[Client]:
    client = connect(engine_url)
    migrate(client, "cold_privacy")
    client.close()
    client = connect(engine_url, database="cold_privacy")
    yield client
    client.close()


def batch(topic: str, records: list[dict[str, Any]], at_ms: int) -> RawBatch:
    n = len(records)
    values = [json.dumps(record).encode() for record in records]
    return RawBatch(topic, 0, np.arange(n), np.full(n, at_ms), [None] * n, values)


def test_late_labels_meet_hashed_predictions_and_no_hash_is_hashed_again(store: Client) -> None:
    decoder = Decoder(privacy=PrivacySettings(RULES, KEY, keeps_payload=False))
    settings, writer = MonitorSettings(pane_width_ms=WIDTH_MS), Writer(store, "cold_privacy")
    stage = PartitionStage(0, 1, 0, JoinSettings(HOUR_MS), settings)
    predictions, labels = [], []
    for i in range(90):
        who = CUSTOMERS[i % 3]
        predictions.append(
            {"prediction_id": f"{who}-{i}", "model": "m", "prediction": 1, "timestamp": T0_MS + i}
            | {"segments": {"customer": who}, "features": {"customer": who}}
        )
        label = {"prediction_id": f"{who}-{i}", "label": int(i % 9 > 0), "source": who}
        labels.append(label | {"timestamp": T0_MS + HOUR_MS})
    decoded = decoder.decode_inference(batch("inference-events", predictions, T0_MS + 100))
    writer.write_predictions(decoded.columns, "inference-events", 0)
    stage.apply_inference(decoded)

    def told(now_ms: int) -> None:
        stage.advance(now_ms, now_ms)
        writer.write_rollups(stage.take_changed())
        writer.write_features(stage.take_changed_features())

    told(T0_MS + 3 * HOUR_MS)
    now_ms = T0_MS + 4 * HOUR_MS
    late = decoder.decode_labels(batch("label-events", labels, now_ms))
    writer.write_labels(late.columns, "label-events", 0)
    stage.apply_labels(late)
    told(now_ms)
    assert quality(store) == dict.fromkeys(hashed(*CUSTOMERS), (30, 0, None))

    def compute(raw: Any, reached: Reached) -> Any:
        return join_cold(
            raw.pieces, raw.counted, raw.counted_features,
            monitor=settings, as_of_ms=reached.as_of_ms, bound=reached.bound,
        )  # fmt: skip

    def publish(rows: Any) -> None:
        writer.write_rollups(rows.panes)
        writer.write_features(rows.features)

    joiner = ColdJoiner(ColdSettings(WIDTH_MS, interval_ms=1), compute, publish)
    joiner.connect(ColdStore(store, "cold_privacy", "inference-events", WIDTH_MS))
    for _ in range(2):
        now_ms += 61
        join = stage.counters.join
        unmatched = join.waiting + join.cold_labels + join.cold_predictions
        progress = Progress(
            0, 1, 1, now_ms, now_ms, True, stage.floor_ms, stage.next_inference_offset,
            stage.next_label_offset, unmatched,
        )  # fmt: skip
        joiner.run(Reached((progress,), (90,), (90,)), {0}, now_ms)
    right = {who: sum(i % 9 > 0 for i in range(90) if CUSTOMERS[i % 3] == who) / 30 for who in CUSTOMERS}
    expected = zip(hashed(*CUSTOMERS), right.values(), strict=True)
    assert quality(store) == {segment: (30, 30, share) for segment, share in expected}


def hashed(*customers: str) -> list[str]:
    key = blake2b(KEY, digest_size=32, person=b"aftcast privacy").digest()
    return ["customer=" + blake2b(who.encode(), key=key, digest_size=16).hexdigest() for who in customers]


def quality(store: Client) -> dict[str, tuple[int, int, float | None]]:
    rows = store.rows(
        "SELECT segment, predictions, labelled, accuracy FROM model_quality(window_seconds = 60) "
        "WHERE segment != ''"
    )
    return {row["segment"]: (row["predictions"], row["labelled"], row["accuracy"]) for row in rows}
