"""How far a signal's hours lie apart by chance: what single values explain, and what they do not."""

from dataclasses import dataclass

# Before the hours have shown their own spread, three points are assumed, as if six hours had shown them.
ASSUMED = 0.03
ASSUMED_HOURS = 6.0


@dataclass(slots=True)
class Hour:
    number: int
    n: int
    total: float
    squares: float


class Spread:
    """Learns from hour to hour: neighbours differ by chance, while a day's rhythm hardly moves within one."""

    def __init__(self) -> None:
        self._hour: Hour | None = None
        self._last: Hour | None = None
        self._inside = self._freedom = 0.0
        self._n = self._total = self._squares = 0.0
        self._known = self._weights = self._squared = 0.0
        self.shared, self.hours = ASSUMED**2, 0.0
        self.shown = 0.0  # of ``shared``, what the hours have shown

    @property
    def within(self) -> float:
        """Variance of one value about its hour's mean."""
        if self._freedom >= 30:
            return max(self._inside / self._freedom, 1e-6)
        mean = (self._total + 0.5) / (self._n + 1.0)
        return max(self._squares / max(self._n, 1.0) - mean * mean, mean * (1 - mean) / 12, 1e-6)

    def add(self, number: int, n: int, total: float, squares: float) -> None:
        """Take in values of the hour ``number`` (since 1970)."""
        self._n += n
        self._total += total
        self._squares += squares
        if self._hour is not None and self._hour.number == number:
            self._hour.n += n
            self._hour.total += total
            self._hour.squares += squares
            return
        if self._hour is not None:
            self._close(self._hour)
        self._hour = Hour(number, n, total, squares)

    def _close(self, hour: Hour) -> None:
        self._inside += max(0.0, hour.squares - hour.total * hour.total / hour.n)
        self._freedom += hour.n - 1
        last, self._last = self._last, hour
        if last is None or hour.number != last.number + 1:
            return
        apart = hour.total / hour.n - last.total / last.n
        chance = self.within * (1.0 / hour.n + 1.0 / last.n)
        # Thin hours say little about what is beyond chance.
        weight = (chance + 2 * ASSUMED**2) ** -2
        self._known += weight * (apart * apart - chance) / 2
        self._weights += weight
        self._squared += weight * weight
        self.hours = self._weights**2 / self._squared
        self.shown = max(0.0, self._known / self._weights)
        self.shared = (ASSUMED_HOURS * ASSUMED**2 + self.hours * self.shown) / (ASSUMED_HOURS + self.hours)
