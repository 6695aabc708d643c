"""What travels through Faust: one message per fetched batch, and its records as columns."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from faust.types import TP, ConsumerMessage

from schemas.records import RawBatch
from streams.worker.errors import UnpairedAssignmentError

Records = list[Any]  # aiokafka's ConsumerRecord


class BatchMessage(ConsumerMessage):
    """What one fetch returned for one partition; ``value`` is the list of its records."""

    __slots__ = ("done", "epoch", "next_offset", "released")

    def __init__(self, tp: TP, records: Records, epoch: int, generation_id: int) -> None:
        first, last = records[0], records[-1]
        super().__init__(
            tp.topic,
            tp.partition,
            first.offset,
            (last.timestamp or 0) / 1000.0,
            last.timestamp_type,
            [],
            None,
            records,  # type: ignore[arg-type]  # what Faust hands through is the list itself
            None,
            0,
            0,
            tp,
            generation_id=generation_id,
        )
        self.next_offset: int = last.offset + 1
        self.epoch = epoch
        self.done = False
        self.released = False

    @property
    def records(self) -> Records:
        """The records, until they are released."""
        return self.value or []  # type: ignore[return-value]  # see above


def raw_batch(tp: TP, records: Records) -> RawBatch:
    """Return fetched records as the columns that the decoder takes."""
    headers = [record.headers for record in records]
    return RawBatch(
        topic=tp.topic,
        partition=tp.partition,
        offsets=np.fromiter((record.offset for record in records), np.int64, len(records)),
        record_times_ms=np.fromiter((record.timestamp or 0 for record in records), np.int64, len(records)),
        keys=[record.key for record in records],
        values=[record.value for record in records],
        headers=headers if any(headers) else (),
    )


def require_pairs(assigned: Iterable[TP], topics: tuple[str, ...]) -> None:
    """Raise ``UnpairedAssignmentError`` unless each of ``topics`` is assigned with the same partitions."""
    partitions = {topic: {tp.partition for tp in assigned if tp.topic == topic} for topic in topics}
    if len({frozenset(numbers) for numbers in partitions.values()}) > 1:
        listed = ", ".join(f"{topic} {sorted(numbers)}" for topic, numbers in partitions.items())
        raise UnpairedAssignmentError(
            f"assigned {listed}: both topics must have the same number of partitions, and all members of the "
            "group must use the range assignor; refusing to run"
        )
