"""Figures of the study of latent spectral decomposition."""

from __future__ import annotations

import numpy as np
import pytest

from lyapmap.models.latent_spectral.pictures import (
    draw_accuracy,
    draw_amplitudes,
    draw_columns,
    draw_denoising,
    draw_latents,
    draw_rotation,
    draw_turns,
    draw_vectors,
)
from picture_checks import check_picture, legend, line, words

RNG = np.random.default_rng(0)
CLASSES = (0, 1, 7)


def test_vectors_stand_in_rows_of_their_labels_and_wrong_ones_are_framed() -> None:
    label, sets = np.array([0, 1, 2, 0, 1]), np.array([1, 1, 1, 2, 2])
    images = np.broadcast_to(np.linspace(-0.5, 0.5, 5)[:, None, None, None], (5, 1, 8, 8))
    figure = draw_vectors(images, label, sets, np.array([1, 1, 0, 1, 0], bool), CLASSES, "ξ")
    check_picture(figure)
    (axes,) = figure.axes
    middle = axes.images[0].get_array()[[6, 16, 26]][:, [6, 16], 0]
    wanted = [[-0.5, 0.25], [-0.25, 0.5], [0.0, 1.0]]  # the last place is empty
    np.testing.assert_allclose(middle, np.rint(127.5 * (np.array(wanted) + 1)), atol=1)
    assert [round(float(patch.get_y())) for patch in axes.patches] == [21, 11]
    assert "3 of 5 show their label" in words(figure)


def test_densities_of_components() -> None:
    z = {"encoded": 1 + 0.1 * RNG.standard_normal((300, 5)), "random": RNG.standard_normal((300, 5))}
    figure = draw_latents(z, dict.fromkeys(z, np.arange(300) % 3), CLASSES)
    check_picture(figure)
    encoded = figure.axes[0].lines[0]
    assert encoded.get_xdata()[np.argmax(encoded.get_ydata())] == pytest.approx(1, abs=0.2)
    assert legend(figure.axes[1]) == ["0", "1", "7", "normal"]


def test_accuracy_and_the_place_of_the_true_label() -> None:
    labels, found = np.array([0, 1, 2, 0]), np.array([0, 1, 1, 0])
    within = np.linspace(0.9, 1, 30)
    figure = draw_accuracy(labels, found, 0.99, [0.94, 0.95], [0.91, 0.92], within, 0.9 * within, CLASSES)
    check_picture(figure)
    batch, trials, places = figure.axes
    assert line(batch, "LSD, wrong").get_xydata().tolist() == [[3, 1]]
    assert line(trials, "LSD").get_ydata().tolist() == [0.91, 0.92]
    np.testing.assert_array_equal(line(places, "any vector").get_ydata(), within)


def test_amplitudes_fall_with_the_rank() -> None:
    falling = np.sort(RNG.uniform(0, 1, (40, 10)))[:, ::-1]
    figure = draw_amplitudes({1: falling, 2: falling, 3: falling[:0]})
    check_picture(figure)
    np.testing.assert_allclose(line(figure.axes[0], "median").get_ydata(), np.median(falling, axis=0))
    assert "True label third: 0 images" in words(figure)


def test_columns_of_images() -> None:
    shown = {name: np.full((3, 1, 8, 8), value) for name, value in (("image", 0.0), ("LSD 4 rescaled", 1.0))}
    figure = draw_columns(shown)
    check_picture(figure)
    assert [axes.images[0].get_array()[5, 5, 0] for axes in figure.axes] == [128, 255]


@pytest.mark.parametrize(("kind", "strengths"), [("gaussian", (0.2, 0.4, 1.2)), ("salt and pepper", (0.05, 0.4))])
def test_denoising(kind: str, strengths: tuple[float, ...]) -> None:
    methods = ["noisy", "encode-decode", "LSD 1", "LSD 4", "LSD 4 rescaled", "PCA 1", "PCA 4", "median"]
    table = {
        name: {"psnr": [20.0 - i - s for s in strengths], "right": [0.5 + 0.05 * i for _ in strengths]}
        for i, name in enumerate(methods)
    }
    figure = draw_denoising(kind, strengths, table, 0.98)
    check_picture(figure)
    likeness, right = figure.axes
    np.testing.assert_allclose(line(likeness, "LSD 4").get_ydata(), table["LSD 4"]["psnr"])
    np.testing.assert_allclose(line(right, "median").get_ydata(), table["median"]["right"])
    assert "best denoiser for the classifier: median, right in 85.0%" in words(figure).replace("\n", " ")


def test_rotation_and_turns() -> None:
    ways = ("rotation", "projection", "round trip", "round trip per label")
    reached, spread = dict.fromkeys(ways, (0.9, 0.8, 1.0)), dict.fromkeys(ways, np.linspace(1, 0.2, 10))
    figure = draw_rotation(reached, spread, CLASSES, 3)
    check_picture(figure)
    assert [*line(figure.axes[0], "projection").get_ydata()] == [0.9, 0.8, 1.0]
    np.testing.assert_allclose(line(figure.axes[1], "rotation").get_xdata()[-1], 3)
    back = 10.0 ** -np.arange(1, 5)[:, None] * np.ones((4, 6))
    figure = draw_turns(back, np.vstack([np.ones(6), back]), np.full((4, 6), 0.3), np.array([0.7, 0.8, 0.9, 1.0]))
    check_picture(figure)
    np.testing.assert_allclose(line(figure.axes[0], "with round trips").get_ydata(), back[:, 0])
