"""A short form of benchmarks/stable_features.py: what says 5 % flags about 5 % of stable windows."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from stable_features import KINDS, SHIFTS, delay, stable


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "constant"])
def test_a_test_that_says_five_percent_flags_about_that_of_stable_windows(kind):
    shares = stable(KINDS[kind], 200, references=150, windows=4, seed=3)
    # Of 600 windows, 3 to 7 % within three standard errors.
    assert 0.03 - 0.021 < shares["values"] < 0.07 + 0.026
    if kind == "30 % missing":
        assert 0.03 - 0.021 < shares["missing"] < 0.07 + 0.026


def test_a_constant_that_stays_is_never_flagged():
    assert stable(KINDS["constant"], 200, references=10, windows=4, seed=3)["values"] == 0


@pytest.mark.parametrize("name", [name for name in SHIFTS if name != "mean + 0.1 sd"])
def test_shifts_are_found_in_the_first_window_of_five_thousand(name):
    before, after = SHIFTS[name]
    assert delay(before, after, 5_000, 1.2e-5, seed=2, most=2) == 1


def test_the_tests_are_no_stricter_than_they_say():
    shares = stable(KINDS["normal"], 200, references=10, windows=4, seed=1)
    assert np.isfinite(list(shares.values())).all()
