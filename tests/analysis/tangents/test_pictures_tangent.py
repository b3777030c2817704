"""Pictures of divergence, finite-time exponents, covariant vectors and alignment."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import lyapmap as lm
from lyapmap.analysis.exponents.pictures_growth import draw_divergence
from lyapmap.analysis.tangents.pictures_tangent import draw_alignment, draw_covariant, draw_finite_time
from lyapmap.core.results import Status
from lyapmap.report.fields import draw_field
from lyapmap.report.style import new_figure
from picture_checks import check_picture, pixels
from picture_checks import words as texts
from sample_maps import Henon, Linear

X0 = np.random.default_rng(0).uniform(-0.1, 0.1, (12, 2))


def divergence(**options: Any) -> lm.Divergence:
    return lm.divergence(Henon(), X0, **({"transient": 100, "seed": 0, "throw": False} | options))


MADE = {
    "fit": divergence,
    "rescaled": lambda: divergence(method="rescaled", n_steps=50),
    "no line": lambda: divergence(size=1e-2, direction="random", n_steps=20),
    "collapsed": lambda: lm.divergence(Linear(0.0 * np.eye(2)), X0, n_steps=5, direction="random", throw=False),
    "escaped": lambda: lm.divergence(Henon(), X0 + 9, transient=30, throw=False),
    "histograms": lambda: lm.finite_time_exponents(Henon(), X0, n_steps=20, n_windows=2, n_exponents=2, seed=0),
    "one value": lambda: lm.finite_time_exponents(Linear(np.eye(2)), X0, n_steps=5, seed=0),
    "nothing finite": lambda: lm.finite_time_exponents(Henon(), X0 + 9, n_steps=30, seed=0, throw=False),
    "field": lambda: lm.finite_time_exponents(Henon(), lm.grid([-0.1, -0.1], [0.1, 0.1], (4, 5)), n_steps=5),
    "line": lambda: lm.finite_time_exponents(Henon(), lm.grid([-0.1], [0.1], 7, axes=(0,), n=2), n_steps=5),
    "covariant": lambda: lm.covariant_vectors(Henon(), X0[:2], n_steps=30, seed=0),
    "one vector": lambda: lm.covariant_vectors(Henon(), X0[:1], n_steps=30, n_vectors=1, seed=0),
    "interval": lambda: lm.covariant_vectors(lm.systems.logistic(), [0.3], n_steps=30, seed=0),
    "not converged": lambda: lm.covariant_vectors(Linear(np.eye(2)), X0[:1], n_steps=5, seed=0, throw=False),
    "alignment": lambda: lm.alignment(Henon(), X0, n_steps=80, seed=0),
    "plane": lambda: lm.alignment(Henon(), lm.grid([-0.1, -0.1], [0.1, 0.1], (4, 5)), n_steps=80, seed=0),
    "short": lambda: lm.alignment(Henon(), X0, n_steps=3, seed=0),
}


@pytest.mark.parametrize("case", MADE)
def test_every_result_can_be_drawn_before_and_after_its_file(case: str, tmp_path: Any) -> None:
    result: Any = MADE[case]()
    own = check_picture(result.plot())
    again = type(result).load(result.save(tmp_path / "result.nc"))
    np.testing.assert_array_equal(pixels(again.plot()), own)


def test_divergence_shows_curves_mean_line_and_saturation() -> None:
    result = divergence()
    figure = draw_divergence(result)
    axes = figure.axes[0]
    mean = next(line for line in axes.lines if line.get_label() == "mean")
    np.testing.assert_allclose(mean.get_ydata(), result.mean_log_distance)
    line = next(line for line in axes.lines if line.get_label().startswith("line"))
    (x0, x1), (y0, y1) = line.get_xdata(), line.get_ydata()
    assert (y1 - y0) / (x1 - x0) == pytest.approx(result.exponent, rel=1e-6)
    assert (x0, x1) == result.window
    assert "unrelated states" in [one.get_label() for one in axes.lines]
    assert "largest exponent" in texts(figure)


def test_a_failed_result_says_so_in_its_picture() -> None:
    failed = replace(divergence(), status=Status.COLLAPSED, message="died of rounding", exponent=np.nan)
    assert "died of rounding" in texts(draw_divergence(failed))
    assert "no exponent" in texts(draw_divergence(failed))


def test_histograms_show_at_most_five_exponents() -> None:
    m = lm.systems.random_tanh_network(n=8)
    result = lm.finite_time_exponents(m, np.full((3, 8), 0.1), n_steps=5, n_exponents=7, seed=0)
    figure = draw_finite_time(result)
    for i, axes in enumerate(figure.axes):
        np.testing.assert_allclose(axes.lines[0].get_xdata()[0], result.values(i).mean())
    assert [axes.get_title(loc="left") for axes in figure.axes] == [f"Exponent {i}" for i in range(1, 6)]


def test_a_field_is_drawn_with_its_first_axis_to_the_right() -> None:
    figure = new_figure(4, 4)
    axes = figure.subplots()
    grid = {"shape": (2, 3), "axes": (0, 1), "low": (0.0, 0.0), "high": (1.0, 1.0)}
    draw_field(axes, np.arange(6.0), grid, label="", title="", colours="magma", n=2)
    image = axes.images[0]
    np.testing.assert_array_equal(image.get_array(), [[0, 3], [1, 4], [2, 5]])
    assert image.origin == "lower"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x", "y")


def test_vectors_of_an_image_map_are_drawn_as_images() -> None:
    diagonal = np.linspace(1.2, 0.2, 9)
    m = lm.wrap(
        lambda x: x * diagonal.reshape(1, 3, 3),
        state_shape=(1, 3, 3),
        backend="numpy",
        jacobian=lambda x: np.broadcast_to(np.diag(diagonal), (len(x), 9, 9)).copy(),
    )
    result = lm.covariant_vectors(m, np.zeros(9), n_steps=6, n_vectors=2, seed=0)
    figure = draw_covariant(result)
    images = [axes.images[0] for axes in figure.axes if axes.images]
    assert len(images) == 4 * 3
    first = np.asarray(images[1].get_array())
    assert np.abs(first).argmax() == 0
    assert images[1].get_clim()[0] == -images[1].get_clim()[1]


def test_alignment_colours_follow_the_verdicts() -> None:
    result = lm.alignment(lm.systems.standard(), [[3.0, 0.1], [0.1, 0.1]], n_steps=500, seed=0)
    labels = texts(draw_alignment(result))
    assert "chaotic (1)" in labels
    assert "regular (1)" in labels
