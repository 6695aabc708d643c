import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from aftcast.kafka_broker import KafkaBroker

pytestmark = pytest.mark.kafka


def _send(bootstrap: str, topic: str, values: list[bytes]) -> None:
    producer = Producer({"bootstrap.servers": bootstrap})
    for value in values:
        producer.produce(topic, value)
    assert producer.flush(20) == 0


def _read(bootstrap: str, topic: str, count: int) -> list[bytes]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "t"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    try:
        return [message.value() for message in consumer.consume(count, timeout=20)]
    finally:
        consumer.close()


def test_what_is_sent_to_the_shared_broker_is_read_back(kafka: str, create_topic: Callable[..., str]) -> None:
    topic = create_topic("read-back")
    _send(kafka, topic, [b"a", b"b"])
    assert _read(kafka, topic, 2) == [b"a", b"b"]


def test_a_killed_broker_starts_again_with_its_records_and_leaves_no_process(tmp_path: Path) -> None:
    broker = KafkaBroker(tmp_path)
    with broker:
        broker.create_topic("kept")
        _send(broker.bootstrap, "kept", [b"1", b"2", b"3"])
        first = broker.pid
        broker.kill9()
        broker.start()
        assert broker.pid != first
        assert _read(broker.bootstrap, "kept", 3) == [b"1", b"2", b"3"]
        last = broker.pid
    assert last is not None
    with pytest.raises(ProcessLookupError):
        os.kill(last, 0)
    assert "shut down" in broker.log.read_text()


def test_the_module_prints_its_address_and_ends_on_sigint() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "aftcast.kafka_broker"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("127.0.0.1:")
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
