"""What waited at a checkpoint is read again beside the group's consumer, on a real Kafka."""

import asyncio
import contextlib
from collections.abc import Callable

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from schemas.checkpoints import Checkpoint
from streams.worker.errors import PositionOutOfRangeError
from streams.worker.rereading import Rereading

pytestmark = pytest.mark.kafka
Told = list[tuple[str, int, bytes]]


def read_again(
    kafka: str, topics: tuple[str, str], inference: tuple[int, int], labels: tuple[int, int] = (0, 0)
) -> Told:
    checkpoint = Checkpoint(0, 1, inference[1], labels[1], inference[0], labels[0], 0)

    async def run() -> Told:
        told: Told = []
        async with asyncio.timeout(60):
            rereading = Rereading({"bootstrap.servers": kafka}, topics)
            async with contextlib.aclosing(rereading.batches(checkpoint)) as batches:
                async for side, batch in batches:
                    assert len(batch) == len(batch.record_times_ms) == len(batch.keys)
                    told += [
                        (side, offset, value)
                        for offset, value in zip(batch.offsets.tolist(), batch.values, strict=True)
                    ]
        return told

    return asyncio.run(run())


def produce(kafka: str, topic: str, values: range, **options: str) -> None:
    producer = Producer({"bootstrap.servers": kafka, **options})
    for value in values:
        producer.produce(topic, str(value).encode(), timestamp=1_000 + value)
    assert producer.flush(20) == 0


def transaction(kafka: str, topic: str, values: range, *, commits: bool) -> None:
    producer = Producer({"bootstrap.servers": kafka, "transactional.id": f"{topic}-{values.start}"})
    producer.init_transactions(20)
    producer.begin_transaction()
    for value in values:
        producer.produce(topic, str(value).encode(), timestamp=1_000 + value)
    producer.flush(20)
    (producer.commit_transaction if commits else producer.abort_transaction)(20)


def test_all_records_between_low_water_and_checkpoint_come_once_and_none_beyond(
    kafka: str, create_topic: Callable[..., str]
) -> None:
    topics = create_topic("reread-inference", 1), create_topic("reread-labels", 1)
    produce(kafka, topics[0], range(20_000))
    produce(kafka, topics[1], range(300))
    told = read_again(kafka, topics, (7, 12_345), (100, 300))
    for side, offsets in (("inference", range(7, 12_345)), ("labels", range(100, 300))):
        assert [(offset, value) for its, offset, value in told if its == side] == [
            (offset, str(offset).encode()) for offset in offsets
        ]


def test_a_checkpoint_behind_transactions_is_reached_and_what_was_aborted_never_comes(
    kafka: str, create_topic: Callable[..., str]
) -> None:
    topics = create_topic("reread-transactions", 1), create_topic("reread-nothing", 1)
    transaction(kafka, topics[0], range(3), commits=True)  # 0 to 2, and its mark at 3
    transaction(kafka, topics[0], range(4, 6), commits=False)  # 4, 5, and 6
    transaction(kafka, topics[0], range(7, 9), commits=True)  # 7, 8, and 9
    told = read_again(kafka, topics, (0, 10))
    assert told == [("inference", offset, str(offset).encode()) for offset in (0, 1, 2, 7, 8)]


def test_the_side_that_is_behind_in_record_time_is_read_next(
    kafka: str, create_topic: Callable[..., str]
) -> None:
    topics = create_topic("reread-even", 1), create_topic("reread-late", 1)
    produce(kafka, topics[0], range(30_000))
    produce(kafka, topics[1], range(12_000, 42_000))
    left, until = {"inference": 30_000, "labels": 30_000}, {"inference": -1, "labels": -1}

    async def run() -> None:
        rereading = Rereading({"bootstrap.servers": kafka}, topics)
        async for side, batch in rereading.batches(Checkpoint(0, 1, 30_000, 30_000, 0, 0, 0)):
            other = "labels" if side == "inference" else "inference"
            assert until[side] <= until[other] or not left[other]
            left[side] -= len(batch)
            until[side] = int(batch.record_times_ms[-1])

    asyncio.run(run())
    assert left == {"inference": 0, "labels": 0}


def test_records_deleted_meanwhile_are_named(kafka: str, create_topic: Callable[..., str]) -> None:
    topics = create_topic("reread-deleted", 1), create_topic("reread-no-labels", 1)
    produce(kafka, topics[0], range(100))
    admin = AdminClient({"bootstrap.servers": kafka})
    for future in admin.delete_records([TopicPartition(topics[0], 0, 50)]).values():
        future.result(20)
    with pytest.raises(
        PositionOutOfRangeError, match=r"reread-deleted.*\[0\]: records below 80 were deleted"
    ):
        read_again(kafka, topics, (10, 80))


def test_who_stops_listening_gives_the_turn_back(kafka: str, create_topic: Callable[..., str]) -> None:
    topics = create_topic("reread-left", 1), create_topic("reread-left-labels", 1)
    produce(kafka, topics[0], range(20_000))

    async def run() -> int:
        rereading = Rereading({"bootstrap.servers": kafka}, topics)
        batches = rereading.batches(Checkpoint(0, 1, 20_000, 0, 0, 0, 0))
        _, first = await anext(batches)
        await batches.aclose()
        # Its turn is given back: another one begins at once.
        for _ in range(3):
            again = rereading.batches(Checkpoint(0, 1, 20_000, 0, 0, 0, 0))
            async with asyncio.timeout(20):
                await anext(again)
            await again.aclose()
        return len(first)

    assert 0 < asyncio.run(run()) <= 20_000
