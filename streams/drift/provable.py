"""The smallest change of an error rate that a day's traffic can prove."""

from math import log

DAYS_PER_MONTH = 30


def provable_change(error_rate: float, n_per_day: float, level: float) -> float:
    """Return the smallest rise of an error rate that a day of labelled predictions can prove.

    No detector finds a rise from ``p0`` to ``p1`` sooner than after about ``ln(ARL) / KL(p1 || p0)`` values,
    where ``ARL`` is the number of values between its false alarms. This is the smallest ``p1 - p0`` for which
    a day's traffic is that many.

    Parameters
    ----------
    error_rate
        In [0, 1].
    n_per_day
        Labelled predictions.
    level
        False alarms allowed in thirty days, above 0.

    Returns
    -------
    float
        In points as a fraction: 0.05 is five points. 1.0 where no rise can be proved in a day.

    Notes
    -----
    First-order bound of Lorden (1971), Annals of Mathematical Statistics 42(6).

    Examples
    --------
    >>> round(provable_change(0.1, 240, 0.015), 3), round(provable_change(0.1, 48_000, 0.015), 3)
    (0.112, 0.008)
    """
    p0 = min(max(error_rate, 1e-6), 1 - 1e-6)
    if n_per_day <= 0:
        return 1.0
    needed = log(max(DAYS_PER_MONTH * n_per_day / level, 2.0)) / n_per_day
    if _divergence(1.0 - 1e-12, p0) < needed:
        return 1.0
    low, high = p0, 1.0 - 1e-12
    for _ in range(60):
        middle = (low + high) / 2
        if _divergence(middle, p0) < needed:
            low = middle
        else:
            high = middle
    return high - p0


def _divergence(p1: float, p0: float) -> float:
    return p1 * log(p1 / p0) + (1 - p1) * log((1 - p1) / (1 - p0))
