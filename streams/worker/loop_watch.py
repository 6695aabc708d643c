"""A thread that ends the process, with its reason and all stacks, when the event loop stands still."""

import asyncio
import contextlib
import faulthandler
import os
import sys
import threading
import time
from typing import Any

import structlog

BEAT_S = 0.5
STALLED = 3  # exit code: neither a clean end nor an error that the worker could still tell by itself

log = structlog.get_logger("aftcast.worker")


class LoopWatch:
    """Watches the running event loop between ``start`` and ``stop``.

    A loop that stands still keeps its partitions, since heartbeats come from another thread, and nothing
    inside it can notice. Time counts only while this thread runs too: a process that was suspended has not
    stood still.
    """

    def __init__(self, stuck_after_s: float) -> None:
        self._stuck_after_s = stuck_after_s
        self._beats = 0
        self._beat_s = time.monotonic()
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="aftcast-loop-watch", daemon=True)

    def start(self) -> None:
        self._beat(asyncio.get_running_loop())
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._timer is not None:
            self._timer.cancel()

    def beat_age_s(self) -> float:
        """Return since when the loop has not turned; any thread may ask."""
        return time.monotonic() - self._beat_s

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        self._beats += 1
        self._beat_s = time.monotonic()
        self._timer = loop.call_later(BEAT_S, self._beat, loop)

    def _watch(self) -> None:
        seen, still_s = 0, 0.0
        while not self._stopped.wait(BEAT_S):
            if self._beats != seen:
                seen, still_s = self._beats, 0.0
                continue
            still_s += BEAT_S
            if still_s >= self._stuck_after_s:
                self._end()

    def _end(self) -> None:
        reason = f"the event loop stood still for {self._stuck_after_s:g} s; the stacks of all threads follow"
        log.error("stopped", reason=reason, kind="LoopStalled")
        out: Any = sys.stderr
        with contextlib.suppress(OSError, ValueError):  # a stream without a file: nothing to write to
            faulthandler.dump_traceback(out, all_threads=True)
            out.flush()
        os._exit(STALLED)
