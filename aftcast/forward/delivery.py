"""One delivery over HTTP: taken, refused for good, or to be tried again."""

import asyncio
import os
import ssl
from dataclasses import dataclass

import aiohttp

from aftcast.forward.targets import Target

FIRST_RETRY_S = 1.0
LONGEST_RETRY_S = 60.0
ANSWER_BYTES = 4_096  # of an answer that are read; who answers more has nothing to say to us
REASON_LIMIT = 300
_AGAIN = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class Outcome:
    """``reason`` says what came, empty when it was taken; ``after_s`` is what the target asked to wait."""

    taken: bool
    again: bool
    reason: str = ""
    after_s: float = 0.0


async def deliver(session: aiohttp.ClientSession, target: Target, payload: bytes) -> Outcome:
    """Send once and return what became of it; never raises for what the network or the target does."""
    limit = aiohttp.ClientTimeout(total=target.timeout_s)
    try:
        async with session.post(
            target.url,
            data=payload,
            headers=target.headers,
            timeout=limit,
            allow_redirects=False,
            ssl=target.tls or True,
        ) as answer:
            if answer.status < 300:
                return Outcome(taken=True, again=False)
            said = (await answer.content.read(ANSWER_BYTES)).decode("utf-8", "replace")
            text = target.masked(" ".join(said.split()))[:REASON_LIMIT]
            reason = f"answered {answer.status}" + (f": {text}" if text else "")
            again = answer.status >= 500 or answer.status in _AGAIN
            return Outcome(False, again, reason, _seconds(answer.headers.get("Retry-After", "")))
    except TimeoutError:
        return Outcome(False, True, f"no answer within {target.timeout_s:g} s")
    except (aiohttp.ClientConnectorError, aiohttp.ClientConnectorCertificateError) as error:
        return Outcome(False, True, _unreachable(error))
    except (aiohttp.ClientError, OSError, ValueError) as error:
        # Only its kind: the text of some holds the whole address, which may be the secret.
        return Outcome(False, True, type(error).__name__)


def _unreachable(error: aiohttp.ClientConnectorError | aiohttp.ClientConnectorCertificateError) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        cause = error.certificate_error
        said = cause.verify_message if isinstance(cause, ssl.SSLCertVerificationError) else str(cause)
        return f"its certificate is not trusted ({said.lower()}); see ca_file"
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        said = getattr(error.os_error, "reason", None) or type(error).__name__
        return f"no TLS with it ({said.replace('_', ' ').lower()})"
    # Of a refused connection the text holds the address, of an unknown host it is the reason itself.
    number = error.os_error.errno
    known = os.strerror(number) if number and number > 0 else error.os_error.strerror
    return f"not reachable ({(known or 'no address').lower()})"


def _seconds(text: str) -> float:
    return min(float(text), LONGEST_RETRY_S) if text.isascii() and text.isdigit() else 0.0


class Rate:
    """At most so many deliveries a minute, in bursts of up to a sixth of them."""

    def __init__(self, per_minute: int) -> None:
        self._every_s = 60.0 / per_minute
        self._burst_s = max(10.0, self._every_s)
        self._next_s = float("-inf")

    def wait_s(self, now_s: float) -> float:
        """Return how long the next delivery has to wait, and count it."""
        self._next_s = max(self._next_s, now_s - self._burst_s + self._every_s)
        wait_s = max(0.0, self._next_s - now_s)
        self._next_s += self._every_s
        return wait_s


def retry_s(attempt: int) -> float:
    """Return the pause before the next try, doubled each time.

    Examples
    --------
    >>> [retry_s(attempt) for attempt in (1, 2, 3, 20)]
    [1.0, 2.0, 4.0, 60.0]
    """
    return min(FIRST_RETRY_S * 2.0 ** min(attempt - 1, 30), LONGEST_RETRY_S)


async def wait_or_stop(stop: asyncio.Event, for_s: float) -> bool:
    """Wait; return whether it was told to stop meanwhile."""
    try:
        await asyncio.wait_for(stop.wait(), for_s)
    except TimeoutError:
        return False
    return True
