"""Simulated time that waits for whoever falls behind, so that a busy machine tells the same story, later."""

import threading
import time

# Of the clock, behind the simulated present: a second is the usual, of which half is the worker's own tick.
EASY_LAG_S = 2.0
LONGEST_LAG_S = 4.0


class PatientClock:
    """Time that stands at ``start_ms`` until ``start``, and then runs ``speed`` times as fast or slower.

    ``speed`` is the full speed at all times; ``pace`` is the share of it that is run now.

    Examples
    --------
    >>> clock = PatientClock(1000, 300.0)
    >>> clock.follow(1000)
    >>> clock.now_ms(), clock.pace
    (1000, 1.0)
    """

    def __init__(self, start_ms: int, speed: float) -> None:
        if not speed > 0:
            raise ValueError(f"speed must be above 0; got {speed}")
        self.speed = speed
        self.pace = 1.0
        self._reached_ms = float(start_ms)
        self._looked_s: float | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        with self._lock:
            self._looked_s = time.monotonic()

    def now_ms(self) -> int:
        with self._lock:
            return self._now_ms()

    def follow(self, reached_ms: int) -> None:
        """Slow down, down to a standstill, by how far whoever reads has got; speed up when it is back."""
        with self._lock:
            now_ms = self._now_ms()  # at the old pace up to here
            lag_s = (now_ms - reached_ms) / 1000 / self.speed
            self.pace = min(1.0, max(0.0, (LONGEST_LAG_S - lag_s) / (LONGEST_LAG_S - EASY_LAG_S)))

    def _now_ms(self) -> int:
        if self._looked_s is not None:
            now_s = time.monotonic()
            self._reached_ms += (now_s - self._looked_s) * 1000 * self.speed * self.pace
            self._looked_s = now_s
        return int(self._reached_ms)
