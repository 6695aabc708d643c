"""What waits is bounded, and what is bounded says so: the cap, the ring, ids that come by the thousand."""

import sys
from pathlib import Path

import pytest

from schemas.settings import JoinSettings, MonitorSettings
from streams.partition import PartitionStage

sys.path.append(str(Path(__file__).parents[1] / "laws"))
from stage_oracle import decoded

START_MS = 1_780_000_000_000


def prediction(i, time_ms, **more):
    event = {
        "prediction_id": f"id-{i}",
        "model": "m",
        "timestamp": time_ms,
        "prediction": "a",
        "features": {},
    }
    return event | {"segments": {}, "record_time_ms": time_ms} | more


def label(i, time_ms, **more):
    return {"prediction_id": f"id-{i}", "label": "a", "timestamp": time_ms, "record_time_ms": time_ms} | more


def stage(**settings):
    return PartitionStage(0, 1, 0, JoinSettings(**settings), MonitorSettings(pane_width_ms=1_000))


def test_waiting_memory_stays_under_its_cap_by_raising_the_floor_which_is_counted():
    capped = stage(max_waiting_bytes=200_000)
    for batch in range(40):
        capped.apply_inference(
            decoded(
                "inference",
                [prediction(i, START_MS + i * 10) for i in range(batch * 500, batch * 500 + 500)],
                batch * 500,
            )
        )
    assert capped.waiting_bytes <= 200_000
    counters = capped.counters
    assert counters.floors_raised_by_cap > 0
    assert capped.floor_ms > START_MS
    assert capped.checkpoint().steps[-1].next_inference_offset <= 20_000
    # Still exact: what has left memory was sent first, and adds up to what came.
    sent = capped.take_changed()
    assert counters.join.accepted == 20_000
    assert sum(sent["predictions"].to_pylist()) == 20_000 - counters.join.cold_predictions


def test_a_smaller_share_of_memory_holds_from_the_next_batch_on():
    hot = stage()
    events = [prediction(i, START_MS + i * 10) for i in range(2_000)]
    hot.apply_inference(decoded("inference", events))
    assert hot.counters.floors_raised_by_cap == 0
    hot.limit_waiting(60_000)
    hot.apply_inference(decoded("inference", [prediction("more", START_MS + 20_000)], 2_000))
    assert hot.counters.floors_raised_by_cap == 1
    assert 0 < hot.predictions_in_memory < 2_000


def test_a_prediction_at_the_floor_is_hot_and_one_millisecond_below_is_cold():
    hot = stage(hot_horizon_ms=10_000)
    hot.advance(START_MS + 10_000, START_MS + 12_000)
    assert hot.floor_ms == START_MS
    hot.apply_inference(decoded("inference", [prediction(1, START_MS), prediction(2, START_MS - 1)]))
    assert hot.counters.join.cold_predictions == 1
    assert hot.take_changed()["predictions"].to_pylist() == [1]


def test_the_floor_never_falls():
    hot = stage(hot_horizon_ms=10_000)
    hot.advance(START_MS, START_MS)
    hot.advance(START_MS - 50_000, START_MS - 50_000)
    assert hot.floor_ms == START_MS - 10_000


def test_a_label_whose_prediction_never_comes_is_left_to_the_cold_join_and_counted():
    hot = stage(hot_horizon_ms=10_000)
    hot.apply_labels(decoded("label", [label(i, START_MS) for i in range(100)]))
    assert hot.counters.join.waiting == 100
    hot.advance(START_MS + 20_000, START_MS + 20_000)
    assert hot.counters.join.waiting == 0
    assert hot.counters.join.cold_labels == 100


def test_a_label_in_force_outlives_the_floor_until_its_prediction_leaves():
    hot = stage(hot_horizon_ms=10_000)
    early = label(1, START_MS)
    hot.apply_labels(decoded("label", [early]))
    hot.apply_inference(decoded("inference", [prediction(1, START_MS + 9_000)]))
    hot.advance(START_MS + 15_000, START_MS + 15_000)  # the floor is above the label, below the prediction
    assert hot.take_changed()["hits"].to_pylist() == [1]
    correction = label(1, START_MS + 1, label="b") | {"record_time_ms": START_MS + 15_000}
    hot.apply_labels(decoded("label", [correction], 1))
    row = hot.take_changed().to_pylist()[0]
    assert (row["labelled"], row["hits"], dict(row["confusion"])) == (1, 0, {"b\x1fa": 1})


def test_a_label_below_the_floor_is_not_used_for_a_prediction_that_comes_later():
    hot = stage(hot_horizon_ms=10_000)
    hot.apply_labels(decoded("label", [label(1, START_MS)]))
    hot.advance(START_MS + 15_000, START_MS + 15_000)
    hot.apply_inference(decoded("inference", [prediction(1, START_MS + 9_000)]))
    assert hot.take_changed()["labelled"].to_pylist() == [0]


@pytest.mark.timeout(60)  # a chain walked for each label would take hours
def test_two_hundred_thousand_labels_with_one_id_cost_no_more_than_others():
    hot = stage()
    for first in range(0, 200_000, 50_000):
        hot.apply_labels(
            decoded("label", [label("same", START_MS + i) for i in range(first, first + 50_000)], first)
        )
    hot.apply_inference(decoded("inference", [prediction("same", START_MS)]))
    join = hot.counters.join
    assert (join.labels, join.joined, join.replaced) == (200_000, 1, 199_999)


def test_memory_is_used_again_while_time_goes_on():
    hot = stage(hot_horizon_ms=5_000)
    for second in range(60):
        now_ms = START_MS + second * 1_000
        events = [prediction(f"{second}-{i}", now_ms + i) for i in range(500)]
        hot.apply_inference(decoded("inference", events, second * 500))
        hot.apply_labels(
            decoded("label", [label(f"{second}-{i}", now_ms + i) for i in range(500)], second * 500)
        )
        hot.advance(now_ms, now_ms)
        hot.take_changed()
    assert hot.predictions_in_memory <= 7 * 500
    assert hot.waiting_bytes < 400_000
    assert hot.pane_bytes < 3_000_000
    assert hot.counters.join.joined == 30_000


def test_more_models_than_a_partition_can_number_is_an_error_that_says_so():
    hot = stage()
    events = [prediction(i, START_MS, model=f"m{i}") for i in range(4_097)]
    with pytest.raises(OverflowError, match=r"^one partition holds at most 4096 models and versions$"):
        hot.apply_inference(decoded("inference", events))


def test_probabilities_of_many_classes_count_as_waiting_memory_and_leave_with_their_prediction():
    scored, plain = stage(hot_horizon_ms=10_000), stage(hot_horizon_ms=10_000)
    three = {"a": 0.2, "b": 0.3, "c": 0.5}
    for first in range(0, 3_000, 500):
        numbers = range(first, first + 500)
        said = [prediction(i, START_MS + i * 100) for i in numbers]
        plain.apply_inference(decoded("inference", said, first))
        scored.apply_inference(decoded("inference", [p | {"scores": three} for p in said], first))
    assert scored.waiting_bytes - plain.waiting_bytes == 3_000 * 3 * 8
    for one in (scored, plain):
        one.advance(START_MS + 210_000, START_MS + 210_000)
    assert scored.predictions_in_memory == plain.predictions_in_memory == 1_000
    assert scored.waiting_bytes - plain.waiting_bytes == 1_000 * 3 * 8
    scored.apply_labels(
        decoded("label", [label(i, START_MS + 250_000, label="c") for i in range(2_000, 3_000)])
    )
    rows = [row for row in scored.take_changed().to_pylist() if row["score_n"]]
    assert sum(row["score_n"] for row in rows) == 1_000
    assert sum(row["brier_sum"] for row in rows) == pytest.approx(1_000 * (0.04 + 0.09 + 0.25))
