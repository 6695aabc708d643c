"""The columns of every table, as declared, and the views: a migrated database has exactly these."""

from schemas.columns import INFERENCE_FIELDS, LABEL_FIELDS
from schemas.features import FEATURE_COLUMNS
from schemas.panes import COUNTS, PANE_COLUMNS, SUMS

COORDINATES = ("topic", "partition", "offset", "received_at")


def _with_scalar(fields: list[str], scalar: str) -> tuple[str, ...]:
    at = fields.index(scalar) + 1
    return (*fields[:at], f"{scalar}_kind", f"{scalar}_number", *fields[at:], *COORDINATES)


def _with_scores_given(columns: tuple[str, ...]) -> tuple[str, ...]:
    at = columns.index("scores") + 1
    return (*columns[:at], "scores_given", *columns[at:])


# What windows are made of: of PANE_COLUMNS those that window_sums reads.
HOUR_COLUMNS = (
    *(name for name in COUNTS if name != "longs"),
    *SUMS,
    "confusion",
    "confusion_extra",
    "latency",
    "delay",
    "calibration_hits",
    "calibration_p",
    "confidence_all",
    "score_positives",
    "score_negatives",
    "areas",
    "latency_middles",
    "delay_middles",
    "long_classes",
)

TABLES: dict[str, tuple[str, ...]] = {
    "predictions": _with_scores_given(_with_scalar(INFERENCE_FIELDS.names, "prediction")),
    "labels": _with_scalar(LABEL_FIELDS.names, "label"),
    "rollups": tuple(PANE_COLUMNS.names),
    "feature_rollups": tuple(FEATURE_COLUMNS.names),
    "drift_events": (
        "model",
        "model_version",
        "segment",
        "feature",
        "signal",
        "detector",
        "detected_at",
        "change_start",
        "change_end",
        "before",
        "after",
        "change_low",
        "change_high",
        "segments",
        "examples",
    ),
    "alerts": (
        "event_id",
        "fingerprint",
        "status",
        "corrects",
        "severity",
        "rule",
        "kind",
        "model",
        "model_version",
        "segment",
        "feature",
        "metric",
        "value",
        "threshold",
        "window_start",
        "window_end",
        "started_at",
        "timestamp",
        "summary",
        "runbook_url",
        "labels",
        "evidence",
    ),
    "dead_letters": ("topic", "partition", "offset", "reason", "field", "value", "received_at"),
    "lifecycle_events": (
        "model",
        "model_version",
        "timestamp",
        "kind",
        "message",
        "actor",
        "artifact_hash",
        "attributes",
        *COORDINATES,
    ),
    "model_states": (
        "model",
        "model_version",
        "task",
        "mature_until",
        "as_of",
        "maturity",
        "horizon_s",
        "expected_coverage",
        "provable_change",
        "skipped",
        "pane_s",
    ),
    "delay_curves": (
        "model",
        "model_version",
        "predicted",
        "hit",
        "n",
        "arrived",
        "reliable",
        "spread",
        "as_of",
    ),
    "calibrations": ("model", "model_version", "n", "right", "as_of"),
    "feature_references": (
        "model",
        "model_version",
        "segment",
        "signal",
        "feature",
        "reference_version",
        "predictions",
        "n",
        "numbers",
        "sum",
        "m2",
        "edges",
        "counts",
        "values",
        "categories",
        "category_counts",
        "rest",
        "level_per_s",
        "as_of",
        "since",
        "until",
    ),
    "rollup_hours": ("model", "model_version", "segment", "hour_start", "built_at", *HOUR_COLUMNS),
    "hours": ("model", "hour_start", "touched_at", "built_at"),
    "prediction_ids": ("id_hash", "model", "second", "partition"),
    "label_ids": ("partition", "offset", "id_hash", "model", "received_at"),
    "cold_panes": ("model", "pane_start", "waiting_since", "joined_at", "revision"),
    "cold_labels": ("id_hash", "model", "partition", "received_at", "try_at", "is_open", "tries"),
    "cold_scans": (
        "partition",
        "epoch",
        "inference_offset",
        "label_offset",
        "inference_ms",
        "labels_ms",
        "unmatched",
        "floor_ms",
        "revision",
    ),
}
VIEWS = (
    "model_quality",
    "class_quality",
    "feature_drift",
    "status_shares",
    "delay_curve",
    "reliability",
    "orphan_labels",
    "dashboards",
)
# What the others are made of; their columns may change.
INNER_VIEWS = ("pane_sums", "window_rows", "window_sums", "window_nowcasts", "unlabelled_answers")
