"""A pane's counts of one feature: the columns of feature rows, and the grid on which numbers are counted."""

import math
import struct

import pyarrow as pa

from schemas.panes import KEYS

# The grid is signed and log-linear, and no data chooses it: 64 cells to an octave (1.1 to 1.6 % wide), from
# 2**-40 up. Cell 0 is around zero; cell k > 0 holds [edge(k), edge(k + 1)), cell -k its mirror image.
GRID_OCTAVE = 64
GRID_LOWEST = 2.0**-40
MOST_CATEGORIES = 100  # of a feature in one row; the rest is ``other``
MOST_FEATURES = 100  # of one model version; more are left out, and named

FEATURE_COLUMNS = pa.schema(
    [
        *KEYS,
        # "feature"; or "prediction", under the name '': the predicted number of answers without scores. Of
        # integers stage 1 cannot know whether they are classes.
        pa.field("signal", pa.string(), nullable=False),
        pa.field("feature", pa.string(), nullable=False),
        # Missing are the pane's ``predictions`` less n: null, or no such key.
        pa.field("n", pa.int64(), nullable=False),
        pa.field("numbers", pa.int64(), nullable=False),  # of n, those that are numbers
        pa.field("sum", pa.float64(), nullable=False),  # of the numbers, exact but for the last rounding
        pa.field("m2", pa.float64(), nullable=False),  # their squares about the row's own mean
        pa.field("cells", pa.list_(pa.int32()), nullable=False),  # of the grid, ascending
        pa.field("cell_counts", pa.list_(pa.int64()), nullable=False),
        # Strings and booleans ("true", "false") by value, the MOST_CATEGORIES largest. In ``other``: what
        # is smaller, longer than 100 bytes, or came after the first 4 * MOST_CATEGORIES values of the row.
        pa.field(
            "categories", pa.map_(pa.string(), pa.field("value", pa.int64(), nullable=False)), nullable=False
        ),
        pa.field("other", pa.int64(), nullable=False),
    ]
)


def grid_cell(x: float) -> int:
    """Return the cell of a finite number.

    Examples
    --------
    >>> grid_cell(0.0), grid_cell(1.0), grid_cell(-1.0), grid_cell(2.0)
    (0, 2561, -2561, 2625)
    """
    if abs(x) < GRID_LOWEST:
        return 0
    bits: int = struct.unpack("<q", struct.pack("<d", abs(x)))[0]
    cell = (bits >> 46) - ((1023 - 40) << 6) + 1
    return cell if x > 0 else -cell


def grid_middle(cell: int) -> float:
    """Return the number in the middle of a cell.

    Examples
    --------
    >>> grid_middle(grid_cell(1.0))
    1.0078125
    """
    if cell == 0:
        return 0.0
    octave, part = divmod(abs(cell) - 1, GRID_OCTAVE)
    return math.copysign(math.ldexp(1.0 + (part + 0.5) / GRID_OCTAVE, octave - 40), cell)
