"""What operators do to a running system on a real Kafka: topics are grown, workers restarted one by one."""

import itertools
import json
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions
from test_worker_on_kafka import Place, until

from aftcast.kafka_broker import KafkaBroker
from streams.worker.settings import TopicNames

pytestmark = pytest.mark.kafka
_names = itertools.count()


@pytest.fixture
def scene(kafka: str, create_topic: Callable[..., str], tmp_path: Path) -> Iterator[Place]:
    run = next(_names)
    topics = {name: create_topic(f"ops-{run}-{name}", 2) for name in TopicNames.__slots__}
    one = Place(kafka, topics, tmp_path)
    yield one
    for process in one.processes:
        process.kill()
        process.wait()


class Load(threading.Thread):
    """Predictions that go on being sent, by a producer that soon sees new partitions."""

    def __init__(self, place: Place, first: int) -> None:
        super().__init__()
        self.place, self.next = place, first
        self.ended = threading.Event()

    def run(self) -> None:
        options = {"partitioner": "murmur2_random", "topic.metadata.refresh.interval.ms": 200}
        producer = Producer({"bootstrap.servers": self.place.kafka, **options})
        while not self.ended.is_set():
            for _ in range(20):
                self.place.produce(producer, self.next)
                self.next += 1
            assert producer.flush(20) == 0
            time.sleep(0.05)


def test_topics_grown_under_load_end_the_worker_with_the_remedy_and_nothing_is_lost(scene: Place) -> None:
    scene.send(range(500))
    scene.send(range(400), labels=True)
    first = scene.start(look_for_partitions_s=0.3)
    scene.await_ready()
    scene.await_counts(predictions=500, labelled=400)
    load = Load(scene, 500)
    load.start()
    try:
        admin = AdminClient({"bootstrap.servers": scene.kafka})
        for name in ("inference", "labels", "state"):
            topic = scene.topics[name]
            admin.create_partitions([NewPartitions(topic, 5)])[topic].result(20)
        assert first.wait(90) == 1
        assert re.search(r"has 5 partitions, it had 2 at the start: a restart takes them up", scene.log())
        scene.start(look_for_partitions_s=0.3)
        scene.await_ready(1)
        time.sleep(0.5)  # with the worker at work, so that producers have seen the new partitions
    finally:
        load.ended.set()
        load.join()
    sent = load.next
    scene.send(range(sent, sent + 300))
    scene.send(range(sent, sent + 300), labels=True)

    def counted() -> tuple[int, ...]:
        counts = scene.counts()
        return tuple(counts[name] for name in ("predictions", "labelled", "duplicates"))

    until(lambda: counted() == (sent + 300, 700, 0), lambda: f"{sent + 300}: {counted()}\n{scene.log(1)}")
    assert scene.partitions_counted() == set(range(5))


def test_a_member_with_a_name_that_restarts_in_time_moves_no_partition(scene: Place) -> None:
    scene.start(instance="one", session_s=30.0)
    scene.await_ready(0)
    scene.start(instance="two", session_s=30.0)
    scene.await_ready(1)

    def assigned(number: int) -> list[str]:
        return re.findall(r"assigned .*?partitions=(\[[^\]]*\])", scene.log(number))

    until(lambda: assigned(0)[-1:] == ["[0]"], lambda: scene.log(0))
    before = [assigned(0), assigned(1)]
    assert sorted([before[0][-1], before[1][-1]]) == ["[0]", "[1]"]
    scene.send(range(200))
    scene.await_counts(predictions=200)
    scene.processes[1].send_signal(signal.SIGTERM)
    assert scene.processes[1].wait(40) == 0
    scene.send(range(200, 400))
    scene.start(instance="two", session_s=30.0)
    scene.await_ready(2)
    assert assigned(2) == [before[1][-1]]
    assert assigned(0) == before[0]  # the other one has noticed nothing
    scene.send(range(400), labels=True)
    scene.await_counts(predictions=400, labelled=400, duplicates=0)


def test_labels_of_a_producer_with_another_partitioner_become_one_alert_that_names_the_remedy(
    scene: Place,
) -> None:
    scene.start()
    scene.await_ready()
    scene.send(range(300))
    labels = Producer({"bootstrap.servers": scene.kafka, "partitioner": "consistent_random"})
    for number in range(300):
        scene.produce(labels, number, labels=True)
    assert labels.flush(20) == 0

    def alerts() -> list[dict[str, str]]:
        return [json.loads(value) for _, value in scene.read(scene.topics["alerts"])]

    until(lambda: bool(alerts()), scene.log)
    time.sleep(2)  # the other partition tells it too
    (alert,) = alerts()
    assert (alert["kind"], alert["status"], alert["model"]) == ("partitioner", "firing", "")
    topic = scene.topics["labels"]
    assert alert["summary"].startswith(f"{topic} is placed by CRC32")
    assert "set partitioner=murmur2_random in its producers (librdkafka)" in alert["summary"]


def test_a_broker_that_stays_away_ends_the_worker_with_the_reason(tmp_path: Path) -> None:
    with KafkaBroker(tmp_path / "broker") as broker:
        topics = {name: broker.create_topic(name) for name in TopicNames.__slots__}
        place = Place(broker.bootstrap, topics, tmp_path)
        worker = place.start(stuck_after_s=6.0)
        try:
            place.await_ready()
            broker.kill9()
            assert worker.wait(90) == 1
        finally:
            worker.kill()
            worker.wait()
    # Whichever is noticed first: heartbeats fail, and nothing is known to be read to its end.
    told = (
        r"stopped .*kind=StuckError .*(no assignment from .* group|no progress on partitions \[0\]) for 6 s"
    )
    assert re.search(told, place.log()), place.log()
