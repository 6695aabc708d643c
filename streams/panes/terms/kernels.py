"""Terms of pairs added to exact sums, and set apart where a sum cannot hold them."""

import numba as nb
import numpy as np

from streams.panes.exact_sums import DIGITS, add_exactly
from streams.panes.layout import LABEL, LABEL_SQ

_SPLIT = 134217729.0  # 2**27 + 1, Veltkamp's constant
# The square of a term in between is held exactly: its 106 bits end above 2**-256. So is its product with a
# weight, which has 32 bits below the point.
_SMALLEST_SQUARED, _LARGEST_SQUARED = 2.0**-72, 2.0**100
_SMALLEST_WEIGHTED = 2.0**-56


@nb.njit(cache=True, nogil=True)
def _keep_apart(wide, used, row, which, x, weight, sign):  # type: ignore[no-untyped-def]
    w = wide[used[3]]
    w.row = row
    w.sum = which
    w.x = x
    w.weight = weight
    w.sign = sign
    used[3] += 1


@nb.njit(cache=True, nogil=True)
def add_term(sums, row, which, x, sign, wide, used):  # type: ignore[no-untyped-def]
    if not add_exactly(sums[row, which], x, sign):
        _keep_apart(wide, used, row, which, x, 1.0, sign)


@nb.njit(cache=True, nogil=True)
def _product(x, y):  # type: ignore[no-untyped-def]
    """Return the exact product of two doubles as the sum of two (Dekker 1971)."""
    big = _SPLIT * x
    x_high = big - (big - x)
    x_low = x - x_high
    big = _SPLIT * y
    y_high = big - (big - y)
    y_low = y - y_high
    product = x * y
    rest = (((x_high * y_high - product) + x_high * y_low) + x_low * y_high) + x_low * y_low
    return product, rest


@nb.njit(cache=True, nogil=True)
def add_label(sums, row, x, weight, sign, wide, used):  # type: ignore[no-untyped-def]
    """Add a label and its square, both exactly: what is left of the squares may be tiny beside them."""
    if weight == 1.0:
        add_term(sums, row, LABEL, x, sign, wide, used)
    if x == 0.0:
        return
    smallest = _SMALLEST_SQUARED if weight == 1.0 else _SMALLEST_WEIGHTED
    if not (smallest < abs(x) < _LARGEST_SQUARED):
        if weight != 1.0:
            _keep_apart(wide, used, row, LABEL, x, weight, sign)
        _keep_apart(wide, used, row, LABEL_SQ, x, weight, sign)
        return
    square, rest = _product(x, x)
    if weight == 1.0:
        add_exactly(sums[row, LABEL_SQ], square, sign)
        add_exactly(sums[row, LABEL_SQ], rest, sign)
        return
    for which, term in ((LABEL, x), (LABEL_SQ, square), (LABEL_SQ, rest)):
        weighted, low = _product(weight, term)
        add_exactly(sums[row, which], weighted, sign)
        add_exactly(sums[row, which], low, sign)


@nb.njit(cache=True, nogil=True)
def carry_all(sums, count):  # type: ignore[no-untyped-def]
    for i in range(count):
        for j in range(sums.shape[1]):
            over = np.int64(0)
            for k in range(DIGITS - 1):
                value = sums[i, j, k] + over
                sums[i, j, k] = value & np.int64(0xFFFFFFFF)
                over = value >> np.int64(32)
            sums[i, j, DIGITS - 1] += over
