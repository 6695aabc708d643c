"""Scalars of five types out of the text that the raw tables keep: canonical text with its kind, or JSON."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.columns import BOOLEAN, DOUBLE, KIND_NAMES, LONG, NULL, SCALAR, STRING
from schemas.records import IntArray

_ESCAPE = "\\"


def scalars_of_kinds(texts: pa.StringArray, kinds: pa.StringArray, numbers: pa.DoubleArray) -> pa.UnionArray:
    """Return a ``SCALAR`` column of canonical texts, the names of their types, and doubles as numbers.

    Examples
    --------
    >>> texts, kinds = pa.array(["1", "1", None]), pa.array(["long", "double", "null"])
    >>> scalars_of_kinds(texts, kinds, pa.array([1.0, 1.0, None])).to_pylist()
    [1, 1.0, None]
    """
    codes = np.asarray(pc.index_in(kinds, pa.array(KIND_NAMES))).astype(np.int8)
    return _union(
        codes,
        {
            BOOLEAN: lambda rows: pc.equal(texts.take(rows), "true"),
            LONG: lambda rows: texts.take(rows).cast(pa.int64()),
            DOUBLE: numbers.take,
            STRING: texts.take,
        },
    )


def scalars_of_json(texts: pa.StringArray) -> pa.UnionArray:
    """Return a ``SCALAR`` column of JSON scalars; what has a fraction or an exponent is a double.

    Examples
    --------
    >>> scalars_of_json(pa.array(["null", "true", "1", "1.0", '"1"'])).to_pylist()
    [None, True, 1, 1.0, '1']
    """
    codes = np.full(len(texts), LONG, np.int8)
    first = pc.utf8_slice_codeunits(texts, 0, 1)
    codes[np.asarray(pc.equal(first, '"'))] = STRING
    rest = np.flatnonzero(codes == LONG)
    some = texts.take(pa.array(rest))
    codes[rest[np.asarray(pc.match_substring_regex(some, "[.eEnN]"))]] = DOUBLE
    words = pc.index_in(some, pa.array(["null", "true", "false"])).fill_null(3)
    word = np.asarray(words)
    codes[rest[word == 0]] = NULL
    codes[rest[(word == 1) | (word == 2)]] = BOOLEAN
    return _union(
        codes,
        {
            BOOLEAN: lambda rows: pc.equal(texts.take(rows), "true"),
            LONG: lambda rows: texts.take(rows).cast(pa.int64()),
            DOUBLE: lambda rows: texts.take(rows).cast(pa.float64()),
            STRING: lambda rows: _unquoted(texts.take(rows)),
        },
    )


def _unquoted(quoted: pa.StringArray) -> pa.StringArray:
    plain = pc.utf8_slice_codeunits(quoted, 1, -1)
    escaped = pc.match_substring(quoted, _ESCAPE)
    if not pc.any(escaped).as_py():
        return plain
    texts = [json.loads(text) for text in quoted.filter(escaped).to_pylist()]
    return pc.replace_with_mask(plain, escaped, pa.array(texts, pa.string()))


def _union(codes: np.ndarray, read: dict[int, object]) -> pa.UnionArray:
    children = [pa.nulls(len(codes))]
    for kind in (BOOLEAN, LONG, DOUBLE, STRING):
        rows = np.flatnonzero(codes == kind)
        typed = SCALAR.field(kind).type
        if len(rows):
            values = read[kind](pa.array(rows))  # type: ignore[operator]
            children.append(_spread(values, rows, len(codes)))
        else:
            children.append(pa.nulls(len(codes), typed))
    return pa.UnionArray.from_sparse(pa.array(codes), children, [field.name for field in SCALAR])


def _spread(values: pa.Array, rows: IntArray, length: int) -> pa.Array:
    if len(rows) == length:
        return values
    place = np.full(length, -1, np.int64)
    place[rows] = np.arange(len(rows))
    return values.take(pa.array(place, mask=place < 0))
