"""Finds panes that late events touch, and has them computed again from raw rows when their turn comes."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import pyarrow as pa
import structlog

from sinks.cold.reached import EVERYWHERE, Reached, Scan
from sinks.cold.store import ColdStore, Pieces, RawPanes
from sinks.cold.waiting import DAY_MS, Waiting

LABELS_AT_ONCE = 2_000_000  # looked up in one query: some 100 MB of hashes
PANES_AT_ONCE = 200  # in one query, each of them a range of its own at worst
SWEEP_INTERVALS = 60  # an hour, where late events are gathered for a minute
# Record times that are a producer's are not in order; with the broker's, a second would do.
RECORD_TIME_SLACK_MS = 3_600_000
EXPIRY_MARGIN_MS = DAY_MS  # whole parts expire, some rows of a week earlier than others


class Rows(Protocol):
    """What takes the place of what was counted: rows of ``PANE_COLUMNS`` and of ``FEATURE_COLUMNS``."""

    @property
    def panes(self) -> pa.RecordBatch: ...

    @property
    def features(self) -> pa.RecordBatch: ...


Compute = Callable[[RawPanes, Reached], Rows]
Publish = Callable[[Rows], None]


@dataclass(frozen=True, slots=True)
class ColdSettings:
    """How often panes are computed again, in how large queries, and how long labels wait for predictions."""

    pane_width_ms: int = 60_000
    interval_ms: int = 60_000
    rows_at_once: int = 100_000  # predictions: some 170 MB; larger pieces are slower
    orphan_after_ms: int = 90 * DAY_MS
    implicit_after_ms: Mapping[str, int] = field(default_factory=dict)  # by model, of those that give them


@dataclass(slots=True)
class ColdCounters:
    """Running totals since the start, and how things stand; any thread may read them."""

    panes_joined: int = 0
    rows_read: int = 0
    labels_looked_up: int = 0
    panes_expired: int = 0
    retries: int = 0
    panes_waiting: int = 0
    oldest_waiting_ms: int | None = None  # since when, of the panes whose turn may come
    open_labels: int = 0
    swept_ms: int | None = None  # up to which time of predictions repeats were looked for
    last_run_ms: int | None = None


class ColdJoiner:
    """One pass after the other; all it must remember is in ClickHouse.

    Parameters
    ----------
    compute
        Turns raw rows of panes into the rows that replace what was counted.
    publish
        Sends them where rows of panes go; on return they are there, all or none.
    """

    def __init__(self, settings: ColdSettings, compute: Compute, publish: Publish) -> None:
        self.counters = ColdCounters()
        self._settings = settings
        self._compute = compute
        self._publish = publish
        self._log = structlog.get_logger("aftcast.cold")
        self._waiting = Waiting(settings.pane_width_ms, settings.interval_ms)

    def connect(self, store: ColdStore) -> None:
        """Begin, or go on with another connection: what was noted is read again."""
        self._store = store
        self._scans: dict[int, Scan] | None = None
        self._waiting = Waiting(self._settings.pane_width_ms, self._settings.interval_ms)
        self._kept_ms: int | None = None

    def run(
        self,
        reached: Reached,
        restless: Collection[int],
        now_ms: int,
        go_on: Callable[[], bool] = lambda: True,
    ) -> None:
        """Look for touched panes up to a moment, then join those whose turn has come.

        Parameters
        ----------
        reached
            A moment of the stream whose records are all in the raw tables.
        restless
            Partitions in which events found no partner since the moment before.
        now_ms
            The time of day: for intervals, and for what has expired.
        go_on
            Asked between two queries; where it says no, the rest is left to the next call.

        Raises
        ------
        UnreachableError
            If ClickHouse is away; nothing is lost by calling again, with a new connection.
        """
        if self._scans is None:
            self._scans = self._store.scans()
            self._waiting.since_ms = self._store.waiting()
            self._kept_ms = self._store.raw_rows_kept_ms()
        self._look(reached, restless, now_ms, go_on)
        self._sweep(reached, now_ms, go_on)
        self._expire(now_ms)
        for model, starts_ms in self._waiting.due(reached.floor_ms, now_ms).items():
            self._join(model, starts_ms, reached, now_ms, go_on)
        counters = self.counters
        counters.panes_waiting = len(self._waiting)
        counters.oldest_waiting_ms = self._waiting.oldest_ms(reached.floor_ms)
        counters.swept_ms = self._scans[EVERYWHERE].floor_ms if EVERYWHERE in self._scans else None
        counters.last_run_ms = now_ms

    # -- which panes are touched ---------------------------------------------------------------------------

    def _look(
        self, reached: Reached, restless: Collection[int], now_ms: int, go_on: Callable[[], bool]
    ) -> None:
        assert self._scans is not None, "read at the start of a run"  # noqa: S101
        late: list[tuple[Scan, int]] = []
        moved: list[Scan] = []
        for report in reached.progress:
            scan = self._scans.get(report.partition, Scan(report.partition))
            nothing_yet = scan.epoch < 0 and report.unmatched == 0
            if not nothing_yet and (report.partition in restless or scan.is_new(report)):
                if not self._look_labels_up(scan, report.label_offset, reached, now_ms, go_on):
                    continue
                late.append((scan, report.inference_offset))
            if scan != scan.moved_to(report):
                moved.append(scan.moved_to(report))
        if late:
            panes = self._store.late_predictions(late, reached.highest_floor_ms, RECORD_TIME_SLACK_MS)
            self._touch(panes, now_ms)
        self._touch_implicit(reached, now_ms)
        if moved:
            self._store.write_scans(moved, now_ms)
            self._scans |= {scan.partition: scan for scan in moved}
        self._try_open_labels(reached, now_ms)

    def _look_labels_up(
        self, scan: Scan, end: int, reached: Reached, now_ms: int, go_on: Callable[[], bool]
    ) -> bool:
        """Look up the labels of a partition since a scan; whether it came to their end."""
        for begin in range(scan.label_offset, end, LABELS_AT_ONCE):
            if not go_on():
                return False
            until = min(end, begin + LABELS_AT_ONCE)
            self._touch(
                self._store.panes_of_labels(scan.partition, begin, until, reached.highest_floor_ms), now_ms
            )
            self._store.keep_open(scan.partition, begin, until, now_ms)
            self.counters.labels_looked_up += until - begin
            if until < end:
                self._log.info(
                    f"labels without a partner: partition {scan.partition} looked through to offset {until} "
                    f"of {end}"
                )
        return True

    def _touch_implicit(self, reached: Reached, now_ms: int) -> None:
        """Touch panes whose implicit labels fell due when full memory had let go of them already."""
        assert self._scans is not None, "read at the start of a run"  # noqa: S101
        if any(report.partition not in self._scans for report in reached.progress):
            return
        scans = [self._scans[report.partition] for report in reached.progress]
        before_ms = min(scan.as_of_ms for scan in scans)
        floor_ms = max(reached.highest_floor_ms, *(scan.floor_ms for scan in scans))
        for model, after_ms in self._settings.implicit_after_ms.items():
            # Without a cap the floor follows what is due; above it, it was raised.
            raised = any(
                scan.floor_ms > scan.as_of_ms - after_ms or now.floor_ms > now.as_of_ms - after_ms
                for scan, now in ((s, s.moved_to(r)) for s, r in zip(scans, reached.progress, strict=True))
            )
            begin_ms = before_ms - after_ms - self._settings.pane_width_ms
            end_ms = min(reached.as_of_ms - after_ms, floor_ms)
            if raised and begin_ms < end_ms:
                self._touch(self._store.panes_between(model, begin_ms, end_ms), now_ms)

    def _try_open_labels(self, reached: Reached, now_ms: int) -> None:
        self._touch(
            self._store.panes_of_open_labels(now_ms, reached.highest_floor_ms, LABELS_AT_ONCE), now_ms
        )
        self.counters.labels_looked_up += self._store.try_later(
            now_ms, self._settings.orphan_after_ms, LABELS_AT_ONCE
        )
        self.counters.open_labels = self._store.open_labels()

    def _sweep(self, reached: Reached, now_ms: int, go_on: Callable[[], bool]) -> None:
        """Touch panes, once memory let go of them, in which a prediction came to several partitions.

        Each of these counted it as the first, and none missed anything.
        """
        assert self._scans is not None, "read at the start of a run"  # noqa: S101
        swept_ms = self._scans.get(EVERYWHERE, Scan(EVERYWHERE)).floor_ms
        end_ms = reached.floor_ms // self._settings.pane_width_ms * self._settings.pane_width_ms
        if len(reached.progress) > 1 and end_ms - swept_ms >= SWEEP_INTERVALS * self._settings.interval_ms:
            begin_ms = max(swept_ms, now_ms - self._kept_ms + EXPIRY_MARGIN_MS if self._kept_ms else 0)
            hours = self._store.hours(begin_ms, end_ms)
            for done, (hour_ms, until_ms) in enumerate(hours, 1):
                if not go_on():
                    return
                self._touch(self._store.repeats(hour_ms, until_ms, reached), now_ms)
                self._note_swept(until_ms, now_ms)
                if len(hours) > 2:
                    left = f"{len(hours) - done} of {len(hours)} hours left"
                    self._log.info(f"repeats in several partitions looked for, {left}")
            self._note_swept(end_ms, now_ms)

    def _note_swept(self, until_ms: int, now_ms: int) -> None:
        assert self._scans is not None, "read at the start of a run"  # noqa: S101
        self._scans[EVERYWHERE] = Scan(EVERYWHERE, floor_ms=until_ms)
        self._store.write_scans([self._scans[EVERYWHERE]], now_ms)

    def _touch(self, panes: Sequence[tuple[str, int]], now_ms: int) -> None:
        # Written first: labels that led here are not looked up again.
        self._store.write_panes(
            [pane for pane in panes if pane not in self._waiting.since_ms], now_ms, waits=True
        )
        self._waiting.touch(panes, now_ms)

    def _expire(self, now_ms: int) -> None:
        if self._kept_ms is None:
            return
        gone = self._waiting.expire(now_ms - self._kept_ms + EXPIRY_MARGIN_MS)
        if gone:
            self.counters.panes_expired += len(gone)
            self._store.write_panes(gone, now_ms, waits=False)
            self._log.warning(
                f"{len(gone)} panes stay as they are: late events touch them, but their raw rows may have "
                f"expired (kept for {self._kept_ms // DAY_MS} days)"
            )

    # -- joining -------------------------------------------------------------------------------------------

    def _join(
        self, model: str, starts_ms: Sequence[int], reached: Reached, now_ms: int, go_on: Callable[[], bool]
    ) -> None:
        done = 0
        for begin in range(0, len(starts_ms), PANES_AT_ONCE):
            some = starts_ms[begin : begin + PANES_AT_ONCE]
            for gathered, size in self._portions(some, self._store.sizes(model, some)):
                if not go_on():
                    return
                rows = -self.counters.rows_read
                self._join_at_once(model, gathered, size, reached, now_ms)
                rows += self.counters.rows_read
                done += len(gathered)
                self._log.info(
                    f"{model}: {len(gathered)} panes joined from {rows:,} raw rows, "
                    f"{len(starts_ms) - done} of {len(starts_ms)} left"
                )

    def _join_at_once(
        self, model: str, starts_ms: Sequence[int], size: int, reached: Reached, now_ms: int
    ) -> None:
        at_once = self._settings.rows_at_once
        raw = self._store.read(model, starts_ms, reached, at_once if size > at_once else None)
        raw = replace(raw, pieces=self._counting_rows(raw.pieces))
        self._publish(self._compute(raw, reached))
        self._store.write_panes([(model, start) for start in starts_ms], now_ms, waits=False)
        self._waiting.done(model, starts_ms)
        self.counters.panes_joined += len(starts_ms)

    def _counting_rows(self, pieces: Pieces) -> Pieces:
        for piece in pieces:
            self.counters.rows_read += sum(table.num_rows for table in piece)
            yield piece
            del piece  # gone from memory before the next one is read

    def _portions(self, starts_ms: Sequence[int], sizes: dict[int, int]) -> list[tuple[list[int], int]]:
        """Return panes that are read together, and about how many predictions they have."""
        portions: list[tuple[list[int], int]] = []
        for start_ms in starts_ms:
            size = sizes.get(start_ms, 0)
            if portions and portions[-1][1] + size <= self._settings.rows_at_once:
                together, before = portions[-1]
                portions[-1] = ([*together, start_ms], before + size)
            else:
                portions.append(([start_ms], size))
        return portions
