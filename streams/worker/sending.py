"""What a worker sends onward: every message is confirmed by the brokers before anything counts as done."""

import asyncio
import contextlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from streams.worker.errors import SendFailedError, WorkerError

POLL_S = 0.1
QUEUE_FULL_WAIT_S = 0.01
ANSWER_WITHIN_S = 10.0
FLUSH_WITHIN_S = 0.5


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message on its way; without a partition the key decides, as Java's producers hash it."""

    topic: str
    value: bytes | None  # None: a tombstone
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int = -1


async def queue(producer: Producer, message: Outgoing, **more: Any) -> None:
    """Give a message to a producer, waiting while its queue is full; ``more`` goes to ``produce``.

    Raises
    ------
    KafkaException
        If it is refused at once.
    """
    while True:
        try:
            producer.produce(
                message.topic, message.value, message.key, partition=message.partition,
                headers=list(message.headers), **more,
            )  # fmt: skip
        except BufferError:
            producer.poll(0)
            await asyncio.sleep(QUEUE_FULL_WAIT_S)
        else:
            return


class _Delivery:
    """Counts confirmations of one group of messages and tells the event loop once, at the last."""

    def __init__(self, count: int, loop: asyncio.AbstractEventLoop) -> None:
        self.done: asyncio.Future[None] = loop.create_future()
        self._left = count
        self._loop = loop
        self._error: SendFailedError | None = None

    def confirm(self, error: KafkaError | None, message: Message) -> None:
        if error is not None and self._error is None:
            self._error = SendFailedError(f"{message.topic()}: not delivered ({error.str()})")
        self._left -= 1
        if not self._left:
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                self._loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        if self.done.done():
            return
        if self._error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(self._error)


class Sender:
    """An idempotent producer behind one coroutine, ``send``; confirmations come on a thread of its own."""

    def __init__(self, options: Mapping[str, str]) -> None:
        self._address = options["bootstrap.servers"]
        self._producer = Producer(
            {
                **options,
                "partitioner": "murmur2_random",
                "acks": "all",
                "enable.idempotence": True,
                "compression.type": "lz4",
                "linger.ms": 5,
                "message.timeout.ms": 60_000,
            }
        )
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="aftcast-sender", daemon=True)
        self._thread.start()

    def unreachable(self, topic: str, within_s: float) -> str:
        """Return why no broker answers, empty when one does; blocks, from any thread."""
        try:
            self._producer.list_topics(topic, within_s)
        except KafkaException as error:
            return str(error.args[0].str()).lower()
        return ""

    async def send(self, messages: Sequence[Outgoing]) -> None:
        """Return when the brokers have all of ``messages``; ``SendFailedError`` if one is refused."""
        if not messages:
            return
        delivery = _Delivery(len(messages), asyncio.get_running_loop())
        for message in messages:
            try:
                await queue(self._producer, message, on_delivery=delivery.confirm)
            except KafkaException as error:
                raise SendFailedError(f"{message.topic}: not delivered ({error.args[0].str()})") from error
        await delivery.done

    async def partitions(self, topic: str) -> int:
        """Return how many partitions a topic has."""
        try:
            listed = await asyncio.to_thread(self._producer.list_topics, topic, ANSWER_WITHIN_S)
        except KafkaException as error:
            raise WorkerError(f"Kafka: not reachable at {self._address} ({error.args[0].str()})") from error
        found = listed.topics[topic]
        if found.error is not None or not found.partitions:
            raise SendFailedError(f"{topic}: no such topic; `aftcast setup` creates it")
        return len(found.partitions)

    def close(self) -> None:
        self._stopping.set()
        self._thread.join()
        self._producer.flush(FLUSH_WITHIN_S)
        self._producer.purge()

    def _poll(self) -> None:
        while not self._stopping.is_set():
            self._producer.poll(POLL_S)
