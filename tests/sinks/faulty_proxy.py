"""A way to ClickHouse's HTTP interface that can be slow, refuse, be cut, or lose the answer."""

# ruff: noqa: S310 - the addresses are the tests' own

import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Literal, Self
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

Fault = Literal["parts", "disk", "overloaded", "cut", "lost", "half", "slow"]
REFUSALS: dict[str, tuple[int, int, str]] = {
    "parts": (
        500,
        252,
        "Code: 252. DB::Exception: Too many parts (3000). (TOO_MANY_PARTS)",
    ),
    "disk": (
        500,
        243,
        "Code: 243. DB::Exception: Cannot reserve 1.00 MiB. (NOT_ENOUGH_SPACE)",
    ),
    "overloaded": (503, 0, "<html>503 Service Temporarily Unavailable</html>"),
}
SLOW_S = 3.0
OF_ONE_HOP = ("content-length", "transfer-encoding", "connection", "date", "server")


class FaultyProxy:
    """Hands requests on to ``upstream``; each write meets the next of ``faults`` while there are any.

    ``writes`` are the bodies of all writes that came, so that a test can see whether retries are identical.
    """

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.faults: deque[Fault] = deque()
        self.met: list[Fault] = []
        self.writes: list[tuple[str, bytes]] = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.hand_on()

            def do_POST(self) -> None:
                self.hand_on()

            def log_message(self, *_: object) -> None:
                pass

            def hand_on(self) -> None:
                proxy.handle(self)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        fault: Fault | None = None
        if "INSERT" in request.path or b"INSERT" in body[:200]:
            self.writes.append((urlsplit(request.path).query, body))
            fault = self.faults.popleft() if self.faults else None
        if fault is not None:
            self.met.append(fault)
        if fault in REFUSALS:
            status, code, text = REFUSALS[fault]
            self._answer(
                request, status, text.encode(), {"X-ClickHouse-Exception-Code": str(code)} if code else {}
            )
            return
        if fault == "cut":
            request.close_connection = True
            return
        status, answer, headers = self._ask(request, body)
        if fault == "slow":
            time.sleep(SLOW_S)
        elif fault == "lost":
            request.close_connection = True
            return
        elif fault == "half":
            request.send_response(status)
            request.send_header("Content-Length", str(len(answer) + 100))
            request.end_headers()
            request.wfile.write(answer)
            request.close_connection = True
            return
        self._answer(request, status, answer, headers)

    def _ask(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        kept = {k: v for k, v in request.headers.items() if k.lower() not in ("host", "connection")}
        asked = Request(self.upstream + request.path, body or None, kept, method=request.command)
        try:
            with urlopen(asked) as response:
                return response.status, response.read(), dict(response.headers)
        except HTTPError as error:
            with error:
                return error.code, error.read(), dict(error.headers)

    @staticmethod
    def _answer(request: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str]) -> None:
        try:
            request.send_response(status)
            for name, value in headers.items():
                if name.lower() not in (
                    "content-length",
                    "transfer-encoding",
                    "connection",
                    "date",
                    "server",
                ):
                    request.send_header(name, value)
            request.send_header("Content-Length", str(len(body)))
            request.end_headers()
            request.wfile.write(body)
        except OSError:
            request.close_connection = True  # whoever asked has gone
