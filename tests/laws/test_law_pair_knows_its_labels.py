"""What a pair knows of all its labels, their ages and whether they agree, never depends on their order."""

import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from stage_oracle import decoded, in_terms_of, is_number, is_regression, predicted_class, rank
from test_law_stage_equals_oracle import histories, oracle_of, run

from schemas.settings import JoinSettings, MonitorSettings
from streams.partition import PartitionStage

START_MS = 1_780_000_000_000


def pairs_left(changes):
    """Return what is left after pairs entered and left, as a multiset."""
    left = Counter()
    for batch in changes:
        for c in batch:
            key = tuple(int(c[name]) for name in ("time_ms", "delay_ms", "age_ms", "corrected"))
            left[key] += int(c["sign"])
    return {key: n for key, n in left.items() if n}


def recording(stage):
    """Let a stage note the changes of pairs that its join finds."""
    seen = []
    settle = stage.memory.join

    def noted(method):
        def call(*args):
            result = method(*args)
            seen.append(result.changes.copy())
            return result

        return call

    settle.add_predictions, settle.add_labels = noted(settle.add_predictions), noted(settle.add_labels)
    return seen


def said(label, event):
    """Return what a label says to a prediction, so that it can be compared."""
    value = label["label"]
    if is_regression(event):
        return float(value)
    mine = predicted_class(event)
    return in_terms_of(_text(value), mine or "0")


def _text(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value == int(value) else repr(value)
    return str(value)


def pairs_of(oracle):
    found = Counter()
    for event, labels in oracle.predictions:
        answered = event["status"] == "ok" and event["prediction"] is not None
        if not answered or not labels or max(labels, key=rank)["label"] is None:
            continue
        telling = [label for label in labels if label["label"] is not None]
        time_ms = event["timestamp"]
        found[
            time_ms,
            max(0, min(label["timestamp"] for label in telling) - time_ms),
            max(0, min(label["record_time_ms"] for label in telling) - time_ms),
            int(len({said(label, event) for label in telling}) > 1),
        ] += 1
    return found


@settings(max_examples=150, deadline=None)
@given(histories, st.lists(st.integers(1, 7), max_size=40), st.randoms(use_true_random=False))
def test_ages_and_disagreement_are_those_of_all_labels_whatever_their_order(history, sizes, rng):
    once = {}
    for kind, event in history:
        if kind == "inference":
            once.setdefault((event["model"], event["model_version"], event["prediction_id"]), event)
    events = [("inference", e) for e in once.values()] + [x for x in history if x[0] == "label"]
    expected = pairs_of(oracle_of(events))
    for _ in range(2):
        seen = []
        run(events, sizes, prepare=lambda stage, seen=seen: seen.append(recording(stage)))
        assert pairs_left(seen[0]) == expected
        rng.shuffle(events)


def prediction(i, **more):
    event = {
        "prediction_id": i, "model": "m", "timestamp": START_MS, "prediction": 1, "features": {},
        "segments": {}, "record_time_ms": START_MS, "status": "ok", "scores": None,
    }  # fmt: skip
    return event | more


def label(i, value, after_ms, **more):
    time_ms = START_MS + after_ms
    return {"prediction_id": i, "label": value, "timestamp": time_ms, "record_time_ms": time_ms} | more


def left_after(event, *labels):
    stage = PartitionStage(0, 1, 0, JoinSettings(), MonitorSettings())
    seen = recording(stage)
    stage.apply_inference(decoded("inference", [event]))
    for i, one in enumerate(labels):
        stage.apply_labels(decoded("label", [one], i))
    return pairs_left(seen)


def test_age_is_by_record_time_and_delay_by_the_labels_own() -> None:
    nightly = label("a", 1, 5_000, record_time_ms=START_MS + 90_000)
    assert left_after(prediction("a"), nightly) == {(START_MS, 5_000, 90_000, 0): 1}


def test_a_losing_label_that_says_something_else_marks_the_pair_as_corrected() -> None:
    pair = left_after(prediction("a"), label("a", 1, 5_000), label("a", 0, 3_000))
    assert pair == {(START_MS, 3_000, 3_000, 1): 1}


def test_labels_that_say_the_same_in_other_types_are_no_correction() -> None:
    same = [label("a", value, 5_000 + i) for i, value in enumerate((1, True, 1.0, "1"))]
    assert left_after(prediction("a"), *same) == {(START_MS, 5_000, 5_000, 0): 1}
    fractions = [label("a", 2.5, 5_000), label("a", "2.5", 6_000)]
    assert left_after(prediction("a", prediction="x"), *fractions) == {(START_MS, 5_000, 5_000, 0): 1}
    assert left_after(prediction("a", prediction=0.5), label("a", 0.0, 9), label("a", -0.0, 10)) == {
        (START_MS, 9, 9, 0): 1
    }


def test_a_withdrawal_between_two_different_labels_hides_neither() -> None:
    said = [label("a", 1, 1_000), label("a", None, 2_000), label("a", 0, 3_000)]
    assert left_after(prediction("a"), *said) == {(START_MS, 1_000, 1_000, 1): 1}


def test_a_change_names_the_row_of_the_batch_that_made_it() -> None:
    stage = PartitionStage(0, 1, 0, JoinSettings(), MonitorSettings())
    seen = recording(stage)
    stage.apply_labels(decoded("label", [label("c", 1, 10)]))
    tests = [prediction("t", role="test"), prediction("a"), prediction("b"), prediction("c")]
    stage.apply_inference(decoded("inference", tests))
    stage.apply_labels(decoded("label", [label("x", 1, 10), label("b", 1, 10), label("a", 0, 10)], 1))
    assert [changes["event"].tolist() for changes in seen] == [[], [3], [1, 2]]


def test_numbers_are_told_apart_by_random_pairs() -> None:
    rng = random.Random(3)
    for _ in range(40):
        values = [rng.choice([0, 1, 2.5, 1e300, 2**62, True, "a", "2.5", "1"]) for _ in range(2)]
        event = prediction("a", prediction=rng.choice([1, True, "a", 0.25]))
        usable = [v for v in values if not is_regression(event) or is_number(v)]
        if len(usable) == 2:
            different = len({said({"label": v}, event) for v in usable}) > 1
            pair = left_after(event, label("a", values[0], 1), label("a", values[1], 2))
            assert pair == {(START_MS, 1, 1, int(different)): 1}, (event["prediction"], values)
