"""Builds rows of pane-updates out of the few figures that a test is about."""

from typing import Any

import numpy as np
import pyarrow as pa

from schemas.findings import Progress
from schemas.panes import CLASS_BINS, COUNTS, HISTOGRAMS, MAPS, PAIR_SEPARATOR, PANE_COLUMNS, SUMS

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
T0 = 1_750_000_000_000 // HOUR_MS * HOUR_MS


def row(
    start_ms: int,
    *,
    model: str = "fraud",
    version: str = "1",
    segment: str = "",
    partition: int = 0,
    revision: int = 1,
    n: int = 0,
    labelled: int | None = None,
    wrong: int = 0,
    **more: Any,
) -> dict[str, Any]:
    """A pane of ``n`` answers "ok", of which ``labelled`` have a label and ``wrong`` should be "fraud"."""
    labelled = n if labelled is None else labelled
    pairs = {f"ok{PAIR_SEPARATOR}ok": labelled - wrong, f"fraud{PAIR_SEPARATOR}ok": wrong}
    values: dict[str, Any] = dict.fromkeys(COUNTS, 0) | dict.fromkeys(SUMS, 0.0)
    values |= {name: {} for name in (*MAPS, *CLASS_BINS)} | {name: [] for name in (*HISTOGRAMS, "examples")}
    values |= {"model": model, "model_version": version, "segment": segment, "pane_start": start_ms}
    values |= {"partition": partition, "revision": revision, "predictions": n, "strings": n}
    values |= {"labelled": labelled, "class_n": labelled, "hits": labelled - wrong}
    values |= {"predicted": {"ok": n} if n else {}, "confusion": {k: v for k, v in pairs.items() if v}}
    return values | more


def numbers(start_ms: int, errors: np.ndarray, **more: Any) -> dict[str, Any]:
    """A pane of labelled regression pairs with these errors and labels of 100 and 101 in turn."""
    n = len(errors)
    labels = 100.0 + np.arange(n) % 2
    sums = {
        "err_sum": float(errors.sum()),
        "abs_err_sum": float(np.abs(errors).sum()),
        "sq_err_sum": float((errors**2).sum()),
        "label_sum": float(labels.sum()),
        "label_m2": float(((labels - labels.mean()) ** 2).sum()) if n else 0.0,
        "ape_sum": float((np.abs(errors) / labels).sum()),
    }
    counts = {"strings": 0, "doubles": n, "class_n": 0, "hits": 0, "reg_n": n, "ape_n": n}
    return row(start_ms, n=n, **(sums | counts | {"predicted": {}, "confusion": {}} | more))


def batch(*rows: dict[str, Any]) -> pa.RecordBatch:
    columns = []
    for column in PANE_COLUMNS:
        values = [one[column.name] for one in rows]
        if pa.types.is_map(column.type):
            values = [list(value.items()) for value in values]
        columns.append(pa.array(values, column.type))
    return pa.RecordBatch.from_arrays(columns, schema=PANE_COLUMNS)


def reached(
    time_ms: int,
    *,
    partition: int = 0,
    partitions: int = 1,
    caught_up: bool = True,
    labels_ms: int | None = None,
) -> Progress:
    return Progress(
        partition=partition,
        partitions=partitions,
        epoch=1,
        inference_ms=time_ms,
        labels_ms=time_ms if labels_ms is None else labels_ms,
        caught_up=caught_up,
    )
