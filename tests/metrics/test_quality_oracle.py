"""Figures out of pane sums equal scikit-learn and numpy over the same pairs, however panes cut them."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from schemas.figures import CLASS_QUALITY_COLUMNS, MODEL_QUALITY_COLUMNS
from schemas.panes import PAIR_SEPARATOR, PaneSums, duration_bin
from streams.metrics import class_quality, model_quality

HOUR_MS = 3_600_000
TOLERANCE = {"rel": 1e-9, "abs": 1e-9}
CLASSES = st.sampled_from(["cat", "dog", "emu", "0", "Ω"])
CLASS_PAIRS = st.lists(st.tuples(CLASSES, CLASSES), min_size=1, max_size=60)
NUMBERS = st.floats(-1e6, 1e6).map(lambda x: round(x, 3))
NUMBER_PAIRS = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=2, max_size=60)


def of_classes(pairs: list[tuple[str, str]]) -> PaneSums:
    sums = PaneSums()
    hits = sum(label == prediction for label, prediction in pairs)
    sums.counts |= {"predictions": len(pairs), "labelled": len(pairs), "class_n": len(pairs), "hits": hits}
    sums.maps["confusion"] = dict(Counter(PAIR_SEPARATOR.join(pair) for pair in pairs))
    return sums


def of_numbers(pairs: list[tuple[float, float]]) -> PaneSums:
    sums = PaneSums()
    if not pairs:
        return sums
    labels, predictions = (np.array(column) for column in zip(*pairs, strict=True))
    errors, n = predictions - labels, len(pairs)
    nonzero = labels != 0
    sums.counts |= {"predictions": n, "labelled": n, "reg_n": n, "ape_n": int(nonzero.sum())}
    sums.terms["err_sum"] = errors.tolist()
    sums.terms["abs_err_sum"] = np.abs(errors).tolist()
    sums.terms["sq_err_sum"] = (errors**2).tolist()
    sums.terms["label_sum"] = labels.tolist()
    sums.terms["ape_sum"] = (np.abs(errors[nonzero]) / np.abs(labels[nonzero])).tolist()
    sums.moments = [(n, float(labels.sum()), float(((labels - labels.mean()) ** 2).sum()))]
    return sums


def cut(pairs: list, cuts: list[int]) -> list[list]:
    edges = sorted({0, len(pairs), *(c % (len(pairs) + 1) for c in cuts)})
    return [pairs[a:b] for a, b in pairwise(edges)]


@given(CLASS_PAIRS, st.lists(st.integers(0, 100), max_size=4))
@settings(deadline=None)
def test_classification_equals_scikit_learn_however_panes_cut_the_pairs(pairs, cuts) -> None:
    sums = PaneSums()
    for part in cut(pairs, cuts):
        sums.add(of_classes(part))
    row = model_quality(sums, "multiclass", mature=True, window_ms=HOUR_MS)
    labels, predictions = zip(*pairs, strict=True)
    assert row["accuracy"] == pytest.approx(sk.accuracy_score(labels, predictions), **TOLERANCE)
    for name, function in (
        ("precision", sk.precision_score),
        ("recall", sk.recall_score),
        ("f1", sk.f1_score),
    ):
        expected = function(labels, predictions, average="macro", zero_division=0)
        assert row[name] == pytest.approx(expected, **TOLERANCE), name
    assert {row[name] for name in ("mae", "rmse", "mape", "r2", "bias")} == {None}


@given(CLASS_PAIRS)
@settings(deadline=None)
def test_classes_equal_scikit_learn_and_what_is_undefined_is_none(pairs) -> None:
    labels, predictions = zip(*pairs, strict=True)
    names = sorted({*labels, *predictions})
    rows = class_quality(of_classes(pairs))
    assert [row["class"] for row in rows] == names
    expected = sk.precision_recall_fscore_support(labels, predictions, labels=names, zero_division=np.nan)
    for i, row in enumerate(rows):
        assert tuple(row) == CLASS_QUALITY_COLUMNS
        assert row["support"] == expected[3][i]
        assert row["predicted"] == predictions.count(row["class"])
        for name, figures in zip(("precision", "recall"), expected[:2], strict=True):
            if np.isnan(figures[i]):
                assert row[name] is None
            else:
                assert row[name] == pytest.approx(figures[i], **TOLERANCE)


@given(NUMBER_PAIRS, st.lists(st.integers(0, 100), max_size=4))
@settings(deadline=None)
def test_regression_equals_scikit_learn_however_panes_cut_the_pairs(pairs, cuts) -> None:
    sums = PaneSums()
    for part in cut(pairs, cuts):
        sums.add(of_numbers(part))
    row = model_quality(sums, "regression", mature=True, window_ms=HOUR_MS)
    labels, predictions = (np.array(column) for column in zip(*pairs, strict=True))
    assert row["mae"] == pytest.approx(sk.mean_absolute_error(labels, predictions), **TOLERANCE)
    assert row["rmse"] == pytest.approx(sk.root_mean_squared_error(labels, predictions), **TOLERANCE)
    assert row["bias"] == pytest.approx(float(np.mean(predictions - labels)), **TOLERANCE)
    kept = labels != 0
    if kept.any():
        expected = sk.mean_absolute_percentage_error(labels[kept], predictions[kept])
        assert row["mape"] == pytest.approx(expected, **TOLERANCE)
    else:
        assert row["mape"] is None
    if len(set(labels.tolist())) > 1:
        assert row["r2"] == pytest.approx(sk.r2_score(labels, predictions), **TOLERANCE)
    else:
        assert row["r2"] is None
    assert {row[name] for name in ("accuracy", "precision", "recall", "f1")} == {None}


@pytest.mark.parametrize("panes", [1, 2, 7])
def test_r2_of_constant_labels_is_none_although_their_mean_is_rounded(panes: int) -> None:
    sums = PaneSums()
    for i in range(panes):
        sums.add(of_numbers([(0.1, 0.3)] * (3 + i)))
    assert model_quality(sums, "regression", mature=True, window_ms=HOUR_MS)["r2"] is None


def test_r2_of_labels_far_from_zero_for_their_spread_keeps_its_digits() -> None:
    rng = np.random.default_rng(5)
    labels = 1e6 + rng.choice([-1.0, 1.0], 500)
    predictions = labels + rng.normal(0, 0.5, 500)
    pairs = list(zip(labels.tolist(), predictions.tolist(), strict=True))
    sums = PaneSums()
    for part in cut(pairs, [10, 99, 300]):
        sums.add(of_numbers(part))
    row = model_quality(sums, "regression", mature=False, window_ms=HOUR_MS)
    assert row["r2"] == pytest.approx(sk.r2_score(labels, predictions), rel=1e-9)


def test_r2_of_one_pair_is_none_and_of_two_is_not() -> None:
    for pairs, r2 in (([(1.0, 2.0)], None), ([(1.0, 2.0), (3.0, 3.0)], 0.5)):
        row = model_quality(of_numbers(pairs), "regression", mature=True, window_ms=HOUR_MS)
        assert row["r2"] == r2


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_an_empty_window_has_exactly_the_columns_and_no_zero_where_nothing_applies(task) -> None:
    row = model_quality(PaneSums(), task, mature=True, window_ms=HOUR_MS)
    assert tuple(row) == MODEL_QUALITY_COLUMNS
    known = {name: value for name, value in row.items() if value is not None}
    counts = dict.fromkeys(
        ("predictions", "failures", "labelled", "predictions_per_s", "corrected_labels"), 0
    )
    assert known == counts | {"is_mature": True}


def test_coverage_counts_answered_predictions_only() -> None:
    sums = PaneSums()
    sums.counts |= {"predictions": 10, "failures": 2, "labelled": 4}
    assert model_quality(sums, "binary", mature=False, window_ms=HOUR_MS)["coverage"] == 0.5
    sums.counts |= {"failures": 10, "labelled": 0}
    assert model_quality(sums, "binary", mature=False, window_ms=HOUR_MS)["coverage"] is None


def test_accuracy_is_its_own_nowcast_when_mature_and_there_is_none_before() -> None:
    sums = of_classes([("a", "a"), ("a", "b")])
    names = ("accuracy_nowcast", "accuracy_nowcast_low", "accuracy_nowcast_high")
    mature, young = (
        model_quality(sums, "binary", mature=is_mature, window_ms=HOUR_MS) for is_mature in (True, False)
    )
    assert [mature[name] for name in names] == [0.5] * 3
    assert [young[name] for name in names] == [None] * 3
    assert young["accuracy"] == 0.5


@given(st.lists(st.floats(0.02, 1e7), min_size=1, max_size=200))
@settings(deadline=None)
def test_quantiles_of_latency_and_delay_are_within_two_percent_of_the_order_statistic(values) -> None:
    sums = PaneSums()
    sums.histograms["latency"] = np.bincount([duration_bin(v, 0.01) for v in values])
    sums.histograms["delay"] = np.bincount([duration_bin(v * 1000, 1.0) for v in values])
    row = model_quality(sums, "binary", mature=False, window_ms=HOUR_MS)
    for q, names in (
        (0.5, ("latency_p50_ms", "label_delay_p50_s")),
        (0.95, ("latency_p95_ms", "label_delay_p95_s")),
    ):
        exact = float(np.quantile(values, q, method="inverted_cdf"))
        for name in names:
            assert row[name] == pytest.approx(exact, rel=0.02), name
    assert row["latency_p99_ms"] == pytest.approx(
        float(np.quantile(values, 0.99, method="inverted_cdf")), rel=0.02
    )


def test_cost_is_an_exactly_rounded_sum_and_none_where_no_call_carries_one() -> None:
    sums = PaneSums()
    sums.counts["cost_n"] = 4
    sums.terms["cost_sum"] = [1e17, 0.1, -1e17, 0.2]
    row = model_quality(sums, "binary", mature=False, window_ms=HOUR_MS)
    assert row["cost"] == 0.30000000000000004
    assert row["value"] is None


def test_a_pair_taken_back_to_zero_leaves_no_class_behind() -> None:
    sums = of_classes([("a", "a")])
    sums.maps["confusion"]["b" + PAIR_SEPARATOR + "a"] = 0
    assert [row["class"] for row in class_quality(sums)] == ["a"]
    assert model_quality(sums, "binary", mature=True, window_ms=HOUR_MS)["f1"] == 1.0
