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
# What a pair weighs beyond 1 (1 / sampling_probability - 1), as an integer, so that taking back leaves no
# trace: 1.2e-10 of the whole at most, room for 2e9 of weight.
WEIGHT_UNITS = 2.0**32
LARGEST_WEIGHT = 1e6
# Age of a label: record time of the first label of its prediction less the prediction's timestamp. Bin 0
# holds up to a second, then four bins to a doubling: bin 91 ends after 82 days, bin 92
# after 97 (2**23 s).
AGE_FLOOR_MS = 1000.0
# Confidence: the score of the positive class, or of several classes the highest, by its logit: two bins to a
# unit up to 8, so that the rare class of a click model is not all in one bin.
CONFIDENCE_BINS = 33
MOST_EXAMPLES = 3  # of a row: prediction ids of wrong answers

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
    "bounds_n",  # labelled pairs of numbers whose prediction carried bounds ...
    "bounds_hits",  # ... and held the label
    "corrected",  # labelled predictions of which more than one label is known, not all of them equal
    # What pairs weigh beyond 1, in units of 1 / WEIGHT_UNITS: 0 unless labels were sampled.
    "class_extra",
    "hits_extra",
    "reg_extra",
    "ape_extra",
    "score_extra",
    "bounds_extra",
    "bounds_hits_extra",
)
SUMS = (  # of pairs: weighted
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
    "confusion_extra",  # as ``confusion``: what the pairs weigh beyond 1, in units of 1 / WEIGHT_UNITS
)
HISTOGRAMS = (
    "latency",  # of all calls that carry one, floor LATENCY_FLOOR_MS
    "delay",  # label timestamp of the earliest label less event time, floor DELAY_FLOOR_MS
    # Weights of scored pairs, in units of 1 / PROBABILITY_UNITS, in CALIBRATION_BINS equal widths:
    "calibration_n",  # by the probability they gave ...
    "calibration_hits",  # ... of which came true
    "calibration_p",  # ... and times their probabilities
    "confidence_all",  # answered predictions with scores, by confidence
    "confidence_n",  # weights of those with a label, in units of 1 / PROBABILITY_UNITS ...
    "confidence_hits",  # ... and of those that were right
)
CLASS_BINS = (
    # Class -> for each bin of ``score_place`` the weight, then the summed position inside the bin in
    # sixteenths, weighted; both in units of 2**-20.
    "score_positives",  # of the class's score where the label is that class
    "score_negatives",  # where it is another
    # Predicted class ("" where there is none) -> labelled pairs by age.
    "age_hits",  # right answers, and all pairs without classes
    "age_misses",  # wrong answers
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
            for name in CLASS_BINS
        ),
        # Ids of wrong answers (of a regression of any), those with the smallest hashes.
        pa.field("examples", pa.list_(pa.string()), nullable=False),
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
    class_bins: dict[str, dict[str, IntArray]] = field(
        default_factory=lambda: {name: {} for name in CLASS_BINS}
    )
    # (weight, label_sum, label_m2) of each merged row, for the parallel formula
    moments: list[tuple[float, float, float]] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)

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
        for name in CLASS_BINS:
            by_class = self.class_bins[name]
            for key, bins in other.class_bins[name].items():
                by_class[key] = add_bins([by_class[key], bins]) if key in by_class else bins
        self.moments += other.moments
        self.examples += other.examples

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

    def weight(self, name: str) -> float:
        """Return what pairs weigh: ``class``, ``hits``, ``reg``, ``ape``, ``score``, ``bounds``.

        Without sampled labels it is the count itself.
        """
        count = self.counts[name if name.endswith("hits") else f"{name}_n"]
        return count + self.counts[f"{name}_extra"] / WEIGHT_UNITS


def add_bins(parts: list[IntArray]) -> IntArray:
    """Return the sum of histograms of any lengths, which are those of the longest."""
    total = np.zeros(max(map(len, parts), default=0), np.int64)
    for bins in parts:
        total[: len(bins)] += bins
    return total


def age_bin(age_ms: float) -> int:
    """Return the bin of an age: 0 up to a second, four to a doubling beyond it.

    Examples
    --------
    >>> [age_bin(s * 1000.0) for s in (-5, 1, 2, 3600)]
    [0, 0, 4, 48]
    """
    if age_ms <= AGE_FLOOR_MS:
        return 0
    return int(np.ceil(4 * np.log2(age_ms / AGE_FLOOR_MS) - 1e-9))


def age_edge_ms(index: int) -> float:
    """Return the largest age that a bin holds."""
    return float(AGE_FLOOR_MS * 2.0 ** (index / 4))


def confidence_bin(p: float) -> int:
    """Return the bin of a score: its logit in halves, from -8 to 8.

    Examples
    --------
    >>> [confidence_bin(p) for p in (0.0, 0.001, 0.5, 0.9, 1.0)]
    [0, 2, 16, 20, 32]
    """
    if p <= 0.0 or p >= 1.0:
        return 0 if p <= 0.0 else CONFIDENCE_BINS - 1
    return int(np.rint(2 * min(max(log(p / (1 - p)), -8.0), 8.0))) + CONFIDENCE_BINS // 2


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
