"""Scalars of five types as text: JSON, which keeps the type, or canonical, by which classes compare."""

import json
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.columns import BOOLEAN, DOUBLE, KIND_NAMES, LONG, NULL, STRING

Texts = Callable[[pa.Array], pa.StringArray]

NEEDS_ESCAPE = r'[\x00-\x1f"\\]'
# Arrow writes 0.00001 and 1.00000000005e+10, Python 1e-05 and 10000000000.5; canonical is Python's.
EXPONENT_BELOW = 1e-4


def type_codes(union: pa.UnionArray) -> npt.NDArray[np.int8]:
    """Return the branch of each row of a ``SCALAR`` column, shape ``(n,)``."""
    # Not union.type_codes: it forgets the offset of a slice.
    return np.frombuffer(union.buffers()[1], np.int8, len(union), union.offset)


def json_texts(union: pa.UnionArray) -> pa.StringArray:
    """Return each scalar as a JSON scalar: doubles keep a fraction or exponent, so 1.0 is not 1.

    Examples
    --------
    >>> from schemas.columns import SCALAR
    >>> codes = pa.array([0, 1, 2, 3, 4], pa.int8())
    >>> values = [pa.nulls(5), *(pa.array([value] * 5) for value in (True, 1, -0.0, "a"))]
    >>> json_texts(pa.UnionArray.from_sparse(codes, values, [f.name for f in SCALAR])).to_pylist()
    ['null', 'true', '1', '-0.0', '"a"']
    """
    return _by_kind(union, null_text="null", double_texts=_json_doubles, string_texts=_json_strings)


def canonical_texts(union: pa.UnionArray) -> pa.StringArray:
    """Return each scalar as text: integral numbers without fraction, strings as they are, null as null.

    Examples
    --------
    >>> from schemas.columns import SCALAR
    >>> codes = pa.array([0, 1, 2, 3, 4], pa.int8())
    >>> values = [pa.nulls(5), *(pa.array([value] * 5) for value in (True, 1, -0.0, "a"))]
    >>> canonical_texts(pa.UnionArray.from_sparse(codes, values, [f.name for f in SCALAR])).to_pylist()
    [None, 'true', '1', '0', 'a']
    """
    return _by_kind(union, null_text=None, double_texts=_canonical_doubles, string_texts=lambda texts: texts)


def kind_names(union: pa.UnionArray) -> pa.StringArray:
    """Return the name of each row's type: null, boolean, long, double or string."""
    # Plain, not a dictionary: blocks of several partitions are put together before they are sent.
    return pa.array(KIND_NAMES).take(pa.array(type_codes(union)))


def numbers(union: pa.UnionArray) -> pa.DoubleArray:
    """Return each scalar as a double where it is a long or a double, else null."""
    codes = type_codes(union)
    values = np.zeros(len(codes))
    for kind in (LONG, DOUBLE):
        rows = np.flatnonzero(codes == kind)
        if len(rows):
            values[rows] = union.field(kind).take(pa.array(rows)).to_numpy(zero_copy_only=False)
    return pa.array(values, mask=(codes != LONG) & (codes != DOUBLE))


def _by_kind(
    union: pa.UnionArray, *, null_text: str | None, double_texts: Texts, string_texts: Texts
) -> pa.StringArray:
    codes = type_codes(union)
    order, texts = [], []
    for kind in np.flatnonzero(np.bincount(codes, minlength=STRING + 1)):
        rows = np.flatnonzero(codes == kind)
        order.append(rows)
        if kind == NULL:
            texts.append(pa.array([null_text], pa.string()).take(pa.array(np.zeros(len(rows), np.int64))))
            continue
        values = union.field(int(kind)).take(pa.array(rows))
        if kind == DOUBLE:
            texts.append(double_texts(values))
        elif kind == STRING:
            texts.append(string_texts(values))
        elif kind in (BOOLEAN, LONG):
            texts.append(values.cast(pa.string()))
    if not order:
        return pa.array([], pa.string())
    if len(order) == 1:
        return texts[0]
    back = np.empty(len(codes), np.int64)
    back[np.concatenate(order)] = np.arange(len(codes))
    return pa.concat_arrays(texts).take(pa.array(back))


def _json_doubles(values: pa.DoubleArray) -> pa.StringArray:
    texts = values.cast(pa.string())
    return pc.if_else(
        pc.match_substring_regex(texts, "[.e]"), texts, pc.binary_join_element_wise(texts, ".0", "")
    )


def _json_strings(values: pa.StringArray) -> pa.StringArray:
    quoted = pc.binary_join_element_wise('"', values, '"', "")
    special = pc.match_substring_regex(values, NEEDS_ESCAPE)
    if not pc.any(special).as_py():
        return quoted
    escaped = [json.dumps(text, ensure_ascii=False) for text in values.filter(special).to_pylist()]
    return pc.replace_with_mask(quoted, special, pa.array(escaped, pa.string()))


def _canonical_doubles(values: pa.DoubleArray) -> pa.StringArray:
    floats = values.to_numpy(zero_copy_only=False)
    integral = (floats == np.floor(floats)) & np.isfinite(floats)
    texts = values.cast(pa.string())
    within = integral & (np.abs(floats) < 2.0**63)
    if within.any():
        integers = pa.array(floats[within].astype(np.int64)).cast(pa.string())
        texts = pc.replace_with_mask(texts, pa.array(within), integers)
    shapes_differ = np.asarray(pc.match_substring(texts, "e")) | (np.abs(floats) < EXPONENT_BELOW)
    rare = shapes_differ & ~within
    if rare.any():
        spelled = [str(int(x)) if x == int(x) else repr(x) for x in floats[rare].tolist()]
        texts = pc.replace_with_mask(texts, pa.array(rare), pa.array(spelled, pa.string()))
    return texts
