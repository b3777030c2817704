"""Kernels of flows as plain Python, before Numba sees them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lyapmap as lm
from lyapmap.backends.numba import flow_kernels


@settings(max_examples=25)
@given(n=st.integers(1, 4), seed=st.integers(0, 10_000), density=st.floats(0, 1), h=st.floats(0.01, 0.3))
def test_straight_line_code_is_the_derivative_of_a_step(n, seed, density, h):
    """A random quadratic field with zeros in its Jacobian, against the generic integrator."""
    rng = np.random.default_rng(seed)
    pattern = rng.random((n, n)) < density
    a, b = rng.normal(0, 1, (2, n, n)) * pattern

    def step(q, *x):
        (forcing,) = q
        velocity = tuple(forcing + sum(a[i, j] * x[j] + b[i, j] * x[j] ** 2 for j in range(n)) for i in range(n))
        marked = itertools.product(range(n), range(n))
        return velocity, tuple(a[i, j] + 2 * b[i, j] * x[j] for i, j in marked if pattern[i, j])

    text, full = flow_kernels.rk4_source(n, pattern.tolist())
    namespace = {"field": step}
    exec(text, namespace)
    x = rng.normal(0, 0.5, n)
    image, entries = namespace["step"]((h, 0.3), *x)
    jacobian = np.zeros((n, n))
    jacobian[np.array(full)] = entries
    m = lm.flow(lambda s: 0.3 + s @ a.T + s**2 @ b.T, h, state_shape=n, method="rk4", steps=1)
    np.testing.assert_allclose(image, m.apply(x[None])[0], atol=1e-12)
    np.testing.assert_allclose(jacobian, m.jacobian(x[None])[0], atol=1e-10)


@pytest.fixture
def damped(monkeypatch):
    """dx/dt = -q x^3 in the place of a field."""

    def field(q, x, y):
        y[:] = -q[0] * x**3

    def field_tangents(q, x, v, u):
        u[:, : len(x)] = -3 * q[0] * x**2 * v[:, : len(x)]

    monkeypatch.setattr(flow_kernels, "field", field)
    monkeypatch.setattr(flow_kernels, "field_tangents", field_tangents)


@pytest.mark.parametrize(
    ("advance", "p"), [(flow_kernels.rk4, (0.5, 0.3)), (flow_kernels.dopri5, (0.5, 1e-8, 1e-8, 0.3))]
)
def test_padding_of_tangents_stays_zero(advance, p, damped):
    x = np.array([1.0, -0.5])
    v = np.zeros((3, 4))
    v[:, :2] = np.random.default_rng(0).standard_normal((3, 2))
    y, u = np.empty(2), np.full((3, 4), np.nan)
    advance(p, x, v, y, u, np.empty(0))
    exact = x / np.sqrt(1 + 2 * 0.3 * 0.5 * x**2)
    np.testing.assert_allclose(y, exact, rtol=2e-5)
    np.testing.assert_allclose(u[:, :2], v[:, :2] * (exact / x) ** 3, rtol=2e-4)
    np.testing.assert_array_equal(u[:, 2:], 0)


def test_adaptive_kernel_takes_the_steps_of_the_generic_one(damped):
    x = np.array([1.5, -0.5, 2.0])
    y = np.empty(3)
    none = np.empty((0, 3))
    flow_kernels.dopri5((2.0, 1e-6, 1e-6, 0.3), x, none, y, none, np.empty(0))
    m = lm.flow(lambda s: -0.3 * s**3, 2.0, state_shape=3, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(y, m.apply(x[None])[0], atol=1e-14)


@pytest.mark.parametrize("start", [2.0, 1e200, np.nan])
def test_adaptive_kernel_gives_nan_where_it_cannot_go_on(start, damped):
    """dx/dt = x^3 leaves for infinity within 1 / (2 x^2)."""
    y, u = np.empty(1), np.empty((1, 1))
    with np.errstate(all="ignore"):
        flow_kernels.dopri5((1.0, 1e-6, 1e-6, -1.0), np.array([start]), np.ones((1, 1)), y, u, np.empty(0))
    assert np.isnan(y[0])
    assert np.isnan(u[0, 0])


def test_what_grows_within_a_long_step_is_kept_apart(damped, monkeypatch):
    """At rest, with a tangent that grows by e^1200: with its logarithm beside it, it stays finite."""
    x, v, y, u, logs = np.zeros(1), np.ones((1, 1)), np.empty(1), np.empty((1, 1)), np.zeros(1)

    def growing(q, x, v, u):
        u[:, :1] = 30.0 * v[:, :1]

    monkeypatch.setattr(flow_kernels, "field_tangents", growing)
    with np.errstate(over="ignore"):
        flow_kernels.dopri5((40.0, 1e-8, 1e-8, -0.1), x, v, y, u, logs)
    assert np.isfinite(u).all()
    np.testing.assert_allclose(logs + np.log(np.abs(u[0])), 1200.0, rtol=1e-4)
