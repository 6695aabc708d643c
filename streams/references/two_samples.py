"""Two-sample tests on counts: the reference is a sample as well, and small levels are kept.

Which cells are pooled and which tests are made follows from both samples together only, never from what
tells them apart: given that, each test is as if the window were drawn from all values without replacement.
"""

from math import erfc, exp, lgamma, sqrt

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc

FloatArray = npt.NDArray[np.float64]

# Of each cell in the smaller sample. Below it the tails are off: measured at 1e-5, the likelihood ratio is
# within a factor of 3 from 5 on, where Pearson's chi-square is off by 15.
LEAST_EXPECTED = 5.0


def least_together(n: float, m: float) -> float:
    """Return how many values of both samples a cell must hold to expect ``LEAST_EXPECTED`` in the smaller."""
    return LEAST_EXPECTED * (n + m) / min(n, m)


def pool(together: FloatArray, numeric: int, least: float) -> npt.NDArray[np.int64]:
    """Return the group of each cell, shape ``(k,)``: neighbours join until they hold ``least``.

    Numbers come first, in their order; categories follow, the rarest first. What is left over at the end
    joins the last group.

    Examples
    --------
    >>> pool(np.array([3.0, 3.0, 9.0, 2.0, 20.0, 4.0]), 3, 6.0).tolist()
    [0, 0, 1, 2, 3, 2]
    """
    order = [*range(numeric), *sorted(range(numeric, len(together)), key=lambda i: (together[i], i))]
    groups = np.zeros(len(together), np.int64)
    group, gathered = 0, 0.0
    for i in order:
        groups[i] = group
        gathered += together[i]
        if gathered >= least:
            group, gathered = group + 1, 0.0
    groups[groups == group] = max(0, group - 1)
    return groups


def likelihood_ratio(window: FloatArray, reference: FloatArray) -> float:
    """Return the p-value of the likelihood ratio of two samples of counts, corrected by Williams.

    Parameters
    ----------
    window, reference
        Counts by cell, shape ``(k,)``, k at least 2, each cell with enough in both together.

    Notes
    -----
    Williams (1976), Biometrika 63(1). The statistic without the correction is that of
    ``scipy.stats.chi2_contingency(..., lambda_="log-likelihood")``.
    """
    n, m = window.sum(), reference.sum()
    share = (window + reference) / (n + m)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(window > 0, window * np.log(window / (n * share)), 0.0)
        terms += np.where(reference > 0, reference * np.log(reference / (m * share)), 0.0)
    freedom = len(window) - 1
    correction = 1 + ((n + m) / n + (n + m) / m - 1) * ((1 / share).sum() - 1) / (6 * (n + m) * freedom)
    return float(chdtrc(freedom, max(0.0, 2 * terms.sum()) / correction))


def location(window: FloatArray, reference: FloatArray) -> float:
    """Return the two-sided p-value of the Wilcoxon-Mann-Whitney statistic on mid-ranks of cells.

    Counts in the order of their values, shape ``(k,)``. Ties are corrected for, and so is the skewness that
    they bring: by the cube root of Wilson and Hilferty (1931), PNAS 17(12), with the exact third moment of
    a draw without replacement.
    """
    together = window + reference
    n, m = window.sum(), reference.sum()
    total = n + m
    ranks = (np.cumsum(together) - together / 2) / total - 0.5  # their mean is 0
    variance = n * m / (total - 1) * (together @ ranks**2 / total)
    third = n * m * (m - n) / ((total - 1) * (total - 2)) * (together @ ranks**3 / total)
    return two_sided(float(window @ ranks / np.sqrt(variance)), float(third / variance**1.5))


def two_sided(z: float, skewness: float) -> float:
    """Return the two-sided p-value of a standardised sum whose distribution has this skewness."""
    if abs(skewness) > 1e-4:
        root = max(0.0, 1 + skewness * z / 2) ** (1 / 3)
        z = 6 / skewness * (root - 1 + skewness**2 / 36)
    return erfc(abs(z) / sqrt(2))


def mean_difference(
    n: float, total: float, m2: float, reference_n: float, reference_total: float, reference_m2: float
) -> float | None:
    """Return the two-sided p-value of a difference of means, from exact moments; None of constants."""
    difference = total / n - reference_total / reference_n
    both = n + reference_n
    squares = m2 + reference_m2 + difference**2 * n * reference_n / both
    # Equal numbers leave squares of the mean's rounding: four units in its last place at most.
    if squares <= both * (8.881784197001252e-16 * total / n) ** 2:
        return None
    return erfc(abs(difference) / sqrt(squares / (both - 1) * both / (n * reference_n)) / sqrt(2))


def more_than_before(found: int, n: int, together: int, total: int) -> float:
    """Return the one-sided mid-p-value of ``found`` among n, if ``together`` of ``total`` are of that kind.

    Exact (hypergeometric): for what is too rare for the likelihood ratio.
    """
    most = min(together, n)
    base = -_log_choose(total, n)
    tail = sum(
        (0.5 if i == found else 1.0)
        * exp(base + _log_choose(together, i) + _log_choose(total - together, n - i))
        for i in range(found, most + 1)
    )
    return min(1.0, tail)


def proportions(found: int, n: int, reference_found: int, reference_n: int) -> float:
    """Return the two-sided p-value of two shares: the likelihood ratio, or exact where it is too rare.

    The exact one is twice the smaller mid-p-value.
    """
    together, total = found + reference_found, n + reference_n
    if together in (0, total):
        return 1.0
    if min(together, total - together) >= least_together(n, reference_n):
        return likelihood_ratio(
            np.array([found, n - found], np.float64),
            np.array([reference_found, reference_n - reference_found], np.float64),
        )
    if total - together < together:  # the rarer of the two kinds
        found, together = n - found, total - together
    if found * total >= together * n:
        return min(1.0, 2 * more_than_before(found, n, together, total))
    return min(1.0, 2 * more_than_before(together - found, reference_n, together, total))


def _log_choose(n: int, k: int) -> float:
    if k < 0 or k > n:
        return -float("inf")
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


def smallest_of(p_values: list[float]) -> float:
    """Return the p-value of several tests that share a level evenly (Bonferroni)."""
    return min(1.0, len(p_values) * min(p_values)) if p_values else 1.0
