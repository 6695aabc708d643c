"""The partitions of both inputs that a worker has, each at work as one task: begun, kept, given up."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from faust.types import TP

from streams.codes import siphash
from streams.decode import Decoder
from streams.worker.alignment import SIDES, Side
from streams.worker.batches import BatchMessage
from streams.worker.clock import Clock
from streams.worker.partition_runner import PartitionRunner
from streams.worker.rereading import Rereading
from streams.worker.resuming import Start, first_start
from streams.worker.sending import Sender
from streams.worker.settings import WorkerSettings
from streams.worker.standing import Standing
from streams.worker.taking_over import Taken, TakingOver
from streams.worker.transport import BatchConsumer
from streams.worker.waiting import ended


class InputPartitions:
    """Stage 1 of one worker.

    Parameters
    ----------
    sender
        Sends what partitions tell where no checkpoints are kept.
    pool
        Threads for claims and commits.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        decoder: Decoder,
        clock: Clock,
        sender: Sender,
        pool: ThreadPoolExecutor,
    ) -> None:
        self._settings = settings
        self._decoder = decoder
        self._clock = clock
        self._sender = sender
        self._pool = pool
        self._rereading = Rereading(settings.kafka, (settings.topics.inference, settings.topics.labels))
        self.runners: dict[int, PartitionRunner] = {}
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self._taken: dict[int, Taken] = {}
        self._loading: asyncio.Task[None] | None = None

    @property
    def standing(self) -> dict[int, Standing]:
        """How each partition is doing."""
        return {partition: runner.standing for partition, runner in sorted(self.runners.items())}

    def load(self) -> None:
        """Begin to load what compiled code needs: half a second, at the first batch otherwise."""
        self._loading = asyncio.create_task(asyncio.to_thread(siphash.load))

    def put(self, message: BatchMessage) -> None:
        self.runners[message.partition].put(message)

    async def keep_only(self, partitions: set[int]) -> None:
        """Give up all others: their state is dropped, and what they had not committed is undone."""
        await self._give_up((self.tasks.keys() | self.runners.keys() | self._taken.keys()) - partitions)

    async def assign(
        self, partitions: set[int], counts: tuple[int, int], consumer: BatchConsumer, *, stayed: bool
    ) -> dict[TP, int]:
        """Work on ``partitions``; return where reading of each goes on.

        Parameters
        ----------
        counts
            How many partitions the inputs have, and how many ``pane-updates``.
        stayed
            Whether nobody else can have had those that are at work here already; otherwise they are taken
            over anew.

        Raises
        ------
        WorkerError
            If one cannot be taken over.
        """
        offsets: dict[TP, int] = {}
        if stayed:
            for runner in self.runners.values():
                offsets.update(runner.resume())
        else:
            await self._give_up(self.runners.keys() & partitions)
        for partition, start in (
            await self._starts(sorted(partitions - self.runners.keys()), consumer)
        ).items():
            taken = self._taken.get(partition)
            runner = PartitionRunner(
                partition, counts, start, self._settings, self._decoder, self._clock, consumer,
                taken.transactions if taken else self._sender, self._rereading.batches,
                taken.records if taken else None,
            )  # fmt: skip
            self.runners[partition] = runner
            self.tasks[partition] = asyncio.create_task(runner.run())
            offsets.update({self._tp(side, partition): offset for side, offset in start.offsets.items()})
        for runner in self.runners.values():
            runner.limit_waiting(self._settings.join.max_waiting_bytes // len(self.runners))
        return offsets

    async def finish(self, within_s: float) -> None:
        """Let each send what is ready and end, for at most ``within_s``."""
        for runner in self.runners.values():
            runner.stop()
        if self.tasks:
            await asyncio.wait(self.tasks.values(), timeout=within_s)

    async def _starts(self, partitions: list[int], consumer: BatchConsumer) -> Mapping[int, Start]:
        """Take partitions over; return where each begins."""
        if not partitions:
            return {}
        if self._settings.checkpoints:
            taken = await TakingOver(self._settings, self._clock, consumer, self._pool).take(partitions)
            self._taken |= taken
            return {partition: each.start for partition, each in taken.items()}
        first = await consumer.earliest_offsets(
            *(self._tp(side, each) for each in partitions for side in SIDES)
        )
        return {
            each: Start(1, first_start(each, {side: first[self._tp(side, each)] for side in SIDES}, 0))
            for each in partitions
        }

    async def _give_up(self, partitions: set[int]) -> None:
        for partition in partitions:
            await ended(self.tasks.pop(partition, None))
            self.runners.pop(partition, None)
        gone = [self._taken.pop(partition) for partition in partitions if partition in self._taken]
        await asyncio.gather(*(asyncio.to_thread(each.transactions.close) for each in gone))

    def _tp(self, side: Side, partition: int) -> TP:
        topics = self._settings.topics
        return TP(topics.inference if side == "inference" else topics.labels, partition)
