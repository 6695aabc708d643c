"""Sums of doubles that depend on no order and can be taken back exactly: a small superaccumulator.

After Neal (2015), "Fast exact summation using small and large superaccumulators", arXiv:1505.05571: a sum is
a fixed-point number of 512 bits, in digits of 32 bits that are held in 64-bit integers and carried late.
Adding -x takes x back without a trace, and two sums merge by adding their digits.
"""

import math
from fractions import Fraction

import numba as nb
import numpy as np

from schemas.coded import FloatArray
from schemas.records import IntArray

DIGITS = 18
BIAS = 256  # the lowest bit is worth 2**-256; terms up to 2**256 and down to that bit fit, others do not
ADDITIONS_BEFORE_CARRY = 1 << 29  # each adds less than 2**33 to a digit of 63 bits

_LOW = np.int64(0xFFFFFFFF)


@nb.njit(cache=True, nogil=True)
def add_exactly(digits, x, sign):  # type: ignore[no-untyped-def]
    """Add ``sign * x`` to one sum's digits; False, and nothing done, where ``x`` does not fit."""
    if x == 0.0:
        return True
    if not math.isfinite(x):
        return False
    fraction, exponent = math.frexp(abs(x))
    mantissa = np.int64(fraction * 9007199254740992.0)
    position = exponent - 53 + BIAS
    if position < 0 or position > 2 * BIAS - 53:
        return False
    s = np.int64(sign) if x > 0 else -np.int64(sign)
    place, shift = position >> 5, np.int64(position & 31)
    low = (mantissa & _LOW) << shift
    high = (mantissa >> np.int64(32)) << shift
    digits[place] += s * (low & _LOW)
    digits[place + 1] += s * ((low >> np.int64(32)) + (high & _LOW))
    digits[place + 2] += s * (high >> np.int64(32))
    return True


@nb.njit(cache=True, nogil=True)
def carry(digits):  # type: ignore[no-untyped-def]
    """Bring all digits but the last into [0, 2**32); the last one holds the sign."""
    over = np.int64(0)
    for k in range(DIGITS - 1):
        value = digits[k] + over
        digits[k] = value & _LOW
        over = value >> np.int64(32)
    digits[DIGITS - 1] += over


@nb.njit(cache=True, nogil=True)
def _rounded(digits):  # type: ignore[no-untyped-def]
    d = digits.copy()
    carry(d)
    sign = 1.0
    if d[DIGITS - 1] < 0:
        sign = -1.0
        for k in range(DIGITS):
            d[k] = -d[k]
        carry(d)
    top = DIGITS - 1
    while top >= 0 and d[top] == 0:
        top -= 1
    if top < 0:
        return 0.0
    bits = 0
    while d[top] >> np.int64(bits) != 0:
        bits += 1
    # The 64 highest bits, and whether anything is below them.
    word = np.uint64(0)
    have = 0
    sticky = False
    k = top
    while k >= 0:
        width = bits if k == top else 32
        if have + width <= 64:
            word = (word << np.uint64(width)) | np.uint64(d[k]) if width < 64 else np.uint64(d[k])
            have += width
        elif have < 64:
            take = 64 - have
            rest = width - take
            word = (word << np.uint64(take)) | (np.uint64(d[k]) >> np.uint64(rest))
            sticky = sticky or (d[k] & ((np.int64(1) << np.int64(rest)) - 1)) != 0
            have = 64
            k -= 1
            break
        else:
            break
        k -= 1
    low_digit = k + 1  # the lowest digit that is, at least in part, in the word
    while k >= 0:
        sticky = sticky or d[k] != 0
        k -= 1
    exponent = low_digit * 32 - BIAS
    if have == 64:
        total = bits + 32 * top
        exponent = total - 64 - BIAS
        kept = word >> np.uint64(11)
        rest64 = word & np.uint64(0x7FF)
        if rest64 > np.uint64(0x400) or (
            rest64 == np.uint64(0x400) and (sticky or (kept & np.uint64(1)) == np.uint64(1))
        ):
            kept += np.uint64(1)
        return sign * math.ldexp(float(kept), exponent + 11)
    # Fewer than 64 bits down to the lowest digit: rounded to 53 by hand, as float(uint64) may round twice.
    if word >> np.uint64(53) == np.uint64(0):
        return sign * math.ldexp(float(word), exponent)
    extra = 0
    while word >> np.uint64(53 + extra) != np.uint64(0):
        extra += 1
    kept = word >> np.uint64(extra)
    rest64 = word & ((np.uint64(1) << np.uint64(extra)) - np.uint64(1))
    half = np.uint64(1) << np.uint64(extra - 1)
    if rest64 > half or (rest64 == half and (kept & np.uint64(1)) == np.uint64(1)):
        kept += np.uint64(1)
    return sign * math.ldexp(float(kept), exponent + extra)


@nb.njit(cache=True, nogil=True)
def round_sums(sums):  # type: ignore[no-untyped-def]
    """Return the double nearest to each sum, shape ``(n, sums)``; digits are ``(n, sums, DIGITS)``."""
    out = np.zeros((sums.shape[0], sums.shape[1]))
    for i in range(sums.shape[0]):
        for j in range(sums.shape[1]):
            out[i, j] = _rounded(sums[i, j])
    return out


def as_integer(digits: IntArray) -> int:
    """Return the exact value of one sum in units of ``2**-BIAS``."""
    settled = digits.copy()
    carry(settled)
    low = int.from_bytes(settled[:-1].astype("<u4").tobytes(), "little")
    return low + (int(settled[-1]) << (32 * (DIGITS - 1)))


def as_fraction(digits: IntArray) -> Fraction:
    """Return the exact value of one sum."""
    return Fraction(as_integer(digits), 1 << BIAS)


def sum_exactly(terms: FloatArray) -> float:
    """Return the correctly rounded sum of ``terms``, shape ``(n,)``; ``ValueError`` where one does not fit.

    Examples
    --------
    >>> sum_exactly(np.array([1e17, 1.0, -1e17]))
    1.0
    """
    digits = np.zeros((1, 1, DIGITS), np.int64)
    for term in terms:
        if not add_exactly(digits[0, 0], float(term), 1):
            raise ValueError(f"a term must be finite and between 2**-256 and 2**256 in size; got {term}")
    return float(round_sums(digits)[0, 0])
