"""Numpy draws as the Arrow columns of events: unions of scalars, and maps with the same keys in each row."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.columns import BOOLEAN, DOUBLE, INFERENCE_FIELDS, LONG, NULL, SCALAR, STRING

Draws = npt.NDArray[np.generic]
BoolArray = npt.NDArray[np.bool_]
_CODES = {"b": BOOLEAN, "i": LONG, "f": DOUBLE, "U": STRING, "O": STRING}


def scalar_column(values: Draws, null: BoolArray) -> pa.Array:
    """Return values of one type as a union column, null where ``null`` says so."""
    code = _CODES[values.dtype.kind]
    children = [pa.nulls(len(values), field.type) for field in SCALAR]
    children[code] = pa.array(values, SCALAR.field(code).type)
    types = np.where(null, NULL, code).astype(np.int8)
    return _union(types, children)


def _union(types: npt.NDArray[np.int8], children: Sequence[pa.Array]) -> pa.Array:
    names = [field.name for field in SCALAR]
    return pa.UnionArray.from_sparse(pa.array(types), list(children), field_names=names)


def features_column(values: Mapping[str, Draws], missing: Mapping[str, BoolArray]) -> pa.Array:
    """Return one map per row with all names in each, null where a value is missing."""
    names = list(values)
    rows = len(values[names[0]])
    types = np.empty((rows, len(names)), np.int8)
    held: dict[int, npt.NDArray[np.generic]] = {
        BOOLEAN: np.zeros(types.shape, np.bool_),
        LONG: np.zeros(types.shape, np.int64),
        DOUBLE: np.zeros(types.shape, np.float64),
        STRING: np.full(types.shape, "", object),
    }
    for i, name in enumerate(names):
        code = _CODES[values[name].dtype.kind]
        held[code][:, i] = values[name]
        types[:, i] = np.where(missing.get(name, False), NULL, code)
    children = [pa.nulls(types.size)]
    children += [
        pa.array(held[code].ravel(), SCALAR.field(code).type) for code in (BOOLEAN, LONG, DOUBLE, STRING)
    ]
    return _maps("features", names, rows, _union(types.ravel(), children))


def segments_column(values: Mapping[str, Draws]) -> pa.Array:
    """Return one map of texts per row, with all names in each."""
    items = np.stack([column.astype(object) for column in values.values()], axis=1)
    return _maps("segments", list(values), len(items), pa.array(items.ravel(), pa.string()))


def scores_column(name: str, score: npt.NDArray[np.float64], null: BoolArray) -> pa.Array:
    """Return one map with the single class ``name`` per row, null where ``null`` says so."""
    filled = np.concatenate([[0], np.cumsum(~null)])
    offsets = pa.array(filled, pa.int32(), mask=np.append(null, False))
    count = int(filled[-1])
    type_ = INFERENCE_FIELDS.field("scores").type
    return pa.MapArray.from_arrays(
        offsets, pa.array([name] * count, pa.string()), pa.array(score[~null])
    ).cast(type_)


def _maps(field: str, names: list[str], rows: int, items: pa.Array) -> pa.Array:
    offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * len(names))
    maps = pa.MapArray.from_arrays(offsets, pa.array(names * rows, pa.string()), items)
    # A cast of unions is not implemented; their maps have the right type as they are.
    return maps if field == "features" else maps.cast(INFERENCE_FIELDS.field(field).type)
