"""Takes partitions over from whoever had them: fences, reads the checkpoint, claims, looks at the logs."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol

import structlog
from confluent_kafka import KafkaException
from faust.types import TP

from schemas.checkpoints import Checkpoint
from streams.worker.alignment import SIDES, Side
from streams.worker.checkpoint_records import CheckpointRecords, Stored, is_whole, stored
from streams.worker.clock import Clock
from streams.worker.compacted import read_newest
from streams.worker.errors import StateError
from streams.worker.last_records import records_again
from streams.worker.resuming import MARGIN_MS, Log, Start, first_start, last_record, resumed
from streams.worker.settings import WorkerSettings
from streams.worker.transactions import Transactions

log = structlog.get_logger("aftcast.partition")


class Logs(Protocol):
    """What is asked about the input topics."""

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]: ...
    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]: ...
    async def offsets_for_times(self, times_ms: Mapping[TP, int]) -> dict[TP, int | None]: ...
    async def first_times_ms(self, tps: list[TP]) -> dict[TP, int | None]: ...


@dataclass(frozen=True, slots=True)
class Taken:
    """A partition that is ours: where it begins, and how what it tells is sent and remembered."""

    start: Start
    transactions: Transactions
    records: CheckpointRecords


class TakingOver:
    """Takes over partitions of the inputs, all of one assignment side by side on ``pool``."""

    def __init__(self, settings: WorkerSettings, clock: Clock, logs: Logs, pool: ThreadPoolExecutor) -> None:
        self._settings = settings
        self._clock = clock
        self._logs = logs
        self._pool = pool

    async def take(self, partitions: list[int]) -> dict[int, Taken]:
        """Claim partitions; from then on nobody else can commit anything for them.

        Raises
        ------
        WorkerError
            If the brokers do not answer, or a newer version wrote the state.
        """
        opened = {
            partition: Transactions(self._settings.kafka, self._name(partition), self._pool)
            for partition in partitions
        }
        try:
            return await self._take(opened)
        except BaseException:
            await asyncio.to_thread(_close_all, list(opened.values()))
            raise

    async def _take(self, opened: dict[int, Transactions]) -> dict[int, Taken]:
        newest = await asyncio.gather(*(self._newest(*each) for each in opened.items()))
        known = dict(zip(opened, newest, strict=True))
        never = [partition for partition, found in known.items() if found is None]
        first = await self._first_starts(never)
        found = {partition: known[partition] or Stored(first[partition]) for partition in opened}
        records = {partition: CheckpointRecords(self._settings.topics.state) for partition in opened}
        # As it was stored, under the next epoch: who takes over after a crash right now finds what we found.
        await asyncio.gather(
            *(
                opened[partition].send(
                    records[partition].messages(
                        replace(each.checkpoint, epoch=each.checkpoint.epoch + 1), each.gaps
                    )
                )
                for partition, each in found.items()
            )
        )
        logs = await self._held([each.checkpoint for each in found.values()])
        now_ms, width_ms = self._clock.now_ms(), self._settings.monitor.pane_width_ms
        taken = {}
        for partition, each in found.items():
            own = {side: logs[self._tp(side, partition)] for side in SIDES}
            start = resumed(each.checkpoint, each.gaps, own, now_ms, width_ms)
            for gap, summary in start.found:
                log.error("state gap", reason=summary, topic=gap.topic, partition=partition)
            taken[partition] = Taken(start, opened[partition], records[partition])
        return taken

    async def _newest(self, partition: int, transactions: Transactions) -> Stored | None:
        await transactions.claim()
        topic = self._settings.topics.state
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(
                self._pool, lambda: read_newest(self._settings.kafka, topic, partition, enough=is_whole)
            )
        except KafkaException as error:
            raise StateError(f"{topic}[{partition}]: cannot be read ({error.args[0].str()})") from error
        return stored(found, f"{topic}[{partition}]")

    async def _first_starts(self, partitions: list[int]) -> dict[int, Checkpoint]:
        """Return where partitions begin that nobody ever worked on: at the hot horizon, or at the end."""
        if not partitions:
            return {}
        width_ms = self._settings.monitor.pane_width_ms
        since_ms = max(0, self._clock.now_ms() - self._settings.join.hot_horizon_ms)
        tps = [self._tp(side, partition) for partition in partitions for side in SIDES]
        ends = await self._logs.highwaters(*tps)
        found = await self._logs.offsets_for_times(dict.fromkeys(tps, max(0, since_ms - MARGIN_MS)))
        later = {tp: at for tp, at in found.items() if at is not None}
        offsets = {tp: later.get(tp, ends[tp]) for tp in tps}
        return {
            partition: first_start(
                partition,
                {side: offsets[self._tp(side, partition)] for side in SIDES},
                -(-since_ms // width_ms) * width_ms,
            )
            for partition in partitions
        }

    async def _held(self, checkpoints: list[Checkpoint]) -> dict[TP, Log]:
        tps = {
            self._tp(side, each.partition): last_record(each, side) for each in checkpoints for side in SIDES
        }
        first, ends, times_ms = await asyncio.gather(
            self._logs.earliest_offsets(*tps),
            self._logs.highwaters(*tps),
            self._logs.first_times_ms(list(tps)),
        )
        again = await asyncio.get_running_loop().run_in_executor(
            self._pool, lambda: records_again(self._settings.kafka, tps, first, ends)
        )
        return {tp: Log(tp.topic, first[tp], ends[tp], times_ms.get(tp), again.get(tp)) for tp in tps}

    def _tp(self, side: Side, partition: int) -> TP:
        topics = self._settings.topics
        return TP(topics.inference if side == "inference" else topics.labels, partition)

    def _name(self, partition: int) -> str:
        return f"{self._settings.group}-{self._settings.topics.state}-{partition}"


def _close_all(opened: list[Transactions]) -> None:
    for transactions in opened:
        transactions.close()
