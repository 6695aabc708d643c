"""What crosses the wire: fetched records going in, decoded columns and dead letters coming out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

IntArray = npt.NDArray[np.int64]
Headers = Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class RawBatch:
    """Records of one topic partition as fetched, in offset order; all sequences have the same length.

    ``record_times_ms`` is Kafka's record time, in milliseconds since 1970. ``headers`` is empty when no
    record of the batch has any.
    """

    topic: str
    partition: int
    offsets: IntArray
    record_times_ms: IntArray
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    headers: Sequence[Headers] = ()

    def __len__(self) -> int:
        return len(self.offsets)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One record that could not be used: where it stands, which rule it broke, what came.

    ``topic`` and ``offset`` are a file's path and a 1-based record number in a replay. ``value`` is
    shortened; ``received_at_ms`` is the record's Kafka time.
    """

    topic: str
    partition: int
    offset: int
    reason: str
    field: str
    value: str
    received_at_ms: int
    key: bytes | None = None


@dataclass(frozen=True, slots=True)
class DecodedBatch:
    """The accepted records of a raw batch as columns, in offset order, and those set aside.

    ``columns`` has the schema ``INFERENCE_COLUMNS`` or ``LABEL_COLUMNS``. Every record of the raw batch is
    either a row of ``columns`` or one of ``dead_letters``. ``unknown_fields`` counts records per extra
    field name that was ignored.
    """

    columns: pa.RecordBatch
    dead_letters: tuple[DeadLetter, ...] = ()
    unknown_fields: Mapping[str, int] = field(default_factory=dict)
