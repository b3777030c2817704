"""Trajectories on several attractors are told apart, those on one are not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lyapmap as lm
from lyapmap.analysis.exponents.endings import group_trajectories


def group(exponents, error=0.01, periods=None):
    values = np.asarray(exponents, float).reshape(len(exponents), -1)
    return group_trajectories(
        values, np.full(values.shape, error), np.zeros(len(values), int) if periods is None else periods
    )


def test_a_gap_parts_and_the_largest_group_comes_first():
    assert group([0.1, 0.5, 0.51, 0.49]).tolist() == [1, 0, 0, 0]
    assert group([0.1, 0.13, 0.16]).tolist() == [0, 0, 0]
    assert group([[0.5, -1.0], [0.5, -2.0], [0.5, -1.01]]).tolist() == [0, 1, 0]


def test_cycles_of_different_periods_are_apart():
    assert group([0.1, 0.1, 0.1], periods=np.array([2, 3, 2])).tolist() == [0, 1, 0]


def test_without_an_error_nothing_is_told_apart():
    assert group([0.1, 9.0], error=np.inf).tolist() == [0, 0]


@given(st.integers(0, 10_000), st.integers(2, 300))
def test_one_distribution_is_one_group(seed, b):
    values = 0.3 + 0.01 * np.random.default_rng(seed).standard_normal((b, 3))
    assert group(values).max() <= (1 if b < 30 else 0)  # a few far ones may stand apart by chance
    assert np.bincount(group(values))[0] >= b - 1


def two_attractors():
    """Slope 3 on [0, 1), slope 5 on [1, 2): both invariant."""
    step = lambda x: np.where(x < 1, (3 * x) % 1, 1 + (5 * (x - 1)) % 1)  # noqa: E731
    return lm.wrap(step, state_shape=1)


def test_a_map_with_two_attractors_reports_both():
    x0 = np.sqrt([[0.1], [0.2], [1.3], [1.7], [0.7], [0.77]])
    s = lm.lyapunov_spectrum(two_attractors(), x0, n_steps=300, seed=0)
    assert s.group.tolist() == [0, 0, 1, 1, 0, 0]
    first, second = s.groups
    assert (first["trajectories"], second["trajectories"]) == (4, 2)
    assert first["exponents"][0] == pytest.approx(np.log(3))
    assert second["exponents"][0] == pytest.approx(np.log(5))
    assert (first["attractor"], second["attractor"]) == ("chaotic", "chaotic")
    assert "2 attractors" in s.message
    assert s.stderr[0] > 0.05  # the mean of both is no exponent of either


def test_islands_and_the_sea_of_the_standard_map_are_told_apart():
    x0 = np.random.default_rng(0).uniform(0, 2 * np.pi, (40, 2))
    s = lm.lyapunov_spectrum(lm.systems.standard(), x0, n_steps=20_000, transient=100, seed=0)
    assert len(s.groups) >= 2
    islands = [g for g in s.groups if "torus" in g["attractor"]]
    sea = [g for g in s.groups if g["attractor"] == "chaotic"]
    assert islands
    assert sea
    assert max(g["exponents"][0] for g in islands) < 0.005 < min(g["exponents"][0] for g in sea)
    failed = {check.name for check in s.check() if not check.passed}
    assert "trajectories" in failed


def test_one_attractor_has_no_groups():
    m = lm.systems.henon()
    s = lm.lyapunov_spectrum(m, m.initial_states(32, 0), n_steps=2000, transient=100, seed=0)
    assert s.groups == ()
    assert not s.group.any()
    assert s.message == ""
