"""How accumulators lie in memory: a row per pane, stream and segment; cells for what is sparse."""

import numpy as np

from schemas.panes import COUNTS

COUNT = {name: i for i, name in enumerate(COUNTS)}
N_COUNTS = len(COUNTS)

# Exact sums kept; ``label_m2`` of a row is made of two of them when it is read.
ERR, ABS_ERR, SQ_ERR, LABEL, LABEL_SQ, APE, COST, VALUE = range(8)
EXACT_SUMS = (
    "err_sum",
    "abs_err_sum",
    "sq_err_sum",
    "label_sum",
    "label_sq",
    "ape_sum",
    "cost_sum",
    "value_sum",
)
N_SUMS = len(EXACT_SUMS)
# Kept beside them, for rows that have scored pairs only.
LOG_LOSS, BRIER = range(2)
SCORE_SUMS = ("log_loss_sum", "brier_sum")
# Integers of them: by calibration bin, and by confidence bin.
CALIBRATION_N, CALIBRATION_HITS, CALIBRATION_P = range(3)
CONFIDENCE_ALL, CONFIDENCE_N, CONFIDENCE_HITS = range(3)

LATENCY, DELAY = range(2)  # kinds of bins
# Kinds of cells, at most eight. ``n`` and ``m`` are counts and what they weigh beyond 1; of scores the weight
# and the weighted position in the bin, in units of 1 / SCORE_UNITS.
PREDICTED, CONFUSION, STATUS, SCORE_POSITIVE, SCORE_NEGATIVE, AGE_HIT, AGE_MISS = range(7)
SCORE_UNITS = 2.0**20

# Cells and bins lie in pools in the order in which they came, found through a hash table of places; those
# of a row are linked, so that reading a row costs what the row holds.
CELL = np.dtype([(name, np.int64) for name in ("key", "a", "b", "n", "m", "next")])  # key: row << 3 | kind
BIN = np.dtype([("key", np.int64), ("n", np.int64), ("next", np.int64)])  # key: row << 16 | kind << 15 | bin

# A term that its sum cannot hold, kept apart: which row, which sum, with which weight, how often.
WIDE = np.dtype(
    [("row", np.int64), ("sum", np.int64), ("x", np.float64), ("weight", np.float64), ("sign", np.int64)]
)

PANE_BITS, SEGMENT_BITS = 32, 20  # of a row's key; 12 bits are left for the stream
MOST_STREAMS, MOST_SEGMENTS = 1 << 12, 1 << SEGMENT_BITS
