"""Names to codes: canonical strings, the bound on segment values, profiles beyond the first table."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.coded import FALSE_KEY, NO_CLASS, TRUE_KEY, Scorings
from schemas.columns import BOOLEAN, DOUBLE, LONG, NULL, STRING
from streams.codes.classes import class_keys, kinds_of, number_text, numbers_of
from streams.codes.names import Names
from streams.codes.profiles import ProfileTable
from streams.codes.segments import CROWDED, OTHER, SEGMENT_VALUES_PER_KEY, Segments
from streams.codes.siphash import hash_strings
from streams.codes.vocabulary import Vocabulary


def union(values):
    """Return a SCALAR column of Python values."""
    kinds = [
        NULL if v is None
        else BOOLEAN if isinstance(v, bool)
        else LONG if isinstance(v, int)
        else DOUBLE if isinstance(v, float)
        else STRING
        for v in values
    ]  # fmt: skip
    types = [pa.null(), pa.bool_(), pa.int64(), pa.float64(), pa.string()]
    children = [
        pa.array([v if k == at else None for v, k in zip(values, kinds, strict=True)], kind)
        for at, kind in enumerate(types)
    ]
    names = ["null", "bit", "bigint", "float8", "varchar"]
    return pa.UnionArray.from_sparse(pa.array(kinds, pa.int8()), children, names)


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
)


def canonical(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    return number_text(value) if isinstance(value, float) else str(value)


@given(st.lists(scalars, max_size=20), st.integers(0, 5))
def test_values_share_a_key_exactly_when_they_share_a_canonical_string(values, skipped):
    names = Names(["false", "true"])
    column = union(values).slice(min(skipped, len(values)))
    values = values[skipped:]
    keys = class_keys(column, kinds_of(column), names, fractions=True)
    vocabulary = Vocabulary()
    vocabulary.classes = names
    for value, key in zip(values, keys.tolist(), strict=True):
        assert (key == NO_CLASS) == (value is None)
        if value is not None:
            assert vocabulary.class_text(key) == canonical(value)
    numbers = numbers_of(column, kinds_of(column))
    for value, number in zip(values, numbers, strict=True):
        if isinstance(value, int | float) and not isinstance(value, bool):
            assert number == float(value)
        else:
            assert np.isnan(number)


def test_one_as_text_integer_and_double_is_one_class_and_booleans_are_their_words():
    names = Names(["false", "true"])
    column = union(["1", 1, 1.0, True, "true", "01", False])
    keys = class_keys(column, kinds_of(column), names, fractions=False)
    assert len(set(keys[:3].tolist())) == 1
    assert keys[3] == keys[4] == TRUE_KEY
    assert keys[6] == FALSE_KEY
    assert len(set(keys.tolist())) == 4


def test_the_hundredth_segment_value_is_kept_and_the_next_is_other():
    segments = Segments()
    codes = {segments.code(0, "city", str(i)) for i in range(SEGMENT_VALUES_PER_KEY)}
    assert len(codes) == SEGMENT_VALUES_PER_KEY
    assert segments.code(0, "city", "one more") == CROWDED
    values, times_ms = np.array([0, 1]), np.zeros(2, np.int64)
    beyond, kept = segments.crowded(0, "city", ["one more", "0"], values, times_ms).tolist()
    assert (segments.names.text(beyond), segments.names.text(kept)) == (f"city={OTHER}", "city=0")
    assert segments.names.text(segments.code(1, "city", "one more")) == "city=one more"


def test_profiles_keep_their_codes_while_their_table_grows():
    table = ProfileTable()
    n = 50_000
    stream = np.zeros(n, np.int32)
    class_key = np.arange(n, dtype=np.int64)
    flags = np.ones(n, np.uint8)
    scoring = np.full(n, -1, np.int32)
    offsets = np.arange(n + 1, dtype=np.int64) * 2
    segments = np.repeat(np.arange(n, dtype=np.int32), 2)
    first = table.codes(stream, class_key, flags, scoring, offsets, segments)
    again = table.codes(stream, class_key, flags, scoring, offsets, segments)
    assert first.tolist() == again.tolist() == list(range(n))
    view = table.view(Scorings(np.zeros(1, np.int64), np.zeros(0, np.int64)))
    assert view.class_key.tolist() == class_key.tolist()
    assert table.codes(stream[:1], class_key, flags, scoring + 1, offsets, segments).tolist() == [n]
    assert view.segments[view.segment_offsets[n - 1] : view.segment_offsets[n]].tolist() == [n - 1, n - 1]


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 15, 16, 255, 256, 1000])
def test_hashes_tell_apart_texts_that_differ_in_their_last_byte(length):
    key = (1, 2)
    texts = pa.array(["x" * length, "x" * length + "y", "x" * length + "z", "x" * length])
    low, high = hash_strings(texts, key)
    assert (low[0], high[0]) == (low[3], high[3])
    assert len(set(zip(low.tolist(), high.tolist(), strict=True))) == 3
    sliced = hash_strings(texts.slice(1, 2), key)
    assert sliced[0].tolist() == low[1:3].tolist()
    other = hash_strings(texts, (1, 3))
    assert other[0][0] != low[0]
