"""The demo's traffic: a thread that sends simulated events as their time comes, bent by the switches."""

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping

import numpy as np

from aftcast.demo.switches import Switches
from aftcast.simulation import INFERENCE, LABELS, Event, Simulation
from aftcast.simulation.faults import broken_event
from aftcast.simulation.sending import Sender, paced

# The mock cluster answers a fetch with one batch a partition: few large ones are read as fast as they come.
LINGER_MS = 250
LIFECYCLE = "lifecycle"
BAD_SHARE = 0.125
# Held labels come by and by: a partition of the mock cluster keeps 100,000 records, read or not.
RELEASED_AT_ONCE = 500
MOST_HELD = 1_000_000


class Traffic(threading.Thread):
    """Sends until the simulation or the demo ends; ``sent`` counts events."""

    def __init__(
        self,
        simulation: Simulation,
        until_ms: int,
        options: Mapping[str, str],
        topics: tuple[str, ...],
        now_ms: Callable[[], int],
        switches: Switches | None = None,
    ) -> None:
        super().__init__(name="traffic", daemon=True)
        self.sent = 0
        self.failure: BaseException | None = None
        self._simulation = simulation
        self._until_ms = until_ms
        self._options = options
        self._topics = dict(zip((INFERENCE, LABELS, LIFECYCLE), topics, strict=False))
        self._now_ms = now_ms
        self._switches = switches
        self._held: deque[Event] = deque()
        self._raised = False
        self._draw = np.random.default_rng(simulation.seed)
        self._reached_ms = 0
        self._stop_event = threading.Event()
        self._counted = (time.monotonic(), 0)

    def run(self) -> None:
        try:
            sender = Sender(self._options, self._topics, LINGER_MS)
            blocks = self._simulation.blocks(self._until_ms)
            for events in paced(blocks, self._now_ms, self._stop_event.is_set):
                reached_ms = events[-1].time_ms
                self.sent += sender.send(events if self._switches is None else self._bent(events))
                self._reached_ms = reached_ms
            self._reached_ms = self._until_ms
            if self._held and self._switches is not None and not self._switches.holds_labels:
                self.sent += sender.send(self._released(len(self._held), self._until_ms))
            sender.close()
        except BaseException as error:
            self.failure = error

    def _bent(self, events: list[Event]) -> list[Event]:
        """Return what is sent instead, as the switches stand."""
        assert self._switches is not None  # noqa: S101
        now_ms = events[-1].time_ms
        sent = self._changes(now_ms)
        if self._switches.holds_labels:
            self._held += (event for event in events if event.kind == LABELS)
            events = [event for event in events if event.kind != LABELS]
            sent += self._released(len(self._held) - MOST_HELD, now_ms)
        else:
            sent += self._released(RELEASED_AT_ONCE, now_ms)
        sent += events
        if self._switches.sends_bad_messages and events:
            for i in self._draw.integers(0, len(events), self._draw.binomial(len(events), BAD_SHARE)):
                sent.append(broken_event(self._draw, now_ms, events[int(i)]))
        return sent

    def _released(self, most: int, now_ms: int) -> list[Event]:
        # What a label says it says of its own time; that it was held shows by when it comes.
        count = max(0, min(most, len(self._held)))
        return [self._held.popleft()._replace(time_ms=now_ms) for _ in range(count)]

    def _changes(self, now_ms: int) -> list[Event]:
        """Return the deployment that makes the model worse, or the roll-back, when one happens now."""
        assert self._switches is not None  # noqa: S101
        raised = self._switches.is_raised(now_ms)
        if raised == self._raised or LIFECYCLE not in self._topics:
            return []
        self._raised = raised
        kind, message = ("deployed", "a new threshold") if raised else ("rolled_back", "the old threshold")
        told = {"model": "fraud", "model_version": "3.1", "timestamp": now_ms, "kind": kind}
        told |= {"message": message, "actor": "demo"}
        return [Event(LIFECYCLE, now_ms, b"fraud", json.dumps(told).encode())]

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
