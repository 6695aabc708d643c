"""The laws of stage 1: any history adds up to what the slow and obvious way gives, count by count."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from stage_oracle import POSITIVE, Oracle, decoded, rows_of

from schemas.settings import JoinSettings, ModelSettings, MonitorSettings
from streams.join import hot
from streams.partition import PartitionStage

hot.FIRST_ROWS = 4  # so that forty events make the rings grow and go around their end
WIDTH_MS = 1_000
START_MS = 1_780_000_000_000

values = st.one_of(
    st.sampled_from([True, False, 0, 1, 2, 1.0, 2.5, -0.1, 1e17, "1", "a", "é", "true", ""]),
    st.floats(-1e9, 1e9),
    st.sampled_from([1e300, -1e300, 1e-300, 5e-324]),
)
times = st.integers(START_MS, START_MS + 5_000)
chances = st.sampled_from([0.0, 1.0, 0.1, 0.3, 0.7, 1e-9, 1 - 1e-9, 2.0**-52]) | st.floats(1e-12, 1)
scores = st.one_of(
    st.just({"1": 0.5}),
    st.dictionaries(st.sampled_from(["1", "true", "a", "é", "2.5", ""]), chances, max_size=5),
)
sampled = st.sampled_from([0.5, 0.3, 1.0, 0.07, 1e-9]) | st.floats(1e-4, 1)
bound = st.sampled_from([0.0, 1.0, 2.0, -0.1, 1e9, -1e300])
bounds = st.tuples(bound, bound)
optional = st.none() | st.sampled_from([0.1, 2.0, 1e-9, 7e5])


@st.composite
def predictions(draw):
    failed = draw(st.integers(0, 5)) == 0
    time_ms = draw(times)
    value = None if failed and draw(st.booleans()) else draw(values)
    lower, upper = (
        sorted(draw(bounds)) if type(value) in (int, float) and draw(st.booleans()) else (None, None)
    )
    return {
        "prediction_id": draw(st.sampled_from("abcd")),
        "model": draw(st.sampled_from(["m", "n"])),
        "model_version": draw(st.sampled_from(["", "2"])),
        "timestamp": time_ms,
        "prediction": value,
        "prediction_lower": lower,
        "prediction_upper": upper,
        "scores": draw(st.none() | scores),
        "features": {},
        "segments": draw(
            st.dictionaries(st.sampled_from(["x", "y"]), st.sampled_from(["1", "2"]), max_size=2)
        ),
        "status": draw(st.sampled_from(["timeout", "http_403"])) if failed else "ok",
        "latency_ms": draw(optional),
        "cost": draw(optional),
        "role": draw(st.sampled_from(["primary", "primary", "primary", "test"])),
        "record_time_ms": time_ms + draw(st.integers(-500, 500)),
    }


@st.composite
def labels(draw):
    time_ms = draw(times) + draw(st.sampled_from([-1, 0, 0, 3_000]))
    return {
        "prediction_id": draw(st.sampled_from("abcd")),
        "model": draw(st.sampled_from(["", "", "m", "n"])),
        "label": draw(st.none() | values),
        "timestamp": draw(st.sampled_from([START_MS, time_ms])),  # ties are where order could show
        "source": draw(st.sampled_from(["", "b", "a"])),
        "sampling_probability": draw(
            st.none() | st.sampled_from([0.5, 0.3, 1.0, 0.07, 1e-9]) | st.floats(1e-4, 1)
        ),
        "value": draw(optional),
        "record_time_ms": time_ms,
    }


floors = st.integers(-2, 6).map(lambda pane: START_MS + pane * WIDTH_MS)
histories = st.lists(
    st.one_of(predictions().map(lambda e: ("inference", e)), labels().map(lambda e: ("label", e))),
    max_size=40,
)


def run(history, batch_sizes, rises=(), prepare=None):
    """Feed a history in batches; ``rises`` are (position, floor) pairs. Returns (stage, rows sent)."""
    join = JoinSettings(hot_horizon_ms=0)
    models = {name: ModelSettings(positive=positive) for name, positive in POSITIVE.items()}
    monitor = MonitorSettings(pane_width_ms=WIDTH_MS, models=models)
    stage = PartitionStage(0, 1, -(10**15), join, monitor)
    if prepare is not None:
        prepare(stage)
    sent, offsets, pending = [], {"inference": 0, "label": 0}, []
    sizes = iter(batch_sizes)
    rises = dict(rises)

    def flush():
        if not pending:
            return
        kind = pending[0][0]
        batch = decoded(kind, [event for _, event in pending], offsets[kind])
        offsets[kind] += len(pending)
        (stage.apply_inference if kind == "inference" else stage.apply_labels)(batch)
        pending.clear()

    room = next(sizes, 1)
    for i, (kind, event) in enumerate(history):
        if i in rises:
            flush()
            stage.advance(rises[i], rises[i])
        if pending and (pending[0][0] != kind or len(pending) >= room):
            flush()
            room = next(sizes, 1)
            sent.append(stage.take_changed())
        pending.append((kind, event))
    flush()
    sent.append(stage.take_changed())
    return stage, sent


def oracle_of(history, rises=()):
    oracle = Oracle(WIDTH_MS)
    rises = dict(rises)
    for i, (kind, event) in enumerate(history):
        oracle.floor_ms = max(oracle.floor_ms, rises.get(i, oracle.floor_ms))
        (oracle.predict if kind == "inference" else oracle.label)(event)
    return oracle


def without_zeros(rows):
    return {key: row for key, row in rows.items() if any(row[name] for name in ("predictions", "duplicates"))}


@settings(max_examples=150, deadline=None)
@given(histories, st.lists(st.integers(1, 7), max_size=40))
def test_any_history_adds_up_to_what_the_oracle_counts(history, batch_sizes):
    stage, sent = run(history, batch_sizes)
    assert without_zeros(rows_of(sent)) == oracle_of(history).rows()
    _assert_everything_is_somewhere(stage, history)


@settings(max_examples=150, deadline=None)
@given(
    histories,
    st.lists(st.integers(1, 7), max_size=40),
    st.lists(st.tuples(st.integers(0, 39), floors), max_size=4),
)
def test_a_rising_floor_freezes_panes_as_the_oracle_has_them(history, batch_sizes, rises):
    stage, sent = run(history, batch_sizes, rises)
    oracle = oracle_of(history, rises)
    assert without_zeros(rows_of(sent)) == oracle.rows()
    counters = stage.counters
    assert counters.join.reused == oracle.reused
    assert counters.join.cold_predictions == oracle.cold
    _assert_everything_is_somewhere(stage, history)


@settings(max_examples=80, deadline=None)
@given(histories, st.randoms(use_true_random=False))
def test_arrival_order_never_shows(history, rng: random.Random):
    # Of a repeated id the first counts, so an order is only free where each prediction comes once.
    once = {}
    for kind, event in history:
        if kind == "inference":
            once.setdefault((event["model"], event["model_version"], event["prediction_id"]), event)
    events = [("inference", e) for e in once.values()] + [x for x in history if x[0] == "label"]
    shuffled = events[:]
    rng.shuffle(shuffled)
    _, sent = run(events, [3] * 40)
    _, again = run(shuffled, [2] * 40)
    assert without_zeros(rows_of(sent)) == without_zeros(rows_of(again))


def _assert_everything_is_somewhere(stage, history):
    counters, join = stage.counters, stage.counters.join
    read = {"inference": 0, "label": 0}
    for kind, _ in history:
        read[kind] += 1
    assert counters.inference_read == read["inference"]
    assert counters.labels_read == read["label"]
    assert (
        read["inference"]
        == join.accepted + join.duplicates + counters.tests + counters.inference_dead_lettered
    )
    assert read["label"] == join.labels + counters.labels_dead_lettered
    assert join.labels == join.waiting + join.joined + join.replaced + join.cold_labels
