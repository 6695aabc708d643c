"""The Arrow buffers of a map of scalars as arrays that kernels can walk; right for slices too."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from schemas.coded import ByteArray, CodeArray, FloatArray
from schemas.columns import BOOLEAN, DOUBLE, LONG, STRING
from schemas.records import IntArray


@dataclass(frozen=True, slots=True)
class ScalarMaps:
    """Row ``i`` has the entries ``starts[i]`` to ``starts[i + 1]``: indices into everything else.

    ``key_ends[j]`` to ``key_ends[j + 1]`` are the bytes of key ``j`` in ``key_text``, likewise of a text
    value. Of a boolean, bit ``bit_offset + j`` of ``bits`` counts.
    """

    starts: CodeArray
    key_ends: CodeArray
    key_text: ByteArray
    kinds: ByteArray
    bits: ByteArray
    bit_offset: int
    longs: IntArray
    doubles: FloatArray
    text_ends: CodeArray
    text: ByteArray


def scalar_maps(column: pa.MapArray) -> ScalarMaps:
    """Return the buffers of a column of the type map of string to SCALAR, copying nothing."""
    keys, items = column.keys, column.items
    bits, longs, doubles, texts = (items.field(kind) for kind in (BOOLEAN, LONG, DOUBLE, STRING))
    n = len(items)
    return ScalarMaps(
        starts=_buffer(column, 1, np.int32, len(column) + 1, column.offset),
        key_ends=_buffer(keys, 1, np.int32, len(keys) + 1, keys.offset),
        key_text=_buffer(keys, 2, np.uint8),
        # Not ``items.type_codes``: of a slice those are the codes from the beginning on.
        kinds=_buffer(items, 1, np.uint8, n, items.offset),
        bits=_buffer(bits, 1, np.uint8),
        bit_offset=bits.offset,
        longs=_buffer(longs, 1, np.int64, n, longs.offset),
        doubles=_buffer(doubles, 1, np.float64, n, doubles.offset),
        text_ends=_buffer(texts, 1, np.int32, n + 1, texts.offset),
        text=_buffer(texts, 2, np.uint8),
    )


def _buffer(array: pa.Array, which: int, dtype: type, count: int = -1, offset: int = 0) -> np.ndarray:
    buffer = array.buffers()[which]
    if buffer is None or not buffer.size:  # of an array without values
        return np.zeros(max(0, count), dtype)
    return np.frombuffer(buffer, dtype, count, offset * np.dtype(dtype).itemsize)
