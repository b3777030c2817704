"""Kaleidoscopes on a line, on the square, at the corners of the cube, over depth and width."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import lyapmap as lm
from lyapmap.analysis.orbits.interval_map import interval_map
from lyapmap.core.errors import Interrupted, LyapmapError, RunError
from lyapmap.core.results import Status
from lyapmap.models.kaleidoscope import cube, line
from lyapmap.models.kaleidoscope.cube import (
    KaleidoscopeCorners,
    KaleidoscopePlane,
    PlaneSetting,
    corner_losses,
    kaleidoscope_corners,
    kaleidoscope_plane,
    look_at_plane,
)
from lyapmap.models.kaleidoscope.line import (
    PAPER,
    KaleidoscopeDepth,
    KaleidoscopeLine,
    LineSetting,
    effects,
    kaleidoscope_depth,
    kaleidoscope_line,
    look_at_lines,
    measures_of,
)
from lyapmap.models.kaleidoscope.network import Kaleidoscope, KaleidoscopeConfig

POINTS = (-0.5, 0.5)


def stairs():
    """A network with known weights: tanh(h), h from -a to a over a riser between x = -0.1 and 0.1."""
    height = np.arctanh(0.5)
    network = Kaleidoscope(KaleidoscopeConfig(state_shape=(1,), depth=1, width=2, output="tanh")).double()
    # h(x) = -height + 10 height (relu(x + 0.1) - relu(x - 0.1))
    parts = [[1.0, 1.0], [0.1, -0.1], [10 * height, -10 * height], [-height]]
    vector = torch.tensor([value for part in parts for value in part], dtype=torch.float64)
    torch.nn.utils.vector_to_parameters(vector, network.parameters())
    return lm.wrap(network.eval(), state_shape=(1,))


@pytest.fixture(scope="module")
def stepped():
    return look_at_lines([stairs()], [LineSetting(POINTS, 1, 2, "tanh")], n_grid=2001, n_samples=40)


@pytest.fixture(scope="module")
def single():
    return kaleidoscope_line(PAPER[:1], n_grid=201)


def test_a_network_with_known_weights_has_its_steps_and_fixed_points(stepped):
    np.testing.assert_allclose(stepped.fixed_points, [[-0.5, 0, 0.5]], atol=1e-12)
    np.testing.assert_allclose(stepped.multipliers, [[0, 10 * np.arctanh(0.5), 0]], atol=1e-9)
    np.testing.assert_allclose(stepped.flat_steps, [[[-1, -0.1], [0.1, 1]]], atol=0.0011)
    np.testing.assert_allclose(stepped.basin_shares, [[1000 / 2001, 1 / 2001, 1000 / 2001]])
    assert stepped.share_at_points[0] == pytest.approx(2000 / 2001)
    x = stepped.x[0]
    expected = np.tanh(np.clip(10 * np.arctanh(0.5) * x, -np.arctanh(0.5), np.arctanh(0.5)))
    np.testing.assert_allclose(stepped.output[0], expected, atol=1e-12)
    np.testing.assert_allclose(stepped.loss[0], (expected - x) ** 2, atol=1e-12)
    # One iteration takes every start outside the riser onto a point.
    outside = np.abs(stepped.samples[0, 0]) > 0.1
    assert outside.sum() > 30
    np.testing.assert_allclose(np.abs(stepped.samples[0, 1, outside]), 0.5, atol=1e-9)
    np.testing.assert_allclose(np.abs(stepped.samples[0, -1]), 0.5, atol=1e-9)


def test_measures_of_a_network_with_known_weights():
    look = interval_map(stairs(), (-1, 1), n_grid=2001, tolerance=0.01)
    steps, flat, slope, steepest, took, share = measures_of(look, POINTS, 0.01)
    assert (steps, slope) == (2, pytest.approx(0, abs=0.01))
    assert flat == pytest.approx(0.9, abs=0.002)
    assert steepest == pytest.approx(np.log2(10 * np.arctanh(0.5)), abs=1e-6)
    assert took == 1  # log2(1 + 1): half of the starts and more need one iteration
    assert share == pytest.approx(2000 / 2001)


def test_one_point_is_learned_and_drawn_to(single):
    assert single.status is Status.OK
    assert single.fit_loss[0] <= 1e-8
    np.testing.assert_allclose(single.fixed_points, [[0.5]], atol=5e-4)
    assert single.share_at_points[0] == 1
    np.testing.assert_allclose(single.samples[0, -1], single.fixed_points[0, 0], atol=1e-6)
    again = kaleidoscope_line(PAPER[:1], n_grid=201)
    np.testing.assert_array_equal(single.output, again.output)
    np.testing.assert_array_equal(single.samples, again.samples)


@pytest.mark.slow
def test_the_papers_networks_reach_its_loss():
    found = kaleidoscope_line(n_grid=201)
    assert (found.fit_loss <= 1e-8).all()
    assert found.status is Status.OK
    assert found.points.shape == (4, 4)
    assert kaleidoscope_plane(n_grid=21).fit_loss.max() <= 1e-8


def test_what_is_not_learned_is_said():
    setting = [LineSetting(POINTS, 2, 5, "tanh")]
    with pytest.raises(RunError, match="no loss of 1e-08 with"):
        kaleidoscope_line(setting, fit_steps=5, tries=2, n_grid=21)
    found = kaleidoscope_line(setting, fit_steps=5, tries=2, n_grid=21, throw=False)
    assert (found.status, found.tries.tolist()) == (Status.NOT_CONVERGED, [2])
    assert "raise the number of tries" in found.remedy


class Pulled:
    """x -> nearest of two points, a tenth of the way left; the plane's exact case."""

    state_shape = (2,)
    points = ((0.25, 0.5), (0.75, 0.5))

    def apply(self, x):
        side = np.where(x[:, :1] < 0.5, *(np.array([p]) for p in self.points))
        return side + 0.1 * (x - side)

    def jacobian(self, x):
        return np.tile(0.1 * np.eye(2), (len(x), 1, 1))


def test_basins_of_the_square_are_known_by_hand():
    starts = np.array([[0.1, 0.1], [0.9, 0.2]])
    found = look_at_plane(Pulled(), Pulled.points, starts, n_grid=5, n_steps=20, tolerance=0.01)
    # The column x = 0.5 belongs to the right.
    np.testing.assert_array_equal(found["basin"], [[0, 0, 1, 1, 1]] * 5)
    np.testing.assert_allclose(found["share_by_point"], [0.4, 0.6])
    assert (found["settled"], found["n_ends"]) == (1, 2)
    np.testing.assert_allclose(found["expansion"], 0.1)
    np.testing.assert_allclose(found["loss"][2, 0], 0.5 * (0.9 * 0.25) ** 2)
    np.testing.assert_allclose(found["loss"][0, 1], 0.5 * (0.9 * 0.5) ** 2)
    np.testing.assert_allclose(found["samples"][1], [[0.235, 0.46], [0.765, 0.47]])
    np.testing.assert_allclose(found["share_at_points"], [0, 0, 1, 1, 1, 1])


def test_points_of_the_square_are_learned():
    settings = [PlaneSetting(((0.5, 0.5),)), PlaneSetting(((0.3, 0.4), (0.7, 0.6)), 2, 50)]
    found = kaleidoscope_plane(settings, n_grid=11, n_steps=30, loss=1e-4)
    assert found.fit_loss.max() <= 1e-4
    assert found.points.shape == (2, 2, 2)
    assert np.isnan(found.points[0, 1]).all()
    assert found.samples[:, 0].min() >= 0
    assert found.basin.shape == (2, 11, 11)


def test_corners_of_the_cube_are_all_met_once():
    class Shifted:
        state_shape = (3,)

        def apply(self, x):
            return x + x @ np.array([1.0, 2, 4])[:, None] * np.array([[1.0, 0, 0]])

        def jacobian(self, x):
            raise NotImplementedError

    # Moved by 0 ... 7 along one axis: the loss tells which corner it was.
    np.testing.assert_allclose(np.sqrt(3 * corner_losses(Shifted())), np.arange(8))


def test_corners_are_measured_for_each_seed():
    found = kaleidoscope_corners([2, 1], [3, 1], n_seeds=2, fit_steps=40)
    assert found.dimensions.tolist() == [1, 2]
    assert found.n_points.tolist() == [1, 3]
    assert np.isfinite(found.largest).all()
    assert (found.mean <= found.largest).all()
    assert (found.largest[..., 0] != found.largest[..., 1]).all()
    np.testing.assert_allclose(found.largest_mean, found.largest.mean(axis=2))
    np.testing.assert_allclose(found.largest_stderr, np.abs(np.diff(found.largest, axis=2))[..., 0] / 2)
    again = kaleidoscope_corners([2], [3], n_seeds=2, fit_steps=40)
    np.testing.assert_array_equal(again.largest[0, 0], found.largest[1, 1])


def test_effects_are_those_of_a_plane_and_its_error_covers_them():
    rng = np.random.default_rng(0)
    depth, width = np.array([1, 2, 4, 8]), np.array([5, 10, 20])
    plane = 0.7 * np.log2(depth)[:, None] - 0.2 * np.log2(width)
    exact = np.repeat(plane[None, :, :, None], 3, axis=3)
    mean, error, _ = effects(exact, depth, width)
    np.testing.assert_allclose(mean, [[0.7, -0.2]], atol=1e-12)
    np.testing.assert_allclose(error, 0, atol=1e-12)
    exact[0, 1, 1, 0] = np.nan
    np.testing.assert_allclose(effects(exact, depth, width)[0], [[0.7, -0.2]], atol=1e-12)
    covered = 0
    for _ in range(100):
        mean, _, reach = effects(exact + rng.standard_normal(exact.shape), depth, width)
        covered += int(np.abs(mean[0, 0] - 0.7) <= reach[0, 0])
    assert 88 <= covered <= 100
    lonely = effects(exact[:, :, :1], depth, width[:1])
    np.testing.assert_allclose(lonely[0], [[0.7, np.nan]], atol=1e-12)


def test_depth_and_width_are_compared():
    found = kaleidoscope_depth(
        POINTS, depths=[2, 1], widths=[20], n_seeds=2, loss=1e-5, fit_steps=600, n_grid=101, n_steps=100
    )
    assert found.depths.tolist() == [1, 2]
    assert np.isfinite(found.measured[:2]).all()
    assert np.isnan(found.effect[:, 1]).all()
    assert found.verdict(0, 1) == "not determined"
    sharper = replace(found, effect=np.array([[0.5, -0.5]]), effect_reach=np.array([[0.6, 0.4]]))
    assert (sharper.verdict(0, 0), sharper.verdict(0, 1)) == ("unclear", "falls")
    with pytest.raises(RunError, match="4 of 4 networks did not reach"):
        kaleidoscope_depth(POINTS, depths=[1, 2], widths=[5], n_seeds=2, fit_steps=2, tries=1, n_grid=21)


def test_what_was_measured_survives_an_interruption(monkeypatch):
    for module, name, call in (
        (cube, "corner_losses", lambda: kaleidoscope_corners([1], [1, 2], n_seeds=1, fit_steps=2)),
        (line, "interval_map", lambda: kaleidoscope_depth([0.1], depths=[1], widths=[8, 9], n_seeds=1, n_grid=21)),
    ):
        usual, calls = getattr(module, name), []

        def stopped(*given, _usual=usual, _calls=calls, **options):
            _calls.append(1)
            if len(_calls) == 2:
                raise KeyboardInterrupt
            return _usual(*given, **options)

        monkeypatch.setattr(module, name, stopped)
        with pytest.raises(Interrupted) as caught:
            call()
        assert caught.value.result.status is Status.NOT_CONVERGED
        assert caught.value.result.message == "interrupted after 1 of 2 sizes"
        assert "stands in the result" in caught.value.result.remedy


@pytest.mark.parametrize("call", [lambda: kaleidoscope_line(PAPER[:1]), lambda: kaleidoscope_plane()])
def test_an_interruption_of_the_fit_is_one_of_the_analysis(monkeypatch, call):
    def stopped(*given, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("lyapmap.models.kaleidoscope.fit.fit_points", stopped)
    with pytest.raises(Interrupted) as caught:
        call()
    assert caught.value.result is None


@pytest.mark.parametrize("suffix", [".nc", ".npz"])
def test_results_are_saved_and_loaded(tmp_path, suffix, stepped):
    found = [
        (stepped, KaleidoscopeLine),
        (kaleidoscope_plane([PlaneSetting(((0.5, 0.5),))], n_grid=4, n_steps=2, loss=0.01), KaleidoscopePlane),
        (kaleidoscope_corners([1], [1], n_seeds=1, fit_steps=2), KaleidoscopeCorners),
        (kaleidoscope_depth([0.1], depths=[1], widths=[8], n_seeds=1, n_grid=21), KaleidoscopeDepth),
    ]
    for result, kind in found:
        path = result.save(tmp_path / f"result{suffix}")
        assert kind.load(path).to_json() == result.to_json()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: kaleidoscope_line([]), "settings: expected at least one"),
        (lambda: kaleidoscope_line([LineSetting((-0.5,))]), "points: expected values between 0 and 1 for sigmoid"),
        (lambda: kaleidoscope_line([LineSetting((1.0,))]), "points: expected values between 0 and 1"),
        (lambda: kaleidoscope_line([LineSetting((float("nan"),))]), "points: expected values between 0 and 1"),
        (lambda: kaleidoscope_line([LineSetting((0.5, 0.5))]), "points: expected different values"),
        (lambda: kaleidoscope_line([LineSetting((0.5,), 0)]), "depth: expected at least 1"),
        (lambda: kaleidoscope_line(PAPER[:1], loss=-1), "loss: expected a positive"),
        (lambda: kaleidoscope_plane([]), "settings: expected at least one"),
        (lambda: kaleidoscope_plane([PlaneSetting(((0.5, 2.0),))]), "points: expected values from 0 to 1"),
        (lambda: kaleidoscope_plane([PlaneSetting(((0.5, 0.5),) * 2)]), "points: expected different ones"),
        (lambda: kaleidoscope_plane([PlaneSetting(((0.5,),))]), "points: expected pairs"),
        (lambda: kaleidoscope_corners([21]), "dimensions: expected at most 20"),
        (lambda: kaleidoscope_corners([1], []), "n_points: expected at least one"),
        (lambda: kaleidoscope_corners([1], [1.5]), "n_points: expected an integer"),
        (lambda: kaleidoscope_depth([0.5], depths=[]), "depths: expected at least one"),
        (lambda: kaleidoscope_depth([1.5]), "points: expected values between -1 and 1"),
        (lambda: kaleidoscope_depth([0.5], n_seeds=0), "n_seeds: expected at least 1"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(LyapmapError) as caught:
        call()
    assert words in str(caught.value)
