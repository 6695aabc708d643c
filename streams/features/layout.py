"""How feature counts lie in memory: a record per feature of a row, the grid in pages, texts apart."""

import numpy as np

from schemas.features import GRID_OCTAVE, MOST_CATEGORIES

# A row is a pane of a stream and segment; its key is streams.panes.layout's, so that both stores bound alike.
PANE_BITS, SEGMENT_BITS = 32, 20
PREDICTION_SLOT = 0  # of a row's directory; features stand behind it in the order in which they came

# One feature of one row. Numbers: how many, how many in cell 0, then the sums of d = x - pivot and of d * d,
# each as two doubles; the pivot is the first number, so that squares do not cancel far from zero. ``wide`` is
# the sum of those too large for a square, in units of WIDE_UNIT.
FEATURE = np.dtype(
    [
        ("numbers", np.int64),
        ("zeros", np.int64),
        ("pivot", np.float64),
        ("sum_high", np.float64),
        ("sum_low", np.float64),
        ("square_high", np.float64),
        ("square_low", np.float64),
        ("wide", np.float64),
        ("trues", np.int64),
        ("falses", np.int64),
        ("other", np.int64),
        ("first_page", np.int32),
        ("first_category", np.int32),
        ("kept", np.int32),  # categories
        ("dirty", np.int32),
        ("row", np.int32),
        ("slot", np.int32),
    ]
)
WIDE = 2.0**480  # sums of 2**30 squares up to here, and their products with n, stay below 2**1024
WIDE_UNIT = 2.0**100  # 2**100 of the largest doubles add up without overflow

# A page is one octave of one sign, 64 cells: a feature's values lie in a few octaves, so that counting one
# is one look-up in a small table and one addition. Its key: feature << 12 | octave << 1 | sign.
PAGE_CELLS = GRID_OCTAVE
PAGE = np.dtype([("key", np.int64), ("next", np.int32), ("spare", np.int32)])

CATEGORY = np.dtype(
    [
        ("hash", np.uint64),
        ("n", np.int64),
        ("at", np.int64),  # of its text
        ("length", np.int32),
        ("feature", np.int32),
        ("next", np.int32),
        ("spare", np.int32),
    ]
)
LONGEST_CATEGORY = 100  # bytes of UTF-8; what is longer is no category
# A row remembers more values than it tells, the first that come; told are the largest of them.
CATEGORIES_KEPT = 4 * MOST_CATEGORIES

# Places of the counters of what is used.
ROWS, FEATURES, PAGES, CATEGORIES, TEXT = range(5)
