"""What kind of model it is, told from its predictions."""

from schemas.findings import Task
from schemas.panes import PAIR_SEPARATOR, PaneSums
from schemas.settings import ModelSettings

MOST_CLASSES = 20  # more distinct integers than this are quantities, not classes


def task_of(sums: PaneSums, settings: ModelSettings | None = None) -> Task:
    """Return the task that predictions so far speak for, unless the configuration says it.

    Scores, strings and booleans mean classification; doubles mean regression; integers mean classification
    with at most 20 distinct values. Up to two classes, predicted or labelled, are binary.

    Examples
    --------
    >>> sums = PaneSums()
    >>> sums.counts["longs"] = 300
    >>> sums.maps["predicted"] = {str(price): 1 for price in range(300)}
    >>> task_of(sums)
    'regression'
    """
    said = settings.task if settings else None
    if said is not None and said != "classification":
        return said
    counts, predicted = sums.counts, sums.maps["predicted"]
    if said is None and not (counts["scored"] or counts["strings"] or counts["booleans"]):
        if counts["doubles"]:
            return "regression"
        if counts["longs"] and sum(n > 0 for n in predicted.values()) > MOST_CLASSES:
            return "regression"
    classes = {name for name, n in predicted.items() if n > 0}
    for pair, n in sums.maps["confusion"].items():
        if n > 0:
            classes.update(pair.split(PAIR_SEPARATOR))
    return "binary" if len(classes) <= 2 else "multiclass"
