"""What only the join can refuse, as dead letters."""

import numpy as np
import pyarrow as pa

from schemas.records import DeadLetter, IntArray
from streams.join.hot import label_text


def reused_ids(topic: str, partition: int, columns: pa.RecordBatch, rows: IntArray) -> list[DeadLetter]:
    """Return dead letters of predictions whose id an earlier one has with another timestamp."""
    chosen = columns.take(pa.array(rows))
    return [
        DeadLetter(
            topic=topic,
            partition=partition,
            offset=offset,
            reason="id_reused: an earlier prediction with this id has another timestamp",
            field="prediction_id",
            value=name[:200],
            received_at_ms=record_time_ms,
        )
        for offset, name, record_time_ms in zip(
            chosen.column("offset").to_pylist(),
            chosen.column("prediction_id").to_pylist(),
            chosen.column("record_time_ms").to_pylist(),
            strict=True,
        )
    ]


def labels_no_numbers(
    topic: str, partition: int, labels: np.ndarray, class_texts: list[str]
) -> list[DeadLetter]:
    """Return dead letters of ``labels``, rows of the join, whose predictions are a regression's."""
    return [
        DeadLetter(
            topic=topic,
            partition=partition,
            offset=int(label["offset"]),
            reason="label_not_a_number: the model is a regression",
            field="label",
            value=label_text(label, class_texts)[:200],
            received_at_ms=int(label["record_time_ms"]),
        )
        for label in labels
    ]
