"""The law of checkpoints: whatever crashes come, what was sent equals one history without any."""

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_histories import random_history
from stage_oracle import POSITIVE, Oracle, decoded, rows_of
from test_law_stage_equals_oracle import START_MS, WIDTH_MS, histories, without_zeros

from schemas.settings import JoinSettings, ModelSettings, MonitorSettings
from streams.join import hot
from streams.partition import PartitionStage, low_water

hot.FIRST_ROWS = 4
LONG_AGO_MS = -(10**15)
seeds = st.integers(0, 2**32)  # a fault's dice are many: drawn one by one they would shape the history


@pytest.fixture(autouse=True)
def marks_close_together(monkeypatch):
    # So that a history of forty events has more than one mark.
    monkeypatch.setattr(low_water, "APART", 2)
    monkeypatch.setattr(low_water, "APART_MS", 500)


class Partition:
    """A partition's two logs, what was committed, and the worker that has it now."""

    def __init__(self, history, rng, models):
        self.rng = rng
        self.models = models
        self.logs = {
            "inference": [event for kind, event in history if kind == "inference"],
            "label": [event for kind, event in history if kind == "label"],
        }
        self.committed, self.since = [], []  # actions in the order in which they took effect
        self.rows = {}
        self.letters = []
        self.checkpoint = None
        self.epoch = 0
        self.claim()

    def claim(self):
        """A worker dies and another takes over; what was not committed never was."""
        self.since = []
        self.epoch += 1
        monitor = MonitorSettings(pane_width_ms=WIDTH_MS, models=self.models)
        self.stage = PartitionStage(
            0, self.epoch, LONG_AGO_MS, JoinSettings(hot_horizon_ms=0), monitor, ("inference", "label")
        )
        self.read = {"inference": 0, "label": 0}
        if self.checkpoint is not None:
            self.stage.resume_from(self.checkpoint)
            self.read = {"inference": self.checkpoint.inference_low, "label": self.checkpoint.label_low}

    def step(self):
        self.rng.choices(
            [lambda: self.feed("inference"), lambda: self.feed("label"), self.rise, self.commit, self.claim],
            [8, 8, 2, 3, 1],
        )[0]()

    def feed(self, side):
        begin = self.read[side]
        end = min(len(self.logs[side]), begin + self.rng.randint(1, 6))
        if begin == end:
            return
        events = self.logs[side][begin:end]
        for offset, event in enumerate(events, begin):
            if self.checkpoint is None or offset >= self._stored(side):
                self.since.append((side, event))
        self.read[side] = end
        batch = decoded(side, events, begin)
        (self.stage.apply_inference if side == "inference" else self.stage.apply_labels)(batch)

    def _stored(self, side):
        return self.checkpoint.inference_offset if side == "inference" else self.checkpoint.label_offset

    def rise(self):
        if self.stage.restoring:
            return
        floor_ms = START_MS + self.rng.randint(-2, 6) * WIDTH_MS
        self.stage.advance(floor_ms, floor_ms)
        self.since.append(("floor", floor_ms))

    def commit(self):
        """One transaction: rows, dead letters and the checkpoint, all of it or nothing."""
        rows, letters = self.stage.take_changed(), self.stage.take_dead_letters()
        if self.stage.restoring:
            assert not rows.num_rows
            assert not letters
            return
        if self.rng.random() < 0.2:
            self.claim()  # it died in the middle, or was fenced
            return
        self.checkpoint = self.stage.checkpoint()
        self.committed += self.since
        self.since = []
        self.letters += [(letter.topic, letter.offset) for letter in letters]
        if rows.num_rows:
            self.rows |= rows_of([rows])

    def drain(self):
        while any(self.read[side] < len(self.logs[side]) for side in self.logs) or self.stage.restoring:
            for side in self.rng.sample(["inference", "label"], 2):
                self.feed(side)
            self.commit()
        epoch = -1
        while epoch != self.epoch:  # once more, as long as a commit ends in a crash
            epoch = self.epoch
            self.commit()
            if epoch != self.epoch:
                self.drain()
                epoch = self.epoch


def models(implicit=None):
    return {
        name: ModelSettings(positive=POSITIVE.get(name), **(implicit or {}).get(name, {})) for name in "mn"
    }


def oracle_of(actions, implicit=None):
    oracle = Oracle(WIDTH_MS, implicit)
    for kind, what in actions:
        if kind == "floor":
            oracle.aligned_ms = max(oracle.aligned_ms, what)
            longest_ms = max((after for _, after in (implicit or {}).values()), default=0)
            oracle.floor_ms = max(oracle.floor_ms, (what - longest_ms) // WIDTH_MS * WIDTH_MS)
        else:
            (oracle.predict if kind == "inference" else oracle.label)(what)
    return oracle


def disturbed(history, seed, implicit=None):
    rng = random.Random(seed)
    told = {
        name: {"implicit_label": str(label), "implicit_after_ms": after_ms}
        for name, (label, after_ms) in (implicit or {}).items()
    }
    partition = Partition(history, rng, models(told))
    for _ in range(rng.randint(5, 60)):
        partition.step()
    partition.drain()
    return partition


@pytest.mark.parametrize("seed", range(150))
def test_after_any_crashes_a_random_history_adds_up(seed):
    partition = disturbed(random_history(random.Random(seed)), seed)
    assert without_zeros(partition.rows) == oracle_of(partition.committed).rows()


@settings(max_examples=40, deadline=None)
@given(histories, seeds)
def test_after_any_crashes_the_rows_equal_one_history(history, seed):
    partition = disturbed(history, seed)
    assert without_zeros(partition.rows) == oracle_of(partition.committed).rows()


@settings(max_examples=40, deadline=None)
@given(histories, seeds)
def test_implicit_labels_come_back_with_the_predictions_they_were_given_to(history, seed):
    implicit = {"m": (1, 2_000)}
    partition = disturbed(history, seed, implicit)
    assert without_zeros(partition.rows) == oracle_of(partition.committed, implicit).rows()


@settings(max_examples=40, deadline=None)
@given(histories, seeds)
def test_every_dead_letter_is_committed_once(history, seed):
    partition = disturbed(history, seed)
    assert len(partition.letters) == len(set(partition.letters))
    reused = sum(side == "inference" for side, _ in partition.letters)
    assert reused == oracle_of(partition.committed).reused


def test_a_log_that_was_cut_leaves_panes_as_they_were_sent():
    def event(i, pane):
        time_ms = START_MS + pane * WIDTH_MS
        more = {"prediction_id": str(i), "model": "m", "model_version": "", "timestamp": time_ms}
        _, first = next(e for e in random_history(random.Random(1)) if e[0] == "inference")
        return first | more | {"status": "ok", "role": "primary", "record_time_ms": time_ms}

    events = [event(i, i // 4) for i in range(16)]
    settings_of = (JoinSettings(hot_horizon_ms=0), MonitorSettings(pane_width_ms=WIDTH_MS))
    stage = PartitionStage(0, 1, LONG_AGO_MS, *settings_of)
    stage.apply_inference(decoded("inference", events))
    first = rows_of([stage.take_changed()])
    checkpoint = stage.checkpoint()
    # Offsets 0 to 5 are gone: panes 0 and 1 cannot be rebuilt whole.
    again = PartitionStage(0, 2, LONG_AGO_MS, *settings_of)
    again.resume_from(replace(checkpoint, inference_low=6), lost_until_ms=START_MS + WIDTH_MS + 1)
    again.apply_inference(decoded("inference", events[6:], 6))
    assert not again.restoring
    sent = rows_of([again.take_changed()])
    assert {pane for *_, pane in sent} == {START_MS + 2 * WIDTH_MS, START_MS + 3 * WIDTH_MS}
    assert sent == {key: row for key, row in first.items() if key in sent}
    # What still comes for them is below the floor.
    assert again.checkpoint().floor_now_ms == START_MS + 2 * WIDTH_MS


def test_a_checkpoint_of_a_partition_that_is_being_restored_is_the_old_one_under_its_epoch():
    stage = PartitionStage(0, 1, LONG_AGO_MS, JoinSettings(), MonitorSettings())
    stage.start_at(5, 7)
    checkpoint = replace(stage.checkpoint(), inference_offset=9)
    again = PartitionStage(0, 2, LONG_AGO_MS, JoinSettings(), MonitorSettings())
    again.resume_from(checkpoint)
    assert again.restoring
    assert again.restored == (0, 4)
    assert again.checkpoint() == replace(checkpoint, epoch=2)


def test_nothing_waiting_means_nothing_is_read_again():
    stage = PartitionStage(0, 1, LONG_AGO_MS, JoinSettings(), MonitorSettings())
    stage.start_at(5, 7)
    checkpoint = stage.checkpoint()
    assert (checkpoint.inference_low, checkpoint.label_low) == (5, 7)
    again = PartitionStage(0, 2, LONG_AGO_MS, JoinSettings(), MonitorSettings())
    again.resume_from(checkpoint)
    assert not again.restoring


def test_an_implicit_label_that_was_given_before_the_floor_passed_is_not_given_again_to_a_lost_row():
    # Late by more than its implicit label needs: due at once, and the floor passes it in the same moment.
    event = {
        "prediction_id": "a", "model": "m", "model_version": "", "timestamp": START_MS, "prediction": "1",
        "prediction_lower": None, "prediction_upper": None, "scores": None, "features": {}, "segments": {},
        "status": "ok", "latency_ms": None, "cost": None, "role": "primary",
        "record_time_ms": START_MS + 3 * WIDTH_MS,
    }  # fmt: skip
    later = event | {"prediction_id": "b", "timestamp": START_MS + 9 * WIDTH_MS}
    monitor = MonitorSettings(
        pane_width_ms=WIDTH_MS, models={"m": ModelSettings(implicit_label="0", implicit_after_ms=WIDTH_MS)}
    )

    def stage(epoch):
        return PartitionStage(0, epoch, LONG_AGO_MS, JoinSettings(hot_horizon_ms=0), monitor)

    first, batch = stage(1), decoded("inference", [later, event])
    first.apply_inference(batch)
    time_ms = START_MS + 4 * WIDTH_MS
    first.advance(time_ms, time_ms)
    told = rows_of([first.take_changed()])
    assert told["m", "", "", START_MS]["labelled"] == 1
    second = stage(2)
    second.resume_from(first.checkpoint())
    second.apply_inference(batch)
    assert not second.restoring
    second.advance(time_ms, time_ms)
    again = rows_of([second.take_changed()])
    assert [key for key, row in again.items() if row["labelled"]] == []


def test_a_label_from_before_the_floor_that_a_waiting_prediction_met_is_read_again():
    rng = random.Random(2)
    history = random_history(rng, 200)
    one = {
        "prediction_id": "a",
        "model": "m",
        "record_time_ms": START_MS + 3_500,
        "timestamp": START_MS + 3_500,
    }
    prediction = next(e for kind, e in history if kind == "inference") | one
    prediction |= {"status": "ok", "role": "primary", "prediction": "b"}
    label = next(e for kind, e in history if kind == "label") | {"prediction_id": "a", "model": ""}
    early = label | {"label": "a", "timestamp": START_MS, "record_time_ms": START_MS}
    late = label | {"label": "b", "timestamp": START_MS + 4_000, "record_time_ms": START_MS + 4_000}
    settings_of = (JoinSettings(hot_horizon_ms=0), MonitorSettings(pane_width_ms=WIDTH_MS))
    stage = PartitionStage(0, 1, LONG_AGO_MS, *settings_of)
    stage.apply_labels(decoded("label", [early]))
    stage.apply_inference(decoded("inference", [prediction]))
    stage.advance(START_MS + 3_000, START_MS + 3_000)
    stage.apply_labels(decoded("label", [late], 1))
    checkpoint = stage.checkpoint()
    assert checkpoint.label_low == 0
    again = PartitionStage(0, 2, LONG_AGO_MS, *settings_of)
    again.resume_from(checkpoint)
    again.apply_inference(decoded("inference", [prediction]))
    again.apply_labels(decoded("label", [early, late]))
    assert not again.restoring
    sent = rows_of([again.take_changed()])
    assert sent == rows_of([stage.take_changed()])
    assert all(row["corrected"] == 1 for row in sent.values())
