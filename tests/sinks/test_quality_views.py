"""The views against scikit-learn and plain Python over the full join."""

import math
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import sklearn
from pane_oracle import (
    Joined,
    expected_calibration_error,
    is_number,
    members_of,
    pane_rows,
    quantile_bounds,
    seconds,
    text,
)
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    f1_score,
    log_loss,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    precision_recall_fscore_support,
    precision_score,
    r2_score,
    recall_score,
    roc_auc_score,
)

from schemas.figures import CLASS_QUALITY_COLUMNS, MODEL_QUALITY_COLUMNS
from schemas.findings import Calibration, ModelState
from schemas.pane_reading import read_panes
from schemas.panes import (
    CLASS_BINS,
    COUNTS,
    HISTOGRAMS,
    MAPS,
    PANE_COLUMNS,
    SUMS,
    PaneSums,
    duration_quantile,
)
from sinks.clickhouse.writers import Writer
from streams.metrics.classification import class_quality
from streams.metrics.quality import model_quality
from streams.metrics.tasks import task_of

T0_MS = 2_524_608_000_000  # 2050-01-01, so that no TTL ever takes a test's rows
SAMPLED = ("strings", "doubles", "two", "three")  # models whose labels were sampled
CLASSES = ("ok", "fraud", "review", "", "é \\ '")
# Checking each argument anew takes longer than the figures of a few pairs, in thousands of calls.
sklearn.set_config(assume_finite=True, skip_parameter_validation=True)


@cache
def traffic(seed: int = 7, n: int = 1_200) -> list[Joined]:
    """Make 30 hours of six models, each of another kind, over three partitions and two versions."""
    rng = np.random.default_rng(seed)
    events = []
    for _ in range(n):
        model = str(rng.choice(["strings", "few", "many", "doubles", "booleans", "constant", "two", "three"]))
        scores, bounds = None, None
        prediction: Any
        label: Any
        if model == "strings":
            label = str(rng.choice(CLASSES[:4]))
            prediction = label if rng.random() < 0.7 else str(rng.choice(CLASSES))
        elif model == "few":
            prediction, label = int(rng.integers(-2, 5)), int(rng.integers(-2, 5))
        elif model == "many":
            prediction, label = int(rng.integers(-400, 400)), int(rng.integers(-400, 400))
        elif model == "booleans":
            prediction, label = bool(rng.random() < 0.3), bool(rng.random() < 0.3)
        elif model == "two":
            chance = float(rng.choice([rng.random(), 0.0, 1.0, 0.3, rng.random() * 1e-9]))
            prediction, label = int(chance > 0.5), int(rng.random() < 0.2 + 0.6 * chance)
            scores = {"1": chance} if rng.random() < 0.5 else {"0": 1 - chance, "1": chance}
        elif model == "three":
            chances = rng.dirichlet([1, 1, 2]).tolist()
            scores = dict(zip(("red", "green", "blue"), chances, strict=True))
            prediction, label = max(scores, key=scores.__getitem__), str(rng.choice(list(scores), p=chances))
        elif model == "doubles":
            label = float(rng.choice([0.0, -3.5e11, 1e6])) + float(rng.normal(0, 2))
            label = 0.0 if rng.random() < 0.1 else label
            prediction = label + float(rng.normal(0.3, 1))
            bounds = (prediction - 1, prediction + 1) if rng.random() < 0.8 else None
        else:
            prediction, label = float(rng.normal(0, 1)), 0.1
        has_label = bool(rng.random() < 0.6)
        failed = bool(rng.random() < 0.1)
        events.append(
            Joined(
                time_ms=T0_MS + int(rng.choice([0, 5, 30])) * 3_600_000 + int(rng.integers(0, 600_000)),
                prediction=None if failed else prediction,
                label=label if has_label and not failed else None,
                has_label=has_label and not failed,
                model=model,
                version=str(rng.choice(["1", "2"])),
                partition=int(rng.integers(0, 3)),
                segments={"country": str(rng.choice(["de", "fr"]))} if rng.random() < 0.8 else {},
                latency_ms=float(rng.lognormal(3, 1)) if rng.random() < 0.9 else None,
                delay_ms=int(rng.choice([-5, 0, 1, 400, 3_600_000])) + int(rng.integers(0, 2_000)),
                cost=float(rng.random()) if rng.random() < 0.3 else None,
                value=float(rng.normal(0, 5)) if rng.random() < 0.3 else None,
                scores=scores,
                sampled=float(rng.choice([0.05, 0.3, 1.0]))
                if model in SAMPLED and rng.random() < 0.9
                else None,
                bounds=bounds,
                age_ms=int(rng.choice([0, 1_000, 60_000, 7_200_000])) + int(rng.integers(0, 2_000)),
                corrected=bool(rng.random() < 0.1),
            )
        )
    return events


@cache
def rows_of_traffic(seed: int, n: int) -> pa.RecordBatch:
    return pane_rows(traffic(seed, n))


def seconds_of(time_ms: int) -> int:
    return time_ms // 1_000


def view(embedded_database: Any, name: str, window_s: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = embedded_database.client.rows(
        f"SELECT * FROM {name}(window_seconds = {window_s})"  # noqa: S608 - two constants
    )
    return rows


def key_of(row: dict[str, Any]) -> tuple[str, str, str, int]:
    return row["model"], row["model_version"], row["segment"], seconds(row["window_start"])


def is_classification(answered: list[Joined]) -> bool:
    kinds = {type(event.prediction) for event in answered}
    if kinds & {str, bool} or any(event.scores for event in answered):
        return True
    return float not in kinds and len({event.prediction for event in answered}) <= 20


def expected_figures(members: list[Joined], window_s: int) -> dict[str, Any]:
    answered = [event for event in members if event.prediction is not None]
    labelled = [event for event in answered if event.has_label]
    costs = [event.cost for event in members if event.cost is not None]
    values = [event.value for event in labelled if event.value is not None]
    figures: dict[str, Any] = dict.fromkeys(
        name for name in MODEL_QUALITY_COLUMNS if not name.startswith(("latency", "label_delay", "auc"))
    )
    figures |= {
        "predictions": len(members),
        "failures": len(members) - len(answered),
        "labelled": len(labelled),
        "coverage": len(labelled) / len(answered) if answered else None,
        "success_rate": len(answered) / len(members),
        "predictions_per_s": len(members) / window_s,
        "corrected_labels": sum(event.corrected for event in labelled),
        "cost": math.fsum(costs) if costs else None,
        "cost_per_1000": 1000 * math.fsum(costs) / len(costs) if costs else None,
        "value": math.fsum(values) if values else None,
        "is_mature": False,
    }
    if labelled and is_classification(answered):
        y = [text(event.label) for event in labelled]
        p = [text(event.prediction) for event in labelled]
        w = np.array([event.weight for event in labelled])
        macro = {"average": "macro", "zero_division": 0, "sample_weight": w}
        figures |= {
            "accuracy": accuracy_score(y, p, sample_weight=w),
            "precision": precision_score(y, p, **macro),
            "recall": recall_score(y, p, **macro),
            "f1": f1_score(y, p, **macro),
        }
        if all(event.scores for event in labelled):
            figures |= expected_of_scores([event.scores or {} for event in labelled], y, w)
    elif labelled:
        pairs = [e for e in labelled if is_number(e.prediction) and is_number(e.label)]
        y = np.array([float(event.label) for event in pairs])
        p = np.array([float(event.prediction) for event in pairs])
        w = np.array([event.weight for event in pairs])
        known = y != 0
        figures |= {
            "mae": mean_absolute_error(y, p, sample_weight=w),
            "rmse": math.sqrt(mean_squared_error(y, p, sample_weight=w)),
            "mape": mean_absolute_percentage_error(y[known], p[known], sample_weight=w[known])
            if known.any()
            else None,
            "bias": math.fsum(w * (p - y)) / math.fsum(w),
            "r2": r2_score(y, p, sample_weight=w) if len(set(y)) > 1 else None,
            "zero_labels": int((~known).sum()),
        }
        bounded = [e for e in pairs if e.bounds]
        if bounded:
            inside = [e.weight for e in bounded if e.bounds and e.bounds[0] <= e.label <= e.bounds[1]]
            figures["interval_coverage"] = math.fsum(inside) / math.fsum(e.weight for e in bounded)
    return figures


def expected_of_scores(scores: list[dict[str, float]], y: list[str], w: Any) -> dict[str, float]:
    if len(scores[0]) > 2:
        classes = sorted(scores[0])
        p = np.array([[of[name] for name in classes] for of in scores])
        top = p.argmax(axis=1)
        told, came_true = p.max(axis=1), np.array(classes)[top] == y
        truth = np.array([[name == label for name in classes] for label in y], float)
        figures = {
            "log_loss": log_loss(y, p, labels=classes, sample_weight=w),
            "brier": np.average(((p - truth) ** 2).sum(axis=1), weights=w),
        }
    else:
        told, came_true = np.array([of["1"] for of in scores]), np.array(y) == "1"
        figures = {
            "log_loss": log_loss(came_true, told, labels=[False, True], sample_weight=w),
            "brier": brier_score_loss(came_true, told, labels=[False, True], sample_weight=w),
        }
    return figures | {"ece": expected_calibration_error(told, came_true, w)}


def windows(rows: pa.RecordBatch, window_s: int) -> dict[tuple[Any, ...], PaneSums]:
    merged: dict[tuple[Any, ...], PaneSums] = {}
    for row, sums in zip(rows.to_pylist(), read_panes(rows), strict=True):
        start = seconds(row["pane_start"].replace(tzinfo=None)) // window_s * window_s
        key = (row["model"], row["model_version"], row["segment"], start)
        merged.setdefault(key, PaneSums()).add(sums)
    return merged


SCORES = {
    "uniform": lambda rng, n: rng.random(n),
    "skewed": lambda rng, n: rng.beta(0.3, 3, n),
    "clicks": lambda rng, n: 1 / (1 + np.exp(-rng.normal(-5.5, 0.8, n))),  # near 0.005
}


@cache
def scored(kind: str) -> tuple[list[Joined], pa.RecordBatch]:
    """Make three minutes of traffic: one, then one in the next hour, then one in the next day."""
    rng = np.random.default_rng(5)
    n = 9_000
    chances = SCORES[kind](rng, n)
    labels = rng.random(n) < chances
    starts = np.repeat([0, 3_600_000, 86_400_000], n // 3) + T0_MS
    times_ms = (starts + np.arange(n) % 60_000).tolist()
    events = [
        Joined(times_ms[i], int(p > 0.5), int(labels[i]), True, partition=i % 2, scores={"1": p})
        for i, p in enumerate(chances.tolist())
    ]
    return events, pane_rows(events)


@pytest.mark.parametrize("kind", SCORES)
@pytest.mark.parametrize("window_s", [60, 3_600, 86_400])
def test_auc_is_within_two_thousandths_of_scikit_learn(
    embedded_database: Any, kind: str, window_s: int
) -> None:
    events, panes = scored(kind)
    Writer(embedded_database.client, embedded_database.name).write_rollups(panes)
    rows = view(embedded_database, "model_quality", window_s)
    assert len(rows) == (2 if window_s == 86_400 else 3)
    members = members_of(events, window_s)
    for row in rows:
        y = [event.label for event in members[key_of(row)]]
        p = [event.scores["1"] for event in members[key_of(row)] if event.scores]
        assert row["auc"] == pytest.approx(roc_auc_score(y, p), abs=0.002)


def test_auc_of_three_classes_is_the_mean_of_one_against_rest(embedded_database: Any) -> None:
    rng = np.random.default_rng(6)
    classes = ["blue", "green", "red"]
    p = rng.dirichlet([1, 1, 2], 4_000)
    y = [str(rng.choice(classes, p=row)) for row in p]
    events = [
        Joined(T0_MS + i, "red", y[i], True, scores=dict(zip(classes, map(float, p[i]), strict=True)))
        for i in range(len(p))
    ]
    Writer(embedded_database.client, embedded_database.name).write_rollups(pane_rows(events))
    (row,) = view(embedded_database, "model_quality", 60)
    truth = roc_auc_score(y, p, multi_class="ovr", average="macro", labels=classes)
    assert row["auc"] == pytest.approx(truth, abs=0.002)


def test_auc_of_labels_of_one_class_is_null_and_the_other_figures_stand(embedded_database: Any) -> None:
    events = [Joined(T0_MS, "fine", "fine", True, scores={"fraud": p}) for p in (0.1, 0.25)]
    Writer(embedded_database.client, embedded_database.name).write_rollups(pane_rows(events))
    (row,) = view(embedded_database, "model_quality", 60)
    assert row["auc"] is None
    assert row["brier"] == pytest.approx((0.1**2 + 0.25**2) / 2)
    assert row["ece"] == pytest.approx((0.1 + 0.25) / 2)


@pytest.mark.parametrize("window_s", [60, 3_600, 86_400, 7 * 3_600])
def test_model_quality_equals_scikit_learn_over_the_full_join(embedded_database: Any, window_s: int) -> None:
    n = 250 if window_s == 60 else 1_200  # one call of scikit-learn a row
    events = traffic(7, n)
    Writer(embedded_database.client, embedded_database.name).write_rollups(rows_of_traffic(7, n))
    rows = view(embedded_database, "model_quality", window_s)
    joined = members_of(events, window_s)
    assert sorted(map(key_of, rows)) == sorted(joined)
    for row in rows:
        members = joined[key_of(row)]
        for name, value in expected_figures(members, window_s).items():
            place = (name, key_of(row))
            if isinstance(value, float):
                assert row[name] == pytest.approx(value, rel=1e-9, abs=1e-9), place
            else:
                assert row[name] == value, place
        latencies = [event.latency_ms for event in members if event.latency_ms is not None]
        delays = [max(event.delay_ms, 0) / 1_000 for event in members if event.has_label]
        for prefix, unit, values, qs in (
            ("latency", "ms", latencies, (50, 95, 99)),
            ("label_delay", "s", delays, (50, 95)),
        ):
            for q in qs:
                figure = row[f"{prefix}_p{q}_{unit}"]
                if values:
                    low, high = quantile_bounds(values, q / 100)
                    assert low <= figure <= high
                else:
                    assert figure is None


@pytest.mark.parametrize("window_s", [60, 3_600, 86_400])
def test_class_quality_equals_scikit_learn_over_the_full_join(embedded_database: Any, window_s: int) -> None:
    n = 400 if window_s == 60 else 1_200
    events = traffic(8, n)
    Writer(embedded_database.client, embedded_database.name).write_rollups(rows_of_traffic(8, n))
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in view(embedded_database, "class_quality", window_s):
        found.setdefault(key_of(row), {})[row["class"]] = row
    expected = set()
    for key, members in members_of(events, window_s).items():
        answered = [event for event in members if event.prediction is not None]
        labelled = [event for event in answered if event.has_label]
        if not labelled or not is_classification(answered):
            continue
        expected.add(key)
        y = [text(event.label) for event in labelled]
        p = [text(event.prediction) for event in labelled]
        classes = sorted(set(y) | set(p))
        assert sorted(found[key]) == classes
        w = np.array([event.weight for event in labelled])
        figures = precision_recall_fscore_support(y, p, labels=classes, sample_weight=w, zero_division=np.nan)
        for name, precision, recall, f1, _ in zip(classes, *figures, strict=True):
            row = found[key][name]
            assert (row["support"], row["predicted"]) == (y.count(name), p.count(name))
            assert row["true_positives"] == sum(a == b == name for a, b in zip(y, p, strict=True))
            for column, value in (("precision", precision), ("recall", recall)):
                assert row[column] == (None if math.isnan(value) else pytest.approx(value, rel=1e-12))
            assert row["f1"] == pytest.approx(f1, rel=1e-12)
    assert set(found) == expected


def test_quantiles_are_those_of_the_merged_histogram_to_the_digit(embedded_database: Any) -> None:
    rows = pane_rows(traffic(seed=9, n=400))
    Writer(embedded_database.client, embedded_database.name).write_rollups(rows)
    merged = windows(rows, 3_600)
    for row in view(embedded_database, "model_quality", 3_600):
        bins = merged[key_of(row)].histograms
        for q in (50, 95, 99):
            exact = duration_quantile(bins["latency"], q / 100, 0.01)
            assert row[f"latency_p{q}_ms"] == pytest.approx(exact, rel=1e-12)
        for q in (50, 95):
            exact = duration_quantile(bins["delay"], q / 100, 1.0)
            expected = None if exact is None else pytest.approx(exact / 1_000, rel=1e-12)
            assert row[f"label_delay_p{q}_s"] == expected


def test_every_figure_of_a_window_equals_the_stream_s_own(embedded_database: Any) -> None:
    rows = pane_rows(traffic(seed=10, n=900))
    writer = Writer(embedded_database.client, embedded_database.name)
    writer.write_rollups(rows)
    merged = windows(rows, 3_600)
    tasks = {key: task_of(sums) for key, sums in merged.items()}
    until_ms = T0_MS + 3 * 3_600_000
    models = {(model, version) for model, version, *_ in merged}
    right = tuple(i / 33 for i in range(33))
    known = {key: Calibration(*key, 500, right, until_ms) for key in models if key[1] == "1"}
    writer.write_calibrations(list(known.values()))
    recorded = {key: tasks[(*key, "", seconds_of(T0_MS))] for key in models}
    writer.write_model_states([ModelState(*key, recorded[key], until_ms, until_ms) for key in models])
    written, compared = view(embedded_database, "model_quality", 3_600), 0
    for row in written:
        key = key_of(row)
        mature = key[3] * 1_000 + 3_600_000 <= until_ms
        figures = model_quality(
            merged[key],
            recorded[key[:2]],
            mature=mature,
            window_ms=3_600_000,
            calibration=known.get(key[:2]),
        )
        for name, value in figures.items():
            if name == "nowcast_reason" and not mature:
                continue
            near = pytest.approx(value, rel=1e-9, abs=1e-9) if isinstance(value, float) else value
            assert row[name] == near, (name, key)
        compared += mature and row["estimated_accuracy_error"] is not None
    assert compared
    classes: dict[Any, list[dict[str, Any]]] = {}
    for row in view(embedded_database, "class_quality", 3_600):
        classes.setdefault(key_of(row), []).append(row)
    for key, sums in merged.items():
        expected = [] if recorded[key[:2]] == "regression" else class_quality(sums)
        found = sorted(classes.get(key, []), key=lambda row: row["class"])
        assert [{name: row[name] for name in CLASS_QUALITY_COLUMNS} for row in found] == [
            {n: pytest.approx(v, rel=1e-12) if isinstance(v, float) else v for n, v in row.items()}
            for row in expected
        ]


def test_squares_of_labels_far_from_zero_do_not_cancel(embedded_database: Any) -> None:
    rng = np.random.default_rng(3)
    y = 1e9 + rng.normal(0, 1, 500)
    p = y + rng.normal(0, 0.5, 500)
    events = [Joined(T0_MS + i * 1_000, float(p[i]), float(y[i]), True, partition=i % 2) for i in range(500)]
    Writer(embedded_database.client, embedded_database.name).write_rollups(pane_rows(events))
    (row,) = view(embedded_database, "model_quality", 3_600)
    assert row["r2"] == pytest.approx(r2_score(y, p), abs=1e-6)


def test_what_does_not_apply_is_null_and_never_zero(embedded_database: Any) -> None:
    events = [
        Joined(T0_MS, None, model="failed"),
        Joined(T0_MS, "a", model="unlabelled", cost=0.0),
        Joined(T0_MS, 1.5, 1.0, True, model="one pair"),
    ]
    Writer(embedded_database.client, embedded_database.name).write_rollups(pane_rows(events))
    rows = {row["model"]: row for row in view(embedded_database, "model_quality", 60)}
    assert rows["failed"]["coverage"] is None
    assert (rows["unlabelled"]["coverage"], rows["unlabelled"]["accuracy"]) == (0.0, None)
    assert (rows["unlabelled"]["cost"], rows["failed"]["cost"]) == (0.0, None)
    assert rows["unlabelled"]["label_delay_p50_s"] is None
    assert (rows["one pair"]["mae"], rows["one pair"]["r2"]) == (0.5, None)
    assert (rows["one pair"]["accuracy"], rows["one pair"]["f1"]) == (None, None)


def test_one_class_more_than_twenty_makes_longs_a_regression(embedded_database: Any) -> None:
    events = [Joined(T0_MS, i, i, True, model="20") for i in range(20)]
    events += [Joined(T0_MS + i % 2 * 60_000, i, i, True, model="21") for i in range(21)]
    Writer(embedded_database.client, embedded_database.name).write_rollups(pane_rows(events))
    rows = {row["model"]: row for row in view(embedded_database, "model_quality", 3_600)}
    assert (rows["20"]["accuracy"], rows["20"]["mae"]) == (1.0, None)
    assert (rows["21"]["accuracy"], rows["21"]["mae"]) == (None, 0.0)
    by_minute = {
        row["accuracy"] for row in view(embedded_database, "model_quality", 60) if row["model"] == "21"
    }
    assert by_minute == {1.0}


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_recorded_task_overrides_what_the_window_suggests(embedded_database: Any, task: Any) -> None:
    writer = Writer(embedded_database.client, embedded_database.name)
    writer.write_rollups(pane_rows([Joined(T0_MS, 1, 1, True), Joined(T0_MS, 1, 3, True)]))
    writer.write_model_states([ModelState("m", "1", task, 0, 1), ModelState("m", "2", "regression", 0, 1)])
    (row,) = view(embedded_database, "model_quality", 60)
    classes = view(embedded_database, "class_quality", 60)
    if task == "regression":
        assert (row["mae"], row["accuracy"], classes) == (1.0, None, [])
    else:
        assert (row["mae"], row["accuracy"], len(classes)) == (None, 0.5, 2)


def test_a_window_is_mature_with_its_end_and_then_its_nowcast_is_its_accuracy(
    embedded_database: Any,
) -> None:
    writer = Writer(embedded_database.client, embedded_database.name)
    writer.write_rollups(pane_rows([Joined(T0_MS, 1, 1, True), Joined(T0_MS + 60_000, 1, 1, True)]))
    writer.write_model_states([ModelState("m", "1", "binary", T0_MS + 60_000, 1)])
    mature, open_ = sorted(view(embedded_database, "model_quality", 60), key=key_of)
    nowcasts = ("accuracy_nowcast", "accuracy_nowcast_low", "accuracy_nowcast_high")
    assert mature["is_mature"] is True
    assert [mature[name] for name in nowcasts] == [1.0] * 3
    assert (open_["is_mature"], open_["accuracy"]) == (False, 1.0)
    assert [open_[name] for name in nowcasts] == [None] * 3
    writer.write_model_states([ModelState("m", "1", "binary", T0_MS + 60_000 - 1, 2)])
    assert {row["is_mature"] for row in view(embedded_database, "model_quality", 60)} == {False}


def negated(rows: pa.RecordBatch) -> pa.RecordBatch:
    def minus(name: str, value: Any) -> Any:
        if name in MAPS:
            return [(key, -count) for key, count in value]
        if name in CLASS_BINS:
            return [(key, [-count for count in counts]) for key, counts in value]
        return [-count for count in value] if name in HISTOGRAMS else -value

    taken_back = (*COUNTS, *SUMS, *MAPS, *HISTOGRAMS, *CLASS_BINS)
    return pa.RecordBatch.from_pylist(
        [
            {name: minus(name, value) if name in taken_back else value for name, value in row.items()}
            for row in rows.to_pylist()
        ],
        PANE_COLUMNS,
    )


def on_partition(rows: pa.RecordBatch, partition: int) -> pa.RecordBatch:
    at = PANE_COLUMNS.get_field_index("partition")
    column = pa.array([partition] * rows.num_rows, pa.int32())
    return rows.set_column(at, PANE_COLUMNS.field(at), column)


def test_cold_rows_take_back_what_the_stream_counted_and_add_all_events(
    embedded_database: Any,
) -> None:
    everything = [
        Joined(e.time_ms, e.prediction, e.label, e.has_label, e.model, e.version, 0, e.segments, e.latency_ms)
        for e in traffic(seed=11, n=900)
    ]
    hot = everything[::2]
    writer = Writer(embedded_database.client, embedded_database.name)
    writer.write_rollups(on_partition(pane_rows(everything), 0))
    truth = {key_of(row): row for row in view(embedded_database, "model_quality", 3_600)}
    embedded_database.client.command("TRUNCATE TABLE rollups")
    writer.write_rollups(on_partition(pane_rows(hot), 0))
    writer.write_rollups(on_partition(negated(pane_rows(hot)), -2))
    writer.write_rollups(on_partition(pane_rows(everything), -1))
    rows = {key_of(row): row for row in view(embedded_database, "model_quality", 3_600)}
    assert rows.keys() == truth.keys()
    for key, row in rows.items():
        for name, value in truth[key].items():
            near = pytest.approx(value, rel=1e-6, abs=1e-6) if isinstance(value, float) else value
            assert row[name] == near, (name, key)


def test_a_model_without_a_recorded_state_is_immature_under_any_settings(embedded_database: Any) -> None:
    Writer(embedded_database.client, embedded_database.name).write_rollups(
        pane_rows([Joined(T0_MS, 1, 1, True)])
    )
    (row,) = embedded_database.client.rows(
        "SELECT accuracy, is_mature FROM model_quality(window_seconds = 60) SETTINGS join_use_nulls = 1"
    )
    assert row == {"accuracy": 1.0, "is_mature": False}


def test_a_window_in_which_nothing_counts_has_no_row(embedded_database: Any) -> None:
    rows = pane_rows([Joined(T0_MS, "a")])
    writer = Writer(embedded_database.client, embedded_database.name)
    writer.write_rollups(rows)
    writer.write_rollups(on_partition(negated(rows), -2))
    assert view(embedded_database, "model_quality", 60) == []
    at = PANE_COLUMNS.get_field_index("duplicates")
    writer.write_rollups(on_partition(rows.set_column(at, PANE_COLUMNS.field(at), pa.array([1])), -1))
    writer.write_rollups(on_partition(negated(rows), 7))
    (row,) = view(embedded_database, "model_quality", 60)
    assert (row["predictions"], row["coverage"]) == (0, None)


def test_feature_drift_has_no_rows_until_panes_count_features(embedded_database: Any) -> None:
    Writer(embedded_database.client, embedded_database.name).write_rollups(pane_rows([Joined(T0_MS, "a")]))
    assert view(embedded_database, "feature_drift", 60) == []


def test_an_accuracy_panel_reads_neither_maps_nor_histograms(embedded_database: Any) -> None:
    plan = "\n".join(
        row["explain"]
        for row in embedded_database.client.rows(
            "EXPLAIN header = 1, actions = 1 "
            "SELECT window_start, accuracy, coverage, is_mature, labelled "
            "FROM model_quality(window_seconds = 3600) WHERE model = 'm'"
        )
    )
    assert "hits" in plan
    histograms = ("latency", "delay", "calibration", "score_", "confidence", "age_")
    for column in ("confusion", "r.predicted", "statuses", "label_m2", *histograms):
        assert column not in plan


def test_a_bound_on_window_start_reads_only_the_panes_within(embedded_database: Any) -> None:
    events = [Joined(T0_MS + i * 60_000, 1) for i in range(6_000)]
    Writer(embedded_database.client, embedded_database.name).write_rollups(pane_rows(events))
    plan = "\n".join(
        row["explain"]
        for row in embedded_database.client.rows(
            "EXPLAIN indexes = 1 SELECT accuracy FROM model_quality(window_seconds = 3600) "
            "WHERE model = 'm' AND segment = '' AND window_start >= toDateTime('2050-01-05 00:00:00', 'UTC')"
        )
    )
    primary = plan[plan.index("PrimaryKey") :]
    read, total = primary[primary.index("Granules: ") + 10 :].split("\n", 1)[0].split("/")
    assert int(read) < int(total)
