"""Pictures of kaleidoscopes on a line, on the square, at corners, over depth and width."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lyapmap.core.results import Status
from lyapmap.models.kaleidoscope.cube import KaleidoscopeCorners, PlaneSetting, kaleidoscope_plane
from lyapmap.models.kaleidoscope.line import MEASURES, KaleidoscopeDepth, LineSetting, look_at_lines
from picture_checks import check_picture, words

RNG = np.random.default_rng(0)


class Towards:
    state_shape = (1,)

    def apply(self, x):
        return 0.5 * x + 0.1

    def jacobian(self, x):
        return np.full((len(x), 1, 1), 0.5)


def drawn(result, path):
    """The figure of a result, and that of the same from a file."""
    again = type(result).load(result.save(path / "result.nc")).plot()
    figure = result.plot()
    check_picture(figure)
    return figure, again


def test_lines_are_drawn(tmp_path):
    settings = [LineSetting((0.2,)), LineSetting((-0.5, 0.2), 3, 4, "tanh")]
    for figure in drawn(look_at_lines([Towards()] * 2, settings, n_grid=51), tmp_path):
        for text in ("{-0.5, 0.2}\nL=3, H=4, tanh", "0 steps, steepest slope 0.5", "100 % end at points"):
            assert text in words(figure)
        loss, output, samples, ends = figure.axes[:4]
        x = np.linspace(0, 1, 51)
        np.testing.assert_allclose(loss.lines[0].get_ydata(), np.maximum((0.1 - 0.5 * x) ** 2, 1e-12))
        np.testing.assert_allclose(output.lines[1].get_ydata(), 0.5 * x + 0.1)
        fixed = output.lines[-1]
        assert fixed.get_xydata().ravel() == pytest.approx([0.2, 0.2])
        assert fixed.get_markerfacecolor() == fixed.get_color()  # full: it attracts
        np.testing.assert_allclose(samples.lines[-1].get_ydata(), 0.2, atol=1e-4)
        np.testing.assert_allclose(ends.lines[0].get_ydata(), 0.2, atol=1e-9)


def test_squares_are_drawn(tmp_path):
    settings = [PlaneSetting(((0.3, 0.4), (0.7, 0.6)))]
    result = kaleidoscope_plane(settings, n_grid=9, n_steps=3, loss=0.05)
    for figure in drawn(result, tmp_path):
        for text in ("2 points, L=2, H=50: loss", "basins:", "n = 5:", "at points"):
            assert text in words(figure)
        _, starts, *_, basins = figure.axes
        np.testing.assert_array_equal(starts.lines[0].get_xydata(), result.samples[0, 0])
        np.testing.assert_allclose(starts.images[0].get_array(), np.log10(result.loss[0]))
        shades = basins.images[0].get_array().reshape(81, 3)
        assert len(np.unique(shades, axis=0)) == len(np.unique(result.basin[0]))


def corners(d, c, s):
    values = RNG.uniform(0.01, 0.4, (4, d, c, s))
    return KaleidoscopeCorners(
        status=Status.OK,
        settings={"depth": 2, "width": 50},
        dimensions=np.arange(1, d + 1),
        n_points=2 ** np.arange(c),
        largest=values[0],
        mean=values[1],
        fit_loss=values[2],
        fit_steps=values[3],
    )


@pytest.mark.parametrize("sizes", [(16, 12, 3), (1, 1, 1)])
def test_corners_are_drawn(tmp_path, sizes):
    result = corners(*sizes)
    for figure in drawn(result, tmp_path):
        assert len(figure.axes[0].containers) == sizes[0]
        named = [text.get_text() for text in figure.legends[0].get_texts()]
        assert named == [str(d + 1) for d in range(sizes[0])]
        np.testing.assert_allclose(figure.axes[0].containers[0].lines[0].get_ydata(), result.largest_mean[0])


def test_corners_of_a_run_that_was_stopped_are_drawn():
    result = corners(2, 3, 2)
    result.largest[1, 1:] = result.mean[1] = result.fit_loss[1] = np.nan
    stopped = replace(result, status=Status.NOT_CONVERGED, message="stopped after 4 of 6 sizes")
    figure = stopped.plot()
    check_picture(figure)
    assert "stopped after 4 of 6 sizes" in words(figure)
    assert [len(container) for container in figure.axes[1].containers] == [3]  # nothing is known of the other


def test_depths_are_drawn(tmp_path):
    a, b, s = 3, 2, 4
    measured = RNG.uniform(0, 3, (6, a, b, s))
    measured[2, 0] = np.nan
    pairs = RNG.standard_normal((3, 6, 2))
    pairs[:, 2] = np.nan
    x = np.linspace(-1, 1, 11)
    result = KaleidoscopeDepth(
        status=Status.OK,
        message="1 of 9 networks did not reach a loss of 1e-08",
        settings={"tolerance": 0.01},
        points=np.array([-0.2, 0.5]),
        depths=2 ** np.arange(a),
        widths=10 * np.arange(1, b + 1),
        measures=list(MEASURES),
        measured=measured,
        effect=pairs[0],
        effect_stderr=pairs[1],
        effect_reach=np.abs(pairs[2]),
        fit_loss=np.zeros((a, b, s)),
        tries=np.ones((a, b, s)),
        dead=np.zeros((a, b, s)),
        x=x,
        output=np.tile(x / 2, (a, b, 1)),
    )
    for figure in drawn(result, tmp_path):
        assert np.array_equal(figure.axes[0].lines[1].get_ydata(), x / 2)
        steps = figure.axes[b].containers[0].lines[0]
        np.testing.assert_allclose(steps.get_ydata(), measured[0, :, 0].mean(axis=1))
        for text in (f"{10 * b} units a layer", "Steepest slope: ", "1 of 9 networks", "Slope in the steps"):
            assert text in words(figure)
