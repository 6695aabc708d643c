"""What is seen while the demo runs, and what is said at its end."""

import gc
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from rich.console import Console
from rich.live import Live

from aftcast.demo.clock import PatientClock
from aftcast.demo.figures import FigureReader, Figures
from aftcast.demo.live_worker import LiveRawWriter, LiveWorker
from aftcast.demo.plain import PlainLines
from aftcast.demo.report import closing_lines, document, opening_lines
from aftcast.demo.screen import Moment, screen, starting_screen
from aftcast.demo.story import Story
from aftcast.demo.traffic import Traffic
from aftcast.failure import Failure
from aftcast.output import remark, say

LOOK_EVERY_S, FIRST_LOOKS_EVERY_S = 0.5, 0.1
# Where nothing is shown on the way: only who interrupts the demo gets figures that are older than its end.
UNSEEN_LOOK_EVERY_S = 5.0
SETTLE_S = 3.0  # after the last event, so that what is on its way is shown


@dataclass(frozen=True)
class DemoOptions:
    """What the command line says; ``speed`` None makes the run ten simulated hours."""

    duration_s: float
    rate_per_s: float
    speed: float | None
    seed: int
    port: int
    as_json: bool
    with_page: bool = False
    page_port: int | None = None


@dataclass(frozen=True)
class Parts:
    """What runs in the background; each has a ``name``, and a ``failure`` once it has stopped by itself."""

    traffic: Traffic
    worker: LiveWorker
    raw: LiveRawWriter

    def check(self) -> None:
        for part in (self.traffic, self.worker, self.raw):
            if part.failure is not None:
                raise Failure(f"the demo's {part.name} stopped: {part.failure}") from part.failure

    @property
    def reached_ms(self) -> int | None:
        """How far all of them are; None before the worker has read anything."""
        sent, read = self.traffic.reached_ms, self.worker.reached_ms
        return None if sent is None or read is None else min(sent, read)


class Display(Protocol):
    """A terminal's screen, lines, or nothing."""

    def starting(self, elapsed_s: float, doing: str) -> None: ...
    def show(self, moment: Moment, figures: Figures) -> None: ...


class Silence:
    """Nothing on the way, for programs that read the end."""

    def starting(self, elapsed_s: float, doing: str) -> None: ...
    def show(self, moment: Moment, figures: Figures) -> None: ...


class Screen:
    """The live screen of a terminal."""

    def __init__(self, terminal: Console, live: Live) -> None:
        self._terminal, self._live = terminal, live

    def starting(self, elapsed_s: float, doing: str) -> None:
        self._live.update(starting_screen(elapsed_s, doing), refresh=True)

    def show(self, moment: Moment, figures: Figures) -> None:
        width, height = self._terminal.size
        self._live.update(screen(moment, figures, width, height), refresh=True)


class Show:
    """Tells of the start, then looks again and again, then sums up."""

    def __init__(self, options: DemoOptions, story: Story, clock: PatientClock, began_s: float) -> None:
        self._options = options
        self._story = story
        self._clock = clock
        self._began_s = began_s
        self._figures = Figures()
        self._first_figure_s: float | None = None
        self._sent = 0
        self._address = ""
        self._page = ""
        self._display: Display = Silence()

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Hold the screen, if there is one; an interrupt ends the demo in order."""
        if not self._options.as_json:
            say("a mock Kafka, an embedded ClickHouse and a real worker, in this one process")
        try:
            if self._options.as_json:
                yield
            elif not sys.stdout.isatty():
                self._display = PlainLines()
                yield
            else:
                terminal = Console(emoji=False, highlight=False)
                with Live(console=terminal, auto_refresh=False) as live:
                    self._display = Screen(terminal, live)
                    yield
        except KeyboardInterrupt:
            if not self._options.as_json:
                remark("stopped")

    def starting(self, doing: str) -> None:
        self._display.starting(self._elapsed_s, doing)

    def run(self, parts: Parts, reader: FigureReader, address: str, page: str = "") -> None:
        if not self._options.as_json:
            for line in opening_lines(address, page):
                say(line)
        self._address = address
        self._page = page
        until_s = self._began_s + self._options.duration_s + SETTLE_S
        due_s = 0.0
        while (now_s := time.monotonic()) < until_s:
            parts.check()
            reached_ms = parts.reached_ms
            if reached_ms is not None:  # before that there is nothing, and looking costs time
                self._clock.follow(reached_ms)
                if now_s >= due_s or until_s - now_s <= 2 * LOOK_EVERY_S:
                    self._figures = reader.read()
                    self._note_first_figure()
                    if isinstance(self._display, Silence) and self._first_figure_s is not None:
                        due_s = now_s + UNSEEN_LOOK_EVERY_S
            self._sent = parts.traffic.sent
            self._display.show(self._moment(parts), self._figures)
            time.sleep(FIRST_LOOKS_EVERY_S if self._first_figure_s is None else LOOK_EVERY_S)

    def closing(self) -> None:
        result: dict[str, Any] = {
            "elapsed_s": round(self._elapsed_s, 3),
            "first_figure_s": None if self._first_figure_s is None else round(self._first_figure_s, 3),
            "events_sent": self._sent,
            "clickhouse": self._address,
            "page": self._page or None,
            **document(self._figures),
        }
        if self._options.as_json:
            say(json.dumps(result, indent=2, default=str))
            return
        for line in closing_lines(result, self._figures):
            say(line)

    @property
    def _elapsed_s(self) -> float:
        return time.monotonic() - self._began_s

    def _note_first_figure(self) -> None:
        if self._first_figure_s is not None or not self._figures.has_figure:
            return
        self._first_figure_s = self._elapsed_s
        gc.freeze()
        gc.enable()
        from streams.drift import detectors

        # Half an hour of simulated time before the worker needs them.
        threading.Thread(target=detectors.load, name="detectors", daemon=True).start()

    def _moment(self, parts: Parts) -> Moment:
        now_ms = min(self._clock.now_ms(), self._story.end_ms)
        return Moment(
            elapsed_s=self._elapsed_s,
            event_time_ms=now_ms,
            speed=self._clock.speed,
            pace=self._clock.pace,
            sent=parts.traffic.sent,
            sent_per_s=parts.traffic.rate_per_s(),
            waiting=parts.worker.waiting,
            address=self._address,
            page=self._page,
            story=self._story.at(now_ms),
        )
