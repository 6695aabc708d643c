"""One pair of scores and a label: its losses, and where its probabilities lie on the grids."""

import math

import numba as nb
import numpy as np

from schemas.coded import FALSE_KEY, TRUE_KEY
from schemas.panes import CALIBRATION_BINS

_EPSILON = 2.0**-52  # to which probabilities are clipped before their logarithm, as scikit-learn does
_LARGEST_LOGIT = 36.0


@nb.njit(cache=True, nogil=True)
def as_predicted(label_key, class_key):  # type: ignore[no-untyped-def]
    """Return a label's class in the prediction's terms: true is 1 beside integers, 1 true beside booleans."""
    if class_key % 2 == 0:
        if label_key == FALSE_KEY or label_key == TRUE_KEY:
            return np.int64(0) if label_key == FALSE_KEY else np.int64(2)
    elif (class_key == FALSE_KEY or class_key == TRUE_KEY) and (label_key == 0 or label_key == 2):
        return np.int64(FALSE_KEY) if label_key == 0 else np.int64(TRUE_KEY)
    return label_key


@nb.njit(cache=True, nogil=True)
def score_place(p):  # type: ignore[no-untyped-def]
    """Return where a probability lies on the grid of scores: the floor is its bin, the rest its position."""
    if p <= 2.0**-60:
        logit = -_LARGEST_LOGIT
    elif p >= 1.0:
        logit = _LARGEST_LOGIT
    else:
        logit = min(max(math.log(p) - math.log1p(-p), -_LARGEST_LOGIT), _LARGEST_LOGIT)
    inner = min(max(logit, -10.0), 10.0)
    return 106.0 + 8.0 * inner + (logit - inner) + 160.0 * p


@nb.njit(cache=True, nogil=True)
def _clipped_log(p):  # type: ignore[no-untyped-def]
    return math.log(min(max(p, _EPSILON), 1.0 - _EPSILON))


@nb.njit(cache=True, nogil=True)
def calibration_bin(p):  # type: ignore[no-untyped-def]
    """Return in which of the bins of equal width a probability lies."""
    b = np.int64(min(p * CALIBRATION_BINS, CALIBRATION_BINS - 1.0))
    # The product is rounded: the edges are the doubles b / 10.
    if p < b / CALIBRATION_BINS:
        return b - 1
    if b + 1 < CALIBRATION_BINS and p >= (b + 1) / CALIBRATION_BINS:
        return b + 1
    return b


@nb.njit(cache=True, nogil=True)
def most_probable(number, size, vectors):  # type: ignore[no-untyped-def]
    """Return the score of the positive class, or the highest of many, which begin at ``number``."""
    if size == 1:
        return number
    begin = np.int64(number)
    top = vectors[begin]
    for k in range(1, size):
        top = max(top, vectors[begin + k])
    return top


@nb.njit(cache=True, nogil=True)
def judge(score_keys, first, last, number, vectors, label_key):  # type: ignore[no-untyped-def]
    """Return log loss, squared error, the probability that calibration is about, and whether it came true."""
    if last - first == 1:
        came_true = as_predicted(label_key, score_keys[first]) == score_keys[first]
        y = 1.0 if came_true else 0.0
        loss = -_clipped_log(number) if came_true else -_clipped_log(1.0 - number)
        return loss, (number - y) * (number - y), number, came_true
    begin, mask = np.int64(number), len(vectors) - 1
    squares, of_label, top, top_came_true, known = 0.0, 0.0, -1.0, False, False
    for k in range(last - first):
        p = vectors[(begin + k) & mask]
        came_true = as_predicted(label_key, score_keys[first + k]) == score_keys[first + k]
        error = p - 1.0 if came_true else p
        squares += error * error
        if came_true:  # of more than one key where both "1" and "true" are
            of_label += p
            known = True
        if p > top:
            top, top_came_true = p, came_true
    if not known:  # a class without a score had probability 0
        squares += 1.0
    return -_clipped_log(of_label), squares, top, top_came_true
