"""Many records to columns in one call, halved around those that cannot be read that way."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeGuard, cast

import numpy as np
import pyarrow as pa
import pyruhvro

from schemas.records import IntArray
from streams.decode.assemble import assemble
from streams.decode.events import ColumnarEvent
from streams.decode.framing import MAX_BYTES
from streams.decode.screening import screen

AT_ONCE = 1_000  # values that are looked at twice: their beginnings stay in the nearest cache
HALVED_DOWN_TO = 32  # one bad value in 20,000 costs two more passes and 32 single readings


class MixedFramesError(Exception):
    """Some value carries another frame than the rest."""


@dataclass
class Reading:
    """Columns with the positions they belong to, and the positions that must be read one by one.

    ``unknown_fields`` counts the extra names of the records in ``parts``.
    """

    parts: list[tuple[IntArray, pa.RecordBatch]] = field(default_factory=list)
    suspects: list[int] = field(default_factory=list)
    unknown_fields: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Reading") -> None:
        self.parts += other.parts
        self.suspects += other.suspects
        self.unknown_fields += other.unknown_fields


def read_whole(
    read: Callable[[int, int], pa.RecordBatch],
    positions: IntArray,
    record_times_ms: IntArray,
    max_ahead_ms: int,
) -> Reading:
    """Return what can be read together and passes the screening, and the positions of the rest.

    ``read`` returns the columns of a half-open range of the records that ``positions`` and
    ``record_times_ms`` belong to; any exception means that some record of the range is in its way.

    Raises
    ------
    MixedFramesError
        If ``read`` does.
    """
    reading = Reading()
    pending = [(0, len(positions))]
    while pending:
        start, end = pending.pop()
        if start == end:
            continue
        times = record_times_ms[start:end]
        try:
            columns = read(start, end)
            marks = screen(columns, times, max_ahead_ms)
        except MixedFramesError:
            raise
        except BaseException as error:
            if not _is_of_a_value(error):
                raise
            middle = (start + end) // 2
            if end - start > HALVED_DOWN_TO:
                pending += [(middle, end), (start, middle)]
            else:
                reading.suspects += positions[start:end].tolist()
            continue
        here = positions[start:end]
        if marks is not None:
            reading.suspects += here[marks].tolist()
            here, columns = here[~marks], columns.filter(pa.array(~marks))
        reading.parts.append((here, columns))
    return reading


def avro_reader(
    event: ColumnarEvent,
    written: ColumnarEvent,
    schema: str,
    values: Sequence[bytes],
    prefix: bytes = b"",
) -> Callable[[int, int], pa.RecordBatch]:
    """Return what ``read_whole`` needs; it raises ``MixedFramesError``.

    ``written`` is the event or one of its older versions, ``schema`` that of its three that fits the frame,
    and ``prefix`` the frame that all values seem to carry (``seem_to_start_with``).
    """

    def read(start: int, end: int) -> pa.RecordBatch:
        whole = end - start == len(values)  # parts are read only once their frames are known to be alike
        some = values if whole and isinstance(values, list) else list(values[start:end])
        try:
            columns = pyruhvro.deserialize_array(some, schema)
        except BaseException as error:
            if whole and _is_of_a_value(error) and not all(value.startswith(prefix) for value in values):
                raise MixedFramesError from error
            raise
        frame = columns.num_columns - len(written.fields)
        if whole and not all(map(_says_one_thing, columns.columns[:frame])):
            raise MixedFramesError
        return event.completed(columns.select(range(frame, columns.num_columns)) if frame else columns)

    return read


def seem_to_start_with(values: Sequence[bytes | None], prefix: bytes) -> TypeGuard[Sequence[bytes]]:
    """Tell whether no value is null or too long, and the greatest ones begin with ``prefix``.

    What is smaller shows when the frame is read as leading fields. What does not show there is greater: a
    frame whose varint has more bytes than it needs has a higher bit before the end of ``prefix``.
    """
    for begin in range(0, len(values), AT_ONCE):
        some = cast("Sequence[bytes]", values[begin : begin + AT_ONCE])
        try:
            last, longest = max(some), max(map(len, some))
        except TypeError:
            return False  # one is null
        if longest > MAX_BYTES or not (last.startswith(prefix) and some[0].startswith(prefix)):
            return False
    return True


def _says_one_thing(frame: pa.Array) -> bool:
    bits = np.frombuffer(frame.buffers()[1], f"u{frame.type.bit_width // 8}")[: len(frame)]
    return bool((bits == bits[0]).all())


def _is_of_a_value(error: BaseException) -> bool:
    # A panic of the Rust side is no Exception; it, too, must only cost the value that caused it.
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def merge(
    event: ColumnarEvent, parts: Sequence[tuple[IntArray, pa.RecordBatch]]
) -> tuple[IntArray, pa.RecordBatch]:
    """Return the parts as one batch in the order of their positions."""
    filled = [part for part in parts if len(part[0])]
    if not filled:
        return np.zeros(0, np.int64), assemble(event.fields, [])
    if len(filled) == 1:
        return filled[0]
    positions = np.concatenate([part[0] for part in filled])
    columns = pa.concat_batches([part[1] for part in filled])
    order = np.argsort(positions, kind="stable")
    if (order[1:] > order[:-1]).all():
        return positions, columns
    return positions[order], columns.take(pa.array(order))
