"""A worker as a process: runs until SIGTERM or SIGINT (code 0), or until it cannot go on (1, with reason)."""

import asyncio
import contextlib
import gc
import signal
from collections.abc import Callable, Sequence

import structlog
from prometheus_client.registry import Collector

from streams.decode import Decoder
from streams.worker.clock import Clock, SystemClock
from streams.worker.errors import UnexpectedError, WorkerError
from streams.worker.health import Part, everybody, streams_part
from streams.worker.loop_watch import LoopWatch
from streams.worker.metrics import MetricsServer, WorkerCollector
from streams.worker.model_metrics import ModelCollector
from streams.worker.settings import WorkerSettings
from streams.worker.worker import Worker

STOPPED, FAILED = 0, 1
CANCELLED_WITHIN_S = 1.0

log = structlog.get_logger("aftcast.worker")


def run_worker(
    settings: WorkerSettings,
    decoder: Decoder,
    *,
    clock: Clock | None = None,
    on_ready: Callable[[Worker], None] | None = None,
    more_metrics: Sequence[Collector] = (),
    more_parts: Sequence[Part] = (),
    admits: Callable[[str], bool] = everybody,
) -> int:
    """Run a worker to its end and return the process's exit code.

    ``more_metrics``, and ``more_parts`` whose health is told, are of what runs beside it in this process;
    ``admits`` says by its ``Authorization`` header which request gets metrics.
    """
    # Not asyncio.run: it waits for tasks that were cancelled, and while no broker answers aiokafka's go on.
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(
            _run(settings, decoder, clock or SystemClock(), on_ready, more_metrics, more_parts, admits)
        )
    finally:
        loop.run_until_complete(_cancel_rest())
        asyncio.set_event_loop(None)


async def _run(
    settings: WorkerSettings,
    decoder: Decoder,
    clock: Clock,
    on_ready: Callable[[Worker], None] | None,
    more_metrics: Sequence[Collector],
    more_parts: Sequence[Part],
    admits: Callable[[str], bool],
) -> int:
    told_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told_to_stop.set)
    worker = Worker(settings, decoder, clock=clock)
    metrics = None
    loop_watch = LoopWatch(settings.stuck_after_s)
    if settings.metrics_port is not None:
        collector = WorkerCollector(lambda: worker.partitions, lambda: worker.found, clock.now_ms)
        models = ModelCollector(lambda: worker.model_figures, lambda: worker.mature_until_ms)
        host, port = settings.metrics_host, settings.metrics_port
        parts = (streams_part(worker, loop_watch.beat_age_s), *more_parts)
        metrics = MetricsServer(
            collector, models, *more_metrics, host=host, port=port, parts=parts, admits=admits
        )
        log.info("metrics", port=metrics.port, host=host)
    loop_watch.start()
    working = asyncio.create_task(_work(worker, on_ready))
    stopping = asyncio.create_task(told_to_stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    except WorkerError as error:
        # One line, and the frames only of what nobody foresaw.
        frames = error.__cause__ if isinstance(error, UnexpectedError) else None
        kind = type(error).__name__
        log.error("stopped", reason=str(error), kind=kind, exc_info=frames)  # noqa: TRY400
        return FAILED
    else:
        log.info("stopping")
        return STOPPED
    finally:
        for task in (working, stopping):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, WorkerError):
                await task
        await worker.stop()
        loop_watch.stop()
        if metrics is not None:
            metrics.close()


async def _cancel_rest() -> None:
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    if rest:
        await asyncio.wait(rest, timeout=CANCELLED_WITHIN_S)


async def _work(worker: Worker, on_ready: Callable[[Worker], None] | None) -> None:
    # What a worker has when it is ready it keeps. Before that the collector finds nothing, and looks at all
    # that is imported meanwhile again and again: a sixth of a restart.
    collects = gc.isenabled()
    gc.disable()
    try:
        await worker.start()
    finally:
        gc.freeze()
        if collects:
            gc.enable()
    log.info("ready", group=worker.settings.group, partitions=sorted(worker.partitions))
    if on_ready is not None:
        on_ready(worker)
    await worker.wait()
