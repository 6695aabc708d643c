"""Checkpoints on a real Kafka: killed, frozen, or with records gone, a worker keeps the figures right."""

import json
import random
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from test_worker_on_kafka import Place, place, until  # noqa: F401

from schemas import messages
from schemas.checkpoints import STATE_FORMAT
from schemas.findings import Trouble
from schemas.journal import Position
from schemas.records import RawBatch
from schemas.settings import JoinSettings, MonitorSettings
from streams.decode import Decoder
from streams.partition import PartitionStage
from streams.worker.checkpoint_records import Stored, stored
from streams.worker.compacted import read_newest
from streams.worker.journal import recalled

pytestmark = pytest.mark.kafka
OF_ARRIVAL = {"revision", "examples", "partition"}  # what does not follow from the events alone


def send(place: Place, seed: int, first: int, count: int) -> None:  # noqa: F811
    """Send predictions with late, early, repeated, corrected and no labels, and records nobody can read."""
    draw = random.Random(seed)
    producer = Producer({"bootstrap.servers": place.kafka, "partitioner": "murmur2_random"})
    now_ms = time.time_ns() // 1_000_000

    def tell(kind: str, name: str, event: dict[str, Any] | bytes) -> None:
        value = event if isinstance(event, bytes) else json.dumps(event).encode()
        producer.produce(place.topics[kind], value, name.encode())
        producer.poll(0)

    for number in range(first, first + count):
        name, model = f"p{number}", draw.choice(["fraud", "churn"])
        made_ms = now_ms - draw.randrange(600_000)
        answer = draw.choice(["yes", "no"])
        prediction = {
            "prediction_id": name, "model": model, "timestamp": made_ms, "prediction": answer,
            "scores": {"yes": draw.random()}, "latency_ms": draw.random() * 90, "cost": draw.random(),
            "segments": {"country": draw.choice("abc")}, "features": {"amount": draw.random()},
        }  # fmt: skip
        told: list[tuple[str, dict[str, Any] | bytes]] = [("inference", prediction)]
        for _ in range(draw.choice([0, 1, 1, 1, 2])):
            label = {"prediction_id": name, "label": draw.choice(["yes", "no", None]), "value": draw.random()}
            told.insert(draw.randrange(2), ("labels", {**label, "timestamp": now_ms - draw.randrange(9_000)}))
        if draw.random() < 0.1:
            told.append(("inference", prediction))
        if draw.random() < 0.02:
            told.append((draw.choice(["inference", "labels"]), b"{nobody can read this"))
        for kind, event in told:
            tell(kind, name, event)
    assert producer.flush(20) == 0


def committed(place: Place, topic: str) -> Iterator[Any]:  # noqa: F811
    """Yield the committed records of a topic, in the order of each partition."""
    consumer = Consumer(
        {
            "bootstrap.servers": place.kafka, "group.id": "all", "enable.partition.eof": True,
            "isolation.level": "read_committed", "fetch.wait.max.ms": 10,
        }
    )  # fmt: skip
    try:
        partitions = consumer.list_topics(topic, 10).topics[topic].partitions
        consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
        left = len(partitions)
        while left:
            message = consumer.poll(10)
            assert message is not None
            if message.error():
                left -= 1
            else:
                yield message
    finally:
        consumer.close()


Rows = dict[tuple[Any, ...], dict[str, Any]]


def plain(value: Any) -> Any:
    return (
        sorted(value, key=repr)
        if isinstance(value, list) and value and isinstance(value[0], tuple)
        else value
    )


def keyed(rows: list[dict[str, Any]]) -> Rows:
    """Return rows by what names them, the newest of each, without what arrival decides."""
    newest: Rows = {}
    for row in rows:
        key = tuple(row[name] for name in ("model", "model_version", "segment", "pane_start", "partition"))
        if key not in newest or row["revision"] > newest[key]["revision"]:
            newest[key] = row
    return {
        key: {name: plain(value) for name, value in row.items() if name not in OF_ARRIVAL}
        for key, row in newest.items()
    }


def rollups(place: Place) -> Rows:  # noqa: F811
    return keyed(
        [
            row
            for message in committed(place, place.topics["pane_updates"])
            if messages.header_of(message.headers()) == messages.PANES
            for row in messages.decode_panes(message.value()).to_pylist()
        ]
    )


def undisturbed(place: Place) -> Rows:  # noqa: F811
    """Return the rows that one pass over each partition of the inputs gives, without any interruption."""
    decoder, rows = Decoder(), []
    for partition in range(3):
        stage = PartitionStage(partition, 1, 0, JoinSettings(), MonitorSettings())
        for kind in ("inference", "labels"):
            topic = place.topics[kind]
            found = [m for m in committed(place, topic) if m.partition() == partition]
            raw = RawBatch(
                topic, partition,
                np.array([m.offset() for m in found], np.int64),
                np.array([m.timestamp()[1] for m in found], np.int64),
                [m.key() for m in found], [m.value() for m in found], [()] * len(found),
            )  # fmt: skip
            if kind == "inference":
                stage.apply_inference(decoder.decode_inference(raw))
            else:
                stage.apply_labels(decoder.decode_labels(raw))
        rows += stage.take_changed().to_pylist()
    return keyed(rows)


def letters(place: Place) -> Counter[tuple[str, int, int]]:  # noqa: F811
    told = [json.loads(m.value()) for m in committed(place, place.topics["dead_letters"])]
    return Counter((letter["topic"], letter["partition"], letter["offset"]) for letter in told)


def unreadable(place: Place) -> set[tuple[str, int, int]]:  # noqa: F811
    return {
        (m.topic(), m.partition(), m.offset())
        for kind in ("inference", "labels")
        for m in committed(place, place.topics[kind])
        if m.value().startswith(b"{nobody")
    }


def newest(place: Place, partition: int) -> Stored:  # noqa: F811
    topic = place.topics["state"]
    found = stored(read_newest({"bootstrap.servers": place.kafka}, topic, partition), topic)
    assert found is not None
    return found


def kill(place: Place) -> None:  # noqa: F811
    place.processes[-1].send_signal(signal.SIGKILL)
    place.processes[-1].wait()


def test_killed_at_random_moments_every_figure_is_that_of_an_undisturbed_run_and_no_letter_comes_twice(
    place: Place,  # noqa: F811
) -> None:
    draw = random.Random(5)
    for number in range(3):
        place.start(send_interval_s=0.05)
        place.await_ready(number)
        for part in range(6):
            send(place, 100 * number + part, 1_000 * number + 100 * part, 100)
        time.sleep(draw.random() * 0.3)
        kill(place)
    place.start(send_interval_s=0.05)
    place.await_ready(3)
    expected = undisturbed(place)
    until(lambda: rollups(place) == expected, lambda: place.log(3), 20)
    assert sum(row["labelled"] for row in expected.values()) > 1_000
    assert letters(place) == Counter(unreadable(place))
    assert len(unreadable(place)) > 10
    assert "state gap" not in "".join(place.log(number) for number in range(4))
    epochs = [newest(place, partition).checkpoint.epoch for partition in range(3)]
    assert epochs == [4, 4, 4]


def test_a_worker_frozen_for_longer_than_its_session_is_fenced_says_so_and_changes_nothing(
    place: Place,  # noqa: F811
) -> None:
    frozen = place.start(send_interval_s=0.2)
    place.await_ready(0)
    place.send(range(600))
    place.await_counts(predictions=600)
    frozen.send_signal(signal.SIGSTOP)
    place.send(range(300), labels=True)
    place.start(send_interval_s=0.2)
    place.await_ready(1)
    place.await_counts(predictions=600, labelled=300)
    frozen.send_signal(signal.SIGCONT)
    until(lambda: frozen.poll() is not None, lambda: place.log(0).replace(" stopped ", ""))
    assert frozen.returncode == 1, place.log(0)
    (stopped,) = [line for line in place.log(0).splitlines() if "stopped" in line]
    assert re.search(r"taken over by another worker", stopped), stopped
    assert "Traceback" not in place.log(0)
    place.send(range(600, 700))
    until(lambda: place.counts()["predictions"] == 700, lambda: f"{place.counts()} {place.log(1)}")
    counts = place.counts()
    assert (counts["labelled"], counts["duplicates"]) == (300, 0)


def test_state_of_a_newer_version_is_refused_with_the_remedy(place: Place) -> None:  # noqa: F811
    producer = Producer({"bootstrap.servers": place.kafka})
    value = json.dumps({"format": STATE_FORMAT + 1}).encode()
    producer.produce(place.topics["state"], value, b"checkpoint", partition=1)
    assert producer.flush(10) == 0
    worker = place.start()
    assert worker.wait(20) == 1
    told = f"the checkpoint has format {STATE_FORMAT + 1}, and this version of aftcast reads formats up to"
    assert f"{place.topics['state']}[1]: {told}" in place.log()
    assert "Traceback" not in place.log()


def test_records_that_expired_before_a_restart_are_named_and_the_figures_stay_as_they_were(
    place: Place,  # noqa: F811
) -> None:
    place.start(send_interval_s=0.2)
    place.await_ready(0)
    place.send(range(900))
    place.send(range(500), labels=True)
    place.await_counts(predictions=900, labelled=500)
    kill(place)
    before = rollups(place)
    topic, admin = place.topics["inference"], AdminClient({"bootstrap.servers": place.kafka})
    cut = TopicPartition(topic, 1, 120)
    admin.delete_records([cut])[cut].result(20)
    place.send(range(500, 900), labels=True)
    place.start(send_interval_s=0.2)
    place.await_ready(1)
    assert f"{topic}[1]: expected offset 0, the log holds 120 to" in place.log(1)

    def troubles() -> list[Trouble]:
        told = [
            messages.decode(m.value(), Trouble)
            for m in committed(place, place.topics["pane_updates"])
            if messages.header_of(m.headers()) == messages.TROUBLE
        ]
        return [
            trouble for trouble in told if trouble.kind == "state_gap" and trouble.subject.startswith(topic)
        ]

    until(lambda: troubles() != [], lambda: place.log(1))
    assert [(trouble.subject, trouble.over) for trouble in troubles()] == [(f"{topic}[1]", False)]
    # What is whole goes on; what is not stays as it was last sent.
    whole = {key for key in before if key[-1] != 1}
    until(lambda: place.counts()["labelled"] > 500, lambda: place.log(1))
    time.sleep(1)
    after = rollups(place)
    assert {key: row for key, row in after.items() if key not in whole} == {
        key: row for key, row in before.items() if key not in whole
    }
    expected = undisturbed(place)
    assert {key: after[key] for key in whole} == {key: expected[key] for key in whole}


def test_a_topic_made_anew_and_filled_beyond_the_checkpoint_is_known_by_its_records(place: Place) -> None:  # noqa: F811
    place.start(send_interval_s=0.2)
    place.await_ready(0)
    place.send(range(600))
    place.await_counts(predictions=600)
    kill(place)
    offsets = [newest(place, partition).checkpoint.inference_offset for partition in range(3)]
    topic, admin = place.topics["inference"], AdminClient({"bootstrap.servers": place.kafka})
    admin.delete_topics([topic])[topic].result(20)
    until(lambda: topic not in admin.list_topics(timeout=10).topics, lambda: topic)
    admin.create_topics([NewTopic(topic, 3, 1)])[topic].result(20)
    place.send(range(10_000, 13_000))
    place.start(send_interval_s=0.2)
    place.await_ready(1)
    for partition, offset in enumerate(offsets):
        told = (
            f"{topic}[{partition}]: offset {offset - 1} holds another record than the one that was read there"
        )
        assert told in place.log(1)
    until(
        lambda: all(newest(place, partition).checkpoint.inference_offset > 900 for partition in range(3)),
        lambda: place.log(1),
    )
    assert place.counts()["predictions"] == 600  # nothing of the new log counts in panes of the old one


def test_a_worker_that_is_overtaken_by_a_log_made_anew_notices_and_its_successor_tells(place: Place) -> None:  # noqa: F811
    worker = place.start(send_interval_s=0.2, look_at_logs_s=0.5)
    place.await_ready(0)
    place.send(range(600))
    place.await_counts(predictions=600)
    time.sleep(1.5)  # two looks
    offsets = [newest(place, partition).checkpoint.inference_offset for partition in range(3)]
    topic, admin = place.topics["inference"], AdminClient({"bootstrap.servers": place.kafka})
    worker.send_signal(signal.SIGSTOP)  # for less than its session: it is to know nothing of what comes now
    admin.delete_topics([topic])[topic].result(20)
    until(lambda: topic not in admin.list_topics(timeout=10).topics, lambda: topic)
    admin.create_topics([NewTopic(topic, 3, 1)])[topic].result(20)
    place.send(range(10_000, 13_000))
    worker.send_signal(signal.SIGCONT)
    assert worker.wait(30) == 1
    assert "the log holds another record than the one that was read there" in place.log(0)
    assert "LogReplacedError" in place.log(0)
    place.start(send_interval_s=0.2)
    place.await_ready(1)
    for partition, offset in enumerate(offsets):
        assert f"{topic}[{partition}]: offset {offset - 1} holds another record" in place.log(1)


def watched(place: Place, partition: int) -> Position | None:  # noqa: F811
    topic = place.topics["journal"]
    return recalled(read_newest({"bootstrap.servers": place.kafka}, topic, partition), topic).position


def test_updates_made_anew_and_filled_beyond_the_journal_are_known_by_their_records(place: Place) -> None:  # noqa: F811
    place.start(send_interval_s=0.2)
    place.await_ready(0)
    place.send(range(600))
    place.await_counts(predictions=600)
    topic, admin = place.topics["pane_updates"], AdminClient({"bootstrap.servers": place.kafka})
    count = len(admin.list_topics(topic, 10).topics[topic].partitions)
    until(
        lambda: all((at := watched(place, partition)) is not None and at.last for partition in range(count)),
        lambda: place.log(0),
    )
    kill(place)
    admin.delete_topics([topic])[topic].result(20)
    until(lambda: topic not in admin.list_topics(timeout=10).topics, lambda: topic)
    admin.create_topics([NewTopic(topic, count, 1)])[topic].result(20)
    producer = Producer({"bootstrap.servers": place.kafka})
    for partition in range(count):
        at = watched(place, partition)
        assert at is not None
        for number in range(at.offset + 10):
            producer.produce(topic, b"of another %d" % number, partition=partition)
    assert producer.flush(20) == 0
    place.start(send_interval_s=0.2)
    place.await_ready(1)
    for partition in range(count):
        until(
            lambda: f"{topic}[{partition}] holds another record at offset " in place.log(1),  # noqa: B023
            lambda: place.log(1),
        )


def test_what_waits_is_read_again_from_the_low_water_and_what_is_told_continues(place: Place) -> None:  # noqa: F811
    first = place.start(send_interval_s=0.1)
    place.await_ready(0)
    place.send(range(3_000))
    place.await_counts(predictions=3_000)
    first.send_signal(signal.SIGTERM)
    assert first.wait(10) == 0
    stopped = [newest(place, partition).checkpoint for partition in range(3)]
    assert sum(each.inference_offset for each in stopped) == 3_000  # the last transaction of the leaving
    assert [each.inference_low for each in stopped] == [0, 0, 0]
    place.send(range(3_000), labels=True)
    place.start(send_interval_s=0.1)
    place.await_ready(1)
    place.await_counts(predictions=3_000, labelled=3_000, duplicates=0)
    records = re.findall(r"restored .*?records=(\d+)", re.sub(r"\x1b\[\d*m", "", place.log(1)))
    assert sum(map(int, records)) == 3_000
