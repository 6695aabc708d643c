"""How far predicted numbers are from their labels: mae, rmse, mape, r2, bias, interval coverage."""

from math import sqrt
from sys import float_info

from schemas.panes import PaneSums


def regression_figures(sums: PaneSums) -> dict[str, float | int | None]:
    """Return mae, rmse, mape (a fraction, over labels that are not zero), r2, bias, and what bounds held.

    All weighted like scikit-learn's ``sample_weight``, but for zero_labels, the number of labels that mape
    leaves out. Bias is the mean of prediction - label. All None without labelled pairs of numbers; r2 also
    below two pairs or with constant labels, interval_coverage where no prediction carried bounds.
    """
    n, weight = sums.counts["reg_n"], sums.weight("reg")
    if n <= 0:
        names = ("mae", "rmse", "mape", "r2", "bias", "zero_labels", "interval_coverage")
        return dict.fromkeys(names)
    squares = max(0.0, sums.total("sq_err_sum"))
    bounded = sums.counts["bounds_n"] > 0
    return {
        "mae": sums.total("abs_err_sum") / weight,
        "rmse": sqrt(squares / weight),
        "mape": sums.total("ape_sum") / sums.weight("ape") if sums.counts["ape_n"] > 0 else None,
        "r2": _r2(sums, squares),
        "bias": sums.total("err_sum") / weight,
        "zero_labels": n - sums.counts["ape_n"],
        "interval_coverage": sums.weight("bounds_hits") / sums.weight("bounds") if bounded else None,
    }


def _r2(sums: PaneSums, squares: float) -> float | None:
    spread, weight = sums.total("label_m2"), sums.weight("reg")
    # Equal labels such as 0.1 leave squares of rounding errors of the mean, not zero: within four units in
    # the last place of the mean they are constant.
    rounding = 4 * float_info.epsilon * sums.total("label_sum") / weight
    if sums.counts["reg_n"] < 2 or spread <= weight * rounding * rounding:
        return None
    return 1.0 - squares / spread
