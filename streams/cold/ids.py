"""Predictions that share model, version and id but not their timestamp, told apart by another id."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from schemas.records import IntArray

MARK = "\x00"  # between an id and its number among predictions of other times


def told_apart(
    predictions: pa.RecordBatch, labels: pa.RecordBatch
) -> tuple[pa.StringArray, dict[str, str], pa.RecordBatch]:
    """Return ids for predictions, the own ids of those with another one, and labels for all of these ids.

    The first time that a model version used an id keeps it, so that repeats and other versions meet there. A
    label with a shared id applies to each.
    """
    names = predictions.column("prediction_id")
    which = _number_among_times(predictions)
    later = np.flatnonzero(which)
    if not len(later):
        return names, {}, labels
    texts = names.take(pa.array(later)).to_pylist()
    renamed = [f"{text}{MARK}{n}" for text, n in zip(texts, which[later].tolist(), strict=True)]
    own = dict(zip(renamed, texts, strict=True))
    new_names = names.to_pylist()
    for row, name in zip(later.tolist(), renamed, strict=True):
        new_names[row] = name
    copies: dict[str, list[str]] = {}
    for name, text in own.items():
        copies.setdefault(text, []).append(name)
    take: list[int] = []
    label_names: list[str] = []
    for row, name in enumerate(labels.column("prediction_id").to_pylist()):
        for known in (name, *copies.get(name, ())):
            take.append(row)
            label_names.append(known)
    labels = labels.take(pa.array(take, pa.int64()))
    at = labels.schema.get_field_index("prediction_id")
    labels = labels.set_column(at, labels.schema.field(at), pa.array(label_names, pa.string()))
    return pa.array(new_names, pa.string()), own, labels


def with_own_examples(panes: pa.RecordBatch, own: Mapping[str, str]) -> pa.RecordBatch:
    """Return pane rows whose examples bear the ids that the predictions came with."""
    if not own:
        return panes
    at = panes.schema.get_field_index("examples")
    examples = [
        list(dict.fromkeys(own.get(name, name) for name in names)) for names in panes.column(at).to_pylist()
    ]
    return panes.set_column(at, panes.schema.field(at), pa.array(examples, panes.schema.field(at).type))


def _number_among_times(predictions: pa.RecordBatch) -> IntArray:
    """Return of each row how many earlier met timestamps its model, version and id has."""
    n = predictions.num_rows
    number = np.zeros(n, np.int64)
    key = np.zeros(n, np.int64)
    for name in ("prediction_id", "model_version", "model"):
        encoded = predictions.column(name).dictionary_encode()
        # Made dense again after each: three dictionaries of a million would not fit into 64 bits.
        key = key * (len(encoded.dictionary) + 1) + np.asarray(encoded.indices)
        key = np.unique(key, return_inverse=True)[1]
    time_ms = np.asarray(predictions.column("timestamp").cast(pa.int64()))
    order = np.lexsort((time_ms, key))
    same_key = np.diff(key[order]) == 0
    crowded = np.flatnonzero(same_key & (np.diff(time_ms[order]) != 0))
    if not len(crowded):
        return number
    rows_of: dict[int, list[int]] = {}
    concerned = np.isin(key, key[order][crowded])
    for row in np.flatnonzero(concerned).tolist():
        rows_of.setdefault(int(key[row]), []).append(row)
    for rows in rows_of.values():
        met: dict[int, int] = {}
        for row in rows:
            number[row] = met.setdefault(int(time_ms[row]), len(met))
    return number
