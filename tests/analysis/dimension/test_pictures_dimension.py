"""Pictures of dimensions show the numbers of their results."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import lyapmap as lm
from lyapmap.analysis.dimension.pictures_dimension import draw_dimension, draw_dimension_comparison
from picture_checks import check_picture, words
from picture_checks import pixels as drawn
from series_samples import henon_points

METHODS = ("gride", "twonn", "mle", "pca", "correlation")


@functools.cache
def estimate(method: str):
    return lm.intrinsic_dimension(np.concatenate([henon_points(700), henon_points(30)]), method=method, seed=0)


@functools.cache
def comparison():
    sets = {"data": np.random.default_rng(0).random((300, 3)), "attractor": henon_points(400)}
    return lm.compare_dimensions(sets, kaplan_yorke=(1.258, 0.002), seed=0)


@pytest.mark.parametrize("method", METHODS)
def test_the_curve_and_the_estimate(method):
    result = estimate(method)
    figure = draw_dimension(result)
    axes = figure.axes[0]
    np.testing.assert_allclose(axes.containers[0].lines[0].get_ydata(), result.dimension_by_scale)
    np.testing.assert_allclose(axes.containers[1].lines[0].get_xydata(), [[result.scale, result.dimension]])
    assert "30 of 730 points repeat" in words(figure)
    check_picture(figure)
    if method != "correlation":
        heights = [p.get_height() for p in figure.axes[1].patches]
        assert sum(heights) == np.isfinite(result.local).sum()


def test_a_failed_estimate_is_drawn():
    figure = draw_dimension(lm.intrinsic_dimension(np.ones((50, 2)), throw=False))
    assert "d = unknown" in words(figure)
    assert "fixed point" in words(figure)
    check_picture(figure)


def test_the_comparison_shows_every_method_and_kaplan_yorke():
    result = comparison()
    figure = draw_dimension_comparison(result)
    left, right = figure.axes
    for i in range(2):
        np.testing.assert_allclose(right.containers[i].lines[0].get_ydata(), result.dimension[i])
        np.testing.assert_allclose(left.containers[i].lines[0].get_ydata(), result.curve_dimension[i])
    labels = [text.get_text() for text in left.get_legend().get_texts()]
    assert "Kaplan-Yorke 1.258 ± 0.002" in labels
    assert [t.get_text() for t in right.get_xticklabels()] == ["Gride", "TwoNN", "MLE"]
    failed = lm.compare_dimensions({"fixed": np.ones((50, 2))}, throw=False)
    assert "fixed unknown" in words(failed.plot())
    check_picture(failed.plot())
    check_picture(figure)


def test_a_loaded_result_is_drawn_alike(tmp_path):
    for i, result in enumerate((estimate("gride"), comparison())):
        loaded = type(result).load(result.save(tmp_path / f"{i}.nc"))
        np.testing.assert_array_equal(drawn(loaded.plot()), drawn(result.plot()))
