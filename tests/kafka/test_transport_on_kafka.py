"""The batch transport on a real Kafka: everything read once, in pairs, and gaps named."""

import asyncio
import itertools
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Self

import faust
import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from faust.types import TP

from streams.worker.errors import PositionOutOfRangeError

pytestmark = pytest.mark.kafka
_names = itertools.count()


def send(bootstrap: str, topic: str, count: int, partitions: int, *, transaction: bool | None = None) -> None:
    """Send ``count`` records over the partitions; in a transaction, committed or (False) aborted."""
    options: dict[str, Any] = {"bootstrap.servers": bootstrap}
    producer = Producer(options if transaction is None else {**options, "transactional.id": f"{topic}-tx"})
    if transaction is not None:
        producer.init_transactions(20)
        producer.begin_transaction()
    for i in range(count):
        producer.produce(topic, str(i).encode(), partition=i % partitions)
        producer.poll(0)
    if transaction:
        producer.commit_transaction(20)
    elif transaction is False:
        producer.flush(20)
        producer.abort_transaction(20)
    assert producer.flush(20) == 0


class Reader:
    """A Faust app that reads two topics in batches and remembers each (topic, partition, offset)."""

    def __init__(self, bootstrap: str, topics: tuple[str, str], group: str) -> None:
        self.seen: Counter[tuple[str, int, int]] = Counter()
        self.app = faust.App(
            group,
            datadir=tempfile.mkdtemp(prefix="aftcast-test-"),
            broker=f"kafka-batch://{bootstrap}",
            web_enabled=False,
            topic_allow_declare=False,
            topic_disable_leader=True,
            stream_wait_empty=False,
            broker_session_timeout=6,
            broker_heartbeat_interval=0.5,
            broker_rebalance_timeout=10,
        )
        self.app.paired_topics = topics
        for name in topics:
            topic = self.app.topic(
                name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"
            )
            self.app.agent(topic, name=f"read {name}")(self._read)

    async def _read(self, stream: Any) -> None:
        async for event in stream.noack().events():
            message = event.message
            self.seen.update(
                (message.topic, message.partition, at) for at in message.records.offsets.tolist()
            )
            event.ack()

    async def __aenter__(self) -> Self:
        await self.app.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.app.stop()

    def assigned(self) -> set[tuple[str, int]]:
        return {(tp.topic, tp.partition) for tp in self.app.consumer.assignment()}


async def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline_s, "did not come true in time"
        await asyncio.sleep(0.02)


def committed(bootstrap: str, group: str) -> dict[tuple[str, int], int]:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    listed = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result(20)
    return {(tp.topic, tp.partition): tp.offset for tp in listed.topic_partitions}


@pytest.fixture
def topics(create_topic: Callable[..., str]) -> tuple[str, str]:
    """Two new topics of three partitions each: an odd count, which round-robin would separate."""
    number = next(_names)
    return create_topic(f"in-{number}", 3), create_topic(f"labels-{number}", 3)


def test_every_record_is_read_once_and_a_restart_reads_none_again(
    kafka: str, topics: tuple[str, str]
) -> None:
    for topic in topics:
        send(kafka, topic, 3_000, 3)

    async def run() -> tuple[Counter[Any], Counter[Any]]:
        async with Reader(kafka, topics, "once") as first:
            await until(lambda: first.seen.total() >= 6_000)
            await until(lambda: all(map(first.app.consumer.caught_up, first.app.consumer.assignment())))
        send(kafka, topics[0], 3, 3)
        async with Reader(kafka, topics, "once") as second:
            await until(lambda: second.seen.total() >= 3)
        return first.seen, second.seen

    first, second = asyncio.run(run())
    everything = {(topic, p, offset) for topic in topics for p in range(3) for offset in range(1_000)}
    assert first == Counter(everything)
    assert set(second) == {(topics[0], p, 1_000) for p in range(3)}
    ends = {(topic, p): 1_001 if topic == topics[0] else 1_000 for topic in topics for p in range(3)}
    assert committed(kafka, "once") == ends


def test_transactions_leave_gaps_that_block_nothing_and_what_was_aborted_is_not_read(
    kafka: str, topics: tuple[str, str]
) -> None:
    send(kafka, topics[0], 2, 1, transaction=True)  # 0 1, mark 2
    send(kafka, topics[0], 3, 1, transaction=False)  # 3 4 5, mark 6
    send(kafka, topics[0], 1, 1, transaction=True)  # 7, mark 8

    async def run() -> set[int]:
        async with Reader(kafka, topics, "gaps") as reader:
            await until(lambda: reader.seen.total() >= 3)
            await until(lambda: reader.app.consumer.caught_up(TP(topics[0], 0)))
        return {offset for _, _, offset in reader.seen}

    assert asyncio.run(run()) == {0, 1, 7}
    assert committed(kafka, "gaps") == {(topics[0], 0): 8}


def test_what_producers_compress_is_read(kafka: str, topics: tuple[str, str]) -> None:
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        producer = Producer({"bootstrap.servers": kafka, "compression.type": codec, "linger.ms": 50})
        for _ in range(100):
            producer.produce(topics[0], codec.encode() * 100, partition=0)
        assert producer.flush(20) == 0

    async def run() -> int:
        async with Reader(kafka, topics, "compressed") as reader:
            await until(lambda: reader.seen.total() >= 500 or reader.app.crashed)
        return reader.seen.total()

    assert asyncio.run(run()) == 500


def test_records_that_expired_before_they_were_read_stop_the_worker_by_name(
    kafka: str, topics: tuple[str, str]
) -> None:
    send(kafka, topics[0], 30, 3)
    admin = AdminClient({"bootstrap.servers": kafka})

    async def run() -> BaseException | None:
        async with Reader(kafka, topics, "expired") as reader:
            await until(lambda: reader.seen.total() >= 30)
        send(kafka, topics[0], 30, 3)
        partition = TopicPartition(topics[0], 1, 15)
        admin.delete_records([partition])[partition].result(20)
        async with Reader(kafka, topics, "expired") as again:
            await until(lambda: again.app.crashed)
        reason: BaseException | None = again.app._crash_reason
        return reason

    error = asyncio.run(run())
    assert isinstance(error, PositionOutOfRangeError)
    assert str(error) == f"{topics[0]}[1]@10: the log holds 15 to 19 only"


def test_two_workers_share_an_odd_number_of_partitions_in_pairs_and_lose_nothing_when_one_leaves(
    kafka: str, topics: tuple[str, str]
) -> None:
    async def run() -> tuple[Counter[Any], list[set[tuple[str, int]]]]:
        async with Reader(kafka, topics, "shared") as stays:
            async with Reader(kafka, topics, "shared") as leaves:
                await until(lambda: sorted([len(stays.assigned()), len(leaves.assigned())]) == [2, 4])
                shares = [stays.assigned(), leaves.assigned()]
                for topic in topics:
                    send(kafka, topic, 3_000, 3)
                await until(lambda: stays.seen.total() + leaves.seen.total() >= 3_000)
            for topic in topics:
                send(kafka, topic, 300, 3)
            await until(lambda: len(stays.seen | leaves.seen) >= 6_600)
        return stays.seen | leaves.seen, shares

    seen, shares = asyncio.run(run())
    assert set(seen) == {(topic, p, offset) for topic in topics for p in range(3) for offset in range(1_100)}
    for share in shares:
        pairs = [{p for topic, p in share if topic == name} for name in topics]
        assert pairs[0] == pairs[1]
