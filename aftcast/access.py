"""Who may read our HTTP pages: a bearer token, compared in a time that tells nothing of how right it is."""

import hmac
from collections.abc import Callable

from aftcast.configuration import Metrics

SCHEME = "bearer"
Admits = Callable[[str], bool]


def bearer_check(token: str) -> Admits:
    """Return whether a request may pass, told by its ``Authorization`` header ("" where it has none).

    An empty token lets everybody pass. What is refused gets status 401, with the ``CHALLENGE`` and the
    ``REFUSAL`` of ``streams.worker.health``.

    Examples
    --------
    >>> admits = bearer_check("a-token-of-this-page")
    >>> admits("Bearer a-token-of-this-page"), admits("Bearer a-token"), admits("")
    (True, False, False)
    """
    expected = token.encode()

    def admits(authorization: str) -> bool:
        if not expected:
            return True
        scheme, _, given = authorization.partition(" ")
        # Bytes: compare_digest refuses texts beyond ASCII, and a header may hold any.
        right = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), expected)
        return right and scheme.lower() == SCHEME

    return admits


def access_of(metrics: Metrics) -> Admits:
    """Return the check of the pages that one configuration serves."""
    return bearer_check(metrics.token.get_secret_value() if metrics.token else "")
