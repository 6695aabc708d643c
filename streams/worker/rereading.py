"""Reads both inputs of a partition again up to its checkpoint, beside the consumer that goes on behind it.

librdkafka fetches, checks and unpacks in threads that Python's lock does not hold up, while the main thread
joins and counts.
"""

import asyncio
import operator
import threading
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import numpy as np
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from schemas.checkpoints import Checkpoint
from schemas.records import RawBatch
from streams.worker.alignment import SIDES, Side
from streams.worker.errors import PASSING, PositionOutOfRangeError, StateError

AT_ONCE = 2  # partitions: more would only take turns at the processor
# A batch costs a millisecond beside its records: with 5,000 of them a quarter of all. The slow path of
# decoding takes 10 µs a record, so a step of it takes 0.2 s.
RECORDS_AT_ONCE = 20_000
WAIT_S = 0.2  # for the next of them, before a look whether anybody still wants it
FETCH_BYTES = 8 << 20
AHEAD_KBYTES = 32 << 10  # of one topic, in librdkafka's memory
FULL_PAUSE_MS = 10  # until a look whether there is room again; by default a second, three times what it holds
TIME_MS = operator.itemgetter(1)  # of (kind, time)


class _Log:
    """One input partition between two offsets; blocks, and belongs to one thread at a time."""

    def __init__(self, kafka: Mapping[str, str], topic: str, partition: int, first: int, end: int) -> None:
        self.end, self.over = end, first >= end
        self.read_until_ms = -1
        self._topic, self._partition = topic, partition
        self._consumer: Consumer | None = None
        self._one = threading.Lock()
        if not self.over:
            self._consumer = Consumer(
                {
                    **kafka,
                    "group.id": "aftcast-rereading",  # never committed
                    "enable.auto.commit": False,
                    "enable.partition.eof": True,
                    "isolation.level": "read_committed",
                    "auto.offset.reset": "error",
                    "check.crcs": True,
                    "fetch.message.max.bytes": FETCH_BYTES,
                    "queued.max.messages.kbytes": AHEAD_KBYTES,
                    "fetch.queue.backoff.ms": FULL_PAUSE_MS,
                    "log_level": 0,  # what matters is raised
                }
            )
            self._consumer.assign([TopicPartition(topic, partition, first)])

    def next(self) -> RawBatch | None:
        """Return the next records below the end, None where none came in time; ``over`` after the last."""
        with self._one:
            if self._consumer is None:
                return None
            # consume() would wait for a whole batch, and there may be none.
            first = self._consumer.poll(WAIT_S)
            if first is None:
                return None
            return self._records([first, *self._consumer.consume(RECORDS_AT_ONCE, 0)])

    def close(self) -> None:
        with self._one:
            consumer, self._consumer = self._consumer, None
            if consumer is not None:
                consumer.close()

    def _records(self, came: list[Message]) -> RawBatch | None:
        # Mapped in C: under Python's lock, for which the thread that joins is waiting, each call counts.
        errors = list(map(Message.error, came))
        messages = came
        if any(errors):
            self._look_at([error for error in errors if error is not None])
            messages = [message for message, error in zip(came, errors, strict=True) if error is None]
        offsets = np.fromiter(map(Message.offset, messages), np.int64, len(messages))
        here = int(np.searchsorted(offsets, self.end))
        # A log may end in a transaction's mark, which is no record: then its end is told by an error.
        self.over = self.over or here < len(messages) or (here > 0 and int(offsets[here - 1]) == self.end - 1)
        if not here:
            return None
        messages = messages[:here]
        times_ms = np.fromiter(map(TIME_MS, map(Message.timestamp, messages)), np.int64, here)
        self.read_until_ms = int(times_ms[-1])
        headers: list[Any] = [found or () for found in map(Message.headers, messages)]
        return RawBatch(
            self._topic, self._partition, offsets[:here], times_ms,
            [None] * here,  # wanted of dead letters only, and these were sent
            list(map(Message.value, messages)),
            headers if any(headers) else (),
        )  # fmt: skip

    def _look_at(self, errors: list[KafkaError]) -> None:
        place = f"{self._topic}[{self._partition}]"
        for error in errors:
            if error.name() == "_PARTITION_EOF":
                self.over = True
            elif error.name() in ("_AUTO_OFFSET_RESET", "OFFSET_OUT_OF_RANGE"):
                raise PositionOutOfRangeError(
                    f"{place}: records below {self.end} were deleted while they were read again "
                    f"({error.str()}); the worker must start anew to name what is lost"
                )
            elif error.name() not in PASSING:
                raise StateError(f"{place}: cannot be read again ({error.str()})")


class Rereading:
    """Reads inputs again, of few partitions at once.

    Parameters
    ----------
    kafka
        Connection options under librdkafka's names.
    topics
        Names of the inference and the label topic.
    """

    def __init__(self, kafka: Mapping[str, str], topics: tuple[str, str]) -> None:
        self._kafka, self._topics = kafka, topics
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def batches(self, checkpoint: Checkpoint) -> AsyncGenerator[tuple[Side, RawBatch], None]:
        """Yield the records from the low water to the checkpoint, of the side that is behind in record time.

        Raises
        ------
        PositionOutOfRangeError
            If they are deleted meanwhile.
        StateError
            If Kafka refuses.
        """
        ranges = (
            (checkpoint.inference_low, checkpoint.inference_offset),
            (checkpoint.label_low, checkpoint.label_offset),
        )
        if all(first >= end for first, end in ranges):
            return
        async with self._turn:
            logs: dict[Side, _Log] = {
                side: _Log(self._kafka, topic, checkpoint.partition, first, end)
                for side, topic, (first, end) in zip(SIDES, self._topics, ranges, strict=True)
            }
            try:
                async for piece in _in_turn(logs):
                    yield piece
            finally:
                # In a thread, and not waited for: another may still be at it, for ``WAIT_S``.
                for each in logs.values():
                    asyncio.get_running_loop().run_in_executor(None, each.close)


async def _in_turn(logs: Mapping[Side, _Log]) -> AsyncGenerator[tuple[Side, RawBatch], None]:
    """Yield batches of the side that is behind; the next one is read while the last one is worked on."""
    coming = _asked(logs)
    try:
        while coming is not None:
            side, task = coming
            batch = await task
            coming = _asked(logs)
            if batch is not None:
                yield side, batch
    finally:
        if coming is not None:
            coming[1].cancel()


def _asked(logs: Mapping[Side, _Log]) -> tuple[Side, asyncio.Future[RawBatch | None]] | None:
    side = _behind(logs)
    if side is None:
        return None
    # Not a task: that would begin only when whoever works on the last batch lets go of the event loop.
    return side, asyncio.get_running_loop().run_in_executor(None, logs[side].next)


def _behind(logs: Mapping[Side, _Log]) -> Side | None:
    left = [side for side in SIDES if not logs[side].over]
    return min(left, key=lambda side: logs[side].read_until_ms, default=None)
