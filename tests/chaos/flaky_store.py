"""A way to ClickHouse that can be closed, slow, refuse, run full, or break off in the middle."""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any

MODES = ("open", "down", "slow", "http 500", "no space", "half a request", "half an answer")
SLOW_S = 0.4  # before each piece that is passed on
FULL = (
    b"Code: 243. DB::Exception: Cannot reserve 1.00 MiB, not enough space. (NOT_ENOUGH_SPACE) (version 26)\n"
)
BROKEN = b"upstream error\n"  # as something between us and ClickHouse says it


class FlakyStore:
    """Passes connections on to a server on this machine, as ``mode`` says; runs on a thread of its own."""

    def __init__(self, server_port: int) -> None:
        self.mode = "open"
        self.port = 0
        self.spoilt = 0  # connections that were broken or answered by us
        self._server_port = server_port
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._open: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._run, name="flaky-store", daemon=True)
        self._thread.start()
        self._ready.wait()

    def set(self, mode: str) -> None:
        """Behave so from now on; connections that are open are broken, so that the next one meets it."""
        if mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}; got {mode!r}")
        self._call(self._change(mode))

    def close(self) -> None:
        self._call(self._change("down"))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _call(self, step: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(step, self._loop).result(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        self._ready.set()
        self._loop.run_forever()
        # What was cut off is still ending.
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self._loop.close()

    async def _listen(self) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        self._server: asyncio.Server | None = server

    async def _change(self, mode: str) -> None:
        self.mode = mode
        for writer in list(self._open):
            writer.transport.abort()
        if mode == "down" and self._server is not None:
            self._server.close()
            self._server = None
        elif mode != "down" and self._server is None:
            await self._listen()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            with contextlib.suppress(OSError, EOFError):
                if self.mode in ("http 500", "no space"):
                    self.spoilt += 1
                    await self._refuse(reader, writer)
                else:
                    await self._pass_on(reader, writer)
        finally:
            self._open.discard(writer)
            writer.close()

    async def _refuse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # The request is read whole: a client that is still sending would see a broken pipe, not the answer.
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if b"transfer-encoding: chunked" in head:
            while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
                await reader.readexactly(size + 2)
        elif b"content-length:" in head:
            await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
        full = self.mode == "no space"
        answer, text = "HTTP/1.1 500 Internal Server Error\r\n", FULL if full else BROKEN
        if full:
            answer += "X-ClickHouse-Exception-Code: 243\r\n"
        answer += f"Content-Length: {len(text)}\r\nConnection: close\r\n\r\n"
        writer.write(answer.encode() + text)
        await writer.drain()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        self._open.add(far_writer)
        try:
            ways = [
                asyncio.create_task(self._pump(reader, far_writer, "half a request")),
                asyncio.create_task(self._pump(far_reader, writer, "half an answer")),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        finally:
            self._open.discard(far_writer)
            far_writer.close()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, breaking: str) -> None:
        while piece := await source.read(65_536):
            if self.mode == breaking:
                self.spoilt += 1
                sink.write(piece[: len(piece) // 2])
                await sink.drain()
                return
            if self.mode == "slow":
                await asyncio.sleep(SLOW_S)
            sink.write(piece)
            await sink.drain()
