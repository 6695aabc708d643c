"""When a model is being worked on, or is retired: alerts do not begin to fire then."""

from dataclasses import dataclass, replace

from schemas.findings import AlertEvent


@dataclass(slots=True)
class _Interval:
    start_ms: int
    end_ms: int | None = None


class Maintenance:
    """Intervals between ``maintenance_started`` and ``maintenance_ended``, per model or version."""

    def __init__(self) -> None:
        self._events: dict[tuple[str, str], set[tuple[int, str]]] = {}
        self._service: dict[tuple[str, str], set[tuple[int, bool]]] = {}  # time, whether retired from then on

    def note(self, model: str, model_version: str, timestamp_ms: int, kind: str) -> None:
        """Take in a lifecycle event; they may come twice and in any order, and other kinds are no matter."""
        if kind in ("maintenance_started", "maintenance_ended"):
            self._events.setdefault((model, model_version), set()).add((timestamp_ms, kind))
        elif kind in ("retired", "deployed", "promoted"):
            self._service.setdefault((model, model_version), set()).add((timestamp_ms, kind == "retired"))

    def retired(self, model: str, model_version: str, now_ms: int) -> bool:
        """Return whether the version or its model was retired by now, so that no traffic is no surprise."""
        known = {(model, model_version), (model, "")}
        events = [event for scope in known for event in self._service.get(scope, ()) if event[0] <= now_ms]
        return max(events, default=(0, False))[1]

    def covers(self, model: str, model_version: str, start_ms: int, end_ms: int) -> bool:
        """Return whether any of ``[start_ms, end_ms)`` lies in maintenance of the version or its model."""
        return any(
            interval.start_ms < end_ms and (interval.end_ms is None or interval.end_ms > start_ms)
            for scope in {(model, model_version), (model, "")}
            for interval in self._intervals(scope)
        )

    def name(self, alert: AlertEvent) -> AlertEvent:
        """Return an event told during maintenance with that said: it is silent about all that begins then."""
        since_ms = (
            self.since_ms(alert.model, alert.model_version, alert.timestamp_ms) if alert.model else None
        )
        if since_ms is None:
            return alert
        evidence = alert.evidence | {"maintenance_since": since_ms}
        return replace(alert, summary=f"{alert.summary}; in maintenance", evidence=evidence)

    def since_ms(self, model: str, model_version: str, at_ms: int) -> int | None:
        """Return when the maintenance began that the version or its model is in, None if it is in none."""
        begins = [
            interval.start_ms
            for scope in {(model, model_version), (model, "")}
            for interval in self._intervals(scope)
            if interval.start_ms <= at_ms and (interval.end_ms is None or at_ms < interval.end_ms)
        ]
        return min(begins, default=None)

    def quiet_until_ms(self, model: str, model_version: str, now_ms: int) -> int | None:
        """Return the end of the last maintenance begun by now: ``now_ms`` itself while it lasts."""
        ends = [
            now_ms if interval.end_ms is None else min(interval.end_ms, now_ms)
            for scope in {(model, model_version), (model, "")}
            for interval in self._intervals(scope)
            if interval.start_ms <= now_ms
        ]
        return max(ends, default=None)

    def forget(self, before_ms: int) -> None:
        """Drop intervals that ended before any window that is still looked at."""
        for scope in list(self._events):
            kept = [i for i in self._intervals(scope) if i.end_ms is None or i.end_ms >= before_ms]
            self._events[scope] = {(i.start_ms, "maintenance_started") for i in kept} | {
                (i.end_ms, "maintenance_ended") for i in kept if i.end_ms is not None
            }
            if not kept:
                del self._events[scope]
        for scope, service in self._service.items():
            newest = max((event for event in service if event[0] < before_ms), default=None)
            self._service[scope] = {e for e in service if e[0] >= before_ms or e == newest}

    def _intervals(self, scope: tuple[str, str]) -> list[_Interval]:
        intervals: list[_Interval] = []
        # "maintenance_ended" sorts before "maintenance_started": at the same time one ends, the next begins.
        for timestamp_ms, kind in sorted(self._events.get(scope, ())):
            is_open = bool(intervals) and intervals[-1].end_ms is None
            if kind == "maintenance_started" and not is_open:
                intervals.append(_Interval(timestamp_ms))
            elif kind == "maintenance_ended" and is_open:
                intervals[-1].end_ms = timestamp_ms
        return intervals
