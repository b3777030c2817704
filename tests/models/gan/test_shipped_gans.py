"""The adversarial networks that come with the package."""

from __future__ import annotations

import numpy as np
import pytest

import lyapmap as lm
from lyapmap.core.errors import CheckpointError
from lyapmap.files.zoo import card, shipped
from lyapmap.training import classifier, load_gan, sample_gan

NAMES = ("dcgan-mnist", "gran3-mnist")


@pytest.mark.parametrize("name", NAMES)
def test_it_draws_digits_and_its_discriminator_tells_them_from_noise(name):
    gan = load_gan(name)
    images = sample_gan(gan, 200, seed=3).images
    sure = classifier("classifier-mnist").probabilities(images)
    assert sure.max(axis=1).mean() > 0.7  # about 0.45 for uniform noise
    drawn = np.bincount(sure.argmax(axis=1), minlength=10) / len(sure)
    assert drawn.max() < 0.5
    judge = gan.contender().judge
    noise = np.random.default_rng(0).uniform(-1, 1, (100, 1, 28, 28)).astype(np.float32)
    assert (judge(noise) > 0.5).mean() < 0.05
    assert judge(images).mean() > 2 * judge(noise).mean()
    assert (judge(images) > 0.5).mean() < 0.9
    assert shipped()[name].stat().st_size < 6_000_000
    assert name in card(name)


def test_they_battle_out_of_the_box_and_are_no_maps():
    test = sample_gan("gran3-mnist", 100, seed=9).images  # any images do where there is no data
    found = lm.battle(load_gan(NAMES[0]).contender(), load_gan(NAMES[1]).contender(), test, 100, seed=0)
    assert np.isfinite(found.sample_errors).all()
    with pytest.raises(CheckpointError):
        lm.load_model("gran3-mnist")
