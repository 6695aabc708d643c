"""The demo's ClickHouse: chDB in a directory of its own, migrated, with HTTP on a local port."""

import asyncio
import tempfile
import threading
from concurrent.futures import Future
from types import TracebackType
from typing import TYPE_CHECKING, Self

from aftcast.failure import Failure
from aftcast.output import remark

if TYPE_CHECKING:  # at run time the driver is loaded while the worker joins its group
    from sinks.clickhouse.client import Client

DATABASE = "aftcast"
_START_WITHIN_S = 20


class DemoStore:
    """An embedded ClickHouse that is gone when the demo ends; ``address`` is what others connect to."""

    def __init__(self, port: int) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="aftcast-demo-", ignore_cleanup_errors=True)
        self.url = f"chdb://{self._directory.name}"
        self._wanted_port = port
        self.port = 0
        self._stop: asyncio.Event
        self._loop: asyncio.AbstractEventLoop
        self._thread: threading.Thread | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self) -> "Client":
        """Return a handle of its own for one thread."""
        from sinks.clickhouse.client import connect

        return connect(self.url, database=DATABASE)

    def __enter__(self) -> Self:
        from sinks.clickhouse.client import connect
        from sinks.clickhouse.errors import ClickHouseError
        from sinks.clickhouse.migrate import migrate

        try:
            client = connect(self.url)
            migrate(client, DATABASE)
            client.close()
        except ClickHouseError as error:
            raise Failure(f"{error}; the demo needs: pip install 'aftcast[demo]'") from None
        started: Future[int] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(started)), name="clickhouse-http", daemon=True
        )
        self._thread.start()
        self.port = started.result(_START_WITHIN_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread is not None:
            self._thread.join(5)
        self._directory.cleanup()

    async def _serve(self, started: "Future[int]") -> None:
        from sinks.clickhouse.http_server import HttpServer

        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = HttpServer(self._directory.name)
        try:
            try:
                port = await server.start(self._wanted_port)
            except OSError:
                port = await server.start(0)
                remark(f"port {self._wanted_port} is taken; ClickHouse's HTTP interface is at {port}")
            started.set_result(port)
        except BaseException as error:
            started.set_exception(error)
            raise
        await self._stop.wait()
        await server.stop()
