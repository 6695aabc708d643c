"""Classes as 64-bit keys, by their canonical strings: "1", 1 and 1.0 are one class."""

import re
from math import isfinite, nan

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.coded import FALSE_KEY, NO_CLASS, TRUE_KEY, ByteArray, FloatArray
from schemas.columns import BOOLEAN, DOUBLE, LONG, STRING
from schemas.records import IntArray
from streams.codes.names import Names

INTEGER = re.compile(r"-?[1-9][0-9]{0,17}|0")
LARGEST = 1 << 61  # beyond it, twice the integer does not fit in 64 bits: such a class is a text


def text_key(text: str, names: Names) -> int:
    """Return the key of a canonical string.

    Examples
    --------
    >>> names = Names(["false", "true"])
    >>> text_key("1", names), text_key("true", names), text_key("01", names)
    (2, 3, 5)
    """
    if INTEGER.fullmatch(text) and abs(int(text)) < LARGEST:
        return int(text) << 1
    return names.code(text) << 1 | 1


def number_text(number: float) -> str:
    """Return a number's canonical string: without a fraction where it is integral.

    Examples
    --------
    >>> number_text(3.0), number_text(-0.5), number_text(1e17)
    ('3', '-0.5', '100000000000000000')
    """
    return str(int(number)) if number == int(number) else repr(float(number))


def text_number(text: str) -> float:
    """Return the number that a class's text is canonical for, NaN where it is none or has an integer's key.

    Examples
    --------
    >>> [text_number(text) for text in ("2.5", "2.50", "2", "1e300", "4611686018427387904")]
    [2.5, nan, nan, nan, 4.611686018427388e+18]
    """
    try:
        number = float(text)
    except ValueError:
        return nan
    if (
        not isfinite(number)
        or number_text(number) != text
        or (INTEGER.fullmatch(text) and abs(number) < LARGEST)
    ):
        return nan
    return number


def class_keys(column: pa.Array, kinds: ByteArray, names: Names, *, fractions: bool) -> IntArray:
    """Return the class key of each value of a SCALAR column, shape ``(n,)``.

    ``NO_CLASS`` for null and, unless ``fractions``, for numbers with a fraction: regression has as many of
    those as events, and none of them is a class.
    """
    keys = np.full(len(column), NO_CLASS, np.int64)
    if (kinds == BOOLEAN).any():
        rows = np.flatnonzero(kinds == BOOLEAN)
        values = column.field(BOOLEAN).take(pa.array(rows)).to_numpy(zero_copy_only=False).astype(bool)
        keys[rows] = np.where(values, TRUE_KEY, FALSE_KEY)
    if (kinds == STRING).any():
        rows = np.flatnonzero(kinds == STRING)
        texts = column.field(STRING)
        encoded = (texts if len(rows) == len(column) else texts.take(pa.array(rows))).dictionary_encode()
        found = np.array([text_key(text, names) for text in encoded.dictionary.to_pylist()], np.int64)
        keys[rows] = found[np.asarray(encoded.indices)]
    if (kinds == LONG).any():
        rows = np.flatnonzero(kinds == LONG)
        values = _numbers(column.field(LONG), np.int64)[rows]
        inside = (values > -LARGEST) & (values < LARGEST)  # the smallest integer has no absolute value
        keys[rows[inside]] = values[inside] << 1
        for row, value in zip(rows[~inside], values[~inside], strict=True):
            keys[row] = names.code(str(int(value))) << 1 | 1
    if (kinds == DOUBLE).any():
        rows = np.flatnonzero(kinds == DOUBLE)
        values = _numbers(column.field(DOUBLE), np.float64)[rows]
        integral = (np.floor(values) == values) & (np.abs(values) < LARGEST)
        keys[rows[integral]] = values[integral].astype(np.int64) << 1
        if fractions:
            for row, value in zip(rows[~integral], values[~integral], strict=True):
                keys[row] = names.code(number_text(float(value))) << 1 | 1
    return keys


def numbers_of(column: pa.Array, kinds: ByteArray) -> FloatArray:
    """Return the numeric value of each row of a SCALAR column, NaN where it is no number, shape ``(n,)``."""
    numbers = np.full(len(column), np.nan)
    for kind, dtype in ((LONG, np.int64), (DOUBLE, np.float64)):
        rows = kinds == kind
        if rows.any():
            numbers[rows] = _numbers(column.field(kind), dtype)[rows]
    return numbers


def _numbers(child: pa.Array, dtype: type) -> np.ndarray:
    # A child of a sparse union is null where another branch holds; the buffer below the nulls is readable.
    return np.frombuffer(child.buffers()[1], dtype, len(child), child.offset * 8)


def kinds_of(column: pa.Array) -> ByteArray:
    """Return the type code of each row of a SCALAR column, shape ``(n,)``."""
    # Not ``column.type_codes``: of a slice those are the codes from the beginning on.
    return np.frombuffer(column.buffers()[1], np.uint8, len(column), column.offset)


def filled(column: pa.Array) -> FloatArray:
    """Return a nullable double column with NaN for null, shape ``(n,)``."""
    return np.asarray(pc.fill_null(column, float("nan"))) if column.null_count else np.asarray(column)
