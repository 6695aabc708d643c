"""Hours added up beside the raw role: in a tenth of the time at most, and in one process of the group."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from aftcast.passes import FIRST_RETRY_S, Passes
from sinks.clickhouse.client import Client
from sinks.clickhouse.errors import ClickHouseError
from sinks.clickhouse.hours import HourBuilder, WaitingHours

LOOK_EVERY_S = 30.0
TURN_EVERY_S = 1.0  # whether it is this process's turn costs nothing to ask
REST = 9.0  # times as long as the work before it: a tenth of one core is what it takes at most
NAME_EVERY_S = 21_600.0  # a look over the keys of all panes, 0.2 s of CPU per million


@dataclass(slots=True)
class HourCounters:
    """Running totals since the start, and how things stand; any thread may read them."""

    built: int = 0
    retries: int = 0
    waiting: WaitingHours = field(default_factory=WaitingHours)
    last_run_ms: int | None = None


class HourThread(Passes):
    """Builds what is quiet while this process has the turn; two that build at once only cost time."""

    def __init__(
        self, open_builder: Callable[[], tuple[Client, HourBuilder]], has_turn: Callable[[], bool]
    ) -> None:
        # Every hour that is not built is read from its panes.
        super().__init__("hours", "hours are added up later", (ClickHouseError,), FIRST_RETRY_S)
        self._open = open_builder
        self._has_turn = has_turn
        self._opened: tuple[Client, HourBuilder] | None = None
        self._named_s = float("-inf")
        self.counters = HourCounters()

    def work(self) -> float:
        """Build some hours, and return for how long to rest."""
        if not self._has_turn():
            self.disconnect()
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

    def count_retry(self) -> None:
        self.counters.retries += 1

    def disconnect(self) -> None:
        if self._opened is not None:
            self._opened[0].close()
            self._opened = None
