"""Correlation dimension: published and exact values, a second estimator, and data that have none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist

import lyapmap as lm
from lyapmap.analysis.dimension.correlation import CorrelationDimension
from lyapmap.core.errors import LyapmapError, RunError
from series_samples import henon_points, logistic_series, lorenz_points


def test_henon_is_near_the_published_value():
    """P. Grassberger and I. Procaccia (1983): 1.22."""
    found = [lm.correlation_dimension(henon_points(20_000, seed), seed=0) for seed in (0, 1)]
    for result in found:
        assert 1.19 <= result.dimension <= 1.26
        assert abs(result.dimension - 1.220) < 3 * result.stderr
        assert result.stderr < 0.08


def test_lorenz_is_near_the_published_value():
    """P. Grassberger and I. Procaccia (1983): 2.05 +- 0.01."""
    result = lm.correlation_dimension(lorenz_points(6000, 0.05)[0], seed=0)
    assert abs(result.dimension - 2.05) < 2.5 * np.hypot(result.stderr, 0.01)
    assert result.theiler > 10


@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_filled_cubes(d):
    points = np.random.default_rng(d).uniform(size=(6000, d))
    result = lm.correlation_dimension(points, seed=0)
    assert abs(result.dimension - d) < 2.5 * result.stderr
    assert result.stderr < 0.06 * d + 0.01


def test_correlation_sum_of_a_line_is_exact():
    """For [0, 1], C(r) = 2 r - r^2."""
    points = np.random.default_rng(0).uniform(size=(4000, 1))
    result = lm.correlation_dimension(points, theiler=0, radii=np.geomspace(0.003, 0.3, 20), max_pairs=10**8)
    np.testing.assert_allclose(result.correlation_sum, 2 * result.radii - result.radii**2, rtol=0.03)


def test_regular_orbits_on_circle_and_torus():
    angle = np.arange(6000)[:, None] * np.array([1.0, np.sqrt(2)])
    circle = lm.correlation_dimension(np.concatenate([np.cos(angle[:, :1]), np.sin(angle[:, :1])], axis=1), seed=0)
    torus = lm.correlation_dimension(np.concatenate([np.cos(angle), np.sin(angle)], axis=1), seed=0)
    assert abs(circle.dimension - 1) < 2 * circle.stderr < 0.3
    assert abs(torus.dimension - 2) < 2 * torus.stderr < 0.6


def test_logistic_has_its_logarithmic_correction():
    """Its invariant density gives C(r) ~ r log(c / r), whose local slope is 1 - 1 / log(c / r)."""
    result = lm.correlation_dimension(logistic_series(20_000)[:, None], seed=0)
    exact = np.sin(np.pi / 2 * (np.arange(200_000) + 0.5) / 200_000) ** 2
    low, high = result.window
    sums = [(np.searchsorted(exact, exact + r, side="right") - np.arange(1, 200_001)).mean() for r in (low, high)]
    expected = np.log(sums[1] / sums[0]) / np.log(high / low)
    assert abs(result.dimension - expected) < 3 * result.stderr
    assert 0.8 < result.dimension < 1


def test_takens_estimator_agrees():
    """F. Takens (1985): -1 / <log(r / r0)> over the pairs closer than r0."""
    points = henon_points(3000)
    result = lm.correlation_dimension(points, theiler=0, seed=0)
    distances = pdist(points)
    low, high = result.window
    inside = distances[(distances > 0) & (distances < high)]
    assert abs(-1 / np.log(inside / high).mean() - result.dimension) < 0.06
    some = int(np.searchsorted(result.radii, low))
    assert result.pairs[some] == (distances <= result.radii[some]).sum()


def test_pairs_close_in_time_do_not_count():
    points = lorenz_points(1500, 0.02)[0]
    result = lm.correlation_dimension(points, theiler=40, radii=[0.5, 1.0, 2.0, 4.0], throw=False)
    i, j = np.triu_indices(1500, 41)
    distances = np.linalg.norm(points[i] - points[j], axis=1)
    assert result.pairs.tolist() == [int((distances <= r).sum()) for r in result.radii]
    assert result.correlation_sum[-1] == pytest.approx(result.pairs[-1] / len(distances))


def test_trajectories_count_pairs_between_each_other():
    path = lm.trajectory(lm.systems.henon(), lm.systems.henon().initial_states(3, 0), n_steps=299, transient=100)
    result = lm.correlation_dimension(path, theiler=2, radii=np.geomspace(0.01, 0.5, 12), throw=False)
    rows = path.states.reshape(-1, 2)
    i, j = np.triu_indices(900, 1)
    apart = (i // 300 != j // 300) | (j - i > 2)
    distances = np.linalg.norm(rows[i] - rows[j], axis=1)[apart]
    assert result.pairs.tolist() == [int((distances <= r).sum()) for r in result.radii]


@settings(max_examples=8)
@given(scale=st.floats(1e-6, 1e6), shift=st.floats(-100, 100), turn=st.floats(0, 6.28))
def test_similar_sets_have_the_same_dimension(scale, shift, turn):
    points = henon_points(1500)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    first = lm.correlation_dimension(points, seed=0)
    moved = lm.correlation_dimension(scale * (points @ rotation.T + shift), theiler=first.theiler, seed=0)
    assert abs(moved.dimension - first.dimension) < 0.5 * first.stderr + 0.01


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (np.ones((500, 2)), "1 place: a fixed point has dimension 0"),
        (np.tile([[0.0], [1.0]], (500, 1)), "cycle of 2 points"),
        (np.round(henon_points(3000), 1), "coincide"),
        (np.random.default_rng(0).normal(size=(500, 25)), "too few close pairs"),
    ],
)
def test_sets_without_a_dimension_say_why(points, words):
    result = lm.correlation_dimension(points, seed=0, throw=False)
    assert result.status == "not_converged"
    assert words in result.message
    with pytest.raises(RunError, match="not_converged"):
        lm.correlation_dimension(points, seed=0)


def test_a_few_duplicates_are_left_out_and_told():
    points = henon_points(4000)
    twice = lm.correlation_dimension(np.concatenate([points, points[:50]]), seed=0)
    once = lm.correlation_dimension(points, seed=0)
    assert "50 pairs of points coincide" in twice.message
    assert abs(twice.dimension - once.dimension) < 2 * once.stderr


def test_window_of_the_callers():
    points = np.random.default_rng(1).uniform(size=(3000, 2))
    result = lm.correlation_dimension(points, window=(0.02, 0.1), seed=0)
    assert 0.02 <= result.window[0] < result.window[1] <= 0.1
    outside = lm.correlation_dimension(points, window=(50, 60), seed=0, throw=False)
    assert outside.status == "not_converged"
    assert np.isnan(outside.dimension)


def test_the_error_covers_the_spread_over_samples():
    found = [
        lm.correlation_dimension(np.random.default_rng(s).uniform(size=(1500, 2)), theiler=0, seed=0) for s in range(20)
    ]
    inside = sum(abs(r.dimension - 2) < 2 * r.stderr for r in found)
    assert inside >= 17


@pytest.mark.parametrize(
    ("points", "options", "words"),
    [
        (np.zeros(500), {}, "points: expected"),
        (np.zeros((1, 2)), {}, "at least 100, got 1"),
        (np.full((200, 2), np.nan), {}, "not finite"),
        (henon_points(200), {"theiler": 150}, "theiler: expected less than half"),
        (henon_points(200), {"theiler": -1}, "theiler"),
        (henon_points(200), {"radii": [1.0, 0.5, 0.2, 0.1]}, "radii: expected"),
        (henon_points(200), {"window": (2, 1)}, "window: expected"),
        (henon_points(200), {"metric": "x"}, "metric"),
        (henon_points(200), {"max_pairs": 10}, "max_pairs"),
    ],
)
def test_bad_input(points, options, words):
    with pytest.raises(LyapmapError, match=words):
        lm.correlation_dimension(points, **options)


@pytest.mark.parametrize("suffix", [".nc", ".npz"])
@pytest.mark.parametrize("points", [henon_points(500), np.ones((200, 2))])
def test_save_and_load(points, suffix, tmp_path):
    result = lm.correlation_dimension(points, seed=0, throw=False)
    loaded = CorrelationDimension.load(result.save(tmp_path / f"r{suffix}"))
    assert loaded.to_dict() == result.to_dict()
    loaded.plot().savefig(tmp_path / "p.png", dpi=40)
