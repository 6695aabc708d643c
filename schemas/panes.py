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
CALIBRATION_BINS = 10  # [0, 0.1) and so on, the last one closed
# Integers, so that taking back leaves no trace: within 1.2e-10 of the mean, room for 2e9 pairs of one bin.
PROBABILITY_UNITS = 2.0**32
# 373 bins of scores: 8 to a unit of the logit up to 10, 1 from there to 36, and 160 to a unit of
# probability. The steps of the logit serve scores near 0 and 1, such as those of clicks.
SUB_BINS = 16  # positions inside a bin
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
    "score_n",  # labelled pairs of scores and a class
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
    "log_loss_sum",
    "brier_sum",
)
MAPS = (
    "predicted",  # class -> answered predictions
    "confusion",  # label, PAIR_SEPARATOR, prediction -> labelled pairs
    "statuses",  # status -> failures
)
HISTOGRAMS = (
    "latency",  # of all calls that carry one, floor LATENCY_FLOOR_MS
    "delay",  # label timestamp of the earliest label less event time, floor DELAY_FLOOR_MS
    "calibration_n",  # scored pairs by the probability they gave, in CALIBRATION_BINS equal widths ...
    "calibration_hits",  # ... how many of them came true
    "calibration_p",  # ... and the sum of their probabilities, in units of 1 / PROBABILITY_UNITS
)
# Class -> for each bin of ``score_place`` the count, then the summed position inside the bin in sixteenths.
SCORE_BINS = (
    "score_positives",  # of the class's score where the label is that class
    "score_negatives",  # where it is another
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
        *(
            pa.field(
                name,
                pa.map_(pa.string(), pa.field("value", pa.list_(pa.int64()), nullable=False)),
                nullable=False,
            )
            for name in SCORE_BINS
        ),
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
    score_bins: dict[str, dict[str, IntArray]] = field(
        default_factory=lambda: {name: {} for name in SCORE_BINS}
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
            self.histograms[name] = add_bins([self.histograms[name], other.histograms[name]])
        for name in SCORE_BINS:
            by_class = self.score_bins[name]
            for key, bins in other.score_bins[name].items():
                by_class[key] = add_bins([by_class[key], bins]) if key in by_class else bins
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


def add_bins(parts: list[IntArray]) -> IntArray:
    """Return the sum of histograms of any lengths, which are those of the longest."""
    total = np.zeros(max(map(len, parts), default=0), np.int64)
    for bins in parts:
        total[: len(bins)] += bins
    return total


def read_panes(rows: pa.RecordBatch) -> list[PaneSums]:
    """Return one ``PaneSums`` per row of a batch with the schema ``PANE_COLUMNS``, in its order."""
    columns = {name: rows.column(name).to_pylist() for name in (*COUNTS, *SUMS, *MAPS)}
    histograms = {name: rows.column(name) for name in HISTOGRAMS}
    score_bins = {name: rows.column(name) for name in SCORE_BINS}
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
                score_bins={name: _bins_by_class(column, i) for name, column in score_bins.items()},
                moments=[(reg_n, columns["label_sum"][i], columns["label_m2"][i])] if reg_n else [],
            )
        )
    return panes


def _bins_by_class(column: pa.MapArray, row: int) -> dict[str, IntArray]:
    begin, end = column.offsets[row].as_py(), column.offsets[row + 1].as_py()
    return {
        column.keys[i].as_py(): np.asarray(column.items[i].values, dtype=np.int64) for i in range(begin, end)
    }


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
