"""The page's addresses: its files, an answer per statement, the log-in, and in the demo the switches."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import orjson
import structlog
from aiohttp import web

from aftcast.page.asking import Asker, BadRequestError
from aftcast.page.files import page_files
from aftcast.page.guards import COOKIE, SESSION_S, Guard, guarded
from aftcast.page.spans import DEFAULT_SPAN, SPANS
from aftcast.page.statements import FIGURES
from sinks.clickhouse.errors import ClickHouseError, UnreachableError

BODY_LIMIT_BYTES = 4_096  # a log-in or a switch
WRONG_TOKEN_S = 0.5  # that a wrong token waits: guesses take time, people do not notice
PACKED_FROM_BYTES = 1_000
JSON_OPTIONS = orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS

log = structlog.get_logger("aftcast.page")


class Switchboard(Protocol):
    """What the demo lets people change; ``aftcast.demo.switches.Switches`` is one."""

    def document(self) -> dict[str, Any]: ...

    def turn(self, name: str, *, on: bool) -> bool: ...


@dataclass(frozen=True)
class PageSettings:
    """What the page says of itself."""

    version: str
    default_span: str = DEFAULT_SPAN


class Page:
    """The addresses of one page, over one ``Asker``."""

    def __init__(
        self, asker: Asker, guard: Guard, settings: PageSettings, switches: Switchboard | None = None
    ) -> None:
        self._asker = asker
        self._guard = guard
        self._settings = settings
        self._switches = switches

    def application(self) -> web.Application:
        application = web.Application(
            middlewares=list(guarded(self._guard)), client_max_size=BODY_LIMIT_BYTES
        )
        routes = application.router
        routes.add_get("/", self._file)
        routes.add_get("/login", self._file)
        routes.add_post("/login", self._log_in)
        routes.add_get("/api/settings", self._said)
        routes.add_get("/api/switches", self._switches_now)
        routes.add_post("/api/switches", self._turn)
        routes.add_get("/api/{name}", self._answer)
        routes.add_get("/{path:.+}", self._file)
        return application

    async def _file(self, request: web.Request) -> web.StreamResponse:
        path = {"/": "index.html", "/login": "login.html"}.get(request.path, request.path[1:])
        file = page_files().get(path)
        if file is None:
            raise web.HTTPNotFound(text="there is no such file\n")
        headers = {"ETag": f'"{file.tag}"', "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        told = request.headers.get("If-None-Match", "")
        if f'"{file.tag}"' in told:
            return web.Response(status=304, headers=headers)
        packs = "gzip" in request.headers.get("Accept-Encoding", "")
        if packs:
            headers["Content-Encoding"] = "gzip"
        body = file.packed if packs else file.content
        return web.Response(body=body, content_type=file.content_type, charset="utf-8", headers=headers)

    async def _said(self, request: web.Request) -> web.StreamResponse:
        return _json(
            request,
            {
                "version": self._settings.version,
                "has_switches": self._switches is not None,
                "has_token": bool(self._guard.token),
                "default_span": self._settings.default_span,
                "spans": list(SPANS),
                "figures": list(FIGURES),
            },
        )

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        try:
            answer = await self._asker.ask(name, request.query)
        except BadRequestError as error:
            return _json(request, {"error": str(error), "kind": "request"}, 400)
        except UnreachableError as error:
            return _json(request, {"error": str(error), "kind": "unreachable"}, 503)
        except ClickHouseError as error:
            return _json(request, {"error": str(error), "kind": "refused"}, 502)
        return _json(request, answer.document(name))

    async def _switches_now(self, request: web.Request) -> web.StreamResponse:
        if self._switches is None:
            return _json(request, {"error": "only the demo has switches", "kind": "request"}, 404)
        return _json(request, self._switches.document())

    async def _turn(self, request: web.Request) -> web.StreamResponse:
        if self._switches is None:
            return _json(request, {"error": "only the demo has switches", "kind": "request"}, 404)
        said = await _body(request)
        name, on = said.get("switch"), said.get("on")
        if not isinstance(name, str) or not isinstance(on, bool) or not self._switches.turn(name, on=on):
            known = ", ".join(self._switches.document()["switches"])
            error = f'needs {{"switch": one of {known}, "on": true or false}}'
            return _json(request, {"error": error, "kind": "request"}, 400)
        log.info("switch", switch=name, on=on)
        return _json(request, self._switches.document())

    async def _log_in(self, request: web.Request) -> web.StreamResponse:
        told = (await request.post()).get("token", "")
        if not self._guard.token or not isinstance(told, str) or not self._guard.is_token(told):
            log.warning("a wrong token was given", remote=request.remote)
            await asyncio.sleep(WRONG_TOKEN_S)
            raise web.HTTPSeeOther("/login#wrong")
        response = web.HTTPSeeOther("/")
        is_secure = request.secure or request.headers.get("X-Forwarded-Proto") == "https"
        response.set_cookie(
            COOKIE,
            self._guard.session(time.time()),
            max_age=SESSION_S,
            httponly=True,
            samesite="Strict",
            secure=is_secure,
        )
        raise response


async def _body(request: web.Request) -> Mapping[str, Any]:
    try:
        said = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        return {}
    return said if isinstance(said, dict) else {}


def _json(request: web.Request, document: Mapping[str, Any], status: int = 200) -> web.Response:
    body = orjson.dumps(document, default=str, option=JSON_OPTIONS)
    response = web.Response(body=body, status=status, content_type="application/json")
    if len(body) >= PACKED_FROM_BYTES:
        response.enable_compression()
    return response
