"""The rules over whole columns: which rows of a decoded batch must be looked at one by one.

A marked row is only a suspect: ``rules.check`` decides. A row that is not marked keeps every rule.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.columns import DOUBLE, INFERENCE_FIELDS, LABEL_FIELDS, LONG, NULL, STRING
from schemas.records import IntArray
from streams.decode.kernels import mark_repeated_keys
from streams.decode.rules import MAX_FEATURES
from streams.decode.times import EARLIEST_MS, LATEST_MS

BoolArray = npt.NDArray[np.bool_]
_INFERENCE_TEXTS = tuple(field.name for field in INFERENCE_FIELDS if field.type == pa.string())
_LABEL_TEXTS = tuple(field.name for field in LABEL_FIELDS if field.type == pa.string())


def screen(columns: pa.RecordBatch, record_times_ms: IntArray, max_ahead_ms: int) -> BoolArray | None:
    """Return a mark per row, or None when no row is marked.

    ``columns`` are fresh from pyruhvro: offsets 0, and zeros in the slots of null numbers.

    Raises
    ------
    pyarrow.ArrowInvalid
        When some text of the batch is not valid UTF-8, which pyruhvro lets pass.
    """
    marks = np.zeros(columns.num_rows, np.bool_)
    latest = np.where(record_times_ms < 0, LATEST_MS, np.minimum(record_times_ms + max_ahead_ms, LATEST_MS))
    times = _integers(columns.column("timestamp"))
    marks |= (times < EARLIEST_MS) | (times > latest)
    screen_fields = _screen_label if columns.num_columns == len(LABEL_FIELDS) else _screen_inference
    if not all(map(_is_ascii, screen_fields(columns, marks))):
        columns.validate(full=True)
    return marks if marks.any() else None


def _screen_label(columns: pa.RecordBatch, marks: BoolArray) -> list[pa.Array]:
    """Mark suspects; return all texts of the batch."""
    _mark_empty(columns.column("prediction_id"), marks)
    label = columns.column("label")
    _mark_not_finite(_doubles(label.field(DOUBLE)), marks)
    share = columns.column("sampling_probability")
    values = _doubles(share)
    if values.size and share.null_count < len(share) and not (values.min() > 0 and values.max() <= 1):
        marks |= ~((values > 0) & (values <= 1)) & _present(share)
    _mark_not_finite(_doubles(columns.column("value")), marks)
    return [label.field(STRING), *(columns.column(name) for name in _LABEL_TEXTS)]


def _screen_inference(columns: pa.RecordBatch, marks: BoolArray) -> list[pa.Array]:
    """Mark suspects; return all texts of the batch."""
    for name in ("prediction_id", "model"):
        _mark_empty(columns.column(name), marks)
    prediction = columns.column("prediction")
    _mark_not_finite(_doubles(prediction.field(DOUBLE)), marks)
    missing = _codes(prediction) == NULL
    if missing.any():
        marks |= missing & pc.equal(columns.column("status"), "ok").to_numpy(zero_copy_only=False)
    for name in ("latency_ms", "cost"):
        values = _doubles(columns.column(name))
        if values.size and not (values.min() >= 0 and values.max() < np.inf):
            marks |= ~((values >= 0) & (values < np.inf))
    _mark_wrong_bounds(
        columns.column("prediction_lower"), columns.column("prediction_upper"), prediction, marks
    )
    scores, features, segments = (columns.column(name) for name in ("scores", "features", "segments"))
    chances = _doubles(scores.items)
    if chances.size and not (chances.min() >= 0 and chances.max() <= 1):
        _mark_rows_of(scores, ~((chances >= 0) & (chances <= 1)), marks)
    finite = np.isfinite(_doubles(features.items.field(DOUBLE)))
    if not finite.all():
        _mark_rows_of(features, ~finite, marks)
    marks |= np.diff(_bounds(features)) > MAX_FEATURES
    texts = [prediction.field(STRING), features.items.field(STRING), segments.items]
    for column in (scores, features, segments):
        keys = column.keys
        texts.append(keys)
        if len(keys):
            mark_repeated_keys(_bounds(column), _bounds(keys), _bytes(keys), marks)
    return texts + [columns.column(name) for name in _INFERENCE_TEXTS]


def _doubles(array: pa.Array) -> npt.NDArray[np.float64]:
    return np.frombuffer(array.buffers()[1] or b"", np.float64)[: len(array)]


def _integers(array: pa.Array) -> npt.NDArray[np.int64]:
    return np.frombuffer(array.buffers()[1] or b"", np.int64)[: len(array)]


def _codes(union: pa.Array) -> npt.NDArray[np.int8]:
    return np.frombuffer(union.buffers()[1] or b"", np.int8)[: len(union)]


def _bounds(array: pa.Array) -> npt.NDArray[np.int32]:
    return np.frombuffer(array.buffers()[1], np.int32, len(array) + 1)


def _bytes(texts: pa.Array) -> npt.NDArray[np.uint8]:
    buffer = texts.buffers()[2]
    return np.zeros(0, np.uint8) if buffer is None else np.frombuffer(buffer, np.uint8)


def _present(array: pa.Array) -> BoolArray:
    present: BoolArray = array.is_valid().to_numpy(zero_copy_only=False)
    return present


def _mark_empty(texts: pa.Array, marks: BoolArray) -> None:
    bounds = _bounds(texts)
    marks |= bounds[1:] == bounds[:-1]


def _mark_not_finite(values: npt.NDArray[np.float64], marks: BoolArray) -> None:
    finite = np.isfinite(values)
    if not finite.all():
        marks |= ~finite


def _mark_wrong_bounds(lower: pa.Array, upper: pa.Array, prediction: pa.Array, marks: BoolArray) -> None:
    if lower.null_count == upper.null_count == len(lower):
        return
    low, high, kinds = _doubles(lower), _doubles(upper), _codes(prediction)
    given = _present(lower)
    right = (low <= high) & np.isfinite(low) & np.isfinite(high) & ((kinds == LONG) | (kinds == DOUBLE))
    marks |= (given != _present(upper)) | (given & ~right)


def _mark_rows_of(maps: pa.Array, entries: BoolArray, marks: BoolArray) -> None:
    rows = np.searchsorted(_bounds(maps), np.flatnonzero(entries), side="right") - 1
    marks[rows] = True


def _is_ascii(texts: pa.Array) -> bool:
    data = texts.buffers()[2]
    # Copying is quicker than any way of looking at the buffer in place.
    return data is None or bool(data.to_pybytes().isascii())
