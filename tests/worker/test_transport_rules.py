"""The rules of the batch transport, one by one, on a consumer whose fetches are scripted."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import faust
import numpy as np
import pytest
from aiokafka.errors import NoOffsetForPartitionError, OffsetOutOfRangeError
from faust.tables.manager import TableManager
from faust.transport.consumer import Consumer as FaustConsumer
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from streams.worker import transport
from streams.worker.batches import BatchMessage, Records, raw_batch, require_pairs
from streams.worker.errors import PositionLostError, PositionOutOfRangeError, UnpairedAssignmentError
from streams.worker.fetch_thread import FetchedRecords

A, B = TP("inference-events", 0), TP("label-events", 0)


def records(*offsets: int) -> Records:
    count = len(offsets)
    return Records(
        np.array(offsets), 1_000 + np.array(offsets), 0, [b"k"] * count, [b"v%d" % at for at in offsets]
    )


class ScriptedThread:
    """Stands where aiokafka's thread is: hands out what the test wrote down, notes what it is asked."""

    def __init__(self) -> None:
        self.fetches: list[Any] = []
        self.asked: list[set[TP]] = []
        self.sought: list[dict[TP, int]] = []
        self.commits: list[dict[TP, int]] = []
        self.commit_succeeds = True
        self.committed: dict[TP, int] = {}
        self.polls = 0

    def assignment(self) -> set[TP]:
        return {A, B}

    async def getmany(self, active: set[TP], timeout: float) -> FetchedRecords:  # noqa: ASYNC109
        self.asked.append(set(active))
        step = self.fetches.pop(0) if self.fetches else {}
        if callable(step):
            step = await step()
        return step if isinstance(step, FetchedRecords) else FetchedRecords(step, {})

    async def seek_wait(self, offsets: Mapping[TP, int]) -> None:
        self.sought.append(dict(offsets))

    async def committed_offsets(self, _tps: set[TP]) -> dict[TP, int]:
        return dict(self.committed)

    async def earliest_offsets(self, *tps: TP) -> dict[TP, int]:
        return dict.fromkeys(tps, 7)

    async def highwaters(self, *tps: TP) -> dict[TP, int]:
        return dict.fromkeys(tps, 50)

    async def commit(self, offsets: Mapping[TP, int]) -> bool:
        if self.commit_succeeds:
            self.commits.append(dict(offsets))
        return self.commit_succeeds

    async def stay_in_group(self) -> None:
        self.polls += 1


Scene = Callable[[transport.BatchConsumer, ScriptedThread], Awaitable[None]]


def play(scene: Scene, *, start: Mapping[TP, int] | None = None) -> None:
    """Run a scene on a consumer whose partitions A and B are sought to ``start`` (0 unless told)."""

    async def run() -> None:
        app = faust.App("rules", broker="kafka-batch://nowhere", web_enabled=False)
        app.consumer_generation_id = 1
        consumer = app.consumer
        assert isinstance(consumer, transport.BatchConsumer)
        consumer._thread.thread_loop.close()  # made ready for a thread that never starts
        thread = ScriptedThread()
        consumer._thread = thread
        offsets = {A: 0, B: 0, **(start or {})}

        async def start_offsets(_tps: set[TP]) -> Mapping[TP, int]:
            return offsets

        async def flush() -> None:
            pass

        app.start_offsets = start_offsets
        app.producer.flush = flush
        consumer._set_active_tps({A, B})
        await consumer.perform_seek()
        await scene(consumer, thread)

    asyncio.run(run())


async def fetch(consumer: transport.BatchConsumer) -> list[BatchMessage]:
    messages = [message async for _, message in consumer.getmany(timeout=0.01)]
    for message in messages:
        consumer.track_message(message)
    return messages


def offsets_of(message: BatchMessage) -> list[int]:
    return message.records.offsets.tolist()


def test_a_message_has_the_first_offset_and_commits_up_to_the_one_after_its_last() -> None:
    async def scene(consumer: transport.BatchConsumer, thread: ScriptedThread) -> None:
        thread.fetches = [{A: records(0, 1, 2)}]
        (message,) = await fetch(consumer)
        assert (message.offset, message.next_offset, len(message.value)) == (0, 3, 3)
        assert consumer.ack(message)
        assert await consumer.force_commit()
        assert thread.commits == [{A: 3}]

    play(scene)


def test_a_finished_batch_behind_an_unfinished_one_is_not_committed() -> None:
    async def scene(consumer: transport.BatchConsumer, thread: ScriptedThread) -> None:
        thread.fetches = [{A: records(0, 1)}, {A: records(2)}, {A: records(3, 4)}]
        first, second, third = [(await fetch(consumer))[0] for _ in range(3)]
        consumer.ack(third)
        consumer.ack(second)
        assert not await consumer.force_commit()
        consumer.ack(first)
        assert await consumer.force_commit()
        assert thread.commits == [{A: 5}]

    play(scene)


@given(st.permutations(range(6)), st.integers(0, 6))
def test_what_may_be_committed_is_the_end_of_the_finished_beginning(order: list[int], done: int) -> None:
    async def scene(consumer: transport.BatchConsumer, thread: ScriptedThread) -> None:
        thread.fetches = [{A: records(3 * i, 3 * i + 2)} for i in range(6)]
        messages = [(await fetch(consumer))[0] for _ in range(6)]
        finished = set(order[:done])
        for i in order[:done]:
            consumer.ack(messages[i])
        beginning = next((i for i in range(6) if i not in finished), 6)
        assert consumer._new_offset(A) == (3 * beginning if beginning else None)

    play(scene)


def test_offsets_that_transactions_leave_out_neither_block_commits_nor_count_as_finished() -> None:
    async def scene(consumer: transport.BatchConsumer, thread: ScriptedThread) -> None:
        thread.fetches = [{A: records(0, 1)}, {A: records(15, 17)}]
        first, second = [(await fetch(consumer))[0] for _ in range(2)]
        await consumer._add_gap(A, 2, 15)
        assert not consumer._gap[A]
        consumer.ack(first)
        await consumer.force_commit()
        consumer.ack(second)
        await consumer.force_commit()
        assert thread.commits == [{A: 2}, {A: 18}]

    play(scene)


def test_an_acknowledgement_from_before_a_seek_is_void_and_the_other_partition_keeps_its_own() -> None:
    async def scene(consumer: transport.BatchConsumer, thread: ScriptedThread) -> None:
        thread.fetches = [{A: records(0, 1), B: records(0, 1, 2)}]
        old, other = await fetch(consumer)
        await consumer.seek(A, 0)
        assert not consumer.ack(old)
        assert consumer.ack(other)
        assert consumer._new_offset(A) is None
        assert consumer._new_offset(B) == 3
        assert not consumer.unacked

    play(scene)


def test_a_batch_is_acknowledged_once_however_often_it_is_said() -> None:
    async def scene(consumer: transport.BatchConsumer, thread: ScriptedThread) -> None:
        thread.fetches = [{A: records(0)}]
        (message,) = await fetch(consumer)
        assert [consumer.ack(message), consumer.ack(message)] == [True, False]
        assert consumer._n_acked == 1

    play(scene)


def test_a_failed_commit_is_tried_again_and_not_taken_for_done() -> None:
    async def scene(consumer: transport.BatchConsumer, thread: ScriptedThread) -> None:
        thread.fetches = [{A: records(0, 1)}]
        (message,) = await fetch(consumer)
        consumer.ack(message)
        thread.commit_succeeds = False
        assert not await consumer.force_commit()
        assert consumer._committed_offset[A] != 2
        thread.commit_succeeds = True
        assert await consumer.force_commit()
        assert thread.commits == [{A: 2}]

    play(scene)


def test_records_fetched_before_a_seek_are_dropped_and_the_partition_is_sought_again() -> None:
    async def scene(consumer: transport.BatchConsumer, thread: ScriptedThread) -> None:
        async def seek_comes_first() -> dict[TP, Records]:
            await consumer.seek(A, 100)
            return {A: records(500, 501), B: records(0)}

        thread.fetches = [seek_comes_first, {A: records(100)}]
        assert [m.tp for m in await fetch(consumer)] == [B]
        assert thread.sought[-1] == {A: 100}
        assert len(thread.sought) == 3  # at the start, by the scene, and after the drop
        assert [offsets_of(m) for m in await fetch(consumer)] == [[100]]

    play(scene)


def test_records_that_arrive_again_are_cut_one_by_one() -> None:
    async def scene(consumer: transport.BatchConsumer, thread: ScriptedThread) -> None:
        thread.fetches = [{A: records(0, 1, 2)}, {A: records(1, 2, 3)}, {A: records(2, 3)}, {A: records(4)}]
        fetched = [[offsets_of(m) for m in await fetch(consumer)] for _ in range(4)]
        assert fetched == [[[0, 1, 2]], [[3]], [], [[4]]]

    play(scene)


def test_records_of_a_partition_that_was_never_sought_stop_the_worker() -> None:
    async def scene(consumer: transport.BatchConsumer, thread: ScriptedThread) -> None:
        consumer._void([A])
        consumer._epochs.clear()
        thread.fetches = [{A: records(5)}]
        with pytest.raises(PositionLostError, match=r"^inference-events\[0\]@5: fetched without a position"):
            await fetch(consumer)

    play(scene)


def test_records_dropped_while_the_flow_stands_still_are_sought_again() -> None:
    async def scene(consumer: transport.BatchConsumer, thread: ScriptedThread) -> None:
        async def revoked_meanwhile() -> dict[TP, Records]:
            consumer.stop_flow()
            return {A: records(0, 1)}

        thread.fetches = [revoked_meanwhile, {A: records(0, 1)}]
        assert await fetch(consumer) == []
        assert thread.sought[-1] == {A: 0}
        consumer.resume_flow()
        assert [offsets_of(m) for m in await fetch(consumer)] == [[0, 1]]

    play(scene)


def test_a_rebalance_that_passed_before_the_fetch_began_costs_no_records() -> None:
    async def scene(consumer: transport.BatchConsumer, thread: ScriptedThread) -> None:
        thread.fetches = [{A: records(0, 1)}]
        consumer.stop_flow()
        fetching = asyncio.create_task(fetch(consumer))
        await asyncio.sleep(0.01)
        consumer.app.consumer_generation_id = 2
        await consumer.perform_seek()
        consumer.resume_flow()
        (message,) = await fetching
        assert (offsets_of(message), message.generation_id) == ([0, 1], 2)
        assert consumer.ack(message)

    play(scene)


def test_a_fetch_of_an_older_generation_is_dropped() -> None:
    async def scene(consumer: transport.BatchConsumer, thread: ScriptedThread) -> None:
        async def rebalanced_meanwhile() -> dict[TP, Records]:
            consumer.app.consumer_generation_id = 2
            return {A: records(0, 1)}

        thread.fetches = [rebalanced_meanwhile]
        assert await fetch(consumer) == []

    play(scene)


BATCHES = 3  # of one record, until a partition holds all it may


@pytest.fixture
def few_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "HELD_BYTES", 0)
    monkeypatch.setattr(transport, "LEAST_HELD_BYTES", BATCHES * records(0).size_bytes)


@pytest.mark.usefixtures("few_held")
def test_a_partition_that_holds_all_it_may_is_not_fetched_while_the_other_goes_on() -> None:
    async def scene(consumer: transport.BatchConsumer, thread: ScriptedThread) -> None:
        thread.fetches = [{A: records(i), B: records(i)} for i in range(BATCHES)]
        delivered = [await fetch(consumer) for _ in range(BATCHES)]
        for _, of_b in delivered:
            consumer.ack(of_b)
        await fetch(consumer)
        assert thread.asked[-1] == {B}
        consumer.release(delivered[0][0])
        await fetch(consumer)
        assert thread.asked[-1] == {A, B}
        assert consumer._new_offset(A) is None
        consumer.ack(delivered[0][0])
        assert consumer._new_offset(A) == 1

    play(scene)


@pytest.mark.usefixtures("few_held")
def test_when_every_partition_is_held_back_nothing_is_fetched_and_the_group_is_kept() -> None:
    async def scene(consumer: transport.BatchConsumer, thread: ScriptedThread) -> None:
        thread.fetches = [{A: records(i), B: records(i)} for i in range(BATCHES)]
        kept = [await fetch(consumer) for _ in range(BATCHES)]
        asked = len(thread.asked)
        assert await fetch(consumer) == []
        assert len(thread.asked) == asked
        assert thread.polls == 1
        assert len(kept) == BATCHES

    play(scene)


def test_a_partition_is_caught_up_when_its_last_fetched_record_was_handed_over() -> None:
    async def scene(consumer: transport.BatchConsumer, thread: ScriptedThread) -> None:
        assert not consumer.caught_up(A)
        thread.fetches = [
            FetchedRecords({A: records(0, 1)}, {A: (2, 5), B: (0, 0)}),
            FetchedRecords({A: records(2)}, {A: (5, 5)}),  # 3 and 4 are the marks of a transaction
        ]
        await fetch(consumer)
        assert (consumer.caught_up(A), consumer.caught_up(B)) == (False, True)
        await fetch(consumer)
        assert consumer.caught_up(A)
        await consumer.seek(A, 0)
        assert not consumer.caught_up(A)

    play(scene)


def test_waiting_for_agents_ends_although_one_never_finishes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "EMPTY_WITHIN_S", 0.05)

    async def scene(consumer: transport.BatchConsumer, thread: ScriptedThread) -> None:
        thread.fetches = [{A: records(0, 1), B: records(0)}]
        never, finished = await fetch(consumer)
        consumer.ack(finished)
        await asyncio.wait_for(consumer.wait_empty(), 5)
        assert thread.commits == [{B: 1}]
        assert set(consumer.unacked) == {never}

    play(scene)


def test_what_nobody_committed_is_sought_to_the_beginning_of_the_log() -> None:
    async def scene(consumer: transport.BatchConsumer, thread: ScriptedThread) -> None:
        del consumer.app.start_offsets
        thread.committed = {B: 0}
        await consumer.perform_seek()
        assert thread.sought[-1] == {A: 7, B: 0}

    play(scene)


def test_reading_again_from_below_what_was_committed_never_takes_a_commit_back() -> None:
    async def scene(consumer: transport.BatchConsumer, thread: ScriptedThread) -> None:
        thread.committed = {A: 3}
        await consumer.perform_seek()
        thread.fetches = [{A: records(0, 1)}, {A: records(2, 3)}]
        again, new = [(await fetch(consumer))[0] for _ in range(2)]
        consumer.ack(again)
        assert not await consumer.force_commit()
        consumer.ack(new)
        assert await consumer.force_commit()
        assert thread.commits == [{A: 4}]

    play(scene)


def test_an_offset_that_the_log_no_longer_holds_stops_the_worker_by_name() -> None:
    async def scene(consumer: transport.BatchConsumer, thread: ScriptedThread) -> None:
        async def expired() -> None:
            raise OffsetOutOfRangeError({A: 3})

        thread.fetches = [expired]
        with pytest.raises(
            PositionOutOfRangeError, match=r"^inference-events\[0\]@3: the log holds 7 to 49 only"
        ):
            await fetch(consumer)

    play(scene)


def test_what_aiokafka_lacks_before_a_partition_is_sought_stops_nobody() -> None:
    async def scene(consumer: transport.BatchConsumer, thread: ScriptedThread) -> None:
        async def never_committed() -> None:
            raise NoOffsetForPartitionError(A)

        # A new assignment: Faust lets records flow, and seeks when it comes to it.
        consumer._void({A, B})
        thread.fetches = [never_committed]
        assert await fetch(consumer) == []
        await consumer.perform_seek()
        thread.fetches = [never_committed]
        with pytest.raises(PositionLostError, match="no position to read from"):
            await fetch(consumer)

    play(scene)


def test_a_seek_that_a_rebalance_overtook_leaves_nothing_for_sought() -> None:
    async def scene(consumer: transport.BatchConsumer, thread: ScriptedThread) -> None:
        async def never_committed() -> None:
            raise NoOffsetForPartitionError(A)

        async def overtaken(offsets: Mapping[TP, int]) -> None:
            thread.sought.append(dict(offsets))
            consumer._void({A, B})  # everything was given back, and is assigned anew

        seek_wait, thread.seek_wait = thread.seek_wait, overtaken  # type: ignore[method-assign]
        await consumer.perform_seek()
        thread.fetches = [never_committed]
        assert await fetch(consumer) == []
        assert consumer.handed_over(A) is None
        thread.seek_wait = seek_wait  # type: ignore[method-assign]
        await consumer.perform_seek()
        assert consumer.handed_over(A) == 0

    play(scene)


def test_partitions_of_both_topics_must_come_in_pairs() -> None:
    topics = ("inference-events", "label-events")
    require_pairs({A, B, TP("pane-updates", 5)}, topics)
    require_pairs(set(), topics)
    with pytest.raises(
        UnpairedAssignmentError, match=r"^assigned inference-events \[0\], label-events \[1\]: "
    ):
        require_pairs({A, TP("label-events", 1)}, topics)


def test_fetched_records_become_what_the_decoder_takes() -> None:
    raw = raw_batch(A, records(4, 6))
    assert (raw.topic, raw.partition, raw.offsets.tolist()) == ("inference-events", 0, [4, 6])
    assert raw.record_times_ms.tolist() == [1_004, 1_006]
    assert (raw.keys, raw.values, raw.headers) == ([b"k", b"k"], [b"v4", b"v6"], ())


OVERRIDDEN = {
    (TableManager, "on_start"): "(self) -> None",
    (TableManager, "_update_channels"): "(self) -> None",
    (faust.App, "_create_directories"): "(self) -> None",
    (FaustConsumer, "on_partitions_revoked"): "(self, revoked: Set[faust.types.tuples.TP]) -> None",
    (FaustConsumer, "on_partitions_assigned"): (
        "(self, assigned: Set[faust.types.tuples.TP], generation_id: int = 0) -> None"
    ),
    (FaustConsumer, "perform_seek"): "(self) -> None",
    (FaustConsumer, "seek_to_committed"): "(self) -> Mapping[faust.types.tuples.TP, int]",
    (FaustConsumer, "seek"): "(self, partition: faust.types.tuples.TP, offset: int) -> None",
    (FaustConsumer, "getmany"): "(self, timeout: float)",
    (FaustConsumer, "_getmany"): (
        "(self, active_partitions: Optional[Set[faust.types.tuples.TP]], timeout: float)"
    ),
    (FaustConsumer, "_wait_next_records"): "(self, timeout: float)",
    (FaustConsumer, "ack"): "(self, message: faust.types.tuples.Message) -> bool",
    (FaustConsumer, "wait_empty"): "(self) -> None",
    (FaustConsumer, "_wait_for_ack"): "(self, timeout: float) -> None",
    (FaustConsumer, "_add_gap"): (
        "(self, tp: faust.types.tuples.TP, offset_from: int, offset_to: int) -> None"
    ),
    (FaustConsumer, "_filter_tps_with_pending_acks"): "(self, topics:",
    (FaustConsumer, "_new_offset"): "(self, tp: faust.types.tuples.TP) -> Optional[int]",
    (FaustConsumer, "_commit_offsets"): (
        "(self, offsets: Mapping[faust.types.tuples.TP, int], start_new_transaction: bool = True) -> bool"
    ),
    (driver.AIOKafkaConsumerThread, "on_start"): "(self) -> None",
    (driver.Consumer, "_new_consumer_thread"): "(self) -> 'AIOKafkaConsumerThread'",
    (driver.AIOKafkaConsumerThread, "_create_worker_consumer"): (
        "(self, transport: 'Transport') -> aiokafka.consumer.consumer.AIOKafkaConsumer"
    ),
    (driver.AIOKafkaConsumerThread, "_fetch_records"): (
        "(self, consumer: aiokafka.consumer.consumer.AIOKafkaConsumer,"
        " active_partitions: Set[faust.types.tuples.TP], timeout: Optional[float] = None,"
        " max_records: Optional[int] = None)"
    ),
}


@pytest.mark.parametrize(("owner", "name"), OVERRIDDEN, ids=lambda part: getattr(part, "__name__", part))
def test_what_the_transport_overrides_in_faust_still_has_the_signature_it_was_written_against(
    owner: type, name: str
) -> None:
    assert str(inspect.signature(getattr(owner, name))).startswith(OVERRIDDEN[owner, name])


def test_every_override_of_a_faust_method_is_in_the_list_of_signatures() -> None:
    ours = {
        name
        for mine, theirs in (
            (transport.BatchConsumer, driver.Consumer),
            (transport.BatchConsumerThread, driver.AIOKafkaConsumerThread),
        )
        for name in vars(mine)
        if not name.startswith("__") and callable(getattr(theirs, name, None))
    }
    assert ours - {"on_stop"} <= {name for _, name in OVERRIDDEN}
