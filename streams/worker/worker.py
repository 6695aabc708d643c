"""A worker inside an asyncio program: takes partitions, works on them, says why when it ends by itself."""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Mapping
from typing import Any

import structlog
from faust.types import TP

from streams.decode import Decoder
from streams.monitor.gauges import VersionFigures
from streams.worker import outgoing
from streams.worker.app import build_app
from streams.worker.batches import BatchMessage, raw_batch
from streams.worker.clock import Clock, SystemClock
from streams.worker.errors import UnexpectedError, WorkerError
from streams.worker.growth import CountWatch, grown, require_counts
from streams.worker.input_partitions import InputPartitions
from streams.worker.log_watch import LogWatch
from streams.worker.monitor_runner import MonitorRunner
from streams.worker.partition_runner import PartitionRunner
from streams.worker.sending import Sender
from streams.worker.settings import TopicNames, WorkerSettings
from streams.worker.standing import Standing
from streams.worker.transactions import transaction_pool
from streams.worker.transport import BatchConsumer
from streams.worker.update_partitions import UpdatePartitions
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
        self._sender = Sender(settings.kafka)
        self._pool = transaction_pool()
        clock = clock or SystemClock()
        self._inputs = InputPartitions(settings, decoder, clock, self._sender, self._pool)
        self._updates = UpdatePartitions(settings, clock, self._sender, self._pool)
        self._app = build_app(settings, self._take, self._start_offsets, self._hand_back)
        self._counts = (0, 0)  # partitions of the inputs, and of pane-updates
        self._generation = -1
        self._assigned = asyncio.Event()
        self._looking: list[asyncio.Task[None]] = []  # at what is not told by reading

    @property
    def consumer(self) -> BatchConsumer:
        consumer = self._app.consumer
        assert isinstance(consumer, BatchConsumer)  # noqa: S101 (the broker's scheme says so)
        return consumer

    @property
    def partitions(self) -> dict[int, Standing]:
        """How each input partition of this worker is doing."""
        return self._inputs.standing

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
        return self._updates.found

    @property
    def mature_until_ms(self) -> dict[str, int]:
        """Up to when each model that this worker watches is mature."""
        return self._updates.mature_until_ms

    @property
    def model_figures(self) -> list[VersionFigures]:
        """The newest figures of the versions that this worker watches."""
        return self._updates.figures

    async def start(self) -> None:
        _quiet()
        self._inputs.load()  # while the group shares out its partitions
        self._updates.load()
        topics = self.settings.topics
        names = {name: getattr(topics, name) for name in TopicNames.__slots__}
        if not self.settings.checkpoints:
            del names["state"], names["journal"]
        counted = await asyncio.gather(*map(self._sender.partitions, names.values()))
        found = dict(zip(names, counted, strict=True))
        require_counts(names, found)
        self._counts = found["inference"], found["pane_updates"]
        read = {name: found[name] for name in ("inference", "labels", "pane_updates")}
        counting = CountWatch(self._sender, names, read).run(self.settings.look_for_partitions_s)
        self._looking.append(asyncio.create_task(counting))
        if self.settings.checkpoints:
            logs = LogWatch(self.settings.kafka, lambda: self._inputs.runners)
            looking = logs.run(lambda: self.consumer, self.settings.look_at_logs_s)
            self._looking.append(asyncio.create_task(looking))
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
            self._look_at_tasks()
            for looking in self._looking:
                if looking.done():
                    looking.result()
            watchdog.look(self._app, self.consumer, self.partitions)
            await asyncio.sleep(WATCH_S)

    async def stop(self) -> None:
        """Send what is ready, acknowledge it, commit, leave the group; within ``stop_within_s``."""
        for looking in self._looking:
            looking.cancel()
        half_s = self.settings.stop_within_s / 2
        if not self._app.crashed:
            await self._inputs.finish(half_s)
        await self._inputs.keep_only(set())
        await self._updates.keep_only(set())
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
            self._updates.put(message)
        elif message.topic == topics.lifecycle:
            await self._pass_on(message)
        else:
            self._inputs.put(message)

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
        runners: list[PartitionRunner | MonitorRunner] = [
            *self._inputs.runners.values(), *self._updates.runners.values()
        ]  # fmt: skip
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
        await self._inputs.keep_only(inputs)
        await self._updates.keep_only(updates)
        kept = sorted(self._inputs.runners) if stayed else []
        offsets = {tp: at for tp, at in self.consumer.group_committed.items() if tp.topic == topics.lifecycle}
        # Side by side: each waits for the brokers most of the time.
        for begun in await _all_of(
            self._inputs.assign(inputs, self._counts, self.consumer, stayed=stayed),
            self._updates.assign(updates, self.consumer, stayed=stayed),
        ):
            offsets.update(begun)
        log.info("assigned", partitions=sorted(inputs), kept=kept, generation=generation)
        self._assigned.set()
        return offsets

    def _look_at_tasks(self) -> None:
        for kind, tasks in (("inputs", self._inputs.tasks), ("updates", self._updates.tasks)):
            for partition, task in tasks.items():
                if task.done() and not task.cancelled():
                    error = task.exception()
                    if isinstance(error, WorkerError):
                        raise error
                    raise UnexpectedError(f"work on {kind}[{partition}] failed: {error!r}") from error


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
