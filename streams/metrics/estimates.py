"""Accuracy before there is any label: what scores say, once it is known what they are worth."""

from math import fsum

from schemas.findings import Calibration
from schemas.panes import PaneSums


def estimated_accuracy(sums: PaneSums, calibration: Calibration | None) -> float | None:
    """Return the share of answers that should be right, over all that carried scores; None where unknown.

    Examples
    --------
    >>> import numpy as np
    >>> sums = PaneSums()
    >>> sums.histograms["confidence_all"] = np.array([3, 1])
    >>> estimated_accuracy(sums, Calibration("churn", "", 100, (1.0, 0.5) + (0.0,) * 31, as_of_ms=0))
    0.875
    """
    if calibration is None:
        return None
    answers: list[int] = sums.histograms["confidence_all"].tolist()
    n = sum(answers)
    if n <= 0:
        return None
    return fsum(count * right for count, right in zip(answers, calibration.right, strict=False)) / n
