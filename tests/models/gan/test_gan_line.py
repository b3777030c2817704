"""A GAN on a line against what theory says of it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import norm

from lyapmap.core.errors import LyapmapError
from lyapmap.models.gan.line import _pushed, density, gan_line, value_of
from lyapmap.models.gan.pictures import save_gan_line_gif


@pytest.fixture(scope="module")
def trained():
    return gan_line(steps=250, n_discriminator=3, frames=8, seed=1)


def test_the_generator_moves_to_the_data(trained):
    h = trained.x[1] - trained.x[0]
    assert trained.divergence[0] > 0.6
    assert trained.divergence[-1] < 0.1
    assert h * (trained.x * trained.p_g[-1]).sum() == pytest.approx(1.0, abs=0.3)
    np.testing.assert_allclose(h * trained.p_g.sum(axis=1), 1.0)


def test_no_discriminator_is_better_than_the_best(trained):
    assert (trained.value <= trained.best_value + 1e-12).all()
    assert (trained.best_value >= -math.log(4)).all()
    assert trained.error[0] < 0.05
    assert trained.value[-1] == pytest.approx(-math.log(4), abs=0.25)


def test_the_value_of_the_best_is_the_divergence():
    x = np.linspace(-12, 12, 4001)
    p, q = norm.pdf(x, -0.5), norm.pdf(x, 0.5)
    middle = (p + q) / 2
    h = x[1] - x[0]
    js = 0.5 * h * (p * np.log(p / middle) + q * np.log(q / middle)).sum()
    assert value_of(p / (p + q), p, q, h) == pytest.approx(-math.log(4) + 2 * js)
    # Any other one is worse.
    assert value_of(0.9 * p / (p + q), p, q, h) < -math.log(4) + 2 * js


def test_densities_are_those_of_known_pictures():
    edges = np.linspace(-4, 4, 321)
    middle = (edges[1:] + edges[:-1]) / 2
    pushed = _pushed(lambda z: 0.5 * z + 1, edges)
    np.testing.assert_allclose(pushed, norm.pdf(middle, 1, 0.5), atol=0.01)
    both = density("two", middle)
    assert both.sum() * (edges[1] - edges[0]) == pytest.approx(1, abs=1e-3)
    assert min(abs(middle[both.argmax()] + 1.0), abs(middle[both.argmax()] - 1.2)) < 0.05


def test_runs_repeat_and_leave_the_random_state_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, other = (gan_line("two", loss="minimax", steps=5, frames=2, seed=3) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(one.discriminator, other.discriminator)
    np.testing.assert_array_equal(one.p_g, other.p_g)


def test_picture_film_and_file(trained, tmp_path):
    again = type(trained).load(trained.save(tmp_path / "line.nc"))
    again.plot().savefig(tmp_path / "line.png")
    with Image.open(save_gan_line_gif(tmp_path / "line.gif", again)) as film:
        assert film.n_frames == len(trained.step)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"data": "three"}, "data: expected one of one, two, got 'three'"),
        ({"loss": "hinge"}, "loss: expected one of non-saturating, minimax"),
        ({"steps": 0}, "steps: expected"),
        ({"frames": 1}, "frames: expected"),
    ],
)
def test_what_cannot_be_is_named(options, words):
    with pytest.raises(LyapmapError, match=words):
        gan_line(**options)
