"""What was done to a model, named in alerts that begin near it."""

from dataclasses import replace

from schemas.findings import AlertEvent
from schemas.settings import HOUR_MS

NEAR_MS = HOUR_MS  # before the window of the alert, or the change


class Happenings:
    """Lifecycle events of every kind, looked up when an alert begins to fire."""

    def __init__(self) -> None:
        self._events: dict[str, set[tuple[int, str, str]]] = {}

    def note(self, model: str, model_version: str, timestamp_ms: int, kind: str) -> None:
        self._events.setdefault(model, set()).add((timestamp_ms, kind, model_version))

    def name(self, alert: AlertEvent) -> AlertEvent:
        """Return the alert with the last event near its begin in summary and evidence, if there is one."""
        if alert.status != "firing":
            return alert
        start_ms, end_ms = alert.window_start_ms - NEAR_MS, alert.window_end_ms
        near = [e for e in self._events.get(alert.model, ()) if start_ms <= e[0] < end_ms]
        if not near:
            return alert
        timestamp_ms, kind, version = max(near)
        what = f"{kind} {version}".strip()
        return replace(
            alert,
            summary=f"{alert.summary}; {what} shortly before",
            evidence=alert.evidence | {"lifecycle": what, "lifecycle_at": timestamp_ms},
        )

    def forget(self, before_ms: int) -> None:
        """Drop events that no window reaches any more."""
        for model, events in list(self._events.items()):
            self._events[model] = {event for event in events if event[0] >= before_ms - NEAR_MS}
            if not self._events[model]:
                del self._events[model]
