"""Who may ask the page: hosts by name, people by token, posts from itself; and what its answers forbid."""

import hashlib
import hmac
import ipaddress
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import structlog
from aiohttp import web
from aiohttp.typedefs import Middleware

from aftcast.access import bearer_check

COOKIE = "aftcast_page"
SESSION_S = 12 * 3600
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - told apart, not bound to
OPEN_PATHS = frozenset({"/login", "/login.html", "/style.css", "/icon.svg"})

# Nothing from elsewhere, nothing inline, no text that becomes markup. uPlot sets styles by property only.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with no-referrer browsers post forms from the origin null
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
log = structlog.get_logger("aftcast.page")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Guard:
    """What a request is held against; ``token`` empty: none is asked for."""

    host: str
    hosts: tuple[str, ...] = ()
    token: str = field(default="", repr=False)  # a traceback with locals must not show it

    def knows(self, host_header: str) -> bool:
        """Return whether a request was meant for this page: a name that was made to point here is not.

        Examples
        --------
        >>> Guard("127.0.0.1").knows("localhost:8088"), Guard("127.0.0.1").knows("evil.example")
        (True, False)
        """
        name = _hostname(host_header)
        if name in LOOPBACK or name in self.hosts or name == self.host:
            return True
        # Bound to every address, it is asked for by any of them; a rebound name is never a number.
        return self.host in EVERYWHERE and _is_address(name)

    def admits(self, request: web.Request) -> bool:
        """Return whether a request carries the token, as a header or as a session."""
        if not self.token:
            return True
        if bearer_check(self.token)(request.headers.get("Authorization", "")):
            return True
        return self._is_session(request.cookies.get(COOKIE, ""))

    def is_token(self, told: str) -> bool:
        return bool(self.token) and bearer_check(self.token)(f"Bearer {told}")

    def session(self, now_s: float) -> str:
        """Return what a cookie holds: until when, and a proof of it that only who has the token can make."""
        until = str(int(now_s) + SESSION_S)
        return f"{until}.{self._proof(until)}"

    def _is_session(self, cookie: str) -> bool:
        until, _, proof = cookie.partition(".")
        if not until.isascii() or not until.isdigit() or len(until) > 12:
            return False
        return hmac.compare_digest(proof.encode(), self._proof(until).encode()) and int(until) > time.time()

    def _proof(self, until: str) -> str:
        return hmac.new(self.token.encode(), f"aftcast page {until}".encode(), hashlib.sha256).hexdigest()


def guarded(guard: Guard) -> list[Middleware]:
    """Return what every request goes through, the outermost first."""

    @web.middleware
    async def with_headers(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await handler(request)
        except web.HTTPException as error:
            response = error
        except Exception:
            log.exception("the page could not answer", path=request.path)
            response = web.HTTPInternalServerError(text="the page could not answer; its log says why\n")
        response.headers.update(HEADERS)
        response.headers.setdefault("Cache-Control", "no-store")
        if isinstance(response, web.HTTPException):
            raise response
        return response

    @web.middleware
    async def admitted(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not guard.knows(request.headers.get("Host", "")):
            raise web.HTTPMisdirectedRequest(
                text="this page is not served under that name; add it to [page] hosts to allow it\n"
            )
        if request.method not in ("GET", "HEAD") and not _is_own(request):
            raise web.HTTPForbidden(text="only the page itself may change anything\n")
        if request.path not in OPEN_PATHS and not guard.admits(request):
            if request.path == "/":
                raise web.HTTPSeeOther("/login")
            raise web.HTTPUnauthorized(
                text='{"error": "a token is needed: log in at /login, or send Authorization: Bearer"}\n',
                content_type="application/json",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return await handler(request)

    return [with_headers, admitted]


def _is_own(request: web.Request) -> bool:
    # Browsers tell the origin with every post, and no page can make them tell another.
    origin = urlsplit(request.headers.get("Origin", ""))
    return bool(origin.netloc) and origin.netloc == request.headers.get("Host", "")


def _hostname(host_header: str) -> str:
    try:
        return urlsplit(f"//{host_header}").hostname or ""
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
