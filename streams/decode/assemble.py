"""Checked records to columns, laid out as pyruhvro lays out Avro."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa

from schemas.columns import BOOLEAN, COORDINATES, DOUBLE, LONG, NULL, SCALAR, STRING
from schemas.records import IntArray

_CODES = {type(None): NULL, bool: BOOLEAN, int: LONG, float: DOUBLE, str: STRING}


def assemble(fields: pa.Schema, records: Sequence[Mapping[str, Any]]) -> pa.RecordBatch:
    """Return records that ``rules.check`` has passed as one batch with the schema ``fields``."""
    columns = [column(field.type, [record[field.name] for record in records]) for field in fields]
    return pa.RecordBatch.from_arrays(columns, schema=fields)


def with_coordinates(columns: pa.RecordBatch, offsets: IntArray, times: IntArray) -> pa.RecordBatch:
    """Return the columns with where each record stood behind them."""
    for field, numbers in zip(COORDINATES, (offsets, times), strict=True):
        columns = columns.append_column(field, pa.array(numbers, field.type))
    return columns


def column(kind: pa.DataType, values: list[Any]) -> pa.Array:
    """Return values of the types that ``kind`` takes as one array."""
    if kind.equals(SCALAR):
        return _union(values)
    if pa.types.is_map(kind):
        return _map(kind, values)
    if pa.types.is_timestamp(kind):
        return pa.array(values, pa.int64()).view(kind)
    return pa.array(values, kind)


def _union(values: list[Any]) -> pa.Array:
    codes = [_CODES[type(value)] for value in values]
    children = [
        pa.array(
            [value if code == at else None for value, code in zip(values, codes, strict=True)], child.type
        )
        if at in present
        else pa.nulls(len(values), child.type)
        for present in [set(codes)]
        for at, child in enumerate(SCALAR)
    ]
    return pa.UnionArray.from_sparse(
        pa.array(codes, pa.int8()), children, [child.name for child in SCALAR], list(range(len(SCALAR)))
    )


def _map(kind: pa.DataType, values: list[Any]) -> pa.Array:
    ends = np.cumsum([len(value) if value else 0 for value in values], dtype=np.int32)
    # An offset that is null makes its row null; the last one closes the last row.
    absent = np.array([value is None for value in values] + [False])
    starts = pa.array(np.concatenate([[0], ends]).astype(np.int32), mask=absent if absent.any() else None)
    keys = pa.array(list(chain.from_iterable(value for value in values if value)), pa.string())
    items = column(kind.item_type, [item for value in values if value for item in value.values()])
    return pa.MapArray.from_arrays(starts, keys, items, type=kind)
