"""Labels picked for review by chance weigh 1 / chance: a replay against scikit-learn with sample_weight."""

import json

import numpy as np
import pytest
from recorded import START_MS, write
from sklearn import metrics

from aftcast.configuration import Configuration
from aftcast.replay import run_replay

DAY_MS = 86_400_000
WINDOWS = pytest.mark.parametrize("window_ms", [60_000, 3_600_000, DAY_MS])
N = 6_000
UNTIL_MS = START_MS // DAY_MS * DAY_MS + DAY_MS + 3_600_000  # an hour after the last event
NEAR = {"rel": 1e-9, "abs": 1e-9}


def times_of(n):
    """A burst in each of two hours, and one on the next day."""
    hours = np.repeat([0, 3_600_000, DAY_MS], n // 3)
    return START_MS // DAY_MS * DAY_MS + hours + np.arange(n) % 60_000


def replayed(tmp_path, events, truths, chances, window_ms, table="model_quality"):
    """Replay events; ``truths`` and ``chances`` per event, chance nan: not sampled, 0: not labelled."""
    labels = []
    for i, (event, truth, chance) in enumerate(zip(events, truths, chances.tolist(), strict=True)):
        if chance == 0:
            continue
        label = {"prediction_id": event["prediction_id"], "label": truth}
        label["sampling_probability"] = None if np.isnan(chance) else chance
        labels.append(label | {"timestamp": event["timestamp"] + 1_000})
        if i % 9 == 0:  # first said with another chance, then corrected
            labels.append(label | {"timestamp": event["timestamp"] + 500, "sampling_probability": 0.3})
    inference, truth = write(tmp_path / "i.ndjson", events), write(tmp_path / "l.ndjson", labels)
    run_replay([inference], [truth], [], Configuration(), window_ms, False, UNTIL_MS, tmp_path / "out")
    lines = (tmp_path / "out" / f"{table}.ndjson").read_text().splitlines()
    return [json.loads(line) for line in lines]


def event(i, time_ms, prediction, **more):
    return {"prediction_id": str(i), "model": "m", "timestamp": time_ms, "prediction": prediction} | more


def by_window(rows, times_ms, window_ms):
    windows = np.unique(times_ms // window_ms)
    assert len(rows) == len(windows)
    return [(row, times_ms // window_ms == window) for row, window in zip(rows, windows, strict=True)]


def weights_of(chances):
    return np.where(np.isnan(chances), 1.0, 1 / np.where(chances > 0, chances, 1))


def gaps(came_true, chance, weight):
    """Expected calibration error over ten bins of equal width."""
    bins = np.searchsorted(np.arange(1, 10) / 10, chance, side="right")
    return sum(abs(np.sum((weight * (chance - came_true))[bins == b])) for b in range(10)) / weight.sum()


@pytest.mark.parametrize("kind", ["uniform", "clicks"])
@WINDOWS
def test_binary_figures_of_stratified_labels_equal_scikit_learn(tmp_path, kind, window_ms):
    rng = np.random.default_rng(11)
    clicks = 1 / (1 + np.exp(-rng.normal(-5.5, 0.8, N)))  # near 0.005, one in 200 comes true
    score = rng.random(N) if kind == "uniform" else clicks
    truth = rng.random(N) < score
    threshold = 0.5 if kind == "uniform" else 0.02
    said = score > threshold
    # High scores are all reviewed, of the low ones a third, and some come from elsewhere, unsampled.
    chances = np.where(said, 1.0, np.where(rng.random(N) < 0.33, 0.33, 0.0))
    chances = np.where(rng.random(N) < 0.1, np.nan, chances)
    times_ms = times_of(N)
    events = [
        event(i, int(times_ms[i]), "yes" if said[i] else "no", scores={"yes": float(score[i])})
        for i in range(N)
    ]
    rows = replayed(tmp_path, events, np.where(truth, "yes", "no").tolist(), chances, window_ms)
    for row, inside in by_window(rows, times_ms, window_ms):
        of = inside & (chances != 0)
        y, p, s, w = truth[of], said[of], score[of], weights_of(chances)[of]
        assert row["labelled"] == of.sum()
        assert row["coverage"] == of.sum() / inside.sum()
        precision, recall, f1, _ = metrics.precision_recall_fscore_support(
            y, p, average="macro", zero_division=0, sample_weight=w
        )
        expected = {
            "accuracy": metrics.accuracy_score(y, p, sample_weight=w),
            "precision": precision,
            "recall": recall,
            "f1": f1,
            "log_loss": metrics.log_loss(y, s, labels=[False, True], sample_weight=w),
            "brier": metrics.brier_score_loss(y, s, sample_weight=w),
            "ece": gaps(y, s, w),
        }
        for name, value in expected.items():
            assert row[name] == pytest.approx(value, **NEAR), name
        assert row["auc"] == pytest.approx(metrics.roc_auc_score(y, s, sample_weight=w), abs=0.002)


@WINDOWS
def test_multiclass_figures_of_sampled_labels_equal_scikit_learn(tmp_path, window_ms):
    rng = np.random.default_rng(12)
    classes = np.array(["blå", "green", "red", "αβ"])
    chance = rng.dirichlet([0.5, 1, 2, 0.3], N)
    truth = np.array([rng.choice(4, p=p) for p in chance])
    said = chance.argmax(axis=1)
    chances = rng.choice([0.0, 0.05, 0.4, 1.0, np.nan], N)
    times_ms = times_of(N)
    events = [
        event(i, t, classes[said[i]], scores=dict(zip(classes, chance[i].tolist(), strict=True)))
        for i, t in enumerate(times_ms.tolist())
    ]
    rows = replayed(tmp_path, events, classes[truth].tolist(), chances, window_ms)
    for row, inside in by_window(rows, times_ms, window_ms):
        of = inside & (chances != 0)
        y, p, s, w = truth[of], said[of], chance[of], weights_of(chances)[of]
        assert row["accuracy"] == pytest.approx(metrics.accuracy_score(y, p, sample_weight=w), **NEAR)
        f1 = metrics.f1_score(y, p, average="macro", zero_division=0, sample_weight=w)
        assert row["f1"] == pytest.approx(f1, **NEAR)
        loss = metrics.log_loss(y, s / s.sum(axis=1, keepdims=True), labels=range(4), sample_weight=w)
        assert row["log_loss"] == pytest.approx(loss, **NEAR)
        brier = np.average(((s - np.eye(4)[y]) ** 2).sum(axis=1), weights=w)
        assert row["brier"] == pytest.approx(brier, **NEAR)
        assert row["ece"] == pytest.approx(gaps(p == y, s.max(axis=1), w), **NEAR)
        areas = [metrics.roc_auc_score(y == k, s[:, k], sample_weight=w) for k in range(4)]
        assert row["auc"] == pytest.approx(np.mean(areas), abs=0.002)


def test_classes_are_weighted_but_their_counts_are_not(tmp_path):
    rng = np.random.default_rng(13)
    truth, said = rng.choice(["a", "b", "c"], (2, 600))
    chances = rng.choice([0.1, 0.5, np.nan], 600)
    events = [event(i, START_MS + i, said[i]) for i in range(600)]
    rows = replayed(tmp_path, events, truth.tolist(), chances, DAY_MS, "class_quality")
    figures = metrics.precision_recall_fscore_support(truth, said, sample_weight=weights_of(chances))
    for k, row in enumerate(rows):
        name = row["class"]
        assert (row["support"], row["predicted"]) == ((truth == name).sum(), (said == name).sum())
        assert row["true_positives"] == ((truth == name) & (said == name)).sum()
        assert [row[n] for n in ("precision", "recall", "f1")] == pytest.approx([f[k] for f in figures[:3]])


@pytest.mark.parametrize("kind", ["negative", "huge", "far from zero", "with zeros"])
@WINDOWS
def test_regression_figures_of_sampled_labels_equal_scikit_learn(tmp_path, kind, window_ms):
    rng = np.random.default_rng(14)
    n = 3_000
    truth = {
        "negative": rng.normal(-50, 30, n),
        "huge": rng.normal(0, 1e12, n),
        "far from zero": 1e6 + rng.choice([-1.0, 1.0], n),
        "with zeros": np.where(rng.random(n) < 0.2, 0.0, rng.exponential(3, n)),
    }[kind]
    said = truth + rng.normal(0.1, 0.5, n) * (1e11 if kind == "huge" else 1)
    width = rng.exponential(0.8, n) * (1e11 if kind == "huge" else 1)
    bounded = rng.random(n) < 0.7
    chances = rng.choice([0.0, 0.01, 0.37, 0.9, 1.0, np.nan], n)
    times_ms = times_of(n)
    bounds = [
        {"prediction_lower": float(said[i] - width[i]), "prediction_upper": float(said[i] + width[i])}
        if bounded[i]
        else {}
        for i in range(n)
    ]
    events = [event(i, t, float(said[i]), **bounds[i]) for i, t in enumerate(times_ms.tolist())]
    rows = replayed(tmp_path, events, truth.tolist(), chances, window_ms)
    held = np.abs(truth - said) <= width
    for row, inside in by_window(rows, times_ms, window_ms):
        of = inside & (chances != 0)
        y, p, w = truth[of], said[of], weights_of(chances)[of]
        nonzero = y != 0
        within = metrics.mean_absolute_percentage_error(y[nonzero], p[nonzero], sample_weight=w[nonzero])
        expected = {
            "mae": metrics.mean_absolute_error(y, p, sample_weight=w),
            "rmse": metrics.root_mean_squared_error(y, p, sample_weight=w),
            "mape": within,
            "r2": metrics.r2_score(y, p, sample_weight=w),
            "bias": np.average(p - y, weights=w),
            "interval_coverage": np.average(held[of & bounded], weights=weights_of(chances)[of & bounded]),
        }
        for name, value in expected.items():
            assert row[name] == pytest.approx(value, rel=1e-9, abs=1e-12), name
        assert row["zero_labels"] == (~nonzero).sum()


def test_an_interval_holds_both_its_ends_and_nothing_beyond(tmp_path):
    bounds = {"prediction_lower": 1.0, "prediction_upper": 3.0}
    truths = [0.9999999, 1, 2.5, 3.0, 3.0000001]
    events = [event(i, START_MS, 2.0, **bounds) for i in range(5)]
    (row,) = replayed(tmp_path, events, truths, np.full(5, np.nan), 60_000)
    assert row["interval_coverage"] == 0.6
    (tmp_path / "b").mkdir()
    (row,) = replayed(tmp_path / "b", [event(1, START_MS, 2.0)], [2.0], np.full(1, np.nan), 60_000)
    assert row["interval_coverage"] is None


def test_a_label_that_was_almost_never_picked_weighs_a_million(tmp_path):
    events = [event(0, START_MS, "a"), event(1, START_MS, "a")]
    (row,) = replayed(tmp_path, events, ["a", "b"], np.array([np.nan, 1e-9]), 60_000)
    assert row["accuracy"] == pytest.approx(1 / (1e6 + 1), rel=1e-9)


def test_sampled_labels_that_are_taken_back_leave_no_trace(tmp_path):
    rng = np.random.default_rng(15)
    truth = (1e6 + rng.choice([-1.0, 1.0], 60)).tolist()
    plain, again = [], []
    for i, value in enumerate(truth):
        label = {"prediction_id": str(i), "label": value, "timestamp": START_MS + 9_000}
        again += [
            label | {"label": 1e17, "timestamp": START_MS + 1_000, "sampling_probability": 1e-7},
            label | {"label": -0.1, "timestamp": START_MS + 2_000, "sampling_probability": 0.3},
        ]
        plain.append(label)
    events = [event(i, START_MS, value + 0.25) for i, value in enumerate(truth)]
    inference = write(tmp_path / "i.ndjson", events)
    found = []
    for name, labels in (("plain", plain), ("again", plain + again)):
        out, path = tmp_path / name, write(tmp_path / f"{name}.ndjson", labels)
        run_replay([inference], [path], [], Configuration(), 60_000, False, UNTIL_MS, out)
        found.append(json.loads((out / "model_quality.ndjson").read_text()))
    names = ("mae", "rmse", "mape", "r2", "bias")
    assert [found[0][n] for n in names] == [found[1][n] for n in names]
    assert found[0]["r2"] == pytest.approx(metrics.r2_score(truth, np.array(truth) + 0.25), rel=1e-9)
    assert (found[0]["corrected_labels"], found[1]["corrected_labels"]) == (0, 60)


def test_bounds_in_a_table_are_read_and_their_figures_survive_a_wait(tmp_path):
    table = tmp_path / "i.csv"
    lines = [f"p{i},m,{START_MS + i},{i}.5,{i}.0,{i}.75" for i in range(40)]
    header = "prediction_id,model,timestamp,prediction,prediction_lower,prediction_upper"
    table.write_text("\n".join([header, *lines, f"q,m,{START_MS},1.5,,"]) + "\n")
    truth = [{"prediction_id": f"p{i}", "label": i + i / 40, "timestamp": START_MS} for i in range(40)]
    labels = write(tmp_path / "l.ndjson", truth)
    run_replay([table], [labels], [], Configuration(), 60_000, False, UNTIL_MS, tmp_path / "out")
    row = json.loads((tmp_path / "out" / "model_quality.ndjson").read_text())
    assert (row["predictions"], row["labelled"]) == (41, 40)
    assert row["interval_coverage"] == 31 / 40
    assert row["bias"] == pytest.approx(np.mean([0.5 - i / 40 for i in range(40)]))
