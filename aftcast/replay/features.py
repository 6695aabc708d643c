"""Windows of features as rows of ``feature_drift``, out of what a replay has counted."""

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from aftcast.replay.output import rfc3339
from schemas.figures import FEATURE_DRIFT_COLUMNS
from schemas.references import FeatureReference
from streams.monitor.features import FeatureKey
from streams.partition import PartitionStage
from streams.references import FeatureCounts, feature_drift, merge_counts, read_features

Window = tuple[str, str, str, int]  # model, version, segment, start


def feature_drift_rows(
    stage: PartitionStage, references: Mapping[FeatureKey, FeatureReference], window_ms: int
) -> Iterator[dict[str, Any]]:
    """Yield a row per model, version, segment, window and feature, in this order.

    A feature of the reference that has no value in a window has a row too: it is missing in all of it.
    """
    for model in stage.models():
        totals = _predictions(stage, model, window_ms)
        for window, features in _windows(stage, model, window_ms, totals):
            _, version, segment, start_ms = window
            known = {
                key[4]: reference
                for key, reference in references.items()
                if key[:4] == (model, version, segment, "feature")
            }
            keys = {
                "model": model,
                "model_version": version,
                "segment": segment,
                "window_start": rfc3339(start_ms),
            }
            for feature in sorted({*features, *known}):
                row = feature_drift(
                    features.get(feature, FeatureCounts()),
                    totals.get(window, 0),
                    known.get(feature),
                    feature=feature,
                    start_ms=start_ms,
                    window_ms=window_ms,
                )
                yield keys | {name: row[name] for name in FEATURE_DRIFT_COLUMNS}


def _predictions(stage: PartitionStage, model: str, window_ms: int) -> dict[Window, int]:
    totals: dict[Window, int] = {}
    for batch in stage.panes_of(model=model):
        for window, count in zip(
            _keys(batch, window_ms), batch.column("predictions").to_pylist(), strict=True
        ):
            totals[window] = totals.get(window, 0) + count
    return totals


def _windows(
    stage: PartitionStage, model: str, window_ms: int, totals: dict[Window, int]
) -> Iterator[tuple[Window, dict[str, FeatureCounts]]]:
    """Yield the features of each window, also of those in which no feature was sent at all."""

    def rows() -> Iterator[tuple[Window, str, FeatureCounts]]:
        for batch in stage.feature_rows(model=model):
            batch = batch.filter(pc.equal(batch.column("signal"), "feature"))  # noqa: PLW2901
            names = batch.column("feature").to_pylist()
            yield from zip(_keys(batch, window_ms), names, read_features(batch), strict=True)

    merged = {}
    for window, group in groupby(rows(), key=lambda row: row[0]):
        parts: dict[str, list[FeatureCounts]] = {}
        for _, feature, counts in group:
            parts.setdefault(feature, []).append(counts)
        merged[window] = {feature: merge_counts(own) for feature, own in parts.items()}
    scopes = {window[:3] for window in merged}
    for window in sorted({*merged, *(w for w, count in totals.items() if count and w[:3] in scopes)}):
        yield window, merged.get(window, {})


def _keys(batch: pa.RecordBatch, window_ms: int) -> Iterator[Window]:
    names = [batch.column(name).to_pylist() for name in ("model", "model_version", "segment")]
    starts = batch.column("pane_start").cast("int64").to_pylist()
    return zip(*names, (start // window_ms * window_ms for start in starts), strict=True)
