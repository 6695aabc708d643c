"""What a signal has been, by the quarter of an hour and the day, for baselines to be made from."""

from dataclasses import dataclass

import numpy as np

from schemas.settings import DAY_MS, HOUR_MS
from streams.drift.kernels import Grid

UNIT_MS = HOUR_MS // 4  # a strong change shows within the hour, and a month is 2,880 steps of a bootstrap
MOST_DAYS = 56  # eight weeks: a baseline by the hour of the week rests on six to eight values each


@dataclass(slots=True)
class Unit:
    """A quarter of an hour of a signal, or a pane where that is longer."""

    start_ms: int
    end_ms: int
    n: int = 0
    total: float = 0.0
    squares: float = 0.0


class Units:
    """Gathers panes into units that begin at full quarters of an hour."""

    def __init__(self) -> None:
        self._open: Unit | None = None

    def add(self, start_ms: int, end_ms: int, n: int, total: float, squares: float) -> list[Unit]:
        """Take in the next pane and return the units that are complete by now, two at most."""
        done = []
        if self._open is not None and start_ms >= self._open.end_ms:
            done.append(self._open)
            self._open = None
        if self._open is None:
            begin_ms = start_ms // UNIT_MS * UNIT_MS
            self._open = Unit(begin_ms, max(begin_ms + UNIT_MS, end_ms))
        unit = self._open
        unit.n += n
        unit.total += total
        unit.squares += squares
        if end_ms >= unit.end_ms:
            done.append(unit)
            self._open = None
        return [one for one in done if one.n > 0]


class Record:
    """The units of the last eight weeks: per day three rows (n, total, squares), 1.2 kB."""

    def __init__(self, unit_ms: int = UNIT_MS) -> None:
        self.units = max(1, DAY_MS // unit_ms)
        self._unit_ms = unit_ms
        self._days: dict[int, Grid] = {}

    def add(self, unit: Unit) -> None:
        day, within_ms = divmod(unit.start_ms, DAY_MS)
        if day not in self._days:
            self._days[day] = np.zeros((3, self.units), np.float32)
            while len(self._days) > MOST_DAYS:
                del self._days[next(iter(self._days))]
        self._days[day][:, within_ms // self._unit_ms] += (unit.n, unit.total, unit.squares)

    @property
    def days(self) -> int:
        return len(self._days)

    def grids(self) -> tuple[list[int], Grid]:
        """Return the numbers of the days and their rows, shape ``(days, 3, units)``."""
        return list(self._days), np.stack(list(self._days.values()))
