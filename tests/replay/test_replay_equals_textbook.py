"""A replay's figures against scikit-learn and pandas over the full join."""

import json
from datetime import datetime

import numpy as np
import pytest
from recorded import START_MS, expected, full_join, make_events, write

from aftcast.configuration import Configuration, Panes
from aftcast.replay import run_replay

EXACT = (
    "coverage",
    "accuracy",
    "precision",
    "recall",
    "f1",
    "log_loss",
    "brier",
    "ece",
    "mae",
    "rmse",
    "mape",
    "r2",
    "bias",
    "cost",
    "value",
)
WIDE = Configuration(panes=Panes(width="5m"))  # a replay takes its time by the pane


@pytest.fixture(scope="module")
def events():
    return make_events()


def replay(tmp_path, predictions, labels, window_ms=3_600_000, until_ms=None, history=False, config=None):
    out = tmp_path / "out"
    inference = [write(tmp_path / "inference.ndjson", predictions)]
    summary = run_replay(
        inference,
        [write(tmp_path / "labels.ndjson", labels)],
        [],
        config or WIDE,
        window_ms,
        history,
        until_ms,
        out,
    )
    return summary, out


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def milliseconds(text):
    return round(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize("window_ms", [60_000, 3_600_000, 86_400_000])
def test_every_window_equals_the_textbook_over_the_full_join(tmp_path, events, window_ms):
    predictions, labels = events
    if window_ms == 60_000:  # as many windows as scikit-learn judges in two seconds
        predictions = [event for event in predictions if event["timestamp"] < START_MS + 900_000]
    config = Configuration() if window_ms == 60_000 else WIDE
    _, out = replay(tmp_path, predictions, labels, window_ms, config=config)
    joined = full_join(predictions, labels)
    joined["window"] = joined["timestamp"] // window_ms * window_ms
    slices = [("", joined)]
    for country in ("DE", "FR"):
        of_country = joined["segments"].map(lambda s, country=country: s["country"] == country)
        slices.append((f"country={country}", joined[of_country]))
    want = {
        (*key, segment): rows
        for segment, part in slices
        for key, rows in part.groupby(["model", "model_version", "window"])
    }
    rows = lines(out / "model_quality.ndjson")
    got = {(r["model"], r["model_version"], milliseconds(r["window_start"]), r["segment"]): r for r in rows}
    assert got.keys() == want.keys()
    for key, row in got.items():
        figures = expected(want[key], key[0])
        for name in ("predictions", "failures", "labelled"):
            assert row[name] == figures[name], (key, name)
        for name in EXACT:
            if figures[name] is None:
                assert row[name] is None, (key, name, row[name])
            else:
                assert row[name] == pytest.approx(figures[name], rel=1e-9, abs=1e-9), (key, name)
        _assert_quantiles(row, want[key])


def _assert_quantiles(row, rows):
    for name, q in (("latency_p50_ms", 0.5), ("latency_p95_ms", 0.95), ("latency_p99_ms", 0.99)):
        truth = np.quantile(rows["latency_ms"], q, method="inverted_cdf")
        assert row[name] == pytest.approx(truth, rel=0.02)
    pairs = rows[rows["labelled"]]
    delays = np.maximum(0, pairs["first_label_ms"] - pairs["timestamp"]).to_numpy(float) / 1000
    for name, q in (("label_delay_p50_s", 0.5), ("label_delay_p95_s", 0.95)):
        if not len(delays):
            assert row[name] is None
            continue
        assert row[name] == pytest.approx(np.quantile(delays, q, method="inverted_cdf"), rel=0.02)


def test_counts_of_the_summary_add_up(tmp_path, events):
    predictions, labels = events
    bad = [{"prediction_id": "x"}, {"prediction_id": "", "model": "m", "timestamp": 1, "prediction": 1}]
    orphans = [
        {"prediction_id": f"nobody-{i}", "label": 1, "timestamp": labels[0]["timestamp"]} for i in range(7)
    ]
    summary, out = replay(tmp_path, predictions + bad, labels + orphans)
    inference, truths = summary["inference"], summary["labels"]
    assert inference["read"] == len(predictions) + 2
    assert inference["read"] == inference["accepted"] + inference["duplicates"] + inference["dead_lettered"]
    assert truths["read"] == len(labels) + 7
    assert truths["read"] == truths["accepted"] + truths["dead_lettered"]
    assert truths["accepted"] == truths["joined"] + truths["replaced"] + truths["waiting"]
    assert truths["waiting"] == 7
    letters = lines(out / "dead_letters.ndjson")
    assert len(letters) == summary["dead_letters"] == inference["dead_lettered"] == 2
    assert [letter["offset"] for letter in letters] == [len(predictions) + 1, len(predictions) + 2]
    assert json.loads((out / "summary.json").read_text()) == summary


def test_the_order_of_lines_and_files_changes_no_byte(tmp_path, events):
    predictions, labels = events
    rng = np.random.default_rng(1)
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.mkdir()
    # Repeats that differ in content: which one counts must not depend on the order either.
    predictions = predictions + [p | {"latency_ms": 1.0, "cost": 9.0} for p in predictions[:20]]
    _, out = replay(first, predictions, labels, history=True)
    shuffled = [predictions[i] for i in rng.permutation(len(predictions))]
    half = len(shuffled) // 2
    run_replay(
        [write(second / "2.ndjson", shuffled[half:]), write(second / "1.ndjson", shuffled[:half])],
        [write(second / "l.ndjson", [labels[i] for i in rng.permutation(len(labels))])],
        [],
        WIDE,
        3_600_000,
        True,
        None,
        second / "out",
    )
    for path in sorted(out.iterdir()):
        assert (second / "out" / path.name).read_bytes() == path.read_bytes(), path.name


def test_a_regression_label_that_is_no_number_is_dead_lettered_with_its_line(tmp_path, events):
    predictions, labels = events
    bad = {"prediction_id": "price-0", "label": "cheap", "timestamp": labels[0]["timestamp"]}
    _, out = replay(tmp_path, predictions, [*labels, bad])
    letter = lines(out / "dead_letters.ndjson")[0]
    assert letter["field"] == "label"
    assert letter["value"] == "cheap"
    assert letter["offset"] == len(labels) + 1


def test_an_id_that_comes_again_with_another_time_is_dead_lettered(tmp_path, events):
    predictions, labels = events
    again = predictions[0] | {"timestamp": predictions[0]["timestamp"] + 5_000_000}
    _, out = replay(tmp_path, [*predictions, again], labels)
    letter = lines(out / "dead_letters.ndjson")[0]
    assert letter["reason"].startswith("id_reused")
    assert letter["offset"] == len(predictions) + 1
