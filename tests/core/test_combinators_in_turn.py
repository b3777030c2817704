"""Maps that take turns, against what they do one after the other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lyapmap as lm
from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.core.propagate import step_states


def scaled(factor, n=2):
    return lm.wrap(lambda x: factor * x, state_shape=n, jacobian=lambda x: np.tile(factor * np.eye(n), (len(x), 1, 1)))


@settings(max_examples=15)
@given(st.lists(st.floats(-3, 3), min_size=1, max_size=5), st.integers(0, 12), st.integers(0, 7))
def test_steps_are_those_of_the_parts_in_their_order(shifts, n_steps, first):
    turns = lm.in_turn(*(lm.wrap(lambda x, s=s: 0.5 * x + s, state_shape=1) for s in shifts))
    x = np.array([[0.3]])
    wanted = x
    for step in range(first, first + n_steps):
        wanted = 0.5 * wanted + shifts[step % len(shifts)]
    np.testing.assert_allclose(step_states(turns, x, n_steps=n_steps, first_step=first), wanted, atol=1e-12)


def test_exponents_are_means_over_a_turn_and_those_of_the_whole_turn_their_sum():
    parts = [lm.systems.linear_map(e) for e in ([0.1, -0.5], [-0.3, -0.1], [0.5, -0.9])]
    turns = lm.in_turn(*parts)
    found = lm.lyapunov_spectrum(turns, [1.0, 1.0], n_steps=300, seed=0).exponents
    whole = lm.lyapunov_spectrum(turns.whole_turn(), [1.0, 1.0], n_steps=100, seed=0).exponents
    np.testing.assert_allclose(found, [0.1, -0.5], atol=0.01)
    np.testing.assert_allclose(whole, 3 * found, atol=0.05)
    assert turns.period == 3


def test_whole_turn_may_begin_anywhere():
    turns = lm.in_turn(scaled(2.0), lm.wrap(lambda x: x + 1, state_shape=2))
    x = np.ones((1, 2))
    assert turns.whole_turn().apply(x).tolist() == [[3, 3]]
    assert turns.whole_turn(1).apply(x).tolist() == [[4, 4]]
    y, tangents = turns.jvp(x, np.ones((1, 2, 1)))
    assert y.tolist() == [[2, 2]]
    assert tangents.ravel().tolist() == [2, 2]
    assert turns.jacobian(x)[0].tolist() == [[2, 0], [0, 2]]


def test_bad_input():
    with pytest.raises(LyapmapError, match="expected at least one map"):
        lm.in_turn()
    with pytest.raises(ShapeError, match="cannot join states"):
        lm.in_turn(scaled(1.0, 2), scaled(1.0, 3))
    with pytest.raises(LyapmapError, match="depends on the step"):
        lm.in_turn(lm.noisy(scaled(1.0), scale=0.1))
    with pytest.raises(LyapmapError, match="does not come to rest"):
        lm.settling(lm.in_turn(scaled(0.5)), [1.0, 1.0], n_steps=3)
