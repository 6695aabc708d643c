"""The real worker and the raw writer as threads of the demo, in simulated time and without checkpoints."""

import asyncio
import contextlib
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from aftcast.configuration import Configuration
from streams.worker.clock import Clock

if TYPE_CHECKING:  # at run time these take two seconds, which is why the threads import them
    from streams.worker.settings import WorkerSettings
    from streams.worker.worker import Worker

# Four times a second instead of once: here a second is five minutes.
SEND_INTERVAL_S = 0.25
BLOCK_AGE_S = 0.25  # likewise
QUIET = {"log_level": "0"}  # librdkafka would write over the screen


class LiveWorker(threading.Thread):
    """Joins, counts and watches until told to stop; ``failure`` is why it ended by itself."""

    def __init__(self, configuration: Configuration, clock: Clock) -> None:
        super().__init__(name="worker", daemon=True)
        self.failure: BaseException | None = None
        self.loaded = threading.Event()  # what it needs is imported, or it has failed
        self._configuration = configuration
        self._clock = clock
        self._worker: Worker | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told: asyncio.Event | None = None

    @property
    def waiting(self) -> int | None:
        """Predictions kept in memory; None before there are partitions."""
        worker = self._worker
        standings = worker.partitions.values() if worker else ()
        return sum(standing.waiting_predictions for standing in standings) if standings else None

    @property
    def reached_ms(self) -> int | None:
        """How far the slowest partition has read both topics; None before there are partitions."""
        worker = self._worker
        times = [min(s.inference_ms, s.labels_ms) for s in worker.partitions.values()] if worker else []
        return min(times) if times and min(times) > 0 else None

    def run(self) -> None:
        try:
            asyncio.run(self._work())
        except BaseException as error:
            self.failure = error
        finally:
            self.loaded.set()

    def stop(self) -> None:
        if self._loop is not None and self._told is not None and self.is_alive():
            with contextlib.suppress(RuntimeError):  # it ended by itself meanwhile
                self._loop.call_soon_threadsafe(self._told.set)
        self.join(10)

    def _settings(self) -> "WorkerSettings":
        from aftcast.working import worker_settings

        settings = worker_settings(self._configuration)
        return replace(
            settings,
            kafka={**settings.kafka, **QUIET},
            # The mock cluster compacts nothing and its transactions are partial.
            checkpoints=False,
            metrics_port=None,
            send_interval_s=SEND_INTERVAL_S,
        )

    async def _work(self) -> None:
        from aftcast.working import decoder_of
        from streams.worker.worker import Worker

        settings = self._settings()
        self.loaded.set()
        self._loop, self._told = asyncio.get_running_loop(), asyncio.Event()
        worker = Worker(settings, decoder_of(self._configuration), clock=self._clock)
        self._worker = worker
        told = asyncio.create_task(self._told.wait())
        try:
            await worker.start()
            watching = asyncio.create_task(worker.wait())
            await asyncio.wait({told, watching}, return_when=asyncio.FIRST_COMPLETED)
            if watching.done():
                watching.result()
            watching.cancel()
        finally:
            told.cancel()
            await worker.stop()
            self._worker = None


class LiveRawWriter(threading.Thread):
    """Copies the topics into ClickHouse until told to stop."""

    def __init__(self, configuration: Configuration) -> None:
        super().__init__(name="raw-writer", daemon=True)
        self.failure: BaseException | None = None
        self._configuration = configuration
        self._stop_event = threading.Event()

    def run(self) -> None:
        try:
            from aftcast.working import raw_writer

            raw_writer(self._configuration, QUIET, BLOCK_AGE_S).run(self._stop_event)
        except BaseException as error:
            self.failure = error

    def stop(self) -> None:
        self._stop_event.set()
        self.join(10)
