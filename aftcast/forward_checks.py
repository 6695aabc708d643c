"""Whether alerts would reach their targets: secrets are there, and somebody listens."""

import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

from aftcast.configuration import Configuration
from aftcast.failure import Failure
from aftcast.findings import Finding
from aftcast.forward.targets import Target, open_target

CONNECT_WITHIN_S = 3.0


def forward_findings(
    configuration: Configuration, environment: Mapping[str, str] | None = None
) -> list[Finding]:
    """Look at each ``[[forward]]`` target; nothing is sent."""
    found = []
    for settings in configuration.forward:
        item = f"target {settings.name}"
        try:
            target = open_target(settings, environment)
        except Failure as failure:
            remedy = "set it where aftcast forward runs (docs/forwarding.md), or run this check there"
            found.append(Finding("failure", item, str(failure), remedy))
        else:
            found.append(_reached(item, target))
    return found


def _reached(item: str, target: Target) -> Finding:
    parts = urlsplit(target.url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname, port), CONNECT_WITHIN_S).close()
    except OSError as error:
        cause = (error.strerror or str(error)).lower()
        text = f"{target.place} is not reachable ({cause}): alerts wait for it"
        remedy = f'check url of [[forward]] "{target.name}", and that the way there is open'
        return Finding("failure", item, text, remedy)
    return Finding("ok", item, f"{target.kind}, {target.place} takes connections")
