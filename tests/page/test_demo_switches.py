"""What the demo's switches do to the traffic: held labels come later, bad messages beside, drift deploys."""

import json
import time
from collections import Counter
from collections.abc import Callable

import numpy as np
from confluent_kafka import Consumer, TopicPartition

from aftcast.demo.mock_kafka import MockKafka
from aftcast.demo.story import Story
from aftcast.demo.switched import SwitchedSimulation
from aftcast.demo.switches import BAD_MESSAGES, CALM, DRIFT, HOLD_LABELS, Switches
from aftcast.demo.traffic import Traffic
from aftcast.simulation import INFERENCE, Simulation
from aftcast.simulation.files import document_of

START_MS = 1_767_225_600_000
MINUTE_MS = 60_000
STORY = Story(START_MS, START_MS + 60 * MINUTE_MS, START_MS + 30 * MINUTE_MS, START_MS + 45 * MINUTE_MS)
TOPICS = ("inference-events", "label-events", "lifecycle-events")


def switches(now_ms: int = START_MS) -> Switches:
    return Switches(STORY, lambda: now_ms, lambda: 300.0)


def sent_by(
    turned: Callable[[int, Switches], None], minutes: int
) -> dict[str, list[tuple[int, bytes, bytes]]]:
    """Return (time, key, value) of each record by topic; ``turned`` hears the time before each look."""
    own = switches()
    simulation = SwitchedSimulation(own, 3, START_MS, 4.0)
    until_ms = START_MS + minutes * MINUTE_MS
    clock = {"ms": START_MS}

    def now_ms() -> int:
        clock["ms"] += 20_000
        turned(clock["ms"] - START_MS, own)
        return clock["ms"]

    with MockKafka(dict.fromkeys(TOPICS, 1)) as kafka:
        options = {"bootstrap.servers": kafka.bootstrap_servers}
        traffic = Traffic(simulation, until_ms, options, TOPICS, now_ms, own)
        traffic.start()
        traffic.join(30)
        assert traffic.failure is None
        found: dict[str, list[tuple[int, bytes, bytes]]] = {topic: [] for topic in TOPICS}
        consumer = Consumer({**options, "group.id": "g"})
        consumer.assign([TopicPartition(topic, 0, 0) for topic in TOPICS])
        until_s = time.monotonic() + 20
        while sum(map(len, found.values())) < traffic.sent and time.monotonic() < until_s:
            message = consumer.poll(1)
            if message is not None and message.error() is None:
                found[message.topic()].append((message.timestamp()[1], message.key(), message.value()))
        consumer.close()
    assert sum(map(len, found.values())) == traffic.sent
    return found


def test_untouched_switches_change_nothing_until_the_story_does() -> None:
    plain = Simulation(3, START_MS, 4.0, rise_ms=STORY.rise_ms, recovery_ms=STORY.recovery_ms)
    bent = SwitchedSimulation(
        switches(), 3, START_MS, 4.0, rise_ms=STORY.rise_ms, recovery_ms=STORY.recovery_ms
    )
    until_ms = START_MS + 40 * MINUTE_MS
    assert list(plain.blocks(until_ms)) == list(bent.blocks(until_ms))


def test_a_switched_drift_raises_errors_and_amounts_and_nothing_of_the_other_model() -> None:
    own = switches()
    normal = SwitchedSimulation(own, 3, START_MS, 8.0, keep_truth=True)
    amounts = {False: list[float](), True: list[float]()}
    wrong = Counter[bool]()
    counted = Counter[bool]()
    for on in (False, True):
        own.turn(DRIFT, on=on)
        normal.truth.clear()
        until_ms = START_MS + (20 if on else 10) * MINUTE_MS
        for event in (event for block in normal.blocks(until_ms) for event in block):
            document = document_of(event) if event.kind == INFERENCE else None
            if document is not None and document["model"] == "fraud":
                amounts[on].append(document["features"]["amount"])
        for one in normal.truth:
            if one["model"] == "fraud" and one["status"] == "ok" and one["label"] is not None:
                counted[on] += 1
                wrong[on] += one["prediction"] != one["label"]
    assert wrong[False] / counted[False] < 0.15
    assert 0.2 < wrong[True] / counted[True] < 0.3
    assert 2.5 < np.median(amounts[True]) / np.median(amounts[False]) < 3.5


def test_held_labels_come_later_and_none_is_lost() -> None:
    def hold(elapsed_ms: int, own: Switches) -> None:
        own.turn(HOLD_LABELS, on=5 * MINUTE_MS <= elapsed_ms < 15 * MINUTE_MS)

    held = sent_by(hold, 25)["label-events"]
    free = sent_by(lambda _elapsed_ms, _own: None, 25)["label-events"]
    assert Counter((key, value) for _, key, value in held) == Counter((key, value) for _, key, value in free)
    during = [at for at, _, _ in held if START_MS + 6 * MINUTE_MS < at < START_MS + 14 * MINUTE_MS]
    assert during == []
    assert any(START_MS + 6 * MINUTE_MS < at < START_MS + 14 * MINUTE_MS for at, _, _ in free)


def test_bad_messages_come_beside_the_good_ones_while_they_are_switched_on() -> None:
    def break_some(elapsed_ms: int, own: Switches) -> None:
        own.turn(BAD_MESSAGES, on=elapsed_ms >= 5 * MINUTE_MS)

    bent = sent_by(break_some, 15)
    plain = sent_by(lambda _elapsed_ms, _own: None, 15)
    more = sum(map(len, bent.values())) - sum(map(len, plain.values()))
    assert 0.09 < more / sum(map(len, plain.values())) * 15 / 10 < 0.16
    for topic in TOPICS:
        assert not Counter(value for _, _, value in plain[topic]) - Counter(
            value for _, _, value in bent[topic]
        )


def test_a_drift_begins_with_a_deployment_and_ends_with_a_roll_back() -> None:
    def turn(elapsed_ms: int, own: Switches) -> None:
        own.turn(DRIFT, on=5 * MINUTE_MS <= elapsed_ms < 10 * MINUTE_MS)

    told = [json.loads(value) for _, _, value in sent_by(turn, 15)["lifecycle-events"]]
    assert [(event["kind"], event["model"], event["model_version"]) for event in told] == [
        ("deployed", "fraud", "3.1"),
        ("rolled_back", "fraud", "3.1"),
    ]
    assert START_MS + 4 * MINUTE_MS < told[0]["timestamp"] < told[1]["timestamp"]


def test_the_page_is_told_what_the_switches_do() -> None:
    own = switches(START_MS + MINUTE_MS)
    assert own.document()["story"] == CALM
    assert own.document()["switches"][DRIFT]["on"] is False
    assert switches(STORY.rise_ms).document()["switches"][DRIFT]["on"] is True
    for name, word in ((DRIFT, "25 %"), (HOLD_LABELS, "No labels come"), (BAD_MESSAGES, "broken")):
        own.turn(name, on=True)
        assert word in own.document()["story"]
    assert "ended" in switches(STORY.end_ms).document()["story"]
