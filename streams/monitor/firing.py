"""Which alerts fire, as they were told, and what must be told when a monitor that begins anew differs."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from schemas.findings import AlertEvent
from streams.alerts.fingerprint import event_id

Firing = dict[str, AlertEvent]  # by fingerprint


def note(firing: Firing, alerts: Iterable[AlertEvent]) -> None:
    """Take in alert events in the order in which they are told."""
    for alert in alerts:
        if alert.status == "firing":
            firing[alert.fingerprint] = alert
        elif alert.status in ("resolved", "retracted"):
            firing.pop(alert.fingerprint, None)


def reconciled(told: Mapping[str, AlertEvent], found: Mapping[str, AlertEvent], at: int) -> list[AlertEvent]:
    """Return the events after which ``found`` fires, and nothing else, for whoever was told ``told``.

    Parameters
    ----------
    at
        The offset from which on the new monitor tells: it makes the ids of these events their own.
    """
    events = []
    for name in sorted(told.keys() - found.keys()):
        alert = told[name]
        events.append(
            replace(
                alert,
                event_id=event_id(name, "resolved", alert.window_end_ms, at),
                status="resolved",
                summary=f"{alert.summary}; watched anew, it does not fire any more",
                evidence=alert.evidence | {"resolution": "watched anew"},
            )
        )
    for name in sorted(found.keys() - told.keys()):
        alert = found[name]
        events.append(replace(alert, event_id=event_id(name, "firing", alert.window_end_ms, at)))
    return events
