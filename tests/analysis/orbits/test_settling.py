"""Settling against maps whose ends and basins are known, a plain loop, and Newton's method."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lyapmap as lm
from lyapmap.core.errors import Interrupted, LyapmapError, RunError, ShapeError

WELL = lm.wrap(lambda x: np.tanh(2 * x), state_shape=1)
FLIP = lm.wrap(lambda x: -np.tanh(2 * x), state_shape=1)
X = 0.9575040240772687
"""The positive solution of tanh(2 x) = x."""


def by_a_plain_loop(rule, x0, p, n_steps, tolerance):
    """The step from which on |x_{m+p} - x_m| stays within the tolerance."""
    orbit = [x0]
    for _ in range(n_steps + p):
        orbit.append(rule(orbit[-1]))
    orbit = np.array(orbit)
    far = np.abs(orbit[p:] - orbit[:-p]) > tolerance * np.maximum(1, np.abs(orbit[:-p]))
    far = np.flatnonzero(far[:n_steps])
    return far[-1] + 1 if far.size else 0


def test_both_basins_of_a_double_well():
    x0 = np.linspace(-2, 1, 31)[:, None] + 0.01
    found = lm.settling(WELL, x0, n_steps=200)
    assert found.status == "ok"
    np.testing.assert_allclose(found.points.ravel(), [-X, X], atol=1e-9)
    assert found.share.tolist() == [20 / 31, 11 / 31]
    assert found.period.tolist() == [1, 1]
    np.testing.assert_array_equal(found.attractor, np.where(x0[:, 0] < 0, 0, 1))
    assert found.settled_share[0] == 0
    assert found.settled_share[-1] == 1
    assert (found.unseen, found.n_estimated) == (0, 2)


@pytest.mark.parametrize(
    ("map_", "rule", "p"), [(WELL, lambda x: np.tanh(2 * x), 1), (FLIP, lambda x: -np.tanh(2 * x), 2)]
)
def test_times_are_those_of_a_plain_loop(map_, rule, p):
    x0 = np.array([-1.7, -0.001, 1e-6, 0.4, 1.2])
    found = lm.settling(map_, x0[:, None], n_steps=150, tolerance=1e-8)
    expected = [by_a_plain_loop(rule, x, p, 150, 1e-8) for x in x0]
    assert found.settled_at.tolist() == expected
    assert found.period.tolist() == ([1, 1] if p == 1 else [2])
    assert found.median_settled_at == sorted(expected)[2]
    np.testing.assert_allclose(found.settled_share[[0, max(expected)]], [0, 1])


def test_a_cycle_is_one_end_whatever_its_phase_and_newton_agrees():
    logistic = lm.systems.logistic(r=3.5)
    found = lm.settling(logistic, np.linspace(0.05, 0.95, 40)[:, None], n_steps=500)
    assert (found.period.tolist(), found.share.tolist()) == ([4], [1.0])
    cycle = lm.periodic_orbits(logistic, [0.3], period=4, seed=0)
    assert np.abs(cycle.orbits[0, :, 0] - found.points[0, 0]).min() < 1e-8


def test_chaos_does_not_settle_and_the_result_says_so():
    found = lm.settling(lm.systems.logistic(r=4.0), np.linspace(0.11, 0.93, 9)[:, None], n_steps=300)
    assert found.status == "unresolved"
    assert "9 of 9 trajectories are neither at rest" in found.message
    assert found.settled_at.tolist() == found.attractor.tolist() == [-1] * 9
    assert found.points.shape == (0, 1)
    assert np.isnan(found.unseen)
    assert found.median_settled_at == np.inf


def test_what_was_not_seen():
    x0 = np.array([0, 0, 0, 1, 1, 2, 3.0])[:, None] + 0.2
    found = lm.settling(lm.wrap(np.round, state_shape=1, jacobian=lambda x: np.zeros((len(x), 1, 1))), x0, n_steps=5)
    assert found.points.ravel().tolist() == [0, 1, 2, 3]
    assert found.unseen == 2 / 7
    assert found.n_estimated == 4 + 2 * 1 / (2 * (1 + 1))


@settings(max_examples=12, deadline=None)
@given(st.lists(st.floats(0.01, 3) | st.floats(-3, -0.01), min_size=1, max_size=12))
def test_every_start_ends_on_its_side(starts):
    x0 = np.array(starts)[:, None]
    found = lm.settling(WELL, x0, n_steps=200)
    np.testing.assert_allclose(found.points[found.attractor, 0], np.sign(starts) * X, atol=1e-8)
    assert found.share.sum() == pytest.approx(1)
    assert (np.diff(found.settled_share) >= 0).all()
    assert (found.settled_interval[:, 0] <= found.settled_share).all()


def test_escape():
    double = lm.wrap(lambda x: 2 * x, state_shape=1)
    with pytest.raises(RunError, match="escaped: 1 of 2 trajectories are not finite"):
        lm.settling(double, [[0.0], [1.0]], n_steps=1100)
    found = lm.settling(double, [[0.0], [1.0]], n_steps=1100, throw=False)
    assert found.attractor.tolist() == [0, -1]


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        ({"n_steps": 0}, "n_steps: expected at least 1"),
        ({"tolerance": 0}, "tolerance: expected a positive number"),
        ({"tolerance": 1e-3, "separation": 1e-4}, "separation: expected at least the tolerance"),
        ({"level": 1.5}, "level: expected a probability"),
        ({"longest_period": 0}, "longest_period: expected at least 1"),
    ],
)
def test_bad_arguments(given_, words):
    with pytest.raises(LyapmapError, match=words):
        lm.settling(WELL, [[0.1]], **{"n_steps": 10} | given_)


def test_bad_states_and_maps():
    with pytest.raises(ShapeError):
        lm.settling(WELL, [[0.1, 0.2]], n_steps=5)
    with pytest.raises(LyapmapError, match="not finite"):
        lm.settling(WELL, [[np.nan]], n_steps=5)
    with pytest.raises(LyapmapError, match="does not come to rest"):
        lm.settling(lm.noisy(WELL, scale=0.1), [[0.1]], n_steps=5)


def test_ctrl_c():
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(Interrupted) as caught:
        lm.settling(WELL, [[0.1]], n_steps=5, progress=stop)
    assert caught.value.result is None


@pytest.mark.parametrize("suffix", ["nc", "npz"])
@pytest.mark.parametrize("r", [3.5, 4.0])
def test_save_and_load(tmp_path, suffix, r):
    found = lm.settling(lm.systems.logistic(r=r), [[0.2], [0.7]], n_steps=400)
    again = lm.Settling.load(found.save(tmp_path / f"x.{suffix}"))
    for name in found.DIMS:
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
    assert again.settings == found.settings
    assert again.images().shape == (len(found.points), 1)
