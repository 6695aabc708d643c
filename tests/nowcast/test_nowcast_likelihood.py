"""The nowcast's estimate against an optimiser of the likelihood, and its interval against simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from schemas.findings import DelayCurve, Nowcast
from schemas.panes import PaneSums, age_bin
from streams.nowcast import Outcome, Unlabelled, estimate, nowcast

HOUR_MS = 3_600_000


def known(labelled: int, learnt: int, never: float = 0.0, spread: float = 0.0) -> Outcome:
    return Outcome(np.array([labelled]), np.array([learnt]), np.array([spread]), np.array([never]))


@given(
    st.integers(1, 500),
    st.integers(0, 500),
    st.lists(
        st.tuples(st.integers(0, 300), st.floats(0.01, 1.0), st.floats(0.01, 1.0)), min_size=1, max_size=6
    ),
)
def test_the_share_of_right_answers_is_where_an_optimiser_finds_the_largest_likelihood(
    hits: int, misses: int, panes: list[tuple[int, float, float]]
) -> None:
    n, right, wrong = (np.array([column]) for column in zip(*panes, strict=True))

    def minus_log_likelihood(q: float) -> float:
        left = (n * np.log(q * right + (1 - q) * wrong)).sum()
        return float(-(hits + 0.9) * np.log(q) - (misses + 0.1) * np.log(1 - q) - left)

    best = minimize_scalar(minus_log_likelihood, bounds=(1e-9, 1 - 1e-9), options={"xatol": 1e-10}).x
    found = estimate(known(hits, 90), known(misses, 10), Unlabelled(n, right, wrong))
    weight = best * right + (1 - best) * wrong
    more_right = (n * best * right / weight).sum()
    expected = (hits + more_right) / (hits + misses + n.sum())
    assert found.accuracy == pytest.approx(expected, abs=2e-5)


def test_a_window_whose_labels_are_all_there_is_known_for_sure() -> None:
    nothing_left = Unlabelled(np.array([[0]]), np.array([[0.5]]), np.array([[0.5]]))
    found = estimate(known(180, 900), known(20, 100), nothing_left)
    assert found.accuracy == pytest.approx(0.9)
    assert found.high - found.low < 0.02


def test_what_is_never_labelled_does_not_count_as_still_to_come() -> None:
    never = Unlabelled(np.array([[300]]), np.array([[0.3]]), np.array([[0.3]]))
    found = estimate(known(630, 9000, 0.3), known(70, 1000, 0.3), never)
    assert found.accuracy == pytest.approx(0.9)
    assert found.deviation < 0.003


def test_intervals_hold_the_window_s_own_accuracy_as_often_as_they_say() -> None:
    rng = np.random.default_rng(5)
    covered, errors, windows, n = 0, [], 800, 2000
    for _ in range(windows):
        wrong = rng.random(n) < 0.1
        ages_h = rng.random(n)
        labelled = rng.exponential(np.where(wrong, 1.0, 12.0)) <= ages_h
        panes = np.minimum((ages_h * 12).astype(int), 11)
        middles_h = (np.arange(12) + 0.5) / 12
        left = np.bincount(panes[~labelled], minlength=12)[None, :]
        found = estimate(
            known(int((labelled & ~wrong).sum()), 90_000),
            known(int((labelled & wrong).sum()), 10_000),
            Unlabelled(left, np.exp(-middles_h / 12)[None, :], np.exp(-middles_h)[None, :]),
        )
        truth = 1 - wrong.mean()
        covered += found.low <= truth <= found.high
        errors.append(found.accuracy - truth)
    assert 0.92 <= covered / windows <= 0.985
    assert float(np.sqrt(np.mean(np.square(errors)))) < 0.012


def test_curves_learnt_from_few_labels_widen_the_interval() -> None:
    left = Unlabelled(np.array([[1800]]), np.array([[0.96]]), np.array([[0.6]]))
    sure = estimate(known(75, 90_000), known(75, 10_000), left)
    unsure = estimate(known(75, 900), known(75, 100), left)
    batched = estimate(known(75, 90_000, spread=0.05), known(75, 10_000, spread=0.05), left)
    assert sure.deviation * 1.3 < unsure.deviation < batched.deviation


def curve(hit: bool, *, reliable: bool = True) -> DelayCurve:
    steps = tuple((np.arange(70) / 70).tolist())
    return DelayCurve("m", "", "yes", hit, 1000, steps, reliable, 0)


def window(labelled: int, **counts: int) -> list[tuple[int, PaneSums]]:
    sums = PaneSums()
    sums.counts |= {"predictions": 100, "labelled": labelled, "class_n": labelled, "hits": labelled} | counts
    sums.maps["predicted"] = {"yes": 100}
    bins = np.zeros(age_bin(HOUR_MS) + 1, np.int64)
    bins[-1] = labelled
    sums.class_bins["age_hits"] = {"yes": bins}
    return [(0, sums)]


CURVES = {("yes", True): curve(True), ("yes", False): curve(False)}


@pytest.mark.parametrize(
    ("panes", "curves", "task", "late", "reason"),
    [
        (window(50), CURVES, "regression", False, "regression"),
        (window(50), CURVES, "binary", True, "labels are late"),
        (window(50, class_extra=1), CURVES, "binary", False, "sampled labels"),
        (window(4), CURVES, "binary", False, "fewer than 5 labels"),
        (window(50), {("yes", True): curve(True)}, "binary", False, "no delay curve yet"),
        (
            window(50),
            CURVES | {("yes", False): curve(False, reliable=False)},
            "binary",
            False,
            "delay curves",
        ),
        (window(5), CURVES, "binary", False, "too little is known"),
    ],
)
def test_no_nowcast_comes_with_the_reason(panes, curves, task, late, reason) -> None:  # type: ignore[no-untyped-def]
    found = nowcast(panes, curves, task, width_ms=60_000, now_ms=HOUR_MS, labels_late=late)
    assert (found.accuracy, found.low, found.high) == (None, None, None)
    assert found.reason.startswith(reason)


def test_five_labels_are_enough_where_they_say_enough() -> None:
    found = nowcast(window(50), CURVES, "binary", width_ms=60_000, now_ms=30 * HOUR_MS)
    assert isinstance(found, Nowcast)
    assert found.accuracy is not None
    assert found.low <= found.accuracy <= found.high  # type: ignore[operator]


def test_an_accuracy_next_to_one_has_an_interval_between_0_and_1() -> None:
    right = Outcome(np.array([5]), np.array([900]), np.zeros(1), np.zeros(1))
    wrong = Outcome(np.array([0]), np.array([100]), np.zeros(1), np.zeros(1))
    found = estimate(right, wrong, Unlabelled(np.array([[1]]), np.array([[0.5]]), np.array([[1e-9]])))
    assert 1 - 1e-6 < found.accuracy < 1
    assert 0 <= found.low <= found.accuracy <= found.high <= 1
