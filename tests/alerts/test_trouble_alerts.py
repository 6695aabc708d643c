"""What is wrong with the streams is told once for each topic, however many partitions say so."""

from schemas.findings import AlertEvent, Severity, Trouble
from streams.alerts.troubles import Troubles


def told(
    troubles: Troubles, at_ms: int, partition: int, *, over: bool = False, severity: Severity = "page"
) -> list[AlertEvent]:
    text = f"told at {at_ms}"
    troubles.absorb(
        Trouble("partitioner", "label-events", text, at_ms, over, severity, f"partition {partition}")
    )
    return troubles.advance()


def test_several_partitions_are_one_alert_that_resolves_with_the_last_of_them() -> None:
    one = Troubles()
    (fired,) = told(one, 1, 0)
    assert (fired.status, fired.kind, fired.model, fired.severity) == ("firing", "partitioner", "", "page")
    assert fired.labels == {"alertname": "Partitioner", "severity": "page", "subject": "label-events"}
    assert (fired.summary, fired.started_at_ms) == ("told at 1", 1)
    assert told(one, 2, 1) == []
    assert told(one, 3, 0) == []
    assert told(one, 4, 0, over=True) == []
    (resolved,) = told(one, 5, 1, over=True)
    assert (resolved.status, resolved.fingerprint) == ("resolved", fired.fingerprint)
    assert resolved.started_at_ms == 1
    (again,) = told(one, 6, 1)
    assert (again.status, again.event_id != fired.event_id) == ("firing", True)


def test_what_is_over_and_was_never_told_is_no_event() -> None:
    assert told(Troubles(), 1, 0, over=True) == []


def test_news_that_come_late_are_left_aside() -> None:
    one = Troubles()
    assert told(one, 5, 0, over=True) == []
    assert told(one, 4, 0) == []


def test_another_topic_is_another_alert() -> None:
    one = Troubles()
    (first,) = told(one, 1, 0)
    one.absorb(Trouble("partitioner", "inference-events", "told", 1))
    (second,) = one.advance()
    assert second.fingerprint != first.fingerprint


def test_a_trouble_that_gets_worse_fires_with_its_new_severity_and_ends_the_old() -> None:
    one = Troubles()
    (ticket,) = told(one, 1, 0, severity="ticket")
    resolved, page = told(one, 2, 0, severity="page")
    assert (resolved.status, resolved.fingerprint) == ("resolved", ticket.fingerprint)
    assert (page.status, page.severity) == ("firing", "page")
