"""The simulated traffic: the same for the same seed, in order, with every kind of label, and readable."""

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

import fastavro
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftcast.simulation import INFERENCE, LABELS, Event, Simulation
from aftcast.simulation.events import single_object_header
from aftcast.simulation.files import document_of, write_avro, write_ndjson
from aftcast.simulation.labels import LONGEST_DELAY_MS
from aftcast.simulation.sending import paced

Hour = tuple[Simulation, list[Event]]
START_MS = 1_767_225_600_000
HOUR_MS = 3_600_000


def events_of(simulation: Simulation, span_ms: int) -> list[Event]:
    return [event for block in simulation.blocks(simulation.start_ms + span_ms) for event in block]


@pytest.fixture(scope="module")
def hour() -> Hour:
    simulation = Simulation(
        3, START_MS, 20, rise_ms=START_MS + HOUR_MS // 2, recovery_ms=None, keep_truth=True
    )
    events = events_of(simulation, HOUR_MS)
    return simulation, events + [event for block in simulation.remaining() for event in block]


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**31), st.lists(st.integers(1, 200_000), min_size=1, max_size=4))
def test_the_events_do_not_depend_on_how_the_run_is_cut(seed: int, cuts_ms: list[int]) -> None:
    whole, parts = Simulation(seed, START_MS, 5), Simulation(seed, START_MS, 5)
    expected = events_of(whole, max(cuts_ms))
    got = [event for cut in sorted(cuts_ms) for event in events_of(parts, cut)]
    assert got == expected


def test_another_seed_gives_other_events() -> None:
    assert events_of(Simulation(1, START_MS, 5), 60_000) != events_of(Simulation(2, START_MS, 5), 60_000)


def test_events_come_in_order_of_their_record_time(hour: Hour) -> None:
    assert all(before.time_ms <= after.time_ms for before, after in pairwise(hour[1]))


def test_as_many_events_come_as_were_asked_for() -> None:
    simulation = Simulation(1, START_MS, 10)
    events_of(simulation, HOUR_MS)  # labels are late: the first hour has fewer
    second = sum(map(len, simulation.blocks(START_MS + 2 * HOUR_MS)))
    assert second == pytest.approx(10 * 3600, rel=0.03)


def test_both_models_and_both_versions_of_the_fraud_model_answer(
    hour: Hour,
) -> None:
    versions = {(truth["model"], truth["model_version"]) for truth in hour[0].truth}
    assert versions == {("fraud", "3.1"), ("fraud", "3.2"), ("price", "12")}


def test_the_header_names_the_schema_by_its_published_fingerprint() -> None:
    # The value that the Avro specification gives for the schema "null", little-endian.
    assert fastavro.schema.fingerprint('"null"', "CRC-64-AVRO") == "8a8f25cce724dd63"
    assert single_object_header(INFERENCE)[:2] == b"\xc3\x01"
    assert len(single_object_header(LABELS)) == 10


def test_all_fates_of_labels_occur_and_the_truth_tells_how_they_end(
    hour: Hour,
) -> None:
    simulation, events = hour
    said: dict[str, list[tuple[int, int, object]]] = {}
    made: dict[str, int] = {}
    for event in events:
        document = document_of(event)
        if document is None:
            continue
        name = document["prediction_id"]
        if event.kind == INFERENCE:
            made.setdefault(name, event.time_ms)
        else:
            said.setdefault(name, []).append((document["timestamp"], event.time_ms, document["label"]))
    kinds: Counter[str] = Counter()
    for truth in simulation.truth:
        labels = sorted(said.get(truth["prediction_id"], []), key=lambda label: label[:2])
        final = labels[-1][2] if labels else None
        assert final == truth["label"]
        if not labels:
            kinds["never"] += 1
        elif final is None:
            kinds["withdrawn"] += 1
        elif len(labels) == 2:
            kinds["repeated" if labels[0][0] == labels[1][0] else "corrected"] += 1
        elif labels[0][1] < made[truth["prediction_id"]]:
            kinds["early"] += 1
        else:
            kinds["late"] += 1
        assert all(time - truth["timestamp_ms"] <= LONGEST_DELAY_MS for _, time, _ in labels)
    assert set(kinds) == {"never", "withdrawn", "repeated", "corrected", "early", "late"}
    assert kinds["late"] > 0.85 * len(simulation.truth)


def test_the_error_rate_rises_at_the_moment_that_was_asked_for(hour: Hour) -> None:
    wrong: dict[bool, list[bool]] = {False: [], True: []}
    for truth in hour[0].truth:
        if truth["model"] == "fraud" and truth["prediction"] and truth["label"]:
            late = truth["timestamp_ms"] >= START_MS + HOUR_MS // 2
            wrong[late].append(truth["prediction"] != truth["label"])
    assert np.mean(wrong[False]) == pytest.approx(0.10, abs=0.015)
    assert np.mean(wrong[True]) == pytest.approx(0.25, abs=0.015)


def test_a_recovery_ends_the_rise() -> None:
    simulation = Simulation(1, 0, 1, rise_ms=10, recovery_ms=20)
    assert simulation.error_rate(np.array([9, 10, 19, 20])).tolist() == [0.10, 0.25, 0.25, 0.10]


def test_a_few_messages_are_broken_and_a_few_predictions_repeated(
    hour: Hour,
) -> None:
    events = hour[1]
    broken = [event for event in events if document_of(event) is None]
    assert 0.0003 * len(events) < len(broken) < 0.003 * len(events)
    names = Counter(event.value for event in events if event.kind == INFERENCE and document_of(event))
    assert 0 < sum(count - 1 for count in names.values()) < 0.01 * len(names)


def test_a_rate_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^rate_per_s must be above 0; got 0$"):
        Simulation(1, START_MS, 0)


def test_files_hold_every_event_once_and_the_same_bytes_for_the_same_seed(tmp_path: Path) -> None:
    for name in ("a", "b"):
        counts = write_ndjson(tmp_path / name, Simulation(1, START_MS, 20).blocks(START_MS + 600_000))
    events = events_of(Simulation(1, START_MS, 20), 600_000)
    for kind in (INFERENCE, LABELS):
        content = (tmp_path / "a" / f"{kind}.ndjson").read_bytes()
        assert content == (tmp_path / "b" / f"{kind}.ndjson").read_bytes()
        lines = content.splitlines()
        assert len(lines) == counts[f"{kind}.ndjson"] == sum(event.kind == kind for event in events)
        expected = [document_of(event) for event in events if event.kind == kind]
        for line, document in zip(lines, expected, strict=True):
            if document is not None:
                assert json.loads(line) == document


def test_containers_hold_the_events_that_are_no_faults(tmp_path: Path) -> None:
    counts = write_avro(tmp_path, Simulation(1, START_MS, 20).blocks(START_MS + 600_000))
    events = events_of(Simulation(1, START_MS, 20), 600_000)
    for kind in (INFERENCE, LABELS):
        with (tmp_path / f"{kind}.avro").open("rb") as file:
            reader = fastavro.reader(file)
            records = list(reader)
        good = [document for event in events if event.kind == kind if (document := document_of(event))]
        assert records == good
        assert counts[f"{kind}.avro"] == len(good)


def test_pacing_gives_each_event_when_its_time_has_come_and_none_before() -> None:
    clock = iter([0, 5, 5, 10, 30, 30, 30, 30])
    now = 0

    def now_ms() -> int:
        nonlocal now
        now = next(clock)
        return now

    blocks = [[Event(LABELS, time, b"", b"") for time in (0, 4, 9)], [Event(LABELS, 30, b"", b"")]]
    groups = []
    for group in paced(blocks, now_ms):
        assert all(event.time_ms <= now for event in group)
        groups.append([event.time_ms for event in group])
    assert groups == [[0], [4], [9], [30]]
