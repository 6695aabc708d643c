"""Labels that stay away, and horizons that are too short, are told once and taken back when it is over."""

from streams.alerts.fingerprint import fingerprint
from streams.alerts.labels import HorizonTooShort, LabelsLate, MissingLabels, ShortHorizon

HOUR_MS = 3_600_000
MISSING = MissingLabels(0, HOUR_MS, coverage=0.1, expected_coverage=0.9, labelled=10, answered=100)
SHORT = ShortHorizon(24 * HOUR_MS, 30 * HOUR_MS, late_share=0.2, since_ms=0, until_ms=HOUR_MS, labelled=5000)


def test_late_labels_fire_once_and_end_when_nothing_is_held() -> None:
    watch = LabelsLate("fraud", "1")
    (fired,) = watch.advance(MISSING, 2 * HOUR_MS)
    assert watch.advance(MISSING, 3 * HOUR_MS) == []
    (resolved,) = watch.advance(None, 4 * HOUR_MS, resolution="skipped")
    assert watch.advance(None, 5 * HOUR_MS) == []
    assert (fired.status, fired.kind, fired.severity) == ("firing", "labels_late", "ticket")
    assert (resolved.status, resolved.evidence["resolution"]) == ("resolved", "skipped")
    assert fired.fingerprint == resolved.fingerprint == fingerprint(fired.labels)
    assert fired.summary == (
        "fraud 1: labels late, 10% labelled where 90% is usual (10 of 100); "
        "error drift is not judged meanwhile"
    )


def test_in_maintenance_late_labels_wait_and_what_is_missing_after_it_fires() -> None:
    watch = LabelsLate("fraud", "")
    assert watch.advance(MISSING, 2 * HOUR_MS, withheld=True) == []
    assert [event.status for event in watch.advance(MISSING, 3 * HOUR_MS)] == ["firing"]


def test_a_horizon_that_is_too_short_is_named_with_the_one_that_would_do() -> None:
    watch = HorizonTooShort("fraud", "1")
    (fired,) = watch.advance(SHORT, 2 * HOUR_MS)
    assert watch.advance(SHORT, 3 * HOUR_MS) == []
    (resolved,) = watch.advance(None, 4 * HOUR_MS)
    assert (fired.kind, fired.severity, resolved.status) == ("horizon_too_short", "ticket", "resolved")
    assert fired.summary == (
        "fraud 1: maturity horizon of 24 h is too short, 20% of the labels come later; 30 h would do"
    )


def test_a_version_that_is_no_longer_watched_leaves_nothing_firing() -> None:
    late, short = LabelsLate("fraud", "1"), HorizonTooShort("fraud", "1")
    late.advance(MISSING, 0)
    short.advance(SHORT, 0)
    assert [event.evidence["resolution"] for event in (*late.give_up(1), *short.give_up(1))] == [
        "no traffic",
        "no traffic",
    ]
    assert late.give_up(2) == []
