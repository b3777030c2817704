"""Maps on an interval whose fixed points, steps and basins are known by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

import lyapmap as lm
from lyapmap.analysis.orbits.interval_map import interval_map
from lyapmap.core.errors import LyapmapError, ShapeError


class Broken:
    """Joins given corners by straight lines."""

    state_shape = (1,)

    def __init__(self, x, y):
        self.x, self.y = np.array(x, float), np.array(y, float)

    def apply(self, x):
        return np.interp(x, self.x, self.y)

    def jacobian(self, x):
        slopes = np.diff(self.y) / np.diff(self.x)
        place = np.clip(np.searchsorted(self.x, x, side="right") - 1, 0, len(slopes) - 1)
        return slopes[place].reshape(len(x), 1, 1)


STAIRS = Broken([0, 0.3, 0.4, 0.7, 0.75, 1], [0.2, 0.2, 0.5, 0.5, 0.9, 0.9])


def test_stairs_have_their_steps_fixed_points_and_basins():
    found = interval_map(STAIRS, (0, 1), n_grid=1001)
    # Risers cross the diagonal where 0.2 + 3 (x - 0.3) = x and 0.5 + 8 (x - 0.7) = x.
    np.testing.assert_allclose(found.fixed_points, [0.2, 0.35, 0.5, 5.1 / 7, 0.9], atol=1e-12)
    np.testing.assert_allclose(found.multipliers, [0, 3, 0, 8, 0], atol=1e-12)
    np.testing.assert_allclose(found.steps, [[0, 0.3], [0.4, 0.7], [0.75, 1]], atol=0.0011)
    np.testing.assert_allclose(found.basin_shares, [0.35, 0, 0.3786, 0, 0.2714], atol=0.0021)
    assert found.in_a_step.mean() == pytest.approx(0.85, abs=0.004)
    assert found.settled_after[0] == 1
    assert found.settled_after[200] == 0
    assert (found.settled_after[found.in_a_step] <= 1).all()
    assert set(np.unique(found.ends.round(9))) <= {0.2, 0.35, 0.5, 0.9}


def test_a_riser_is_left_in_the_iterations_that_its_slope_allows():
    # From 0.35 + d the distance triples with each iteration, until it leaves the riser at 0.4.
    found = interval_map(STAIRS, (0, 1), n_grid=100_001)
    start = 35_000 + 100  # 0.351
    leaves = int(np.ceil(np.log(0.05 / 0.001) / np.log(3)))
    assert found.settled_after[start] == leaves + 1


@settings(max_examples=15)
@given(st.floats(0.5, 3), st.floats(0.05, 0.4))
def test_fixed_points_and_slopes_agree_with_a_second_way(steepness, shift):
    f = lm.wrap(
        lambda x: np.tanh(steepness * x + shift),
        state_shape=(1,),
        jacobian=lambda x: (steepness / np.cosh(steepness * x + shift) ** 2)[:, :, None],
    )
    found = interval_map(f, (-1, 1), n_grid=401, n_steps=300)

    def height(x):
        return np.tanh(steepness * x + shift) - x

    x = np.linspace(-1, 1, 903)  # another grid
    crossing = np.flatnonzero(height(x[:-1]) * height(x[1:]) < 0)
    roots = [brentq(height, x[i], x[i + 1], xtol=1e-14) for i in crossing]
    if len(roots) == len(found.fixed_points):  # two near a tangency may fall between places of either grid
        np.testing.assert_allclose(found.fixed_points, roots, atol=1e-10)
        h = 1e-6
        slopes = [
            (np.tanh(steepness * (r + h) + shift) - np.tanh(steepness * (r - h) + shift)) / (2 * h) for r in roots
        ]
        np.testing.assert_allclose(found.multipliers, slopes, atol=1e-5)
    else:
        assert abs(len(roots) - len(found.fixed_points)) == 2
    stable = np.abs(found.multipliers) < 1
    # Ends are stable fixed points, but for starts on an unstable one.
    assert stable.any()
    assert (found.basin_shares[~stable] <= 2 / 401).all()


def test_a_cycle_is_no_end():
    found = interval_map(Broken([0, 0.25, 0.75, 1], [0.9, 0.9, 0.1, 0.1]), (0, 1), n_grid=101)
    np.testing.assert_allclose(found.fixed_points, [0.5])
    np.testing.assert_allclose(found.multipliers, [-1.6])
    assert (np.delete(found.settled_after, 50) == -1).all()
    assert (np.delete(found.basin, 50) == -1).all()
    assert found.basin[50] == 0


def test_flat_pieces_of_the_same_height_are_one_step_and_narrow_ones_none():
    # A dent of 0.015 joins two pieces of one step; the piece from 0.8 to 0.805 is too narrow.
    f = Broken([0, 0.3, 0.31, 0.32, 0.5, 0.8, 0.805, 1], [0.1, 0.1, 0.115, 0.1, 0.1, 0.6, 0.6, 1])
    found = interval_map(f, (0, 1), n_grid=4001)
    np.testing.assert_allclose(found.steps, [[0, 0.5]], atol=0.001)


@pytest.mark.parametrize(
    ("f", "bounds", "options", "error", "words"),
    [
        (lm.systems.henon(), (0, 1), {}, ShapeError, "expected states of one value"),
        (lm.noisy(STAIRS, scale=0.1), (0, 1), {}, LyapmapError, "does not depend on the step"),
        (Broken([0, 1], [0, 1]), (0, 1), {}, LyapmapError, "no single fixed points"),
        (Broken([0, 1], [0, np.nan]), (0, 1), {}, LyapmapError, "not finite"),
        (STAIRS, (1, 0), {}, LyapmapError, "bounds: expected (low, high)"),
        (STAIRS, (0, 1), {"n_grid": 2}, LyapmapError, "n_grid: expected at least 3"),
        (STAIRS, (0, 1), {"tolerance": 0}, LyapmapError, "tolerance: expected a positive"),
    ],
)
def test_bad_input(f, bounds, options, error, words):
    with pytest.raises(error) as caught:
        interval_map(f, bounds, **options)
    assert words in str(caught.value)
