"""What a replay makes of scores, against scikit-learn over the full join."""

import json
from functools import cache

import numpy as np
import pytest
from recorded import START_MS, probability_figures, write
from sklearn import metrics

from aftcast.configuration import Configuration
from aftcast.replay import run_replay

DAY_MS = 86_400_000


def replayed(tmp_path, predictions, labels, window_ms, config=None):
    run_replay(
        [write(tmp_path / "i.ndjson", predictions)],
        [write(tmp_path / "l.ndjson", labels)],
        [],
        config or Configuration(),
        window_ms,
        False,
        None,
        tmp_path / "out",
    )
    return [json.loads(line) for line in (tmp_path / "out" / "model_quality.ndjson").read_text().splitlines()]


def event(i, time_ms, prediction, scores):
    return {
        "prediction_id": str(i),
        "model": "m",
        "timestamp": time_ms,
        "prediction": prediction,
        "scores": scores,
    }


def label(i, time_ms, value):
    return {"prediction_id": str(i), "label": value, "timestamp": time_ms}


def drawn(kind, rng, n):
    if kind == "uniform":
        return rng.random(n)
    if kind == "skewed":
        return rng.beta(0.3, 3, n)
    return 1 / (1 + np.exp(-rng.normal(-5.5, 0.8, n)))  # clicks: near 0.005, one in 200 comes true


@cache
def recording(kind):
    """Make three minutes: one, then one in the next hour, then one in the next day; some labels corrected."""
    rng = np.random.default_rng(3)
    n = 9_000
    chance = drawn(kind, rng, n)
    truth = rng.random(n) < chance
    times_ms = START_MS // DAY_MS * DAY_MS + np.repeat([0, 3_600_000, DAY_MS], n // 3) + np.arange(n) % 60_000
    predictions, labels = [], []
    for i, time_ms in enumerate(times_ms.tolist()):
        predictions.append(event(i, time_ms, "yes" if chance[i] > 0.5 else "no", {"yes": float(chance[i])}))
        said = "yes" if truth[i] else "no"
        labels.append(label(i, time_ms + 1_000, said))
        if i % 7 == 0:  # first said to be the other way, then corrected
            labels.append(label(i, time_ms + 500, "no" if truth[i] else "yes"))
    return chance, truth, times_ms, predictions, labels


@pytest.mark.parametrize("window_ms", [60_000, 3_600_000, DAY_MS])
@pytest.mark.parametrize("kind", ["uniform", "skewed", "clicks"])
def test_figures_of_scores_equal_scikit_learn(tmp_path, kind, window_ms):
    chance, truth, times_ms, predictions, labels = recording(kind)
    rows = replayed(tmp_path, predictions, labels, window_ms)
    windows = np.unique(times_ms // window_ms)
    assert len(rows) == len(windows) == (2 if window_ms == DAY_MS else 3)
    for row, window in zip(rows, windows, strict=True):
        chosen = times_ms // window_ms == window
        for name, value in probability_figures(truth[chosen], chance[chosen]).items():
            assert row[name] == pytest.approx(value, rel=1e-9, abs=1e-9), name
        assert row["auc"] == pytest.approx(metrics.roc_auc_score(truth[chosen], chance[chosen]), abs=0.002)


def test_a_corrected_and_a_withdrawn_label_leave_no_trace_in_the_figures_of_scores(tmp_path):
    rng = np.random.default_rng(4)
    chances = rng.dirichlet([1, 1, 2], 200).tolist()
    classes = ["blue", "green", "red"]
    predictions = [
        event(i, START_MS + i, "red", dict(zip(classes, p, strict=True))) for i, p in enumerate(chances)
    ]
    truth = [label(i, START_MS + 10_000 + i, classes[i % 3]) for i in range(100)]
    wrong = [label(i, START_MS + 5_000, "red") for i in range(100)]
    withdrawn = [
        label(i, START_MS + t, value)
        for i in range(100, 200)
        for t, value in ((5_000, "green"), (9_000, None))
    ]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (plain,) = replayed(tmp_path / "a", predictions, truth, 3_600_000)
    (corrected,) = replayed(tmp_path / "b", predictions, [*wrong, *withdrawn, *truth], 3_600_000)
    names = ("labelled", "accuracy", "auc", "log_loss", "brier", "ece")
    assert {name: plain[name] for name in names} == {name: corrected[name] for name in names}
    assert None not in [plain[name] for name in names]


@pytest.mark.parametrize(
    ("scores", "positive", "brier"),
    [
        ({"no": 0.2}, None, 0.04),  # the only key, whatever it means
        ({"no": 0.2}, "yes", 0.04),
        ({"no": 0.2, "yes": 0.9}, None, 0.81),  # the last in sorted order
        ({"no": 0.2, "yes": 0.9}, "no", 0.04),
        ({"no": 0.2, "yes": 0.9}, "perhaps", 0.81),
    ],
)
def test_which_class_is_positive(tmp_path, scores, positive, brier):
    models = {"m": {"positive": positive}} if positive else {}
    config = Configuration.model_validate({"models": models})
    predictions, labels = [event(1, START_MS, "no", scores)], [label(1, START_MS, "perhaps")]
    (row,) = replayed(tmp_path, predictions, labels, 60_000, config)
    assert row["brier"] == pytest.approx(brier, abs=1e-12)
    assert row["auc"] is None


def test_a_class_that_was_never_scored_had_probability_zero(tmp_path):
    predictions = [event(1, START_MS, "a", {"a": 0.5, "b": 0.25, "c": 0.25})]
    (row,) = replayed(tmp_path, predictions, [label(1, START_MS, "d")], 60_000)
    assert row["brier"] == pytest.approx(0.25 + 2 * 0.0625 + 1)
    assert row["log_loss"] == pytest.approx(-np.log(np.finfo(float).eps))
    assert row["ece"] == pytest.approx(0.5)


@pytest.mark.parametrize("scores", [None, {}])
def test_without_scores_their_figures_are_null(tmp_path, scores):
    (row,) = replayed(tmp_path, [event(1, START_MS, "a", scores)], [label(1, START_MS, "a")], 60_000)
    assert row["accuracy"] == 1.0
    assert {row[name] for name in ("auc", "log_loss", "brier", "ece")} == {None}
