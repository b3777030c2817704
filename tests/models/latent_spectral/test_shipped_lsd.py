"""The latent spectral decomposition that comes with the package."""

from __future__ import annotations

import numpy as np
import pytest

import lyapmap as lm
from lyapmap import data
from lyapmap.core.errors import DataError
from lyapmap.files.zoo import card, shipped
from lyapmap.training import classifier, load_lsd

NAME = "lsd-mnist"


@pytest.fixture(scope="module")
def lsd():
    return load_lsd(NAME)


def test_it_is_small_and_its_basis_is_orthogonal(lsd):
    assert shipped()[NAME].stat().st_size < 12_000_000
    assert NAME in card(NAME)
    xi = lsd.basis.xi
    assert xi.shape == (100, 100)
    assert np.abs(xi @ xi.T / 100 - np.eye(100)).max() < 1e-10


def test_first_vectors_draw_their_labels_and_random_ones_draw_digits(lsd):
    triple, judge = lsd.triple(), classifier("classifier-mnist")
    averages = judge(triple.images(lsd.basis.eta[:10]).astype(np.float32))
    assert (averages == np.arange(10)).mean() >= 0.9
    z = np.random.default_rng(1).standard_normal((200, 100))
    images = triple.images(z).astype(np.float32)
    assert (judge(images) == triple.labels(images)).mean() > 0.8
    assert len(set(triple.labels(images).tolist())) == 10


def test_labels_of_test_images(lsd):
    try:
        test = data.load("mnist", split="test").some(600, seed=0)
    except DataError:
        pytest.skip("mnist is not at hand")
    triple = lsd.triple()
    assert (triple.labels(test.images) == test.labels).mean() > 0.98
    z = triple.latents(test.images, np.random.default_rng(0))
    assert (lsd.basis.classify(z) == test.labels).mean() > 0.88
    assert (lsd.basis.ranks(z, test.labels) <= 4).mean() > 0.97


def test_it_is_a_map_of_images(lsd):
    model = lm.load_model(NAME)
    orbit = lm.trajectory(model.map, model.sample_states[:2], n_steps=3)
    assert orbit.states.shape == (2, 4, 784)
    assert np.isfinite(orbit.states).all()
