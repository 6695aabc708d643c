"""ClickHouse's HTTP interface over an embedded database: for curl, Grafana and DBeaver where no server runs.

Loopback only. There is no native protocol, TLS, user management or query log, and a result is built whole
before it is sent, so that an error always is an HTTP status.
"""

import argparse
import asyncio
import base64
import gzip
import hmac
import io
import re
import uuid
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import lz4.frame
from aiohttp import web
from backports import zstd

from sinks.clickhouse.http_engine import Answer, Engine, StatementError

HOST = "127.0.0.1"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
THREADS = 8
BODY_LIMIT_BYTES = 1 << 30
# ClickHouse's HTTP status by its error code; every other code is 500.
STATUS = {
    code: status
    for status, codes in {
        400: (
            6,
            8,
            15,
            25,
            26,
            27,
            36,
            37,
            38,
            41,
            44,
            53,
            62,
            72,
            117,
            123,
            167,
            168,
            223,
            321,
            376,
            427,
            441,
        ),
        403: (164, 192, 193, 497, 512, 516),
        404: (46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 152, 336, 511),
        408: (159,),
        413: (229,),
        501: (48,),
        503: (76, 209, 439),
    }.items()
    for code in codes
}
CONTENT_TYPES = {
    "JSON": "application/json",
    "JSONEachRow": "application/x-ndjson",
    "CSV": "text/csv",
    "TabSeparated": "text/tab-separated-values",
    "Native": "application/octet-stream",
}
ENGINE_ERROR = re.compile(r"Code: (\d+)")


def _all_lz4_frames(data: bytes) -> bytes:
    # Not lz4.frame.decompress: it reads the first frame only, and a client may send one frame per block.
    with lz4.frame.open(io.BytesIO(data)) as frames:
        return bytes(frames.read())


CODECS: dict[str, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]] = {
    "lz4": (lz4.frame.compress, _all_lz4_frames),
    "zstd": (zstd.compress, zstd.decompress),
    "gzip": (lambda data: gzip.compress(data, 1), gzip.decompress),
    "deflate": (zlib.compress, zlib.decompress),
}


class HttpServer:
    """Serves one embedded database on a loopback port, inside a running asyncio program.

    Examples
    --------
    ``server = HttpServer("/var/lib/aftcast"); port = await server.start(8123); ...; await server.stop()``
    """

    def __init__(self, path: str, user: str = "", password: str = "") -> None:
        self._engine = Engine(path)
        self._login = (user, password)
        self._pool = ThreadPoolExecutor(THREADS, "clickhouse-http")
        self._runner: web.AppRunner | None = None

    def application(self) -> web.Application:
        application = web.Application(client_max_size=BODY_LIMIT_BYTES)
        application.router.add_route("*", "/{path:.*}", self._handle)
        return application

    async def start(self, port: int = 0) -> int:
        """Listen on 127.0.0.1 and return the port; 0 takes a free one. ``OSError`` where it is taken."""
        # Bodies are decompressed here: a body may be several frames.
        self._runner = web.AppRunner(self.application(), auto_decompress=False, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, port)
        await site.start()
        bound: int = self._runner.addresses[0][1]
        return bound

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        self._pool.shutdown()
        self._engine.close()

    async def _handle(self, request: web.Request) -> web.Response:
        if not _is_local(request.headers.get("Host", "")) or not _is_local(request.headers.get("Origin", "")):
            return web.Response(status=403, text="only programs and pages of this machine may ask\n")
        if request.path in ("/ping", "/replicas_status"):
            return web.Response(body=b"Ok.\n")
        if request.path != "/":
            return web.Response(status=404)
        parameters, body = dict(request.query), b""
        if request.content_type == "multipart/form-data":  # how long parameters come
            form = await request.post()
            parameters |= {name: value for name, value in form.items() if isinstance(value, str)}
        else:
            body = await request.read()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._answer, request, parameters, body)

    def _answer(self, request: web.Request, parameters: dict[str, str], body: bytes) -> web.Response:
        headers = {
            "X-ClickHouse-Query-Id": parameters.get("query_id") or str(uuid.uuid4()),
            "X-ClickHouse-Timezone": parameters.get("session_timezone") or self._engine.timezone,
        }
        status = 200
        try:
            self._authenticate(request.headers, parameters)
            answer = self._execute(request, parameters, body)
            output = answer.output
            headers["X-ClickHouse-Summary"] = answer.summary_header()
            if answer.layout:
                headers["X-ClickHouse-Format"] = answer.layout
                headers["Content-Type"] = CONTENT_TYPES.get(answer.layout, "text/plain; charset=UTF-8")
        except Exception as error:
            status, output, more = self._refusal(error)
            headers |= more
        encoding = _encoding(request, parameters)
        if encoding and output:
            headers["Content-Encoding"], output = encoding, CODECS[encoding][0](output)
        return web.Response(body=output, status=status, headers=headers)

    def _execute(self, request: web.Request, parameters: dict[str, str], body: bytes) -> Answer:
        encoding = request.headers.get("Content-Encoding", "identity")
        if encoding != "identity":
            if encoding not in CODECS:
                raise StatementError(48, "NOT_IMPLEMENTED", f"encoding {encoding} is not offered here")
            body = CODECS[encoding][1](body)
        statement = parameters.get("query", "").encode()
        statement, body = (statement, body) if statement else (body, b"")
        if not statement.strip():
            return Answer(b"Ok.\n")
        layout = request.headers.get("X-ClickHouse-Format") or parameters.get("default_format")
        return self._engine.execute(
            statement, body, parameters, layout or "TabSeparated", readonly=request.method == "GET"
        )

    def _authenticate(self, headers: Mapping[str, str], parameters: Mapping[str, str]) -> None:
        if not self._login[0]:
            return
        user = headers.get("X-ClickHouse-User", parameters.get("user", ""))
        key = headers.get("X-ClickHouse-Key", parameters.get("password", ""))
        if (authorization := headers.get("Authorization", "")).startswith("Basic "):
            user, _, key = base64.b64decode(authorization[6:]).decode().partition(":")
        if not hmac.compare_digest(f"{user}:{key}".encode(), ":".join(self._login).encode()):
            raise StatementError(516, "AUTHENTICATION_FAILED", f"{user}: Authentication failed")

    def _refusal(self, error: Exception) -> tuple[int, bytes, dict[str, str]]:
        text = str(error)
        if not ENGINE_ERROR.search(text):
            text = str(StatementError(1001, "STD_EXCEPTION", repr(error)))
        text = text[text.index("Code: ") :].rstrip()
        if "(version " not in text:
            text += f" (version {self._engine.version})"
        found = ENGINE_ERROR.match(text)
        code = int(found[1]) if found else 1001
        headers = {"X-ClickHouse-Exception-Code": str(code), "Content-Type": "text/plain; charset=UTF-8"}
        return STATUS.get(code, 500), text.encode() + b"\n", headers


def _is_local(name: str) -> bool:
    # A page from elsewhere can make a browser send statements to a loopback port, and rebind its name to it.
    return not name or urlsplit(name if "//" in name else f"//{name}").hostname in LOOPBACK


def _encoding(request: web.Request, parameters: Mapping[str, str]) -> str:
    if parameters.get("enable_http_compression") != "1":
        return ""
    accepted = (name.split(";")[0].strip() for name in request.headers.get("Accept-Encoding", "").split(","))
    return next(filter(CODECS.__contains__, accepted), "")


async def _serve(path: str, port: int, user: str, password: str) -> None:
    server = HttpServer(path, user, password)
    try:
        bound = await server.start(port)
        print(f"http://{HOST}:{bound}", flush=True)  # noqa: T201 - who started it reads the address here
        await asyncio.Event().wait()
    finally:
        await server.stop()


def main(arguments: list[str] | None = None) -> Any:
    """Serve a directory until interrupted; the first line printed is the address."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path")
    parser.add_argument("--port", type=int, default=8123)
    parser.add_argument("--user", default="")
    parser.add_argument("--password", default="")
    options = parser.parse_args(arguments)
    asyncio.run(_serve(options.path, options.port, options.user, options.password))


if __name__ == "__main__":
    main()
