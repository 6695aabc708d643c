"""Notices that an input log was cut and written on while it is read: what comes next is not what followed.

A reader whose position is beyond the new end is told so by Kafka. One that is overtaken before it asks again
reads on in another log, in silence; so what was read some seconds ago is read again, now and then.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

import structlog
from aiokafka.errors import KafkaError
from confluent_kafka import KafkaException
from faust.types import TP

from schemas.checkpoints import LastRecord
from streams.worker.errors import LogReplacedError, StateError
from streams.worker.last_records import records_again

log = structlog.get_logger("aftcast.worker")


class Read(Protocol):
    """What is asked of a partition at work."""

    @property
    def last_read(self) -> Mapping[TP, LastRecord]: ...

    async def disprove(self, tp: TP, last: LastRecord) -> bool: ...


class Ends(Protocol):
    """What is asked about the input topics."""

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]: ...
    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]: ...


class LogWatch:
    """Looks now and then whether records that were read are still there; ``run`` ends where one is not.

    Parameters
    ----------
    kafka
        Connection options under librdkafka's names.
    at_work
        Returns the partitions that are at work now.
    """

    def __init__(self, kafka: Mapping[str, str], at_work: Callable[[], Mapping[int, Read]]) -> None:
        self._kafka = kafka
        self._at_work = at_work
        self._seen: dict[TP, tuple[Read, LastRecord]] = {}

    async def run(self, ends: Callable[[], Ends], every_s: float) -> None:
        """Raise ``LogReplacedError`` when a partition has remembered that its log is another one."""
        while True:
            await asyncio.sleep(every_s)
            try:
                await self._look(ends())
            except (StateError, KafkaError, KafkaException, TimeoutError) as error:
                # A broker that is away, or a topic that was deleted, is told by who reads.
                log.debug("logs not looked at", reason=str(error))

    async def _look(self, ends: Ends) -> None:
        at_work = self._at_work()
        ours = {
            tp: (runner, last)
            for tp, (runner, last) in self._seen.items()
            if at_work.get(tp.partition) is runner
        }
        found: dict[TP, LastRecord] = {}
        if ours:
            firsts, highs = await asyncio.gather(ends.earliest_offsets(*ours), ends.highwaters(*ours))
            lasts: dict[TP, LastRecord | None] = {tp: last for tp, (_, last) in ours.items()}
            found = await asyncio.to_thread(records_again, self._kafka, lasts, firsts, highs)
        lost, doubtful = [], {}
        for tp, again in found.items():
            runner, last = ours[tp]
            if again == last:
                continue
            if await runner.disprove(tp, last):
                lost.append(f"{tp.topic}[{tp.partition}]@{last.offset}")
            else:
                doubtful[tp] = ours[tp]
        if lost:
            raise LogReplacedError(
                f"{', '.join(lost)}: the log holds another record than the one that was read there: the "
                "topic was made anew or lost what was written last, and was written on; the next start "
                "tells what is lost"
            )
        newest = {
            tp: (runner, last) for runner in self._at_work().values() for tp, last in runner.last_read.items()
        }
        self._seen = newest | doubtful
