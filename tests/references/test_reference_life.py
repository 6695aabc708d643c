"""How references come to be: frozen after a day, given by a file, and the budget shared out over them."""

import numpy as np
import pytest
from feature_rows import feature_batch, feature_row

from schemas.references import MONTH_S
from schemas.settings import HOUR_MS, MonitorSettings
from streams.monitor.features import Features

T0_MS = 1_767_225_600_000


def day_of(
    features: Features, hours: int, per_hour: int, *, names: tuple[str, ...] = ("a", "b")
) -> list[str]:
    """Feed hours of panes, one an hour, and return the names of references as they come."""
    rng = np.random.default_rng(0)
    found = []
    for hour in range(hours):
        start_ms = T0_MS + hour * HOUR_MS
        rows = [
            feature_row(rng.normal(0, 1, per_hour).tolist(), feature=name, start_ms=start_ms)
            for name in names
        ]
        features.absorb(feature_batch(rows))
        references, _ = features.advance(start_ms + HOUR_MS, lambda *_: per_hour + 10)
        found += [f"{hour}:{reference.feature}" for reference in references]
    return found


def test_a_reference_is_frozen_after_a_day_and_not_again() -> None:
    features = Features(MonitorSettings(pane_width_ms=HOUR_MS))
    found = day_of(features, 60, 100)
    assert found == ["23:a", "23:b"]
    reference = features.references["m", "1", "", "feature", "a"]
    assert (reference.n, reference.predictions) == (2_400, 2_640)
    assert (reference.since_ms, reference.until_ms) == (T0_MS, T0_MS + 24 * HOUR_MS)


def test_a_day_of_few_values_is_no_reference_until_there_are_a_thousand() -> None:
    features = Features(MonitorSettings(pane_width_ms=HOUR_MS))
    assert day_of(features, 49, 20) == []
    features = Features(MonitorSettings(pane_width_ms=HOUR_MS))
    assert day_of(features, 50, 20) == ["49:a", "49:b"]


def test_levels_of_all_features_windows_and_tests_of_a_month_add_up_to_the_budget() -> None:
    features = Features(MonitorSettings(pane_width_ms=HOUR_MS, false_alarms_per_month=2.0))
    names = ("a", "b", "c", "d", "e")
    day_of(features, 24, 100, names=names)
    windows = MONTH_S / 3600
    levels = [features.references["m", "1", "", "feature", name].level(HOUR_MS) for name in names]
    assert sum(levels) * 2 * windows == pytest.approx(2.0)


def test_a_given_reference_is_used_from_the_first_pane_on_and_its_feature_is_not_frozen() -> None:
    first = Features(MonitorSettings(pane_width_ms=HOUR_MS))
    day_of(first, 24, 100)
    given = [first.references["m", "1", "", "feature", "a"]]
    features = Features(MonitorSettings(pane_width_ms=HOUR_MS), given)
    assert day_of(features, 30, 100) == ["0:a", "23:a", "23:b"]
    held = features.references["m", "1", "", "feature", "a"]
    assert held.reference_version == given[0].reference_version


def test_a_feature_that_nobody_sends_any_more_is_missing_in_each_pane() -> None:
    features = Features(MonitorSettings(pane_width_ms=HOUR_MS))
    day_of(features, 24, 100)
    start_ms = T0_MS + 24 * HOUR_MS
    features.absorb(feature_batch([feature_row([0.5] * 40, feature="a", start_ms=start_ms)]))
    _, signals = features.advance(start_ms + HOUR_MS, lambda *_: 50)
    missing = {pane.key.feature: (pane.n, pane.total) for *_, pane in signals if pane.key.signal == "missing"}
    assert missing == {"a": (50, 10.0), "b": (50, 50.0)}


def test_rows_may_come_twice_and_in_any_order_and_the_newest_counts() -> None:
    features = Features(MonitorSettings(pane_width_ms=HOUR_MS))
    day_of(features, 24, 100)
    start_ms = T0_MS + 24 * HOUR_MS
    for revision, values in ((2, [0.0] * 8), (1, [0.0] * 4), (2, [0.0] * 8)):
        features.absorb(
            feature_batch([feature_row(values, feature="a", start_ms=start_ms, revision=revision)])
        )
    features.absorb(feature_batch([feature_row([9.0] * 2, feature="a", start_ms=start_ms, partition=1)]))
    _, signals = features.advance(start_ms + HOUR_MS, lambda *_: None)
    (ranks,) = [pane for *_, pane in signals if pane.key.signal == "feature" and pane.key.feature == "a"]
    assert ranks.n == 10
