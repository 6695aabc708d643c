"""The demo's traffic: a thread that sends simulated events as their time comes."""

import threading
import time
from collections.abc import Callable, Mapping

from aftcast.simulation import INFERENCE, LABELS, Simulation
from aftcast.simulation.sending import Sender, paced

# The mock cluster answers a fetch with one batch a partition: few large ones are read as fast as they come.
LINGER_MS = 250


class Traffic(threading.Thread):
    """Sends until the simulation or the demo ends; ``sent`` counts events."""

    def __init__(
        self,
        simulation: Simulation,
        until_ms: int,
        options: Mapping[str, str],
        topics: tuple[str, str],
        now_ms: Callable[[], int],
    ) -> None:
        super().__init__(name="traffic", daemon=True)
        self.sent = 0
        self.failure: BaseException | None = None
        self._simulation = simulation
        self._until_ms = until_ms
        self._options = options
        self._topics = {INFERENCE: topics[0], LABELS: topics[1]}
        self._now_ms = now_ms
        self._reached_ms = 0
        self._stop_event = threading.Event()
        self._counted = (time.monotonic(), 0)

    def run(self) -> None:
        try:
            sender = Sender(self._options, self._topics, LINGER_MS)
            blocks = self._simulation.blocks(self._until_ms)
            for events in paced(blocks, self._now_ms, self._stop_event.is_set):
                self.sent += sender.send(events)
                self._reached_ms = events[-1].time_ms
            self._reached_ms = self._until_ms
            sender.close()
        except BaseException as error:
            self.failure = error

    @property
    def reached_ms(self) -> int | None:
        """The time of the newest event sent; None before the first."""
        return self._reached_ms or None

    def rate_per_s(self) -> float:
        """Return events per second since this was asked the last time."""
        now_s, sent = time.monotonic(), self.sent
        then_s, before = self._counted
        self._counted = (now_s, sent)
        return (sent - before) / max(now_s - then_s, 1e-3)

    def stop(self) -> None:
        self._stop_event.set()
        self.join(5)
