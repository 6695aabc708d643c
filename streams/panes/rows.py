"""Accumulators as rows of ``PANE_COLUMNS``: exact sums rounded once, cells under their names."""

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pyarrow as pa

from schemas.coded import NO_CLASS
from schemas.panes import COUNTS, PAIR_SEPARATOR, PANE_COLUMNS, SUMS, WEIGHT_UNITS
from schemas.records import IntArray
from streams.panes.exact_sums import BIAS, as_fraction, as_integer, round_sums
from streams.panes.layout import (
    AGE_HIT,
    AGE_MISS,
    CALIBRATION_HITS,
    CALIBRATION_N,
    CALIBRATION_P,
    CONFIDENCE_ALL,
    CONFIDENCE_HITS,
    CONFIDENCE_N,
    CONFUSION,
    COUNT,
    DELAY,
    EXACT_SUMS,
    LABEL,
    LABEL_SQ,
    LATENCY,
    PREDICTED,
    SCORE_NEGATIVE,
    SCORE_POSITIVE,
    SCORE_SUMS,
    STATUS,
)
from streams.panes.store import PaneStore

# Kind of cell, and which of its two numbers.
_MAPS = {
    "predicted": (PREDICTED, "n"),
    "confusion": (CONFUSION, "n"),
    "statuses": (STATUS, "n"),
    "confusion_extra": (CONFUSION, "m"),
}
_CLASS_BINS = {
    "score_positives": (SCORE_POSITIVE, ("n", "m")),
    "score_negatives": (SCORE_NEGATIVE, ("n", "m")),
    "age_hits": (AGE_HIT, ("n",)),
    "age_misses": (AGE_MISS, ("n",)),
}
_KIND_OF_HISTOGRAM = {"latency": LATENCY, "delay": DELAY}
_CALIBRATION = {
    "calibration_n": CALIBRATION_N,
    "calibration_hits": CALIBRATION_HITS,
    "calibration_p": CALIBRATION_P,
}
_CONFIDENCE = {
    "confidence_all": CONFIDENCE_ALL,
    "confidence_n": CONFIDENCE_N,
    "confidence_hits": CONFIDENCE_HITS,
}
_WHOLE = int(WEIGHT_UNITS)
Examples = Callable[[int, int], list[str]]


class PaneRows:
    """Writes rows of a store under the names of its streams, segments, classes and statuses."""

    def __init__(
        self,
        store: PaneStore,
        partition: int,
        stream_names: list[tuple[str, str]],
        segment_names: list[str],
        class_text: Callable[[int], str],
        status_names: list[str],
    ) -> None:
        self._store = store
        self._partition = partition
        self._streams = stream_names
        self._segments = segment_names
        self._class_text = class_text
        self._statuses = status_names

    def batch(self, rows: IntArray, revision: int, examples: Examples | None = None) -> pa.RecordBatch:
        """Return the rows as a batch of ``PANE_COLUMNS``, sorted by model, version, segment and pane.

        ``examples`` gives the ids of wrong answers by stream code and pane number; rows of segments have
        none.
        """
        stream, pane, segment = self._store.keys_of(rows)
        names = [self._streams[s] for s in stream]
        segments = [self._segments[s] for s in segment]
        order = sorted(range(len(rows)), key=lambda i: (names[i], segments[i], pane[i]))
        rows = rows[order] if len(rows) else rows
        counts = self._store.counts_of(rows)
        columns: dict[str, pa.Array] = {
            "model": pa.array([names[i][0] for i in order], pa.string()),
            "model_version": pa.array([names[i][1] for i in order], pa.string()),
            "segment": pa.array([segments[i] for i in order], pa.string()),
            "pane_start": pa.array(pane[order] * self._store.width_ms).cast(pa.timestamp("ms", tz="UTC")),
            "partition": pa.array(np.full(len(rows), self._partition, np.int32)),
            "revision": pa.array(np.full(len(rows), revision, np.uint64)),
        }
        for i, name in enumerate(COUNTS):
            columns[name] = pa.array(np.ascontiguousarray(counts[:, i]))
        cells = self._store.cells_of(rows)
        columns |= self._sums(rows, counts)
        columns |= self._maps(rows, cells)
        columns |= self._histograms(rows)
        columns |= self._scores(rows)
        for name, (kind, numbers) in _CLASS_BINS.items():
            columns[name] = self._class_bins(len(rows), cells[(cells["key"] & 7) == kind], name, numbers)
        columns["examples"] = pa.array(
            [examples(int(stream[i]), int(pane[i])) if examples and not segments[i] else [] for i in order],
            PANE_COLUMNS.field("examples").type,
        )
        return pa.RecordBatch.from_arrays([columns[name] for name in PANE_COLUMNS.names], schema=PANE_COLUMNS)

    def _sums(self, rows: IntArray, counts: IntArray) -> dict[str, pa.Array]:
        digits = self._store.sums_of(rows)
        rounded = round_sums(digits)
        apart = self._store.kept_apart(rows)
        for (place, which), more in apart.items():
            exact = as_fraction(digits[place, which])
            rounded[place, which] = _nearest(exact + more if isinstance(more, Fraction) else more)
        m2 = np.zeros(len(rows))
        for i in np.flatnonzero(counts[:, COUNT["reg_n"]]):
            place = int(i)
            weight = int(counts[place, COUNT["reg_n"]]) * _WHOLE + int(counts[place, COUNT["reg_extra"]])
            m2[place] = self._label_m2(place, weight, digits[place], apart)
        values = {name: rounded[:, i] for i, name in enumerate(EXACT_SUMS)} | {"label_m2": m2}
        return {name: pa.array(np.ascontiguousarray(values[name])) for name in SUMS if name in values}

    def _scores(self, rows: IntArray) -> dict[str, pa.Array]:
        digits, calibration, confidence = self._store.scores_of(rows)
        rounded = round_sums(digits)
        columns = {name: pa.array(np.ascontiguousarray(rounded[:, i])) for i, name in enumerate(SCORE_SUMS)}
        for bins, names in ((calibration, _CALIBRATION), (confidence, _CONFIDENCE)):
            filled = np.where((bins != 0).any(axis=2), np.arange(1, bins.shape[1] + 1), 0)
            lengths = filled.max(axis=1, initial=0)
            inside = np.arange(bins.shape[1]) < lengths[:, None]
            for name, which in names.items():
                columns[name] = _lists(lengths, bins[:, :, which][inside], name)
        return columns

    def _class_bins(self, rows: int, cells: np.ndarray, name: str, numbers: tuple[str, ...]) -> pa.Array:
        keys, class_number = np.unique(cells["a"], return_inverse=True)
        texts = [self._class_text(int(key)) if key != NO_CLASS else "" for key in keys]
        in_order = sorted(set(texts))  # a class may be named as what has none
        rank = np.array([in_order.index(text) for text in texts], np.int64)
        # One list per row and class, in the order of both; each bin is as many numbers as the cell has.
        place = (cells["key"] >> 3) * len(in_order) + (rank[class_number] if len(keys) else 0)
        lists, of_list = np.unique(place, return_inverse=True)
        width = len(numbers)
        lengths = np.zeros(len(lists), np.int64)
        np.maximum.at(lengths, of_list, width * (cells["b"] + 1))
        starts = np.cumsum(lengths) - lengths
        dense = np.zeros(int(lengths.sum()), np.int64)
        for i, number in enumerate(numbers):
            np.add.at(dense, starts[of_list] + width * cells["b"] + i, cells[number])
        per_row = np.bincount(lists // max(1, len(in_order)), minlength=rows)
        return pa.MapArray.from_arrays(
            pa.array(np.concatenate([[0], np.cumsum(per_row)]), pa.int32()),
            pa.array([in_order[i % len(in_order)] for i in lists], pa.string()),
            pa.ListArray.from_arrays(
                pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32()), pa.array(dense)
            ),
            type=PANE_COLUMNS.field(name).type,
        )

    @staticmethod
    def _label_m2(
        place: int, weight: int, digits: IntArray, apart: dict[tuple[int, int], Fraction | float]
    ) -> float:
        """Return the weighted squares about the weighted mean; ``weight`` is in units of WEIGHT_UNITS."""
        if not apart:
            # The same in plain integers: no fraction has to be reduced.
            units, squared = as_integer(digits[LABEL]), as_integer(digits[LABEL_SQ])
            return ((weight * squared << BIAS) - units * units * _WHOLE) / (weight << 2 * BIAS)
        total, squares = as_fraction(digits[LABEL]), as_fraction(digits[LABEL_SQ])
        for which in (LABEL, LABEL_SQ):
            more = apart.get((place, which), Fraction(0))
            if not isinstance(more, Fraction):
                return float("inf")
            total, squares = (total + more, squares) if which == LABEL else (total, squares + more)
        return _nearest(squares - total * total * _WHOLE / weight)

    def _maps(self, rows: IntArray, cells: np.ndarray) -> dict[str, pa.Array]:
        columns = {}
        for name, (kind, number) in _MAPS.items():
            chosen = cells[((cells["key"] & 7) == kind) & (cells[number] != 0)]
            texts = self._texts(kind, chosen)
            place = chosen["key"] >> 3
            order = sorted(range(len(chosen)), key=lambda i: (place[i], texts[i]))
            offsets = np.zeros(len(rows) + 1, np.int32)
            np.cumsum(np.bincount(place, minlength=len(rows))[: len(rows)], out=offsets[1:])
            columns[name] = pa.MapArray.from_arrays(
                pa.array(offsets),
                pa.array([texts[i] for i in order], pa.string()),
                pa.array(chosen[number][order] if order else [], pa.int64()),
                type=PANE_COLUMNS.field(name).type,
            )
        return columns

    def _texts(self, kind: int, cells: np.ndarray) -> list[str]:
        if kind == STATUS:
            return [self._statuses[a] for a in cells["a"]]
        text_of = {int(k): self._class_text(int(k)) for k in np.unique(np.append(cells["a"], cells["b"]))}
        if kind == PREDICTED:
            return [text_of[int(a)] for a in cells["a"]]
        return [
            text_of[int(a)] + PAIR_SEPARATOR + text_of[int(b)]
            for a, b in zip(cells["a"], cells["b"], strict=True)
        ]

    def _histograms(self, rows: IntArray) -> dict[str, pa.Array]:
        bins = self._store.bins_of(rows)
        place, key, n = bins["key"] >> 16, bins["key"] & 0xFFFF, bins["n"]
        columns = {}
        for name, kind in _KIND_OF_HISTOGRAM.items():
            chosen = (key >> 15) == kind
            at, index, count = place[chosen], key[chosen] & 0x7FFF, n[chosen]
            lengths = np.zeros(len(rows), np.int64)
            np.maximum.at(lengths, at, index + 1)
            starts = np.cumsum(lengths) - lengths
            dense = np.zeros(int(lengths.sum()), np.int64)
            dense[starts[at] + index] = count
            columns[name] = _lists(lengths, dense, name)
        return columns


def _lists(lengths: IntArray, values: IntArray, name: str) -> pa.Array:
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return pa.ListArray.from_arrays(
        pa.array(offsets, pa.int32()), pa.array(values), type=PANE_COLUMNS.field(name).type
    )


def _nearest(value: Fraction | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
