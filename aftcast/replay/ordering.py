"""All events of a replay in the order of their own timestamps, whatever file they stood in."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aftcast.replay.files import Kind
from schemas.columns import INFERENCE_COLUMNS, LABEL_COLUMNS
from schemas.records import DeadLetter, DecodedBatch, IntArray
from streams.decode import Decoder

_NONE = np.zeros(0, np.int64)
IDENTITY = {
    "inference": ("timestamp", "prediction_id", "model", "model_version"),
    "label": ("timestamp", "prediction_id", "model"),
}


@dataclass(frozen=True, slots=True)
class Recording:
    """The accepted events of one kind, ordered by timestamp, then by content.

    Their ``offset`` is their place here and their ``record_time_ms`` their own timestamp: that is when they
    would have arrived. ``origins[offset]`` is the file and the record number in it.
    """

    columns: pa.RecordBatch
    times_ms: IntArray
    files: list[str]
    file_of: IntArray
    number_in_file: IntArray
    dead_letters: list[DeadLetter]
    unknown_fields: dict[str, int]

    @property
    def read(self) -> int:
        return len(self.times_ms) + len(self.dead_letters)

    def located(self, letter: DeadLetter) -> DeadLetter:
        """Return a dead letter of a later stage with the place in its file instead of the place here."""
        return DeadLetter(
            topic=self.files[self.file_of[letter.offset]],
            partition=0,
            offset=int(self.number_in_file[letter.offset]),
            reason=letter.reason,
            field=letter.field,
            value=letter.value,
            received_at_ms=letter.received_at_ms,
        )


def record(kind: Kind, batches: Iterable[tuple[str, DecodedBatch]]) -> Recording:
    """Put decoded batches, each with its file's name, into one recording."""
    schema = INFERENCE_COLUMNS if kind == "inference" else LABEL_COLUMNS
    parts: list[pa.RecordBatch] = []
    files: list[str] = []
    file_of: list[IntArray] = []
    letters: list[DeadLetter] = []
    unknown: dict[str, int] = {}
    for name, batch in batches:
        if name not in files:
            files.append(name)
        parts.append(batch.columns)
        file_of.append(np.full(batch.columns.num_rows, files.index(name)))
        letters += batch.dead_letters
        for field, count in batch.unknown_fields.items():
            unknown[field] = unknown.get(field, 0) + count
    columns = pa.concat_batches(parts or [Decoder().decode_records(kind, [], _NONE, _NONE, "").columns])
    order = _order(columns, IDENTITY[kind])
    numbers = np.asarray(columns.column("offset"))[order]
    columns = columns.take(pa.array(order))
    times_ms = np.asarray(columns.column("timestamp").cast(pa.int64()))
    place = columns.schema.get_field_index
    columns = columns.set_column(place("offset"), schema.field("offset"), pa.array(np.arange(len(order))))
    columns = columns.set_column(place("record_time_ms"), schema.field("record_time_ms"), pa.array(times_ms))
    origin = np.concatenate(file_of)[order] if file_of else np.zeros(0, np.int64)
    return Recording(columns, times_ms, files, origin, numbers, letters, unknown)


def _order(columns: pa.RecordBatch, identity: tuple[str, ...]) -> IntArray:
    if not columns.num_rows:
        return np.zeros(0, np.int64)
    keys = pa.table({name: columns.column(name) for name in identity})
    order = np.asarray(pc.sort_indices(keys, [(name, "ascending") for name in identity])).astype(np.int64)
    # Rows that share all of these are repeats: their content decides, so that the order of files and lines
    # never does.
    keys = keys.take(pa.array(order))
    same = np.ones(len(order) - 1, bool)
    for name in identity:
        codes = np.asarray(keys.column(name).combine_chunks().dictionary_encode().indices)
        same &= codes[1:] == codes[:-1]
    tied = np.flatnonzero(same)
    if not len(tied):
        return order
    bounds = np.flatnonzero(np.diff(np.concatenate([[-2], tied])) > 1)
    for group in np.split(tied, bounds[1:]):
        first, last = group[0], group[-1] + 2
        rows = columns.take(pa.array(order[first:last])).drop_columns(["offset", "record_time_ms"])
        content = [repr(row) for row in rows.to_pylist()]
        order[first:last] = order[first:last][sorted(range(last - first), key=lambda i: content[i])]
    return order
