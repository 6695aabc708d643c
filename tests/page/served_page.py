"""A page as its reader sees it, a way to ClickHouse that can be closed, and what hostile producers send."""

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

from page_data import PANE_MS

from aftcast.page.application import Page, PageSettings, Switchboard
from aftcast.page.asking import Asker
from aftcast.page.guards import Guard
from aftcast.page.serving import PageServer
from sinks.clickhouse.client import Client, connect

DATABASE = "aftcast_page"
# As a model's name, a segment, a feature and a text of an alert.
HOSTILE = "<img src=x onerror=alert(1)>'; DROP TABLE rollups; -- \\ {model:String} $of_model ${x} `\"%27"


@dataclass(frozen=True)
class Reply:
    """An answer over HTTP, its body as it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    document: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Filled:
    """A ClickHouse with eight hours in it, and what was true of them."""

    url: str
    client: Client
    truth: list[dict[str, Any]]


def page_over(
    url: str,
    guard: Guard | None = None,
    switches: Switchboard | None = None,
    answer_within_s: int = 12,
    database: str = DATABASE,
) -> PageServer:
    """Return a page's server, not yet started, at any port of this machine."""
    asker = Asker(
        lambda: connect(url, database=database, answer_within_s=answer_within_s), database, PANE_MS // 1000
    )
    settings = PageSettings("test", "12h")
    return PageServer(Page(asker, guard or Guard("127.0.0.1"), settings, switches), asker, "127.0.0.1", 0)


def request(
    address: str,
    path: str,
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """Ask once over a connection of its own; redirects are not followed."""
    parts = urlsplit(address)
    assert parts.hostname
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    try:
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    is_json = content and answer.headers.get_content_type() == "application/json"
    document = json.loads(content) if is_json else {}
    return Reply(answer.status, answer.headers, content, document)  # type: ignore[arg-type]


def ask(address: str, name: str, **said: str) -> Reply:
    return request(address, f"/api/{name}?{urlencode({'span': '12h', **said})}")


def items(reply: Reply) -> list[dict[str, Any]]:
    assert reply.status == 200, reply.body
    return [dict(zip(reply.document["columns"], row, strict=True)) for row in reply.document["rows"]]


class Gate:
    """A port that leads to another while open; closed, it refuses; stuck, it takes and never answers."""

    def __init__(self, upstream: str) -> None:
        self._target = urlsplit(upstream)
        self._listener = self._listen(0)
        self.port: int = self._listener.getsockname()[1]
        self._pairs: list[socket.socket] = []
        self.stuck = False

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        for one in [self._listener, *self._pairs]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._pairs.clear()

    def open(self) -> None:
        self._listener = self._listen(self.port)

    def _listen(self, port: int) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return listener

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.create_connection((self._target.hostname, self._target.port or 80))
            self._pairs += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._copy, args=(one, other), daemon=True).start()

    def _copy(self, one: socket.socket, other: socket.socket) -> None:
        try:
            while data := one.recv(65536):
                if not self.stuck:
                    other.sendall(data)
        except OSError:
            return
