"""A worker that is killed around its transactions tells each alert and each drift once, on a real Kafka."""

import itertools
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from schemas import messages
from schemas.findings import AlertEvent, DriftEvent, Progress
from schemas.panes import PANE_COLUMNS
from schemas.settings import MonitorSettings, RuleSettings
from streams.monitor import Follower
from streams.worker.journal import POSITION_KEY
from streams.worker.settings import TopicNames, WorkerSettings

pytestmark = pytest.mark.kafka
_names = itertools.count()
MINUTE_MS = 60_000
PARTITIONS, MINUTES = 2, 150
RULES = (RuleSettings("accuracy-low", "accuracy", below=0.85, window_ms=10 * MINUTE_MS, min_labelled=100),)
MONITOR = MonitorSettings(maturity_horizon_ms=5 * MINUTE_MS, rules=RULES)

# Dies at its own hands around the commit of a transaction that holds alerts: before it, or right after.
PROCESS = """
import os, sys, msgspec
from streams.decode import Decoder
from streams.worker.run import run_worker
from streams.worker.settings import WorkerSettings
from streams.worker.transactions import Transactions
settings = msgspec.json.decode(sys.argv[1], type=WorkerSettings)
when, nth = sys.argv[2], int(sys.argv[3])
send, commit = Transactions.send, Transactions._commit
left = {}

async def noted_send(self, messages):
    global nth
    left[self] = sum(message.topic == settings.topics.alerts for message in messages)
    await send(self, messages)

def dying_commit(self):
    global nth
    nth -= bool(left.get(self))
    dies = nth == 0 and left.get(self)
    if dies and when == "before":
        os.kill(os.getpid(), 9)
    commit(self)
    if dies and when == "after":
        os.kill(os.getpid(), 9)

Transactions.send, Transactions._commit = noted_send, dying_commit
sys.exit(run_worker(settings, Decoder(), on_ready=lambda worker: print("READY", flush=True)))
"""


@dataclass
class Scene:
    kafka: str
    topics: TopicNames
    directory: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, when: str = "never", nth: int = 0) -> subprocess.Popen[bytes]:
        settings = WorkerSettings(
            {"bootstrap.servers": self.kafka}, group=self.topics.inference, topics=self.topics,
            monitor=MONITOR, instance="only-one", heartbeat_s=0.5, send_interval_s=0.05,
            # A position a time that it is asked: the journal then says when that was.
            journal_interval_s=0.0, snapshot_interval_s=0.7,
        )  # fmt: skip
        told = msgspec.json.encode(settings).decode()
        with (self.directory / f"{len(self.processes)}.log").open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-c", PROCESS, told, when, str(nth)],
                stdout=out, stderr=out, cwd=self.directory,
            )  # fmt: skip
        self.processes.append(process)
        return process

    def log(self) -> str:
        return "\n".join(path.read_text() for path in sorted(self.directory.glob("*.log")))

    def read(
        self, topic: str, partition: int | None = None, isolation: str = "read_committed"
    ) -> Iterator[Message]:
        """Yield what a partition of a topic holds by now, or all of them hold, one after the other."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.kafka, "group.id": "reader", "enable.partition.eof": True,
                "isolation.level": isolation,
            }
        )  # fmt: skip
        try:
            every = sorted(consumer.list_topics(topic, 10).topics[topic].partitions)
            for one in every if partition is None else [partition]:
                at = TopicPartition(topic, one, 0)
                consumer.assign([at])
                # A worker at work writes without end.
                _, end = consumer.get_watermark_offsets(at, 10)
                while not (message := consumer.poll(20)).error() and message.offset() < end:
                    yield message
        finally:
            consumer.close()

    def alerts(self, isolation: str = "read_committed") -> list[AlertEvent]:
        values = [json.loads(one.value()) for one in self.read(self.topics.alerts, isolation=isolation)]
        return [alert for alert in map(messages.alert_of, values) if alert.model]

    def drifts(self) -> list[DriftEvent]:
        found = [one for one in self.read(self.topics.findings) if kind_of(one) == messages.DRIFT]
        return [messages.decode(one.value(), DriftEvent) for one in found]


def kind_of(message: Message) -> bytes | None:
    return messages.header_of(message.headers())


@pytest.fixture
def scene(kafka: str, create_topic: Callable[..., str], tmp_path: Path) -> Iterator[Scene]:
    names = {name: f"{name.replace('_', '-')}-journal-{next(_names)}" for name in TopicNames.__slots__}
    for name, topic in names.items():
        config = {"cleanup.policy": "compact"} if name in ("state", "journal") else {}
        create_topic(topic, PARTITIONS if name in ("pane_updates", "journal") else 1, config)
    scene = Scene(kafka, TopicNames(**names), tmp_path)
    yield scene
    for process in scene.processes:
        process.kill()
        process.wait()


def pane(start_ms: int, model: str, n: int, wrong: int) -> pa.RecordBatch:
    values: dict[str, object] = {"model": model, "pane_start": start_ms, "revision": 1, "hits": n - wrong}
    values |= dict.fromkeys(("predictions", "strings", "labelled", "class_n"), n)
    columns = []
    for column in PANE_COLUMNS:
        kind = column.type
        empty = [] if pa.types.is_map(kind) or pa.types.is_list(kind) else 0
        value = values.get(column.name, "" if pa.types.is_string(kind) else empty)
        columns.append(pa.array([value], kind))
    return pa.RecordBatch.from_arrays(columns, schema=PANE_COLUMNS)


def minutes(begin_ms: int) -> Iterator[list[tuple[int, bytes, bytes]]]:
    """Yield, minute by minute, messages with their partition: a model each, wrong for a while."""
    for i in range(MINUTES):
        told = []
        for partition in range(PARTITIONS):
            rng = np.random.default_rng((partition, i))
            bad = 40 + 10 * partition <= i < 75
            wrong = int(rng.binomial(150, 0.45 if bad else 0.05))
            rows = pane(begin_ms + i * MINUTE_MS, f"m{partition}", 150, wrong)
            told.append((partition, messages.PANES, messages.encode_panes(rows)))
            # Of a claim so late that nothing of the worker's own says that it is later, or earlier.
            at_ms = begin_ms + (i + 1) * MINUTE_MS
            progress = Progress(0, 1, 1_000_000, at_ms, at_ms, True)
            told.append((partition, messages.PROGRESS, messages.encode(progress)))
        yield told


def asked(scene: Scene, partition: int) -> set[int]:
    """Return the offsets of pane-updates at which what a worker found was written down."""
    found = [one for one in scene.read(scene.topics.journal, partition) if one.key() == POSITION_KEY]
    positions = [json.loads(one.value()) for one in found]
    return {offset for position in positions for offset in (*position["cuts"], position["offset"])}


def undisturbed(scene: Scene, partition: int) -> tuple[list[AlertEvent], list[DriftEvent]]:
    """Return what one monitor finds that lives on, and is asked where the workers were.

    When they are is the machine's to say, and what fires and ends in between is not seen.
    """
    follower, alerts, drifts = Follower(MONITOR, 0), [], []
    at = asked(scene, partition)
    for message in scene.read(scene.topics.pane_updates, partition):
        follower.take(message.offset(), kind_of(message), message.value())
        if follower.next_offset in at:
            for found in follower.cut():
                alerts += found.alerts
                drifts += found.drifts
    return [alert for alert in alerts if alert.model], drifts


def test_a_worker_killed_around_its_transactions_tells_each_alert_and_drift_once(scene: Scene) -> None:
    producer = Producer({"bootstrap.servers": scene.kafka})
    kills = iter([("before", 1), ("after", 1), ("before", 1), ("never", 0)])
    process = scene.start(*next(kills))
    started, deadline_s = 1, time.monotonic() + 200
    begin_ms = (time.time_ns() // 1_000_000 // MINUTE_MS + 60) * MINUTE_MS
    for i, told in enumerate(minutes(begin_ms)):
        for partition, kind, value in told:
            producer.produce(
                scene.topics.pane_updates, value, partition=partition,
                headers=[(messages.KIND_HEADER, kind)],
            )  # fmt: skip
        assert producer.flush(20) == 0
        # Workers find what they die of while it fires, and again once it is over; the rest waits for them.
        while started < {75: 3, 110: 4}.get(i, 0) and time.monotonic() < deadline_s:
            if process.poll() is not None:
                process = scene.start(*next(kills))
                started += 1
            time.sleep(0.05)
    assert started == 4, scene.log()
    fed = [max(one.offset() for one in scene.read(scene.topics.pane_updates, p)) for p in range(PARTITIONS)]
    while not all(max(asked(scene, p), default=-1) > fed[p] for p in range(PARTITIONS)):
        assert time.monotonic() < deadline_s, scene.log()
        assert process.poll() is None, scene.log()
        time.sleep(0.5)
    process.terminate()
    assert process.wait(60) == 0, scene.log()
    expected = [undisturbed(scene, partition) for partition in range(PARTITIONS)]
    alerts = [alert for found, _ in expected for alert in found]
    drifts = [drift for _, found in expected for drift in found]
    assert len(alerts) >= 4
    assert {"firing", "resolved"} <= {alert.status for alert in alerts}
    assert len(drifts) >= 2
    told_alerts = scene.alerts()
    assert Counter(a.event_id for a in told_alerts) == Counter(a.event_id for a in alerts), scene.log()
    assert sorted(scene.drifts(), key=repr) == sorted(drifts, key=repr)
    # Fires and ends in turn.
    for name in {alert.fingerprint for alert in told_alerts}:
        lives = [
            a.status for a in told_alerts if a.fingerprint == name and a.status in ("firing", "resolved")
        ]
        assert lives == ["firing", "resolved"] * (len(lives) // 2)
    # Who reads what is not committed sees some twice, and can drop them by their id.
    uncommitted = {alert.event_id: alert for alert in scene.alerts(isolation="read_uncommitted")}
    assert uncommitted.keys() == {alert.event_id for alert in alerts}
