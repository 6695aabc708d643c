"""Sums that depend on no order and leave nothing behind, against math.fsum and fractions."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.panes.exact_sums import DIGITS, add_exactly, as_fraction, round_sums, sum_exactly

# 2**-150 and up: every bit of such a double is worth at least 2**-202.
terms = st.floats(-1e70, 1e70).filter(lambda x: x == 0 or abs(x) > 2.0**-150)


@given(st.lists(terms, max_size=30))
def test_sum_is_the_exact_sum_rounded_once(values):
    assert sum_exactly(np.array(values)) == math.fsum(values)


@given(st.lists(terms, max_size=15), st.lists(terms, max_size=15))
def test_what_is_taken_back_leaves_nothing_behind(stay, leave):
    digits = np.zeros((1, 1, DIGITS), np.int64)
    for x in [*leave, *stay]:
        assert add_exactly(digits[0, 0], x, 1)
    for x in reversed(leave):
        assert add_exactly(digits[0, 0], x, -1)
    assert as_fraction(digits[0, 0]) == sum((Fraction(x) for x in stay), Fraction(0))
    assert round_sums(digits)[0, 0] == math.fsum(stay)


@given(st.lists(st.sampled_from([2.0**53, 1.0, 3.0, 2.0**-53, 2.0**-54, -(2.0**54), 2.0**60]), max_size=12))
def test_halves_round_to_even_as_they_should(values):
    assert sum_exactly(np.array(values)) == math.fsum(values)


def test_merging_is_adding_digits():
    a, b = np.zeros((1, 1, DIGITS), np.int64), np.zeros((1, 1, DIGITS), np.int64)
    add_exactly(a[0, 0], 1e17, 1)
    add_exactly(b[0, 0], 0.1, -1)
    assert round_sums(a + b)[0, 0] == math.fsum([1e17, -0.1])


@pytest.mark.parametrize("x", [math.inf, -math.inf, math.nan, 1e300, 5e-324, 2.0**257])
def test_a_term_that_does_not_fit_is_refused_and_changes_nothing(x):
    digits = np.zeros(DIGITS, np.int64)
    assert not add_exactly(digits, x, 1)
    assert not digits.any()
    with pytest.raises(
        ValueError, match=r"^a term must be finite and between 2\*\*-256 and 2\*\*256 in size"
    ):
        sum_exactly(np.array([x]))
