"""What a model's life looks like to the monitor: tasks, drift behind late labels, silence, corrections."""

from dataclasses import replace

import numpy as np
import pytest
from pane_rows import HOUR_MS, MINUTE_MS, T0, batch, numbers, reached, row

from schemas.findings import AlertEvent, DriftEvent, ModelState
from schemas.settings import DetectorSettings, ModelSettings, MonitorSettings, RuleSettings
from streams.monitor import Monitor

PLAIN = MonitorSettings(maturity_horizon_ms=10 * MINUTE_MS)
LOW = RuleSettings("accuracy-low", "accuracy", below=0.9, window_ms=10 * MINUTE_MS, min_labelled=100)


def minute(i: float) -> int:
    return T0 + int(i * MINUTE_MS)


def test_late_labels_raise_no_false_alarm_in_14_days_and_a_true_change_is_found_in_the_hour() -> None:
    """Errors are labelled after about an hour, right answers after twelve; there is day and night."""
    rng = np.random.default_rng(11)
    horizon_ms, days, width = 24 * HOUR_MS, 14, 2  # minutes: a monitor takes its time by the pane
    an_hour, a_day, change = 60 // width, 1440 // width, 10 * 1440 // width
    monitor = Monitor(MonitorSettings(maturity_horizon_ms=horizon_ms, pane_width_ms=width * MINUTE_MS))
    panes = np.arange(days * a_day)
    traffic = rng.poisson(6.6 * width * (1 + 0.9 * np.sin(2 * np.pi * panes / a_day)))
    wrong = rng.binomial(traffic, np.where(panes < change, 0.10, 0.20))
    early_wrong = rng.binomial(wrong, 1 - np.exp(-1.0))  # an hour after the pane
    early_right = rng.binomial(traffic - wrong, 1 - np.exp(-1 / 12))
    in_time = rng.binomial(traffic - wrong, 1 - np.exp(-24 / 12))  # of the right ones, before the horizon
    drifts: list[DriftEvent] = []
    for hour in range(days * 24 + 1):
        rows = []
        for i in range(an_hour * hour, min(an_hour * hour + an_hour, len(panes))):
            labelled = int(early_wrong[i] + early_right[i])
            of_pane = {"n": int(traffic[i]), "labelled": labelled, "wrong": int(early_wrong[i])}
            rows.append(row(minute(width * i), **of_pane))
        for i in range(max(0, an_hour * (hour - 23)), an_hour * (hour - 22)):
            labelled = int(wrong[i] + max(in_time[i], early_right[i]))
            of_pane = {"n": int(traffic[i]), "labelled": labelled, "wrong": int(wrong[i])}
            rows.append(row(minute(width * i), **of_pane, revision=2))
        if rows:
            monitor.absorb(batch(*rows))
        drifts += monitor.advance([reached(T0 + (hour + 1) * HOUR_MS)]).drifts
    (drift,) = drifts
    change_ms = minute(width * change)
    assert change_ms < drift.detected_at_ms - horizon_ms <= change_ms + HOUR_MS
    assert abs(drift.change_start_ms - change_ms) <= HOUR_MS
    assert drift.before < 0.13 < drift.after


def test_a_model_is_told_once_when_it_drifts_and_once_when_it_recovers() -> None:
    rng = np.random.default_rng(2)
    monitor = Monitor(PLAIN)
    alerts: list[AlertEvent] = []
    for i in range(1000):
        rate = 0.3 if 300 <= i < 600 else 0.05
        monitor.absorb(batch(row(minute(i), n=100, wrong=int(rng.binomial(100, rate)))))
        alerts += monitor.advance([reached(minute(i + 1))]).alerts
    assert [(alert.status, alert.kind) for alert in alerts] == [("firing", "drift"), ("resolved", "drift")]
    assert minute(310) < alerts[0].timestamp_ms <= minute(325)  # a quarter of an hour, and the horizon
    assert minute(610) < alerts[1].timestamp_ms <= minute(690)


@pytest.mark.parametrize("seed", range(8))
def test_a_change_found_in_few_labels_that_turns_out_smaller_does_not_pass_for_a_recovery(
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    monitor = Monitor(PLAIN)
    monitor.absorb(
        batch(
            *(row(minute(i), n=7, wrong=int(rng.binomial(7, 0.2 if i >= 1000 else 0.1))) for i in range(2200))
        )
    )
    drift_alerts = [a for a in monitor.advance([reached(minute(2200))]).alerts if a.kind == "drift"]
    assert [alert.status for alert in drift_alerts] == ["firing"]


def test_a_regression_is_told_by_its_doubles_and_its_drift_by_absolute_errors() -> None:
    rng = np.random.default_rng(3)
    monitor = Monitor(PLAIN)
    drifts: list[DriftEvent] = []
    for i in range(400):
        monitor.absorb(batch(numbers(minute(i), rng.normal(0, 2.0 if i >= 300 else 1.0, 50))))
        drifts += monitor.advance([reached(minute(i + 1))]).drifts
    assert monitor.models() == {("fraud", "1"): "regression"}
    (drift,) = drifts
    assert (drift.before, drift.after) == pytest.approx((0.8, 1.6), rel=0.1)


def test_drifts_do_not_alert_in_maintenance_but_are_recorded() -> None:
    monitor = Monitor(PLAIN)
    monitor.absorb_lifecycle("fraud", "", minute(290), "maintenance_started")
    monitor.absorb_lifecycle("fraud", "", minute(400), "maintenance_ended")
    monitor.absorb(batch(*(row(minute(i), n=100, wrong=30 if i >= 300 else 5) for i in range(500))))
    findings = monitor.advance([reached(minute(500))])
    assert len(findings.drifts) == 1
    assert findings.alerts == ()


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (replace(LOW, metric="acuracy"), r"^rule accuracy-low: metric must be one of .*; got 'acuracy'$"),
        (replace(LOW, below=None), r"^rule accuracy-low: give one of below and above; got None and None$"),
        (replace(LOW, above=1.0), r"^rule accuracy-low: give one of below and above; got 0.9 and 1.0$"),
        (replace(LOW, window_ms=0), r"^rule accuracy-low: window must be above 0; got 0 ms$"),
    ],
)
def test_rules_that_could_never_speak_are_refused(rule: RuleSettings, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Monitor(MonitorSettings(rules=(rule,)))


def test_a_detector_that_river_does_not_have_is_refused_before_the_first_row() -> None:
    with pytest.raises(ValueError, match=r"^detector must be one of ADWIN, "):
        Monitor(MonitorSettings(detectors=(DetectorSettings("ADWNI"),)))


def test_what_is_told_in_maintenance_says_so_and_nothing_after_it_does() -> None:
    monitor = Monitor(MonitorSettings(maturity_horizon_ms=0, rules=(LOW,)))
    monitor.absorb(batch(*(row(minute(i), n=100, wrong=50 if 10 <= i < 40 else 2) for i in range(120))))
    (fired, *_) = monitor.advance([reached(minute(20))]).alerts
    assert (fired.status, "maintenance_since" in fired.evidence) == ("firing", False)
    # Of the whole model; the one of another model is no matter.
    monitor.absorb_lifecycle("fraud", "", minute(30), "maintenance_started")
    monitor.absorb_lifecycle("price", "", minute(1), "maintenance_started")
    told = [alert for alert in monitor.advance([reached(minute(90))]).alerts if alert.kind == "threshold"]
    assert [(alert.status, alert.evidence.get("maintenance_since")) for alert in told] == [
        ("resolved", minute(30))
    ]
    assert told[0].summary.endswith("; in maintenance")
    assert told[0].fingerprint == fired.fingerprint
    monitor.absorb_lifecycle("fraud", "", minute(95), "maintenance_ended")
    monitor.absorb(batch(*(row(minute(i), n=100, wrong=50) for i in range(120, 160))))
    again = [alert for alert in monitor.advance([reached(minute(160))]).alerts if alert.status == "firing"]
    assert [alert.evidence.get("maintenance_since") for alert in again if alert.kind == "threshold"] == [None]


def test_an_alert_names_what_was_done_to_the_model_shortly_before() -> None:
    monitor = Monitor(MonitorSettings(maturity_horizon_ms=0, rules=(LOW,)))
    monitor.absorb_lifecycle("fraud", "1", minute(95), "deployed")
    monitor.absorb_lifecycle("fraud", "1", minute(20), "promoted")
    monitor.absorb_lifecycle("price", "7", minute(99), "deployed")
    monitor.absorb(batch(*(row(minute(i), n=100, wrong=40 if i >= 100 else 2) for i in range(120))))
    fired = [a for a in monitor.advance([reached(minute(120))]).alerts if a.status == "firing"]
    assert {alert.kind for alert in fired} == {"threshold", "drift"}
    assert {alert.evidence.get("lifecycle") for alert in fired} == {"deployed 1"}
    assert all(alert.summary.endswith("; deployed 1 shortly before") for alert in fired)


def states(monitor: Monitor, until: float) -> list[ModelState]:
    return list(monitor.advance([reached(minute(until))]).states)


def longs(i: int, classes: int, n: int) -> dict[str, object]:
    predicted = {str(k): n // classes for k in range(classes)}
    return row(minute(i), n=n, labelled=0, strings=0, longs=n, predicted=predicted)


def test_task_is_provisional_below_1000_predictions_and_decided_for_good_at_1000() -> None:
    monitor = Monitor(PLAIN)
    monitor.absorb(batch(longs(0, 2, 500)))
    assert [state.task for state in states(monitor, 1)] == ["binary"]
    monitor.absorb(batch(longs(1, 20, 480)))
    assert [state.task for state in states(monitor, 2)] == ["multiclass"]
    monitor.absorb(batch(longs(2, 20, 20)))
    states(monitor, 3)
    monitor.absorb(batch(longs(3, 200, 1000)))
    assert [state.task for state in states(monitor, 4)] == ["multiclass"]


def test_task_of_the_configuration_is_said_from_the_first_pane() -> None:
    monitor = Monitor(MonitorSettings(models={"fraud": ModelSettings(task="regression")}))
    monitor.absorb(batch(longs(0, 2, 10)))
    assert [state.task for state in states(monitor, 1)] == ["regression"]


def test_a_state_is_announced_when_it_changes_only() -> None:
    monitor = Monitor(PLAIN)
    monitor.absorb(batch(row(minute(0), n=10)))
    (state,) = states(monitor, 11.2)
    assert (state.mature_until_ms, state.as_of_ms) == (minute(1), minute(11.2))
    assert states(monitor, 11.9) == []
    assert [state.mature_until_ms for state in states(monitor, 12)] == [minute(2)]


def test_a_rule_on_mature_waits_for_the_horizon_and_one_on_all_for_enough_labels_only() -> None:
    early = RuleSettings("early", "accuracy", below=0.9, window_ms=10 * MINUTE_MS, on="all")
    monitor = Monitor(MonitorSettings(maturity_horizon_ms=60 * MINUTE_MS, rules=(LOW, early)))
    fired = {}
    for i in range(120):
        monitor.absorb(batch(row(minute(i), n=50, labelled=0)))
        if i >= 3:  # labels come three minutes later
            monitor.absorb(batch(row(minute(i - 3), n=50, wrong=20, revision=2)))
        for alert in monitor.advance([reached(minute(i + 1))]).alerts:
            if alert.kind == "threshold":
                fired[alert.rule] = (alert.timestamp_ms - T0) // MINUTE_MS
    assert fired == {"early": 5, "accuracy-low": 62}


def test_late_labels_retract_an_alert_whose_window_was_right() -> None:
    monitor = Monitor(MonitorSettings(maturity_horizon_ms=10 * MINUTE_MS, rules=(LOW,)))
    alerts: list[AlertEvent] = []
    for i in range(120):
        monitor.absorb(batch(row(minute(i), n=100, labelled=40, wrong=39 if i == 70 else 1)))
        if i == 95:
            monitor.absorb(batch(row(minute(70), n=100, labelled=100, wrong=1, revision=2)))
        alerts += monitor.advance([reached(minute(i + 1))]).alerts
    threshold = [alert for alert in alerts if alert.kind == "threshold"]
    assert [alert.status for alert in threshold] == ["firing", "retracted"]
    assert threshold[1].corrects == threshold[0].event_id
    assert threshold[1].timestamp_ms == minute(96)


def test_segments_that_a_rule_asks_for_are_judged_on_their_own() -> None:
    rule = RuleSettings("germany", "accuracy", below=0.9, window_ms=10 * MINUTE_MS, segment="country=DE")
    monitor = Monitor(MonitorSettings(maturity_horizon_ms=0, rules=(rule,)))
    for i in range(20):
        monitor.absorb(
            batch(
                row(minute(i), n=100, wrong=5),
                row(minute(i), n=20, wrong=10, segment="country=DE"),
                row(minute(i), n=20, wrong=20, segment="country=FR"),
            )
        )
    (alert,) = monitor.advance([reached(minute(20))]).alerts
    assert (alert.segment, alert.labels["segment"]) == ("country=DE", "country=DE")
    assert list(monitor.windows("fraud", "1", "country=FR", HOUR_MS)) == []


def silent(monitor: Monitor, until: float, *, caught_up: bool = True) -> list[tuple[str, str, str]]:
    findings = monitor.advance([reached(minute(until), caught_up=caught_up)])
    return [(alert.status, alert.model_version, alert.severity) for alert in findings.alerts]


def traffic(monitor: Monitor, minutes: range, version: str = "1") -> None:
    monitor.absorb(batch(*(row(minute(i), n=20, version=version) for i in minutes)))


def test_a_silent_model_is_told_once_and_again_when_it_speaks() -> None:
    monitor = Monitor(PLAIN)
    traffic(monitor, range(60))
    assert silent(monitor, 74.9) == []
    assert silent(monitor, 75) == [("firing", "", "page")]
    assert silent(monitor, 200) == []
    traffic(monitor, range(200, 201))
    assert silent(monitor, 201) == [("resolved", "", "page")]


def test_a_lagging_worker_is_no_silence() -> None:
    monitor = Monitor(PLAIN)
    traffic(monitor, range(60))
    assert silent(monitor, 100, caught_up=False) == []
    assert silent(monitor, 101) == [("firing", "", "page")]


def test_a_version_that_falls_silent_beside_another_is_a_ticket_and_not_the_models_silence() -> None:
    monitor = Monitor(PLAIN)
    traffic(monitor, range(60))
    traffic(monitor, range(120), version="2")
    assert silent(monitor, 120) == [("firing", "1", "ticket")]


def test_a_retired_version_is_not_missed() -> None:
    monitor = Monitor(PLAIN)
    monitor.absorb_lifecycle("fraud", "1", minute(61), "retired")
    traffic(monitor, range(60))
    traffic(monitor, range(120), version="2")
    assert silent(monitor, 120) == []


def test_silence_counts_from_the_end_of_maintenance() -> None:
    monitor = Monitor(PLAIN)
    traffic(monitor, range(60))
    monitor.absorb_lifecycle("fraud", "", minute(59), "maintenance_started")
    assert silent(monitor, 100) == []
    monitor.absorb_lifecycle("fraud", "", minute(100), "maintenance_ended")
    assert silent(monitor, 114) == []
    assert silent(monitor, 115) == [("firing", "", "page")]


def test_a_version_that_is_gone_for_good_leaves_nothing_firing() -> None:
    monitor = Monitor(MonitorSettings(maturity_horizon_ms=0, rules=(LOW,)))
    monitor.absorb(batch(*(row(minute(i), n=100, wrong=50) for i in range(20))))
    fired = monitor.advance([reached(minute(20))]).alerts
    gone = monitor.advance([reached(minute(20 + 3 * 1440), caught_up=False)]).alerts
    assert [(alert.status, alert.kind) for alert in fired] == [("firing", "threshold")]
    assert [(alert.status, alert.evidence.get("resolution")) for alert in gone] == [
        ("resolved", "no traffic")
    ]
    traffic(monitor, range(20))  # rows below the floor, sent again
    assert monitor.advance([reached(minute(21 + 3 * 1440), caught_up=False)]).states == ()


def aged(i: int, labelled: int, **more: object) -> dict[str, object]:
    """A pane of 100 answers, one in twenty wrong, whose labels are each half a minute old."""
    wrong = labelled // 20
    bins = [0] * 19 + [labelled - wrong]
    ages = {"age_hits": {"ok": bins}, "age_misses": {"ok": [0] * 19 + [wrong]}}
    return row(minute(i), n=100, labelled=labelled, wrong=wrong, **(ages | more))


def test_a_label_outage_holds_the_frontier_is_told_once_and_resolved_when_labels_come() -> None:
    monitor = Monitor(PLAIN)
    alerts: list[AlertEvent] = []
    seen: dict[str, int] = {}
    for i in range(420):
        dry = 240 <= i < 300
        # In the outage nothing but errors is labelled: fed, they would be a drift.
        monitor.absorb(batch(aged(i, 100) if not dry else row(minute(i), n=100, labelled=10, wrong=10)))
        if i == 320:
            monitor.absorb(batch(*(aged(late, 100, revision=2) for late in range(240, 300))))
        findings = monitor.advance([reached(minute(i + 1))])
        alerts += findings.alerts
        assert findings.drifts == ()
        for state in findings.states:
            seen.setdefault(state.maturity, i)
    assert [(alert.kind, alert.status) for alert in alerts] == [
        ("labels_late", "firing"),
        ("labels_late", "resolved"),
    ]
    fired, resolved = alerts
    assert (fired.window_start_ms, fired.timestamp_ms) == (minute(240), minute(251))
    assert resolved.evidence["resolution"] == "labels came"
    assert minute(320) < resolved.timestamp_ms <= minute(322)
    assert seen["labels_late"] == 250
    assert monitor.mature("fraud", minute(240), minute(300))


def test_panes_whose_labels_never_come_are_skipped_and_never_mature() -> None:
    monitor = Monitor(PLAIN)
    states: list[ModelState] = []
    for hour in range(30):
        rows = [aged(i, 0 if 240 <= i < 300 else 100) for i in range(60 * hour, 60 * hour + 60)]
        monitor.absorb(batch(*rows))
        states += monitor.advance([reached(minute(60 * hour + 60))]).states
    assert states[-1].maturity == "ready"
    assert states[-1].skipped == ((minute(240), minute(300)),)
    assert states[-1].mature_until_ms == minute(30 * 60 - 10)
    assert monitor.mature("fraud", minute(180), minute(240))
    assert not monitor.mature("fraud", minute(239), minute(241))
    assert next(state.expected_coverage for state in states if state.maturity == "labels_late") == 1.0


def test_a_horizon_that_is_learnt_is_announced_and_nothing_is_mature_before() -> None:
    monitor = Monitor(MonitorSettings(learn_horizon=True))
    states: list[ModelState] = []
    for hour in range(28):
        monitor.absorb(batch(*(aged(i, 100) for i in range(60 * hour, 60 * hour + 60))))
        findings = monitor.advance([reached(minute(60 * hour + 60))])
        states += findings.states
        assert not [alert for alert in findings.alerts if alert.kind != "silence"]
    assert (states[0].maturity, states[0].horizon_ms) == ("learning", None)
    first = next(state for state in states if state.maturity == "ready")
    assert minute(24 * 60) <= first.as_of_ms <= minute(26 * 60)
    assert first.horizon_ms is not None
    assert first.horizon_ms < MINUTE_MS
    row_of = monitor.figures("fraud", "1", "", minute(26 * 60), minute(27 * 60))
    assert (row_of["is_mature"], row_of["accuracy_nowcast"]) == (True, 0.95)


def test_a_rule_on_nowcasts_fires_before_the_window_is_mature_once_delay_curves_are_known() -> None:
    """Half of the labels come at once, the rest after two hours; from the fifth hour on a third is wrong."""
    rule = RuleSettings("now", "accuracy", below=0.8, window_ms=HOUR_MS, min_labelled=100, on="nowcast")
    monitor = Monitor(MonitorSettings(maturity_horizon_ms=3 * HOUR_MS, rules=(rule,)))
    fired: list[int] = []

    def pane(i: int, *, all_there: bool) -> dict[str, object]:
        wrong, first = (33 if i >= 1500 else 4), 19
        late = [0] * 51 + [50 - wrong // 2] if all_there else []
        early = [0] * first + [50 - wrong // 2]
        hits = [sum(p) for p in zip(early + [0] * 60, late + [0] * 90, strict=False)]
        missed = wrong // 2 * (2 if all_there else 1)
        misses = [0] * first + [wrong // 2] + ([0] * (50 - first) + [wrong // 2] if all_there else [])
        n = sum(hits) + missed
        ages = {"age_hits": {"ok": hits}, "age_misses": {"ok": misses}}
        return row(minute(i), n=100, labelled=n, wrong=missed, revision=1 + all_there, **ages)

    for hour in range(30):
        rows = [pane(i, all_there=False) for i in range(60 * hour, 60 * hour + 60)]
        old = range(max(0, 60 * (hour - 2)), max(0, 60 * (hour - 1)))
        monitor.absorb(batch(*rows, *(pane(i, all_there=True) for i in old)))
        alerts = monitor.advance([reached(minute(60 * hour + 60))]).alerts
        fired += [alert.window_end_ms for alert in alerts if alert.rule == "now" and alert.status == "firing"]
    assert len(fired) == 1
    assert minute(1500) < fired[0] <= minute(1620)
