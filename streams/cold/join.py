"""Panes computed again from raw rows, by the same stage that counts them hot, in place of what it counted."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.features import FEATURE_COLUMNS
from schemas.panes import PANE_COLUMNS
from schemas.settings import JoinSettings, MonitorSettings
from streams.cold.batches import decoded_labels, decoded_predictions, in_order
from streams.cold.ids import told_apart, with_own_examples
from streams.partition import PartitionStage

COLD_PARTITION = -1
FIRST_REVISION = 1 << 63  # above every hot revision: their epochs stay below 2**19
NO_FLOOR_MS = -(10**15)
NEVER_MS = 10**16  # a horizon that raises no floor
UNLIMITED_BYTES = 1 << 62
PANE_KEYS = ("model", "model_version", "segment", "pane_start", "partition")
FEATURE_KEYS = (*PANE_KEYS, "signal", "feature")


@dataclass(frozen=True, slots=True)
class ColdRows:
    """Rows of ``PANE_COLUMNS`` and of ``FEATURE_COLUMNS`` that replace what was counted before."""

    panes: pa.RecordBatch
    features: pa.RecordBatch


def join_cold(
    pieces: Iterable[tuple[pa.Table, pa.Table]],
    counted: pa.Table,
    counted_features: pa.Table,
    *,
    monitor: MonitorSettings,
    as_of_ms: int,
    bound: int,
) -> ColdRows:
    """Return the full rows of some panes under partition -1, and rows of nothing for what they replace.

    A prediction is (model, version, id, timestamp); of several records the first counts, by record time,
    partition and offset. A label applies to every prediction with its id, whatever its record time.

    Parameters
    ----------
    pieces
        Predictions and labels, all those of an id in the same piece. The predictions are all of these panes
        but those that were set aside as ``id_reused``: the columns ``streams.cold.batches.PREDICTIONS`` of
        the table, in any order; one may come twice. The labels are all with their ids, the columns
        ``LABELS`` likewise; others do no harm. One piece is in memory at a time.
    counted, counted_features
        Keys of the rows that stand for these panes, of whatever partition: ``PANE_KEYS``, ``FEATURE_KEYS``.
    monitor
        Settings of the stream: the pane's width and what is fixed per model.
    as_of_ms
        Record time up to which both inputs were read; implicit labels that fall due by then are given.
    bound
        How many records of the inputs are in the raw tables; what is computed over more replaces this.
    """
    stage = PartitionStage(COLD_PARTITION, 0, NO_FLOOR_MS, JoinSettings(NEVER_MS, UNLIMITED_BYTES), monitor)
    own: dict[str, str] = {}
    for predictions, labels in pieces:
        own |= _count(stage, in_order(predictions), in_order(labels))
        del predictions, labels
    stage.advance(as_of_ms, as_of_ms)
    revision = FIRST_REVISION + bound
    panes = _with_revision(stage.take_changed(), revision)
    panes = with_own_examples(panes, own)
    features = _with_revision(stage.take_changed_features(), revision)
    return ColdRows(
        _with_nothing(panes, counted, PANE_KEYS, PANE_COLUMNS, revision),
        _with_nothing(features, counted_features, FEATURE_KEYS, FEATURE_COLUMNS, revision),
    )


def _count(stage: PartitionStage, predictions: pa.RecordBatch, labels: pa.RecordBatch) -> dict[str, str]:
    """Have the stage count rows in order of arrival; return the own names of ids that were told apart."""
    names, own, labels = told_apart(predictions, labels)
    for batch in decoded_predictions(predictions, names, stage.next_inference_offset):
        stage.apply_inference(batch)
    for batch in decoded_labels(labels, stage.next_label_offset):
        stage.apply_labels(batch)
    return own


def _with_revision(rows: pa.RecordBatch, revision: int) -> pa.RecordBatch:
    at = rows.schema.get_field_index("revision")
    values = pa.array(np.full(rows.num_rows, revision, np.uint64))
    return rows.set_column(at, rows.schema.field(at), values)


def _with_nothing(
    rows: pa.RecordBatch, counted: pa.Table, keys: tuple[str, ...], schema: pa.Schema, revision: int
) -> pa.RecordBatch:
    """Return the rows and one of zeros for each other row that stands."""
    known = counted.select(list(keys)).cast(pa.schema([schema.field(key) for key in keys]))
    fresh = pa.Table.from_batches([rows]).select(list(keys))
    gone = known.join(fresh, list(keys), join_type="left anti") if known.num_rows else known
    n = gone.num_rows
    columns = []
    for field in schema:
        if field.name in keys:
            columns.append(gone.column(field.name).combine_chunks().cast(field.type))
        elif field.name == "revision":
            columns.append(pa.array(np.full(n, revision, np.uint64)))
        elif pa.types.is_nested(field.type):
            columns.append(pa.array([[]] * n, field.type))
        else:
            columns.append(pa.array(np.zeros(n), field.type))
    nothing = pa.RecordBatch.from_arrays(columns, schema=schema)
    both = pa.concat_batches([rows, nothing])
    order = pc.sort_indices(
        both.select(["pane_start", *(key for key in keys if key != "pane_start")]),
        [(key, "ascending") for key in ("pane_start", *(key for key in keys if key != "pane_start"))],
    )
    return both.take(order)
