"""Counts of one feature over a pane or any merge of panes, read from rows of ``FEATURE_COLUMNS``."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import fsum

import numpy as np
import pyarrow as pa

from schemas.records import IntArray

_NONE = np.zeros(0, np.int64)


@dataclass(slots=True)
class FeatureCounts:
    """What values a feature had: ``counts[i]`` of grid cell ``cells[i]``, ascending, and the categories.

    ``moments`` are (numbers, sum, m2) of each merged row, for the parallel formula.
    """

    n: int = 0
    numbers: int = 0
    moments: list[tuple[int, float, float]] = field(default_factory=list)
    cells: IntArray = field(default_factory=lambda: _NONE)
    counts: IntArray = field(default_factory=lambda: _NONE)
    categories: dict[str, int] = field(default_factory=dict)
    other: int = 0

    @property
    def sum(self) -> float:
        """Of the numbers."""
        return fsum(row[1] for row in self.moments)

    @property
    def m2(self) -> float:
        """Squares of the numbers about their mean."""
        if not self.numbers:
            return 0.0
        mean = self.sum / self.numbers
        return fsum(m2 + n * (total / n - mean) ** 2 for n, total, m2 in self.moments)


def read_features(rows: pa.RecordBatch) -> list[FeatureCounts]:
    """Return one ``FeatureCounts`` per row of a batch with the schema ``FEATURE_COLUMNS``, in its order."""
    plain = {name: rows.column(name).to_pylist() for name in ("n", "numbers", "sum", "m2", "other")}
    cells, counts = rows.column("cells"), rows.column("cell_counts")
    categories = rows.column("categories").to_pylist()
    return [
        FeatureCounts(
            n=plain["n"][i],
            numbers=plain["numbers"][i],
            moments=[(plain["numbers"][i], plain["sum"][i], plain["m2"][i])] if plain["numbers"][i] else [],
            cells=np.asarray(cells[i].values, dtype=np.int64),
            counts=np.asarray(counts[i].values, dtype=np.int64),
            categories=dict(categories[i]),
            other=plain["other"][i],
        )
        for i in range(rows.num_rows)
    ]


def merge_counts(parts: Sequence[FeatureCounts]) -> FeatureCounts:
    """Return what several counts add up to."""
    if len(parts) == 1:
        return parts[0]
    categories: dict[str, int] = {}
    for part in parts:
        for name, count in part.categories.items():
            categories[name] = categories.get(name, 0) + count
    cells, place = np.unique(np.concatenate([_NONE, *(part.cells for part in parts)]), return_inverse=True)
    counts = np.zeros(len(cells), np.int64)
    np.add.at(counts, place, np.concatenate([_NONE, *(part.counts for part in parts)]))
    return FeatureCounts(
        n=sum(part.n for part in parts),
        numbers=sum(part.numbers for part in parts),
        moments=[row for part in parts for row in part.moments],
        cells=cells,
        counts=counts,
        categories=categories,
        other=sum(part.other for part in parts),
    )
