"""Real, public data that scikit-learn ships: models trained on it, their answers and late truths replayed."""

import json

import numpy as np
import pandas as pd
import pytest
from recorded import START_MS, write
from sklearn import datasets, linear_model, metrics, model_selection, pipeline, preprocessing

from aftcast.configuration import Configuration
from aftcast.replay import run_replay


def streamed(tmp_path, name, predictions, truth, scores=None):
    rng = np.random.default_rng(0)
    times = START_MS + np.sort(rng.integers(0, 3_600_000, len(truth)))
    events = [
        {
            "prediction_id": f"{name}-{i}",
            "model": name,
            "timestamp": int(t),
            "prediction": p,
            "scores": scores[i] if scores else None,
        }
        for i, (t, p) in enumerate(zip(times, predictions, strict=True))
    ]
    delays = rng.exponential(600_000, len(truth)).astype(int)
    labels = [
        {"prediction_id": f"{name}-{i}", "label": y, "timestamp": int(t + d)}
        for i, (t, y, d) in enumerate(zip(times, truth, delays, strict=True))
    ]
    run_replay(
        [write(tmp_path / "i.ndjson", events)],
        [write(tmp_path / "l.ndjson", [labels[i] for i in rng.permutation(len(labels))])],
        [],
        Configuration(),
        3_600_000,
        False,
        None,
        tmp_path / "out",
    )
    [row] = [
        json.loads(line) for line in (tmp_path / "out" / "model_quality.ndjson").read_text().splitlines()
    ]
    return row


def test_digits_read_by_a_logistic_regression_score_as_in_the_batch_evaluation(tmp_path):
    x, y = datasets.load_digits(return_X_y=True)
    x_train, x_test, y_train, y_test = model_selection.train_test_split(x, y, test_size=0.6, random_state=0)
    model = pipeline.make_pipeline(
        preprocessing.StandardScaler(), linear_model.LogisticRegression(max_iter=200)
    )
    said = model.fit(x_train, y_train).predict(x_test)
    chances = model.predict_proba(x_test)
    scores = [{str(digit): p for digit, p in enumerate(row)} for row in chances.tolist()]
    row = streamed(tmp_path, "digits", said.tolist(), y_test.tolist(), scores)
    p, r, f, _ = metrics.precision_recall_fscore_support(y_test, said, average="macro", zero_division=0)
    assert row["accuracy"] == pytest.approx(metrics.accuracy_score(y_test, said), abs=1e-12)
    assert (row["precision"], row["recall"], row["f1"]) == pytest.approx((p, r, f), abs=1e-12)
    assert row["labelled"] == len(y_test)
    assert row["mae"] is None
    assert row["log_loss"] == pytest.approx(metrics.log_loss(y_test, chances), abs=1e-9)
    assert row["brier"] == pytest.approx(metrics.brier_score_loss(y_test, chances), abs=1e-9)
    top, hit = chances.max(axis=1), chances.argmax(axis=1) == y_test
    gaps = pd.Series(top - hit).groupby((top * 10).astype(int).clip(max=9)).sum().abs()
    assert row["ece"] == pytest.approx(gaps.sum() / len(top), abs=1e-9)
    assert row["auc"] == pytest.approx(metrics.roc_auc_score(y_test, chances, multi_class="ovr"), abs=0.002)


def test_diabetes_progression_by_a_ridge_regression_scores_as_in_the_batch_evaluation(tmp_path):
    x, y = datasets.load_diabetes(return_X_y=True)
    x_train, x_test, y_train, y_test = model_selection.train_test_split(x, y, test_size=0.6, random_state=0)
    said = linear_model.Ridge().fit(x_train, y_train).predict(x_test)
    row = streamed(tmp_path, "diabetes", said.tolist(), y_test.tolist())
    assert row["mae"] == pytest.approx(metrics.mean_absolute_error(y_test, said), rel=1e-12)
    assert row["rmse"] == pytest.approx(metrics.root_mean_squared_error(y_test, said), rel=1e-12)
    assert row["r2"] == pytest.approx(metrics.r2_score(y_test, said), rel=1e-9)
    assert row["accuracy"] is None
