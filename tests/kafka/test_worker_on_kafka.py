"""The worker on a real Kafka: counts that add up, whoever is killed, and a clean end."""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from aftcast.kafka_broker import KafkaBroker
from schemas import messages
from schemas.panes import COUNTS
from streams.worker.settings import TopicNames

pytestmark = pytest.mark.kafka
_names = itertools.count()

PROCESS = """
import json, sys
from streams.decode import Decoder
from streams.worker.run import run_worker
from streams.worker.settings import TopicNames, WorkerSettings
told = json.loads(sys.argv[1])
settings = WorkerSettings(**{**told, "topics": TopicNames(**told["topics"])})
sys.exit(run_worker(settings, Decoder(), on_ready=lambda worker: print("READY", flush=True)))
"""


@dataclass
class Place:
    """The topics of one test, and the worker processes that it started."""

    kafka: str
    topics: dict[str, str]
    directory: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, **more: object) -> subprocess.Popen[bytes]:
        log = self.directory / f"worker-{len(self.processes)}.log"
        told = {"kafka": {"bootstrap.servers": self.kafka}, "group": self.topics["inference"]}
        told |= {"topics": self.topics, "heartbeat_s": 0.5, **more}
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-c", PROCESS, json.dumps(told)],
                stdout=out,
                stderr=out,
                cwd=self.directory,
            )
        self.processes.append(process)
        return process

    def log(self, number: int = 0) -> str:
        return (self.directory / f"worker-{number}.log").read_text()

    def await_ready(self, number: int = 0) -> None:
        until(lambda: "READY" in self.log(number), lambda: self.log(number))

    def send(self, numbers: range, *, labels: bool = False) -> None:
        producer = Producer({"bootstrap.servers": self.kafka, "partitioner": "murmur2_random"})
        for number in numbers:
            self.produce(producer, number, labels=labels)
        assert producer.flush(20) == 0

    def produce(self, producer: Producer, number: int, *, labels: bool = False) -> None:
        now_ms, name = time.time_ns() // 1_000_000, f"p{number}"
        event: dict[str, object] = {"prediction_id": name, "model": "fraud", "timestamp": now_ms}
        if labels:
            event |= {"label": number % 2 == 0}
        else:
            event |= {"prediction": number % 3 == 0, "latency_ms": 1.0}
        topic = self.topics["labels" if labels else "inference"]
        producer.produce(topic, json.dumps(event).encode(), name.encode())
        producer.poll(0)

    def read(self, topic: str) -> Iterator[tuple[bytes | None, bytes]]:
        """Yield kind and value of everything a topic holds."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.kafka,
                "group.id": "reader",
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 10,  # the end is told by an empty answer, and workers write all the time
            }
        )
        try:
            partitions = consumer.list_topics(topic, 10).topics[topic].partitions
            consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
            left = len(partitions)
            while left:
                message = consumer.poll(10)
                assert message is not None
                if message.error():
                    left -= 1
                    continue
                yield messages.header_of(message.headers()), message.value()
        finally:
            consumer.close()

    def counts(self) -> dict[str, int]:
        """Add up the newest row of each pane and partition, all traffic."""
        newest: dict[tuple[object, ...], dict[str, int]] = {}
        for kind, value in self.read(self.topics["pane_updates"]):
            if kind != messages.PANES:
                continue
            for row in messages.decode_panes(value).to_pylist():
                key = tuple(row[name] for name in ("model", "model_version", "pane_start", "partition"))
                if row["segment"] == "" and row["revision"] > newest.get(key, {"revision": -1})["revision"]:
                    newest[key] = row
        return {name: sum(row[name] for row in newest.values()) for name in COUNTS}

    def partitions_counted(self) -> set[int]:
        """Return the input partitions that have sent rows."""
        return {
            row["partition"]
            for kind, value in self.read(self.topics["pane_updates"])
            if kind == messages.PANES
            for row in messages.decode_panes(value).to_pylist()
        }

    def await_counts(self, **expected: int) -> None:
        def reached() -> bool:
            counts = self.counts()
            return all(counts[name] == value for name, value in expected.items())

        until(reached, lambda: f"{self.counts()}\n{self.log()}")


def until(condition: Callable[[], bool], told: Callable[[], str], seconds: float = 90.0) -> None:
    deadline_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline_s and " stopped " not in told(), told()  # noqa: PT018
        time.sleep(0.1)


@pytest.fixture
def place(kafka: str, create_topic: Callable[..., str], tmp_path: Path) -> Iterator[Place]:
    number = next(_names)
    topics = {
        name: f"{TopicNames.__dataclass_fields__[name].default}-{number}" for name in TopicNames.__slots__
    }
    for name, topic in topics.items():
        partitions = {"lifecycle": 1, "alerts": 1, "findings": 1, "dead_letters": 1, "pane_updates": 2}
        config = {"cleanup.policy": "compact"} if name in ("state", "journal") else {}
        create_topic(topic, partitions.get(name, 3), config)
    scene = Place(kafka, topics, tmp_path)
    yield scene
    for process in scene.processes:
        process.kill()
        process.wait()


def test_events_come_out_as_pane_rows_whose_counts_add_up_and_sigterm_ends_with_code_0(place: Place) -> None:
    place.send(range(3_000))
    place.send(range(2_000), labels=True)
    worker = place.start()
    place.await_ready()
    place.await_counts(
        predictions=3_000, labelled=2_000, hits=sum((n % 2 == 0) == (n % 3 == 0) for n in range(2_000))
    )
    place.send(range(2_000, 2_500), labels=True)
    place.await_counts(predictions=3_000, labelled=2_500)
    began_s = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(10) == 0, place.log()
    assert time.monotonic() - began_s < 5
    assert [path.name for path in place.directory.iterdir()] == ["worker-0.log"]  # Faust likes to leave some


def test_when_one_of_two_workers_is_killed_nothing_is_lost_or_counted_twice(place: Place) -> None:
    victim = place.start()
    place.await_ready(0)
    place.start()
    place.await_ready(1)
    # What the first keeps when the second comes is not read again.
    until(lambda: re.search(r"assigned .*kept=\[\d", place.log(0)) is not None, lambda: place.log(0))
    place.send(range(2_000))
    place.await_counts(predictions=2_000)
    victim.send_signal(signal.SIGKILL)
    place.send(range(2_000, 3_000))
    place.send(range(1_500), labels=True)
    place.await_counts(predictions=3_000, labelled=1_500, duplicates=0)


def test_a_broker_that_dies_and_comes_back_is_waited_for_and_nothing_is_lost(tmp_path: Path) -> None:
    with KafkaBroker(tmp_path / "broker") as broker:
        topics = {name: f"topic-{name}" for name in TopicNames.__slots__}
        for name, topic in topics.items():
            broker.create_topic(
                topic, 1, {"cleanup.policy": "compact"} if name in ("state", "journal") else {}
            )
        place = Place(broker.bootstrap, topics, tmp_path)
        worker = place.start()
        try:
            place.await_ready()
            place.send(range(500))
            place.await_counts(predictions=500)
            broker.kill9()
            time.sleep(1)
            broker.start()
            place.send(range(500, 1_000))
            place.send(range(800), labels=True)
            place.await_counts(predictions=1_000, labelled=800, duplicates=0)
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(10) == 0, place.log()
        finally:
            worker.kill()
            worker.wait()


def test_a_broker_that_is_not_there_is_named_in_one_line(place: Place) -> None:
    place.kafka = "127.0.0.1:1"
    worker = place.start()
    assert worker.wait(30) == 1
    stopped = [line for line in place.log().splitlines() if "stopped" in line]
    assert len(stopped) == 1
    assert "Kafka: not reachable at 127.0.0.1:1" in stopped[0]
    assert "Traceback" not in place.log()


def test_topics_that_cannot_be_paired_are_refused_with_the_reason(
    place: Place, create_topic: Callable[..., str]
) -> None:
    place.topics["labels"] = create_topic(f"{place.topics['labels']}-other", 4)
    worker = place.start()
    assert worker.wait(20) == 1
    assert "has 3 partitions and" in place.log()
    assert "refusing to run" in place.log()
    assert "Traceback" not in place.log()


def test_a_record_that_no_one_can_read_is_sent_to_dead_letter_events_once(place: Place) -> None:
    producer = Producer({"bootstrap.servers": place.kafka})
    producer.produce(place.topics["inference"], b"{not json", b"key", partition=1)
    assert producer.flush(10) == 0
    place.send(range(100))
    first = place.start()
    place.await_ready()
    place.await_counts(predictions=100)
    first.send_signal(signal.SIGTERM)
    assert first.wait(10) == 0
    place.send(range(100, 200))
    place.start()
    place.await_counts(predictions=200)
    letters = [json.loads(value) for _, value in place.read(place.topics["dead_letters"])]
    assert [(letter["topic"], letter["partition"], letter["offset"]) for letter in letters] == [
        (place.topics["inference"], 1, 0)
    ]
    assert os.linesep not in letters[0]["reason"]


def test_without_any_broker_left_a_worker_still_ends_when_told_and_by_itself_with_the_reason(
    tmp_path: Path,
) -> None:
    broker = KafkaBroker(tmp_path / "broker")
    broker.start()
    topics = {name: f"topic-{name}" for name in TopicNames.__slots__}
    for name, topic in topics.items():
        broker.create_topic(topic, 1, {"cleanup.policy": "compact"} if name in ("state", "journal") else {})
    place = Place(broker.bootstrap, topics, tmp_path)
    told, left = place.start(), place.start(group="other")
    try:
        place.await_ready(0)
        place.await_ready(1)
        broker.kill9()
        told.send_signal(signal.SIGTERM)
        assert told.wait(30) == 0, place.log(0)
        assert left.wait(60) == 1, place.log(1)
        assert "not committed" in place.log(1)
    finally:
        broker.stop()
        for process in place.processes:
            process.kill()
            process.wait()
