"""The transport ``kafka-batch://`` for Faust: one event per fetched record batch, acknowledged by range.

Faust commits message by message and hands an agent one record at a time, which costs 50 µs a record, and its
bookkeeping loses records in three ways (Faust issues 606 and 316, and gaps that count as acknowledged). Here
a message is what one fetch returned for one partition. Its offset is the *first* of its records, so that
Faust's filter of what was read already stays right; its ``next_offset`` is what may be committed once it and
everything before it is acknowledged.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import Any, ClassVar

from aiokafka.errors import IllegalStateError, NoOffsetForPartitionError, OffsetOutOfRangeError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ack_lock
from mode.utils.futures import notify

from streams.worker.batches import BatchMessage, Records, require_pairs
from streams.worker.errors import PositionLostError, PositionOutOfRangeError, UnpairedAssignmentError
from streams.worker.fetch_thread import BatchConsumerThread, EndingThread, FetchedRecords
from streams.worker.waiting import woken

# Of a worker, in records that are fetched and not used up; then more is fetched for other partitions only.
HELD_BYTES = 32 << 20
LEAST_HELD_BYTES = 1 << 20  # of one partition, however many there are
HELD_BACK_WAIT_S = 0.05
EMPTY_WITHIN_S = 1.0


class BatchConsumer(driver.Consumer):
    """Faust's consumer with one message per fetched batch, and commits that cannot pass unfinished work."""

    _thread: BatchConsumerThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._delivered: dict[TP, deque[BatchMessage]] = {}  # in the order of fetching
        self._held: dict[TP, int] = {}  # bytes of records in memory
        self._safe: dict[TP, int] = {}  # the next offset that may be committed
        self._epochs: dict[TP, int] = {}  # grows with every seek and loss; older acknowledgements are void
        self._expected: dict[TP, int] = {}  # where the next batch must start; absent: not sought yet
        self._standing: dict[TP, tuple[int, int]] = {}
        self._freed = asyncio.Event()
        self.group_committed: dict[TP, int] = {}  # as of the last seek
        super().__init__(*args, **kwargs)

    def _new_consumer_thread(self) -> BatchConsumerThread:
        return BatchConsumerThread(self, loop=self.loop, beacon=self.beacon, Worker=EndingThread)

    async def on_stop(self) -> None:
        # After a crash a commit would be cancelled, and with it the stop of the thread: a process left over.
        if not self.crashed:
            await super().on_stop()

    # -- positions

    def _void(self, tps: Iterable[TP]) -> None:
        gone = set(tps)
        for tp in gone:
            self._epochs[tp] = self._epochs.get(tp, 0) + 1
            self._delivered.pop(tp, None)
            self._held.pop(tp, None)
            self._safe.pop(tp, None)
            self._expected.pop(tp, None)
            self._standing.pop(tp, None)
        for message in [m for m in self._unacked_messages if m.tp in gone]:
            self._unacked_messages.discard(message)
        self._freed.set()

    def _known(self) -> set[TP]:
        return {*self._epochs, *self.assignment()}

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        hand_back = getattr(self.app, "hand_back", None)
        if hand_back is not None:  # while nobody else can have been given what is ours
            await hand_back()
        await super().on_partitions_revoked(revoked)
        self._void(self._known())  # the protocol is eager: everything is given back and read again

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        try:
            require_pairs(assigned, getattr(self.app, "paired_topics", ()))
        except UnpairedAssignmentError as error:
            await self.crash(error)
            return
        await super().on_partitions_assigned(assigned, generation_id)

    async def perform_seek(self) -> None:
        tps = self.assignment()
        self._void(tps)
        epochs = {tp: self.epoch(tp) for tp in tps}
        await super().perform_seek()
        # Of what a rebalance took back meanwhile aiokafka has no position: whoever is given it seeks it.
        ours = [tp for tp, epoch in epochs.items() if self.epoch(tp) == epoch]
        # Again: what was fetched before the seek and arrives after it would otherwise pass for new.
        expected = {tp: self._read_offset[tp] or 0 for tp in ours}
        self._void(ours)
        self._expected.update(expected)
        # Reading may start below what the group committed; its commits never go back.
        self._committed_offset.update(self.group_committed)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek every assigned partition to where ``start_offsets`` says, and return these offsets."""
        tps = self.assignment()
        if not tps:
            return {}
        self.group_committed = await self._thread.committed_offsets(tps)
        offsets = dict(await self.start_offsets(tps))
        missing = tps - offsets.keys()
        if missing:
            offsets.update(await self.earliest_offsets(*missing))
        await self._thread.seek_wait(offsets)
        return {TP(tp.topic, tp.partition): offset for tp, offset in offsets.items()}

    async def start_offsets(self, tps: set[TP]) -> Mapping[TP, int]:
        """Return where reading starts: what the app restores, else the committed offsets.

        A partition that is left out is read from its beginning.
        """
        restore = getattr(self.app, "start_offsets", None)
        if restore is not None:
            found: Mapping[TP, int] = await restore(tps)
            return found
        return self.group_committed

    async def seek(self, partition: TP, offset: int) -> None:
        self._void([partition])
        epoch = self.epoch(partition)
        await self._thread.seek_wait({partition: offset})
        if epoch != self.epoch(partition):
            return  # a rebalance came between, and seeks for itself
        self._void([partition])
        self._read_offset[partition] = offset
        self._expected[partition] = offset

    async def _drop(self, tp: TP) -> None:
        """Seek back to where dropped records began; where nothing is sought yet, a seek is under way."""
        if tp in self._expected:
            try:
                await self.seek(tp, self._expected[tp])
            except IllegalStateError:  # no longer ours
                self._void([tp])

    def caught_up(self, tp: TP) -> bool:
        """Tell whether all that the partition held at the last fetch has been handed to its agent."""
        position, end = self._standing.get(tp, (-1, 0))
        return position >= end

    def handed_over(self, tp: TP) -> int | None:
        """Return the offset behind the last record handed to the partition's agent; None: not sought yet."""
        return self._expected.get(tp)

    def epoch(self, tp: TP) -> int:
        return self._epochs.get(tp, 0)

    async def offsets_for_times(self, times_ms: Mapping[TP, int]) -> dict[TP, int | None]:
        """Return the first offset whose record time is not earlier; None where there is none."""
        return await self._thread.offsets_for_times(times_ms)

    async def first_times_ms(self, tps: list[TP]) -> dict[TP, int | None]:
        """Return the record time of the first record of each partition; None where there is none."""
        return await self._thread.first_times_ms(tps)

    # -- fetching

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> FetchedRecords:  # noqa: ASYNC109
        active = set(active_partitions or ())
        most = held_bytes(len(self.assignment()))
        held = {tp for tp in active if self._held.get(tp, 0) >= most}
        # Taken where the fetch begins: while the flow stood still before it, a rebalance may have passed.
        generation, epochs = self.app.consumer_generation_id, dict(self._epochs)
        fetched: Mapping[TP, Any] = {}
        self._freed.clear()
        try:
            if not held:
                fetched = await super()._getmany(active, timeout)
            elif active > held:
                # Without waiting: what is held back may be freed at any moment, and is in memory already.
                fetched = await super()._getmany(active - held, 0.0)
        except (NoOffsetForPartitionError, OffsetOutOfRangeError) as error:
            # Faust lets records flow before it seeks; until then aiokafka goes by what the group committed.
            sought = all(tp in self._expected for tp in _places(error))
            if self.flow_active and epochs == self._epochs and sought:
                raise await self._out_of_range(error) from error
        if held and not fetched:
            await self._thread.stay_in_group()
            await woken(self._freed, min(timeout, HELD_BACK_WAIT_S))
        if not isinstance(fetched, FetchedRecords):
            return FetchedRecords({}, {})
        fetched.generation, fetched.epochs = generation, epochs
        return fetched

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, BatchMessage]]:  # noqa: ASYNC109
        if self.flow_active and not self.assignment():
            await self._thread.stay_in_group()
        fetched, _ = await self._wait_next_records(timeout)
        if not isinstance(fetched, FetchedRecords):
            return
        waiting = dict(fetched)
        while waiting and not self.should_stop:
            tp = next(iter(waiting))
            records = waiting.pop(tp)
            if not self.flow_active or not self._is_current(tp, fetched):
                await self._drop(tp)
                continue
            records = self._following(tp, records)
            if len(records):
                message = BatchMessage(tp, records, self.epoch(tp), fetched.generation)
                self._expected[tp] = message.next_offset
                self._delivered.setdefault(tp, deque()).append(message)
                self._held[tp] = self._held.get(tp, 0) + message.size_bytes
                yield tp, message
        for tp, standing in fetched.standing.items():
            if self._is_current(tp, fetched):
                self._standing[tp] = standing
                self.app.monitor.track_tp_end_offset(tp, standing[1])

    def _is_current(self, tp: TP, fetched: FetchedRecords) -> bool:
        # A message of another generation is skipped by Faust's stream, in silence.
        same_generation = fetched.generation == self.app.consumer_generation_id
        return same_generation and fetched.epochs.get(tp, 0) == self.epoch(tp)

    def _following(self, tp: TP, records: Records) -> Records:
        expected = self._expected.get(tp)
        if expected is None:
            raise PositionLostError(
                f"{tp.topic}[{tp.partition}]@{records.first_offset}: fetched without a position sought before"
            )
        first = records.first_offset
        if first > expected:  # what transactions and compaction leave behind
            self.log.debug("%s[%s]: no records from %s to %s", tp.topic, tp.partition, expected, first - 1)
        return records.since(expected)

    async def _out_of_range(self, error: Exception) -> Exception:
        asked = {tp: at for tp, at in _places(error).items() if at is not None}
        if not asked:
            return PositionLostError(f"Kafka has no position to read from: {error!r}")
        starts, ends = await self.earliest_offsets(*asked), await self.highwaters(*asked)
        parts = [
            f"{tp.topic}[{tp.partition}]@{at}: the log holds {starts[tp]} to {ends[tp] - 1} only"
            for tp, at in asked.items()
        ]
        return PositionOutOfRangeError("; ".join(parts))

    # -- acknowledging

    def release(self, message: BatchMessage) -> None:
        """Let go of a batch's records: they are used, if not yet acknowledged, and more may be fetched."""
        if message.released:
            return
        message.released, message.value = True, None
        if message.epoch == self.epoch(message.tp):
            self._held[message.tp] -= message.size_bytes
            self._freed.set()

    def ack(self, message: BatchMessage) -> bool:  # type: ignore[override]  # no other message is made here
        with ack_lock:
            if message.done:
                return False
            message.acked = message.done = True
            self.release(message)
            self._unacked_messages.discard(message)
            try:
                if message.epoch != self.epoch(message.tp):
                    return False
                queue = self._delivered.get(message.tp, deque())
                while queue and queue[0].done:
                    self._safe[message.tp] = queue.popleft().next_offset
                self._n_acked += 1
                return True
            finally:
                self._freed.set()
                notify(self._waiting_for_ack)

    async def wait_empty(self) -> None:
        """Wait for what agents have begun, at most ``EMPTY_WITHIN_S``, and commit what is safe."""
        deadline_s = self.loop.time() + EMPTY_WITHIN_S
        while self._unacked_messages and not self.should_stop and self.loop.time() < deadline_s:
            await self._wait_for_ack(timeout=0.1)
            self._clean_unacked_messages()
        await self.commit_and_end_transactions()

    async def _wait_for_ack(self, timeout: float) -> None:  # noqa: ASYNC109
        self._waiting_for_ack = self.loop.create_future()
        try:
            await asyncio.wait([self._waiting_for_ack], timeout=timeout)
        finally:
            self._waiting_for_ack = None

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Do nothing: ``next_offset`` steps over gaps, and Faust's own count includes a message in flight."""

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        return (tp for tp in list(self._safe) if topics is None or tp in topics or tp.topic in topics)

    def _new_offset(self, tp: TP) -> int | None:
        return self._safe.get(tp)

    async def _commit_offsets(self, offsets: Mapping[TP, int], start_new_transaction: bool = True) -> bool:
        before = {tp: self._committed_offset[tp] for tp in offsets}
        committed = bool(await super()._commit_offsets(offsets, start_new_transaction))
        if not committed:  # Faust issue 316
            for tp, offset in offsets.items():
                if self._committed_offset[tp] == offset:
                    self._committed_offset[tp] = before[tp]
        return committed


def held_bytes(assigned: int) -> int:
    """Return how much each of ``assigned`` partitions may hold before no more is fetched for it.

    Examples
    --------
    >>> [held_bytes(n) >> 20 for n in (2, 6, 24, 1000)]
    [16, 5, 1, 1]
    """
    return max(LEAST_HELD_BYTES, HELD_BYTES // max(1, assigned))


def _places(error: Exception) -> dict[TP, int | None]:
    """Return which partitions an error is about, with the offset that was asked for."""
    told = error.args[0] if error.args else {}
    offsets = told if isinstance(told, dict) else {told: None}
    return {TP(tp.topic, tp.partition): at for tp, at in offsets.items()}


class Transport(driver.Transport):
    """Faust transport for the URL scheme ``kafka-batch://``."""

    Consumer: ClassVar[type[BatchConsumer]] = BatchConsumer
