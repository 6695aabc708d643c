"""Signals that drift together alert once, and late labels take back what was never there."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.findings import AlertEvent, DriftEvent
from schemas.signals import SignalKey, SignalPane
from streams.alerts.drifts import DriftAlert
from streams.alerts.fingerprint import fingerprint
from streams.alerts.moves import BASELINE_PANES

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
HORIZON_MS = 60 * MINUTE_MS
ERROR = SignalKey("error")


def alert() -> DriftAlert:
    return DriftAlert("fraud", "1", pane_width_ms=MINUTE_MS)


def drift(before: float, after: float, minute: int = 100, **more: Any) -> DriftEvent:
    fields: dict[str, Any] = {"segment": "", "feature": "", "signal": "error", "detector": "ADWIN"}
    horizon_ms = HORIZON_MS if more.get("signal", "error") == "error" else 0
    return DriftEvent(
        model="fraud",
        model_version="1",
        detected_at_ms=(minute + 5) * MINUTE_MS + horizon_ms,
        change_start_ms=minute * MINUTE_MS,
        change_end_ms=(minute + 1) * MINUTE_MS,
        before=before,
        after=after,
        **fields | more,
    )


def found(one: DriftAlert, *drifts: DriftEvent, withheld: bool = False) -> list[AlertEvent]:
    for event in drifts:
        one.drifted(event, abs(event.after - event.before), withheld=withheld)
    return one.tell(max(event.detected_at_ms for event in drifts))


def pane(minute: int, wrong: float, n: int, key: SignalKey = ERROR) -> SignalPane:
    return SignalPane(key, minute * MINUTE_MS, (minute + 1) * MINUTE_MS, n, wrong, wrong)


def feed(
    one: DriftAlert, rate: float, minutes: range, n: int = 50, seed: int = 1, key: SignalKey = ERROR
) -> list[AlertEvent]:
    rng = np.random.default_rng(seed)
    events: list[AlertEvent] = []
    for i in minutes:
        one.fed(pane(i, float(rng.binomial(n, rate)), n, key))
        events += one.tell((i + 1) * MINUTE_MS + HORIZON_MS)
    return events


def feature(name: str, before: float, after: float, minute: int = 100, **more: Any) -> DriftEvent:
    return drift(before, after, minute, signal="feature", feature=name, **more)


def test_worse_is_a_page_and_better_is_for_information() -> None:
    (worse,) = found(alert(), drift(0.1, 0.2))
    (better,) = found(alert(), drift(0.2, 0.1))
    assert (worse.status, worse.kind, worse.severity) == ("firing", "drift", "page")
    assert (better.status, better.severity) == ("firing", "info")
    assert worse.fingerprint != better.fingerprint
    assert worse.timestamp_ms == worse.started_at_ms == 105 * MINUTE_MS + HORIZON_MS
    assert worse.value == 0.2


def test_in_maintenance_a_drift_is_no_alert() -> None:
    one = alert()
    assert found(one, drift(0.1, 0.2), withheld=True) == []
    assert feed(one, 0.1, range(101, 300)) == []


def test_it_is_resolved_when_the_error_has_been_back_for_an_hour() -> None:
    one = alert()
    found(one, drift(0.1, 0.2))
    assert feed(one, 0.2, range(101, 400)) == []
    (resolved,) = feed(one, 0.1, range(400, 800))
    assert (resolved.status, resolved.evidence["resolution"]) == ("resolved", "recovered")
    assert 440 <= resolved.window_end_ms // MINUTE_MS <= 475


@pytest.mark.parametrize("seed", range(4))
def test_a_change_of_half_of_what_it_was_taken_for_does_not_pass_for_a_recovery(seed: int) -> None:
    one = alert()
    found(one, drift(0.1, 0.3))
    assert feed(one, 0.2, range(101, 101 + BASELINE_PANES - 1), seed=seed) == []


def test_a_level_that_stays_for_a_day_is_the_new_baseline() -> None:
    one = alert()
    found(one, drift(0.1, 0.2))
    (resolved,) = feed(one, 0.2, range(101, 101 + BASELINE_PANES))
    assert (resolved.status, resolved.evidence["resolution"]) == ("resolved", "new baseline")


def test_the_way_back_resolves_and_is_no_alert_of_its_own() -> None:
    one = alert()
    (fired,) = found(one, drift(0.1, 0.2))
    (resolved,) = found(one, drift(0.2, 0.11, 300))
    assert (resolved.status, resolved.evidence["resolution"]) == ("resolved", "reversed")
    assert resolved.fingerprint == fired.fingerprint


def test_part_of_the_way_back_keeps_it_firing() -> None:
    one = alert()
    found(one, drift(0.1, 0.3))
    assert [event.status for event in found(one, drift(0.3, 0.24, 300))] == ["corrected"]
    (resolved,) = found(one, drift(0.24, 0.1, 500))
    assert resolved.status == "resolved"


def test_worse_again_while_it_fires_is_no_second_page_and_back_means_the_first_level() -> None:
    one = alert()
    found(one, drift(0.1, 0.2))
    (corrected,) = found(one, drift(0.2, 0.4, 300))
    assert (corrected.status, corrected.summary) == ("corrected", "fraud 1: error rose from 0.1 to 0.4")
    assert feed(one, 0.2, range(301, 700)) == []
    assert [event.status for event in feed(one, 0.1, range(700, 1000))] == ["resolved"]


def test_worse_after_better_resolves_the_one_and_fires_the_other() -> None:
    one = alert()
    found(one, drift(0.2, 0.1))
    events = found(one, drift(0.1, 0.2, 300))
    assert [(event.status, event.severity) for event in events] == [("resolved", "info"), ("firing", "page")]


def test_signals_found_at_once_are_one_ticket_that_lists_them_largest_first() -> None:
    one = alert()
    (fired,) = found(
        one,
        feature("amount", 0.5, 0.6),
        feature("age", 0.5, 0.8, 130),
        drift(0.0, 0.05, 90, signal="missing", feature="age", segment="country=DE"),
    )
    assert (fired.status, fired.severity, fired.kind) == ("firing", "ticket", "drift")
    assert fired.summary == (
        "fraud 1: feature age rose from 0.5 to 0.8, with feature amount, missing age in country=DE"
    )
    listed = json.loads(str(fired.evidence["signals"]))
    assert [(row["signal"], row["feature"], row.get("segment")) for row in listed] == [
        ("feature", "age", None),
        ("feature", "amount", None),
        ("missing", "age", "country=DE"),
    ]
    assert [(row["before"], row["after"]) for row in listed] == [(0.5, 0.8), (0.5, 0.6), (0.0, 0.05)]
    assert (fired.window_start_ms, fired.value, fired.metric) == (90 * MINUTE_MS, 0.8, "feature")
    assert (fired.feature, fired.segment) == ("", "")


def test_what_drifts_stands_in_no_label() -> None:
    (one,), (other,) = found(alert(), feature("amount", 0.5, 0.6)), found(alert(), feature("age", 0.5, 0.8))
    assert one.labels == {"alertname": "Drift", "model": "fraud", "model_version": "1", "severity": "ticket"}
    assert one.fingerprint == other.fingerprint == fingerprint(one.labels)


def test_a_signal_that_joins_later_is_named_by_a_correction_and_pages_nobody() -> None:
    one = alert()
    (fired,) = found(one, drift(0.1, 0.2))
    (corrected,) = found(one, feature("amount", 0.5, 0.6, 150))
    assert (corrected.status, corrected.corrects) == ("corrected", fired.event_id)
    assert corrected.summary == (
        "fraud 1: feature amount rose from 0.5 to 0.6 too; error rose from 0.1 to 0.2"
    )
    assert corrected.evidence["signals_moved"] == 2
    assert (corrected.severity, corrected.metric, corrected.value) == ("page", "error", 0.2)


@pytest.mark.parametrize(("minutes_later", "name"), [(360, "ErrorDrift"), (362, "Drift")])
def test_a_change_six_hours_away_joins_and_one_further_is_another_alert(
    minutes_later: int, name: str
) -> None:
    one = alert()
    found(one, drift(0.1, 0.2))
    (event,) = found(one, feature("amount", 0.5, 0.6, 101 + minutes_later))
    assert event.labels["alertname"] == name


def test_an_error_that_rose_with_the_features_makes_their_ticket_a_page() -> None:
    one = alert()
    found(one, feature("amount", 0.5, 0.6), feature("age", 0.5, 0.7))
    resolved, fired = found(one, drift(0.1, 0.2, 160))
    assert (resolved.status, resolved.severity) == ("resolved", "ticket")
    assert resolved.evidence["resolution"] == "error drift"
    assert (fired.status, fired.severity) == ("firing", "page")
    assert fired.summary == "fraud 1: error rose from 0.1 to 0.2, with feature age, feature amount"
    assert fired.evidence["signals_moved"] == 3


def test_an_alert_over_several_signals_ends_with_the_last_of_them() -> None:
    one = alert()
    key = SignalKey("feature", "", "amount")
    found(one, drift(0.1, 0.2), feature("amount", 0.5, 0.8))
    assert feed(one, 0.1, range(105, 500)) == []
    assert feed(one, 0.8, range(105, 500), key=key) == []
    (resolved,) = feed(one, 0.5, range(500, 1000), key=key)
    assert (resolved.status, resolved.evidence["resolution"]) == ("resolved", "recovered")
    assert resolved.summary.endswith("; so have 1 more signals")


def test_segments_and_examples_stand_in_the_evidence() -> None:
    event = drift(0.1, 0.2, segments={"country=DE": 0.9, "country=FR": 0.1}, examples=("a1", "a,2"))
    (fired,) = found(alert(), event)
    assert json.loads(str(fired.evidence["segments"])) == {"country=DE": 0.9, "country=FR": 0.1}
    assert json.loads(str(fired.evidence["examples"])) == ["a1", "a,2"]


def test_the_interval_of_the_event_says_how_large_the_change_is_at_least() -> None:
    one = alert()
    feed(one, 0.1, range(100))
    feed(one, 0.3, range(101, 106), n=1000)
    one.drifted(drift(0.1, 0.3, change_low=0.16, change_high=0.24), withheld=False)
    one.tell(0)
    # 0.1 + 0.16 is 0.26 of 1000.
    assert [event.status for event in one.revised([pane(i, 270.0, 1000) for i in range(101, 106)], 0)] == [
        "corrected"
    ]
    assert [event.status for event in one.revised([pane(i, 250.0, 1000) for i in range(101, 106)], 0)] == [
        "retracted"
    ]


def fired_on(one: DriftAlert) -> AlertEvent:
    for i in range(100):
        one.fed(pane(i, 100.0, 1000))
    for i in range(101, 106):
        one.fed(pane(i, 200.0, 1000))
    one.drifted(drift(0.1, 0.2, change_low=0.05, change_high=0.15), withheld=False)
    (fired,) = one.tell(105 * MINUTE_MS)
    return fired


def test_a_change_that_late_labels_take_away_is_retracted_and_its_way_back_is_no_improvement() -> None:
    one = alert()
    fired = fired_on(one)
    (retracted,) = one.revised([pane(i, 110.0, 1000) for i in range(101, 106)], 500 * MINUTE_MS)
    assert (retracted.status, retracted.corrects) == ("retracted", fired.event_id)
    assert retracted.value == pytest.approx(0.11)
    assert retracted.evidence["told_after"] == 0.2
    assert retracted.summary == (
        "fraud 1: by the labels known now error rose from 0.1 to 0.11, no change that could be told"
    )
    assert found(one, drift(0.2, 0.1, 300)) == []


def test_a_change_of_another_size_is_corrected_and_a_few_labels_are_not_worth_an_event() -> None:
    one = alert()
    fired = fired_on(one)
    assert one.revised([pane(101, 190.0, 1000)], 500 * MINUTE_MS) == []
    (corrected,) = one.revised([pane(i, 170.0, 1000) for i in range(101, 106)], 500 * MINUTE_MS)
    assert (corrected.status, corrected.corrects) == ("corrected", fired.event_id)
    assert corrected.value == pytest.approx(0.17)
    assert one.revised([pane(1, 1000.0, 1000, SignalKey("error", "country=DE"))], 0) == []


def test_what_moved_beside_a_retracted_error_is_a_ticket_from_then_on() -> None:
    one = alert()
    fired_on(one)
    found(one, feature("amount", 0.5, 0.6))
    retracted, ticket = one.revised([pane(i, 100.0, 1000) for i in range(101, 106)], 500 * MINUTE_MS)
    assert (retracted.status, retracted.severity) == ("retracted", "page")
    assert (ticket.status, ticket.severity, ticket.metric) == ("firing", "ticket", "feature")


def test_a_resolved_drift_is_still_retracted_when_its_panes_turn_out_right() -> None:
    one = alert()
    fired = fired_on(one)
    (resolved,) = feed(one, 0.1, range(106, 600))
    (retracted,) = one.revised([pane(i, 100.0, 1000) for i in range(101, 106)], 700 * MINUTE_MS)
    assert (resolved.status, retracted.status) == ("resolved", "retracted")
    assert retracted.corrects == fired.event_id


AFTER_FIRING = {
    None: {"firing"},
    "firing": {"corrected", "resolved", "retracted"},
    "resolved": {"firing", "corrected", "retracted"},
    "retracted": {"firing"},
}


@given(st.data())
def test_whatever_comes_nothing_fires_twice_and_the_last_word_agrees_with_the_labels(
    data: st.DataObject,
) -> None:
    one = alert()
    events = [fired_on(one)]
    wrong = {**dict.fromkeys(range(100), 100.0), **dict.fromkeys(range(101, 106), 200.0)}
    fed_until = 106
    for _ in range(data.draw(st.integers(1, 8))):
        kind = data.draw(st.sampled_from(["revise", "revise", "feature", "feed"]))
        if kind == "feature":
            events += found(one, feature("amount", 0.5, data.draw(st.sampled_from([0.3, 0.7]))))
            continue
        if kind == "feed":
            until = fed_until + data.draw(st.integers(1, 200))
            events += feed(one, 0.1, range(fed_until, until), n=1000)
            fed_until = until
            continue
        first = data.draw(st.sampled_from([60, 101]))
        changed = dict.fromkeys(
            range(first, data.draw(st.integers(first + 1, first + 5))),
            data.draw(st.sampled_from([80.0, 100.0, 140.0, 160.0, 200.0, 260.0])),
        )
        wrong |= changed
        events += one.revised([pane(i, rate, 1000) for i, rate in changed.items()], 0)
        size = np.mean([wrong[i] for i in range(101, 106)]) / 1000
        size -= np.mean([wrong[i] for i in range(100)]) / 1000
        last = [event for event in events if event.severity == "page" and event.metric == "error"][-1]
        if last.status == "retracted":
            break
        told = float(str(last.evidence["after"])) - float(str(last.evidence["before"]))
        assert size >= 0.05 - 1e-9
        assert abs(size - told) <= 0.1 * told + 1e-9
    assert len({event.event_id for event in events}) == len(events)
    states: dict[str, str] = {}
    for event in events:
        name = event.labels["alertname"]
        assert event.status in AFTER_FIRING[states.get(name)]
        assert (event.corrects is None) == (event.status in ("firing", "resolved"))
        if event.status != "corrected":
            states[name] = event.status
