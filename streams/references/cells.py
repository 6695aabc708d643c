"""A window's counts on the cells of a reference: what every distance and every test is made of."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from schemas.features import grid_middle
from schemas.records import IntArray
from schemas.references import FeatureReference
from streams.references.counts import FeatureCounts

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Cells:
    """Counts of a window and of its reference, shape ``(k,)``: first the numbers, then the categories.

    Numbers are the first ``numeric`` cells; the last cell of all holds categories that have none of their
    own. A category that is new has one, unless the reference had too many for that itself. ``values`` and
    ``reference_values`` are the numbers' means by cell: they differ only in the first and the last, which
    have one open end.
    """

    window: FloatArray
    reference: FloatArray
    numeric: int
    values: FloatArray
    reference_values: FloatArray


def map_cells(counts: FeatureCounts, reference: FeatureReference) -> Cells:
    """Return the counts of a window on the cells of its reference."""
    numbers, place = number_cells(counts, reference)
    numeric = len(numbers)
    names = dict(zip(reference.categories, reference.category_counts, strict=True))
    rest = counts.other
    if reference.rest:
        rest += sum(count for name, count in counts.categories.items() if name not in names)
    else:
        names |= {name: 0 for name in counts.categories if name not in names}
    order = sorted(names)
    window = [*numbers, *(counts.categories.get(name, 0) for name in order), rest]
    expected = [*reference.counts, *(names[name] for name in order), reference.rest]
    expected_values = np.array(reference.values)
    values = expected_values.copy()
    for end in {0, numeric - 1}:
        if numbers[end]:
            inside = place == end
            middles = np.array([grid_middle(int(cell)) for cell in counts.cells[inside]])
            values[end] = middles @ counts.counts[inside] / numbers[end]
    return Cells(
        np.array(window, np.float64), np.array(expected, np.float64), numeric, values, expected_values
    )


def number_cells(counts: FeatureCounts, reference: FeatureReference) -> tuple[FloatArray, IntArray]:
    """Return how many numbers are in each cell of the reference, and the cell of each cell of the grid."""
    place = np.searchsorted(np.array(reference.edges, np.int64), counts.cells, "right")
    held = np.zeros(len(reference.edges) + 1)
    np.add.at(held, place, counts.counts)
    return held, place
