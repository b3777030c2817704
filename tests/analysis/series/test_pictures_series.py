"""Figures of methods on points and series."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

import lyapmap as lm
from lyapmap.views import draw_correlation_dimension, draw_series_exponent, draw_zero_one
from picture_checks import check_picture, words
from picture_checks import pixels as drawn
from series_samples import henon_points, logistic_series, lorenz_points


@cache
def results() -> dict[str, Any]:
    return {
        "dimension": lm.correlation_dimension(henon_points(800), seed=0),
        "no dimension": lm.correlation_dimension(np.ones((200, 2)), seed=0, throw=False),
        "too few pairs": lm.correlation_dimension(np.random.default_rng(0).normal(size=(300, 25)), seed=0, throw=False),
        "map": lm.from_series(logistic_series(500), throw=False),
        "flow": lm.from_series(lorenz_points(1500, 0.05)[0, :, 0], dt=0.05, throw=False),
        "constant": lm.from_series(np.ones(300), throw=False),
        "chaotic": lm.zero_one_test(logistic_series(500), seed=0),
        "still": lm.zero_one_test(np.ones(500), seed=0),
        "escaped": lm.zero_one_test(
            lm.wrap(lambda x: 3 * x + 1, state_shape=1), [1.0], n_steps=1500, seed=0, throw=False
        ),
    }


@pytest.mark.parametrize(
    "name",
    ["dimension", "no dimension", "too few pairs", "map", "flow", "constant", "chaotic", "still", "escaped"],
)
def test_every_kind_of_result_is_drawn_within_the_figure(name):
    result = results()[name]
    figure = result.plot()
    check_picture(figure)
    assert f"status {result.status.value.replace('_', ' ')}" in words(figure)
    if result.message:
        assert result.message.split()[0] in words(figure)


def test_dimension_shows_its_slope_and_window():
    result = results()["dimension"]
    figure = draw_correlation_dimension(result)
    left = figure.axes[0]
    curve, line = left.lines
    np.testing.assert_allclose(curve.get_ydata(), result.correlation_sum)
    x, y = np.log(line.get_xdata()), np.log(line.get_ydata())
    assert (y[-1] - y[0]) / (x[-1] - x[0]) == pytest.approx(result.dimension)
    assert (line.get_xdata()[0], line.get_xdata()[-1]) == pytest.approx(result.window)


def test_series_is_drawn_in_its_unit_of_time():
    result = results()["flow"]
    figure = draw_series_exponent(result)
    left, right = figure.axes
    np.testing.assert_allclose(left.lines[1].get_xdata(), result.steps * 0.05)
    assert right.get_ylabel() == "nats per unit time"
    assert "across the orbit" in words(figure)
    assert "one dimension more" in words(draw_series_exponent(results()["map"]))


def test_zero_one_shows_walk_and_median():
    result = results()["chaotic"]
    left, _, right = draw_zero_one(result).axes
    np.testing.assert_allclose(left.lines[0].get_xydata(), result.walk)
    assert right.get_legend().get_texts()[0].get_text() == f"median {result.K:.3f}"


def test_a_result_that_was_loaded_is_drawn_alike(tmp_path):
    for name in ("dimension", "map", "chaotic"):
        result = results()[name]
        loaded = type(result).load(result.save(tmp_path / f"{name}.nc"))
        np.testing.assert_array_equal(drawn(loaded.plot()), drawn(result.plot()))
