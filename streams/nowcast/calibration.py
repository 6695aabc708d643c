"""How often answers are right at each confidence, learnt from mature panes."""

import numpy as np

from schemas.coded import FloatArray
from schemas.panes import CONFIDENCE_BINS, PROBABILITY_UNITS
from schemas.records import IntArray

LEAST_LABELS = 200
NEIGHBOURS_WEIGH = 10.0  # labels: a bin with as many of its own stands half for itself


def calibrate(labelled: IntArray, hits: IntArray) -> tuple[int, tuple[float, ...]] | None:
    """Return how many labels were used, and the share of right answers by bin of confidence.

    Neighbours stand in where a bin has few labels, those next to it most. The share need not rise with the
    bin: of a binary model the score is that of the positive class, and low ones mean a sure "no".

    Parameters
    ----------
    labelled, hits
        ``confidence_n`` and ``confidence_hits`` of panes, added up; in units of 1 / ``PROBABILITY_UNITS``.

    Examples
    --------
    >>> n, right = calibrate(np.full(33, 10 << 32), np.full(33, 9 << 32))
    >>> n, round(right[0], 9)
    (330, 0.9)
    """
    n, right = _whole(labelled), _whole(hits)
    if n.sum() < LEAST_LABELS:
        return None
    at = np.arange(CONFIDENCE_BINS)
    weight = np.exp(-np.abs(at[:, None] - at[None, :]).astype(float))
    np.fill_diagonal(weight, 0.0)
    around = weight @ n
    # Where all labels are in one bin, it has no neighbours: it stands for all.
    beside = np.where(around > 0, (weight @ right) / np.where(around > 0, around, 1.0), right.sum() / n.sum())
    share = np.clip((right + NEIGHBOURS_WEIGH * beside) / (n + NEIGHBOURS_WEIGH), 0.0, 1.0)
    return round(float(n.sum())), tuple(share.tolist())


def _whole(bins: IntArray) -> FloatArray:
    whole = np.zeros(CONFIDENCE_BINS)
    whole[: len(bins)] = bins[:CONFIDENCE_BINS] / PROBABILITY_UNITS
    return whole
