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
from streams.alerts.rules import alert_name, check, concerns, judge
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


def revise(watch: Threshold, now_ms: int, **values: float | None) -> list[AlertEvent]:
    """Revise windows by the minute at which they end, ``m11=0.91``; the rest are as they were."""
    ends = {int(name[1:]) * MINUTE_MS: value for name, value in values.items()}
    return watch.revise(
        lambda start, end: figures(ends.get(end)),
        lambda start, end: True,
        mature_ms=10**9,
        now_ms=now_ms,
    )


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
        (RULE, figures(0.1, is_mature=False), "unknown"),
        (replace(RULE, on="all"), figures(0.1, is_mature=False), "beyond"),
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
    (retracted,) = revise(watch, 99 * MINUTE_MS, m11=0.91)
    assert (retracted.status, retracted.corrects) == ("retracted", fired.event_id)
    assert (retracted.value, retracted.evidence["told"]) == (0.91, 0.89)
    assert retracted.window_end_ms == fired.window_end_ms
    assert revise(watch, 99 * MINUTE_MS, m11=0.88) == []
    assert not watch.follows


def test_a_retracted_alert_fires_again_only_on_a_window_that_shares_nothing_with_the_old_one() -> None:
    watch = Threshold(RULE, "fraud", "1")
    run(watch, [0.95, 0.89, 0.95])  # fired on the window that ends at minute 11
    revise(watch, 0, m11=0.91)
    events = run(watch, [0.85] * 20, start=13)
    assert [(e.status, e.window_end_ms // MINUTE_MS) for e in events] == [("firing", 21)]


def test_a_window_still_beyond_with_another_figure_is_corrected() -> None:
    watch = Threshold(RULE, "fraud", "1")
    (fired,) = run(watch, [0.89, 0.85, 0.80])
    (corrected,) = revise(watch, 20 * MINUTE_MS, m10=0.88, m11=0.85, m12=0.8)
    assert (corrected.status, corrected.corrects, corrected.value) == ("corrected", fired.event_id, 0.88)
    assert corrected.summary == (
        "fraud 1: accuracy 0.88 over 10 min (500 labelled, 50%; rule accuracy-low: below 0.9); "
        "by the labels known now, 0.89 before"
    )
    assert revise(watch, 20 * MINUTE_MS, m10=0.88) == []


def test_a_figure_that_moves_with_every_label_is_told_at_most_six_times_a_window() -> None:
    watch = Threshold(RULE, "fraud", "1")
    run(watch, [0.85])
    events = [e for i in range(61) for e in revise(watch, 20 * MINUTE_MS + i * 10_000, m10=0.85 + i / 10_000)]
    assert statuses(events) == ["corrected"] * 6
    (last,) = revise(watch, 31 * MINUTE_MS + 40_000, m10=0.8561)
    assert last.value == 0.8561


def test_a_window_put_right_is_retracted_only_when_no_other_of_its_alert_is_beyond() -> None:
    watch = Threshold(RULE, "fraud", "1")
    (fired,) = run(watch, [0.89, 0.85, 0.80])
    (corrected,) = revise(watch, 0, m10=0.91, m11=0.85, m12=0.89)
    assert (corrected.status, corrected.corrects) == ("corrected", fired.event_id)
    assert revise(watch, 0, m10=0.91, m11=0.95, m12=0.89) == []
    assert statuses(revise(watch, 0, m10=0.89, m11=0.95, m12=0.89)) == ["corrected"]
    assert statuses(revise(watch, 0, m10=0.92, m11=0.85, m12=0.89)) == ["corrected"]
    assert statuses(revise(watch, 0, m10=0.92, m11=0.91, m12=0.92)) == ["retracted"]
    assert watch.life.fired is None


def test_a_resolved_alert_is_retracted_when_its_windows_turn_out_right() -> None:
    watch = Threshold(RULE, "fraud", "1")
    fired, resolved = run(watch, [0.85] * 3 + [0.95] * 20)
    (retracted,) = revise(watch, 0, m10=0.95, m11=0.95, m12=0.95, m23=0.95)
    assert (fired.status, resolved.status, retracted.status) == ("firing", "resolved", "retracted")
    assert retracted.corrects == fired.event_id
    assert not watch.follows


def test_a_window_that_resolved_and_turns_out_beyond_is_corrected_and_fires_nothing() -> None:
    watch = Threshold(RULE, "fraud", "1")
    _, resolved = run(watch, [0.85] * 3 + [0.95] * 20)
    (corrected,) = revise(watch, 0, m10=0.85, m23=0.85)
    assert (corrected.status, corrected.corrects) == ("corrected", resolved.event_id)
    assert (corrected.value, corrected.window_end_ms) == (0.85, resolved.window_end_ms)
    assert watch.life.fired is None


def test_an_older_alert_is_corrected_not_retracted_while_a_newer_one_fires() -> None:
    watch = Threshold(RULE, "fraud", "1")
    first, _, second = run(watch, [0.85] + [0.95] * 20 + [0.85] * 5)
    (corrected,) = revise(watch, 0, m10=0.95, m21=0.95, m31=0.85)
    assert (corrected.status, corrected.corrects) == ("corrected", first.event_id)
    assert watch.life.fired is second


def test_windows_whose_panes_are_gone_are_followed_no_more() -> None:
    watch = Threshold(RULE, "fraud", "1")
    run(watch, [0.85])
    watch.forget(1)
    assert not watch.follows


def test_a_rule_on_the_nowcast_fires_by_its_interval_and_is_judged_by_the_truth() -> None:
    watch = Threshold(replace(RULE, on="nowcast"), "fraud", "1")
    young = figures(0.5, accuracy_nowcast=0.8, accuracy_nowcast_low=0.72, accuracy_nowcast_high=0.88)
    (fired,) = watch.evaluate(10 * MINUTE_MS, young, 10 * MINUTE_MS, withheld=False)
    assert fired.evidence["accuracy_nowcast_low"] == 0.72
    truth = dict.fromkeys(("accuracy_nowcast", "accuracy_nowcast_low", "accuracy_nowcast_high"), 0.93)

    def revised(mature_ms: int) -> list[AlertEvent]:
        return watch.revise(
            lambda start, end: figures(0.93, **truth),
            lambda start, end: False,
            mature_ms=mature_ms,
            now_ms=60 * MINUTE_MS,
        )

    assert revised(9 * MINUTE_MS) == []
    (retracted,) = revised(10 * MINUTE_MS)
    assert (retracted.status, retracted.value) == ("retracted", 0.93)


@pytest.mark.parametrize(
    ("metric", "remedy"),
    [("f1", 'on = "mature", or "all" for early figures'), ("latency_p99_ms", 'on = "all"')],
)
def test_a_nowcast_of_another_figure_than_accuracy_is_refused_with_what_would_do(
    metric: str, remedy: str
) -> None:
    check(replace(RULE, on="nowcast"))
    with pytest.raises(
        ValueError, match=f"^rule accuracy-low: .* got '{metric}', for which {remedy} would do$"
    ):
        check(replace(RULE, on="nowcast", metric=metric))


STEPS = st.lists(
    st.tuples(
        st.sampled_from([None, 0.8, 0.899, 0.9, 0.95]),
        st.booleans(),
        st.dictionaries(st.integers(0, 40), st.sampled_from([0.8, 0.85, 0.95]), max_size=12),
    ),
    max_size=60,
)


@given(STEPS)
def test_whatever_comes_it_never_fires_twice_and_its_last_word_agrees_with_the_labels(steps: list) -> None:
    watch = Threshold(RULE, "fraud", "1")
    events: list[AlertEvent] = []
    known: dict[int, float | None] = {}

    def by_now(start_ms: int, end_ms: int) -> dict[str, Any]:
        return figures(known[end_ms])

    for i, (value, withheld, revisions) in enumerate(steps, 10):
        end_ms = i * MINUTE_MS
        known[end_ms] = value
        events += watch.evaluate(end_ms, figures(value), end_ms, withheld=withheld)
        fresh = {(i - back) * MINUTE_MS: figure for back, figure in revisions.items()}
        fresh = {end: figure for end, figure in fresh.items() if end in known and known[end] is not None}
        known.update(fresh)
        if fresh:
            events += watch.revise(
                by_now,
                lambda start, end, fresh=fresh: any(start < one <= end for one in fresh),
                mature_ms=end_ms,
                now_ms=end_ms,
            )
    # Time goes on, so that what was kept back for its pace is told.
    later_ms = (len(steps) + 100) * MINUTE_MS
    events += watch.revise(by_now, lambda *_: False, mature_ms=later_ms, now_ms=later_ms)
    assert len({event.event_id for event in events}) == len(events)
    fires, known_ids, last = False, set(), {}
    for event in events:
        if event.status == "firing":
            assert not fires
        elif event.status == "resolved":
            assert fires
        else:
            assert event.corrects in known_ids
            assert last[event.corrects].status != "retracted"
        if event.status in ("firing", "resolved"):
            known_ids.add(event.event_id)
        fires = event.status == "firing" or (fires and event.status == "corrected")
        last[event.corrects or event.event_id] = event
    retracted = {event.started_at_ms for event in last.values() if event.status == "retracted"}
    for event in last.values():
        if event.status == "retracted":
            assert (known[event.window_end_ms] or 0.0) >= 0.9 or event.value >= 0.9
        elif event.started_at_ms not in retracted:
            assert event.value == known[event.window_end_ms]
