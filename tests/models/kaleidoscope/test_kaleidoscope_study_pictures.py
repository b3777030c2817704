"""Pictures of the kaleidoscope study."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from lyapmap.models.kaleidoscope.pictures import draw_confidence, draw_depth, draw_manifold_steps, draw_noise
from lyapmap.study.page import draw_fixed_points
from picture_checks import check_picture, legend, words

AT = (0, 1, 2, 3, 5, 10, 20, 50, 100, 200, 300)
RISING = np.linspace(0.3, 0.97, len(AT)).tolist()


def test_confidence_and_categories() -> None:
    noisy = {"confidence": RISING[::-1], "confidence_stderr": [0.01] * len(AT), "labels": [0.5, 0.3, 0.2]}
    quiet = {"confidence": RISING, "confidence_stderr": [0.02] * len(AT), "labels": [0.1, 0.2, 0.7]}
    numbers = {
        "classifier": "classifier-mnist",
        "categories": [0, 1, 4],
        "real_confidence": 0.99,
        "data_labels": [0.4, 0.3, 0.3],
    }
    figure = draw_confidence(AT, {"without noise": quiet, "with noise": noisy}, numbers)
    check_picture(figure)
    curve, bars = figure.axes
    assert [*curve.containers[0].lines[0].get_ydata()] == RISING
    assert [[bar.get_height() for bar in group] for group in bars.containers] == [
        [0.4, 0.3, 0.3], [0.1, 0.2, 0.7], [0.5, 0.3, 0.2]
    ]  # fmt: skip
    assert legend(bars) == ["training images", "without noise", "with noise"]
    assert "0.97 ± 0.02 after 300 steps" in words(figure)


def test_quality_over_the_steps() -> None:
    metrics = ("precision", "recall", "density", "coverage")
    curves = {name: dict.fromkeys(metrics, RISING) for name in ("without noise", "with noise")}
    figure = draw_manifold_steps(AT, curves, dict.fromkeys(metrics, 0.96))
    check_picture(figure)
    for axes in figure.axes:
        assert [*axes.lines[0].get_ydata()] == RISING
        assert set(axes.lines[-1].get_ydata()) == {0.96}


def test_exponents_and_basins_against_noise() -> None:
    levels = np.array([0.0, 0.01, 0.1, 0.3, 1.0])
    swept = SimpleNamespace(
        values=levels,
        exponents=np.stack([levels - 0.5, levels - 0.6], axis=1),
        stderr=np.full((5, 2), 0.05),
        measured=np.stack([levels / 2, np.full(5, 0.02), 1 + 10 * levels], axis=1),
        provenance={"model": "kaleidoscope-mnist"},
    )
    numbers = {"verdict": "It leaves its basins from a deviation of 0.3 (uniform noise).", "wander_steps": 40}
    figure = draw_noise({"uniform": swept, "normal": swept}, numbers)
    check_picture(figure)
    exponent, leave, visited = figure.axes
    np.testing.assert_allclose(exponent.containers[0].lines[0].get_ydata(), levels - 0.5)
    np.testing.assert_allclose(leave.containers[1].lines[0].get_ydata(), levels / 2)
    np.testing.assert_allclose(visited.lines[0].get_ydata(), 1 + 10 * levels)


def test_burn_in_against_depth() -> None:
    numbers = {
        "depth": [3, 10],
        "burn_in": [42, None],
        "burn_in_interval": [[34, 54], [None, None]],
        "median_settled_at": [145, 30],
        "settled_share": [0.69, 0.97],
        "settled_interval": [[0.6, 0.77], [0.91, 0.99]],
    }
    figure = draw_depth(numbers)
    check_picture(figure)
    steps, rest = figure.axes
    np.testing.assert_allclose(steps.containers[0].lines[0].get_ydata(), [42, np.nan])
    np.testing.assert_allclose(steps.lines[-1].get_ydata(), [145, 30])
    np.testing.assert_allclose(rest.containers[0].lines[0].get_ydata(), [0.69, 0.97])


def test_fixed_points_stand_above_their_nearest_training_images() -> None:
    images = np.linspace(-1, 1, 10 * 64).reshape(10, 1, 8, 8)
    share, multiplier = np.linspace(0.4, 0.01, 10), np.array([0.5] * 9 + [1.25])
    figure = draw_fixed_points(images, -images, share, multiplier, np.arange(10.0), total=12, unstable=3)
    check_picture(figure)
    grid = np.reshape(figure.axes, (4, 8))
    np.testing.assert_allclose(grid[2, 1].images[0].get_array()[..., 0], np.rint(127.5 * (images[9, 0] + 1)), atol=1)
    np.testing.assert_allclose(grid[3, 1].images[0].get_array()[..., 0], np.rint(127.5 * (1 - images[9, 0])), atol=1)
    assert grid[2, 1].get_title() == "1.0%\n|μ| 1.250"
    assert grid[2, 1].title.get_color() != grid[2, 0].title.get_color()  # it repels
    assert not grid[2, 2].images
