"""Moments are exact whatever the order, and the grid keeps its promises."""

import math
from fractions import Fraction

import numpy as np
import pytest
from feature_oracle import decoded, told
from hypothesis import given
from hypothesis import strategies as st

from schemas.features import GRID_LOWEST, grid_cell, grid_middle
from schemas.settings import JoinSettings, MonitorSettings
from streams.partition import PartitionStage

START_MS = 1_780_000_000_000
finite = st.floats(allow_nan=False, allow_infinity=False)


def moments(values):
    events = [
        {
            "prediction_id": str(i),
            "model": "m",
            "timestamp": START_MS,
            "prediction": "a",
            "features": {"x": x},
        }
        for i, x in enumerate(values)
    ]
    stage = PartitionStage(0, 1, 0, JoinSettings(), MonitorSettings())
    for begin in range(0, len(events), 1_000):
        stage.apply_inference(decoded(events[begin : begin + 1_000], begin))
    (row,) = told(stage.take_changed_features()).values()
    return row["sum"], row["m2"]


@pytest.mark.parametrize(
    ("mean", "sd"), [(0.0, 1.0), (1e6, 1.0), (1.7e12, 10.0), (-3e-9, 1e-10), (0.0, 1e100)]
)
def test_moments_are_those_of_exact_arithmetic_in_any_order(mean, sd):
    rng = np.random.default_rng(7)
    values = rng.normal(mean, sd, 3_000)
    exact = [Fraction(x) for x in values.tolist()]
    total = sum(exact)
    m2 = sum(x * x for x in exact) - total * total / len(exact)
    found = moments(values.tolist())
    assert found[0] == float(total)
    assert found[1] == pytest.approx(float(m2), rel=1e-12)
    for order in (np.sort(values), np.sort(values)[::-1], rng.permutation(values)):
        assert moments(order.tolist()) == found


def test_equal_values_have_no_spread_at_all():
    assert moments([0.1] * 1_001) == (float(1_001 * Fraction(0.1)), 0.0)


@given(finite, finite)
def test_cells_are_in_the_order_of_the_numbers(a, b):
    low, high = sorted((a, b))
    assert grid_cell(low) <= grid_cell(high)


@given(finite)
def test_a_number_and_its_negative_are_in_mirrored_cells(x):
    assert grid_cell(-x) == -grid_cell(x)


@given(finite.filter(lambda x: abs(x) >= GRID_LOWEST))
def test_the_middle_of_a_cell_is_within_one_percent_of_all_that_it_holds(x):
    assert grid_middle(grid_cell(x)) == pytest.approx(x, rel=1 / 128)
    assert math.copysign(1, grid_middle(grid_cell(x))) == math.copysign(1, x)


def test_numbers_below_the_lowest_edge_are_in_the_cell_of_zero():
    assert grid_cell(GRID_LOWEST) == 1
    assert grid_cell(math.nextafter(GRID_LOWEST, 0)) == 0
