"""How far stream and raw role have come together, and where events without a partner have come since."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from schemas.findings import Progress

Offsets = Mapping[tuple[str, int], int]  # next ones, by topic and partition


@dataclass(frozen=True, slots=True)
class Reached:
    """A moment of the stream whose records are all in the raw tables.

    ``inference`` and ``labels`` are the raw role's next offsets by partition: nothing above them is used.
    """

    progress: tuple[Progress, ...]
    inference: tuple[int, ...]
    labels: tuple[int, ...]

    @property
    def floor_ms(self) -> int:
        """Panes that end at or before it are final in every partition."""
        return min(report.floor_ms for report in self.progress)

    @property
    def highest_floor_ms(self) -> int:
        return max(report.floor_ms for report in self.progress)

    @property
    def as_of_ms(self) -> int:
        """Record time up to which both inputs of every partition are applied."""
        return min(min(report.inference_ms, report.labels_ms) for report in self.progress)

    @property
    def bound(self) -> int:
        """How many records of the inputs are in the raw tables: it only grows."""
        return sum(self.inference) + sum(self.labels)


class Following:
    """Hears the progress of all partitions and says which of it the raw role has caught up with."""

    def __init__(self, inference_topic: str, label_topic: str) -> None:
        self._inference, self._labels = inference_topic, label_topic
        self._newest: dict[int, Progress] = {}
        self._restless: set[int] = set()
        self._pending: tuple[tuple[Progress, ...], frozenset[int], Offsets] | None = None

    def hear(self, reports: Iterable[Progress]) -> None:
        """Take in progress in the order in which it was sent."""
        for report in reports:
            known = self._newest.get(report.partition)
            if known is not None and report.epoch < known.epoch:
                continue
            if known is not None and (known.epoch, known.unmatched) != (report.epoch, report.unmatched):
                self._restless.add(report.partition)
            self._newest[report.partition] = report

    def unsettle(self, partitions: Iterable[int]) -> None:
        """Have partitions looked through again, as what was held could not be done."""
        self._restless.update(partitions)

    @property
    def is_complete(self) -> bool:
        """Whether every partition was heard."""
        counts = {report.partitions for report in self._newest.values()}
        return bool(counts) and len(self._newest) >= max(counts)

    @property
    def waits(self) -> bool:
        """Whether a moment is held until the raw role has come as far."""
        return self._pending is not None

    def hold(self, ends: Offsets) -> None:
        """Hold this moment; ``ends`` are the ends of the topics that bear what the stream sent by now."""
        progress = tuple(self._newest[partition] for partition in sorted(self._newest))
        targets = dict(ends)
        for report in progress:
            targets[self._inference, report.partition] = report.inference_offset
            targets[self._labels, report.partition] = report.label_offset
        self._pending = (progress, frozenset(self._restless), targets)
        self._restless.clear()

    @property
    def places(self) -> list[tuple[str, int]]:
        """Where the raw role must have come as far as the moment that is held."""
        assert self._pending is not None, "asked without a moment that is held"  # noqa: S101
        return list(self._pending[2])

    def short_of(self, committed: Offsets) -> list[tuple[str, int]]:
        """Return where the raw role has not come as far as the moment that is held."""
        assert self._pending is not None, "asked without a moment that is held"  # noqa: S101
        return [place for place, end in self._pending[2].items() if committed.get(place, 0) < end]

    def take(self, committed: Offsets) -> tuple[Reached, frozenset[int]]:
        """Return the moment that was held, and the partitions in which events found no partner before it."""
        assert self._pending is not None, "asked without a moment that is held"  # noqa: S101
        progress, restless, _ = self._pending
        self._pending = None
        places = range(max(report.partition for report in progress) + 1)
        return (
            Reached(
                progress,
                tuple(max(0, committed.get((self._inference, p), 0)) for p in places),
                tuple(max(0, committed.get((self._labels, p), 0)) for p in places),
            ),
            restless,
        )


EVERYWHERE = -1  # in place of a partition, as in rows of panes: all of them together


@dataclass(frozen=True, slots=True)
class Scan:
    """Up to where a partition was looked through for events without a partner.

    Of ``EVERYWHERE`` only ``floor_ms`` says something: up to where panes were looked through for predictions
    that came to several partitions.
    """

    partition: int
    epoch: int = -1
    inference_offset: int = 0
    label_offset: int = 0
    inference_ms: int = 0
    labels_ms: int = 0
    unmatched: int = 0
    floor_ms: int = 0

    @property
    def as_of_ms(self) -> int:
        """Record time up to which both inputs were applied."""
        return min(self.inference_ms, self.labels_ms)

    def is_new(self, report: Progress) -> bool:
        """Whether something may have come without a partner since."""
        return (self.epoch, self.unmatched) != (report.epoch, report.unmatched)

    def moved_to(self, report: Progress) -> "Scan":
        return replace(
            self,
            epoch=report.epoch,
            inference_offset=max(report.inference_offset, self.inference_offset),
            label_offset=max(report.label_offset, self.label_offset),
            inference_ms=max(report.inference_ms, self.inference_ms),
            labels_ms=max(report.labels_ms, self.labels_ms),
            unmatched=report.unmatched,
            floor_ms=max(report.floor_ms, self.floor_ms),
        )
