"""A threshold alert fires once, resolves once, corrects itself, and does not flap at its bound."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.findings import AlertEvent
from schemas.settings import RuleSettings
from streams.alerts.fingerprint import fingerprint
from streams.alerts.rules import alert_name, concerns, judge
from streams.alerts.thresholds import Threshold

MINUTE_MS = 60_000
RULE = RuleSettings("accuracy-low", "accuracy", below=0.9, window_ms=10 * MINUTE_MS, min_labelled=100)


def figures(accuracy: float | None, labelled: int = 500, **more: Any) -> dict[str, Any]:
    known = {"accuracy": accuracy, "labelled": labelled, "predictions": 1000, "failures": 0, "coverage": 0.5}
    return known | {"is_mature": True} | more


def run(watch: Threshold, values: Iterable[float | None], start: int = 10) -> list[AlertEvent]:
    events = []
    for i, value in enumerate(values, start):
        end_ms = i * MINUTE_MS
        events += watch.evaluate(end_ms, figures(value), end_ms + 5, withheld=False)
    return events


def statuses(events: Iterable[AlertEvent]) -> list[str]:
    return [event.status for event in events]


@pytest.mark.parametrize(
    ("rule", "row", "verdict"),
    [
        (RULE, figures(0.9), "within"),
        (RULE, figures(0.8999), "beyond"),
        (RULE, figures(None), "unknown"),
        (RULE, figures(0.1, labelled=99), "unknown"),
        (RULE, figures(0.1, labelled=100), "beyond"),
        (replace(RULE, below=None, above=0.9), figures(0.9), "within"),
        (replace(RULE, below=None, above=0.9), figures(0.9001), "beyond"),
        (
            replace(RULE, metric="latency_p99_ms", below=None, above=50),
            figures(None, 0, latency_p99_ms=51),
            "beyond",
        ),
        (replace(RULE, metric="coverage"), figures(None, 0, coverage=0.0), "beyond"),
        (
            replace(RULE, on="nowcast"),
            figures(0.5, accuracy_nowcast_low=0.5, accuracy_nowcast_high=0.9),
            "within",
        ),
        (
            replace(RULE, on="nowcast"),
            figures(0.5, accuracy_nowcast_low=0.5, accuracy_nowcast_high=0.89),
            "beyond",
        ),
        (
            replace(RULE, on="nowcast"),
            figures(0.5, accuracy_nowcast_low=None, accuracy_nowcast_high=None),
            "unknown",
        ),
    ],
)
def test_verdict_at_the_bound_and_one_past_it(rule: RuleSettings, row: dict[str, Any], verdict: str) -> None:
    assert judge(rule, row)[0] == verdict


def test_patterns_and_segments_choose_what_a_rule_looks_at() -> None:
    assert concerns(RULE, "any", "")
    assert not concerns(RULE, "any", "country=DE")
    assert concerns(replace(RULE, model="fraud-*", segment="country=DE"), "fraud-eu", "country=DE")
    assert not concerns(replace(RULE, model="fraud-*"), "price", "")


def test_alert_names_are_in_camel_case() -> None:
    assert [alert_name(name) for name in ("accuracy-low", "p99 latency", "F1_macro")] == [
        "AccuracyLow",
        "P99Latency",
        "F1Macro",
    ]


def test_fires_once_and_resolves_once_after_a_whole_window_within_the_bound() -> None:
    watch = Threshold(RULE, "fraud", "1")
    events = run(watch, [0.95] * 3 + [0.85] * 30 + [0.95] * 40)
    assert statuses(events) == ["firing", "resolved"]
    fired, resolved = events
    assert (fired.window_start_ms, fired.window_end_ms) == (3 * MINUTE_MS, 13 * MINUTE_MS)
    assert resolved.window_end_ms == (43 + 10) * MINUTE_MS
    assert fired.started_at_ms == resolved.started_at_ms == fired.timestamp_ms == 13 * MINUTE_MS + 5
    assert fired.fingerprint == resolved.fingerprint == fingerprint(fired.labels)
    assert fired.event_id != resolved.event_id
    assert (fired.value, fired.threshold, fired.metric) == (0.85, 0.9, "accuracy")


def test_labels_say_what_is_wrong_and_never_how_much_or_when() -> None:
    (fired,) = run(Threshold(replace(RULE, segment="country=DE"), "fraud", ""), [0.85])
    assert fired.labels == {
        "alertname": "AccuracyLow",
        "model": "fraud",
        "segment": "country=DE",
        "metric": "accuracy",
        "severity": "page",
    }


def test_a_figure_at_its_bound_does_not_flap() -> None:
    events = run(Threshold(RULE, "fraud", "1"), [0.899, 0.901] * 200)
    assert statuses(events) == ["firing"]


def test_windows_without_a_figure_neither_fire_nor_resolve() -> None:
    watch = Threshold(RULE, "fraud", "1")
    assert statuses(run(watch, [None] * 50)) == []
    assert statuses(run(watch, [0.8] + [None] * 100, start=100)) == ["firing"]


def test_nothing_fires_in_maintenance_and_what_is_still_wrong_fires_after_it() -> None:
    watch = Threshold(RULE, "fraud", "1")
    assert watch.evaluate(10 * MINUTE_MS, figures(0.5), 0, withheld=True) == []
    assert statuses(watch.evaluate(11 * MINUTE_MS, figures(0.5), 0, withheld=False)) == ["firing"]
    assert watch.evaluate(12 * MINUTE_MS, figures(0.5), 0, withheld=True) == []


def test_a_window_that_late_labels_put_right_is_retracted_and_names_what_it_corrects() -> None:
    watch = Threshold(RULE, "fraud", "1")
    (fired,) = run(watch, [0.95, 0.89, 0.95])
    (retracted,) = watch.revise(figures(0.91), 99 * MINUTE_MS)
    assert (retracted.status, retracted.corrects) == ("retracted", fired.event_id)
    assert retracted.value == 0.91
    assert retracted.window_end_ms == fired.window_end_ms
    assert watch.revise(figures(0.88), 99 * MINUTE_MS) == []


def test_a_retracted_alert_fires_again_only_on_a_window_that_shares_nothing_with_the_old_one() -> None:
    watch = Threshold(RULE, "fraud", "1")
    run(watch, [0.95, 0.89, 0.95])  # fired on the window that ends at minute 11
    watch.revise(figures(0.91), 0)
    events = run(watch, [0.85] * 20, start=13)
    assert [(e.status, e.window_end_ms // MINUTE_MS) for e in events] == [("firing", 21)]


def test_a_revised_window_of_an_alert_that_fires_on_is_corrected_not_retracted() -> None:
    watch = Threshold(RULE, "fraud", "1")
    (fired,) = run(watch, [0.89, 0.85, 0.80])
    (corrected,) = watch.revise(figures(0.91), 0)
    assert (corrected.status, corrected.corrects) == ("corrected", fired.event_id)
    assert watch.revise(figures(0.92), 0) == []
    assert statuses(watch.revise(figures(0.89), 0)) == ["corrected"]
    assert statuses(run(watch, [0.95] * 12, start=13)) == ["resolved"]


def test_a_resolved_alert_is_retracted_when_its_window_turns_out_right() -> None:
    watch = Threshold(RULE, "fraud", "1")
    fired, resolved = run(watch, [0.85] * 3 + [0.95] * 20)
    (retracted,) = watch.revise(figures(0.95), 0)
    assert (fired.status, resolved.status, retracted.status) == ("firing", "resolved", "retracted")
    assert retracted.corrects == fired.event_id


@given(
    st.lists(
        st.one_of(st.none(), st.sampled_from([0.8, 0.899, 0.9, 0.95])).flatmap(
            lambda value: st.tuples(st.just(value), st.booleans(), st.sampled_from([None, 0.85, 0.95]))
        ),
        max_size=80,
    )
)
def test_whatever_comes_it_never_fires_while_it_fires_and_no_event_id_comes_twice(steps: list) -> None:
    watch = Threshold(RULE, "fraud", "1")
    events: list[AlertEvent] = []
    for i, (value, withheld, revision) in enumerate(steps, 10):
        events += watch.evaluate(i * MINUTE_MS, figures(value), i * MINUTE_MS, withheld=withheld)
        if revision is not None:
            events += watch.revise(figures(revision), i * MINUTE_MS)
    assert len({event.event_id for event in events}) == len(events)
    is_firing, fired = False, set()
    for event in events:
        if event.status == "firing":
            assert not is_firing
            is_firing = True
            fired.add(event.event_id)
        elif event.status == "resolved":
            assert is_firing
            is_firing = False
        else:
            assert event.corrects in fired
            if event.status == "retracted":
                is_firing = False
