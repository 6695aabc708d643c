"""A drift alerts once, and ends when the error recovers, turns round or has become normal."""

import numpy as np
import pytest

from schemas.findings import AlertEvent, DriftEvent
from streams.alerts.drifts import BASELINE_PANES, DriftAlert

MINUTE_MS = 60_000
HORIZON_MS = 60 * MINUTE_MS


def alert() -> DriftAlert:
    return DriftAlert("fraud", "1", "error", pane_width_ms=MINUTE_MS, horizon_ms=HORIZON_MS)


def drift(before: float, after: float, minute: int = 100) -> tuple[DriftEvent, float]:
    event = DriftEvent(
        model="fraud",
        model_version="1",
        segment="",
        feature="",
        signal="error",
        detector="ADWIN",
        detected_at_ms=(minute + 5) * MINUTE_MS + HORIZON_MS,
        change_start_ms=minute * MINUTE_MS,
        change_end_ms=(minute + 1) * MINUTE_MS,
        before=before,
        after=after,
    )
    return event, abs(after - before)


def feed(one: DriftAlert, rate: float, minutes: range, n: int = 50, seed: int = 1) -> list[AlertEvent]:
    rng = np.random.default_rng(seed)
    events: list[AlertEvent] = []
    for i in minutes:
        wrong = float(rng.binomial(n, rate))
        events += one.fed(i * MINUTE_MS, (i + 1) * MINUTE_MS, wrong, wrong, n)
    return events


def test_worse_is_a_page_and_better_is_for_information() -> None:
    (worse,) = alert().drifted(*drift(0.1, 0.2), withheld=False)
    (better,) = alert().drifted(*drift(0.2, 0.1), withheld=False)
    assert (worse.status, worse.kind, worse.severity) == ("firing", "drift", "page")
    assert (better.status, better.severity) == ("firing", "info")
    assert worse.fingerprint != better.fingerprint
    assert worse.timestamp_ms == worse.started_at_ms == 105 * MINUTE_MS + HORIZON_MS
    assert worse.value == 0.2


def test_in_maintenance_a_drift_is_no_alert() -> None:
    one = alert()
    assert one.drifted(*drift(0.1, 0.2), withheld=True) == []
    assert feed(one, 0.1, range(101, 300)) == []


def test_it_is_resolved_when_the_error_has_been_back_for_an_hour() -> None:
    one = alert()
    one.drifted(*drift(0.1, 0.2), withheld=False)
    assert feed(one, 0.2, range(101, 400)) == []
    (resolved,) = feed(one, 0.1, range(400, 800))
    assert (resolved.status, resolved.evidence["resolution"]) == ("resolved", "recovered")
    assert 440 <= resolved.window_end_ms // MINUTE_MS <= 475


@pytest.mark.parametrize("seed", range(4))
def test_a_change_of_half_of_what_it_was_taken_for_does_not_pass_for_a_recovery(seed: int) -> None:
    one = alert()
    one.drifted(*drift(0.1, 0.3), withheld=False)
    assert feed(one, 0.2, range(101, 101 + BASELINE_PANES - 1), seed=seed) == []


def test_a_level_that_stays_for_a_day_is_the_new_baseline() -> None:
    one = alert()
    one.drifted(*drift(0.1, 0.2), withheld=False)
    (resolved,) = feed(one, 0.2, range(101, 101 + BASELINE_PANES))
    assert (resolved.status, resolved.evidence["resolution"]) == ("resolved", "new baseline")


def test_the_way_back_resolves_and_is_no_alert_of_its_own() -> None:
    one = alert()
    (fired,) = one.drifted(*drift(0.1, 0.2), withheld=False)
    (resolved,) = one.drifted(*drift(0.2, 0.11, 300), withheld=False)
    assert (resolved.status, resolved.evidence["resolution"]) == ("resolved", "reversed")
    assert resolved.fingerprint == fired.fingerprint


def test_part_of_the_way_back_keeps_it_firing() -> None:
    one = alert()
    one.drifted(*drift(0.1, 0.3), withheld=False)
    assert one.drifted(*drift(0.3, 0.24, 300), withheld=False) == []
    (resolved,) = one.drifted(*drift(0.24, 0.1, 500), withheld=False)
    assert resolved.status == "resolved"


def test_worse_again_while_it_fires_is_no_second_page_and_back_means_the_first_level() -> None:
    one = alert()
    one.drifted(*drift(0.1, 0.2), withheld=False)
    assert one.drifted(*drift(0.2, 0.4, 300), withheld=False) == []
    assert feed(one, 0.2, range(301, 700)) == []
    assert [event.status for event in feed(one, 0.1, range(700, 1000))] == ["resolved"]


def test_worse_after_better_resolves_the_one_and_fires_the_other() -> None:
    one = alert()
    one.drifted(*drift(0.2, 0.1), withheld=False)
    events = one.drifted(*drift(0.1, 0.2, 300), withheld=False)
    assert [(event.status, event.severity) for event in events] == [("resolved", "info"), ("firing", "page")]
