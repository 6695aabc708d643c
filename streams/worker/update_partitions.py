"""The partitions of ``pane-updates`` that a worker watches, each at work as one task."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from faust.types import TP

from streams.drift import detectors
from streams.monitor import Follower
from streams.monitor.gauges import VersionFigures
from streams.worker.batches import BatchMessage
from streams.worker.clock import Clock
from streams.worker.journal import Journal
from streams.worker.last_records import records_again
from streams.worker.monitor_runner import MonitorRunner
from streams.worker.published import published_alerts
from streams.worker.sending import Sender
from streams.worker.settings import WorkerSettings
from streams.worker.taking_up import Beginning, take_up
from streams.worker.transactions import Transactions
from streams.worker.transport import BatchConsumer
from streams.worker.waiting import ended


class UpdatePartitions:
    """Stage 2 of one worker.

    Parameters
    ----------
    sender
        Sends what is found where no journal is kept.
    pool
        Threads for claims and commits.
    """

    def __init__(
        self, settings: WorkerSettings, clock: Clock, sender: Sender, pool: ThreadPoolExecutor
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._sender = sender
        self._pool = pool
        self.runners: dict[int, MonitorRunner] = {}
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self._loading: asyncio.Task[None] | None = None

    @property
    def found(self) -> tuple[int, int]:
        """How many drifts and alerts were found."""
        runners = self.runners.values()
        return sum(runner.drifts for runner in runners), sum(runner.alerts for runner in runners)

    @property
    def mature_until_ms(self) -> dict[str, int]:
        """Up to when each model is mature."""
        known: dict[str, int] = {}
        for _, runner in sorted(self.runners.items()):
            known |= runner.mature_until_ms
        return known

    @property
    def figures(self) -> list[VersionFigures]:
        """The newest figures of each model version."""
        return [one for _, runner in sorted(self.runners.items()) for one in runner.figures]

    def load(self) -> None:
        """Begin to import the detectors: at the first mature pane that would hold up everything."""
        self._loading = asyncio.create_task(asyncio.to_thread(detectors.load))

    def put(self, message: BatchMessage) -> None:
        self.runners[message.partition].put(message)

    async def keep_only(self, partitions: set[int]) -> None:
        """Give up all others: their state is dropped, and what they had not committed is undone."""
        await self._give_up((self.tasks.keys() | self.runners.keys()) - partitions)

    async def assign(self, partitions: set[int], consumer: BatchConsumer, *, stayed: bool) -> dict[TP, int]:
        """Watch ``partitions``; return where reading of each goes on.

        Parameters
        ----------
        stayed
            Whether nobody else can have had those that are at work here already; otherwise they are taken
            up anew.

        Raises
        ------
        WorkerError
            If one cannot be taken up.
        """
        if not stayed:
            await self._give_up(self.runners.keys() & partitions)
        topic = self._settings.topics.pane_updates
        offsets = {TP(topic, partition): runner.resume() for partition, runner in self.runners.items()}
        new = [TP(topic, partition) for partition in sorted(partitions - self.runners.keys())]
        begun = await asyncio.gather(*(self._begun(tp, consumer) for tp in new))
        for tp, runner in zip(new, begun, strict=True):
            self.runners[tp.partition] = runner
            self.tasks[tp.partition] = asyncio.create_task(runner.run())
            offsets[tp] = runner.next_offset
        return offsets

    async def _begun(self, tp: TP, consumer: BatchConsumer) -> MonitorRunner:
        settings = self._settings
        if not settings.checkpoints:
            first = await consumer.earliest_offsets(tp)
            published = await asyncio.to_thread(published_alerts, settings.kafka, settings.topics.alerts)
            beginning = Beginning(Follower(settings.monitor, first[tp]), first[tp])
            return MonitorRunner(tp, beginning, settings, consumer, self._sender, published=published)
        topic = settings.topics.journal
        name = f"{settings.group}-{topic}-{tp.partition}"
        transactions = Transactions(settings.kafka, name, self._pool)
        journal = Journal(settings.kafka, topic, tp.partition, transactions)
        try:
            # Claimed first: what a former owner still commits lies before the end that is read then.
            recalled = await journal.claim()
            if self._loading is not None:
                await asyncio.wait([self._loading])  # a rebalance may end this take-over, and never that
            first, ends = await consumer.earliest_offsets(tp), await consumer.highwaters(tp)
            last = recalled.position.last if recalled.position else None
            again = await asyncio.to_thread(records_again, settings.kafka, {tp: last}, first, ends)
            now_ms = self._clock.now_ms()
            beginning = await take_up(
                tp, first[tp], ends[tp], recalled, settings.monitor, now_ms, again.get(tp)
            )
        except BaseException:
            await asyncio.to_thread(transactions.close)
            raise
        return MonitorRunner(tp, beginning, settings, consumer, self._sender, journal)

    async def _give_up(self, partitions: set[int]) -> None:
        for partition in partitions:
            await ended(self.tasks.pop(partition, None))
            runner = self.runners.pop(partition, None)
            if runner is not None:
                await runner.close()
