"""The newest row of each pane and partition, per model version and segment, and their merges."""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain

import pyarrow as pa
import pyarrow.compute as pc

from schemas.pane_reading import PaneReader
from schemas.panes import (
    CLASS_BINS,
    COUNTS,
    HISTOGRAMS,
    MAPS,
    PANE_COLUMNS,
    SUMS,
    PaneSums,
    add_bins,
)
from schemas.records import IntArray

Key = tuple[str, str, str]  # model, model_version, segment
# What no detector and no curve reads, most of a row.
READ = ("age_", "confidence_", "latency")
STRIPPED = tuple(name for name in (*HISTOGRAMS, *CLASS_BINS) if not name.startswith(READ))
SNAPSHOT_ROWS = 2_000  # about 0.05 s to gather and to encode
BLOCK_PANES = 8  # windows slide by a pane: of an hour's 60 panes, all but a few are merged already


class Source:
    """A batch that rows are still in; it shrinks when most of them have been replaced by newer ones.

    Without that, each pane would keep alive the whole message in which it came last.
    """

    def __init__(self, batch: pa.RecordBatch) -> None:
        self.batch = batch
        self._reader: PaneReader | None = None
        self._rows: list[Row] = []
        self._live = 0

    def row(self, revision: int, index: int) -> "Row":
        row = Row(revision, index, self)
        self._rows.append(row)
        self._live += 1
        return row

    def read(self, index: int) -> PaneSums:
        if self._reader is None:
            self._reader = PaneReader(self.batch)
        return self._reader.read(index)

    def release(self, row: "Row") -> None:
        row.source = None
        self._live -= 1
        if 0 < self._live * 4 <= len(self._rows):
            self._rows = [kept for kept in self._rows if kept.source is self]
            self.batch = self.batch.take(pa.array([kept.index for kept in self._rows], pa.int64()))
            self._reader = None
            for index, kept in enumerate(self._rows):
                kept.index = index


@dataclass(slots=True)
class Row:
    """One partition's row; read from Arrow when it is first needed, most are replaced before that."""

    revision: int
    index: int
    source: Source | None
    sums: PaneSums | None = None

    def read(self) -> PaneSums:
        if self.sums is None:
            assert self.source is not None, "a row that was replaced is not read"  # noqa: S101
            self.sums = self.source.read(self.index)
        return self.sums


@dataclass(slots=True)
class Pane:
    rows: dict[int, Row] = field(default_factory=dict)
    merged: PaneSums | None = None

    def sums(self) -> PaneSums:
        if self.merged is None:
            self.merged = merge([self.rows[partition].read() for partition in sorted(self.rows)])
        return self.merged


@dataclass(slots=True)
class Series:
    """The panes of one model version and segment; ``starts`` are their start times, in order."""

    width_ms: int
    panes: dict[int, Pane] = field(default_factory=dict)
    starts: list[int] = field(default_factory=list)
    changed: set[int] = field(default_factory=set)  # since it was last asked
    first_ms: int = 0  # the earliest pane ever seen
    last_ms: int = 0  # the latest
    folded_ms: int = 0
    blocks: dict[int, PaneSums] = field(default_factory=dict)  # by number: merges of BLOCK_PANES panes

    def __getstate__(self) -> dict[str, object]:
        # Its panes are Arrow rows, thousands of them: a snapshot writes them as such (``PaneStore.rows``).
        return {
            "width_ms": self.width_ms,
            "panes": {},
            "starts": [],
            "changed": self.changed,
            "first_ms": self.first_ms,
            "last_ms": self.last_ms,
            "folded_ms": self.folded_ms,
            "blocks": {},
        }

    def __setstate__(self, state: Mapping[str, object]) -> None:
        for name, value in state.items():
            setattr(self, name, value)

    def between(self, start_ms: int, end_ms: int) -> list[int]:
        """Return the starts of panes in ``[start_ms, end_ms)``, in order."""
        return self.starts[bisect_left(self.starts, start_ms) : bisect_left(self.starts, end_ms)]

    def window(self, start_ms: int, end_ms: int) -> PaneSums:
        """Return what the panes in ``[start_ms, end_ms)`` add up to."""
        size_ms = BLOCK_PANES * self.width_ms
        first, last = -(-start_ms // size_ms), end_ms // size_ms
        if first >= last:
            return merge(self._sums(start_ms, end_ms))
        return merge(
            [
                *self._sums(start_ms, first * size_ms),
                *(self._block(number, size_ms) for number in range(first, last)),
                *self._sums(last * size_ms, end_ms),
            ]
        )

    def _sums(self, start_ms: int, end_ms: int) -> list[PaneSums]:
        return [self.panes[start].sums() for start in self.between(start_ms, end_ms)]

    def _block(self, number: int, size_ms: int) -> PaneSums:
        if number not in self.blocks:
            self.blocks[number] = merge(self._sums(number * size_ms, (number + 1) * size_ms))
        return self.blocks[number]

    def touch(self, start_ms: int) -> None:
        """Take note that a pane has changed."""
        self.panes[start_ms].merged = None
        self.blocks.pop(start_ms // (BLOCK_PANES * self.width_ms), None)
        self.changed.add(start_ms)

    def fold(self, before_ms: int) -> None:
        """Keep panes that start before a time as Arrow rows only, a tenth of the size, until asked for."""
        for start in self.between(self.folded_ms, before_ms):
            pane = self.panes[start]
            pane.merged = None
            self.blocks.pop(start // (BLOCK_PANES * self.width_ms), None)
            for row in pane.rows.values():
                row.sums = None
        self.folded_ms = max(self.folded_ms, before_ms)

    def drop(self, before_ms: int) -> None:
        keep_from = bisect_left(self.starts, before_ms)
        for start in self.starts[:keep_from]:
            for row in self.panes.pop(start).rows.values():
                if row.source is not None:
                    row.source.release(row)
            self.blocks.pop(start // (BLOCK_PANES * self.width_ms), None)
        del self.starts[:keep_from]


class PaneStore:
    """Keeps of every row the newest revision, so that rows may come twice, late and in any order."""

    def __init__(self, pane_width_ms: int, segments: Iterable[str] | None, *, histograms: bool) -> None:
        self._width_ms, self._histograms = pane_width_ms, histograms
        self.series: dict[Key, Series] = {}
        self.floors_ms: dict[str, int] = {}  # per model: panes that start earlier are gone for good
        self._segments = None if segments is None else sorted({"", *segments})

    def absorb(self, rows: pa.RecordBatch) -> None:
        """Take in rows of the schema ``PANE_COLUMNS``; segments that nobody asked for are left aside."""
        if self._segments is not None:
            wanted = pc.is_in(rows.column("segment"), value_set=pa.array(self._segments, pa.string()))
            rows = rows.filter(wanted)
        self._take(Source(rows if self._histograms else _without_histograms(rows)))

    def rows(self) -> Iterator[pa.RecordBatch | None]:
        """Yield the newest row of each pane and partition, as they were absorbed, about 0.05 s of work each.

        None is a pause without rows. The store must not change meanwhile.
        """
        kept: dict[Source, list[int]] = {}
        for series in self.series.values():
            for pane in series.panes.values():
                for row in pane.rows.values():
                    if row.source is not None:
                        kept.setdefault(row.source, []).append(row.index)
            yield None
        group: dict[Source, list[int]] = {}
        size = 0
        for source, indices in kept.items():
            group[source] = indices
            size += source.batch.num_rows
            if size >= SNAPSHOT_ROWS:
                yield _gathered(group)
                group, size = {}, 0
        if group:
            yield _gathered(group)

    def restore(self, rows: pa.RecordBatch) -> None:
        """Take in what ``rows`` yielded, for a store whose series know all but their panes."""
        self._take(Source(rows), again=True)

    def _take(self, source: Source, *, again: bool = False) -> None:
        rows = source.batch
        starts = rows.column("pane_start").cast(pa.int64()).to_pylist()
        keys = zip(
            rows.column("model").to_pylist(),
            rows.column("model_version").to_pylist(),
            rows.column("segment").to_pylist(),
            strict=True,
        )
        partitions, revisions = rows.column("partition").to_pylist(), rows.column("revision").to_pylist()
        for i, (key, start, partition, revision) in enumerate(
            zip(keys, starts, partitions, revisions, strict=True)
        ):
            if again:
                series = self.series[key]
                if start not in series.panes:
                    series.panes[start] = Pane()
                    insort(series.starts, start)
                series.panes[start].rows[partition] = source.row(revision, i)
            else:
                self._keep(key, start, partition, source, revision, i)

    def _keep(self, key: Key, start: int, partition: int, source: Source, revision: int, index: int) -> None:
        if start < self.floors_ms.get(key[0], start):
            return
        series = self.series.get(key)
        if series is None:
            series = self.series[key] = Series(self._width_ms, first_ms=start, last_ms=start)
        pane = series.panes.get(start)
        if pane is None:
            pane = series.panes[start] = Pane()
            insort(series.starts, start)
            series.first_ms, series.last_ms = min(series.first_ms, start), max(series.last_ms, start)
        known = pane.rows.get(partition)
        if known is not None:
            if revision <= known.revision:
                return
            if known.source is not None:
                known.source.release(known)
        pane.rows[partition] = source.row(revision, index)
        series.touch(start)

    def fold(self, model: str, before_ms: int) -> None:
        """Fold a model's panes that start before a time."""
        for key, series in self.series.items():
            if key[0] == model:
                series.fold(before_ms)

    def drop(self, model: str, before_ms: int) -> list[Key]:
        """Drop a model's panes that start before a time; return the series of which nothing is left."""
        self.floors_ms[model] = max(before_ms, self.floors_ms.get(model, before_ms))
        gone = []
        for key in sorted(key for key in self.series if key[0] == model):
            self.series[key].drop(before_ms)
            if not self.series[key].starts:
                del self.series[key]
                gone.append(key)
        return gone

    def versions(self) -> Iterator[tuple[str, str, Series]]:
        """Walk through the model versions over all traffic, in sorted order."""
        for model, version, segment in sorted(key for key in self.series if not key[2]):
            yield model, version, self.series[model, version, segment]


def _without_histograms(rows: pa.RecordBatch) -> pa.RecordBatch:
    for name in STRIPPED:
        at = rows.schema.get_field_index(name)
        empty = pa.array([[]] * rows.num_rows, PANE_COLUMNS.field(name).type)
        rows = rows.set_column(at, rows.schema.field(at), empty)
    return rows


def _gathered(kept: Mapping[Source, list[int]]) -> pa.RecordBatch:
    # Together first, then chosen from: a source holds four rows at most for each that is still wanted, and
    # choosing from each of a thousand sources takes ten times as long.
    indices, before = [], 0
    for source, own in kept.items():
        indices += [before + index for index in own]
        before += source.batch.num_rows
    together = pa.concat_batches([source.batch for source in kept])
    return together.take(pa.array(indices, pa.int64()))


def merge(parts: list[PaneSums]) -> PaneSums:
    """Return what several sums add up to, as adding them one by one would, only sooner."""
    if len(parts) == 1:
        return parts[0]
    total = PaneSums()
    if not parts:
        return total
    for name in COUNTS:
        total.counts[name] = sum(part.counts[name] for part in parts)
    for name in SUMS:
        total.terms[name] = list(chain.from_iterable(part.terms[name] for part in parts))
    for name in MAPS:
        total.maps[name] = _merged_counts([part.maps[name] for part in parts])
    for name in HISTOGRAMS:
        total.histograms[name] = add_bins([part.histograms[name] for part in parts])
    for name in CLASS_BINS:
        total.class_bins[name] = _merged_bins([part.class_bins[name] for part in parts])
    total.moments = list(chain.from_iterable(part.moments for part in parts))
    total.examples = list(chain.from_iterable(part.examples for part in parts))
    return total


def _merged_counts(parts: list[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for part in parts:
        for key, n in part.items():
            total[key] = total.get(key, 0) + n
    return total


def _merged_bins(parts: list[dict[str, IntArray]]) -> dict[str, IntArray]:
    by_class: dict[str, list[IntArray]] = {}
    for part in parts:
        for key, bins in part.items():
            by_class.setdefault(key, []).append(bins)
    return {key: add_bins(all_bins) for key, all_bins in by_class.items()}
