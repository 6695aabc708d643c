"""Notices that topics were given more partitions while a worker runs: what lies there nobody reads."""

import asyncio
from collections.abc import Mapping

import structlog

from streams.worker.errors import PartitionsChangedError, WorkerError
from streams.worker.sending import Sender

log = structlog.get_logger("aftcast.worker")


def require_counts(topics: Mapping[str, str], found: Mapping[str, int]) -> None:
    """Refuse counts of partitions with which labels would not meet predictions, or state has no place.

    Parameters
    ----------
    topics
        Names of the topics, by what they are for.
    found
        Partitions, likewise.

    Raises
    ------
    WorkerError
        With the remedy.
    """
    inputs = found["inference"], found["labels"]
    if inputs[0] != inputs[1]:
        raise WorkerError(
            f"{topics['inference']} has {inputs[0]} partitions and {topics['labels']} {inputs[1]}: a label "
            "finds its prediction only where both have the same number; refusing to run"
        )
    for own, of in (("state", "inference"), ("journal", "pane_updates")):
        if own in found and found[own] < found[of]:
            raise WorkerError(
                f"{topics[own]} has {found[own]} partitions, {topics[of]} {found[of]}: it needs one for "
                "each; give it the rest with: aftcast setup"
            )


class CountWatch:
    """Looks now and then how many partitions topics have; ``run`` ends with the error that says what changed.

    Parameters
    ----------
    topics
        Names of the topics.
    counts
        How many partitions each had at the start.
    """

    def __init__(self, sender: Sender, topics: Mapping[str, str], counts: Mapping[str, int]) -> None:
        self._sender = sender
        self._topics = dict(topics)
        self._counts = dict(counts)

    async def run(self, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            for name, before in self._counts.items():
                topic = self._topics[name]
                try:
                    now = await self._sender.partitions(topic)
                except WorkerError as error:
                    # A broker that is away, or a topic that was deleted, is told by who reads and writes.
                    log.warning("partitions not counted", topic=topic, reason=str(error))
                    continue
                if now != before:
                    raise grown(topic, before, now)


def grown(topic: str, before: int, now: int) -> PartitionsChangedError:
    return PartitionsChangedError(
        f"{topic} has {now} partitions, it had {before} at the start: a restart takes them up; give "
        "inference and label topics the same number, then run: aftcast setup"
    )
