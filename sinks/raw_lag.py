"""How far ClickHouse is behind the topics, in records and in time, and how long it takes to catch up."""

import threading
from dataclasses import dataclass

CATCHING_UP_RECORDS = 100_000  # two blocks; less is gone in a second or two
TELL_EVERY_S = 10.0

Place = tuple[str, int]


@dataclass(slots=True)
class _Partition:
    end: int = 0  # of the log
    written: int = 0  # next offset to write
    marks: tuple[int, int] = (0, 0)  # behind the last record there are marks of transactions: from, to
    first_kept_ms: int | None = None  # record time of the first one that is fetched and not written


class RawLag:
    """What is known of each partition that this member of the group reads; any thread may ask."""

    def __init__(self) -> None:
        self._partitions: dict[Place, _Partition] = {}
        self._lock = threading.Lock()

    def assigned(self, places: list[Place]) -> None:
        """Forget what others read now."""
        with self._lock:
            self._partitions = {place: self._partitions.get(place, _Partition()) for place in places}

    def starts(self, place: Place, offset: int) -> None:
        """Take in where reading goes on."""
        with self._lock:
            if known := self._partitions.get(place):
                known.written = offset
                known.first_kept_ms = None

    def ends(self, place: Place, end: int) -> None:
        """Take in where the log ends."""
        with self._lock:
            if known := self._partitions.get(place):
                known.end = max(known.end, end)

    def read_to_end(self, place: Place, offset: int) -> None:
        """Take in that no record is left below ``offset``, the end of the log.

        The last offsets may be marks of transactions, which are never fetched.
        """
        with self._lock:
            if known := self._partitions.get(place):
                known.end = max(known.end, offset)
                if known.first_kept_ms is None:
                    known.written = max(known.written, offset)
                else:
                    known.marks = known.marks[0], offset

    def fetched(self, place: Place, next_offset: int, time_ms: int) -> None:
        with self._lock:
            if known := self._partitions.get(place):
                known.marks = next_offset, next_offset
                known.end = max(known.end, next_offset)
                if known.first_kept_ms is None:
                    known.first_kept_ms = time_ms

    def written(self, place: Place, next_offset: int) -> None:
        with self._lock:
            if known := self._partitions.get(place):
                known.written = max(known.written, next_offset)
                if known.written >= known.marks[0]:
                    known.written = max(known.written, known.marks[1])
                    known.first_kept_ms = None

    def by_topic(self, now_ms: int) -> dict[str, tuple[int, float]]:
        """Return records left and seconds behind by topic.

        Behind is the age of the oldest record that is fetched and not written, 0 where none is.
        """
        with self._lock:
            found: dict[str, tuple[int, float]] = {}
            for (topic, _), one in sorted(self._partitions.items()):
                left, behind_s = found.get(topic, (0, 0.0))
                kept = one.first_kept_ms
                age_s = 0.0 if kept is None else max(0, now_ms - kept) / 1000
                found[topic] = left + max(0, one.end - one.written), max(behind_s, age_s)
            return found

    @property
    def records(self) -> int:
        """How many records are left in all."""
        return sum(left for left, _ in self.by_topic(0).values())


@dataclass(frozen=True, slots=True)
class Progress:
    """How catching up goes.

    ``share`` is what is written of all since the backlog began; the rate is that since the last time it was
    told, and ``seconds_left`` None where more came than was written.
    """

    records_left: int
    share: float
    records_per_s: float
    seconds_left: float | None


class CatchUp:
    """Tells of a backlog while there is one, every ``TELL_EVERY_S``, and once when it is gone.

    Examples
    --------
    >>> one = CatchUp()
    >>> one.look(0.0, 0, 1_000_000)
    Progress(records_left=1000000, share=0.0, records_per_s=0.0, seconds_left=None)
    >>> one.look(10.0, 600_000, 600_000)  # 200,000 came meanwhile
    Progress(records_left=600000, share=0.5, records_per_s=60000.0, seconds_left=15.0)
    """

    def __init__(self) -> None:
        self._before: int | None = None  # written when it began
        self._told = (0.0, 0, 0)  # when, and what was written and left then

    def look(self, now_s: float, written: int, left: int) -> Progress | None:
        """Return what to tell now, None if nothing.

        Parameters
        ----------
        written
            Records written since the start of the process.
        left
            Records in the log that are not written.
        """
        behind = left >= CATCHING_UP_RECORDS
        if self._before is None:
            if not behind:
                return None
            self._before, self._told = written, (now_s, written, left)
        elif behind and now_s - self._told[0] < TELL_EVERY_S:
            return None
        done = written - self._before
        told_s, written_then, left_then = self._told
        took_s, gained = now_s - told_s, left_then - left
        self._told = now_s, written, left
        if not behind:
            self._before = None
        return Progress(
            left,
            done / (done + left) if done + left else 1.0,
            (written - written_then) / took_s if took_s else 0.0,
            left * took_s / gained if gained > 0 else None,
        )
