"""A web server on this machine that answers as told and keeps what it was sent."""

import asyncio
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Receiver:
    """``answer`` gets each request and returns (status, headers), None to hang."""

    answer: Callable[[Request], tuple[int, dict[str, str]] | None] = lambda _request: (202, {})
    requests: list[Request] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def wait_for(self, count: int, within_s: float = 20.0) -> list[Any]:
        """Return the bodies once there are so many of them."""
        ends_s = time.monotonic() + within_s
        while len(self.requests) < count and time.monotonic() < ends_s:
            time.sleep(0.02)
        assert len(self.requests) >= count, [request.body for request in self.requests]
        return [request.body for request in self.requests]

    def _serve(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._run(ready))
        self._loop.close()

    async def _run(self, ready: threading.Event) -> None:
        self._stop = asyncio.Event()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._take)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        ready.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        got = Request(request.path, dict(request.headers), json.loads(await request.read()))
        answer = self.answer(got)
        self.requests.append(got)
        if answer is None:
            await self._stop.wait()
            return web.Response(status=500)
        status, headers = answer
        return web.Response(status=status, headers=headers, text=f"said {status} to {request.path}")
