"""A pane's cumulative row: the columns of pane-updates and of the table ``rollups``, all of them additive."""

from dataclasses import dataclass, field
from math import exp, fsum, log

import numpy as np
import pyarrow as pa

from schemas.records import IntArray

# Histograms of durations: bin 0 holds zero and less, bin 1 up to FLOOR, bin i up to FLOOR * G**(i-1).
# A bin's geometric middle is within sqrt(1.035) - 1 = 1.73 % of anything in it, under the promised 2 %.
DURATION_GROWTH = 1.035
LATENCY_FLOOR_MS = 0.01
DELAY_FLOOR_MS = 1.0
PAIR_SEPARATOR = "\x1f"  # between label and prediction in a key of ``confusion``

KEYS = [
    pa.field("model", pa.string(), nullable=False),
    pa.field("model_version", pa.string(), nullable=False),
    pa.field("segment", pa.string(), nullable=False),
    pa.field("pane_start", pa.timestamp("ms", tz="UTC"), nullable=False),
    pa.field("partition", pa.int32(), nullable=False),
    pa.field("revision", pa.uint64(), nullable=False),
]
COUNTS = (
    "predictions",  # all but repeats and role test, failed calls included
    "failures",  # status not ok
    "duplicates",  # repeats, counted and not used
    "booleans",  # answered predictions by the type of their value ...
    "longs",
    "doubles",
    "strings",
    "scored",  # ... and how many carried scores: what the task is told from
    "labelled",  # answered predictions with a label in force
    "class_n",  # labelled pairs of which both sides have a class
    "hits",  # ... and are the same class
    "reg_n",  # labelled pairs of which both sides are numbers
    "ape_n",  # ... and the label is not zero
    "cost_n",
    "value_n",
)
SUMS = (
    "err_sum",  # prediction - label
    "abs_err_sum",
    "sq_err_sum",
    "label_sum",
    "label_m2",  # squares about the row's own mean: plain squares cancel at 1e6 +- 1
    "ape_sum",  # |prediction - label| / |label|
    "cost_sum",
    "value_sum",
)
MAPS = (
    "predicted",  # class -> answered predictions
    "confusion",  # label, PAIR_SEPARATOR, prediction -> labelled pairs
    "statuses",  # status -> failures
)
HISTOGRAMS = (
    "latency",  # of all calls that carry one, floor LATENCY_FLOOR_MS
    "delay",  # label timestamp of the earliest label less event time, floor DELAY_FLOOR_MS
)
PANE_COLUMNS = pa.schema(
    [
        *KEYS,
        *(pa.field(name, pa.int64(), nullable=False) for name in COUNTS),
        *(pa.field(name, pa.float64(), nullable=False) for name in SUMS),
        *(
            pa.field(
                name, pa.map_(pa.string(), pa.field("value", pa.int64(), nullable=False)), nullable=False
            )
            for name in MAPS
        ),
        *(pa.field(name, pa.list_(pa.int64()), nullable=False) for name in HISTOGRAMS),
    ]
)


@dataclass(slots=True)
class PaneSums:
    """What one pane, or several merged ones, add up to; every part is additive, so merging is exact.

    ``sums`` holds ``SUMS`` as lists of terms, added by ``math.fsum`` when read, so that the order of
    merging never shows. ``label_m2`` merges by the parallel formula and is kept apart.
    """

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    terms: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in SUMS})
    maps: dict[str, dict[str, int]] = field(default_factory=lambda: {name: {} for name in MAPS})
    histograms: dict[str, IntArray] = field(
        default_factory=lambda: {name: np.zeros(0, np.int64) for name in HISTOGRAMS}
    )
    # (reg_n, label_sum, label_m2) of each merged row, for the parallel formula
    moments: list[tuple[int, float, float]] = field(default_factory=list)

    def add(self, other: "PaneSums") -> None:
        for name in COUNTS:
            self.counts[name] += other.counts[name]
        for name in SUMS:
            self.terms[name] += other.terms[name]
        for name in MAPS:
            mine = self.maps[name]
            for key, count in other.maps[name].items():
                mine[key] = mine.get(key, 0) + count
        for name in HISTOGRAMS:
            mine_bins, bins = self.histograms[name], other.histograms[name]
            if len(bins) > len(mine_bins):
                mine_bins, bins = bins.copy(), mine_bins
            else:
                mine_bins = mine_bins.copy()
            mine_bins[: len(bins)] += bins
            self.histograms[name] = mine_bins
        self.moments += other.moments

    def total(self, name: str) -> float:
        """Return the exactly rounded sum ``name`` of ``SUMS``, ``label_m2`` by the parallel formula."""
        if name != "label_m2":
            return fsum(self.terms[name])
        rows = [row for row in self.moments if row[0]]
        n = sum(row[0] for row in rows)
        if not n:
            return 0.0
        mean = fsum(row[1] for row in rows) / n
        return fsum(m2 + count * (label_sum / count - mean) ** 2 for count, label_sum, m2 in rows)


def read_panes(rows: pa.RecordBatch) -> list[PaneSums]:
    """Return one ``PaneSums`` per row of a batch with the schema ``PANE_COLUMNS``, in its order."""
    columns = {name: rows.column(name).to_pylist() for name in (*COUNTS, *SUMS, *MAPS)}
    histograms = {name: rows.column(name) for name in HISTOGRAMS}
    panes = []
    for i in range(rows.num_rows):
        reg_n = columns["reg_n"][i]
        panes.append(
            PaneSums(
                counts={name: columns[name][i] for name in COUNTS},
                terms={name: [columns[name][i]] if columns[name][i] else [] for name in SUMS},
                maps={name: dict(columns[name][i]) for name in MAPS},
                histograms={
                    name: np.asarray(column[i].values, dtype=np.int64) for name, column in histograms.items()
                },
                moments=[(reg_n, columns["label_sum"][i], columns["label_m2"][i])] if reg_n else [],
            )
        )
    return panes


def duration_bin(value_ms: float, floor_ms: float) -> int:
    """Return the bin of a duration; ``floor_ms`` is ``LATENCY_FLOOR_MS`` or ``DELAY_FLOOR_MS``."""
    if value_ms <= 0:
        return 0
    return max(1, 1 + int(np.ceil(log(value_ms / floor_ms) / log(DURATION_GROWTH) - 1e-9)))


def duration_quantile(bins: IntArray, q: float, floor_ms: float) -> float | None:
    """Return the ``ceil(q n)``-th smallest duration in milliseconds, within 2 %; None of an empty histogram.

    Examples
    --------
    >>> import numpy as np
    >>> bins = np.bincount([duration_bin(v, 0.01) for v in (10.0, 20.0, 30.0)])
    >>> round(duration_quantile(bins, 0.5, 0.01))
    20
    """
    total = int(bins.sum())
    if total <= 0:
        return None
    rank = max(1, int(np.ceil(q * total - 1e-9)))
    index = int(np.searchsorted(np.cumsum(bins), rank))
    return 0.0 if index == 0 else floor_ms * exp((index - 1.5) * log(DURATION_GROWTH))
