"""The row of ``feature_drift`` of one feature and window: figures, tests, and whether it drifted."""

import numpy as np
import numpy.typing as npt

from schemas.references import FeatureReference
from streams.references.cells import Cells, FloatArray, map_cells
from streams.references.counts import FeatureCounts
from streams.references.distances import (
    hellinger_distance,
    jensen_shannon_distance,
    population_stability_index,
    wasserstein_distance,
)
from streams.references.two_samples import (
    least_together,
    likelihood_ratio,
    location,
    mean_difference,
    more_than_before,
    pool,
    proportions,
    smallest_of,
)

Row = dict[str, float | int | bool | str | None]
# 1.1 to 1.6 % wide each. A normal feature that spans so many has 95 % of its values in under eight: cells say
# little about a shift of it, and its exact moments say all.
MOST_NARROW_CELLS = 16

LEAST_RARE = 3  # of both samples: fewer values of a category can prove nothing, and would weaken the others


def feature_drift(
    counts: FeatureCounts,
    predictions: int,
    reference: FeatureReference | None,
    *,
    feature: str,
    start_ms: int,
    window_ms: int,
) -> Row:
    """Return the columns of ``FEATURE_DRIFT_COLUMNS`` of the window ``[start_ms, start_ms + window_ms)``.

    Parameters
    ----------
    counts
        Of the window's values; ``FeatureCounts()`` where there was none.
    predictions
        Of the window, those without a value among them.
    reference
        None: not frozen yet; then only ``n`` and ``missing_share`` are known.

    Returns
    -------
    dict
        A window that the reference was frozen from is not tested against it: its p-values are None.
    """
    row: Row = {
        "feature": feature,
        "n": counts.n,
        "reference_n": None,
        "reference_version": None,
        "missing_share": (predictions - counts.n) / predictions if predictions else None,
        **dict.fromkeys(("psi", "jensen_shannon", "hellinger", "wasserstein", "p_value", "p_value_missing")),
        "drifted": None,
    }
    if reference is None:
        return row
    row |= {"reference_n": reference.n, "reference_version": reference.reference_version}
    part_of_it = (
        reference.since_ms is not None
        and reference.until_ms is not None
        and start_ms < reference.until_ms
        and start_ms + window_ms > reference.since_ms
    )
    if counts.n and reference.n:
        cells = map_cells(counts, reference)
        row |= {
            "psi": population_stability_index(cells.window, cells.reference),
            "jensen_shannon": jensen_shannon_distance(cells.window, cells.reference),
            "hellinger": hellinger_distance(cells.window, cells.reference),
            "wasserstein": _wasserstein(counts, cells, reference),
        }
        if not part_of_it:
            row["p_value"] = value_p(counts, cells, reference)
    if predictions and reference.predictions and not part_of_it:
        row["p_value_missing"] = proportions(
            predictions - counts.n, predictions, reference.predictions - reference.n, reference.predictions
        )
    p_values = [p for p in (row["p_value"], row["p_value_missing"]) if isinstance(p, float)]
    if p_values:
        row["drifted"] = min(p_values) < reference.level(window_ms)
    return row


def value_p(counts: FeatureCounts, cells: Cells, reference: FeatureReference) -> float:
    """Return the p-value of a window's values: of the tests that apply, which share the level."""
    n, m = float(counts.n), float(reference.n)
    together = cells.window + cells.reference
    least = least_together(n, m)
    found: list[float] = []
    groups = pool(together, cells.numeric, least)
    k = int(groups.max()) + 1
    if k > 1:
        found.append(likelihood_ratio(_sums(groups, cells.window, k), _sums(groups, cells.reference, k)))
    numeric = slice(0, cells.numeric)
    numbers = together[numeric]
    if counts.numbers and reference.numbers:
        # Of two different values, the likelihood ratio says it all.
        rarer = numbers.sum() - numbers.max()
        if np.count_nonzero(numbers) > 2 and rarer >= least_together(counts.numbers, reference.numbers):
            found.append(location(cells.window[numeric], cells.reference[numeric]))
        if is_narrow(counts, reference):
            p = mean_difference(
                counts.numbers, counts.sum, counts.m2, reference.numbers, reference.sum, reference.m2
            )
            found += [] if p is None else [p]
    rare = [i for i in range(cells.numeric, len(together)) if LEAST_RARE <= together[i] < least]
    if not reference.edges and LEAST_RARE <= together[0] < least:  # numbers, where there were none
        rare.append(0)
    if rare:
        chances = [
            more_than_before(int(cells.window[i]), counts.n, int(together[i]), int(n + m)) for i in rare
        ]
        found.append(min(1.0, len(rare) * min(chances)))
    return smallest_of(found)


def is_narrow(counts: FeatureCounts, reference: FeatureReference) -> bool:
    """Return whether the grid is too coarse for a feature, such as one around 1,000 with a spread of 1.

    All numbers of both samples lie in few cells next to each other, so none of them outweighs the others.
    """
    edges = reference.edges
    if len(edges) < 2:
        return False
    lowest, beyond = min(edges[0], int(counts.cells[0])), max(edges[-1], int(counts.cells[-1]) + 1)
    return beyond - lowest <= MOST_NARROW_CELLS


def _wasserstein(counts: FeatureCounts, cells: Cells, reference: FeatureReference) -> float | None:
    if not counts.numbers or not reference.numbers:
        return None
    numeric = slice(0, cells.numeric)
    moved = wasserstein_distance(
        cells.window[numeric], cells.reference[numeric], cells.values, cells.reference_values
    )
    # No less than the difference of means, which are exact, and just that where cells are coarse.
    difference = abs(counts.sum / counts.numbers - reference.sum / reference.numbers)
    return difference if is_narrow(counts, reference) else max(moved, difference)


def _sums(groups: npt.NDArray[np.int64], counts: FloatArray, k: int) -> FloatArray:
    return np.bincount(groups, counts, k).astype(np.float64)
