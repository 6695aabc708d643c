"""What a pair weighs, and its bins of age and confidence: as in schemas.panes, for the inner loops."""

import math

import numba as nb
import numpy as np

from schemas.panes import AGE_FLOOR_MS, CONFIDENCE_BINS, LARGEST_WEIGHT, WEIGHT_UNITS


@nb.njit(cache=True, nogil=True)
def pair_weight(sampling_probability):  # type: ignore[no-untyped-def]
    """Return 1 / probability, at most LARGEST_WEIGHT, in whole units; 1 where there is none (NaN).

    Rounded to units, so that sums and the weights they are divided by agree to the last digit.
    """
    if not sampling_probability < 1.0:
        return 1.0
    beyond = min(1.0 / sampling_probability, LARGEST_WEIGHT) - 1.0
    return 1.0 + round(beyond * WEIGHT_UNITS) / WEIGHT_UNITS


@nb.njit(cache=True, nogil=True)
def age_bin(age_ms):  # type: ignore[no-untyped-def]
    if age_ms <= AGE_FLOOR_MS:
        return np.int64(0)
    return np.int64(math.ceil(4 * math.log2(age_ms / AGE_FLOOR_MS) - 1e-9))


@nb.njit(cache=True, nogil=True)
def confidence_bin(p):  # type: ignore[no-untyped-def]
    if p <= 0.0:
        return np.int64(0)
    if p >= 1.0:
        return np.int64(CONFIDENCE_BINS - 1)
    return np.int64(np.rint(2 * min(max(math.log(p / (1 - p)), -8.0), 8.0))) + CONFIDENCE_BINS // 2
