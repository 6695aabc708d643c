"""Gauges of models: bounded in number, readable whatever models are called, those with traffic first."""

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from streams.monitor.gauges import VersionFigures
from streams.worker.model_metrics import SHOWN, ModelCollector

ACCURACY = "aftcast_model_accuracy_ratio"
MATURE = "aftcast_mature_until_seconds"
Samples = dict[tuple[str, ...], float]


def served(figures: list[VersionFigures], mature_until_ms: dict[str, int]) -> dict[str, Samples]:
    """Return what a program reads on the page: values by name and labels."""
    registry = CollectorRegistry()
    registry.register(ModelCollector(lambda: figures, lambda: mature_until_ms))
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {
        family.name: {tuple(sample.labels.values()): sample.value for sample in family.samples}
        for family in families
    }


def version(number: int, predictions: int, **values: float) -> VersionFigures:
    return VersionFigures(f"m{number}", "1", predictions, values)


def test_up_to_the_bound_all_versions_are_shown_and_beyond_it_those_with_the_most_traffic() -> None:
    at_bound = [version(i, i, **{ACCURACY: 0.5}) for i in range(SHOWN)]
    page = served(at_bound, {f"m{i}": 1_000 for i in range(SHOWN)})
    assert len(page[ACCURACY]) == len(page[MATURE]) == SHOWN
    assert page["aftcast_model_versions_not_shown"] == {(): 0.0}
    beyond = [*at_bound, version(500, 10**6, **{ACCURACY: 0.9})]
    page = served(beyond, {f"m{i}": 1_000 for i in (*range(SHOWN), 500)})
    assert len(page[ACCURACY]) == len(page[MATURE]) == SHOWN
    assert page[ACCURACY]["m500", "1"] == 0.9
    assert ("m0", "1") not in page[ACCURACY]
    assert ("m0",) not in page[MATURE]
    assert page["aftcast_model_versions_not_shown"] == {(): 1.0}


def test_a_figure_that_nobody_knows_has_no_sample() -> None:
    page = served([version(1, 5, aftcast_model_success_ratio=1.0)], {})
    assert page["aftcast_model_success_ratio"] == {("m1", "1"): 1.0}
    assert page[ACCURACY] == page[MATURE] == {}


def test_names_with_quotes_backslashes_and_newlines_come_out_as_they_are() -> None:
    name = 'a"b\\c\n{d}=1,e# ü'
    page = served([VersionFigures(name, name, 1, {ACCURACY: 0.25})], {name: 2_000})
    assert page[ACCURACY] == {(name, name): 0.25}
    assert page[MATURE] == {(name,): 2.0}
