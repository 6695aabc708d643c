"""The producers' helper on a real Kafka: what is sent is what the worker reads, where it expects it."""

import itertools
import random
import subprocess
import sys
import time
from collections.abc import Callable
from math import inf, nan

import numpy as np
import pandas as pd
import pytest
from confluent_kafka import Consumer, Message, TopicPartition

from aftcast.client import EventError, Reporter
from schemas.records import RawBatch
from streams.decode import Decoder
from streams.partitioner import place

pytestmark = pytest.mark.kafka
PARTITIONS = 3
_names = itertools.count()
MANY = dict.fromkeys(map(str, range(2_001)), 1)


@pytest.fixture
def topics(create_topic: Callable[..., str]) -> tuple[str, str]:
    number = next(_names)
    return create_topic(f"reporter-in-{number}", PARTITIONS), create_topic(
        f"reporter-lab-{number}", PARTITIONS
    )


def read(bootstrap: str, topic: str) -> list[Message]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader", "enable.partition.eof": True})
    consumer.assign([TopicPartition(topic, p, 0) for p in range(PARTITIONS)])
    found, left, ends_s = [], PARTITIONS, time.monotonic() + 20
    while left and time.monotonic() < ends_s:
        for message in consumer.consume(1_000, 0.5):
            if message.error() is None:
                found.append(message)
            else:
                left -= 1
    consumer.close()
    assert not left
    return found


def decoded(messages: list[Message], *, inference: bool):
    """Return rows and dead letters as the worker's decoder makes them."""
    raw = RawBatch(
        messages[0].topic(),
        0,
        np.arange(len(messages)),
        np.array([m.timestamp()[1] for m in messages]),
        [m.key() for m in messages],
        [m.value() for m in messages],
    )
    decoder = Decoder(None)
    return (decoder.decode_inference if inference else decoder.decode_labels)(raw)


@pytest.mark.parametrize("encoding", ["avro", "json"])
def test_what_is_sent_is_what_the_worker_reads(kafka: str, topics: tuple[str, str], encoding) -> None:
    at_ms = int(time.time() * 1000) - 1_000
    features = pd.Series({"amount": np.float64(12.5), "age": nan, "n": np.int64(3), "c": "de"}, dtype=object)
    with Reporter(
        kafka,
        model="fraud",
        model_version="7",
        encoding=encoding,
        inference_topic=topics[0],
        label_topic=topics[1],
    ) as reporter:
        reporter.prediction(
            "a1", np.str_("fraud"), timestamp=at_ms, scores={"fraud": np.float32(0.5)}, features=features,
            segments={"country": "de", "vip": True, "none": None}, latency_ms=np.float32(1.5), cost=nan,
        )  # fmt: skip
        reporter.prediction(
            17, np.int64(4), timestamp=at_ms, prediction_lower=1, prediction_upper=np.float64(9)
        )
        reporter.label("a1", None, timestamp=at_ms, source="desk", sampling_probability=0.25)
        assert reporter.flush(20) == 0
        assert reporter.counts.delivered == 3
    messages = read(kafka, topics[0])
    taken = decoded(messages, inference=True)
    assert not taken.dead_letters
    first, second = sorted(taken.columns.to_pylist(), key=lambda row: row["prediction_id"], reverse=True)
    assert (first["prediction_id"], first["model"], first["model_version"]) == ("a1", "fraud", "7")
    assert (first["prediction"], dict(first["scores"])) == ("fraud", {"fraud": 0.5})
    assert dict(first["features"]) == {"amount": 12.5, "age": None, "n": 3, "c": "de"}
    assert dict(first["segments"]) == {"country": "de", "vip": "true"}
    assert (first["latency_ms"], first["cost"], first["status"], first["role"]) == (
        1.5,
        None,
        "ok",
        "primary",
    )
    assert (second["prediction"], second["prediction_lower"], second["prediction_upper"]) == (4, 1.0, 9.0)
    label = decoded(read(kafka, topics[1]), inference=False).columns.to_pylist()[0]
    assert (label["label"], label["source"], label["sampling_probability"]) == (None, "desk", 0.25)
    assert {m.key(): m.partition() for m in messages} == {
        key: place("murmur2", key, PARTITIONS) for key in (b"a1", b"17")
    }


def anything(chance: random.Random) -> dict:
    """Return a prediction that is right or wrong in one of many ways."""
    now_ms = int(time.time() * 1000)
    return {
        "prediction_id": chance.choice(["a", "b", "ü", ""] + ["c"] * 6),
        "prediction": chance.choice(["x", 1, 0.5, True] * 3 + [nan, inf, None]),
        "model": chance.choice(["m"] * 9 + [""]),
        "status": chance.choice(["ok"] * 5 + ["timeout"]),
        "timestamp": chance.choice([now_ms] * 8 + [now_ms // 1000, now_ms + 3_600_000]),
        "scores": chance.choice([None, {"x": 0.5}, {"x": 1}] * 3 + [{"x": 1.5}, {"x": nan}]),
        "features": chance.choice([{}, {"f": 1}, {"f": nan, "g": "t"}] * 3 + [MANY]),
        "latency_ms": chance.choice([None, 1, 2.5] * 4 + [-1]),
        "prediction_lower": chance.choice([None] * 9 + [1.0]),
        "prediction_upper": chance.choice([None] * 9 + [0.5]),
    }  # fmt: skip


@pytest.mark.parametrize("encoding", ["avro", "json"])
def test_strict_refuses_exactly_what_the_worker_would_set_aside(kafka, topics, encoding) -> None:
    chance = random.Random(5)
    events = [anything(chance) for _ in range(400)]
    right = []
    where = {"inference_topic": topics[0], "label_topic": topics[1], "encoding": encoding}
    with (
        Reporter("127.0.0.1:1", strict=True, flush_within_s=0, **where) as strict,
        Reporter(kafka, **where) as reporter,
    ):
        for i, event in enumerate(events):
            try:
                strict.prediction(**event)
                right.append(i)
            except EventError:
                pass
            reporter.prediction(**event, trace_id=str(i))
        assert reporter.flush(20) == 0
        assert reporter.counts.delivered == len(events)
    taken = decoded(read(kafka, topics[0]), inference=True)
    assert sorted(int(row["trace_id"]) for row in taken.columns.to_pylist()) == right
    assert len(taken.dead_letters) == len(events) - len(right)
    assert 50 < len(right) < 350


ENDINGS = {
    "at the end of the program": "report(1)",
    "when an exception ends it": "report(1)\nraise SystemExit(3)",
    "in a child of a fork, and in the parent": (
        "report(1)\nimport os\npid = os.fork()\nreport(2)\nif pid: os.waitpid(pid, 0)"
    ),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_was_given_is_sent(kafka: str, topics: tuple[str, str], ending: str) -> None:
    program = (
        "import warnings; warnings.simplefilter('ignore')\n"
        "from aftcast.client import Reporter\n"
        f"r = Reporter({kafka!r}, model='m', inference_topic={topics[0]!r})\n"
        "def report(n): r.prediction(f'p{n}', n)\n" + ENDINGS[ending]
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == (3 if "SystemExit" in program else 0), done.stderr
    assert not done.stderr
    keys = sorted(message.key() for message in read(kafka, topics[0]))
    assert keys == ([b"p1", b"p2", b"p2"] if "fork" in program else [b"p1"])
