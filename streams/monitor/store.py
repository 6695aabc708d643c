"""The newest row of each pane and partition, per model version and segment, and their merges."""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.panes import COUNTS, HISTOGRAMS, MAPS, SUMS, PaneSums, read_panes

Key = tuple[str, str, str]  # model, model_version, segment


@dataclass(slots=True)
class Row:
    """One partition's row; read from Arrow when it is first needed, most are replaced before that."""

    revision: int
    batch: pa.RecordBatch | None
    index: int
    sums: PaneSums | None = None

    def read(self) -> PaneSums:
        if self.sums is None:
            assert self.batch is not None  # noqa: S101
            (self.sums,) = read_panes(self.batch.slice(self.index, 1))
            self.batch = None
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

    panes: dict[int, Pane] = field(default_factory=dict)
    starts: list[int] = field(default_factory=list)
    changed: set[int] = field(default_factory=set)  # since it was last asked
    first_ms: int = 0  # the earliest pane ever seen
    last_ms: int = 0  # the latest

    def between(self, start_ms: int, end_ms: int) -> list[int]:
        """Return the starts of panes in ``[start_ms, end_ms)``, in order."""
        return self.starts[bisect_left(self.starts, start_ms) : bisect_left(self.starts, end_ms)]

    def window(self, start_ms: int, end_ms: int) -> PaneSums:
        """Return what the panes in ``[start_ms, end_ms)`` add up to."""
        return merge([self.panes[start].sums() for start in self.between(start_ms, end_ms)])

    def drop(self, before_ms: int) -> None:
        keep_from = bisect_left(self.starts, before_ms)
        for start in self.starts[:keep_from]:
            del self.panes[start]
        del self.starts[:keep_from]


class PaneStore:
    """Keeps of every row the newest revision, so that rows may come twice, late and in any order."""

    def __init__(self, segments: Iterable[str] | None) -> None:
        self.series: dict[Key, Series] = {}
        self.floors_ms: dict[str, int] = {}  # per model: panes that start earlier are gone for good
        self._segments = None if segments is None else pa.array(sorted({"", *segments}), pa.string())

    def absorb(self, rows: pa.RecordBatch) -> None:
        """Take in rows of the schema ``PANE_COLUMNS``; segments that nobody asked for are left aside."""
        if self._segments is not None:
            wanted = pc.is_in(rows.column("segment"), value_set=self._segments)
            rows = rows.filter(wanted)
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
            self._keep(key, start, partition, Row(revision, rows, i))

    def _keep(self, key: Key, start: int, partition: int, row: Row) -> None:
        if start < self.floors_ms.get(key[0], start):
            return
        series = self.series.get(key)
        if series is None:
            series = self.series[key] = Series(first_ms=start, last_ms=start)
        pane = series.panes.get(start)
        if pane is None:
            pane = series.panes[start] = Pane()
            insort(series.starts, start)
            series.first_ms, series.last_ms = min(series.first_ms, start), max(series.last_ms, start)
        known = pane.rows.get(partition)
        if known is None or row.revision > known.revision:
            pane.rows[partition] = row
            pane.merged = None
            series.changed.add(start)

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
        mine = total.maps[name]
        for part in parts:
            for key, n in part.maps[name].items():
                mine[key] = mine.get(key, 0) + n
    for name in HISTOGRAMS:
        longest = max(len(part.histograms[name]) for part in parts)
        bins = np.zeros(longest, np.int64)
        for part in parts:
            own = part.histograms[name]
            bins[: len(own)] += own
        total.histograms[name] = bins
    total.moments = list(chain.from_iterable(part.moments for part in parts))
    return total
