"""The task is told from the predictions, unless the configuration says it."""

import pytest

from schemas.panes import PAIR_SEPARATOR, PaneSums
from schemas.settings import ModelSettings
from streams.metrics import task_of


def seen(kind: str, classes: int, *, scored: int = 0) -> PaneSums:
    sums = PaneSums()
    sums.counts |= {kind: 10 * classes, "scored": scored}
    sums.maps["predicted"] = {str(i): 10 for i in range(classes)}
    return sums


@pytest.mark.parametrize(
    ("sums", "task"),
    [
        (seen("strings", 2), "binary"),
        (seen("strings", 3), "multiclass"),
        (seen("booleans", 2), "binary"),
        (seen("longs", 2), "binary"),
        (seen("longs", 20), "multiclass"),
        (seen("longs", 21), "regression"),
        (seen("strings", 300), "multiclass"),
        (seen("doubles", 1), "regression"),
        (seen("doubles", 2, scored=20), "binary"),
    ],
)
def test_task_follows_from_the_type_of_predictions_and_the_number_of_classes(sums, task) -> None:
    assert task_of(sums) == task


def test_a_class_that_only_labels_have_counts() -> None:
    sums = seen("strings", 2)
    sums.maps["confusion"] = {PAIR_SEPARATOR.join(("7", "0")): 1}
    assert task_of(sums) == "multiclass"


def test_one_double_among_integers_makes_a_regression() -> None:
    sums = seen("longs", 2)
    sums.counts["doubles"] = 1
    assert task_of(sums) == "regression"


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_configuration_overrides_what_predictions_say(task) -> None:
    assert task_of(seen("doubles", 30), ModelSettings(task=task)) == task


def test_configured_classification_leaves_the_number_of_classes_to_the_data() -> None:
    said = ModelSettings(task="classification")
    assert task_of(seen("doubles", 2), said) == "binary"
    assert task_of(seen("longs", 30), said) == "multiclass"
