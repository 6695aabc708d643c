"""Features taken out of their pages: to be told, or packed small and put back."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from schemas.coded import ByteArray, CodeArray
from schemas.records import IntArray
from streams.features.layout import FEATURE, PAGE_CELLS

_CODEC = "zstd"


@dataclass(frozen=True, slots=True)
class Held:
    """Features, dtype FEATURE, with their cells and categories.

    ``cell_of`` and ``category_of`` are places in ``features``, ascending; the text of category ``c`` is
    ``text[category_ends[c] : category_ends[c + 1]]``.
    """

    features: np.ndarray
    cell_of: CodeArray
    cell: CodeArray
    cell_n: IntArray
    category_of: CodeArray
    category_n: IntArray
    category_ends: CodeArray
    text: ByteArray

    @classmethod
    def empty(cls, features: np.ndarray, cells: int, categories: int, size: int) -> "Held":
        """Return room for so many cells, categories and bytes of text."""
        return cls(
            features,
            np.empty(cells, np.int32),
            np.empty(cells, np.int32),
            np.empty(cells, np.int64),
            np.empty(categories, np.int32),
            np.empty(categories, np.int64),
            np.zeros(categories + 1, np.int32),
            np.empty(size, np.uint8),
        )

    def octaves(self) -> IntArray:
        """Return a number for the octave and sign of each cell."""
        index = (np.abs(self.cell).astype(np.int64) - 1) // PAGE_CELLS + 1
        return index << 1 | (self.cell < 0)

    def changed(self) -> "Held":
        """Return those features that changed since they were last told."""
        keep = self.features["dirty"] != 0
        place = np.cumsum(keep) - 1
        cells, categories = keep[self.cell_of], keep[self.category_of]
        sizes = np.diff(self.category_ends)
        return Held(
            self.features[keep],
            place[self.cell_of[cells]],
            self.cell[cells],
            self.cell_n[cells],
            place[self.category_of[categories]],
            self.category_n[categories],
            np.concatenate([[0], np.cumsum(sizes[categories])]),
            self.text[np.repeat(categories, sizes)],
        )

    def texts(self) -> list[str]:
        whole, ends = self.text.tobytes(), self.category_ends.tolist()
        return [whole[a:b].decode() for a, b in pairwise(ends)]


def joined(parts: Sequence[Held]) -> Held:
    """Return the features of several, one after the other."""
    first = np.cumsum([0, *(len(part.features) for part in parts)])
    ends = np.cumsum([0, *(len(part.text) for part in parts)])
    return Held(
        np.concatenate([np.zeros(0, FEATURE), *(part.features for part in parts)]),
        _end_to_end(part.cell_of + at for part, at in zip(parts, first, strict=False)),
        _end_to_end(part.cell for part in parts),
        _end_to_end(part.cell_n for part in parts),
        _end_to_end(part.category_of + at for part, at in zip(parts, first, strict=False)),
        _end_to_end(part.category_n for part in parts),
        np.concatenate([[0], *(part.category_ends[1:] + at for part, at in zip(parts, ends, strict=False))]),
        _end_to_end(part.text for part in parts),
    )


def _end_to_end(parts: Iterable[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.uint8), *parts])


def pack(held: Held) -> bytes:
    """Return one row's features in a few bytes per cell; ``unpack`` is the inverse."""
    order = np.lexsort((held.cell, held.cell_of))
    cells = held.cell[order]
    parts: list[np.ndarray] = [
        held.features.view(np.uint8),
        held.cell_of[order],
        np.diff(cells, prepend=np.int32(0)),
        held.cell_n[order],
        held.category_of,
        held.category_n,
        held.category_ends,
        held.text,
    ]
    sizes = np.array([len(held.features), len(cells), len(held.category_n), len(held.text)], np.int64)
    # Bytes of one significance side by side: those above the lowest are nearly all zero.
    raw = sizes.tobytes() + b"".join(_planes(part) for part in parts)
    packed: bytes = pa.compress(raw, _CODEC, asbytes=True)
    return len(raw).to_bytes(8, "little") + packed


def unpack(packed: bytes) -> Held:
    """Return what ``pack`` was given, cells ascending."""
    raw = pa.decompress(packed[8:], int.from_bytes(packed[:8], "little"), _CODEC, asbytes=True)
    features, cells, categories, size = np.frombuffer(raw, np.int64, 4).tolist()
    kinds = (
        (np.uint8, features * FEATURE.itemsize),
        (np.int32, cells),
        (np.int32, cells),
        (np.int64, cells),
        (np.int32, categories),
        (np.int64, categories),
        (np.int32, categories + 1),
        (np.uint8, size),
    )
    parts, at = [], 32
    for dtype, count in kinds:
        width = np.dtype(dtype).itemsize
        planes = np.frombuffer(raw, np.uint8, count * width, at).reshape(width, count)
        parts.append(np.ascontiguousarray(planes.T).view(dtype).reshape(count))
        at += count * width
    records, cell_of, steps, *rest = parts
    return Held(records.copy().view(FEATURE), cell_of, np.cumsum(steps, dtype=np.int32), *rest)


def _planes(values: np.ndarray) -> bytes:
    flat = np.ascontiguousarray(values)
    planes: bytes = flat.view(np.uint8).reshape(len(flat), flat.itemsize).T.tobytes()
    return planes
