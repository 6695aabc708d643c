"""Accuracy before all labels are there: the nowcast, and what scores say once their worth is known."""

from math import fsum

from schemas.figures import Figures
from schemas.findings import Calibration, Nowcast
from schemas.panes import PaneSums
from streams.metrics.classification import accuracy


def estimate_figures(
    sums: PaneSums, *, mature: bool, nowcast: Nowcast | None, calibration: Calibration | None
) -> Figures:
    """Return estimated_accuracy, the three nowcast columns, nowcast_reason and estimated_accuracy_error.

    On a mature window accuracy is its own nowcast, and shows how far the estimate was off.
    """
    estimated, found = estimated_accuracy(sums, calibration), accuracy(sums)
    if mature:
        nowcast = Nowcast(found, found, found)
    off = estimated - found if mature and estimated is not None and found is not None else None
    return {
        "estimated_accuracy": estimated,
        "accuracy_nowcast": nowcast.accuracy if nowcast else None,
        "accuracy_nowcast_low": nowcast.low if nowcast else None,
        "accuracy_nowcast_high": nowcast.high if nowcast else None,
        "estimated_accuracy_error": off,
        "nowcast_reason": (nowcast.reason or None) if nowcast else None,
    }


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
