"""Implicit labels: at any moment they are those of the predictions that need one, whatever came when."""

from hypothesis import given, settings
from hypothesis import strategies as st
from stage_oracle import POSITIVE, Oracle, decoded, rows_of
from test_law_pair_knows_its_labels import pairs_left, pairs_of, recording
from test_law_stage_equals_oracle import START_MS, WIDTH_MS, histories, without_zeros

from schemas.settings import JoinSettings, ModelSettings, MonitorSettings
from streams.partition import PartitionStage

AFTER_MS = {"m": 1_500, "n": 4_000}
TEXTS = {"m": ("1", 1), "n": ("a", "a")}  # as configured, as an event would say it
moments = st.integers(0, 12_000)


def stage_with(texts, horizon_ms):
    models = {
        name: ModelSettings(
            positive=POSITIVE.get(name), implicit_label=text, implicit_after_ms=AFTER_MS[name]
        )
        for name, (text, _) in texts.items()
    }
    monitor = MonitorSettings(pane_width_ms=WIDTH_MS, models=models)
    return PartitionStage(0, 1, -(10**15), JoinSettings(hot_horizon_ms=horizon_ms), monitor)


def run(history, sizes, advances, texts=TEXTS, horizon_ms=10**15):
    """Feed a history to stage and oracle; ``advances`` are (position, time) pairs, the last at the end."""
    stage, sent = stage_with(texts, horizon_ms), []
    oracle = Oracle(WIDTH_MS, {name: (value, AFTER_MS[name]) for name, (_, value) in texts.items()})
    seen = recording(stage)
    give, offsets = stage.memory.join.give_implicit, {"inference": 0, "label": 0}

    def noted(*args):
        result = give(*args)
        seen.append(result.changes.copy())
        return result

    stage.memory.join.give_implicit = noted
    at = dict(advances)
    size, pending = iter(sizes), []

    def flush():
        if pending:
            kind = pending[0][0]
            batch = decoded(kind, [event for _, event in pending], offsets[kind])
            offsets[kind] += len(pending)
            (stage.apply_inference if kind == "inference" else stage.apply_labels)(batch)
            pending.clear()

    def advance(time_ms):
        stage.advance(time_ms, time_ms)
        oracle.aligned_ms = max(oracle.aligned_ms, time_ms)
        floor_ms = (time_ms - max(horizon_ms, *AFTER_MS.values())) // WIDTH_MS * WIDTH_MS
        oracle.floor_ms = max(oracle.floor_ms, floor_ms)

    room = next(size, 1)
    for i, (kind, event) in enumerate(history):
        if i in at:
            flush()
            advance(START_MS + at[i])
        if pending and (pending[0][0] != kind or len(pending) >= room):
            flush()
            room = next(size, 1)
            sent.append(stage.take_changed())
        pending.append((kind, event))
        (oracle.predict if kind == "inference" else oracle.label)(event)
    flush()
    advance(START_MS + at[-1])
    sent.append(stage.take_changed())
    return stage, oracle, sent, seen


def times_of(draws, end_ms):
    """Sort advances, so that time never goes back, and end at ``end_ms``."""
    positions, times = sorted({p for p, _ in draws}), sorted(t for _, t in draws)
    return [*zip(positions, times, strict=False), (-1, end_ms)]


advances = st.lists(st.tuples(st.integers(0, 39), moments), max_size=5)
sizes = st.lists(st.integers(1, 7), max_size=40)


@settings(max_examples=150, deadline=None)
@given(histories, sizes, advances, moments, st.sampled_from([10**15, 4_500, 0]))
def test_implicit_labels_are_those_that_the_oracle_gives(history, batch_sizes, draws, end_ms, horizon_ms):
    at = times_of(draws, max([end_ms, *(t for _, t in draws)]))
    stage, oracle, sent, _ = run(history, batch_sizes, at, horizon_ms=horizon_ms)
    assert without_zeros(rows_of(sent)) == oracle.rows()
    join = stage.counters.join
    assert join.labels == join.waiting + join.joined + join.replaced + join.cold_labels
    assert stage.counters.labels_read == join.labels + stage.counters.labels_dead_lettered


@settings(max_examples=80, deadline=None)
@given(histories, sizes, advances, moments, st.randoms(use_true_random=False))
def test_the_order_of_arrival_and_of_time_never_shows_at_the_end(history, batch_sizes, draws, end_ms, rng):
    once = {}
    for kind, event in history:
        if kind == "inference":
            once.setdefault((event["model"], event["model_version"], event["prediction_id"]), event)
    events = [("inference", e) for e in once.values()] + [x for x in history if x[0] == "label"]
    end_ms = max([end_ms, *(t for _, t in draws)])
    stage, _, sent, seen = run(events, batch_sizes, times_of(draws, end_ms))
    rng.shuffle(events)
    again, oracle, sent_again, seen_again = run(events, batch_sizes, [(-1, end_ms)])
    assert without_zeros(rows_of(sent)) == without_zeros(rows_of(sent_again))
    assert pairs_left(seen) == pairs_left(seen_again)
    real = pairs_of(oracle)
    given_now = sum(pairs_left(seen).values()) - sum(real.values())
    for one in (stage, again):
        assert one.counters.join.implicit - one.counters.join.implicit_replaced == given_now


def prediction(i, after_ms=0, **more):
    event = {"prediction_id": i, "model": "m", "timestamp": START_MS + after_ms, "prediction": "a"}
    return event | {"features": {}, "segments": {}, "record_time_ms": START_MS + after_ms} | more


def label(i, value, after_ms):
    time_ms = START_MS + after_ms
    return {"prediction_id": i, "label": value, "timestamp": time_ms, "record_time_ms": time_ms}


def figures(stage):
    row = stage.take_changed().to_pylist()[0]
    return row["labelled"], dict(row["confusion"])


def test_it_is_given_when_time_reaches_its_moment_and_not_a_millisecond_before() -> None:
    stage = stage_with(TEXTS, 10_000)
    stage.apply_inference(decoded("inference", [prediction("x", 200)]))
    stage.advance(START_MS + 1_699, START_MS + 9_999)
    assert figures(stage) == (0, {})
    stage.advance(START_MS + 1_700, START_MS + 9_999)
    assert figures(stage) == (1, {"1\x1fa": 1})


def test_a_real_label_replaces_it_whatever_its_timestamp_and_is_no_correction() -> None:
    stage = stage_with(TEXTS, 10_000)
    seen = recording(stage)
    stage.apply_inference(decoded("inference", [prediction("x")]))
    stage.advance(START_MS + 1_500, START_MS + 1_500)
    assert figures(stage) == (1, {"1\x1fa": 1})
    stage.apply_labels(decoded("label", [label("x", "a", 100) | {"record_time_ms": START_MS + 1_600}]))
    assert figures(stage) == (1, {"a\x1fa": 1})
    assert [(c["sign"], c["age_ms"], c["corrected"]) for c in seen[-1]] == [(-1, 1_500, 0), (1, 1_600, 0)]
    assert (stage.counters.join.implicit, stage.counters.join.implicit_replaced) == (1, 1)


def test_a_withdrawal_takes_it_away_and_it_does_not_come_back() -> None:
    stage = stage_with(TEXTS, 10_000)
    stage.apply_inference(decoded("inference", [prediction("x")]))
    stage.advance(START_MS + 1_500, START_MS + 1_500)
    stage.apply_labels(decoded("label", [label("x", None, 50)]))
    stage.advance(START_MS + 9_000, START_MS + 9_000)
    assert figures(stage) == (0, {})


def test_a_prediction_that_comes_after_its_moment_gets_it_at_the_next_advance() -> None:
    stage = stage_with(TEXTS, 10_000)
    stage.advance(START_MS + 5_000, START_MS + 5_000)
    stage.apply_inference(decoded("inference", [prediction("x")]))
    assert figures(stage) == (0, {})
    stage.advance(START_MS + 5_000, START_MS + 5_000)
    assert figures(stage) == (1, {"1\x1fa": 1})


def test_failed_and_test_predictions_and_models_without_it_get_none() -> None:
    stage = stage_with(TEXTS, 10_000)
    said = [prediction("x", status="timeout", prediction=None), prediction("y", role="test")]
    stage.apply_inference(decoded("inference", [*said, prediction("z", model="other")]))
    stage.advance(START_MS + 9_000, START_MS + 9_000)
    assert stage.counters.join.implicit == 0
    assert stage.take_changed()["labelled"].to_pylist() == [0, 0]


def test_a_text_is_no_implicit_label_of_a_regression_and_that_is_counted() -> None:
    stage = stage_with({"n": TEXTS["n"]}, 10_000)
    stage.apply_inference(decoded("inference", [prediction("x", model="n", prediction=0.5)]))
    stage.advance(START_MS + 9_000, START_MS + 9_000)
    assert (stage.counters.join.implicit, stage.counters.implicit_unusable) == (0, 1)
    number = stage_with({"m": ("2.5", 2.5)}, 10_000)
    number.apply_inference(decoded("inference", [prediction("x", prediction=0.5)]))
    number.advance(START_MS + 9_000, START_MS + 9_000)
    row = number.take_changed().to_pylist()[0]
    assert (row["labelled"], row["err_sum"]) == (1, -2.0)


def test_what_full_memory_drops_before_its_moment_is_counted() -> None:
    stage = stage_with(TEXTS, 10**9)
    numbers = range(3_000)
    stage.apply_inference(decoded("inference", [prediction(str(i), i * 10) for i in numbers]))
    stage.limit_waiting(100_000)
    stage.apply_inference(decoded("inference", [prediction("last", 30_000)], 3_000))
    counters = stage.counters
    assert counters.floors_raised_by_cap == 1
    left = stage.predictions_in_memory
    assert counters.implicit_cold == 3_001 - left
    stage.advance(START_MS + 10**6, START_MS + 10**6)
    assert stage.counters.join.implicit == left


def test_a_settings_horizon_shorter_than_the_wait_keeps_predictions_until_their_moment() -> None:
    stage = stage_with(TEXTS, 0)
    stage.apply_inference(decoded("inference", [prediction("x", model="n")]))
    stage.advance(START_MS + 3_999, START_MS + 3_999)
    assert stage.predictions_in_memory == 1
    stage.advance(START_MS + 6_000, START_MS + 6_000)
    assert stage.counters.join.implicit == 1
    assert figures(stage) == (1, {"a\x1fa": 1})
