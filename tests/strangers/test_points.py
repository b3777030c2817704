"""Sets of points as strangers bring them, with dimensions from closed forms or published: no wrong number is ok."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest

import lyapmap as lm
from lyapmap.analysis.neighbors.duplicates import drop_duplicates
from lyapmap.analysis.neighbors.graph import neighbor_graph, pairs_within
from lyapmap.core.errors import LyapmapError
from series_samples import henon_points, logistic_series, lorenz_points

METHODS = ("gride", "twonn", "mle", "pca", "correlation")
IMAGES = np.random.default_rng(0).random((300, 6, 6))
COLOURS = np.random.default_rng(1).random((300, 3, 4, 5))


def holds(found, truth, sigmas=2.5):
    """Whether a number agrees with the truth, or the status says that there is none."""
    if str(found.status) != "ok":
        return True
    return abs(found.dimension - truth) < sigmas * found.stderr


@pytest.mark.parametrize("images", [IMAGES, COLOURS, np.moveaxis(COLOURS, 1, -1), IMAGES > 0.5])
def test_images_are_points_in_every_function(images):
    flat = images.reshape(len(images), -1).astype(float)
    for method in METHODS:
        given, rows = (lm.intrinsic_dimension(x, method=method, seed=0, throw=False) for x in (images, flat))
        assert given.n_points == rows.n_points == 300
        np.testing.assert_equal([given.dimension, given.stderr], [rows.dimension, rows.stderr])
    functions = {
        "correlation": lambda x: lm.correlation_dimension(x, theiler=0, seed=0, throw=False).pairs,
        "comparison": lambda x: lm.compare_dimensions({"a": x}, seed=0, throw=False).dimension,
        "precision": lambda x: lm.manifold_metrics(x[:150], x[150:], k=3, seed=0).density,
        "memorization": lambda x: lm.memorization(x[:150], x[150:], seed=0).distance,
        "graph": lambda x: neighbor_graph(x, 3)[0],
        "duplicates": lambda x: drop_duplicates(x)[0],
        "pairs": lambda x: pairs_within(x, 1.0)[1],
    }
    for name, function in functions.items():
        np.testing.assert_array_equal(function(images), function(flat), err_msg=name)


def test_trajectories_are_told_from_images_by_what_they_are():
    henon = lm.systems.henon()
    path = lm.trajectory(henon, henon.initial_states(4, 0), n_steps=499, transient=100)
    whole = lm.correlation_dimension(path, seed=0)
    assert lm.correlation_dimension(path.states, trajectories=True, seed=0).dimension == whole.dimension
    for function in (lm.correlation_dimension, lm.intrinsic_dimension):
        with pytest.raises(LyapmapError, match=r"got 4; .*trajectories \(b, N, d\) need"):
            function(path.states)
    said = lm.intrinsic_dimension(IMAGES, method="twonn").message
    assert "an array (300, 6, 6) is 300 points of 36 values" in said
    with pytest.raises(LyapmapError, match=r"expected trajectories \(b, N, d\)"):
        lm.correlation_dimension(path.states[0], trajectories=True)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [10, 25, 49])
def test_few_points_have_no_dimension(method, n):
    found = lm.intrinsic_dimension(np.random.default_rng(n).normal(size=(n, 3)), method=method, seed=0, throw=False)
    assert found.status == "not_converged"
    assert "too few for a dimension" in found.message
    assert np.isnan([found.dimension, found.stderr]).all()


@functools.cache
def sets():
    r = np.random.default_rng(3)
    turns = 2 * np.pi * r.random((600, 2))
    sphere = r.normal(size=(600, 4))
    return {
        "line in 50 dimensions": (r.random((600, 1)) @ r.normal(size=(1, 50)) + 3, 1),
        "torus": (np.concatenate([np.cos(turns), np.sin(turns)], axis=1), 2),
        "sphere": (sphere / np.linalg.norm(sphere, axis=1, keepdims=True), 3),
        "cube with a constant column": (np.c_[r.random((600, 3)), np.ones(600)], 3),
        "two clusters": (np.concatenate([r.normal(size=(300, 2)), 1000 + r.normal(size=(300, 2))]), 2),
        "rounded": (np.round(r.normal(size=(800, 3)), 1), 3),
        "rounded line": (np.round(r.random((1000, 1)), 3), 1),
        "repeated": (np.repeat(r.normal(size=(120, 2)), 5, axis=0), 2),
        "far from the origin": (1e9 + r.random((600, 2)), 2),
    }


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", list(sets()))
def test_known_dimensions_are_within_their_errors(name, method):
    points, truth = sets()[name]
    assert holds(lm.intrinsic_dimension(points, method=method, seed=0, throw=False), truth)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("noise", [0.0, 1e-15, 1e-7])
def test_a_cycle_has_no_dimension_above_zero(method, noise):
    cycle = np.tile([[0.1, 0.2], [0.4, 0.5], [0.9, 0.1]], (300, 1))
    points = cycle * (1 + noise * np.random.default_rng(0).normal(size=cycle.shape))
    if noise == 1e-7:
        points = points.astype(np.float32)
    found = lm.intrinsic_dimension(points, method=method, seed=0, throw=False)
    assert found.status == "not_converged"
    assert "dimension 0" in found.message or "discrete" in found.message


def test_a_set_of_several_dimensions_is_told():
    r = np.random.default_rng(0)
    mixed = np.zeros((1000, 3))
    mixed[:500], mixed[500:, 0] = r.random((500, 3)), 3 + r.random(500)
    assert "no single dimension" in lm.intrinsic_dimension(mixed).message


def test_a_path_sampled_finely_is_not_taken_for_the_set_that_it_winds_through():
    """Steps much shorter than strands are apart: nearest neighbours tell of the path, which has dimension 1."""
    fine = lorenz_points(2500, 0.005)[0]
    for method in METHODS:
        found = lm.intrinsic_dimension(fine, method=method, seed=0, throw=False)
        assert found.status == "not_converged"
        assert "as along a path" in found.message
    line = np.sort(np.random.default_rng(0).random((400, 1)), axis=0)
    assert lm.intrinsic_dimension(line).status == "ok"


@pytest.mark.parametrize("method", METHODS)
def test_near_pairs_have_no_dimension_of_their_own(method):
    r = np.random.default_rng(0)
    points = r.normal(size=(400, 3))
    twins = np.concatenate([points, points + 1e-6 * r.normal(size=points.shape)])
    assert holds(lm.intrinsic_dimension(twins, method=method, seed=0, throw=False), 3, sigmas=3)


def cantor(n, r):
    return (2 * r.integers(0, 2, (n, 32)) * 3.0 ** -np.arange(1, 33)).sum(axis=1)[:, None]


def sierpinski(n, r):
    corners = np.array([[0, 0], [1, 0], [0.5, 0.75**0.5]])[r.integers(0, 3, (n, 40))]
    return (corners * (2.0 ** -np.arange(1, 41))[:, None]).sum(axis=1)


def rossler(n, dt, start):
    """States of the Rössler system by Runge and Kutta's method of order 4, a = b = 0.2, c = 5.7."""

    def rate(x, y, z):
        return -y - z, x + 0.2 * y, 0.2 + z * (x - 5.7)

    sub = round(dt / 0.05)
    h, (x, y, z), states = 0.05, start, []
    for i in range(-int(200 / dt), n):
        for _ in range(sub):
            a, b, c = rate(x, y, z)
            d, e, f = rate(x + h / 2 * a, y + h / 2 * b, z + h / 2 * c)
            k, m, p = rate(x + h / 2 * d, y + h / 2 * e, z + h / 2 * f)
            q, u, s = rate(x + h * k, y + h * m, z + h * p)
            x += h / 6 * (a + 2 * (d + k) + q)
            y += h / 6 * (b + 2 * (e + m) + u)
            z += h / 6 * (c + 2 * (f + p) + s)
        if i >= 0:
            states.append((x, y, z))
    return np.array(states)


@pytest.mark.parametrize(("n", "seed"), [(1000, 0), (2000, 1)])
def test_correlation_dimension_within_its_error(n, seed):
    """Published: Hénon 1.22, Lorenz 2.05, Rössler 1.99 (P. Grassberger, I. Procaccia 1983); others exactly."""
    r = np.random.default_rng(seed)
    angle = np.arange(n)[:, None] * np.array([1.0, np.sqrt(2)])
    cases = {
        "henon": (henon_points(n, seed), 1.22),
        "logistic": (logistic_series(n, seed)[:, None], 1.0),
        "lorenz": (lorenz_points(n, 0.1)[0], 2.05),
        "rossler": (rossler(n, 0.5, (1.0 + seed, -5.0, 0.0)), 1.99),
        "torus": (np.concatenate([np.cos(angle), np.sin(angle)], axis=1), 2),
        "noise in 3": (r.normal(size=(n, 3)), 3),
        "noise in 6": (r.normal(size=(n, 6)), 6),
        "cantor": (cantor(n, r), math.log(2) / math.log(3)),
        "sierpinski": (sierpinski(n, r), math.log(3) / math.log(2)),
    }
    for name, (points, truth) in cases.items():
        found = lm.correlation_dimension(points, seed=0, throw=False)
        assert holds(found, truth, sigmas=2.2), (name, found.dimension, found.stderr)


def test_the_hidden_logarithm_is_found_where_it_is_and_not_where_a_long_curve_excludes_it():
    """C(r) of the logistic map at r = 4 is r log(c / r); that of Cantor's set a pure power."""
    logistic = lm.correlation_dimension(logistic_series(20_000)[:, None], seed=0)
    assert logistic.systematic > 2 * logistic.statistical
    assert abs(logistic.dimension - 1) < 2.5 * logistic.stderr
    pure = lm.correlation_dimension(cantor(10_000, np.random.default_rng(0)), seed=0)
    assert pure.stderr < 0.06


def test_layouts_that_differ_are_refused_and_axes_of_one_do_not_count():
    first = np.random.default_rng(0).random((60, 3, 4, 4))
    last = np.moveaxis(first, 1, -1)
    with pytest.raises(LyapmapError, match=r"expected samples of shape \(3, 4, 4\)"):
        lm.manifold_metrics(first, last, k=3)
    with pytest.raises(LyapmapError, match=r"expected samples of shape \(3, 4, 4\)"):
        lm.memorization(last, first)
    grey = first[:, :1]
    assert lm.memorization(grey[:, 0], grey, seed=0).copies == 60
    assert lm.manifold_metrics(grey, grey.reshape(60, -1), k=3, seed=0).precision[0] == 1


def test_masks_reach_every_function():
    masked = np.ma.masked_greater(IMAGES, 0.999)
    words = "rows hold masked values, the first row"
    for function in (
        lambda x: lm.intrinsic_dimension(x),
        lambda x: lm.correlation_dimension(x),
        lambda x: lm.compare_dimensions({"a": x}),
        lambda x: lm.manifold_metrics(x, IMAGES),
        lambda x: lm.manifold_metrics(IMAGES, x),
        lambda x: lm.memorization(IMAGES, x),
        lambda x: neighbor_graph(x, 2),
        lambda x: lm.ManifoldMetric().update(x, real=True),
        lambda x: lm.IntrinsicDimensionEstimator().fit(x),
        lambda x: lm.transitions(x[None], lambda states: np.zeros(len(states), int)),
        lambda x: lm.lyapunov_spectrum(lm.wrap(lambda z: z / 2, state_shape=36), x.reshape(300, 36), n_steps=5),
    ):
        with pytest.raises(LyapmapError, match=words):
            function(masked)
