"""Panes that wait for the cold join, and when the turn of each has come."""

from collections.abc import Iterable
from dataclasses import dataclass, field

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
Pane = tuple[str, int]  # model and start, in milliseconds


def interval_ms(behind_ms: int, shortest_ms: int) -> int:
    """Return how long events are gathered for a pane that ended so long before the floor.

    Ten times as long after an hour, sixty times after a day: the older a pane, the fewer of its labels come
    at once, and each time it is computed it is computed whole.

    Examples
    --------
    >>> [interval_ms(behind_ms, 60_000) // 60_000 for behind_ms in (0, 2 * 3_600_000, 90_000_000)]
    [1, 10, 60]
    """
    return shortest_ms * (1 if behind_ms < HOUR_MS else 10 if behind_ms < DAY_MS else 60)


@dataclass(slots=True)
class Waiting:
    """Touched panes by model and start, with the clock's time at which the first touch was found."""

    width_ms: int
    shortest_ms: int
    since_ms: dict[Pane, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.since_ms)

    def touch(self, panes: Iterable[Pane], now_ms: int) -> list[Pane]:
        """Note panes as touched; return those that did not wait yet."""
        fresh = [pane for pane in dict.fromkeys(panes) if pane not in self.since_ms]
        for pane in fresh:
            self.since_ms[pane] = now_ms
        return fresh

    def due(self, floor_ms: int, now_ms: int) -> dict[str, list[int]]:
        """Return by model the starts of panes that are final everywhere and have waited long enough."""
        found: dict[str, list[int]] = {}
        for (model, start_ms), since_ms in self.since_ms.items():
            behind_ms = floor_ms - start_ms - self.width_ms
            if behind_ms >= 0 and now_ms - since_ms >= interval_ms(behind_ms, self.shortest_ms):
                found.setdefault(model, []).append(start_ms)
        return {model: sorted(starts) for model, starts in sorted(found.items())}

    def expire(self, before_ms: int) -> list[Pane]:
        """Forget and return panes that start before a time: their raw rows may be gone."""
        gone = [pane for pane in self.since_ms if pane[1] < before_ms]
        for pane in gone:
            del self.since_ms[pane]
        return gone

    def done(self, model: str, starts_ms: Iterable[int]) -> None:
        for start_ms in starts_ms:
            self.since_ms.pop((model, start_ms), None)

    def oldest_ms(self, floor_ms: int) -> int | None:
        """Return since when the longest waiting pane that could be computed waits."""
        return min(
            (since for (_, start), since in self.since_ms.items() if start + self.width_ms <= floor_ms),
            default=None,
        )
