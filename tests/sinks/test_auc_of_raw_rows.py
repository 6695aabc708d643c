"""The statement of the page that asks raw rows for auc: equal to scikit-learn, whatever labels did."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from sinks.clickhouse.writers import Writer
from streams.decode import Decoder

PAGE = (Path(__file__).parents[2] / "docs" / "clickhouse.md").read_text()
(STATEMENT,) = (block for block in re.findall(r"```sql\n(.*?);\n```", PAGE, re.S) if "arrayAUC" in block)
T0_MS = 2_524_608_000_000  # 2050-01-01, so that no TTL ever takes a test's rows
HOUR_MS = 3_600_000


def test_auc_of_raw_rows_is_that_of_scikit_learn_hour_by_hour(embedded_database: Any) -> None:
    rng = np.random.default_rng(5)
    n, hours = 400, 2
    scores = np.round(1 / (1 + np.exp(5.3 - 0.8 * rng.normal(size=n))), 3)  # rounded, so that some tie
    clicked = rng.random(n) < 0.05
    predictions: list[dict[str, Any]] = [
        {
            "prediction_id": f"p{i}",
            "model": "fraud",
            "timestamp": T0_MS + i % hours * HOUR_MS + i,
            "prediction": "fine",
            "scores": {"fraud": float(scores[i])},
        }
        for i in range(n)
    ]
    labels: list[dict[str, Any]] = [
        {"prediction_id": f"p{i}", "label": "fraud" if clicked[i] else "fine", "timestamp": T0_MS + n + i}
        for i in range(n)
    ]
    # A repeat, an answer of another model with the id of ours, a failure, and a test.
    others = [
        predictions[0],
        predictions[1] | {"model": "price"},
        predictions[2] | {"prediction_id": "failed", "status": "error", "prediction": None},
        predictions[3] | {"prediction_id": "test", "role": "test"},
    ]
    # Corrected, and first wrong; taken back; of another model alone.
    changed = [
        labels[4] | {"label": "fraud", "timestamp": T0_MS},
        labels[5] | {"label": None, "timestamp": T0_MS + HOUR_MS},
        labels[6] | {"label": "fraud", "model": "price", "timestamp": T0_MS + HOUR_MS},
    ] + [labels[0] | {"prediction_id": name, "label": "fraud"} for name in ("failed", "test")]
    writer = Writer(embedded_database.client, embedded_database.name)
    for kind, records in (("inference", predictions + others), ("label", labels + changed)):
        size = len(records)
        times_ms = np.full(size, T0_MS + HOUR_MS * hours)
        decoded = Decoder().decode_records(kind, records, np.arange(size), times_ms, kind)  # type: ignore[arg-type]
        assert not decoded.dead_letters
        write = writer.write_predictions if kind == "inference" else writer.write_labels
        write(decoded.columns, f"{kind}-events", 0)

    found = embedded_database.client.rows(STATEMENT)

    assert len(found) == hours
    for hour, row in enumerate(found):
        of_hour = (np.arange(n) % hours == hour) & (np.arange(n) != 5)  # 5 has no label any more
        assert row["labelled"] == of_hour.sum()
        assert row["auc"] == pytest.approx(roc_auc_score(clicked[of_hour], scores[of_hour]), abs=1e-12)
