"""The examples of docs/producers.md, as they stand there, on a real Kafka and through the decoder."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from confluent_kafka import Consumer, TopicPartition

from aftcast.kafka_broker import LIBRARIES, KafkaBroker
from schemas.records import RawBatch
from streams.decode import Decoder
from streams.partitioner import place

pytestmark = pytest.mark.kafka
PAGE = (Path(__file__).parents[2] / "docs" / "producers.md").read_text()
PARTITIONS = 4
GO_MODULE = "github.com/twmb/franz-go v1.22.2"


def example(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return found


def run(*command: str, cwd: Path, **environment: str) -> None:
    done = subprocess.run(
        command, check=False, cwd=cwd, env={**os.environ, **environment}, capture_output=True, timeout=120
    )
    assert done.returncode == 0, done.stderr.decode()


def events(bootstrap: str, topic: str, key: bytes) -> list[dict]:
    """Return what the worker reads of one key, which must lie where murmur2 puts it."""
    partition = place("murmur2", key, PARTITIONS)
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader"})
    consumer.assign([TopicPartition(topic, partition, 0)])
    found, ends_s = [], time.monotonic() + 15
    while not found and time.monotonic() < ends_s:
        found += [m for m in consumer.consume(100, 0.5) if m.error() is None and m.key() == key]
    consumer.close()
    raw = RawBatch(
        topic,
        partition,
        np.array([m.offset() for m in found]),
        np.array([m.timestamp()[1] for m in found]),
        [m.key() for m in found],
        [m.value() for m in found],
    )
    read = Decoder(None).decode_labels if topic == "label-events" else Decoder(None).decode_inference
    taken = read(raw)
    assert not taken.dead_letters
    return taken.columns.to_pylist()


@pytest.fixture(scope="module")
def broker(kafka_broker: KafkaBroker) -> str:
    for topic in ("inference-events", "label-events"):
        kafka_broker.create_topic(topic, PARTITIONS)
    return kafka_broker.bootstrap


def send_python(broker: str, folder: Path) -> None:
    program = example("python").replace("localhost:9092", broker)
    run(sys.executable, "-c", program, cwd=folder, PYTHONPATH=str(Path(__file__).parents[2]))


def send_java(broker: str, folder: Path) -> None:
    (folder / "Report.java").write_text(example("java"))
    run("java", "-cp", f"{LIBRARIES}/*", "Report.java", broker, cwd=folder)


def send_go(broker: str, folder: Path) -> None:
    if shutil.which("go") is None:
        pytest.skip("needs Go")
    (folder / "main.go").write_text(example("go"))
    (folder / "go.mod").write_text(f"module report\n\ngo 1.21\n\nrequire {GO_MODULE}\n")
    # What is in the cache only: a test fetches nothing.
    offline = {
        "GOPROXY": "off",
        "GOFLAGS": "-mod=mod",
        "GONOSUMDB": "*",
        "GONOSUMCHECK": "1",
        "GOTOOLCHAIN": "local",
    }
    tidy = subprocess.run(
        ["go", "mod", "tidy"], check=False, cwd=folder, env={**os.environ, **offline}, capture_output=True
    )
    if tidy.returncode:
        pytest.skip(f"needs {GO_MODULE} in Go's module cache")
    run("go", "run", ".", broker, cwd=folder, **offline)


@pytest.mark.parametrize(
    ("send", "prediction_id"), [(send_python, "a1"), (send_java, "java-1"), (send_go, "go-1")]
)
def test_an_example_sends_what_the_worker_reads_and_joins(send, prediction_id, broker, tmp_path) -> None:
    send(broker, tmp_path)
    key = prediction_id.encode()
    (prediction,) = events(broker, "inference-events", key)
    (label,) = events(broker, "label-events", key)
    assert (prediction["prediction_id"], prediction["model"], prediction["model_version"]) == (
        prediction_id,
        "fraud",
        "7",
    )
    assert (prediction["prediction"], dict(prediction["scores"])) == ("fraud", {"fraud": 0.93})
    assert dict(prediction["features"]) == {"amount": 120.5, "country": "de"}
    assert (label["prediction_id"], label["label"]) == (prediction_id, "fine")
