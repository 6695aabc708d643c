"""How good the probabilities are: auc, log loss, Brier score and expected calibration error."""

from math import fsum

import numpy as np

from schemas.panes import PROBABILITY_UNITS, SUB_BINS, PaneSums
from schemas.records import IntArray


def score_figures(sums: PaneSums) -> dict[str, float | None]:
    """Return auc, log_loss, brier and ece over labelled pairs with scores; None without any.

    Of one or two score keys they are about the positive class. Of more, Brier is the sum over the classes
    and ece about the class with the highest score. Weighted like scikit-learn's ``sample_weight``.
    """
    if sums.counts["score_n"] <= 0:
        return dict.fromkeys(("auc", "log_loss", "brier", "ece"))
    weight = sums.weight("score")
    return {
        "auc": _auc(sums),
        "log_loss": sums.total("log_loss_sum") / weight,
        "brier": sums.total("brier_sum") / weight,
        "ece": _calibration_gaps(sums) / weight,
    }


def _auc(sums: PaneSums) -> float | None:
    """Return the mean over the classes with both outcomes, one against rest; None if there are none."""
    positives, negatives = sums.class_bins["score_positives"], sums.class_bins["score_negatives"]
    areas = [
        auc_of_bins(positives[name], negatives[name])
        for name in positives
        if name in negatives and positives[name][::2].sum() > 0 and negatives[name][::2].sum() > 0
    ]
    return fsum(areas) / len(areas) if areas else None


def auc_of_bins(positives: IntArray, negatives: IntArray) -> float:
    """Return the area under the ROC curve: how often a positive scores higher than a negative.

    Pairs in different bins are counted; of those in one bin the share follows from the mean positions inside
    it, in [0, 1] around the half of ties.

    Parameters
    ----------
    positives, negatives
        As in ``schemas.panes.CLASS_BINS``: the weight of each bin, then its summed
        position. Neither is empty.

    Examples
    --------
    >>> auc_of_bins(np.array([0, 0, 2, 20]), np.array([1, 3, 1, 10]))
    0.75
    """
    size = max(len(positives), len(negatives)) // 2
    p, p_position = _counts_and_positions(positives, size)
    n, n_position = _counts_and_positions(negatives, size)
    below = np.cumsum(n) - n / 2
    half = p * n / 2
    inside = np.clip((n * p_position - p * n_position) / SUB_BINS, -half, half)
    return float((p * below + inside).sum() / (p.sum() * n.sum()))


def _counts_and_positions(bins: IntArray, size: int) -> tuple[np.ndarray, np.ndarray]:
    whole = np.zeros((size, 2))  # as doubles: products of counts outgrow 64 bits
    whole.ravel()[: len(bins)] = bins
    return whole[:, 0], whole[:, 1]


def _calibration_gaps(sums: PaneSums) -> float:
    hits, told = sums.histograms["calibration_hits"], sums.histograms["calibration_p"]
    gaps: list[int] = np.abs(told - hits).tolist()
    return sum(gaps) / PROBABILITY_UNITS
