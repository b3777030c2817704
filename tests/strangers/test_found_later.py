"""Faults that came to light by trying to break lyapmap; right values are closed forms."""

import math

import numpy as np
import pytest

import lyapmap as lm
from lyapmap.analysis.exponents.attractor import LONGEST_PERIOD_OF_FLOW, find_recurrence
from lyapmap.core.map import TangentMap
from lyapmap.core.ops import NumpyOps

FAST = 1e4
"""A rate whose growth over one tau, exp(-5000), is no number."""


def _decay(s):
    return -FAST * s


def _followed(t, s):
    return -FAST * (s - np.cos(t))


def _slower(s):
    return -1e3 * s


@pytest.mark.parametrize(
    ("flow", "rate"),
    [
        (lambda: lm.flow(_decay, 0.5, state_shape=1), FAST),
        (lambda: lm.flow(_followed, 0.5, state_shape=1), FAST),
        (lambda: lm.iterate(lm.flow(_slower, 0.5, state_shape=1), 2), 1e3),
    ],
    ids=["at rest", "forced", "iterated"],
)
def test_growth_that_underflows_within_a_step_is_kept(flow, rate):
    spectrum = lm.lyapunov_spectrum(flow(), [1.0], n_steps=10, transient=1, seed=0, throw=False)
    assert spectrum.exponents[0] == pytest.approx(-rate, rel=1e-3)


def _batch(t, x):
    return np.stack([x[:, 1], -x[:, 0] - 0.2 * x[:, 1] + np.cos(1.3 * t)], 1)


def _as_scipy_has_it(t, y):
    return [y[1], -y[0] - 0.2 * y[1] + np.cos(1.3 * t)]


def _with_math(t, y):
    return np.array([y[1], -y[0] - 0.2 * y[1] + math.cos(1.3 * t)])


@pytest.mark.parametrize("field", [_batch, _as_scipy_has_it, _with_math])
def test_fields_of_time_have_exact_derivatives(field):
    forced = lm.flow(field, 1.0, state_shape=2)
    assert forced.derivative in ("complex step", "dual numbers")
    z = np.array([[0.3, -0.2, 0.7], [0.1, 0.5, 0.4]])
    expected = [[[0, 1, 0], [-1, -0.2, -1.3 * np.sin(1.3 * t)], [0, 0, 0]] for t in z[:, 2]]
    np.testing.assert_allclose(forced.inner.field.jacobian(z), expected, atol=1e-8)


def test_an_image_that_rounding_holds_still_is_not_flat():
    spectrum = lm.lyapunov_spectrum(
        lm.wrap(lambda x: np.mod(1e300 * x, 1), state_shape=1), [[0.3]], n_steps=100, seed=0, throw=False
    )
    assert str(spectrum.status) == "collapsed"


def test_orbits_of_flows_are_not_followed_for_long():
    class Counted(TangentMap):
        steps = 0
        state_shape, ops, time_per_step = (1,), NumpyOps(), 1.0

        def apply(self, x):
            self.steps += 1
            return x + 1

        def jvp(self, x, v):
            return self.apply(x), v

    counted = Counted()
    assert find_recurrence(counted, np.zeros((1, 1))).period[0] == 0
    assert counted.steps == LONGEST_PERIOD_OF_FLOW


def test_a_jump_is_not_blamed_on_a_method_that_was_not_asked_for():
    relay = lm.flow(lambda s: -s - np.sign(s - 0.3), 1.0, state_shape=1)
    with pytest.raises(lm.LyapmapError, match="method: auto"):
        relay.apply(np.array([[0.4]]))


def test_whatever_a_function_raises_is_told_in_one_line():
    def fails(x):
        raise RuntimeError("no\nweights")

    with pytest.raises(lm.LyapmapError, match="no weights"):
        lm.wrap(fails, state_shape=2, backend="numpy")


def test_keys_of_random_numbers_within_a_jax_function():
    jax = pytest.importorskip("jax")

    def shifted(x):
        return 0.5 * x + jax.random.normal(jax.random.PRNGKey(0), (2,))

    wrapped = lm.wrap(shifted, state_shape=2, backend="jax")
    np.testing.assert_allclose(wrapped.jacobian(jax.numpy.zeros((1, 2)))[0], 0.5 * np.eye(2), atol=1e-6)
