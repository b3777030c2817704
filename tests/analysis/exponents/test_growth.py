"""Statistics of growth: exact sums, calibrated errors, bounded memory."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter

from lyapmap.analysis.exponents.growth import HISTORY_PER_DECADE, MAX_BATCHES, GrowthStatistics


def gathered(growth: np.ndarray, block: int = 1) -> GrowthStatistics:
    """Statistics of growth (steps, b, k), taken in blocks."""
    statistics = GrowthStatistics(*growth.shape[1:])
    for start in range(0, len(growth), block):
        part = growth[start : start + block]
        statistics.add(part.sum(axis=0), len(part))
    return statistics


def normal(steps: int, b: int = 1, k: int = 1, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((steps, b, k))


def autoregressive(phi: float, steps: int, b: int, seed: int) -> np.ndarray:
    """Noise of variance 1 with autocorrelation phi^lag, (steps, b, 1)."""
    draws = normal(steps + 100, b, 1, seed)
    return lfilter([np.sqrt(1 - phi**2)], [1, -phi], draws, axis=0)[100:]


@given(st.integers(1, 700), st.integers(1, 40), st.integers(1, 3), st.integers(1, 3))
def test_the_mean_is_exact_for_every_length_of_run_and_block(steps: int, block: int, b: int, k: int) -> None:
    growth = np.random.default_rng(steps).integers(-9, 9, (steps, b, k)).astype(float)  # sums without rounding
    statistics = gathered(growth, block)
    assert statistics.steps == steps
    np.testing.assert_array_equal(statistics.totals, growth.sum(axis=0))
    np.testing.assert_array_equal(statistics.per_trajectory(), growth.sum(axis=0) / steps)
    np.testing.assert_array_equal(statistics.mean(), growth.sum(axis=0).mean(axis=0) / steps)


@given(st.integers(1, 3000), st.integers(1, 20))
def test_joined_batches_lose_nothing_and_stay_few(steps: int, block: int) -> None:
    growth = np.random.default_rng(steps).integers(-9, 9, (steps, 1, 1)).astype(float)
    statistics = gathered(growth, block)
    assert len(statistics._sums) <= MAX_BATCHES
    assert sum(statistics._lengths) == steps
    assert sum(float(s[0, 0]) for s in statistics._sums) == growth.sum()
    assert set(statistics._lengths[:-1]) <= {statistics._batch}


@given(st.integers(1, 300), st.integers(1, 9), st.lists(st.integers(1, 40), min_size=1, max_size=40))
def test_blocks_taken_in_together_count_as_one_by_one(n_blocks: int, b: int, cuts: list[int]) -> None:
    growths = normal(n_blocks, b, 2, seed=n_blocks)
    one_by_one, together = GrowthStatistics(b, 2), GrowthStatistics(b, 2)
    for growth in growths:
        one_by_one.add(growth, 3)
    edges = np.minimum(np.cumsum([0, *cuts, n_blocks]), n_blocks)
    for first, last in pairwise(edges):
        if first < last:
            together.extend(growths[first:last], 3)
    np.testing.assert_array_equal(together.totals, one_by_one.totals)
    np.testing.assert_array_equal(together.stderr(), one_by_one.stderr())
    np.testing.assert_array_equal(together.within(), one_by_one.within())
    for ours, wanted in zip(together.history(), one_by_one.history(), strict=True):
        np.testing.assert_array_equal(ours, wanted)


def test_the_error_of_white_noise_is_one_over_the_square_root_of_the_steps() -> None:
    errors = [gathered(normal(2000, seed=seed), 10).stderr()[0] * np.sqrt(2000) for seed in range(40)]
    assert np.mean(errors) == pytest.approx(1, rel=0.25)


@pytest.mark.parametrize("phi", [0.5, 0.9, -0.5])
@pytest.mark.parametrize("b", [1, 4])
def test_the_error_of_correlated_noise_is_that_of_theory(phi: float, b: int) -> None:
    steps = 4000
    theory = np.sqrt((1 + phi) / (1 - phi) / steps / b)
    errors = [gathered(autoregressive(phi, steps, b, 10 * seed), 16).stderr()[0] for seed in range(30)]
    assert np.mean(errors) == pytest.approx(theory, rel=0.25)


def test_the_error_follows_correlations_that_outlast_a_batch() -> None:
    phi, steps = 0.99, 10_000
    theory = np.sqrt((1 + phi) / (1 - phi) / steps)
    errors = [gathered(autoregressive(phi, steps, 1, 10 * seed), 40).stderr()[0] for seed in range(30)]
    assert np.mean(errors) == pytest.approx(theory, rel=0.25)


def test_the_spread_over_trajectories_counts_where_it_is_larger() -> None:
    offsets = np.random.default_rng(0).standard_normal(50)
    growth = np.broadcast_to(offsets[None, :, None], (100, 50, 1))  # each constant, none like the other
    # Batches that never forget widen the error beyond the spread, as for orbits that stick.
    assert 1 <= gathered(growth).stderr()[0] / (offsets.std(ddof=1) / np.sqrt(50)) < 3
    few = offsets[:7]
    assert 0.6 < gathered(growth[:, :7]).stderr()[0] / (few.std(ddof=1) / np.sqrt(7)) < 3
    assert gathered(growth[:1]).stderr()[0] == pytest.approx(offsets.std(ddof=1) / np.sqrt(50))


@pytest.mark.parametrize(
    ("steps", "b", "finite"), [(2, 7, False), (15, 1, False), (16, 1, True), (1, 7, False), (1, 8, True)]
)
def test_the_error_is_infinite_while_there_is_too_little_to_judge_by(steps: int, b: int, finite: bool) -> None:
    assert np.isfinite(gathered(normal(steps, b)).stderr()).all() == finite


def test_nothing_gathered_means_an_infinite_error_and_no_history() -> None:
    statistics = GrowthStatistics(1, 2)
    assert np.isposinf(statistics.stderr()).all()
    np.testing.assert_array_equal(statistics.mean(), [0, 0])


def test_the_history_is_evenly_spaced_in_the_logarithm_and_ends_with_the_mean() -> None:
    growth = normal(5000, 2, 3)
    statistics = gathered(growth, 3)
    steps, means = statistics.history()
    assert steps[-1] == 5000
    assert (np.diff(steps) > 0).all()
    assert len(steps) <= HISTORY_PER_DECADE * np.log10(5000) + 2
    late = np.diff(np.log10(steps[steps > 100]))[:-1]
    np.testing.assert_allclose(late, 1 / HISTORY_PER_DECADE, atol=0.02)
    for n, mean in zip(steps, means, strict=True):
        np.testing.assert_allclose(mean, growth[:n].mean(axis=(0, 1)), atol=1e-12)
    np.testing.assert_array_equal(means[-1], statistics.mean())


def test_asking_for_the_history_twice_adds_nothing() -> None:
    statistics = gathered(normal(77))
    assert len(statistics.history()[0]) == len(statistics.history()[0])


def test_the_covariance_is_symmetric_and_positive_with_the_errors_on_its_diagonal() -> None:
    rng = np.random.default_rng(0)
    growth = rng.standard_normal((3000, 3, 5)) @ rng.standard_normal((5, 5))
    statistics = gathered(growth, 7)
    covariance = statistics.covariance()
    np.testing.assert_allclose(covariance, covariance.T, rtol=1e-12)
    np.testing.assert_allclose(np.diag(covariance), statistics.stderr() ** 2, rtol=1e-12)
    assert np.linalg.eigvalsh(covariance).min() > -1e-12 * np.trace(covariance)


def test_exponents_whose_sum_is_fixed_are_anticorrelated() -> None:
    noise = normal(1000, 1, 1)
    covariance = gathered(np.concatenate([noise, -1.2 - noise], axis=2)).covariance()
    assert covariance.sum() == pytest.approx(0, abs=1e-15)


def test_one_exponent_and_constant_growth_have_a_covariance_too() -> None:
    assert gathered(normal(100)).covariance().shape == (1, 1)
    np.testing.assert_array_equal(gathered(np.ones((100, 1, 2))).covariance(), np.zeros((2, 2)))


def test_without_an_error_the_covariance_is_infinite_on_its_diagonal() -> None:
    np.testing.assert_array_equal(gathered(normal(3, 1, 2)).covariance(), np.diag([np.inf, np.inf]))


@pytest.mark.parametrize("b", [1, 10])
def test_an_exponent_of_minus_infinity_has_no_error_and_spoils_no_other(b: int) -> None:
    growth = normal(200, b, 2)
    growth[50:, :, 1] = -np.inf
    statistics = gathered(growth)
    assert np.isneginf(statistics.mean()[1])
    assert np.isnan(statistics.stderr()[1])
    assert statistics.stderr()[0] == pytest.approx(gathered(growth[:, :, :1]).stderr()[0])


def test_intervals_of_two_errors_cover_the_mean_in_about_95_of_100_runs() -> None:
    inside: list[Any] = []
    for seed in range(300):
        statistics = gathered(autoregressive(0.6, 1500, 2, 3 * seed), 6)
        inside.append(abs(statistics.mean()[0]) <= 1.96 * statistics.stderr()[0])
    assert 0.92 <= np.mean(inside) <= 0.99


@pytest.mark.parametrize("b", [1, 8])
def test_where_one_batch_gives_back_what_the_other_took_only_the_ends_count(b: int) -> None:
    """Growth that is a difference, as of an exponent that is zero: the mean's error falls as 1 / n."""
    ratios = []
    for seed in range(40):
        level = normal(2001, b, 1, seed)
        statistics = gathered(np.diff(level, axis=0), 15)
        ratios.append(statistics.stderr()[0] / (np.sqrt(2 / b) / 2000))
    assert 0.7 < np.median(ratios) < 1.5


def test_effective_samples_count_what_is_independent() -> None:
    white = [gathered(normal(12_800, 4, 1, seed), 100) for seed in range(20)]
    assert {statistics.batches for statistics in white} == {4 * 128}
    assert np.median([statistics.effective_samples()[0] for statistics in white]) == pytest.approx(512, rel=0.15)
    slow = gathered(autoregressive(0.99, 12_800, 4, 1), 100)
    assert slow.effective_samples()[0] < 0.6 * slow.batches
    assert np.isnan(gathered(np.ones((100, 1, 1))).effective_samples()).all()


def test_the_error_of_one_trajectory_ignores_differences_between_them() -> None:
    offsets = np.array([0.0, 0.0, 5.0, 5.0])[None, :, None]
    apart = [gathered(normal(3000, 4, 1, seed) + offsets, 10) for seed in range(20)]
    alone = np.array([statistics.within()[:, 0] for statistics in apart])
    assert alone.shape == (20, 4)
    assert np.median(alone) == pytest.approx(1 / np.sqrt(3000), rel=0.15)
    assert min(statistics.stderr()[0] for statistics in apart) > 0.5


def test_the_history_of_the_error_falls_as_one_over_the_square_root_and_ends_with_the_error() -> None:
    statistics = gathered(normal(12_800, 4), 100)
    steps, errors = statistics.error_history()
    np.testing.assert_array_equal(errors[-1], statistics.stderr())
    assert (np.diff(steps) > 0).all()
    assert steps[-1] == 12_800
    assert len(steps) >= 4
    np.testing.assert_allclose(errors[:, 0] * np.sqrt(steps), 0.5, rtol=0.6)


def test_trajectories_that_vary_unlike_have_errors_of_their_own() -> None:
    growth = normal(6000, 10) * np.array([0.0, 1.0])[np.arange(10) % 2][None, :, None]
    within = gathered(growth, 10).within()[:, 0]
    np.testing.assert_array_equal(within[::2], 0)
    np.testing.assert_allclose(within[1::2], 1 / np.sqrt(6000), rtol=0.4)


def test_variances_that_still_grow_at_the_longest_batch_are_carried_on_to_the_whole_run() -> None:
    """Sticky orbits: memory as long as the run. Without what is still to come, errors are a fifth too small."""
    phi, steps, b = 0.999, 1000, 8
    lags = np.arange(steps)
    scatter = np.sqrt((2 * ((steps - lags) * phi**lags).sum() - steps) / steps**2 / b)
    errors = [gathered(autoregressive(phi, steps, b, seed), 8).stderr()[0] for seed in range(30)]
    assert np.median(errors) > 1.1 * scatter


@pytest.mark.parametrize("power", [1, 2, 3])
def test_growth_like_a_power_of_time_is_not_exponential(power: int) -> None:
    for steps in (20, 300, 4000):
        for start in (1, 50):
            level = power * np.log(start + np.arange(steps + 1.0))
            wobble = np.sin(0.7 * np.arange(steps + 1)) * 2
            for curve in (level, level + wobble) if power < 3 else (level,):
                statistics = gathered(np.diff(curve)[:, None, None], max(1, steps // 128))
                assert statistics.grows_exponentially().tolist() == [False]


@pytest.mark.parametrize("rate", [0.03, 0.5])
def test_growth_like_an_exponential_is(rate: float) -> None:
    found = [gathered(rate + 0.05 * normal(400, 2, 1, seed), 4).grows_exponentially().all() for seed in range(20)]
    assert sum(found) >= 19
    assert not gathered(np.zeros((400, 2, 1))).grows_exponentially().any()
    assert not gathered(-rate + np.zeros((400, 2, 1))).grows_exponentially().any()


def test_half_of_the_growth_is_counted_whatever_the_number_of_blocks() -> None:
    for steps in (1, 3, 17, 128, 129, 1000, 5000):
        statistics = gathered(np.full((steps, 2, 2), 0.25) * np.array([1, -2]))
        np.testing.assert_allclose(statistics.folds(), np.array([0.125, -0.25]) * steps, rtol=0.2)
    assert GrowthStatistics(1, 2).folds().tolist() == [0, 0]
