"""Hours added up beside the raw role: in a tenth of the time at most, and in one process of the group."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from sinks.clickhouse.client import Client
from sinks.clickhouse.errors import ClickHouseError
from sinks.clickhouse.hours import HourBuilder, WaitingHours

LOOK_EVERY_S = 30.0
TURN_EVERY_S = 1.0  # whether it is this process's turn costs nothing to ask
REST = 9.0  # times as long as the work before it: a tenth of one core is what it takes at most
NAME_EVERY_S = 21_600.0  # a look over the keys of all panes, 0.2 s of CPU per million
FIRST_RETRY_S, LONGEST_RETRY_S = 1.0, 60.0
STOP_WITHIN_S = 5.0

log = structlog.get_logger("aftcast.hours")


@dataclass(slots=True)
class HourCounters:
    """Running totals since the start, and how things stand; any thread may read them."""

    built: int = 0
    retries: int = 0
    waiting: WaitingHours = field(default_factory=WaitingHours)
    last_run_ms: int | None = None


class HourThread(threading.Thread):
    """Builds what is quiet while this process has the turn; two that build at once only cost time."""

    def __init__(
        self, open_builder: Callable[[], tuple[Client, HourBuilder]], has_turn: Callable[[], bool]
    ) -> None:
        super().__init__(name="hours", daemon=True)
        self._open = open_builder
        self._has_turn = has_turn
        self._stopping = threading.Event()
        self._opened: tuple[Client, HourBuilder] | None = None
        self._named_s = float("-inf")
        self.counters = HourCounters()

    def run(self) -> None:
        pause_s = retry_s = FIRST_RETRY_S
        while not self._stopping.wait(pause_s):
            try:
                pause_s, retry_s = self._pass(), FIRST_RETRY_S
            except ClickHouseError as error:
                self._give_up(f"{error}; hours are added up later, trying again in {retry_s:g} s")
                pause_s, retry_s = retry_s, min(2 * retry_s, LONGEST_RETRY_S)
            except Exception as error:
                # Every hour that is not built is read from its panes, so the raw role goes on.
                log.exception("adding up hours failed")
                self._give_up(f"{error!r}; hours are added up later, trying again in {LONGEST_RETRY_S:g} s")
                pause_s = LONGEST_RETRY_S
        self._disconnect()

    def stop(self) -> None:
        self._stopping.set()
        if self.is_alive():
            self.join(STOP_WITHIN_S)

    def _pass(self) -> float:
        """Build some hours, and return for how long to rest."""
        if not self._has_turn():
            self._disconnect()
            self.counters.waiting = WaitingHours()
            return TURN_EVERY_S
        if self._opened is None:
            self._opened = self._open()
        _, builder = self._opened
        begin_s = time.monotonic()
        if begin_s - self._named_s > NAME_EVERY_S:
            builder.name_unnamed()
            self._named_s = begin_s
        built = builder.build()
        self.counters.built += built
        self.counters.waiting = builder.waiting()
        self.counters.last_run_ms = time.time_ns() // 1_000_000
        rest_s = REST * (time.monotonic() - begin_s)
        return rest_s if self.counters.waiting.hours else max(LOOK_EVERY_S, rest_s)

    def _disconnect(self) -> None:
        if self._opened is not None:
            self._opened[0].close()
            self._opened = None

    def _give_up(self, line: str) -> None:
        self.counters.retries += 1
        log.warning(line)
        self._disconnect()
