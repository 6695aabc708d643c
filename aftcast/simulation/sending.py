"""Simulated events on their way to Kafka: at their pace, to the partitions that Java would choose."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from aftcast.failure import Failure
from aftcast.kafka_entry import Refusals
from aftcast.simulation.events import Event

_PAUSE_S = 0.02  # between looks at the clock: below what a person sees, above what costs a core


class Sender:
    """Sends events with their record time as Kafka timestamp; topics by the event's kind.

    What no broker took ``within_s`` after it was handed over is a ``Failure``.
    """

    def __init__(
        self,
        options: Mapping[str, str],
        topics: Mapping[str, str],
        linger_ms: int = 20,
        within_s: float = 15.0,
    ) -> None:
        self._topics = dict(topics)
        self._failed: KafkaError | None = None
        # librdkafka's own default is CRC32, and then the labels of other producers land elsewhere.
        settings: dict[str, Any] = {"partitioner": "murmur2_random", "linger.ms": linger_ms}
        settings |= {"compression.type": "lz4", "queue.buffering.max.messages": 200_000}
        settings |= {"delivery.report.only.error": True, "message.timeout.ms": int(1000 * within_s)}
        settings |= {"log_level": 0}
        settings |= {"error_cb": self._remember}
        self._refusals = Refusals()
        self._producer = Producer({**options, **settings})

    def send(self, events: Iterable[Event]) -> int:
        """Hand events over and return how many; waits while the producer's queue is full."""
        count = 0
        for kind, time_ms, key, value in events:
            while True:
                try:
                    self._producer.produce(
                        self._topics[kind], value, key, timestamp=time_ms, on_delivery=self._delivered
                    )
                    break
                except BufferError:
                    self._producer.poll(0.1)
                    self._raise_if_failed()
            count += 1
        self._producer.poll(0)
        self._raise_if_failed()
        return count

    def close(self) -> None:
        """Wait until all events are with the broker; ``Failure`` if some never get there."""
        left = self._producer.flush(20)
        self._raise_if_failed()
        if left:
            raise Failure(f"{left} events were not taken by the broker within 20 s")

    def _delivered(self, error: KafkaError | None, _message: object) -> None:
        if error is not None:
            self._failed = error

    def _remember(self, error: KafkaError) -> None:
        self._refusals(error)
        # Other errors are retried by the client; that no broker answers is the user's to know at once.
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._failed = error

    def _raise_if_failed(self) -> None:
        if self._failed is not None:
            words = self._refusals.words(KafkaException(self._failed))
            raise Failure(f"Kafka does not take events: {words}")


def paced(
    blocks: Iterable[list[Event]],
    now_ms: Callable[[], int],
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[list[Event]]:
    """Yield events as their time comes, in groups; ``now_ms`` is the simulation's time."""
    for block in blocks:
        position = 0
        while position < len(block):
            if stopped():
                return
            now = now_ms()
            end = position
            while end < len(block) and block[end].time_ms <= now:
                end += 1
            if end > position:
                yield block[position:end]
                position = end
            else:
                time.sleep(_PAUSE_S)
