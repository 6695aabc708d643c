"""Feature counts as rows of ``FEATURE_COLUMNS``: moments rounded once, the largest categories by name."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from schemas.features import FEATURE_COLUMNS, MOST_CATEGORIES
from schemas.records import IntArray
from streams.features.layout import PANE_BITS, PREDICTION_SLOT, SEGMENT_BITS, WIDE_UNIT
from streams.features.memory.held import Held, joined
from streams.features.memory.kernels import exact_moments
from streams.features.names.slots import Slots


class FeatureRows:
    """Writes features under the names of their streams, segments and slots."""

    def __init__(
        self,
        width_ms: int,
        partition: int,
        stream_names: list[tuple[str, str]],
        segment_names: list[str],
        slots: Slots,
    ) -> None:
        self._width_ms = width_ms
        self._partition = partition
        self._streams = stream_names
        self._segments = segment_names
        self._slots = slots

    def batch(self, parts: Sequence[tuple[IntArray, Held]], revision: int) -> pa.RecordBatch:
        """Return features as rows, sorted by model, version, segment, pane, signal and feature.

        ``parts`` are the row keys of features, shape ``(n,)``, and the features themselves.
        """
        keys = np.concatenate([np.zeros(0, np.int64), *(keys for keys, _ in parts)])
        held = joined([part for _, part in parts])
        slots = held.features["slot"].tolist()
        streams = (keys >> (PANE_BITS + SEGMENT_BITS)).tolist()
        segments = [self._segments[s] for s in (keys & ((1 << SEGMENT_BITS) - 1)).tolist()]
        panes = (keys >> SEGMENT_BITS & ((1 << PANE_BITS) - 1)) * self._width_ms
        names = [self._slots.name(stream, slot) for stream, slot in zip(streams, slots, strict=True)]
        signals = ["prediction" if slot == PREDICTION_SLOT else "feature" for slot in slots]
        starts = panes.tolist()
        order = sorted(
            range(len(keys)),
            key=lambda i: (self._streams[streams[i]], segments[i], starts[i], signals[i], names[i]),
        )
        at = np.array(order, np.int64)
        f = held.features[at]
        total, m2 = np.zeros(len(f)), np.zeros(len(f))
        numbers, pivot, high, low, square_high, square_low, wide = (
            np.ascontiguousarray(f[name])
            for name in ("numbers", "pivot", "sum_high", "sum_low", "square_high", "square_low", "wide")
        )
        exact_moments(numbers, pivot, high, low, square_high, square_low, wide, WIDE_UNIT, total, m2)
        categories, other, in_categories = self._categories(held, at)
        columns = {
            "model": [self._streams[streams[i]][0] for i in order],
            "model_version": [self._streams[streams[i]][1] for i in order],
            "segment": [segments[i] for i in order],
            "pane_start": pa.array(panes[at]).cast(pa.timestamp("ms", tz="UTC")),
            "partition": np.full(len(at), self._partition, np.int32),
            "revision": np.full(len(at), revision, np.uint64),
            "signal": [signals[i] for i in order],
            "feature": [names[i] for i in order],
            "n": numbers + in_categories + other,
            "numbers": numbers,
            "sum": total,
            "m2": m2,
            **_cells(held, at),
            "categories": categories,
            "other": other,
        }
        return pa.RecordBatch.from_arrays(
            [_column(columns[field.name], field.type) for field in FEATURE_COLUMNS], schema=FEATURE_COLUMNS
        )

    @staticmethod
    def _categories(held: Held, at: IntArray) -> tuple[pa.Array, IntArray, IntArray]:
        """Return the largest categories of each feature, what is in none, and how many values are in them."""
        f = held.features
        texts, counts = held.texts(), held.category_n.tolist()
        bounds = np.searchsorted(held.category_of, np.arange(len(f) + 1)).tolist()
        booleans = {"true": f["trues"].tolist(), "false": f["falses"].tolist()}
        told: list[list[tuple[str, int]]] = []
        other, inside = f["other"][at].copy(), np.zeros(len(at), np.int64)
        for i, place in enumerate(at.tolist()):
            first, last = bounds[place], bounds[place + 1]
            found = dict(zip(texts[first:last], counts[first:last], strict=True))
            for name, by_place in booleans.items():
                if by_place[place]:
                    found[name] = found.get(name, 0) + by_place[place]
            ranked = list(found.items())
            if len(ranked) > MOST_CATEGORIES:
                ranked.sort(key=lambda category: (-category[1], category[0]))
                other[i] += sum(n for _, n in ranked[MOST_CATEGORIES:])
                ranked = ranked[:MOST_CATEGORIES]
            inside[i] = sum(n for _, n in ranked)
            told.append(sorted(ranked))
        return pa.array(told, FEATURE_COLUMNS.field("categories").type), other, inside


def _cells(held: Held, at: IntArray) -> dict[str, pa.Array]:
    """Return the columns of cells, those of each feature ascending."""
    rank = np.empty(len(at), np.int64)
    rank[at] = np.arange(len(at))
    of_row = rank[held.cell_of]
    order = np.lexsort((held.cell, of_row))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(of_row, minlength=len(at)))])
    return {
        name: pa.ListArray.from_arrays(
            pa.array(offsets, pa.int32()),
            pa.array(values[order], FEATURE_COLUMNS.field(name).type.value_type),
            type=FEATURE_COLUMNS.field(name).type,
        )
        for name, values in (("cells", held.cell), ("cell_counts", held.cell_n))
    }


def _column(values: object, kind: pa.DataType) -> pa.Array:
    return values if isinstance(values, pa.Array) else pa.array(values, kind)
