"""The columns that people query, in their order: ``model_quality``, ``class_quality``, ``feature_drift``."""

MODEL_QUALITY_COLUMNS = (
    "predictions",
    "failures",
    "labelled",
    "coverage",
    "accuracy",
    "precision",
    "recall",
    "f1",
    "auc",
    "log_loss",
    "brier",
    "ece",
    "mae",
    "rmse",
    "mape",
    "r2",
    "bias",
    "estimated_accuracy",
    "label_delay_p50_s",
    "label_delay_p95_s",
    "latency_p50_ms",
    "latency_p95_ms",
    "latency_p99_ms",
    "cost",
    "value",
    "accuracy_nowcast",
    "accuracy_nowcast_low",
    "accuracy_nowcast_high",
    "is_mature",
    "success_rate",  # answered calls among all
    "cost_per_1000",  # of predictions that carry a cost
    "predictions_per_s",
    "zero_labels",  # labels that mape leaves out
    "interval_coverage",  # labels within the bounds of their prediction, weighted
    "corrected_labels",  # labelled predictions of which labels disagree
    "estimated_accuracy_error",  # estimated_accuracy less accuracy, once mature
    "nowcast_reason",  # why accuracy_nowcast is NULL
)
# Those that hold a number, so that a rule may bound them.
METRICS = tuple(name for name in MODEL_QUALITY_COLUMNS if name not in ("is_mature", "nowcast_reason"))

CLASS_QUALITY_COLUMNS = ("class", "support", "predicted", "true_positives", "precision", "recall", "f1")
FEATURE_DRIFT_COLUMNS = (
    "feature",
    "n",
    "reference_n",
    "reference_version",
    "missing_share",
    "psi",
    "jensen_shannon",
    "hellinger",
    "wasserstein",
    "p_value",
    "p_value_missing",
    "drifted",
)
WINDOW_KEYS = ("model", "model_version", "segment", "window_start")

Figure = float | int | bool | str | None
Figures = dict[str, Figure]  # of one window, by column
