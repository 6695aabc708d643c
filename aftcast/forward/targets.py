"""Where alerts go: targets of the configuration with their secrets, which are never shown."""

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from aftcast.configuration import Forward
from aftcast.failure import Failure
from aftcast.forward.bodies import BODIES, CONTENT_TYPES, PAGERDUTY_URL, TEXTS, Body, Kind, text_of
from schemas.findings import AlertEvent

HIDDEN = "***"


@dataclass(frozen=True, slots=True)
class Target:
    """One place to deliver to; ``url``, ``headers`` and ``secret`` may hold what nobody else may see."""

    name: str
    kind: Kind
    text: str
    severities: tuple[str, ...]
    rate_per_minute: int
    timeout_s: float
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    secret: str = field(repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False, compare=False)  # None: http

    @property
    def place(self) -> str:
        """Host and port, which may be shown."""
        parts = urlsplit(self.url)
        return f"{parts.hostname or ''}:{parts.port}" if parts.port else parts.hostname or HIDDEN

    def wants(self, alert: AlertEvent) -> bool:
        return not self.severities or alert.severity in self.severities

    def body(self, alert: AlertEvent, firing: bool, now_ms: int) -> Body | None:
        """Return what is sent, None where the target's format has no word for it; without secrets."""
        text = text_of(alert, self.text)
        return BODIES[self.kind](alert, firing, text, now_ms)

    def encoded(self, body: Body) -> bytes:
        if self.kind == "pagerduty":
            assert isinstance(body, dict)  # noqa: S101
            body = {"routing_key": self.secret, **body}
        return orjson.dumps(body, option=orjson.OPT_NON_STR_KEYS)

    def masked(self, text: str) -> str:
        """Return a text in which neither the secret nor the path of a secret address shows."""
        return text.replace(self.secret, HIDDEN) if self.secret else text


def open_target(
    settings: Forward, environment: Mapping[str, str] | None = None, *, dry: bool = False
) -> Target:
    """Return a target with its secret read; ``dry`` reads none.

    Raises
    ------
    Failure
        If a secret or an address is missing, naming the table and where it was looked for.
    """
    secret = "" if dry else _secret(settings, os.environ if environment is None else environment)
    kind = settings.kind
    url, headers = settings.url, {"Content-Type": CONTENT_TYPES[kind]}
    if kind == "slack":
        url = secret or url
    elif kind == "pagerduty":
        url = url or PAGERDUTY_URL
    elif secret:
        headers["Authorization"] = f"Bearer {secret}"
    if kind == "alertmanager" and url:
        url += "/api/v2/alerts"
    if not dry:
        if kind == "pagerduty" and not secret:
            raise _failure(settings, "needs its routing key: name it by secret_env or secret_file")
        if not url.startswith(("http://", "https://")) or not urlsplit(url).hostname:
            raise _failure(settings, "needs an address that begins with http:// or https://")
    tls = _tls(settings) if url.startswith("https://") else None
    return Target(
        settings.name, kind, settings.text or TEXTS[kind], settings.severities, settings.rate_per_minute,
        settings.timeout_ms / 1000, url, headers, secret, tls,
    )  # fmt: skip


def _secret(settings: Forward, environment: Mapping[str, str]) -> str:
    if settings.secret_env:
        if not (secret := environment.get(settings.secret_env, "").strip()):
            raise _failure(settings, f"the variable {settings.secret_env} is not set")
    elif settings.secret_file:
        try:
            secret = Path(settings.secret_file).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8"
            raise _failure(settings, f"{settings.secret_file} cannot be read: {reason.lower()}") from None
        if not secret:
            raise _failure(settings, f"{settings.secret_file} is empty")
    else:
        return ""
    if not secret.isprintable():
        raise _failure(settings, "the secret holds characters that no header may")
    return secret


def _tls(settings: Forward) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca_file or None)
        if settings.certificate_file:
            context.load_cert_chain(settings.certificate_file, settings.certificate_key_file or None)
    except OSError as error:  # ssl.SSLError too
        files = ", ".join(
            filter(None, (settings.ca_file, settings.certificate_file, settings.certificate_key_file))
        )
        raise _failure(settings, f"{files} cannot be used ({error.strerror or error})") from None
    return context


def _failure(settings: Forward, rule: str) -> Failure:
    return Failure(f'[[forward]] "{settings.name}": {rule}')


def shown(target: Target, body: Body) -> dict[str, Any]:
    """Return a delivery for people: where to, and what, secrets hidden."""
    if target.kind == "pagerduty":
        assert isinstance(body, dict)  # noqa: S101
        body = {"routing_key": HIDDEN, **body}
    return {"target": target.name, "kind": target.kind, "to": target.place, "body": body}
