"""A producer with the thread that serves it: bounded, and never waited for by who sends."""

import contextlib
import ctypes
import threading
from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from aftcast.client.counts import Ledger

POLL_S = 0.2
QUEUE_KB = 65_536  # 10,000 events of 6 KB
LINGER_MS = 20

_DEFAULTS = {
    "client.id": "aftcast-client",
    "queue.buffering.max.kbytes": QUEUE_KB,
    "linger.ms": LINGER_MS,
    "compression.type": "lz4",
    "log_level": 0,  # losses are told by the ledger; librdkafka would write into the service's stderr
}


class Channel:
    """One producer; its thread hears of deliveries and tells of losses."""

    def __init__(self, options: Mapping[str, Any], ledger: Ledger) -> None:
        self._ledger = ledger
        self._away = ""
        settings = {**_DEFAULTS, **options, "partitioner": "murmur2_random", "error_cb": self._failed}
        try:
            self._producer = Producer(settings)
        except KafkaException as error:
            raise ValueError(f"Kafka: {error.args[0].str()}") from None
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="aftcast-client", daemon=True)
        self._thread.start()

    def send(self, topic: str, key: bytes, value: bytes) -> None:
        try:
            self._producer.produce(topic, value, key, on_delivery=self._delivered)
        except BufferError:
            self._ledger.add("dropped", self._away or "the queue is full")
        except KafkaException as error:
            self._ledger.add("dropped", error.args[0].str())

    def flush(self, within_s: float) -> int:
        return int(self._producer.flush(within_s))

    def close(self, flush_within_s: float) -> None:
        if self._producer.flush(flush_within_s):
            self._producer.purge()
            self._producer.flush(POLL_S)
        self._ends.set()
        self._thread.join(2 * POLL_S)
        self._ledger.tell(at_once=True)

    def abandon(self) -> None:
        """Keep a parent's producer for ever: to close it would wait for threads of the parent."""
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._producer))

    def _serve(self) -> None:
        while not self._ends.is_set():
            self._producer.poll(POLL_S)
            # A handler of the service that fails must not end the thread.
            with contextlib.suppress(Exception):
                self._ledger.tell()

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        if error is None:
            self._away = ""
            self._ledger.add("delivered")
        else:
            self._ledger.add("dropped", self._away or error.str())

    def _failed(self, error: KafkaError) -> None:
        self._away = error.str()
