"""The page as a thread: beside a worker or in the demo it answers on an event loop of its own."""

import asyncio
import contextlib
import threading
from concurrent.futures import Future

import structlog
from aiohttp import web

from aftcast.failure import Failure
from aftcast.page.application import Page
from aftcast.page.asking import Asker

START_WITHIN_S = 10.0
STOP_WITHIN_S = 5.0
LEAVE_WITHIN_S = 0.5  # that answers on their way get when it stops

log = structlog.get_logger("aftcast.page")


class PageServer:
    """Serves a page from its start to its stop; ``address`` is where.

    Examples
    --------
    ``with PageServer(page, asker, "127.0.0.1", 0) as server: print(server.address)``
    """

    def __init__(self, page: Page, asker: Asker, host: str, port: int) -> None:
        self._page, self._asker = page, asker
        self._host, self._wanted_port = host, port
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._stopping: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="page", daemon=True)
        self._started: Future[int] = Future()

    @property
    def address(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.port}/"

    def start(self) -> None:
        """Listen, or raise ``Failure`` where nobody can."""
        self._thread.start()
        try:
            self.port = self._started.result(START_WITHIN_S)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise Failure(
                f"[page] {self._host}:{self._wanted_port} cannot be listened on ({reason}); "
                "give another port, or 0 for any"
            ) from error

    def stop(self) -> None:
        if self._thread.is_alive() and self._stopping is not None:
            with contextlib.suppress(RuntimeError):  # it ended meanwhile
                self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(STOP_WITHIN_S)
        self._asker.close()

    def __enter__(self) -> "PageServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._stopping = asyncio.Event()
        runner = web.AppRunner(
            self._page.application(), access_log=None, handle_signals=False, shutdown_timeout=LEAVE_WITHIN_S
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._wanted_port).start()
        except OSError as error:
            self._started.set_exception(error)
            await runner.cleanup()
            return
        self._started.set_result(runner.addresses[0][1])
        await self._stopping.wait()
        await runner.cleanup()
