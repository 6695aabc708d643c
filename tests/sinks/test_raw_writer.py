"""The raw role on a real Kafka: every record ends in its table once, whatever is away or starts again."""

import json
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from pane_oracle import Joined, pane_rows
from raw_records import T0_MS, WITHIN_S, Sender, inference, label, running, wait_until

from schemas.findings import AlertEvent, DriftEvent, ModelState
from schemas.messages import (
    DRIFT,
    PANES,
    PROGRESS,
    STATE,
    alert_document,
    dead_letter_document,
    encode,
    encode_panes,
)
from schemas.records import DeadLetter
from sinks.clickhouse.client import connect
from sinks.clickhouse.errors import RefusedError
from sinks.clickhouse.migrate import migrate
from sinks.raw_blocks import RawTopics
from sinks.raw_writer import RawWriter, RawWriterSettings
from streams.decode import Decoder

pytestmark = pytest.mark.kafka


@pytest.fixture
def topics(create_topic: Callable[..., str]) -> RawTopics:
    run = uuid.uuid4().hex[:8]
    return RawTopics(*(create_topic(f"{name}-{run}", 2) for name in RawTopics.__slots__))


def writer_of(database: Any, kafka: str, topics: RawTopics, group: str = "raw") -> RawWriter:
    settings = RawWriterSettings(
        {"bootstrap.servers": kafka}, topics, f"{group}-{topics.inference}", database.name, block_rows=2_000
    )
    return RawWriter(settings, lambda: connect(database.url), Decoder())


def counts(database: Any) -> dict[str, int]:
    tables = ("predictions", "labels", "rollups", "drift_events", "model_states", "alerts", "dead_letters")
    tables = (*tables, "lifecycle_events")
    query = " UNION ALL ".join(f"SELECT '{t}' AS name, count() AS n FROM {t} FINAL" for t in tables)  # noqa: S608
    return {row["name"]: row["n"] for row in database.client.rows(query)}


def send_one_of_each(sender: Sender, topics: RawTopics) -> dict[str, int]:
    for number in range(5_000):
        sender.send(topics.inference, inference(number))
        sender.send(topics.labels, label(number))
    sender.send(topics.inference, b'{"model": "m"}')
    sender.send(topics.lifecycle, json.dumps({"model": "m", "timestamp": T0_MS, "kind": "deployed"}).encode())
    sender.send(topics.lifecycle, b"no event")
    sender.send(topics.pane_updates, encode_panes(pane_rows([Joined(T0_MS, 1)])), PANES)
    sender.send(topics.pane_updates, encode_panes(pane_rows([Joined(T0_MS, 1)] * 2, revision=2)), PANES)
    sender.send(topics.pane_updates, b"{}", PROGRESS)
    sender.send(topics.pane_updates, b"of another version", PANES)
    drift = DriftEvent("m", "", "", "", "error", "ADWIN", T0_MS, T0_MS, T0_MS, 0.1, 0.2)
    sender.send(topics.findings, encode(drift), DRIFT)
    sender.send(topics.findings, encode(ModelState("m", "", "multiclass", T0_MS, T0_MS)), STATE)
    alert = AlertEvent(
        "e1",
        "f1",
        "firing",
        "page",
        "r",
        "drift",
        "m",
        T0_MS,
        T0_MS,
        T0_MS,
        T0_MS,
        "s",
        labels={"model": "m"},
    )
    for _ in range(2):
        sender.send(topics.alerts, json.dumps(alert_document(alert)).encode())
    letter = DeadLetter(topics.inference, 0, 17, "missing", "model", "{}", T0_MS)
    sender.send(topics.dead_letters, json.dumps(dead_letter_document(letter)).encode())
    sender.send(topics.dead_letters, b"[]")
    sender.flush()
    return {
        "predictions": 5_000,
        "labels": 5_000,
        "rollups": 1,
        "drift_events": 1,
        "model_states": 1,
        "alerts": 1,
        "dead_letters": 1,
        "lifecycle_events": 1,
    }


def test_every_record_ends_in_its_table_once_however_often_the_topics_are_read(
    embedded_database: Any, kafka: str, topics: RawTopics
) -> None:
    sender = Sender(kafka)
    expected = send_one_of_each(sender, topics)
    first = writer_of(embedded_database, kafka, topics)
    with running(first):
        wait_until(lambda: first.counters.written == sender.sent)
    assert counts(embedded_database) == expected
    counters = first.counters
    assert (counters.read, counters.waiting) == (sender.sent, 0)
    assert (counters.skipped, counters.unreadable, counters.gaps) == (2, 2, 0)
    rows = embedded_database.client.rows("SELECT predictions FROM model_quality(window_seconds = 60)")
    assert rows == [{"predictions": 2}]

    again = writer_of(embedded_database, kafka, topics, "another-group")
    with running(again):
        wait_until(lambda: again.counters.written == sender.sent)
    assert counts(embedded_database) == expected


def test_a_restart_goes_on_where_the_last_block_ended(
    embedded_database: Any, kafka: str, topics: RawTopics
) -> None:
    sender = Sender(kafka)
    for number in range(100):
        sender.send(topics.inference, inference(number))
    sender.flush()
    first = writer_of(embedded_database, kafka, topics)
    with running(first):
        wait_until(lambda: first.counters.written == 100)
    for number in range(100, 110):
        sender.send(topics.inference, inference(number))
    sender.flush()
    second = writer_of(embedded_database, kafka, topics)
    with running(second):
        wait_until(lambda: second.counters.written == 10)
    assert second.counters.read == 10
    assert counts(embedded_database)["predictions"] == 110


@contextmanager
def served(path: Path, port: int) -> Iterator[str]:
    command = [sys.executable, "-m", "sinks.clickhouse.http_server", str(path), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.kill()  # as if the machine had lost it


def test_clickhouse_killed_and_started_again_neither_loses_nor_doubles_a_row(
    tmp_path: Path, kafka: str, topics: RawTopics
) -> None:
    sender = Sender(kafka)
    for number in range(4_000):
        sender.send(topics.inference, inference(number))
    sender.flush()
    with served(tmp_path, 0) as url:
        client = connect(url)
        migrate(client, "aftcast")
        client.close()
    port = int(url.rsplit(":", 1)[1])
    settings = RawWriterSettings(
        {"bootstrap.servers": kafka}, topics, f"raw-{topics.inference}", block_rows=500, block_age_s=0.1
    )
    writer = RawWriter(settings, lambda: connect(url), Decoder())
    with running(writer):
        wait_until(lambda: writer.counters.retries > 0)
        assert writer.counters.written == 0
        assert 0 < writer.counters.waiting < 1_000  # one block, and not the next
        with served(tmp_path, port):
            wait_until(lambda: writer.counters.written >= 1_000)
        retries = writer.counters.retries
        for number in range(4_000, 6_000):
            sender.send(topics.inference, inference(number))
        sender.flush()
        wait_until(lambda: writer.counters.retries > retries)
        with served(tmp_path, port):
            wait_until(lambda: writer.counters.written == 6_000)
            client = connect(url, database="aftcast")
            query = "SELECT count() AS n, uniqExact(prediction_id) AS ids FROM predictions FINAL"
            assert client.rows(query) == [{"n": 6_000, "ids": 6_000}]
            client.close()


def test_a_registry_that_is_away_holds_the_block_and_sets_nothing_aside(
    embedded_database: Any, kafka: str, topics: RawTopics
) -> None:
    class AwayError(Exception):
        pass

    class DecoderOfLateRegistry(Decoder):
        calls = 0

        def decode_inference(self, raw: Any) -> Any:
            self.calls += 1
            if self.calls == 1:
                raise AwayError("schema registry: not reachable")
            return super().decode_inference(raw)

    sender = Sender(kafka)
    sender.send(topics.inference, inference(1))
    sender.flush()
    settings = RawWriterSettings(
        {"bootstrap.servers": kafka}, topics, f"raw-{topics.inference}", embedded_database.name
    )
    decoder = DecoderOfLateRegistry()
    writer = RawWriter(settings, lambda: connect(embedded_database.url), decoder, (AwayError,))
    with running(writer):
        wait_until(lambda: writer.counters.written == 1)
    assert (writer.counters.retries, writer.counters.skipped) == (1, 0)
    assert counts(embedded_database)["predictions"] == 1


def test_records_that_the_log_no_longer_holds_are_a_named_gap_and_the_rest_is_written(
    embedded_database: Any, kafka: str, topics: RawTopics
) -> None:
    sender = Sender(kafka)
    for number in range(20):
        sender.send(topics.inference, inference(number))
    sender.flush()
    first = writer_of(embedded_database, kafka, topics)
    with running(first):
        wait_until(lambda: first.counters.written == 20)
    for number in range(20, 60):
        sender.send(topics.inference, inference(number))
    sender.flush()
    admin = AdminClient({"bootstrap.servers": kafka})
    cut = TopicPartition(topics.inference, 0, 25)  # of 30; 10 were read
    for future in admin.delete_records([cut]).values():
        future.result(WITHIN_S)
    second = writer_of(embedded_database, kafka, topics)
    with running(second):
        wait_until(lambda: second.counters.written == 25)
    assert second.counters.gaps == 1
    assert counts(embedded_database)["predictions"] == 20 + 5 + 20


def test_tables_that_are_not_there_end_the_role_with_the_remedy(
    embedded_database: Any, kafka: str, topics: RawTopics
) -> None:
    sender = Sender(kafka)
    sender.send(topics.inference, inference(1))
    sender.flush()
    settings = RawWriterSettings({"bootstrap.servers": kafka}, topics, f"raw-{topics.inference}", "nowhere")
    writer = RawWriter(settings, lambda: connect(embedded_database.url), Decoder())
    with pytest.raises(RefusedError, match=r"aftcast setup$"):
        writer.run(threading.Event())
    assert (writer.counters.written, writer.counters.waiting) == (0, 1)
