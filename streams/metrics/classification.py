"""What follows from a confusion matrix: accuracy, macro precision, recall and F1, and the same per class."""

from dataclasses import dataclass
from math import fsum

from schemas.panes import PAIR_SEPARATOR, PaneSums


@dataclass(slots=True)
class ClassCounts:
    """One class over labelled pairs: how often it was true, how often said, how often both."""

    support: int = 0
    predicted: int = 0
    true_positives: int = 0

    @property
    def precision(self) -> float | None:
        return self.true_positives / self.predicted if self.predicted else None

    @property
    def recall(self) -> float | None:
        return self.true_positives / self.support if self.support else None

    @property
    def f1(self) -> float | None:
        both = self.support + self.predicted
        return 2 * self.true_positives / both if both else None


def class_counts(sums: PaneSums) -> dict[str, ClassCounts]:
    """Return the counts of every class that some labelled pair has as label or as prediction, sorted."""
    classes: dict[str, ClassCounts] = {}
    for pair, n in sums.maps["confusion"].items():
        if n <= 0:  # a corrected label takes back what it counted before
            continue
        label, _, prediction = pair.partition(PAIR_SEPARATOR)
        classes.setdefault(label, ClassCounts()).support += n
        classes.setdefault(prediction, ClassCounts()).predicted += n
        if label == prediction:
            classes[label].true_positives += n
    return dict(sorted(classes.items()))


def accuracy(sums: PaneSums) -> float | None:
    """Return the share of labelled pairs that agree, None without pairs."""
    n = sums.counts["class_n"]
    return sums.counts["hits"] / n if n > 0 else None


def classification_figures(sums: PaneSums) -> dict[str, float | None]:
    """Return accuracy and macro precision, recall and F1.

    Macro over the classes seen in labelled pairs; a class for which a figure is undefined counts 0, as
    scikit-learn does with ``zero_division=0``. All None without labelled pairs.
    """
    counts = class_counts(sums).values()

    def macro(values: list[float | None]) -> float | None:
        return fsum(v or 0.0 for v in values) / len(values) if values else None

    return {
        "accuracy": accuracy(sums),
        "precision": macro([c.precision for c in counts]),
        "recall": macro([c.recall for c in counts]),
        "f1": macro([c.f1 for c in counts]),
    }


def class_quality(sums: PaneSums) -> list[dict[str, str | float | int | None]]:
    """Return one row per class over labelled pairs, sorted by class; what is undefined is None, not 0.

    Examples
    --------
    >>> sums = PaneSums()
    >>> sums.maps["confusion"] = {"fraud" + PAIR_SEPARATOR + "ok": 1}
    >>> [(row["class"], row["precision"], row["recall"]) for row in class_quality(sums)]
    [('fraud', None, 0.0), ('ok', 0.0, None)]
    """
    return [
        {
            "class": name,
            "support": c.support,
            "predicted": c.predicted,
            "true_positives": c.true_positives,
            "precision": c.precision,
            "recall": c.recall,
            "f1": c.f1,
        }
        for name, c in class_counts(sums).items()
    ]
