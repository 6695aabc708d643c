"""What follows from a confusion matrix: accuracy, macro precision, recall and F1, and the same per class."""

from dataclasses import dataclass
from math import fsum

from schemas.panes import PAIR_SEPARATOR, WEIGHT_UNITS, PaneSums


@dataclass(slots=True)
class ClassCounts:
    """One class over labelled pairs: how often it was true, how often said, how often both.

    The counts, and beside them what the pairs weigh, in units of 1 / WEIGHT_UNITS.
    """

    support: int = 0
    predicted: int = 0
    true_positives: int = 0
    support_weight: int = 0
    predicted_weight: int = 0
    true_positives_weight: int = 0

    @property
    def precision(self) -> float | None:
        return self.true_positives_weight / self.predicted_weight if self.predicted else None

    @property
    def recall(self) -> float | None:
        return self.true_positives_weight / self.support_weight if self.support else None

    @property
    def f1(self) -> float | None:
        both = self.support_weight + self.predicted_weight
        return 2 * self.true_positives_weight / both if both else None


def class_counts(sums: PaneSums) -> dict[str, ClassCounts]:
    """Return the counts of every class that some labelled pair has as label or as prediction, sorted."""
    classes: dict[str, ClassCounts] = {}
    extra = sums.maps["confusion_extra"]
    for pair, n in sums.maps["confusion"].items():
        if n <= 0:  # a corrected label takes back what it counted before
            continue
        label, _, prediction = pair.partition(PAIR_SEPARATOR)
        weight = n * int(WEIGHT_UNITS) + extra.get(pair, 0)
        actual, said = classes.setdefault(label, ClassCounts()), classes.setdefault(prediction, ClassCounts())
        actual.support += n
        actual.support_weight += weight
        said.predicted += n
        said.predicted_weight += weight
        if label == prediction:
            said.true_positives += n
            said.true_positives_weight += weight
    return dict(sorted(classes.items()))


def accuracy(sums: PaneSums) -> float | None:
    """Return the share of labelled pairs that agree, weighted, None without pairs."""
    return sums.weight("hits") / sums.weight("class") if sums.counts["class_n"] > 0 else None


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

    ``support``, ``predicted`` and ``true_positives`` are counts; the other figures are weighted.

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
