"""Burn-in against a process whose distributions are known, plain sums over pairs, and SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import energy_distance, norm

import lyapmap as lm
from lyapmap.core.errors import Interrupted, LyapmapError, RunError, ShapeError

A, FIRST = 0.9, 3.0
HALF = lm.wrap(lambda x: 0.5 * x, state_shape=2)


def mean_distance(m, s):
    """E|Z| of a normal variable of mean m and deviation s."""
    return s * math.sqrt(2 / math.pi) * math.exp(-(m**2) / (2 * s**2)) + m * (1 - 2 * norm.cdf(-m / s))


def exact(n):
    """Energy distance of x_n to its limit, where x -> a x + sqrt(1 - a^2) xi from x_0 = FIRST."""
    m, variance = A**n * FIRST, 1 - A ** (2 * n)
    return 2 * mean_distance(m, math.sqrt(variance + 1)) - 2 * math.sqrt(variance / math.pi) - 2 / math.sqrt(math.pi)


@pytest.fixture(scope="module")
def process():
    relaxing = lm.noisy(lm.wrap(lambda x: A * x, state_shape=1), scale=math.sqrt(1 - A**2), seed=1)
    x0 = np.full((300, 1), FIRST)
    return lm.burn_in(relaxing, x0, n_steps=120, n_resamples=100, seed=0), relaxing, x0


def test_distances_are_those_of_the_known_distributions(process):
    found = process[0]
    for n in (0, 1, 3, 6, 10, 15, 25):
        assert abs(found.distance[n] - exact(n)) < 4.5 * found.stderr[n] + 1e-12, n
    # The last is compared with itself, and so tells nothing of how large chance is.
    assert found.distance[-1] == pytest.approx(0, abs=1e-12)


def test_burn_in_ends_where_the_known_distance_falls_under_chance(process):
    found = process[0]
    expected = next(n for n in range(120) if exact(n) <= found.threshold)
    low, high = found.burn_in_interval
    assert low <= expected <= high
    assert abs(found.burn_in - expected) <= 6
    assert 5 < found.burn_in < 40
    assert found.threshold == found.noise > 0


def test_distances_are_sums_over_pairs_and_scipys(process):
    found, relaxing, x0 = process
    orbit = lm.trajectory(relaxing, x0, n_steps=120).states[..., 0]
    off = ~np.eye(300, dtype=bool)
    late = orbit[:, -1]
    for n in (2, 12, 40):
        x = orbit[:, n]
        cross, own, end = (np.abs(a[:, None] - b[None])[off].mean() for a, b in ((x, late), (x, x), (late, late)))
        assert found.distance[n] == pytest.approx(2 * cross - own - end, abs=1e-7)
        assert found.distance[n] == pytest.approx(energy_distance(x, late) ** 2, abs=0.02)


def test_a_contraction_ends_at_the_tolerance():
    x0 = np.random.default_rng(0).standard_normal((40, 2))
    for tolerance, steps in ((1e-3, 10), (0.1, 4), (2.0**-6, 6)):
        found = lm.burn_in(HALF, x0, n_steps=60, tolerance=tolerance, seed=0)
        assert found.burn_in == steps
        assert found.burn_in_interval.tolist() == [steps, steps] or abs(found.burn_in_interval - steps).max() <= 1


@settings(max_examples=15, deadline=None)
@given(st.floats(1e-3, 1e3), st.integers(0, 5))
def test_the_unit_does_not_matter(scale, seed):
    x0 = np.random.default_rng(seed).standard_normal((20, 2))
    plain = lm.burn_in(HALF, x0, n_steps=40, n_resamples=20, seed=0)
    scaled = lm.burn_in(HALF, scale * x0, n_steps=40, n_resamples=20, seed=0)
    assert scaled.burn_in == plain.burn_in
    np.testing.assert_allclose(scaled.distance, scale * plain.distance, rtol=1e-6, atol=1e-7 * scale)


def test_states_that_are_all_alike_have_no_burn_in():
    assert lm.burn_in(HALF, np.zeros((20, 2)), n_steps=20, seed=0).burn_in == 0
    assert lm.burn_in(lm.wrap(lambda x: 1.0 * x, state_shape=2), np.ones((20, 2)) * 7e5, n_steps=20).burn_in == 0


def test_a_drift_has_none_either_and_says_so():
    drift = lm.wrap(lambda x: x + 0.1, state_shape=1)
    x0 = np.random.default_rng(0).uniform(0, 0.1, (30, 1))
    with pytest.raises(RunError, match=r"still changes after 20 of 40 steps.*raise n_steps"):
        lm.burn_in(drift, x0, n_steps=40, seed=0)
    found = lm.burn_in(drift, x0, n_steps=40, seed=0, throw=False)
    assert math.isnan(found.burn_in)
    assert found.burn_in_interval.tolist() == [math.inf, math.inf]


def test_features_and_fewer_steps():
    x0 = np.random.default_rng(0).standard_normal((30, 2))
    whole = lm.burn_in(HALF, x0, n_steps=40, seed=0)
    some = lm.burn_in(HALF, x0, n_steps=40, every=4, seed=0)
    np.testing.assert_array_equal(some.at, np.arange(0, 41, 4))
    np.testing.assert_array_equal(some.distance, whole.distance[::4])
    first = lm.burn_in(HALF, x0, n_steps=40, features=lambda x: x[:, :1], seed=0)
    only = lm.burn_in(lm.wrap(lambda x: 0.5 * x, state_shape=1), x0[:, :1], n_steps=40, seed=0)
    np.testing.assert_allclose(first.distance, only.distance, rtol=1e-12)


def test_escape():
    square = lm.wrap(lambda x: x * x, state_shape=1)
    x0 = np.linspace(0, 3, 20)[:, None]
    with pytest.raises(RunError, match="not finite after step 10"):
        lm.burn_in(square, x0, n_steps=40)
    found = lm.burn_in(square, x0, n_steps=40, throw=False)
    assert found.status == "escaped"
    assert len(found.at) == len(found.distance) == 10


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        ({"n_steps": 3}, "n_steps: expected at least 4"),
        ({"every": 0}, "every: expected at least 1"),
        ({"every": 50}, "every: expected at most n_steps"),
        ({"tolerance": -1}, "tolerance: expected a positive"),
        ({"n_resamples": 5}, "n_resamples: expected at least 20"),
        ({"level": 2}, "level: expected a probability"),
        ({"features": lambda x: x[:3]}, "features: expected 20 rows"),
        ({"features": lambda x: x * np.nan}, "features: expected finite values"),
    ],
)
def test_bad_arguments(given_, words):
    with pytest.raises(LyapmapError, match=words):
        lm.burn_in(HALF, np.ones((20, 2)), **{"n_steps": 40} | given_)


def test_too_few_states_and_nan():
    with pytest.raises(ShapeError, match="16 independent states at least, got 1"):
        lm.burn_in(HALF, np.ones(2), n_steps=40)
    with pytest.raises(LyapmapError, match="not finite"):
        lm.burn_in(HALF, np.full((20, 2), np.nan), n_steps=40)


def test_ctrl_c():
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        lm.burn_in(HALF, np.ones((20, 2)), n_steps=40, progress=stop)


@pytest.mark.parametrize("suffix", ["nc", "npz"])
def test_save_and_load(process, tmp_path, suffix):
    found = process[0]
    again = lm.BurnIn.load(found.save(tmp_path / f"x.{suffix}"))
    for name in found.DIMS:
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
    assert (again.burn_in, again.noise, again.settings) == (found.burn_in, found.noise, found.settings)
