"""Pictures of generated images, singular values and canvas dynamics."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import lyapmap as lm
from gan_samples import DCGAN, GRAN, loaded
from lyapmap.models.gan.canvas import canvas_dynamics
from lyapmap.models.gan.pair import interpolate_gan, sample_gan
from lyapmap.models.gan.pictures import draw_kinds, draw_winners, save_gan_samples
from picture_checks import check_picture, line


def jacobian(*states, **options):
    f = lm.wrap_function(lambda z: np.sin(z) @ np.diag([1.0, 0.5, 1e-3]), input_shape=3)
    return lm.jacobian_spectrum(f, np.array(states), **({"throw": False} | options))


MADE = {
    "grid": lambda: sample_gan(loaded(DCGAN), 5),
    "strip": lambda: sample_gan(loaded(GRAN), 10, canvas_steps=4),
    "one": lambda: sample_gan(loaded(DCGAN), 1),
    "interpolation": lambda: interpolate_gan(loaded(GRAN), 2, steps=3),
    "jacobian": lambda: jacobian([0.1, 0.2, 0.3], [1.0, 1.2, 1.3], [1.5, 0.0, 0.1]),
    "one state": lambda: jacobian([0.1, 0.2, 0.3]),
    "constant": lambda: lm.jacobian_spectrum(lm.wrap_function(lambda z: 0 * z, input_shape=2), [0.0, 0.0]),
    "canvas": lambda: canvas_dynamics(
        loaded(GRAN), n_steps=10, transient=5, n_exponents=2, trajectories=2, canvas_steps=20, throw=False
    ),
}


@pytest.mark.parametrize("case", MADE)
def test_every_result_can_be_drawn_before_and_after_its_file(case, tmp_path):
    result = MADE[case]()
    figure = result.plot()
    back = type(result).load(result.save(tmp_path / "result.npz")).plot()
    pictures = []
    for number, drawn in enumerate((figure, back)):
        check_picture(drawn)
        drawn.savefig(tmp_path / f"{number}.png")
        with Image.open(tmp_path / f"{number}.png") as picture:
            pictures.append(np.asarray(picture))
    np.testing.assert_array_equal(*pictures)


def test_what_the_picture_of_singular_values_says():
    spectrum, counts = MADE["jacobian"]().plot().axes
    assert spectrum.get_yscale() == "log"
    line = spectrum.get_lines()[0].get_ydata()
    assert len(line) == 3
    assert sum(bar.get_height() for bar in counts.patches) == 3
    assert any("rank 3.0" in text.get_text() for text in counts.get_legend().get_texts())


def test_a_jacobian_that_is_not_finite_is_drawn_with_its_message():
    with np.errstate(all="ignore"):
        f = lm.wrap_function(lambda z: np.log(z), input_shape=1)
        figure = lm.jacobian_spectrum(f, [[-1.0]], throw=False).plot()
    assert any("not finite" in text.get_text() for text in figure.texts)


def test_sheets_hold_the_images(tmp_path: Path):
    result = sample_gan(loaded(DCGAN), 5)
    [file] = save_gan_samples(tmp_path, result)
    with Image.open(file) as picture:
        pixels = np.asarray(picture)[:, :, 0]
    assert pixels.shape == (2 + 2 * 58, 2 + 3 * 58)
    first = pixels[2:58, 2:58].reshape(8, 7, 8, 7)[:, 0, :, 0]
    np.testing.assert_allclose(first, np.rint(127.5 * (result.images[0, 0] + 1)), atol=1)
    names = {p.name for p in save_gan_samples(tmp_path, sample_gan(loaded(GRAN), 3))}
    assert names == {"grid.png", "strip.png", "canvas.gif"}


def test_what_the_picture_of_the_canvas_says():
    result = MADE["canvas"]()
    exponents, updates, _ = result.plot().axes
    np.testing.assert_allclose(exponents.containers[0].lines[0].get_ydata(), result.exponents[0])
    np.testing.assert_allclose(line(updates, "update, one noise").get_ydata(), result.update_size[0, :, 1])


QUALITY = {
    name: {"precision": p, "recall": 0.5, "density": 1.0, "coverage": p / 2, "variance": 0.9, "categories": None}
    for name, p in (("dcgan-1", 0.8), ("dcgan-2", 0.6), ("gran-1", 0.9))
}


def test_each_model_is_a_dot_in_the_column_of_its_kind():
    figure = draw_kinds({"dcgan-1": "DCGAN", "dcgan-2": "DCGAN", "gran-1": "GRAN5 fresh noise"}, QUALITY)
    check_picture(figure)
    precision = figure.axes[0]
    assert precision.lines[0].get_ydata().tolist() == [0.8, 0.6]
    np.testing.assert_allclose(precision.lines[1].get_ydata(), 0.7)
    assert precision.lines[2].get_ydata().tolist() == [0.9]
    assert sum(axes.get_visible() for axes in figure.axes) == 5  # nobody knows of categories


def test_winners_stand_right_of_the_line():
    ratio = np.full((3, 3), np.nan)
    ratio[0, 1], ratio[0, 2], ratio[1, 2] = 1.0, 2.0, 0.5
    outcome = np.array([[0, 0, -1], [0, 0, 1], [1, -1, 0]])
    figure = draw_winners(SimpleNamespace(names=list(QUALITY), r_sample=ratio, outcome=outcome), QUALITY)
    check_picture(figure)
    coverage = figure.axes[0]
    np.testing.assert_allclose(line(coverage, "ties").get_xydata(), [[1, 0.1]])
    np.testing.assert_allclose(line(coverage, "decided").get_xydata(), [[0.5, -0.05], [2, -0.15]])
