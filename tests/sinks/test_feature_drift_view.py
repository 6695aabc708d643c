"""The view ``feature_drift`` against the stream's own figures, row by row."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from schemas.figures import FEATURE_DRIFT_COLUMNS
from schemas.panes import PANE_COLUMNS
from schemas.references import FeatureReference
from sinks.clickhouse.rows import reference_rows
from sinks.clickhouse.writers import Writer
from streams.references import FeatureCounts, build_reference, feature_drift, merge_counts, read_features

sys.path.insert(0, str(Path(__file__).parents[1] / "references"))
from feature_rows import feature_batch, feature_row

T0_MS = 2_524_608_000_000  # 2050-01-01, so that no TTL ever takes a test's rows
HOUR_MS = 3_600_000
PANE_MS = 60_000
PREDICTIONS = 40  # of a pane


def values_of(feature: str, rng: np.random.Generator, n: int, shift: float) -> list[Any]:
    """Make values of a kind of feature, some of them missing."""
    if feature == "normal":
        made: list[Any] = rng.normal(shift, 1, n).tolist()
    elif feature == "heavy":
        made = (rng.standard_cauchy(n) + shift).tolist()
    elif feature == "inflated":
        made = np.where(rng.random(n) < 0.8, 0.0, rng.lognormal(shift, 1, n)).tolist()
    elif feature == "constant":
        made = [7.5] * n
    elif feature == "far":
        made = rng.normal(1000 + shift, 1, n).tolist()
    elif feature == "integers":
        made = rng.poisson(3 + shift, n).astype(float).tolist()
    elif feature == "few":
        made = rng.choice(["a", "b", "c", "é"] + (["new"] if shift else []), n).tolist()
    elif feature == "many":
        made = (rng.zipf(1.3, n) % 1_000).astype(str).tolist()
    elif feature == "mixed":
        made = [str(x) if rng.random() < 0.3 else x for x in rng.integers(0, 5, n).astype(float).tolist()]
    elif feature == "strange":
        made = rng.choice(["x", "y"], n).tolist() if not shift else rng.normal(0, 1, n).tolist()
    else:
        made = [None if rng.random() < 0.98 - shift / 3 else 1.0 for _ in range(n)]
    return [None if rng.random() < 0.02 + shift / 20 else value for value in made]


FEATURES = (
    "normal", "heavy", "inflated", "constant", "far", "integers", "few", "many", "mixed", "strange", "rare",
)  # fmt: skip


def pane_rows(starts: list[int], segment: str) -> pa.RecordBatch:
    defaults: dict[str, Any] = {}
    for field in PANE_COLUMNS:
        is_listed = pa.types.is_list(field.type) or pa.types.is_map(field.type)
        defaults[field.name] = [] if is_listed else 0
    named = {"model": "m", "model_version": "1", "segment": segment, "predictions": PREDICTIONS}
    rows = [defaults | named | {"pane_start": start, "revision": 1} for start in starts]
    return pa.RecordBatch.from_pylist(rows, schema=PANE_COLUMNS)


def history(seed: int = 3) -> tuple[list[dict[str, Any]], list[int]]:
    """Make six hours of panes, four each; from the fourth hour on features have shifted a little or more."""
    rng = np.random.default_rng(seed)
    starts = [T0_MS + hour * HOUR_MS + pane * 15 * PANE_MS for hour in range(6) for pane in range(4)]
    rows = []
    for segment in ("", "country=de"):
        for start in starts:
            hour = (start - T0_MS) // HOUR_MS
            shift = (0.0, 0.0, 0.0, 0.3, 1.0, 3.0)[hour]
            for feature in FEATURES:
                if feature == "heavy" and hour == 5:
                    continue  # nobody sends it any more
                rows += [
                    feature_row(
                        values_of(feature, rng, PREDICTIONS // 2, shift),
                        feature=feature,
                        start_ms=start,
                        segment=segment,
                        partition=partition,
                    )
                    for partition in (0, 1)
                ]
    return rows, starts


def merged(rows: list[dict[str, Any]]) -> FeatureCounts:
    return merge_counts(read_features(feature_batch(rows))) if rows else FeatureCounts()


def references(rows: list[dict[str, Any]]) -> list[FeatureReference]:
    """Freeze the first two hours of every feature but one, for all traffic from a file."""
    found = []
    for segment in ("", "country=de"):
        for feature in FEATURES[:-1] if segment else FEATURES:
            first = [
                row
                for row in rows
                if row["segment"] == segment
                and row["feature"] == feature
                and row["pane_start"] < T0_MS + 2 * HOUR_MS
            ]
            reference = build_reference(
                merged(first),
                8 * PREDICTIONS,
                model="m",
                model_version="1",
                segment=segment,
                signal="feature",
                feature=feature,
                as_of_ms=T0_MS,
                since_ms=T0_MS if segment else None,
                until_ms=T0_MS + 2 * HOUR_MS if segment else None,
            )
            found.append(replace(reference, level_per_s=1e-6))
    return found


@pytest.mark.parametrize("window_s", [900, 3600, 86_400])
def test_feature_drift_in_sql_equals_the_stream_to_the_ninth_digit(
    embedded_database: Any, window_s: int
) -> None:
    database = embedded_database
    rows, starts = history()
    held = references(rows)
    writer = Writer(database.client, database.name)
    writer.write("feature_rollups", pa.Table.from_batches([feature_batch(rows)]))
    for segment in ("", "country=de"):
        writer.write_rollups(pane_rows(starts, segment))
    stale = [replace(one, as_of_ms=0, reference_version="old", n=1) for one in held]
    writer.write("feature_references", reference_rows([*held, *stale]))
    found = database.client.rows(
        "SELECT * FROM feature_drift(window_seconds = {seconds:UInt32}) "
        "ORDER BY segment, feature, window_start",
        {"seconds": window_s},
    )
    by_key = {reference.key: reference for reference in held}
    expected = []
    for segment in ("", "country=de"):
        for feature in sorted(FEATURES):
            reference = by_key.get(("m", "1", segment, "feature", feature))
            for start_ms in sorted({start // (window_s * 1000) * window_s * 1000 for start in starts}):
                inside = [start for start in starts if start_ms <= start < start_ms + window_s * 1000]
                own = [
                    row
                    for row in rows
                    if row["segment"] == segment and row["feature"] == feature and row["pane_start"] in inside
                ]
                expected.append(
                    feature_drift(
                        merged(own),
                        PREDICTIONS * len(inside),
                        reference,
                        feature=feature,
                        start_ms=start_ms,
                        window_ms=window_s * 1000,
                    )
                )
    assert len(found) == len(expected)
    drifted = 0
    for row, wanted in zip(found, expected, strict=True):
        drifted += bool(wanted["drifted"])
        for name in FEATURE_DRIFT_COLUMNS:
            where = (row["feature"], row["segment"], row["window_start"], name)
            if isinstance(wanted[name], float):
                assert row[name] == pytest.approx(wanted[name], rel=1e-9, abs=1e-12), where
            else:
                assert row[name] == wanted[name], where
    assert 0 < drifted < len(expected)
