"""An alert event in the form of each kind of target; pure."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from string import Template
from typing import Any, Literal

from aftcast.configuration import ALERT_NAMES
from schemas.findings import AlertEvent
from schemas.messages import alert_document

Kind = Literal["alertmanager", "slack", "pagerduty", "cloudevents"]
Body = dict[str, Any] | list[dict[str, Any]]

# How long Alertmanager keeps an alert firing that nobody sends again. Sixty times the interval in which it
# is sent: an update of the forwarder must not resolve a page.
HOLD_MS = 3_600_000
PAGERDUTY_URL = "https://events.pagerduty.com/v2/enqueue"
SEVERITIES = {"page": "critical", "ticket": "warning", "info": "info"}  # as PagerDuty names them
COLOURS = {"page": "#c0392b", "ticket": "#d68910", "info": "#2e86c1"}
OVER = "#1e8449"
SUMMARY_LIMIT = 1_024  # characters, PagerDuty's
TEXT_LIMIT = 3_000  # Slack cuts at 40,000; nobody reads that
DETAIL_LIMIT = 2_000  # per value: with a hundred of them an event stays below PagerDuty's 512,000 bytes
DETAILS = 100

TEXTS: dict[Kind, str] = {
    "alertmanager": "$summary",
    "slack": "$status ($severity): $summary",
    "pagerduty": "$summary",
    "cloudevents": "$summary",
}
_TIMES = frozenset({"window_start", "window_end", "started_at", "timestamp"})


def time_text(time_ms: int) -> str:
    """Return RFC 3339 with milliseconds, in UTC.

    Examples
    --------
    >>> time_text(1_767_225_600_250)
    '2026-01-01T00:00:00.250Z'
    """
    moment = datetime.fromtimestamp(time_ms / 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{time_ms % 1000:03d}Z"


def text_of(alert: AlertEvent, template: str) -> str:
    document = alert_document(alert)
    values = {
        name: time_text(document[name]) if name in _TIMES else _shown(document[name]) for name in ALERT_NAMES
    }
    return Template(template).safe_substitute(values)


def _shown(value: Any) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def alertmanager(alert: AlertEvent, firing: bool, text: str, now_ms: int) -> Body | None:
    """Return a postable alert of Alertmanager's API v2, None where there is nothing to tell it.

    It goes by its own clock: what fires ends an hour from now unless sent again, what is over ends now.
    """
    if alert.status == "corrected" and not firing:
        return None
    starts_ms = min(alert.started_at_ms, now_ms)
    annotations = {
        "summary": text,
        "runbook_url": alert.runbook_url,
        "value": _shown(alert.value),
        "threshold": _shown(alert.threshold),
        "status": alert.status,
        "window_start": time_text(alert.window_start_ms),
        "window_end": time_text(alert.window_end_ms),
        "event_id": alert.event_id,
    }
    return [
        {
            "labels": {name: value for name, value in alert.labels.items() if value},
            "annotations": {name: value for name, value in annotations.items() if value},
            "startsAt": time_text(starts_ms),
            "endsAt": time_text(now_ms + HOLD_MS if firing else now_ms),
        }
    ]


def slack(alert: AlertEvent, firing: bool, text: str, _now_ms: int) -> Body | None:
    """Return a message for a Slack-compatible webhook; what could mention people or link is escaped."""
    fields = {"model": alert.model, "version": alert.model_version, "segment": alert.segment}
    colour = COLOURS[alert.severity] if firing else OVER
    message = _escaped(text[:TEXT_LIMIT])
    return {
        "text": message,
        "attachments": [
            {
                "color": colour,
                "fallback": message,
                "fields": [
                    {"title": title, "value": _escaped(value[:DETAIL_LIMIT]), "short": True}
                    for title, value in fields.items()
                    if value
                ],
                "footer": _escaped(alert.runbook_url[:DETAIL_LIMIT]) or f"aftcast {alert.fingerprint}",
                "ts": alert.timestamp_ms // 1000,
            }
        ],
    }


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def pagerduty(alert: AlertEvent, firing: bool, text: str, _now_ms: int) -> Body | None:
    """Return an event of PagerDuty's Events API v2 without its routing key; None as for Alertmanager."""
    if not firing:
        if alert.status == "corrected":
            return None
        return {"event_action": "resolve", "dedup_key": alert.fingerprint}
    details = {**alert.labels, **alert.evidence, "event_id": alert.event_id, "status": alert.status}
    payload = {
        "summary": text[:SUMMARY_LIMIT] or alert.rule,
        "source": alert.model[:DETAIL_LIMIT] or "aftcast",
        "severity": SEVERITIES[alert.severity],
        "timestamp": time_text(alert.timestamp_ms),
        "component": alert.model_version[:DETAIL_LIMIT],
        "group": alert.segment[:DETAIL_LIMIT],
        "class": alert.kind,
        "custom_details": {
            name: value[:DETAIL_LIMIT] if isinstance(value, str) else value
            for name, value in list(details.items())[:DETAILS]
        },
    }
    event: dict[str, Any] = {
        "event_action": "trigger",
        "dedup_key": alert.fingerprint,
        "client": "aftcast",
        "payload": {name: value for name, value in payload.items() if value != ""},
    }
    if alert.runbook_url.startswith(("http://", "https://")):  # a path is refused as a link
        event["links"] = [{"href": alert.runbook_url, "text": "runbook"}]
    return event


def cloudevents(alert: AlertEvent, _firing: bool, text: str, _now_ms: int) -> Body | None:
    """Return a CloudEvent 1.0 in structured mode; ``data`` is the alert as it stands on the topic."""
    return {
        "specversion": "1.0",
        "id": alert.event_id,
        "source": "/aftcast",
        "type": f"aftcast.alert.{alert.status}",
        "subject": alert.fingerprint,
        "time": time_text(alert.timestamp_ms),
        "datacontenttype": "application/json",
        "data": {**alert_document(alert), "summary": text},
    }


BODIES: Mapping[Kind, Callable[[AlertEvent, bool, str, int], Body | None]] = {
    "alertmanager": alertmanager,
    "slack": slack,
    "pagerduty": pagerduty,
    "cloudevents": cloudevents,
}
CONTENT_TYPES: Mapping[Kind, str] = {
    "alertmanager": "application/json",
    "slack": "application/json",
    "pagerduty": "application/json",
    "cloudevents": "application/cloudevents+json; charset=utf-8",
}


class Firing:
    """Which alerts fire, by the events of one partition of the topic."""

    def __init__(self) -> None:
        self.alerts: dict[str, AlertEvent] = {}

    def take(self, alert: AlertEvent) -> bool:
        """Apply an event and return whether its alert fires now; a correction leaves that as it was."""
        known = alert.fingerprint in self.alerts
        if alert.status == "firing" or (alert.status == "corrected" and known):
            self.alerts[alert.fingerprint] = alert
            return True
        if alert.status in ("resolved", "retracted"):
            self.alerts.pop(alert.fingerprint, None)
        return False
