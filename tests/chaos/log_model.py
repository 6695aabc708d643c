"""A log with transactions in memory: what readers of committed data see, and who is fenced."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Place = tuple[str, int]  # topic, partition


class FencedError(Exception):
    """Somebody else has claimed the name since."""


@dataclass(slots=True)
class Transaction:
    """Open until it is committed or aborted; its entries stand in the logs from when they are written."""

    state: str = "open"


@dataclass(slots=True)
class _Name:
    epoch: int = 0
    running: Transaction | None = None


@dataclass
class LogModel:
    """Topics with transactions, as Kafka has them: open ones hold back readers of committed data."""

    _logs: dict[Place, list[tuple[Any, Transaction]]] = field(default_factory=dict)
    _names: dict[str, _Name] = field(default_factory=dict)

    def claim(self, name: str) -> int:
        """Fence whoever used the name before, undo what it left open, and return the new epoch."""
        owner = self._names.setdefault(name, _Name())
        owner.epoch += 1
        if owner.running is not None:
            owner.running.state, owner.running = "aborted", None
        return owner.epoch

    def write(self, name: str, epoch: int, place: Place, value: Any) -> None:
        """Append within the transaction that is running, or begin one."""
        owner = self._checked(name, epoch)
        owner.running = owner.running or Transaction()
        self._logs.setdefault(place, []).append((value, owner.running))

    def commit(self, name: str, epoch: int) -> None:
        owner = self._checked(name, epoch)
        if owner.running is not None:
            owner.running.state, owner.running = "committed", None

    def time_out(self, name: str) -> None:
        """Undo what is open for too long; its writer is fenced, as by the coordinator."""
        owner = self._names[name]
        if owner.running is not None:
            owner.epoch += 1
            owner.running.state, owner.running = "aborted", None

    def committed(self, place: Place, first: int = 0) -> Iterator[tuple[int, Any]]:
        """Yield offsets and committed values from ``first`` on, up to the first that is still open."""
        log = self._logs.get(place, [])
        for offset in range(first, len(log)):
            value, transaction = log[offset]
            if transaction.state == "open":
                return
            if transaction.state == "committed":
                yield offset, value

    def newest(self, place: Place) -> Any:
        """Return the last committed value, None where there is none."""
        return next((value for _, value in reversed(list(self.committed(place)))), None)

    def _checked(self, name: str, epoch: int) -> _Name:
        owner = self._names[name]
        if owner.epoch != epoch:
            raise FencedError(f"{name}: epoch {epoch}, by now {owner.epoch}")
        return owner
