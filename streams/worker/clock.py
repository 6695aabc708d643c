"""Where the worker's ticks come from: the system's clock, or simulated time that runs faster."""

import time
from typing import Protocol


class Clock(Protocol):
    """The time now, and how many milliseconds of it pass in one real millisecond."""

    speed: float

    def now_ms(self) -> int: ...


class SystemClock:
    """The time of day."""

    speed = 1.0

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000


class ScaledClock:
    """Time that starts at ``start_ms`` and runs ``speed`` times as fast as real time."""

    def __init__(self, start_ms: int, speed: float) -> None:
        if not speed > 0:
            raise ValueError(f"speed must be above 0; got {speed}")
        self.speed = speed
        self._start_ms = start_ms
        self._began_s = time.monotonic()

    def now_ms(self) -> int:
        return self._start_ms + int((time.monotonic() - self._began_s) * 1000 * self.speed)
