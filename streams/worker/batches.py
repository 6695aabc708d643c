"""What travels through Faust: one message per fetched batch, and its records as columns."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

import numpy as np
from faust.types import TP, ConsumerMessage

from schemas.records import Headers, IntArray, RawBatch
from streams.worker.errors import UnpairedAssignmentError

RECORD_BYTES = 150  # of a record beside its value: its key, two objects' heads, offset, time, places in lists


@dataclass(frozen=True, slots=True)
class Records:
    """Records of one partition in offset order, column by column; ``headers`` is empty where none has any."""

    offsets: IntArray
    times_ms: IntArray
    time_kind: int  # 0: set by the producer, 1: by the broker; of the last record
    keys: list[bytes | None]
    values: list[bytes | None]
    headers: Sequence[Headers] = ()

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def size_bytes(self) -> int:
        """Memory of the values and of the objects around them, about."""
        return sum(map(len, filter(None, self.values))) + RECORD_BYTES * len(self)

    @property
    def first_offset(self) -> int:
        return int(self.offsets[0])

    @property
    def next_offset(self) -> int:
        return int(self.offsets[-1]) + 1

    def since(self, offset: int) -> "Records":
        """Return the records from ``offset`` on."""
        if self.first_offset >= offset:
            return self
        at = int(np.searchsorted(self.offsets, offset))
        return Records(
            self.offsets[at:],
            self.times_ms[at:],
            self.time_kind,
            self.keys[at:],
            self.values[at:],
            self.headers[at:],
        )

    @classmethod
    def joined(cls, parts: Sequence["Records"]) -> "Records":
        """Return parts that follow each other as one."""
        if len(parts) == 1:
            return parts[0]
        headers: list[Headers] = []
        if any(part.headers for part in parts):
            for part in parts:
                headers += part.headers or [()] * len(part)
        return cls(
            np.concatenate([part.offsets for part in parts]),
            np.concatenate([part.times_ms for part in parts]),
            parts[-1].time_kind,
            list(chain.from_iterable(part.keys for part in parts)),
            list(chain.from_iterable(part.values for part in parts)),
            headers,
        )


NO_RECORDS: Final = Records(np.zeros(0, np.int64), np.zeros(0, np.int64), 0, [], [])


class BatchMessage(ConsumerMessage):
    """What one fetch returned for one partition; ``value`` is its records, as columns."""

    __slots__ = ("done", "epoch", "next_offset", "released", "size_bytes")

    def __init__(self, tp: TP, records: Records, epoch: int, generation_id: int) -> None:
        super().__init__(
            tp.topic,
            tp.partition,
            records.first_offset,
            int(records.times_ms[-1]) / 1000.0,
            records.time_kind,
            [],
            None,
            records,  # type: ignore[arg-type]  # Faust hands it through as it is
            None,
            0,
            0,
            tp,
            generation_id=generation_id,
        )
        self.next_offset: int = records.next_offset
        self.size_bytes: int = records.size_bytes
        self.epoch = epoch
        self.done = False
        self.released = False

    @property
    def records(self) -> Records:
        """The records, until they are released."""
        return self.value or NO_RECORDS  # type: ignore[return-value]  # see above


def raw_batch(tp: TP, records: Records) -> RawBatch:
    """Return fetched records as what the decoder takes."""
    return RawBatch(
        topic=tp.topic,
        partition=tp.partition,
        offsets=records.offsets,
        record_times_ms=records.times_ms,
        keys=records.keys,
        values=records.values,
        headers=records.headers,
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
