"""A worker inside an asyncio program: takes partitions, works on them, says why when it ends by itself."""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Mapping
from typing import Any

import structlog
from faust.types import TP

from streams.decode import Decoder
from streams.drift import detectors
from streams.monitor import Follower
from streams.monitor.gauges import VersionFigures
from streams.worker import outgoing
from streams.worker.alignment import SIDES, Side
from streams.worker.app import build_app
from streams.worker.batches import BatchMessage, raw_batch
from streams.worker.clock import Clock, SystemClock
from streams.worker.errors import UnexpectedError, WorkerError
from streams.worker.growth import CountWatch, grown, require_counts
from streams.worker.journal import Journal
from streams.worker.monitor_runner import MonitorRunner
from streams.worker.partition_runner import PartitionRunner
from streams.worker.published import published_alerts
from streams.worker.rereading import Rereading
from streams.worker.resuming import Start, first_start
from streams.worker.sending import Sender
from streams.worker.settings import TopicNames, WorkerSettings
from streams.worker.standing import Standing
from streams.worker.taking_over import Taken, TakingOver
from streams.worker.taking_up import Beginning, take_up
from streams.worker.transactions import Transactions, transaction_pool
from streams.worker.transport import BatchConsumer
from streams.worker.watchdog import Watchdog

WATCH_S = 0.25
PROBE_WITHIN_S = 2.0
HAND_BACK_WITHIN_S = 5.0  # half of the time that a rebalance has

log = structlog.get_logger("aftcast.worker")


class Worker:
    """Reads, joins, counts and watches as one member of the consumer group.

    ``start`` returns when the group has given it partitions (or none, being one too many); ``wait`` returns
    never, but raises ``WorkerError`` when the worker cannot go on; ``stop`` sends what is ready and leaves.
    """

    def __init__(self, settings: WorkerSettings, decoder: Decoder, *, clock: Clock | None = None) -> None:
        self.settings = settings
        self._decoder = decoder
        self._clock = clock or SystemClock()
        self._sender = Sender(settings.kafka)
        self._pool = transaction_pool()
        self._rereading = Rereading(settings.kafka, (settings.topics.inference, settings.topics.labels))
        self._app = build_app(settings, self._take, self._start_offsets, self._hand_back)
        self._counts = (0, 0)  # partitions of the inputs, and of pane-updates
        self._runners: dict[int, PartitionRunner] = {}
        self._taken: dict[int, Taken] = {}
        self._monitors: dict[int, MonitorRunner] = {}
        self._tasks: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._generation = -1
        self._assigned = asyncio.Event()
        self._counting: asyncio.Task[None] | None = None
        self._loading: asyncio.Task[None] | None = None

    @property
    def consumer(self) -> BatchConsumer:
        consumer = self._app.consumer
        assert isinstance(consumer, BatchConsumer)  # noqa: S101 (the broker's scheme says so)
        return consumer

    @property
    def partitions(self) -> dict[int, Standing]:
        """How each input partition of this worker is doing."""
        return {partition: runner.standing for partition, runner in sorted(self._runners.items())}

    @property
    def assigned(self) -> bool:
        """Whether the group has given it partitions, or none, and is not sharing them out anew."""
        return self._assigned.is_set() and not self._app.rebalancing

    def unreachable(self) -> str:
        """Return why no broker answers, empty when one does; blocks for up to ``PROBE_WITHIN_S``."""
        return self._sender.unreachable(self.settings.topics.inference, PROBE_WITHIN_S)

    @property
    def found(self) -> tuple[int, int]:
        """How many drifts and alerts this worker has found."""
        monitors = self._monitors.values()
        return sum(monitor.drifts for monitor in monitors), sum(monitor.alerts for monitor in monitors)

    @property
    def mature_until_ms(self) -> dict[str, int]:
        """Up to when each model that this worker watches is mature."""
        known: dict[str, int] = {}
        for _, monitor in sorted(self._monitors.items()):
            known |= monitor.mature_until_ms
        return known

    @property
    def model_figures(self) -> list[VersionFigures]:
        """The newest figures of the versions that this worker watches."""
        return [one for _, monitor in sorted(self._monitors.items()) for one in monitor.figures]

    async def start(self) -> None:
        _quiet()
        # While the group shares out its partitions: at the first mature pane it would hold up all of them.
        self._loading = asyncio.create_task(asyncio.to_thread(detectors.load))
        topics = self.settings.topics
        names = {name: getattr(topics, name) for name in TopicNames.__slots__}
        if not self.settings.checkpoints:
            del names["state"], names["journal"]
        found = {name: await self._sender.partitions(topic) for name, topic in names.items()}
        require_counts(names, found)
        self._counts = found["inference"], found["pane_updates"]
        read = {name: found[name] for name in ("inference", "labels", "pane_updates")}
        counting = CountWatch(self._sender, names, read).run(self.settings.look_for_partitions_s)
        self._counting = asyncio.create_task(counting)
        await self._app.start()
        watching = asyncio.create_task(self.wait())
        assigned = asyncio.create_task(self._assigned.wait())
        try:
            await asyncio.wait({watching, assigned}, return_when=asyncio.FIRST_COMPLETED)
            if watching.done():
                watching.result()
        finally:
            for task in (watching, assigned):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, WorkerError):
                    await task

    async def wait(self) -> None:
        """Run the watchdog; raise what stops the worker."""
        watchdog = Watchdog(self.settings.stuck_after_s)
        while True:
            if self._app.crashed:
                reason = self._app.crash_reason
                if isinstance(reason, WorkerError):
                    raise reason
                raise UnexpectedError(f"Faust stopped: {reason!r}") from reason
            for name, task in list(self._tasks.items()):
                if task.done() and not task.cancelled():
                    error = task.exception()
                    if isinstance(error, WorkerError):
                        raise error
                    raise UnexpectedError(f"work on {name[0]}[{name[1]}] failed: {error!r}") from error
            if self._counting is not None and self._counting.done():
                self._counting.result()
            watchdog.look(self._app, self.consumer, self.partitions)
            await asyncio.sleep(WATCH_S)

    async def stop(self) -> None:
        """Send what is ready, acknowledge it, commit, leave the group; within ``stop_within_s``."""
        if self._counting is not None:
            self._counting.cancel()
        half_s = self.settings.stop_within_s / 2
        last = [task for key, task in self._tasks.items() if key[0] == "inputs"]
        if last and not self._app.crashed:
            for runner in self._runners.values():
                runner.stop()
            await asyncio.wait(last, timeout=half_s)
        for key in list(self._tasks):
            await self._end(key)
        self._runners.clear()
        for monitor in self._monitors.values():
            await monitor.close()
        self._monitors.clear()
        await self._close(list(self._taken))
        try:
            await asyncio.wait_for(self._app.stop(), half_s)
        except TimeoutError:
            log.warning("group not left in time", after_s=half_s)
        self._sender.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    # -- what the app calls --------------------------------------------------------------------------------

    async def _take(self, message: BatchMessage) -> None:
        if message.epoch != self.consumer.epoch(message.tp):
            return
        topics = self.settings.topics
        if message.topic == topics.pane_updates:
            self._monitors[message.partition].put(message)
        elif message.topic == topics.lifecycle:
            await self._pass_on(message)
        else:
            self._runners[message.partition].put(message)

    async def _pass_on(self, message: BatchMessage) -> None:
        topics = self.settings.topics
        events, letters = self._decoder.decode_lifecycle(raw_batch(message.tp, message.records))
        try:
            await self._sender.send(
                [
                    *outgoing.lifecycle_messages(topics.pane_updates, events),
                    *outgoing.dead_letter_messages(topics.dead_letters, letters),
                ]
            )
        except WorkerError as error:
            await self._app.crash(error)
            return
        self.consumer.ack(message)

    async def _hand_back(self) -> None:
        """Send what is ready, then nothing more: what is ours now may be given to others."""
        runners: list[PartitionRunner | MonitorRunner] = [*self._runners.values(), *self._monitors.values()]
        sending = [asyncio.create_task(runner.hand_back()) for runner in runners]
        if not sending:
            return
        done, _ = await asyncio.wait(sending, timeout=HAND_BACK_WITHIN_S)
        for task in done:
            error = task.exception()
            if error is not None:
                await self._app.crash(error)

    async def _start_offsets(self, tps: set[TP]) -> Mapping[TP, int]:
        """Take over what is assigned; return where reading starts (what is left out: at the first record)."""
        try:
            return await self._take_over(tps)
        except WorkerError as error:
            await self._app.crash(error)
            raise

    async def _take_over(self, tps: set[TP]) -> dict[TP, int]:
        topics = self.settings.topics
        # A generation missed is one in which another member may have had our partitions.
        generation, before = self._app.consumer_generation_id, self._generation
        stayed = generation in {before, before + 1}
        self._generation = generation
        inputs = {tp.partition for tp in tps if tp.topic == topics.inference}
        updates = {tp.partition for tp in tps if tp.topic == topics.pane_updates}
        for topic, own, count in (
            (topics.inference, inputs, self._counts[0]),
            (topics.pane_updates, updates, self._counts[1]),
        ):
            if max(own, default=0) >= count:
                raise grown(topic, count, max(own) + 1)
        held = {("inputs", partition) for partition in inputs} | {
            ("updates", partition) for partition in updates
        }
        for key in self._tasks.keys() - held:
            await self._end(key)
        for gone in self._runners.keys() - inputs:
            del self._runners[gone]
        await self._close([partition for partition in self._taken if partition not in inputs])
        for gone in self._monitors.keys() - updates:
            await self._monitors.pop(gone).close()

        offsets = {tp: at for tp, at in self.consumer.group_committed.items() if tp.topic == topics.lifecycle}
        kept = dict(self._runners) if stayed else {}
        for runner in kept.values():
            offsets.update(runner.resume())
        # Side by side: each waits for the brokers most of the time.
        for begun in await _all_of(
            self._begin(inputs - kept.keys()), self._begin_monitors(updates, stayed=stayed)
        ):
            offsets.update(begun)
        log.info("assigned", partitions=sorted(inputs), kept=sorted(kept), generation=generation)
        self._assigned.set()
        return offsets

    async def _begin(self, partitions: set[int]) -> dict[TP, int]:
        for partition in partitions & self._runners.keys():
            await self._end(("inputs", partition))
        await self._close([partition for partition in partitions if partition in self._taken])
        starts = await self._starts(sorted(partitions))
        offsets: dict[TP, int] = {}
        for partition, start in starts.items():
            taken = self._taken.get(partition)
            runner = PartitionRunner(
                partition, self._counts, start, self.settings, self._decoder, self._clock, self.consumer,
                taken.transactions if taken else self._sender, self._rereading.batches,
                taken.records if taken else None,
            )  # fmt: skip
            self._runners[partition] = runner
            self._tasks["inputs", partition] = asyncio.create_task(runner.run())
            offsets.update({self._tp(side, partition): offset for side, offset in start.offsets.items()})
        for runner in self._runners.values():
            runner.limit_waiting(self.settings.join.max_waiting_bytes // len(self._runners))
        return offsets

    async def _starts(self, partitions: list[int]) -> dict[int, Start]:
        """Take partitions over; return where each begins."""
        if not partitions:
            return {}
        if self.settings.checkpoints:
            taking = TakingOver(self.settings, self._clock, self.consumer, self._pool)
            taken = await taking.take(partitions)
            self._taken |= taken
            return {partition: each.start for partition, each in taken.items()}
        tps = [self._tp(side, partition) for partition in partitions for side in SIDES]
        first = await self.consumer.earliest_offsets(*tps)
        return {
            partition: Start(
                1, first_start(partition, {side: first[self._tp(side, partition)] for side in SIDES}, 0)
            )
            for partition in partitions
        }

    async def _close(self, partitions: list[int]) -> None:
        gone = [self._taken.pop(partition) for partition in partitions if partition in self._taken]
        await asyncio.gather(*(asyncio.to_thread(each.transactions.close) for each in gone))

    async def _begin_monitors(self, partitions: set[int], *, stayed: bool) -> dict[TP, int]:
        topics = self.settings.topics
        offsets: dict[TP, int] = {}
        new = [partition for partition in partitions if not (stayed and partition in self._monitors)]
        for partition in partitions.difference(new):
            offsets[TP(topics.pane_updates, partition)] = self._monitors[partition].resume()
        if not new:
            return offsets
        for partition in new:
            await self._end(("updates", partition))
            if partition in self._monitors:
                await self._monitors.pop(partition).close()
        tps = [TP(topics.pane_updates, partition) for partition in new]
        runners = await asyncio.gather(*(self._monitor_of(tp) for tp in tps))
        for tp, monitor in zip(tps, runners, strict=True):
            self._monitors[tp.partition] = monitor
            self._tasks["updates", tp.partition] = asyncio.create_task(monitor.run())
            offsets[tp] = monitor.next_offset
        return offsets

    async def _monitor_of(self, tp: TP) -> MonitorRunner:
        settings, consumer = self.settings, self.consumer
        if not settings.checkpoints:
            first = await consumer.earliest_offsets(tp)
            published = await asyncio.to_thread(published_alerts, settings.kafka, settings.topics.alerts)
            beginning = Beginning(Follower(settings.monitor, first[tp]), first[tp])
            return MonitorRunner(tp, beginning, settings, consumer, self._sender, published=published)
        topic = settings.topics.journal
        name = f"{settings.group}-{topic}-{tp.partition}"
        transactions = Transactions(settings.kafka, name, self._pool)
        journal = Journal(settings.kafka, topic, tp.partition, transactions)
        # Claimed first: what a former owner still commits lies before the end that is read then.
        recalled = await journal.claim()
        if self._loading is not None:
            await self._loading
        first, ends = await consumer.earliest_offsets(tp), await consumer.highwaters(tp)
        beginning = await take_up(tp, first[tp], ends[tp], recalled, settings.monitor, self._clock.now_ms())
        return MonitorRunner(tp, beginning, settings, consumer, self._sender, journal)

    async def _end(self, key: tuple[str, int]) -> None:
        task = self._tasks.pop(key, None)
        if task is not None:
            task.cancel()
            # Its error, if it had one, has stopped the worker, or is of a partition that is no longer ours.
            await asyncio.wait([task])

    def _tp(self, side: Side, partition: int) -> TP:
        topics = self.settings.topics
        return TP(topics.inference if side == "inference" else topics.labels, partition)


async def _all_of(*works: Coroutine[Any, Any, dict[TP, int]]) -> list[dict[TP, int]]:
    """Return what all of them return; where one fails, end the others before its error is raised."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        raise


def _quiet() -> None:
    # Faust tells each service's start, and a crash with every frame; ours is one line with the reason.
    for name in ("faust", "mode", "aiokafka", "streams.worker"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
