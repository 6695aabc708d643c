"""What people may change in the demo's world while it runs: a drift, the labels' way, broken producers."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from aftcast.demo.story import Story

DRIFT, HOLD_LABELS, BAD_MESSAGES = "drift", "hold_labels", "bad_messages"
WORDS = {
    DRIFT: (
        "Switch on a drift",
        "The fraud model is wrong in 25 % of its answers instead of 10 %, and amounts are tripled.",
    ),
    HOLD_LABELS: (
        "Hold back the labels",
        "Labels wait with their producer, and come all together afterwards.",
    ),
    BAD_MESSAGES: (
        "Send bad messages",
        "One message in eight is cut short, lacks a field or has a wrong type.",
    ),
}
CALM = "All is well: labels come with their usual delay, and both models do as well as ever."
AMOUNTS_GROW = 3.0


class Switches:
    """Read by the traffic for every group of events, turned by the page; any thread may do either.

    Until it is turned, the drift follows the story.

    Examples
    --------
    >>> switches = Switches(Story(0, 1000, 300, 550), lambda: 0, lambda: 1.0)
    >>> switches.turn("hold_labels", on=True), switches.turn("weather", on=True)
    (True, False)
    >>> switches.holds_labels, switches.is_raised(400), switches.is_raised(600)
    (True, True, False)
    """

    def __init__(self, story: Story, now_ms: Callable[[], int], speed: Callable[[], float]) -> None:
        self._story = story
        self._now_ms = now_ms
        self._speed = speed
        self._lock = threading.Lock()
        self._turned: dict[str, bool] = {}

    @property
    def holds_labels(self) -> bool:
        return self._turned.get(HOLD_LABELS, False)

    @property
    def sends_bad_messages(self) -> bool:
        return self._turned.get(BAD_MESSAGES, False)

    @property
    def drift(self) -> bool | None:
        """Whether somebody switched the drift on or off; None: the story decides."""
        return self._turned.get(DRIFT)

    def is_raised(self, event_time_ms: int) -> bool:
        drift = self.drift
        return self._story.rise_ms <= event_time_ms < self._story.recovery_ms if drift is None else drift

    def turn(self, name: str, *, on: bool) -> bool:
        """Turn a switch, and return whether there is one of that name."""
        if name not in WORDS:
            return False
        with self._lock:
            self._turned = {**self._turned, name: on}
        return True

    def document(self) -> dict[str, Any]:
        """Return where the switches stand and what the simulated world does, as the page shows it."""
        now_ms = min(self._now_ms(), self._story.end_ms)
        states = {
            DRIFT: self.is_raised(now_ms),
            HOLD_LABELS: self.holds_labels,
            BAD_MESSAGES: self.sends_bad_messages,
        }
        return {
            "time": datetime.fromtimestamp(now_ms / 1000, UTC),
            "speed": self._speed(),
            "story": self._told(now_ms, states),
            "switches": {
                name: {"on": states[name], "label": label, "hint": hint}
                for name, (label, hint) in WORDS.items()
            },
        }

    def _told(self, now_ms: int, states: dict[str, bool]) -> str:
        if now_ms >= self._story.end_ms:
            return "The simulated traffic has ended; what is on its way still arrives."
        told = []
        if states[DRIFT]:
            told.append(
                "The fraud model is wrong in 25 % of its answers: accuracy falls once labels tell, the "
                "detectors notice, and an alert fires."
            )
        elif now_ms >= self._story.recovery_ms or self.drift is False:
            told.append("The fraud model is back at 10 % wrong answers: the alert resolves.")
        if states[HOLD_LABELS]:
            told.append(
                "No labels come: windows stay provisional, coverage falls, and LabelsLate fires when panes "
                "are older than their horizon."
            )
        if states[BAD_MESSAGES]:
            told.append("One message in eight is broken: each becomes a dead letter with its reason.")
        return " ".join(told) or CALM
