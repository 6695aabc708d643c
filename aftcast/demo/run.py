"""Runs the demo: starts its parts, shows what they find, and tells at the end what happened."""

import io
import json
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.live import Live

from aftcast.demo.figures import FigureReader, Figures
from aftcast.demo.live_worker import LiveRawWriter, LiveWorker
from aftcast.demo.mock_kafka import MockKafka
from aftcast.demo.plain import PlainLines
from aftcast.demo.report import STATEMENTS, closing_lines, document
from aftcast.demo.screen import Moment, screen
from aftcast.demo.store import DATABASE, DemoStore
from aftcast.demo.story import PARTITIONS, SIMULATED_MS, Story, configuration_of, story_of
from aftcast.demo.traffic import Traffic
from aftcast.failure import Failure
from aftcast.logs import configure_logs
from aftcast.output import remark, say
from aftcast.simulation import Simulation
from aftcast.warm_up import is_warm, warm_up
from streams.worker.clock import ScaledClock

LOOK_EVERY_S = 0.5
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


def run_demo(options: DemoOptions) -> None:
    """Run to the end of ``duration_s`` or until interrupted; ``Failure`` if a part stops by itself."""
    began_s = time.monotonic()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)  # a supervisor's stop cleans up like Ctrl-C
    if not is_warm():
        remark("compiling the core for this machine, once: some 20 s")
        warm_up()
    log = io.StringIO()  # a log on the screen would tear it; what goes wrong ends the demo with its reason
    configure_logs(log)
    speed = options.speed or max(1.0, SIMULATED_MS / 1000 / options.duration_s)
    with ExitStack() as stack:
        topics = configuration_of("localhost", "http://localhost", DATABASE, speed).topics
        names = topics.model_dump(exclude={"partitions"}).values()
        kafka = stack.enter_context(MockKafka(dict.fromkeys(names, PARTITIONS)))
        story = story_of(int(time.time() * 1000), options.duration_s, speed)
        store = DemoStore(options.port)
        configuration = configuration_of(kafka.bootstrap_servers, store.url, DATABASE, speed)
        clock = ScaledClock(story.start_ms, speed)
        simulation = Simulation(
            options.seed,
            story.start_ms,
            options.rate_per_s / speed,
            rise_ms=story.rise_ms,
            recovery_ms=story.recovery_ms,
        )
        traffic = Traffic(
            simulation,
            story.end_ms,
            configuration.kafka.client_options(),
            (topics.inference, topics.labels),
            clock.now_ms,
        )
        # In the order of what each needs: events come while the worker is still being loaded.
        worker, raw = LiveWorker(configuration, clock), LiveRawWriter(configuration)
        for part in (traffic, worker):
            part.start()
            stack.callback(part.stop)
        stack.enter_context(store)
        raw.start()
        stack.callback(raw.stop)
        client = store.client()
        stack.callback(client.close)
        show = Show(options, story, clock, speed, store.address, began_s, FigureReader(client))
        show.opening()
        show.run(traffic, worker, raw)
        show.closing(traffic)


class Show:
    """What is seen while the demo runs, and what is said at its end."""

    def __init__(
        self,
        options: DemoOptions,
        story: Story,
        clock: ScaledClock,
        speed: float,
        address: str,
        began_s: float,
        reader: FigureReader,
    ) -> None:
        self._options = options
        self._story = story
        self._clock = clock
        self._speed = speed
        self._address = address
        self._began_s = began_s
        self._reader = reader
        self._figures = Figures()
        self._first_figure_s: float | None = None

    def opening(self) -> None:
        if not self._options.as_json:
            say("aftcast demo: Kafka is librdkafka's mock cluster, ClickHouse is chDB; no checkpoints")
            say(f"ClickHouse's HTTP interface: {self._address}; to try from another terminal:")
            url = "" if self._address.endswith(":8123") else f"--url {self._address} "
            for statement in STATEMENTS:
                say(f'  aftcast sql {url}"{statement}"')

    def run(self, traffic: Traffic, worker: LiveWorker, raw: LiveRawWriter) -> None:
        until_s = self._began_s + self._options.duration_s + SETTLE_S
        try:
            with ExitStack() as stack:
                show = self._display(stack)
                while time.monotonic() < until_s:
                    for part in (traffic, worker, raw):
                        if part.failure is not None:
                            raise Failure(f"the demo's {part.name} stopped: {part.failure}") from part.failure
                    if worker.waiting is not None:  # before that there is nothing, and looking costs time
                        self._figures = self._reader.read()
                    elapsed_s = time.monotonic() - self._began_s
                    if self._first_figure_s is None and any(
                        window.figure is not None
                        for model in self._figures.models
                        for window in model.windows
                    ):
                        self._first_figure_s = elapsed_s
                    show(self._moment(elapsed_s, traffic, worker), self._figures)
                    time.sleep(LOOK_EVERY_S)
        except KeyboardInterrupt:
            if not self._options.as_json:
                remark("stopped")

    def _display(self, stack: ExitStack) -> Callable[[Moment, Figures], None]:
        if self._options.as_json:
            return lambda _moment, _figures: None
        if not sys.stdout.isatty():
            return PlainLines().show
        terminal = Console(emoji=False, highlight=False)
        live = stack.enter_context(Live(console=terminal, auto_refresh=False))
        return lambda moment, figures: live.update(screen(moment, figures, terminal.width), refresh=True)

    def _moment(self, elapsed_s: float, traffic: Traffic, worker: LiveWorker) -> Moment:
        now_ms = min(self._clock.now_ms(), self._story.end_ms)
        return Moment(
            elapsed_s=elapsed_s,
            event_time_ms=now_ms,
            speed=self._speed,
            sent=traffic.sent,
            sent_per_s=traffic.rate_per_s(),
            waiting=worker.waiting,
            address=self._address,
            story=self._story.at(now_ms),
        )

    def closing(self, traffic: Traffic) -> None:
        result: dict[str, Any] = {
            "elapsed_s": round(time.monotonic() - self._began_s, 3),
            "first_figure_s": None if self._first_figure_s is None else round(self._first_figure_s, 3),
            "events_sent": traffic.sent,
            "clickhouse": self._address,
            **document(self._figures),
        }
        if self._options.as_json:
            say(json.dumps(result, indent=2, default=str))
            return
        for line in closing_lines(result, self._figures):
            say(line)
