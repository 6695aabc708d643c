"""Compiled loops: the warm-up's windows, a CUSUM over a month, and how high it climbs by chance."""

import numpy as np
import numpy.typing as npt
from numba import njit

from schemas.coded import FloatArray
from schemas.records import IntArray

Grid = npt.NDArray[np.float32]


@njit(cache=True)
def widest(
    n: FloatArray, apart: FloatArray, shared: float, within: float, days: float, per_hour: int
) -> tuple[float, int]:
    """Return the largest standardised mean of the newest 1, 2, ... units, signed, and how many units it took.

    ``n`` and ``apart`` (value less what is expected of it) come newest first. ``shared`` is the variance that
    all values of an hour have in common, ``within`` that of one value, ``days`` what expectations rest on.
    """
    best, length = 0.0, 0
    total, squares, summed = 0.0, 0.0, 0.0
    take = 1
    for i in range(len(n)):
        total += n[i]
        squares += n[i] * n[i]
        summed += n[i] * apart[i]
        if i + 1 == take:
            take = max(take + 1, take * 4 // 3)
            if total > 0.0:
                common = shared * min(1.0, per_hour * squares / (total * total))
                mean = summed / total
                # Values lie in [0, 1]: few of them have tails longer than a normal's (Bernstein, 1924).
                variance = (common + (within + abs(mean) / 3.0) / total) * (1.0 + 1.0 / days)
                z = mean / np.sqrt(variance)
                if abs(z) > abs(best):
                    best, length = z, i + 1
    return best, length


@njit(cache=True)
def climb(up: float, down: float, residual: float, variance: float, smallest: float) -> tuple[float, float]:
    """Return both sums of a CUSUM after one more residual: log likelihoods of a change by ``smallest``."""
    gain = smallest / variance
    half = 0.5 * smallest
    return max(0.0, up + gain * (residual - half)), max(0.0, down + gain * (-residual - half))


@njit(cache=True)
def chance_maxima(
    residuals: FloatArray,  # (days, units)
    variances: FloatArray,  # (days, units), inf where there is no value
    slots: IntArray,  # (days, units)
    past: IntArray,  # (draws, days): days that make a past
    future: IntArray,  # (draws, days): days that make a month
    n_slots: int,
    scale: float,
    smallest: float,
) -> FloatArray:
    """Return the highest sum of each drawn month against a baseline estimated from its drawn past."""
    draws, units = past.shape[0], residuals.shape[1]
    maxima = np.zeros(draws)
    weight, level = np.zeros(n_slots), np.zeros(n_slots)
    for draw in range(draws):
        weight[:] = 0.0
        level[:] = 0.0
        for day in past[draw]:
            for unit in range(units):
                w = 1.0 / variances[day, unit]
                slot = slots[day, unit]
                weight[slot] += w
                level[slot] += w * residuals[day, unit]
        for slot in range(n_slots):
            level[slot] = level[slot] / weight[slot] if weight[slot] > 0.0 else 0.0
        up = down = highest = 0.0
        for day in future[draw]:
            for unit in range(units):
                if np.isinf(variances[day, unit]):
                    continue
                r = scale * (residuals[day, unit] - level[slots[day, unit]])
                up, down = climb(up, down, r, variances[day, unit], smallest)
                highest = max(highest, up, down)
        maxima[draw] = highest
    return maxima
