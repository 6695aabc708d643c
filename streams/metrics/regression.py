"""How far predicted numbers are from their labels: mae, rmse, mape, r2, bias."""

from math import sqrt
from sys import float_info

from schemas.panes import PaneSums


def regression_figures(sums: PaneSums) -> dict[str, float | None]:
    """Return mae, rmse, mape (a fraction, over labels that are not zero), r2 and bias.

    Bias is the mean of prediction - label. All None without labelled pairs of numbers; r2 also below two
    pairs or with constant labels.
    """
    n, ape_n = sums.counts["reg_n"], sums.counts["ape_n"]
    if n <= 0:
        return dict.fromkeys(("mae", "rmse", "mape", "r2", "bias"))
    squares = max(0.0, sums.total("sq_err_sum"))
    return {
        "mae": sums.total("abs_err_sum") / n,
        "rmse": sqrt(squares / n),
        "mape": sums.total("ape_sum") / ape_n if ape_n > 0 else None,
        "r2": _r2(sums, n, squares),
        "bias": sums.total("err_sum") / n,
    }


def _r2(sums: PaneSums, n: int, squares: float) -> float | None:
    spread = sums.total("label_m2")
    # Equal labels such as 0.1 leave squares of rounding errors of the mean, not zero: within four units in
    # the last place of the mean they are constant.
    rounding = 4 * float_info.epsilon * sums.total("label_sum") / n
    if n < 2 or spread <= n * rounding * rounding:
        return None
    return 1.0 - squares / spread
