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
N = 2_400
HOUR_MS = 3_600_000
MIDNIGHT_MS = START_MS // DAY_MS * DAY_MS
UNTIL_MS = MIDNIGHT_MS + HOUR_MS  # what comes last is old enough to have told the task
NEAR = {"rel": 1e-9, "abs": 1e-9}


def times_of(n):
    """A burst in each of the last two hours of a day, and one on the next day."""
    return MIDNIGHT_MS + np.repeat([-2 * HOUR_MS, -HOUR_MS, 0], n // 3) + np.arange(n) % 60_000


def replayed(tmp_path, events, truths, chances, window_ms, table="model_quality"):
    """Replay events; ``truths`` and ``chances`` per event, chance nan: not sampled, 0: not labelled."""
    labels = []
    for i, (event, truth, chance) in enumerate(zip(events, truths, chances.tolist(), strict=True)):
        if chance == 0:
            continue
        label = {"prediction_id": event["prediction_id"], "model": event["model"], "label": truth}
        label["sampling_probability"] = None if np.isnan(chance) else chance
        labels.append(label | {"timestamp": event["timestamp"] + 1_000})
        if i % 9 == 0:  # first said with another chance, then corrected
            labels.append(label | {"timestamp": event["timestamp"] + 500, "sampling_probability": 0.3})
    inference, truth = write(tmp_path / "i.ndjson", events), write(tmp_path / "l.ndjson", labels)
    run_replay([inference], [truth], [], Configuration(), window_ms, False, UNTIL_MS, tmp_path / "out")
    lines = (tmp_path / "out" / f"{table}.ndjson").read_text().splitlines()
    return [json.loads(line) for line in lines]


def event(i, time_ms, prediction, **more):
    return {"prediction_id": str(i), "model": "m", "timestamp": time_ms, "prediction": prediction, **more}


def by_window(rows, model, times_ms, window_ms):
    """Return each window's row, and which events are in it."""
    windows = np.unique(times_ms // window_ms)
    of_model = [row for row in rows if row["model"] == model]
    return [(row, times_ms // window_ms == window) for row, window in zip(of_model, windows, strict=True)]


def weights_of(chances):
    return np.where(np.isnan(chances), 1.0, 1 / np.where(chances > 0, chances, 1))


def gaps(came_true, chance, weight):
    """Expected calibration error over ten bins of equal width."""
    bins = np.searchsorted(np.arange(1, 10) / 10, chance, side="right")
    return sum(abs(np.sum((weight * (chance - came_true))[bins == b])) for b in range(10)) / weight.sum()


@WINDOWS
def test_binary_figures_of_stratified_labels_equal_scikit_learn(tmp_path, window_ms):
    rng = np.random.default_rng(11)
    drawn, events, truths, chances = {}, [], [], []
    # Of clicks it takes some thousand labels until their bins place the few positives well enough.
    for kind, n in (("uniform", 1_500), ("clicks", 12_000)):
        times_ms = times_of(n)
        clicks = 1 / (1 + np.exp(-rng.normal(-5.5, 0.8, n)))  # near 0.005, one in 200 comes true
        score = rng.random(n) if kind == "uniform" else clicks
        said = score > (0.5 if kind == "uniform" else 0.02)
        # High scores are all reviewed, of the low ones a part, and some come from elsewhere, unsampled.
        chance = np.where(said, 1.0, np.where(rng.random(n) < 0.45, 0.45, 0.0))
        chance = np.where(rng.random(n) < 0.1, np.nan, chance)
        drawn[kind] = times_ms, score, said, rng.random(n) < score, chance
        answers = np.where(said, "yes", "no").tolist()
        events += [
            event(i, t, answers[i], model=kind, scores={"yes": float(score[i])})
            for i, t in enumerate(times_ms.tolist())
        ]
        truths += np.where(drawn[kind][3], "yes", "no").tolist()
        chances.append(chance)
    rows = replayed(tmp_path, events, truths, np.concatenate(chances), window_ms)
    for kind, (times_ms, score, said, truth, chance) in drawn.items():
        for row, inside in by_window(rows, kind, times_ms, window_ms):
            of = inside & (chance != 0)
            y, p, s, w = truth[of], said[of], score[of], weights_of(chance)[of]
            assert (row["labelled"], row["coverage"]) == (of.sum(), of.sum() / inside.sum())
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
    for row, inside in by_window(rows, "m", times_ms, window_ms):
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
    events = [event(i, MIDNIGHT_MS + i, said[i]) for i in range(600)]
    rows = replayed(tmp_path, events, truth.tolist(), chances, DAY_MS, "class_quality")
    figures = metrics.precision_recall_fscore_support(truth, said, sample_weight=weights_of(chances))
    for k, row in enumerate(rows):
        name = row["class"]
        assert (row["support"], row["predicted"]) == ((truth == name).sum(), (said == name).sum())
        assert row["true_positives"] == ((truth == name) & (said == name)).sum()
        assert [row[n] for n in ("precision", "recall", "f1")] == pytest.approx([f[k] for f in figures[:3]])


@WINDOWS
def test_regression_figures_of_sampled_labels_equal_scikit_learn(tmp_path, window_ms):
    rng = np.random.default_rng(14)
    n = 600
    times_ms = times_of(n)
    truths = {
        "negative": rng.normal(-50, 30, n),
        "huge": rng.normal(0, 1e12, n),
        "far from zero": 1e6 + rng.choice([-1.0, 1.0], n),
        "with zeros": np.where(rng.random(n) < 0.2, 0.0, rng.exponential(3, n)),
    }
    drawn, events = {}, []
    for kind, truth in truths.items():
        unit = 1e11 if kind == "huge" else 1
        said, width = truth + rng.normal(0.1, 0.5, n) * unit, rng.exponential(0.8, n) * unit
        bounded = rng.random(n) < 0.7
        drawn[kind] = said, width, bounded, rng.choice([0.0, 0.01, 0.37, 0.9, 1.0, np.nan], n)
        for i, t in enumerate(times_ms.tolist()):
            lower, upper = float(said[i] - width[i]), float(said[i] + width[i])
            bounds = {"prediction_lower": lower, "prediction_upper": upper} if bounded[i] else {}
            events.append(event(i, t, float(said[i]), model=kind, **bounds))
    chances = np.concatenate([chance for _, _, _, chance in drawn.values()])
    rows = replayed(tmp_path, events, np.concatenate(list(truths.values())).tolist(), chances, window_ms)
    for kind, (said, width, bounded, chance) in drawn.items():
        truth = truths[kind]
        held = np.abs(truth - said) <= width
        for row, inside in by_window(rows, kind, times_ms, window_ms):
            of = inside & (chance != 0)
            y, p, w = truth[of], said[of], weights_of(chance)[of]
            some = y != 0
            expected = {
                "mae": metrics.mean_absolute_error(y, p, sample_weight=w),
                "rmse": metrics.root_mean_squared_error(y, p, sample_weight=w),
                "mape": metrics.mean_absolute_percentage_error(y[some], p[some], sample_weight=w[some]),
                "r2": metrics.r2_score(y, p, sample_weight=w),
                "bias": np.average(p - y, weights=w),
                "interval_coverage": np.average(held[of & bounded], weights=weights_of(chance)[of & bounded]),
            }
            for name, value in expected.items():
                assert row[name] == pytest.approx(value, rel=1e-9, abs=1e-12), (kind, name)
            assert row["zero_labels"] == (~some).sum()


def test_an_interval_holds_both_its_ends_and_nothing_beyond(tmp_path):
    bounds = {"prediction_lower": 1.0, "prediction_upper": 3.0}
    truths = [0.9999999, 1, 2.5, 3.0, 3.0000001]
    events = [event(i, MIDNIGHT_MS, 2.0, **bounds) for i in range(5)]
    (row,) = replayed(tmp_path, events, truths, np.full(5, np.nan), 60_000)
    assert row["interval_coverage"] == 0.6
    (tmp_path / "b").mkdir()
    (row,) = replayed(tmp_path / "b", [event(1, MIDNIGHT_MS, 2.0)], [2.0], np.full(1, np.nan), 60_000)
    assert row["interval_coverage"] is None


def test_a_label_that_was_almost_never_picked_weighs_a_million(tmp_path):
    events = [event(0, MIDNIGHT_MS, "a"), event(1, MIDNIGHT_MS, "a")]
    (row,) = replayed(tmp_path, events, ["a", "b"], np.array([np.nan, 1e-9]), 60_000)
    assert row["accuracy"] == pytest.approx(1 / (1e6 + 1), rel=1e-9)


def test_sampled_labels_that_are_taken_back_leave_no_trace(tmp_path):
    rng = np.random.default_rng(15)
    truth = (1e6 + rng.choice([-1.0, 1.0], 60)).tolist()
    plain, again = [], []
    for i, value in enumerate(truth):
        label = {"prediction_id": str(i), "label": value, "timestamp": MIDNIGHT_MS + 9_000}
        again += [
            label | {"label": 1e17, "timestamp": MIDNIGHT_MS + 1_000, "sampling_probability": 1e-7},
            label | {"label": -0.1, "timestamp": MIDNIGHT_MS + 2_000, "sampling_probability": 0.3},
        ]
        plain.append(label)
    events = [event(i, MIDNIGHT_MS, value + 0.25) for i, value in enumerate(truth)]
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
    lines = [f"p{i},m,{MIDNIGHT_MS + i},{i}.5,{i}.0,{i}.75" for i in range(40)]
    header = "prediction_id,model,timestamp,prediction,prediction_lower,prediction_upper"
    table.write_text("\n".join([header, *lines, f"q,m,{MIDNIGHT_MS},1.5,,"]) + "\n")
    truth = [{"prediction_id": f"p{i}", "label": i + i / 40, "timestamp": MIDNIGHT_MS} for i in range(40)]
    labels = write(tmp_path / "l.ndjson", truth)
    run_replay([table], [labels], [], Configuration(), 60_000, False, UNTIL_MS, tmp_path / "out")
    row = json.loads((tmp_path / "out" / "model_quality.ndjson").read_text())
    assert (row["predictions"], row["labelled"]) == (41, 40)
    assert row["interval_coverage"] == 31 / 40
    assert row["bias"] == pytest.approx(np.mean([0.5 - i / 40 for i in range(40)]))
