"""The features of one partition's panes: what all values of accepted predictions add up to, by feature."""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from schemas.coded import CodeArray, CodedPredictions, Profiles
from schemas.features import FEATURE_COLUMNS
from schemas.records import IntArray
from streams.features import kernels
from streams.features.buffers import scalar_maps
from streams.features.layout import PANE_BITS, SEGMENT_BITS
from streams.features.memory.held import pack, unpack
from streams.features.memory.pools import Pools
from streams.features.names.slots import LeftOut, Slots
from streams.features.rows import FeatureRows

# Rows that nothing changed for so many batches are packed once the others take this much: most of a day's
# panes change never again. Packed they take a fifteenth (ten features, 20,000 events: 8 kB for 153 kB).
PACKED_ABOVE_BYTES = 16_000_000
BATCHES_AT_REST = 50
NO_ROWS = pa.RecordBatch.from_pylist([], FEATURE_COLUMNS)


class FeatureStore:
    """Cumulative, additive counts of features, by stream, pane and segment.

    Parameters
    ----------
    width_ms
        Of a pane. Pane ``k`` is ``[k * width_ms, (k + 1) * width_ms)`` in event time.
    partition
        Its number, for the rows.
    stream_names, segment_names
        Names by stream code (model, version) and segment code (``name=value``); both may grow.
    asked
        Segments that are counted beside all traffic, ``name=value``.
    """

    def __init__(
        self,
        width_ms: int,
        partition: int,
        stream_names: list[tuple[str, str]],
        segment_names: list[str],
        asked: Iterable[str] = (),
    ) -> None:
        self.width_ms = width_ms
        self._asked = frozenset(asked)
        self._stream_names = stream_names
        self._segment_names = segment_names
        self._is_asked = np.zeros(0, bool)
        self._slots = Slots(stream_names)
        self._rows = FeatureRows(width_ms, partition, stream_names, segment_names, self._slots)
        self._pools = Pools()
        self._packed: dict[int, dict[int, bytes]] = {}  # by stream and pane, by row key
        self._packed_dirty: set[int] = set()
        self._packed_bytes = 0
        self._limit_bytes = PACKED_ABOVE_BYTES
        self._now = 0  # batches so far

    # -- events in -----------------------------------------------------------------------------------------

    def add(
        self, features: pa.MapArray, batch: CodedPredictions, taken: IntArray, profiles: Profiles
    ) -> None:
        """Count rows ``taken`` of ``batch``; ``features`` is a column of the batch that it was made of."""
        if not len(taken):
            return
        self._now += 1
        self._note_segments()
        maps = scalar_maps(features)
        rows, profile, time_ms = batch.row[taken], batch.profile[taken], batch.time_ms[taken]
        self._unpack(profile, time_ms, profiles)
        slots, slot_start = self._slots.lines(maps, rows, batch.stream[taken])
        pools = self._pools
        pools.reserve_slots(self._slots.most + 1)
        number = batch.predicted_numbers(profiles)[taken]
        begin, target = 0, 0
        while begin < len(rows):
            begin, target = kernels.count_values(
                begin, target, rows, time_ms, profile, number, self.width_ms,
                slots, slot_start, self._slots.left_out_values,
                maps.starts, maps.kinds, maps.bits, maps.bit_offset, maps.longs, maps.doubles,
                maps.text_ends, maps.text,
                profiles.stream, profiles.flags, profiles.segment_offsets, profiles.segments, self._is_asked,
                pools.row_table, pools.row_keys, pools.row_used_at, self._now, pools.directory,
                pools.features, pools.page_table, pools.pages, pools.cells,
                pools.category_table, pools.categories, pools.texts, pools.used,
            )  # fmt: skip
            if begin < len(rows):
                pools.reserve_event(int(maps.starts[rows[begin] + 1] - maps.starts[rows[begin]]))
        if pools.nbytes > self._limit_bytes:
            self.pack_rows_at_rest(BATCHES_AT_REST)
            # What is in use at once takes this much: packing it would only be undone.
            self._limit_bytes = max(PACKED_ABOVE_BYTES, 2 * pools.nbytes)

    def _note_segments(self) -> None:
        known = len(self._is_asked)
        if known < len(self._segment_names):
            new = [name in self._asked for name in self._segment_names[known:]]
            self._is_asked = np.concatenate([self._is_asked, np.array(new, bool)])

    # -- results out ---------------------------------------------------------------------------------------

    def changed_rows(self, revision: int, closed_ms: int | None = None) -> pa.RecordBatch:
        """Return the rows, of ``FEATURE_COLUMNS``, that changed since they were last returned.

        Parameters
        ----------
        revision
            Of the rows.
        closed_ms
            Only of panes that end at or before it: one that is open changes with every event.
        """
        last_ms = None if closed_ms is None else closed_ms - self.width_ms
        records = self._pools.records
        keys = self._pools.keys[records["row"]]
        chosen = np.flatnonzero((records["dirty"] != 0) & self._starts_by(keys, last_ms))
        packed = np.array(sorted(self._packed_dirty), np.int64)
        due = packed[self._starts_by(packed, last_ms)].tolist()
        if not len(chosen) and not due:  # nearly always: asked every second, a pane closes once a minute
            return NO_ROWS
        parts = [(keys[chosen], self._pools.collect(chosen))]
        records["dirty"][chosen] = 0
        for key in due:
            self._packed_dirty.remove(key)
            held = unpack(self._packed[key >> SEGMENT_BITS][key]).changed()
            parts.append((np.full(len(held.features), key), held))
        return self._rows.batch(parts, revision)

    def keys_of(
        self, model: str | None, start_ms: int | None, end_ms: int | None, at_once: int
    ) -> Iterator[IntArray]:
        """Yield the keys of rows in the order of their names, for ``rows_of``, so many at a time.

        Only those of ``model`` and of panes that start in ``[start_ms, end_ms)``, where these are given.
        """
        packed = [key for of_pane in self._packed.values() for key in of_pane]
        keys = np.concatenate([self._pools.keys, np.array(packed, np.int64)])
        stream, pane, segment = self.parts_of(keys)
        names = self._stream_names
        chosen = np.ones(len(keys), bool)
        if model is not None:
            chosen &= np.array([name == model for name, _ in names], bool)[stream]
        if start_ms is not None:
            chosen &= pane * self.width_ms >= start_ms
        if end_ms is not None:
            chosen &= pane * self.width_ms < end_ms
        order = sorted(
            np.flatnonzero(chosen).tolist(),
            key=lambda i: (names[stream[i]], self._segment_names[segment[i]], pane[i]),
        )
        for begin in range(0, len(order), at_once):
            yield keys[order[begin : begin + at_once]]

    @staticmethod
    def parts_of(keys: IntArray) -> tuple[IntArray, IntArray, IntArray]:
        """Return (stream, pane number, segment) of row keys, shape ``(n,)`` each."""
        pane = (keys >> SEGMENT_BITS) & ((1 << PANE_BITS) - 1)
        return keys >> (PANE_BITS + SEGMENT_BITS), pane, keys & ((1 << SEGMENT_BITS) - 1)

    def rows_of(self, keys: IntArray, revision: int) -> pa.RecordBatch:
        """Return the rows of some row keys, changed or not."""
        of_feature = self._pools.keys[self._pools.records["row"]]
        chosen = np.flatnonzero(np.isin(of_feature, keys))
        parts = [(of_feature[chosen], self._pools.collect(chosen))]
        for key in keys.tolist():
            packed = self._packed.get(key >> SEGMENT_BITS, {}).get(key)
            if packed is not None:
                held = unpack(packed)
                parts.append((np.full(len(held.features), key), held))
        return self._rows.batch(parts, revision)

    def left_out(self) -> list[LeftOut]:
        """Return the features beyond the first MOST_FEATURES of their model version, since the start."""
        return self._slots.left_out()

    @property
    def nbytes(self) -> int:
        return self._pools.nbytes + self._packed_bytes

    # -- forgetting, and keeping small ---------------------------------------------------------------------

    def drop_below(self, floor_ms: int) -> None:
        """Forget panes that start below the floor."""
        gone = self._starts_by(self._pools.keys, floor_ms - 1)
        if gone.any():
            self._pools.drop(np.flatnonzero(gone))
        last_pane = (floor_ms - 1) // self.width_ms
        for of_pane in [key for key in self._packed if key & ((1 << PANE_BITS) - 1) <= last_pane]:
            for key, packed in self._packed.pop(of_pane).items():
                self._packed_bytes -= len(packed)
                self._packed_dirty.discard(key)

    def _starts_by(self, keys: IntArray, last_ms: int | None) -> np.ndarray:
        if last_ms is None:
            return np.ones(len(keys), bool)
        return self.parts_of(keys)[1] * self.width_ms <= last_ms

    def pack_rows_at_rest(self, batches: int) -> None:
        """Pack rows that nothing changed for so many batches; they come back when something does."""
        pools = self._pools
        records = pools.records
        rows = np.flatnonzero(pools.row_used_at[: len(pools)] + batches <= self._now)
        order = np.argsort(records["row"], kind="stable")
        begins, ends = (np.searchsorted(records["row"][order], rows, side) for side in ("left", "right"))
        for row, begin, end in zip(rows, begins.tolist(), ends.tolist(), strict=True):
            if begin == end:
                continue  # its events had no features
            key = int(pools.row_keys[row])
            held = pools.collect(order[begin:end])
            packed = self._packed.setdefault(key >> SEGMENT_BITS, {})[key] = pack(held)
            self._packed_bytes += len(packed)
            if held.features["dirty"].any():
                self._packed_dirty.add(key)
        pools.drop(rows)

    def _unpack(self, profile: CodeArray, time_ms: IntArray, profiles: Profiles) -> None:
        """Put rows back that a batch may change: those of its streams and panes."""
        if not self._packed:
            return
        of_pane = profiles.stream[profile].astype(np.int64) << PANE_BITS | time_ms // self.width_ms
        # Most events are in the pane of the one before: sorting those that are not is cheaper.
        is_other = np.concatenate([[True], of_pane[1:] != of_pane[:-1]])
        for met in np.unique(of_pane[is_other]).tolist():
            for key, packed in self._packed.pop(met, {}).items():
                self._packed_bytes -= len(packed)
                held = unpack(packed)
                if key not in self._packed_dirty:
                    held.features["dirty"] = 0
                self._packed_dirty.discard(key)
                self._pools.put_back(key, held, self._now)
