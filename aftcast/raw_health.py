"""Whether the raw role is alive and ready: its loop turns, it has partitions, and ClickHouse answers."""

import threading
import time
from collections.abc import Callable

from sinks.clickhouse.client import Client
from sinks.clickhouse.errors import ClickHouseError
from sinks.raw_writer import RawCounters
from streams.worker.health import Part

# A table's rows may take a minute to write, and between tables it polls after 30 s.
TURN_WITHIN_S = 180.0


class ClickHouseProbe:
    """Asks ClickHouse for nothing, over a connection of its own that is kept; any thread may call."""

    def __init__(self, connect: Callable[[], Client]) -> None:
        self._connect = connect
        self._client: Client | None = None
        self._lock = threading.Lock()

    def __call__(self) -> str:
        """Return why it does not answer, empty when it does."""
        with self._lock:
            try:
                if self._client is None:
                    self._client = self._connect()
                self._client.rows("SELECT 1")
            except ClickHouseError as error:
                self._client = None
                return str(error)
        return ""


def raw_part(counters: RawCounters, clickhouse: Callable[[], str] | None) -> Part:
    """Return how the raw role is doing; ``clickhouse`` None: it is within this process."""

    def alive() -> list[str]:
        age_s = time.monotonic() - counters.turned_s
        return [f"the raw role has not turned for {age_s:.0f} s"] if age_s > TURN_WITHIN_S else []

    def ready() -> list[str]:
        reasons = alive()
        if not counters.assigned:
            reasons.append("no assignment from the consumer group yet")
        if counters.waits_for:
            reasons.append(f"{counters.waiting} records wait: {counters.waits_for}")
        elif clickhouse is not None and (reason := clickhouse()):
            reasons.append(reason)
        return reasons

    return Part("raw", alive, ready)
