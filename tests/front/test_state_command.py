"""`aftcast state` on a real Kafka: offsets and lags by partition, memory from a worker's own page."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from command_line import run as run_in
from confluent_kafka import Consumer, Producer, TopicPartition
from prometheus_client import CollectorRegistry, Gauge, start_http_server

from aftcast.configuration import Configuration
from aftcast.loading import load
from aftcast.metrics_reading import read_pages
from aftcast.state_looking import metrics_url, state_findings
from schemas.checkpoints import Checkpoint, FloorStep
from streams.worker.checkpoint_records import CheckpointRecords

Run = Callable[..., subprocess.CompletedProcess[str]]


def now_ms() -> int:
    return int(time.time() * 1000)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return partial(run_in, cwd=tmp_path)


@pytest.fixture
def environment(kafka: str, create_topic: Callable[..., str]) -> dict[str, str]:
    names = Configuration().topics.model_dump(exclude={"partitions"})
    run = f"state-test-{time.time_ns()}"
    found = {"AFTCAST_KAFKA__BOOTSTRAP_SERVERS": kafka, "AFTCAST_KAFKA__GROUP": run}
    for name, topic in names.items():
        config = {"cleanup.policy": "compact"} if name in ("state", "journal") else {}
        found[f"AFTCAST_TOPICS__{name.upper()}"] = create_topic(f"{run}-{topic}", 2, config)
    return found


def checkpoint(inference_offset: int, label_offset: int, behind_ms: int) -> Checkpoint:
    floor_ms = now_ms() - 86_400_000
    return Checkpoint(
        0, 4, inference_offset, label_offset, 1, 0, floor_ms, (FloorStep(floor_ms, 1, 1),),
        inference_ms=now_ms() - behind_ms, labels_ms=now_ms(),
    )  # fmt: skip


def send(environment: dict[str, str]) -> None:
    """Send ten predictions and four labels to partition 0, and two checkpoints of it."""
    producer = Producer({"bootstrap.servers": environment["AFTCAST_KAFKA__BOOTSTRAP_SERVERS"]})
    for _ in range(10):
        producer.produce(environment["AFTCAST_TOPICS__INFERENCE"], b"x", partition=0)
    for _ in range(4):
        producer.produce(environment["AFTCAST_TOPICS__LABELS"], b"x", partition=0)
    records = CheckpointRecords(environment["AFTCAST_TOPICS__STATE"])
    for at in (3, 7):
        for record in records.messages(checkpoint(at, 4, 90_000)):
            producer.produce(record.topic, record.value, record.key, partition=record.partition)
    assert producer.flush(20) == 0
    kafka, group = environment["AFTCAST_KAFKA__BOOTSTRAP_SERVERS"], environment["AFTCAST_KAFKA__GROUP"]
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": group + "-raw"})
    offsets = [TopicPartition(environment["AFTCAST_TOPICS__INFERENCE"], 0, 4)]
    (told,) = consumer.commit(offsets=offsets, asynchronous=False) or []
    assert told.error is None
    consumer.close()


@pytest.mark.kafka
def test_offsets_lags_and_what_a_worker_tells_stand_in_one_table(
    environment: dict[str, str], run: Run
) -> None:
    send(environment)
    registry = CollectorRegistry()
    for name, value in (
        ("aftcast_waiting_predictions", 1_234), ("aftcast_waiting_bytes", 2_500_000), ("aftcast_settled", 0),
        ("aftcast_restored_records", 30), ("aftcast_restore_records", 40),
    ):  # fmt: skip
        Gauge(name, "", ["partition"], registry=registry).labels("0").set(value)
    server, thread = start_http_server(0, "127.0.0.1", registry)
    page = f"http://127.0.0.1:{server.server_port}/metrics"
    try:
        shown = run("state", "--json", "--metrics", page, **environment)
        table = run("state", "--metrics", page, **environment)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert shown.returncode == 0, shown.stderr
    found = json.loads(shown.stdout)
    first, second = found["partitions"]
    kept, memory = first["checkpoint"], first["memory"]
    assert (kept["inference_offset"], kept["inference_lag"]) == (7, 3)
    assert (kept["label_offset"], kept["label_lag"], kept["epoch"]) == (4, 0, 4)
    assert 90 <= kept["lag_seconds"] < 200
    assert 0 <= kept["age_seconds"] < 100
    assert kept["restore_from_inference"] == 1
    assert (memory["waiting"], memory["waiting_bytes"], memory["restored"]) == (1234, 2_500_000, 0.75)
    assert (second["checkpoint"], second["memory"]) == (None, None)
    group, topics = environment["AFTCAST_KAFKA__GROUP"], load(environment=environment).topics
    lags = {(each["group"], each["topic"]): each["records"] for each in found["groups"]}
    assert lags[group + "-raw", topics.inference] == 6
    assert lags[group + "-raw", topics.labels] is None
    assert found["unread"] == {}
    assert table.returncode == 0, table.stderr
    row = next(line.split() for line in table.stdout.splitlines() if line.split()[:1] == ["0"])
    assert row[:5] == ["0", "7", "3", "4", "0"]
    assert row[-6:] == ["2.5", "MB", "0", "0.0", "MB", "75%"]
    (told,) = state_findings(load(environment=environment), now_ms() + 3_600_000)
    assert (told.grade, told.remedy) == ("warning", "start a worker: aftcast worker")
    assert told.text.startswith("none of partitions 0 for up to ")


@pytest.mark.kafka
def test_models_in_maintenance_are_named_by_state_by_check_and_by_alerts(
    environment: dict[str, str], run: Run
) -> None:
    topic = environment["AFTCAST_TOPICS__LIFECYCLE"]
    producer = Producer({"bootstrap.servers": environment["AFTCAST_KAFKA__BOOTSTRAP_SERVERS"]})
    for model, kind, minutes_ago in (
        ("done", "maintenance_started", 9), ("fraud", "maintenance_started", 5),
        ("done", "maintenance_ended", 4), ("price", "deployed", 3),
    ):  # fmt: skip
        event = {"model": model, "kind": kind, "timestamp": now_ms() - minutes_ago * 60_000}
        event |= {"message": "new GPU", "actor": "ann"}
        producer.produce(topic, json.dumps(event), model)
    producer.produce(topic, b"no event", "x")
    assert producer.flush(20) == 0
    said = r"fraud is in maintenance since 20\d\d-.{14} \(ann: new GPU\): no alert of it begins to fire"
    shown = run("state", **environment)
    assert shown.returncode == 0, shown.stderr
    assert re.findall(r".*maintenance.*", shown.stdout) == re.findall(said, shown.stdout) != []
    told = json.loads(run("state", "--json", **environment).stdout)["maintenance"]
    assert [(one["model"], one["actor"]) for one in told] == [("fraud", "ann")]
    texts = [one.text for one in state_findings(load(environment=environment), now_ms())]
    assert re.fullmatch(said, texts[0])
    alerts = run("alerts", "--no-follow", **environment)
    assert alerts.returncode == 0, alerts.stderr
    assert re.search(said, alerts.stderr)
    assert alerts.stdout == ""


@pytest.mark.kafka
def test_maintenance_that_begins_and_ends_while_alerts_are_followed_is_told_among_them(
    environment: dict[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "alerts"
    with log.open("wb") as file:
        command = [sys.executable, "-m", "aftcast.cli", "alerts"]
        following = subprocess.Popen(command, env=os.environ | environment, stdout=file, stderr=file)
    producer = Producer({"bootstrap.servers": environment["AFTCAST_KAFKA__BOOTSTRAP_SERVERS"]})
    topic, ends_s = environment["AFTCAST_TOPICS__LIFECYCLE"], time.monotonic() + 30
    try:
        # It says nothing of when it has begun to read, so the same is sent until it is shown.
        while "alerts fire again" not in log.read_text() and time.monotonic() < ends_s:
            for kind in ("maintenance_started", "retrained", "maintenance_ended"):
                event = {"model": "fraud", "model_version": "3.1", "kind": kind, "timestamp": now_ms()}
                producer.produce(topic, json.dumps(event), "fraud")
            producer.flush(5)
            time.sleep(0.5)
    finally:
        following.send_signal(signal.SIGINT)
        assert following.wait(20) == 0, log.read_text()
    lines = [line[21:] for line in log.read_text().splitlines() if "  maintenance  " in line]
    assert set(lines) == {
        "maintenance        fraud 3.1: no alert begins to fire",
        "maintenance        fraud 3.1: alerts fire again",
    }


def test_a_page_that_is_not_there_is_named_and_no_partition_is_invented() -> None:
    figures, failed = read_pages(["http://127.0.0.1:1/metrics", "file:///etc/passwd"])
    assert figures == {}
    assert failed == {
        "http://127.0.0.1:1/metrics": "[Errno 111] Connection refused",
        "file:///etc/passwd": "no address of the form http://host:port/metrics",
    }


def test_the_page_asked_is_that_of_this_machine() -> None:
    assert metrics_url(Configuration()) == "http://127.0.0.1:9464/metrics"
    everywhere = Configuration.model_validate({"metrics": {"host": "0.0.0.0", "port": 1}})  # noqa: S104
    assert metrics_url(everywhere) == "http://127.0.0.1:1/metrics"
