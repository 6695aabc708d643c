"""Records as producers send them, and a raw writer at work on them in a thread."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from confluent_kafka import Producer

from schemas.messages import KIND_HEADER
from sinks.raw_writer import RawWriter

T0_MS = int(time.time()) // 60 * 60_000  # brokers refuse records of another time
WITHIN_S = 40.0


class Sender:
    """Produces over both partitions in turn, and fails when a broker refuses."""

    def __init__(self, bootstrap: str) -> None:
        self._producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5})
        self.sent = 0

    def send(self, topic: str, value: bytes, kind: bytes | None = None) -> None:
        self._producer.produce(
            topic,
            value,
            partition=self.sent % 2,
            on_delivery=self._delivered,
            headers=[(KIND_HEADER, kind)] if kind else None,
        )
        self.sent += 1
        if self.sent % 10_000 == 0:
            self._producer.flush()

    @staticmethod
    def _delivered(error: Any, _message: Any) -> None:
        assert error is None, error

    def flush(self) -> None:
        assert self._producer.flush(WITHIN_S) == 0


def inference(number: int) -> bytes:
    return json.dumps(
        {
            "prediction_id": f"p{number}",
            "model": "m",
            "timestamp": T0_MS,
            "prediction": number % 3,
            "features": {"a": number / 7, "b": True, "c": None},
        }
    ).encode()


def label(number: int) -> bytes:
    return json.dumps({"prediction_id": f"p{number}", "label": 1, "timestamp": T0_MS}).encode()


@contextmanager
def running(writer: RawWriter) -> Iterator[None]:
    stop, failed = threading.Event(), []

    def run() -> None:
        try:
            writer.run(stop)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(WITHIN_S)
    assert not thread.is_alive()
    if failed:
        raise failed[0]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline_s, "did not happen in time"
        time.sleep(0.02)
