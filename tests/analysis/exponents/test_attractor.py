"""What trajectories ended on: cycles and their multipliers, tori, chaos; several attractors are told apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lyapmap as lm
from lyapmap.analysis.exponents.attractor import (
    CHAOTIC,
    LONGEST_PERIOD,
    TORUS,
    UNDETERMINED,
    RepeatWatch,
    cycle_exponents,
    describe,
    find_recurrence,
    group_trajectories,
    starts_on_cycle,
)
from lyapmap.core.conformance import as_tangent_map
from lyapmap.core.propagate import random_frame, step_states
from sample_maps import Linear, logistic, orthogonal, rotation

LINE = as_tangent_map(Linear([[1.0]]))


def watched(sequence: Any, growth: float = 0.5, block: int = 1) -> RepeatWatch:
    """A watch that has seen a sequence of states of the line."""
    watch = RepeatWatch(LINE, np.array([[sequence[0]]], float), 1)
    for value in sequence[1:]:
        watch.see(np.array([[value]], float), np.array([[growth * block]]), block)
    return watch


@pytest.mark.parametrize("period", [1, 2, 3, 5, 8, 13])
@pytest.mark.parametrize("transient", [0, 1, 10])
def test_a_watch_notices_any_period(period: int, transient: int) -> None:
    sequence = [-1 - t for t in range(transient)] + [t % period for t in range(8 * (period + transient) + 8)]
    watch = watched(sequence)
    assert watch.repeats.tolist() == [True]
    assert watch.growth[0] == pytest.approx(0.5)


def test_a_watch_sees_no_repetition_in_a_sequence_without_one() -> None:
    watch = watched(np.cumsum(np.linspace(1, 2, 200)))
    assert watch.repeats.tolist() == [False]
    assert np.isnan(watch.growth[0])


def test_growth_is_that_along_the_repeating_orbit_and_not_before_it() -> None:
    watch = RepeatWatch(LINE, np.array([[9.0]]), 1)
    for t in range(40):
        watch.see(np.array([[float(max(8 - t, 0))]]), np.array([[-0.5 if t < 8 else 0.7]]), 1)
    assert watch.growth[0] == pytest.approx(0.7)


def test_the_largest_growth_counts_in_steps_of_a_block() -> None:
    watch = RepeatWatch(LINE, np.zeros((2, 1)), 2)
    for t in range(4):
        watch.see(np.array([[0.0], [1.0 + t]]), np.array([[3.0, -6.0], [1.0, 1.0]]), 3)
    assert watch.repeats.tolist() == [True, False]
    assert watch.growth[0] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("r", "period"), [(2.5, 1), (3.2, 2), (3.5, 4), (3.83, 3), (3.84, 3), (3.9, 0), (3.74, 5), (4.0, 0)]
)
def test_the_period_of_the_logistic_map_is_found(r: float, period: int) -> None:
    m = logistic(r)
    x = step_states(m, np.array([[0.3], [0.62]]), n_steps=4000)
    np.testing.assert_array_equal(find_recurrence(m, x).period, [period, period])


def test_each_trajectory_has_a_period_of_its_own() -> None:
    m = as_tangent_map(Linear(rotation(2 * np.pi / 5)))
    np.testing.assert_array_equal(find_recurrence(m, np.array([[1.0, 0.0], [0.0, 0.0]])).period, [5, 1])


def test_a_rotation_by_the_golden_mean_never_returns() -> None:
    m = as_tangent_map(Linear(rotation(np.pi * (np.sqrt(5) - 1))))
    assert find_recurrence(m, np.array([[1.0, 0.0]])).period.tolist() == [0]


@pytest.mark.parametrize(("period", "found"), [(LONGEST_PERIOD, LONGEST_PERIOD), (LONGEST_PERIOD + 1, 0)])
def test_periods_are_looked_for_up_to_the_longest(period: int, found: int) -> None:
    m = as_tangent_map(Linear(rotation(2 * np.pi / period)))
    assert find_recurrence(m, np.array([[1.0, 0.0]])).period.tolist() == [found]


def test_a_state_on_its_cycle_is_told_from_one_that_fell_onto_it() -> None:
    m = logistic(4.0)
    starts = np.array([[0.75], [0.0], [0.5], [1e-9], [np.nextafter(0.75, 1)]])
    ends = np.array([[0.75], [0.0], [0.0], [0.0], [0.75]])
    assert starts_on_cycle(m, starts, ends).tolist() == [True, True, False, False, True]


def complex_cycle() -> tuple[Any, np.ndarray]:
    """A cycle of period 3 whose multipliers are complex, with the derivative of one period."""
    rng = np.random.default_rng(3)
    matrices = [u * s for u, s in zip((orthogonal(3, t) for t in (1, 5, 9)), (0.8, 0.9, 0.7), strict=True)]
    matrices = [m + 0.1 * rng.standard_normal((3, 3)) for m in matrices]
    points = rng.standard_normal((3, 3))

    class Cycle:
        state_shape = (3,)

        def _at(self, x: np.ndarray) -> np.ndarray:
            return np.linalg.norm(x[:, None] - points, axis=2).argmin(axis=1)

        def apply(self, x: np.ndarray) -> np.ndarray:
            at = self._at(x)
            turned = np.einsum("bij,bj->bi", np.array(matrices)[at], x - points[at])
            return points[(at + 1) % 3] + turned

        def jacobian(self, x: np.ndarray) -> np.ndarray:
            return np.array(matrices)[self._at(x)]

    return as_tangent_map(Cycle()), points


def test_exponents_of_a_cycle_are_those_of_its_monodromy_matrix() -> None:
    m, points = complex_cycle()
    product = np.eye(3)
    for point in points:
        product = m.jacobian(point[None])[0] @ product
    multipliers = np.linalg.eigvals(product)
    assert np.iscomplex(multipliers).any()
    frame = random_frame(m, 1, 3, np.random.default_rng(0), "float64")
    found = cycle_exponents(m, points[:1], frame, 3)
    np.testing.assert_allclose(found[0], np.sort(np.log(np.abs(multipliers)))[::-1] / 3, rtol=1e-12)


@pytest.mark.parametrize("start", [0, 1, 2])
def test_exponents_do_not_depend_on_where_the_cycle_is_entered(start: int) -> None:
    m, points = complex_cycle()
    frame = random_frame(m, 1, 3, np.random.default_rng(start), "float64")
    wanted = cycle_exponents(m, points[:1], frame, 3)
    np.testing.assert_allclose(cycle_exponents(m, points[start : start + 1], frame, 3), wanted, rtol=1e-12)


def test_multipliers_far_beyond_the_range_of_floats_are_exact() -> None:
    m = as_tangent_map(Linear(np.diag(np.exp([-2.0, -3.0]))))
    frame = np.eye(2)[None]
    np.testing.assert_allclose(cycle_exponents(m, np.zeros((1, 2)), frame, 500), [[-2.0, -3.0]], rtol=1e-13)


def test_a_frame_that_is_not_invariant_gives_nan() -> None:
    m = as_tangent_map(Linear(rotation(1.0) * 0.9))
    assert np.isnan(cycle_exponents(m, np.zeros((1, 2)), np.array([[[1.0], [0.0]]]), 1)).all()


def test_a_superstable_cycle_has_an_exponent_of_minus_infinity() -> None:
    assert cycle_exponents(logistic(2.0), np.array([[0.5]]), np.ones((1, 1, 1)), 1).tolist() == [[-np.inf]]


@pytest.mark.parametrize(
    ("largest", "stderr", "period", "unstable", "words"),
    [
        (0.5, 0.01, 0, False, CHAOTIC),
        (0.5, 0.01, 3, False, CHAOTIC),
        (-0.5, 0.01, 1, False, "fixed point"),
        (-0.5, 0.01, 3, False, "cycle of period 3"),
        (0.0, 1e-12, 0, False, TORUS),
        (1e-10, 1e-14, 0, False, TORUS),
        (0.001, 0.001, 0, False, TORUS),
        (0.0, np.inf, 0, False, UNDETERMINED),
        (0.1, 0.1, 0, False, UNDETERMINED),
        (-0.5, 0.01, 0, False, UNDETERMINED),
        (0.7, 0.0, 1, True, "unstable fixed point"),
        (0.7, 0.0, 2, True, "unstable cycle of period 2"),
        (0.7, 0.0, 0, True, "unstable cycle"),
    ],
)
def test_attractors_in_words(largest: float, stderr: float, period: int, unstable: bool, words: str) -> None:
    assert describe(largest, stderr, period, unstable) == words


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
