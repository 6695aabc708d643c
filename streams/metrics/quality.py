"""One row of ``model_quality`` out of the sums of a window."""

from schemas.figures import MODEL_QUALITY_COLUMNS, Figures
from schemas.findings import Calibration, Nowcast, Task
from schemas.panes import PaneSums
from streams.metrics.classification import classification_figures
from streams.metrics.counts import count_figures
from streams.metrics.durations import duration_figures
from streams.metrics.estimates import estimate_figures
from streams.metrics.money import money_figures
from streams.metrics.regression import regression_figures
from streams.metrics.scores import score_figures


def model_quality(
    sums: PaneSums,
    task: Task,
    *,
    mature: bool,
    window_ms: int,
    nowcast: Nowcast | None = None,
    calibration: Calibration | None = None,
) -> Figures:
    """Return the figures of a window, exactly the columns ``MODEL_QUALITY_COLUMNS`` in their order.

    Parameters
    ----------
    sums
        What the window's panes add up to.
    task
        Decides which figures apply: the others are None.
    mature
        Whether the window is old enough for its labels to be there. Then accuracy is its own nowcast.
    window_ms
        The window's length.
    nowcast
        Of a window that is not mature; None: there is none.
    calibration
        What its model's scores are worth; None: not known yet, and ``estimated_accuracy`` neither.

    Examples
    --------
    >>> sums = PaneSums()
    >>> sums.counts |= {"predictions": 4, "labelled": 2, "class_n": 2, "hits": 1}
    >>> row = model_quality(sums, "binary", mature=False, window_ms=60_000)
    >>> row["coverage"], row["accuracy"], row["accuracy_nowcast"], row["mae"]
    (0.5, 0.5, None, None)
    """
    row: Figures = dict.fromkeys(MODEL_QUALITY_COLUMNS)
    row.update(count_figures(sums, window_ms))
    if task == "regression":
        row.update(regression_figures(sums))
    else:
        row.update(classification_figures(sums))
        row.update(score_figures(sums))
        row.update(estimate_figures(sums, mature=mature, nowcast=nowcast, calibration=calibration))
    row.update(duration_figures(sums))
    row.update(money_figures(sums))
    row["is_mature"] = mature
    return row
