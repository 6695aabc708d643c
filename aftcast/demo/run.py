"""Runs the demo: starts its parts in the order in which they are needed, and shows what they find."""

import gc
import io
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from types import FrameType

from aftcast.demo.clock import PatientClock
from aftcast.demo.figures import FigureReader
from aftcast.demo.live_worker import LiveRawWriter, LiveWorker
from aftcast.demo.mock_kafka import MockKafka
from aftcast.demo.references import reference_file, with_references
from aftcast.demo.show import DemoOptions, Parts, Show
from aftcast.demo.store import DATABASE, DemoStore
from aftcast.demo.story import PARTITIONS, SIMULATED_MS, configuration_of, story_of
from aftcast.demo.switched import SwitchedSimulation
from aftcast.demo.switches import Switches
from aftcast.demo.traffic import Traffic
from aftcast.logs import configure_logs
from aftcast.page.opening import page_server
from aftcast.warm_up import is_warm, warm_up

TELL_EVERY_S = 0.25
SAME_INTERRUPT_S = 1.0


def run_demo(options: DemoOptions, began_s: float) -> None:
    """Run to the end of ``duration_s`` or until interrupted; ``Failure`` if a part stops by itself."""
    # Loading makes half a million objects that stay: collecting among them takes a fifth of the time.
    gc.disable()
    interrupt = Interrupt()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)  # a supervisor's stop cleans up like Ctrl-C
    log = io.StringIO()  # a log on the screen would tear it; what goes wrong ends the demo with its reason
    configure_logs(log)
    speed = options.speed or max(1.0, SIMULATED_MS / 1000 / options.duration_s)
    story = story_of(int(time.time() * 1000), options.duration_s, speed)
    clock = PatientClock(story.start_ms, speed)
    show = Show(options, story, clock, began_s)
    with ExitStack() as stack:
        with show.shown():
            if not is_warm():
                tell_while(warm_up, show, "compiling the core for this machine, once: some 20 s")
            topics = configuration_of("localhost", "http://localhost", DATABASE, speed).topics
            names = topics.model_dump(exclude={"partitions"}).values()
            kafka = stack.enter_context(MockKafka(dict.fromkeys(names, PARTITIONS)))
            store = DemoStore(options.port)
            configuration = configuration_of(
                kafka.bootstrap_servers, store.url, DATABASE, speed, options.page_port
            )
            configuration = with_references(
                configuration, options.seed, story.start_ms, stack.enter_context(reference_file())
            )
            switches = Switches(story, clock.now_ms, lambda: clock.speed * clock.pace)
            simulation = SwitchedSimulation(
                switches,
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
                (topics.inference, topics.labels, topics.lifecycle),
                clock.now_ms,
                switches,
            )
            worker, raw = LiveWorker(configuration, clock), LiveRawWriter(configuration)
            # The worker first: it takes longest, and while it joins its group there is time for the rest.
            for part in (traffic, worker):
                stack.callback(part.stop)
            worker.start()
            tell_while(worker.loaded.wait, show, "loading the worker")
            clock.start()
            traffic.start()
            tell_while(lambda: stack.enter_context(store), show, "opening ClickHouse")
            raw.start()
            stack.callback(raw.stop)
            client = store.client()
            stack.callback(client.close)
            page = ""
            if options.with_page:
                server = page_server(configuration, store.client, default_span="12h", switches=switches)
                page = stack.enter_context(server).address
            show.run(Parts(traffic, worker, raw), FigureReader(client), store.address, page)
        show.closing()


class Interrupt:
    """A handler of signals: the first ends the demo in order, one that comes while it does so at once."""

    def __init__(self) -> None:
        self._first_s: float | None = None

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        if self._first_s is None:
            self._first_s = time.monotonic()
            raise KeyboardInterrupt
        # Supervisors tell a process and its group: two signals, one meaning.
        if time.monotonic() - self._first_s > SAME_INTERRUPT_S:
            os._exit(128 + number)


def tell_while(work: Callable[[], object], show: Show, doing: str) -> None:
    """Work on another thread while the screen tells for how long."""
    failures: list[BaseException] = []

    def worked() -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=worked, daemon=True)
    thread.start()
    while thread.is_alive():
        show.starting(doing)
        thread.join(TELL_EVERY_S)
    if failures:
        raise failures[0]
