"""How far a window is from its reference, as figures: they grow as samples shrink, so none decides."""

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def population_stability_index(window: FloatArray, reference: FloatArray) -> float:
    """Return the sum of ``(p - q) ln(p / q)`` over cells.

    Parameters
    ----------
    window, reference
        Counts by cell, shape ``(k,)``, each with a sum above 0.

    Returns
    -------
    float
        0 for equal shares. To each sample, half an observation for each cell that is not empty in both is
        added, spread like both samples together. So a cell that is empty in one sample gives a figure that
        depends on how much was seen, and one that is empty in both gives nothing.

    Examples
    --------
    >>> round(population_stability_index(np.array([30.0, 70.0]), np.array([500.0, 500.0])), 3)
    0.166
    """
    kept = window + reference > 0
    c, r = window[kept], reference[kept]
    n, m = c.sum(), r.sum()
    added = len(c) / 2 * (c + r) / (n + m)
    p, q = (c + added) / (n + len(c) / 2), (r + added) / (m + len(c) / 2)
    return float(((p - q) * np.log(p / q)).sum())


def jensen_shannon_distance(window: FloatArray, reference: FloatArray) -> float:
    """Return the square root of the Jensen-Shannon divergence with base 2, in [0, 1].

    ``scipy.spatial.distance.jensenshannon(window, reference, base=2)``. Endres and Schindelin (2003), IEEE
    Transactions on Information Theory 49(7).
    """
    p, q = window / window.sum(), reference / reference.sum()
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        left = np.where(p > 0, p * np.log2(p / middle), 0.0)
        right = np.where(q > 0, q * np.log2(q / middle), 0.0)
    return float(np.sqrt(max(0.0, (left.sum() + right.sum()) / 2)))


def hellinger_distance(window: FloatArray, reference: FloatArray) -> float:
    """Return the Euclidean distance of the roots of shares over the root of 2, in [0, 1]."""
    p, q = window / window.sum(), reference / reference.sum()
    return float(np.sqrt(((np.sqrt(p) - np.sqrt(q)) ** 2).sum() / 2))


def wasserstein_distance(
    window: FloatArray, reference: FloatArray, values: FloatArray, reference_values: FloatArray
) -> float:
    """Return the mean way that probability must be moved, in the feature's own unit.

    Parameters
    ----------
    window, reference
        Counts of numbers by cell, shape ``(k,)``, each with a sum above 0.
    values, reference_values
        Where the numbers of each cell are, shape ``(k,)``; ascending, and so are both together.
    """
    places = np.concatenate([values, reference_values])
    steps = np.concatenate([window / window.sum(), -reference / reference.sum()])
    order = np.argsort(places, kind="stable")
    return float(np.abs(np.cumsum(steps[order])[:-1]) @ np.diff(places[order]))
