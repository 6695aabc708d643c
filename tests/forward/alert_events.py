"""Alerts for the tests of forwarding."""

from dataclasses import replace
from typing import Any

from schemas.findings import AlertEvent
from streams.alerts.fingerprint import fingerprint

START_MS = 1_767_225_600_000


def alert(status: str = "firing", name: str = "AccuracyLow", /, **changes: Any) -> AlertEvent:
    labels = {"alertname": name, "model": "fraud", "segment": "", "metric": "accuracy", "severity": "page"}
    labels |= changes.pop("labels", {})
    fields: dict[str, Any] = {
        "event_id": f"{name}-{status}",
        "fingerprint": fingerprint({k: v for k, v in labels.items() if v}),
        "status": status,
        "severity": labels["severity"],
        "rule": "accuracy-low",
        "kind": "threshold",
        "model": "fraud",
        "window_start_ms": START_MS,
        "window_end_ms": START_MS + 3_600_000,
        "started_at_ms": START_MS + 3_600_000,
        "timestamp_ms": START_MS + 7_200_000,
        "summary": "fraud: accuracy 0.81 over 1 h",
        "metric": "accuracy",
        "value": 0.81,
        "threshold": 0.9,
        "runbook_url": "https://example.org/runbook",
        "labels": {k: v for k, v in labels.items() if v},
        "evidence": {"labelled": 300},
    }
    return replace(AlertEvent(**fields), **changes)
