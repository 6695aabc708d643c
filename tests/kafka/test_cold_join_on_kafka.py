"""The cold join on a real Kafka: what labels two days late do to pane-updates, with the raw role at work."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from confluent_kafka import Producer

from aftcast.cold_join import ColdThread
from aftcast.configuration import Configuration, Topics
from aftcast.working import hour_thread, open_database, raw_writer
from schemas.findings import Progress
from schemas.records import RawBatch
from schemas.settings import JoinSettings
from sinks.clickhouse.client import Client, connect
from sinks.clickhouse.migrate import migrate
from streams.decode import Decoder
from streams.partition import PartitionStage
from streams.worker.outgoing import dead_letter_messages, feature_messages, pane_messages, progress_messages
from streams.worker.transactions import Transactions, transaction_pool

pytestmark = pytest.mark.kafka
HOUR_MS = 3_600_000
PARTITIONS = 2
WITHIN_S = 60.0
NOW_MS = int(time.time()) // 60 * 60_000
T0_MS = NOW_MS - 60 * HOUR_MS


class Stream:
    """Stage 1 of both partitions, which sends what it counted in transactions as a worker does."""

    def __init__(self, configuration: Configuration, bootstrap: str) -> None:
        self.topics = configuration.topics
        self.stages = [
            PartitionStage(p, 1, 0, JoinSettings(6 * HOUR_MS), configuration.monitor_settings(), self._inputs)
            for p in range(PARTITIONS)
        ]
        self.producer = Producer({"bootstrap.servers": bootstrap})
        self.transactions = Transactions({"bootstrap.servers": bootstrap}, "stream", transaction_pool())
        self.offsets: dict[tuple[str, int], int] = defaultdict(int)

    @property
    def _inputs(self) -> tuple[str, str]:
        return self.topics.inference, self.topics.labels

    def take(self, kind: str, partition: int, events: list[dict[str, Any]], at_ms: int) -> None:
        topic = self.topics.inference if kind == "inference" else self.topics.labels
        values = [json.dumps(event).encode() for event in events]
        for value in values:
            self.producer.produce(topic, value, partition=partition, timestamp=at_ms)
        self.producer.flush()
        begin = self.offsets[topic, partition]
        self.offsets[topic, partition] += len(values)
        raw = RawBatch(
            topic, partition, np.arange(begin, begin + len(values)), np.full(len(values), at_ms),
            [None] * len(values), values,
        )  # fmt: skip
        stage, decoder = self.stages[partition], Decoder()
        if kind == "inference":
            stage.apply_inference(decoder.decode_inference(raw))
        else:
            stage.apply_labels(decoder.decode_labels(raw))

    async def send(self, now_ms: int) -> None:
        for p, stage in enumerate(self.stages):
            stage.advance(now_ms, now_ms)
            join = stage.counters.join
            progress = Progress(
                p, PARTITIONS, 1, now_ms, now_ms, True, stage.floor_ms,
                stage.next_inference_offset, stage.next_label_offset,
                join.waiting + join.cold_labels + join.cold_predictions,
            )  # fmt: skip
            topic = self.topics.pane_updates
            await self.transactions.send(
                [
                    *dead_letter_messages(self.topics.dead_letters, stage.take_dead_letters()),
                    *pane_messages(topic, stage.take_changed()),
                    *feature_messages(topic, stage.take_changed_features()),
                    *progress_messages(topic, PARTITIONS, progress),
                ]
            )


@pytest.fixture
def served_clickhouse(tmp_path: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "sinks.clickhouse.http_server", str(tmp_path / "served"), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        client = connect(url)
        migrate(client, "aftcast")
        client.close()
        yield url
        server.terminate()


@pytest.fixture
def configuration(kafka: str, create_topic: Callable[..., str], served_clickhouse: str) -> Configuration:
    run = time.time_ns()
    names = ("inference", "labels", "lifecycle", "alerts", "dead_letters", "pane_updates", "findings")
    return Configuration.model_validate(
        {
            "kafka": {"bootstrap_servers": kafka, "group": f"cold-{run}"},
            "topics": {name: create_topic(f"cold-{name}-{run}", PARTITIONS) for name in names},
            "clickhouse": {"url": served_clickhouse},
            "join": {"cold_interval": "100ms", "hot_horizon": "6h"},
        }
    )


@contextmanager
def raw_role(configuration: Configuration) -> Iterator[ColdThread]:
    stop = threading.Event()
    cold = ColdThread(configuration, lambda: open_database(configuration))
    writer = raw_writer(configuration, follower=cold)
    thread = threading.Thread(target=writer.run, args=(stop,))
    thread.start()
    cold.start()
    try:
        yield cold
    finally:
        cold.stop()
        stop.set()
        thread.join(WITHIN_S)


def prediction(number: int, made_ms: int, model: str = "m") -> dict[str, Any]:
    return {
        "prediction_id": f"{model}{number}",
        "model": model,
        "timestamp": made_ms,
        "prediction": number % 3,
        "features": {"x": number / 7},
    }


def label(number: int, value: int | None, known_ms: int, model: str = "m") -> dict[str, Any]:
    return {"prediction_id": f"{model}{number}", "label": value, "timestamp": known_ms}


def quality(client: Client) -> dict[tuple[str, int], tuple[int, int, float | None]]:
    rows = client.rows(
        "SELECT model, toUnixTimestamp(window_start) AS start, predictions, labelled, accuracy "
        "FROM model_quality(window_seconds = 3600) WHERE segment = ''"
    )
    return {
        (row["model"], row["start"] * 1000): (row["predictions"], row["labelled"], row["accuracy"])
        for row in rows
    }


def truth(
    predictions: list[dict[str, Any]], labels: list[dict[str, Any]]
) -> dict[tuple[str, int], tuple[int, int, float | None]]:
    best: dict[str, dict[str, Any]] = {}
    for said in sorted(labels, key=lambda said: said["timestamp"]):
        best[said["prediction_id"]] = said
    panes: dict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0, 0])
    for made in predictions:
        pane = panes[made["model"], made["timestamp"] // HOUR_MS * HOUR_MS]
        pane[0] += 1
        value = best.get(made["prediction_id"], {"label": None})["label"]
        pane[1] += value is not None
        pane[2] += value == made["prediction"]
    return {key: (n, said, right / said if said else None) for key, (n, said, right) in panes.items()}


def test_labels_two_days_late_and_all_other_late_events_end_in_model_quality(
    configuration: Configuration,
) -> None:
    stream = Stream(configuration, configuration.kafka.bootstrap_servers)
    asyncio.run(stream.transactions.claim())
    with raw_role(configuration) as cold:
        predictions = [prediction(i, T0_MS + i * 20_000, "mn"[i % 2]) for i in range(400)]
        for part in range(PARTITIONS):  # every sixteenth comes two days late
            made = [made for i, made in enumerate(predictions) if i % 16 and i // 2 % 2 == part]
            stream.take("inference", part, made, T0_MS + 3 * HOUR_MS)
        on_time = [label(i, i % 3, T0_MS + HOUR_MS, "mn"[i % 2]) for i in range(0, 400, 3)]
        for part in range(PARTITIONS):
            stream.take("label", part, on_time[part::2], T0_MS + 3 * HOUR_MS)  # some on another partition
        asyncio.run(stream.send(T0_MS + 3 * HOUR_MS))
        asyncio.run(stream.send(T0_MS + 48 * HOUR_MS))
        late_ms = T0_MS + 49 * HOUR_MS
        late = [label(i, (i + i // 5) % 3, late_ms, "mn"[i % 2]) for i in range(1, 400, 3)]
        corrected = [label(i, 1, late_ms, "mn"[i % 2]) for i in range(0, 400, 21)]
        withdrawn = [label(i, None, late_ms + 1, "mn"[i % 2]) for i in range(0, 400, 33)]
        labels = [*on_time, *late, *corrected, *withdrawn]
        for part in range(PARTITIONS):
            stream.take("label", part, [*late, *corrected, *withdrawn][part::2], late_ms + 2)
            stream.take(
                "inference", part, [m for i, m in enumerate(predictions) if i % 16 == 8 * part], late_ms
            )
        sent_ms = late_ms
        predictions = [made for i, made in enumerate(predictions) if i % 8 == 0 or i % 16]
        client = connect(configuration.clickhouse.url, database="aftcast")
        expected = {key: pytest.approx(row) for key, row in truth(predictions, labels).items()}
        deadline_s = time.monotonic() + WITHIN_S
        while quality(client) != expected:
            assert time.monotonic() < deadline_s, (quality(client), expected, cold.joiner.counters)
            sent_ms += 1_000
            asyncio.run(stream.send(sent_ms))
            time.sleep(0.3)
        assert cold.joiner.counters.panes_joined > 0
        client.close()
    stream.transactions.close()


def test_where_nothing_comes_late_nothing_is_joined_cold(configuration: Configuration) -> None:
    stream = Stream(configuration, configuration.kafka.bootstrap_servers)
    asyncio.run(stream.transactions.claim())
    with raw_role(configuration) as cold:
        made = [prediction(number, T0_MS + number * 1_000) for number in range(100)]
        stream.take("inference", 0, made, T0_MS + HOUR_MS)
        stream.take("label", 0, [label(i, 1, T0_MS) for i in range(100)], T0_MS + HOUR_MS)
        sent_ms = T0_MS + 2 * HOUR_MS
        deadline_s = time.monotonic() + WITHIN_S
        while cold.joiner.counters.last_run_ms is None or sent_ms < T0_MS + 12 * HOUR_MS:
            assert time.monotonic() < deadline_s
            asyncio.run(stream.send(sent_ms))
            sent_ms += HOUR_MS
            time.sleep(0.2)
        counters = cold.joiner.counters
        assert (counters.panes_joined, counters.labels_looked_up, counters.retries) == (0, 0, 0)
    stream.transactions.close()


def test_hours_are_added_up_in_the_process_that_has_the_turn(configuration: Configuration) -> None:
    client = connect(configuration.clickhouse.url, database="aftcast")
    client.command(
        "INSERT INTO rollups (model, pane_start, predictions) "  # noqa: S608
        f"SELECT 'm', toDateTime({T0_MS // 1000} + 60 * number, 'UTC'), 1 FROM numbers(60)"
    )
    # As if the panes had been written an hour ago.
    client.command("TRUNCATE TABLE hours")
    client.command(
        "INSERT INTO hours (model, hour_start, touched_at) "
        "SELECT DISTINCT model, toStartOfHour(pane_start), now64(3) - 3600 FROM rollups"
    )
    with raw_role(configuration) as cold:
        hours = hour_thread(configuration, cold)
        hours.start()
        deadline_s = time.monotonic() + WITHIN_S
        while not hours.counters.built or hours.counters.waiting.hours:
            assert time.monotonic() < deadline_s, hours.counters
            time.sleep(0.1)
        hours.stop()
        assert cold.has_turn
    (row,) = client.rows("SELECT sum(predictions) AS n FROM rollup_hours FINAL")
    assert (row["n"], hours.counters.retries) == (60, 0)
    client.close()


def test_a_worker_joins_labels_that_come_after_its_hot_horizon(
    kafka: str, served_clickhouse: str, tmp_path: Path
) -> None:
    run = time.time_ns()
    topics = {name: f"e2e-{name}-{run}" for name in Topics.model_fields if name != "partitions"}
    environment = {
        **os.environ,
        "AFTCAST_KAFKA__BOOTSTRAP_SERVERS": kafka,
        "AFTCAST_KAFKA__GROUP": f"e2e-{run}",
        "AFTCAST_CLICKHOUSE__URL": served_clickhouse,
        "AFTCAST_PANES__WIDTH": "1s",
        "AFTCAST_JOIN__HOT_HORIZON": "2s",
        "AFTCAST_JOIN__COLD_INTERVAL": "200ms",
        "AFTCAST_METRICS__PORT": "0",
        "AFTCAST_TOPICS__PARTITIONS": "2",
        **{f"AFTCAST_TOPICS__{name.upper()}": topic for name, topic in topics.items()},
    }
    aftcast = [sys.executable, "-m", "aftcast.cli"]
    subprocess.run([*aftcast, "setup"], env=environment, check=True, stdout=subprocess.DEVNULL)
    client = connect(served_clickhouse, database="aftcast")
    counted = (
        "SELECT sum(predictions) AS n, sum(labelled) AS labelled FROM model_quality(window_seconds = 60)"
    )
    cold = "SELECT sum(labelled) AS labelled FROM rollups FINAL WHERE partition = -1"
    log = tmp_path / "worker.log"
    producer = Producer({"bootstrap.servers": kafka, "partitioner": "murmur2_random"})
    with (
        log.open("wb") as out,
        subprocess.Popen([*aftcast, "worker"], env=environment, stdout=out, stderr=out) as worker,
    ):

        def wait_for(labelled: int) -> None:
            deadline_s = time.monotonic() + WITHIN_S
            while client.rows(counted) != [{"n": 200, "labelled": labelled}]:
                assert time.monotonic() < deadline_s, (client.rows(counted), log.read_text()[-3000:])
                assert worker.poll() is None, log.read_text()[-3000:]
                time.sleep(0.3)

        try:
            made_ms = int(time.time() * 1000)
            for i in range(200):
                made = {**prediction(i, made_ms - i), "features": {}}
                producer.produce(topics["inference"], json.dumps(made), f"m{i}")
            producer.flush()
            wait_for(0)
            time.sleep(4)  # the floor passes their panes
            for i in range(150):
                said = label(i, i % 3, int(time.time() * 1000))
                producer.produce(topics["labels"], json.dumps(said), f"m{i}")
            producer.flush()
            wait_for(150)
            assert client.rows(cold) == [{"labelled": 150}]
        finally:
            worker.terminate()
    client.close()
