"""Distances and tests against scipy over the same cells, and laws that they keep."""

import numpy as np
import pandas as pd
import pytest
from feature_rows import feature_batch, feature_row
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from streams.references import FeatureCounts, build_reference, feature_drift, merge_counts, read_features
from streams.references.cells import map_cells
from streams.references.distances import (
    hellinger_distance,
    jensen_shannon_distance,
    population_stability_index,
    wasserstein_distance,
)
from streams.references.two_samples import (
    likelihood_ratio,
    location,
    mean_difference,
    more_than_before,
    pool,
    proportions,
)

VALUES = st.one_of(st.floats(-1e9, 1e9), st.sampled_from("abc"), st.none())
COUNTS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 600)), min_size=2, max_size=12)


def counted(values):
    return read_features(feature_batch([feature_row(list(values))]))[0]


def reference_of(values, predictions=None):
    return build_reference(
        counted(values),
        predictions or len(values),
        model="m",
        model_version="1",
        segment="",
        signal="feature",
        feature="f",
        as_of_ms=0,
    )


def scored(values, reference):
    values = list(values)
    return feature_drift(
        counted(values), len(values), reference, feature="f", start_ms=0, window_ms=3_600_000
    )


@settings(max_examples=60, deadline=None)
@given(COUNTS)
def test_distances_equal_scipy_over_the_same_cells(counts):
    window, reference = np.array(counts, np.float64).T
    if not window.sum() or not reference.sum():
        return
    p, q = window / window.sum(), reference / reference.sum()
    assert jensen_shannon_distance(window, reference) == pytest.approx(
        np.nan_to_num(jensenshannon(p, q, base=2)), abs=1e-7
    )
    affinity = np.sqrt(p * q).sum()
    assert hellinger_distance(window, reference) == pytest.approx(np.sqrt(max(0, 1 - affinity)), abs=1e-7)
    values = np.cumsum(np.arange(1.0, len(p) + 1))
    assert wasserstein_distance(window, reference, values, values) == pytest.approx(
        stats.wasserstein_distance(values, values, window, reference), abs=1e-9
    )
    index = population_stability_index(window, reference)
    assert 0 <= index < 60
    if (window > 0).all() and (reference > 0).all():
        many = population_stability_index(window * 1e9, reference * 1e9)
        assert many == pytest.approx(((p - q) * np.log(p / q)).sum(), rel=1e-6, abs=1e-6)


def test_the_stability_index_of_samples_without_a_common_value_is_large_and_no_artefact():
    # Where an empty cell counts as the smallest float, ten against ten values give an index of 461.
    assert 2 < population_stability_index(np.array([10.0, 0.0]), np.array([0.0, 10.0])) < 6


@settings(max_examples=60, deadline=None)
@given(COUNTS)
def test_likelihood_ratio_without_its_correction_is_that_of_scipy(counts):
    window, reference = np.array([c for c in counts if sum(c)], np.float64).reshape(-1, 2).T
    if len(window) < 2 or not window.sum() or not reference.sum():
        return
    statistic, _, freedom, _ = stats.chi2_contingency(
        [window, reference], lambda_="log-likelihood", correction=False
    )
    n, m = window.sum(), reference.sum()
    share = (window + reference) / (n + m)
    # Williams (1976), for two rows.
    williams = 1 + ((n + m) * (1 / n + 1 / m) - 1) * ((1 / share).sum() - 1) / (6 * (n + m) * freedom)
    assert likelihood_ratio(window, reference) == pytest.approx(
        stats.chi2.sf(statistic / williams, freedom), rel=1e-7, abs=1e-12
    )


def test_location_is_scipys_mann_whitney_where_ranks_are_not_skewed():
    rng = np.random.default_rng(5)
    for shift in (0.0, 0.2, 0.5):
        window, reference = rng.integers(0, 9, 300) + shift * 2 // 1, rng.integers(0, 9, 300)
        cells = np.union1d(window, reference)
        counts = [np.array([(x == cell).sum() for cell in cells], np.float64) for x in (window, reference)]
        expected = stats.mannwhitneyu(window, reference, method="asymptotic", use_continuity=False).pvalue
        assert location(*counts) == pytest.approx(expected, rel=2e-3)


def test_location_of_very_skewed_ranks_has_the_tail_of_a_permutation():
    together = np.array([9_550, 250, 250])  # 95 % zeros
    ranks = (np.cumsum(together) - together / 2) / together.sum() - 0.5
    drawn = np.random.default_rng(1).multivariate_hypergeometric(together, 50, size=400_000)
    sums = drawn @ ranks
    at = np.argsort(sums)[-40]  # one in ten thousand is as far up
    spread = np.sqrt(50 * 10_000 / 10_049 * (together @ ranks**2) / 10_050)
    assert 2 * stats.norm.sf(sums[at] / spread) < 2e-4 / 30
    found = location(drawn[at].astype(float), (together - drawn[at]).astype(float))
    assert 2e-4 / 3 < found < 2e-4 * 3


def test_mean_difference_is_a_t_test_of_large_samples():
    rng = np.random.default_rng(2)
    a, b = rng.normal(1000.1, 1, 400), rng.normal(1000, 1, 20_000)
    found = mean_difference(
        len(a), a.sum(), ((a - a.mean()) ** 2).sum(), len(b), b.sum(), ((b - b.mean()) ** 2).sum()
    )
    assert found == pytest.approx(stats.ttest_ind(a, b).pvalue, rel=0.02)


def test_equal_constants_have_no_difference_of_means_to_test():
    assert mean_difference(50, 50 * 0.1, 1e-33, 1000, 1000 * 0.1, 1e-31) is None


def test_rare_shares_have_the_mid_p_value_of_fishers_exact_test():
    for found, n, other, m in ((4, 50, 6, 1_000), (0, 50, 12, 1_000), (3, 400, 0, 500), (48, 50, 999, 1_000)):
        table = [[found, n - found], [other, m - other]]
        law = stats.hypergeom(n + m, found + other, n)
        half = law.pmf(found) / 2
        expected = min(1, 2 * min(law.sf(found) + half, law.cdf(found) - half))
        assert proportions(found, n, other, m) == pytest.approx(expected, rel=1e-7), table
        assert more_than_before(found, n, found + other, n + m) == pytest.approx(
            law.sf(found) + half, rel=1e-7
        )


def test_common_shares_have_the_tail_of_the_likelihood_ratio():
    statistic = stats.chi2_contingency([[30, 70], [200, 800]], lambda_="log-likelihood", correction=False)[1]
    assert proportions(30, 100, 200, 1_000) == pytest.approx(statistic, rel=0.05)
    assert proportions(0, 100, 0, 1_000) == 1.0
    assert proportions(100, 100, 1_000, 1_000) == 1.0


def test_a_category_that_ten_of_fifty_suddenly_have_is_found_by_the_exact_test():
    reference = reference_of(["a", "b"] * 500)
    p = scored(["a"] * 20 + ["b"] * 20 + ["new"] * 10, reference)["p_value"]
    assert p < 1e-9


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=30), st.integers(0, 30), st.floats(1, 50))
def test_pooled_groups_hold_enough_and_numbers_stay_in_order(counts, numeric, least):
    together = np.array(counts, np.float64)
    groups = pool(together, min(numeric, len(counts)), least)
    held = np.bincount(groups, together)
    assert len(held) == 1 or (held >= least).all()
    inside = groups[: min(numeric, len(counts))]
    assert (np.diff(inside) >= 0).all()


def test_cells_hold_what_pandas_counts_between_the_same_edges():
    rng = np.random.default_rng(4)
    values = rng.normal(0, 1, 5_000)
    reference = reference_of(values)
    assert sum(reference.counts) == 5_000
    assert 15 <= len(reference.counts) <= 24
    other = rng.normal(0.3, 1, 700)
    counts = counted(other)
    cells = map_cells(counts, reference)
    cuts = [-np.inf, *reference.edges, np.inf]
    of_grid = np.repeat(counts.cells, counts.counts)
    expected = pd.cut(pd.Series(of_grid), cuts, right=False).value_counts(sort=False)
    assert cells.window[: cells.numeric].tolist() == expected.tolist()


def test_one_value_of_a_million_hides_no_shift():
    rng = np.random.default_rng(6)
    reference = reference_of(rng.normal(0, 1, 5_000))
    shifted = rng.normal(0.5, 1, 1_000)
    plain, beside = scored(shifted, reference), scored([*shifted[:-1], 1e6], reference)
    assert beside["psi"] == pytest.approx(plain["psi"], rel=0.1)
    assert beside["p_value"] < 1e-20
    assert beside["wasserstein"] == pytest.approx(plain["wasserstein"] + 1_000, rel=0.02)


def test_wasserstein_is_near_that_of_the_raw_values_also_where_the_grid_is_coarse():
    rng = np.random.default_rng(8)
    for centre, scale in ((0, 1), (1_000, 1), (-50, 10)):
        before, after = rng.normal(centre, scale, 5_000), rng.normal(centre + scale / 2, scale, 2_000)
        found = scored(after, reference_of(before))["wasserstein"]
        assert found == pytest.approx(stats.wasserstein_distance(after, before), rel=0.15)


def test_a_feature_that_changes_its_type_drifts():
    row = scored(["1", "2"] * 100, reference_of([1.0, 2.0] * 500))
    assert row["p_value"] < 1e-50
    assert row["jensen_shannon"] == pytest.approx(1.0)
    assert row["wasserstein"] is None
    assert scored([1.0, 2.0] * 100, reference_of(["1", "2"] * 500))["p_value"] < 1e-50


def test_a_constant_that_stays_has_nothing_to_show_and_one_that_moves_has():
    reference = reference_of([7.5] * 2_000)
    same, moved = scored([7.5] * 300, reference), scored([7.6] * 300, reference)
    assert (same["p_value"], same["psi"], same["drifted"]) == (1.0, 0.0, False)
    assert moved["p_value"] < 1e-50


def test_a_window_of_missing_values_has_no_figures_of_values_and_drifts_by_what_is_missing():
    reference = build_reference(
        counted([1.0, 2.0] * 1_000), 2_000, model="m", model_version="", segment="", signal="feature",
        feature="f", as_of_ms=0,
    )  # fmt: skip
    row = feature_drift(FeatureCounts(), 50, reference, feature="f", start_ms=0, window_ms=3_600_000)
    assert (row["n"], row["missing_share"], row["psi"], row["p_value"]) == (0, 1.0, None, None)
    assert row["p_value_missing"] < 1e-50


def test_a_window_that_the_reference_was_made_of_is_not_tested_against_it():
    reference = build_reference(
        counted([1.0, 2.0] * 1_000), 2_000, model="m", model_version="", segment="", signal="feature",
        feature="f", as_of_ms=9_000, since_ms=3_000, until_ms=9_000,
    )  # fmt: skip
    rows = [
        feature_drift(counted([1.0] * 99), 99, reference, feature="f", start_ms=start, window_ms=3_000)
        for start in (0, 3_000, 6_000, 9_000)
    ]
    assert [row["p_value"] is None for row in rows] == [False, True, True, False]
    assert [row["drifted"] is None for row in rows] == [False, True, True, False]
    assert all(row["psi"] > 0 for row in rows)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.lists(st.one_of(st.floats(-1e9, 1e9), st.sampled_from("abc"), st.none()), max_size=9), min_size=1
    )
)
def test_counts_of_panes_merge_to_the_counts_of_all_their_values(panes):
    merged = merge_counts([counted(values) for values in panes])
    whole = counted([value for values in panes for value in values])
    assert merged.categories == whole.categories
    assert (merged.cells.tolist(), merged.counts.tolist()) == (whole.cells.tolist(), whole.counts.tolist())
    assert merged.m2 == pytest.approx(whole.m2, rel=1e-6, abs=1e-6 * (1 + abs(whole.m2)))
