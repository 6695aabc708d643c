"""Input that is odd but valid has a defined result, and none of it passes in silence."""

import json
import math
import sys
from pathlib import Path

import pytest
from sklearn.metrics import log_loss

from aftcast.configuration import Configuration, Panes
from aftcast.replay import run_replay
from schemas.settings import JoinSettings, ModelSettings, MonitorSettings
from streams.partition import PartitionStage

sys.path.append(str(Path(__file__).parents[1] / "laws"))
from stage_oracle import decoded

START_MS = 1_780_000_000_000
HOUR_MS = 3_600_000
YEAR_MS = 365 * 24 * HOUR_MS


def prediction(i, value, after_ms=0, **more):
    time_ms = START_MS + after_ms
    event = {"prediction_id": f"id-{i}", "model": "m", "timestamp": time_ms, "prediction": value}
    return event | {"features": {}, "segments": {}, "record_time_ms": time_ms} | more


def label(i, value, after_ms=1_000):
    time_ms = START_MS + after_ms
    return {"prediction_id": f"id-{i}", "label": value, "timestamp": time_ms, "record_time_ms": time_ms}


def stage_after(said, labels, **models):
    stage = PartitionStage(0, 1, 0, JoinSettings(), MonitorSettings(pane_width_ms=HOUR_MS, models=models))
    stage.apply_inference(decoded("inference", said))
    stage.apply_labels(decoded("label", labels))
    (row,) = stage.take_changed().to_pylist()
    return stage, row


def replayed(tmp_path, said, labels, width="1m"):
    files = []
    for name, events in (("said", said), ("labels", labels)):
        path = tmp_path / f"{name}.ndjson"
        path.write_text("".join(json.dumps(without_record_time(e)) + "\n" for e in events))
        files.append([path])
    configuration, window_ms = Configuration(panes=Panes(width=width)), 24 * HOUR_MS
    summary = run_replay(*files, [], configuration, window_ms, False, None, tmp_path / "out")
    rows = (tmp_path / "out" / "model_quality.ndjson").read_text().splitlines()
    letters = (tmp_path / "out" / "dead_letters.ndjson").read_text().splitlines()
    return summary, [json.loads(row) for row in rows], [json.loads(letter) for letter in letters]


def without_record_time(event):
    return {name: value for name, value in event.items() if name != "record_time_ms"}


@pytest.mark.parametrize("label_first", [False, True])
def test_a_class_as_label_of_a_regression_is_set_aside_and_a_number_counts(label_first):
    stage = PartitionStage(0, 1, 0, JoinSettings(), MonitorSettings())
    calls = [
        lambda: stage.apply_inference(decoded("inference", [prediction(1, 0.5)])),
        lambda: stage.apply_labels(decoded("label", [label(1, "high"), label(1, 0.25, 500)])),
    ]
    for call in reversed(calls) if label_first else calls:
        call()
    (row,) = stage.take_changed().to_pylist()
    assert (row["labelled"], row["err_sum"]) == (1, 0.25)
    (letter,) = stage.take_dead_letters()
    assert (letter.reason.split(":")[0], letter.field, letter.value) == (
        "label_not_a_number",
        "label",
        "high",
    )
    assert (stage.counters.join.labels, stage.counters.labels_dead_lettered) == (1, 1)


def test_a_label_of_a_class_that_was_never_predicted_is_a_wrong_answer_of_that_class():
    scores = {"a": 0.5, "b": 0.25, "c": 0.25}
    said = [prediction(1, "a", scores=scores), prediction(2, "a", scores=scores)]
    _, row = stage_after(said, [label(1, "never"), label(2, "a")])
    assert (row["class_n"], row["hits"]) == (2, 1)
    assert dict(row["confusion"]) == {"never\x1fa": 1, "a\x1fa": 1}
    assert row["log_loss_sum"] == pytest.approx(-math.log(2.0**-52) - math.log(0.5))


def test_a_model_that_goes_from_classes_to_numbers_is_judged_by_what_each_answer_is():
    said = [prediction(1, "a"), prediction(2, 0.5), prediction(3, 0.5)]
    stage, row = stage_after(said, [label(1, "a"), label(2, 0.75), label(3, "a")])
    assert (row["strings"], row["doubles"], row["labelled"]) == (1, 2, 2)
    assert (row["class_n"], row["hits"], row["reg_n"], row["err_sum"]) == (1, 1, 1, -0.25)
    assert [letter.reason.split(":")[0] for letter in stage.take_dead_letters()] == ["label_not_a_number"]


def test_a_task_that_is_set_reads_all_answers_as_one_kind():
    said = [prediction(1, "a"), prediction(2, 0.5)]
    stage, row = stage_after(said, [label(1, "a"), label(2, "a")], m=ModelSettings(task="classification"))
    assert (row["class_n"], row["hits"], row["reg_n"]) == (2, 1, 0)
    assert not stage.take_dead_letters()


def test_scores_that_do_not_sum_to_one_are_used_as_they_are_and_counted():
    off, right = {"a": 0.5, "b": 0.5, "c": 0.5}, {"a": 0.5, "b": 0.25, "c": 0.25}
    said = [prediction(1, "a", scores=off), prediction(2, "a", scores=right)]
    stage, row = stage_after(said, [label(1, "b"), label(2, "b")])
    with pytest.warns(UserWarning, match="do not sum to one"):
        expected = log_loss(["b", "b"], [list(off.values()), list(right.values())], labels=["a", "b", "c"])
    assert row["log_loss_sum"] / row["score_n"] == pytest.approx(expected, rel=1e-12)
    assert stage.counters.scores_not_one == 1


def test_a_score_outside_its_range_is_set_aside(tmp_path):
    said = [prediction(1, "a", scores={"a": 1.5}), prediction(2, "a", scores={"a": 1.0})]
    summary, rows, letters = replayed(tmp_path, said, [])
    assert [row["predictions"] for row in rows] == [1]
    assert [letter["reason"].split(":")[0] for letter in letters] == ["score_out_of_range"]
    assert summary["inference"] == {
        "read": 2, "accepted": 1, "duplicates": 0, "dead_lettered": 1, "tests": 0, "scores_not_one": 0
    }  # fmt: skip


def test_a_feature_that_changes_its_type_changes_nothing_in_the_join():
    said = [prediction(1, "a", features={"x": 1.5}), prediction(2, "a", features={"x": "high"})]
    stage, row = stage_after(said, [label(1, "a"), label(2, "a")])
    assert (row["predictions"], row["labelled"], row["hits"]) == (2, 2, 2)
    assert not stage.take_dead_letters()


def test_a_label_dated_before_its_prediction_joins_with_a_delay_of_zero(tmp_path):
    _, row = stage_after([prediction(1, "a")], [label(1, "a", -5_000)])
    assert row["labelled"] == 1
    assert row["delay"] == [1]
    _, (figures,), _ = replayed(tmp_path, [prediction(1, "a")], [label(1, "a", -5_000)])
    assert (figures["accuracy"], figures["label_delay_p50_s"]) == (1.0, 0.0)


def test_a_label_after_a_year_is_left_to_the_cold_join_and_counted_and_joins_in_a_replay(tmp_path):
    stage = PartitionStage(0, 1, 0, JoinSettings(), MonitorSettings())
    stage.apply_inference(decoded("inference", [prediction(1, "a")]))
    stage.advance(START_MS + YEAR_MS, START_MS + YEAR_MS)
    stage.apply_labels(decoded("label", [label(1, "a", YEAR_MS)]))
    assert (stage.counters.join.waiting, stage.counters.join.cold_labels) == (1, 0)
    stage.advance(START_MS + YEAR_MS + 25 * HOUR_MS, START_MS + YEAR_MS + 25 * HOUR_MS)
    assert (stage.counters.join.waiting, stage.counters.join.cold_labels) == (0, 1)
    summary, (row,), _ = replayed(tmp_path, [prediction(1, "a")], [label(1, "a", YEAR_MS)], "24h")
    assert summary["labels"]["joined"] == 1
    assert row["accuracy"] == 1.0
    assert row["label_delay_p50_s"] == pytest.approx(YEAR_MS / 1000, rel=0.02)
