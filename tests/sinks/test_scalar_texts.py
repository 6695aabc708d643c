"""Scalars as text against plain Python, value by value, whole and sliced."""

import json
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.columns import KIND_NAMES
from sinks.clickhouse.scalars import canonical_texts, json_texts, kind_names, numbers
from streams.codes.classes import number_text

LONGS = st.integers(-(2**63), 2**63 - 1)
DOUBLES = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**60), 2**60).map(float)
TEXTS = st.text(st.characters(codec="utf-8")) | st.sampled_from(
    ['"', "\\", "\n", "\x00", "\x1f", "true", "1"]
)
COLUMNS = st.lists(st.none() | st.booleans() | LONGS | DOUBLES | TEXTS, max_size=30)
KINDS = (type(None), bool, int, float, str)


def union(values: list[Any]) -> pa.UnionArray:
    kinds = [KINDS.index(type(value)) for value in values]
    types = (pa.null(), pa.bool_(), pa.int64(), pa.float64(), pa.string())
    children = [
        pa.array([value if kind == at else None for value, kind in zip(values, kinds, strict=True)], arrow)
        for at, arrow in enumerate(types)
    ]
    return pa.UnionArray.from_sparse(pa.array(kinds, pa.int8()), children, list(KIND_NAMES))


def is_number(value: Any) -> bool:
    return type(value) in (int, float)


@settings(deadline=None)
@given(COLUMNS, st.integers(0, 5))
def test_json_texts_read_back_as_the_very_same_values(values: list[Any], start: int) -> None:
    column = union(values).slice(start)
    read = [json.loads(text) for text in json_texts(column).to_pylist()]
    assert [(type(value), repr(value)) for value in read] == [
        (type(value), repr(value)) for value in values[start:]
    ]


@settings(deadline=None)
@given(COLUMNS, st.integers(0, 5))
def test_canonical_texts_are_those_by_which_classes_compare(values: list[Any], start: int) -> None:
    expected = [
        {True: "true", False: "false"}[value] if type(value) is bool
        else number_text(value) if type(value) is float
        else str(value) if type(value) is int
        else value
        for value in values[start:]
    ]  # fmt: skip
    assert canonical_texts(union(values).slice(start)).to_pylist() == expected


@settings(deadline=None)
@given(COLUMNS, st.integers(0, 5))
def test_kinds_and_numbers_are_those_of_the_values(values: list[Any], start: int) -> None:
    column, kept = union(values).slice(start), values[start:]
    assert kind_names(column).to_pylist() == [KIND_NAMES[KINDS.index(type(value))] for value in kept]
    assert numbers(column).to_pylist() == [float(value) if is_number(value) else None for value in kept]
