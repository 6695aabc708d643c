"""``/healthz`` and ``/readyz`` beside ``/metrics``: whether it is alive and ready, and if not why."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

from streams.worker.standing import Standing

Probe = Callable[[], Sequence[str]]
CHALLENGE = 'Bearer realm="aftcast"'
REFUSAL = b"this page needs the token of [metrics] token, sent as: Authorization: Bearer TOKEN\n"
BEAT_WITHIN_S = 10.0  # turns of the event loop take milliseconds, its longest known ones a second


@dataclass(frozen=True, slots=True)
class Part:
    """A role in this process. Its probes return what is wrong, one line each; any thread may call them."""

    name: str
    alive: Probe
    ready: Probe


class Role(Protocol):
    """What is asked of the streams role; ``streams.worker.worker.Worker`` is one."""

    @property
    def assigned(self) -> bool: ...

    @property
    def partitions(self) -> dict[int, Standing]: ...

    def unreachable(self) -> str: ...


def streams_part(worker: Role, beat_age_s: Callable[[], float]) -> Part:
    """Return how the streams role is doing; ``beat_age_s`` is since when its event loop has not turned."""

    def alive() -> list[str]:
        age_s = beat_age_s()
        return [f"the event loop has not turned for {age_s:.0f} s"] if age_s > BEAT_WITHIN_S else []

    def ready() -> list[str]:
        reasons = alive()
        if not worker.assigned:
            reasons.append("no assignment from the consumer group yet, or it is being made anew")
        for partition, standing in worker.partitions.items():
            if not standing.settled:
                applied, records = standing.restored
                reasons.append(f"partition {partition} is being restored: {applied} of {records} records")
        if reason := worker.unreachable():
            reasons.append(f"Kafka: not reachable ({reason})")
        return reasons

    return Part("streams", alive, ready)


def everybody(_authorization: str) -> bool:
    """Let every request pass."""
    return True


class HealthPages:
    """A WSGI application around the one that serves metrics, which gets every other path.

    ``admits`` judges the ``Authorization`` header of a request for metrics; health is for everybody, since
    those who probe it have no place for a token.
    """

    def __init__(
        self,
        metrics: Callable[..., Iterable[bytes]],
        parts: Sequence[Part],
        admits: Callable[[str], bool] = everybody,
    ) -> None:
        self._metrics = metrics
        self._parts = parts
        self._admits = admits

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/healthz":
            word, probes = "alive", [(part.name, part.alive) for part in self._parts]
        elif path == "/readyz":
            word, probes = "ready", [(part.name, part.ready) for part in self._parts]
        elif self._admits(environ.get("HTTP_AUTHORIZATION", "")):
            return self._metrics(environ, start_response)
        else:
            return _refused(start_response)
        reasons = [{"part": name, "reason": reason} for name, probe in probes for reason in _reasons(probe)]
        status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
        body = json.dumps({word: not reasons, "reasons": reasons}).encode() + b"\n"
        headers = [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
        ]
        start_response(f"{status.value} {status.phrase}", headers)
        return [body]


def _refused(start_response: Callable[..., Any]) -> Iterable[bytes]:
    headers = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(REFUSAL))),
        ("WWW-Authenticate", CHALLENGE),
        ("Cache-Control", "no-store"),
    ]
    start_response(f"{HTTPStatus.UNAUTHORIZED.value} {HTTPStatus.UNAUTHORIZED.phrase}", headers)
    return [REFUSAL]


def _reasons(probe: Probe) -> Sequence[str]:
    try:
        return probe()
    except Exception as error:  # what cannot be told is a reason, not a page of frames
        return [f"cannot be told: {type(error).__name__}"]
