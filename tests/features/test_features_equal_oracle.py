"""Any traffic adds up, feature by feature, to what counting by hand gives."""

import math

import pytest
from feature_oracle import FeatureOracle, decoded, told
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.features import FEATURE_COLUMNS, grid_cell
from schemas.records import DecodedBatch
from schemas.settings import DAY_MS, JoinSettings, MonitorSettings
from streams.partition import PartitionStage

WIDTH_MS = 1_000
START_MS = 1_780_000_000_000
ASKED = ("x=1", "y=ü")

numbers = st.one_of(
    st.sampled_from([0, 1, -1, 7, 2**53, -(2**63), 0.0, -0.0, 1.0, 2.0**-40, 1e-12, -1e-13, 5e-324]),
    st.floats(-1e12, 1e12),
    st.integers(-(10**9), 10**9),
)
texts = st.sampled_from(["a", "é", "true", "", "x" * 100, "x" * 101, "é" * 51]) | st.text(max_size=3).filter(
    lambda text: text.isprintable()
)
scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
feature_names = st.sampled_from(["a", "b", "ab", "ba", "", "ü", "amount"])
pairs = st.tuples(feature_names, scalars)
feature_maps = st.lists(pairs, max_size=5, unique_by=lambda pair: pair[0]).map(dict)


@st.composite
def predictions(draw):
    failed = draw(st.integers(0, 5)) == 0
    return {
        "prediction_id": draw(st.sampled_from([f"{i}" for i in range(30)])),
        "model": draw(st.sampled_from(["m", "n"])),
        "model_version": draw(st.sampled_from(["", "2"])),
        "timestamp": START_MS + draw(st.integers(0, 5_000)),
        "prediction": None if failed else draw(st.sampled_from([True, 2, 3, 2.5, -1e9, "a"])),
        "scores": draw(st.sampled_from([None, None, {"a": 0.5}])),
        "features": draw(feature_maps),
        "segments": draw(st.dictionaries(st.sampled_from("xy"), st.sampled_from(["1", "ü"]), max_size=2)),
        "status": "timeout" if failed else "ok",
        "role": draw(st.sampled_from(["primary", "primary", "primary", "test"])),
    }


class Counted:
    """A stage, and by its side the oracle with what is told so far."""

    def __init__(self):
        self.stage = PartitionStage(
            3, 1, START_MS - DAY_MS, JoinSettings(hot_horizon_ms=DAY_MS),
            MonitorSettings(pane_width_ms=WIDTH_MS, segments=ASKED),
        )  # fmt: skip
        self.oracle = FeatureOracle(WIDTH_MS, ASKED)
        self.met = {}
        self.offset = 0
        self.told = {}

    def apply(self, batch, events):
        self.stage.apply_inference(batch)
        for event in events:
            identity = event["model"], event["model_version"], event["prediction_id"]
            if event["role"] == "test" or event["timestamp"] < self.stage.floor_ms or identity in self.met:
                continue
            self.met[identity] = event["timestamp"]
            self.oracle.add(event)

    def take(self):
        self.told |= told(self.stage.take_changed_features())

    def raise_floor(self, floor_ms):
        """Raise the floor; what was told of panes below it stays told."""
        self.stage.advance(floor_ms + DAY_MS, floor_ms + DAY_MS)
        self.met = {identity: time_ms for identity, time_ms in self.met.items() if time_ms >= floor_ms}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(predictions(), max_size=12), max_size=6), st.data())
def test_any_traffic_adds_up_to_what_counting_by_hand_gives(batches, data):
    counted = Counted()
    for events in batches:
        batch = decoded(events, counted.offset)
        counted.offset += len(events)
        cut = data.draw(st.integers(0, len(events)))
        for begin, end in ((0, cut), (cut, len(events))):
            part = DecodedBatch(batch.columns.slice(begin, end - begin))
            counted.apply(part, events[begin:end])
        what = data.draw(st.integers(0, 3))
        if what == 1:
            counted.take()
        elif what == 2:
            counted.raise_floor(START_MS + data.draw(st.integers(0, 4)) * WIDTH_MS)
        elif what == 3:
            counted.stage.features.pack_rows_at_rest(0)
    counted.take()
    agree(counted.told, counted.oracle.rows())
    assert counted.stage.take_changed_features().num_rows == 0


def agree(found, expected):
    assert found.keys() == expected.keys()
    for key, row in expected.items():
        mine = dict(found[key])
        assert mine.pop("sum") == row["sum"], key
        assert mine.pop("m2") == pytest.approx(row["m2"], rel=1e-9, abs=1e-9), key
        assert mine == {name: value for name, value in row.items() if name not in ("sum", "m2")}, key


def plain(i, **more):
    return {
        "prediction_id": str(i), "model": "m", "model_version": "", "timestamp": START_MS, "prediction": 1,
        "features": {}, "segments": {}, "role": "primary",
    } | more  # fmt: skip


def counted_of(events, monitor=None):
    stage = PartitionStage(0, 1, 0, JoinSettings(), monitor or MonitorSettings(pane_width_ms=WIDTH_MS))
    stage.apply_inference(decoded(events))
    return stage


def test_rows_in_memory_are_told_by_model_and_pane_in_order_packed_or_not():
    events = [
        plain(i, model="mn"[i % 2], timestamp=START_MS + i * 100, features={"b": i, "a": "x"})
        for i in range(40)
    ]
    stage = counted_of(events)
    stage.features.pack_rows_at_rest(0)
    stage.apply_inference(decoded([plain(99, timestamp=START_MS + 3_999, features={"b": 1})], 40))
    rows = list(stage.feature_rows(model="m", start_ms=START_MS + 1_000, end_ms=START_MS + 4_000))
    assert [batch.schema for batch in rows] == [FEATURE_COLUMNS]
    found = told(rows[0])
    assert [key[3:] for key in found] == [
        (START_MS + second * 1_000, signal, name)
        for second in (1, 2, 3)
        for signal, name in (("feature", "a"), ("feature", "b"), ("prediction", ""))
    ]
    assert [row["n"] for row in found.values()] == [5] * 6 + [5, 6, 6]
    assert stage.take_changed_features().num_rows == 4 * 2 * 3


def test_open_panes_are_held_back_until_they_close():
    stage = counted_of([plain(i, timestamp=START_MS + 600 * i, features={"a": i}) for i in range(4)])
    assert {key[3] for key in told(stage.take_changed_features(START_MS + 1_999))} == {START_MS}
    assert {key[3] for key in told(stage.take_changed_features())} == {START_MS + 1_000}


def test_features_beyond_the_hundredth_of_a_version_are_left_out_and_named():
    events = [plain(i, features={f"f{k}": i for k in range(103)}) for i in range(2)]
    events.append(plain(2, model="other", features={"f102": 1}))
    stage = counted_of(events)
    found = told(stage.take_changed_features())
    names = {key[5] for key in found if key[0] == "m"}
    assert names == {f"f{k}" for k in range(100)} | {""}
    left_out = [(f.model, f.model_version, f.name, f.values) for f in stage.features_left_out()]
    assert left_out == [("m", "", f"f{k}", 2) for k in (100, 101, 102)]
    assert found["other", "", "", START_MS, "feature", "f102"]["n"] == 1


def test_the_hundred_largest_categories_are_told_and_ids_take_bounded_memory():
    events = [
        plain(i, features={"city": f"c{i % 300:03d}" if i % 2 else "big", "id": f"user-{i}"})
        for i in range(3_000)
    ]
    stage = counted_of(events)
    found = told(stage.take_changed_features())
    city = found["m", "", "", START_MS, "feature", "city"]
    assert len(city["categories"]) == 100
    assert city["categories"]["big"] == 1_500
    # 150 values came ten times each: those told are whole, and the first by name among equals.
    assert list(city["categories"].items())[1:3] == [("c001", 10), ("c003", 10)]
    assert city["n"] == 3_000 == sum(city["categories"].values()) + city["other"]
    ids = found["m", "", "", START_MS, "feature", "id"]
    assert (len(ids["categories"]), ids["other"], ids["n"]) == (100, 2_900, 3_000)
    assert stage.features.nbytes < 200_000


def test_numbers_whose_squares_overflow_have_infinite_moments_and_say_so():
    numbers = {"huge": [1e200, 1.0], "most": [1.7e308, 1.7e308, -1.7e308], "over": [1.7e308, 1.7e308]}
    events = [
        plain(i, features={name: values[i] for name, values in numbers.items() if i < len(values)})
        for i in range(3)
    ]
    found = told(counted_of(events).take_changed_features())
    rows = {name: found["m", "", "", START_MS, "feature", name] for name in numbers}
    assert {name: row["m2"] for name, row in rows.items()} == dict.fromkeys(numbers, math.inf)
    assert rows["huge"]["sum"] == 1e200
    assert rows["most"]["sum"] == pytest.approx(1.7e308, rel=1e-15)
    assert rows["over"]["sum"] == math.inf
    assert rows["most"]["cells"] == {grid_cell(-1.7e308): 1, grid_cell(1.7e308): 2}
