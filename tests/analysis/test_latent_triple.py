"""Three networks of any framework as functions of NumPy arrays."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import latent_triples
import lyapmap as lm
from lyapmap.core.errors import LyapmapError, MapError, ShapeError


def same(values):
    return values


class KerasLike:
    """What a Keras model offers of itself."""

    def __init__(self, function, input_shape=(None, 3)):
        self.function, self.input_shape = function, input_shape

    def predict_on_batch(self, batch):
        return self.function(np.asarray(batch, np.float32))


def test_torch_modules_and_functions_of_arrays_give_the_same():
    made = latent_triples.triple()
    generator, encoder, classifier = latent_triples.networks()

    def by_hand(module):
        return lambda values: module(torch.as_tensor(np.asarray(values, np.float32))).detach().numpy()

    def encode(images, rng):
        mean, log_sigma = (part.detach().numpy() for part in encoder(torch.as_tensor(images)))
        return mean if rng is None else mean + np.exp(log_sigma) * rng.standard_normal(mean.shape)

    other = lm.LatentTriple.of(by_hand(generator), encode, by_hand(classifier), latent=latent_triples.LATENT)
    assert other == lm.LatentTriple(other.generate, other.encode, other.classify, latent_triples.LATENT, 10)
    images = lm.data.load("digits").images[:30]
    np.testing.assert_allclose(other.latents(images), made.latents(images), atol=1e-5)
    drawn = [one.latents(images, np.random.default_rng(3)) for one in (made, other)]
    np.testing.assert_allclose(*drawn, atol=1e-5)
    assert drawn[0].std() != made.latents(images).std()
    np.testing.assert_array_equal(made.labels(images), other.labels(images))
    z = drawn[0]
    np.testing.assert_array_equal(made.labels_of_latents(z), made.labels(made.images(z)))


def test_batches_change_nothing():
    z = np.random.default_rng(0).standard_normal((23, latent_triples.LATENT))
    parts = latent_triples.networks()
    small, whole = (
        lm.LatentTriple.of(*parts, latent=latent_triples.LATENT, batch=batch) for batch in (5, 500)
    )  # fmt: skip
    images = whole.images(z)
    np.testing.assert_allclose(small.images(z), images, atol=1e-6)
    drawn = [one.latents(images, np.random.default_rng(1)) for one in (small, whole)]
    np.testing.assert_allclose(*drawn, atol=1e-5)


def test_keras_models_are_called_on_batches_and_tell_their_latent_size():
    made = lm.LatentTriple.of(KerasLike(lambda z: 2 * z), KerasLike(lambda x: [x / 2, 0 * x]), KerasLike(lambda x: x))
    assert (made.latent, made.categories) == (3, 3)
    z = np.array([[1.0, 5.0, 2.0]])
    assert made.latents(made.images(z)).tolist() == z.tolist()
    assert made.labels_of_latents(z).tolist() == [1]


def test_latent_size_of_a_first_layer():
    made = lm.LatentTriple.of(nn.Linear(4, 6).eval(), nn.Linear(6, 4).eval(), nn.Linear(6, 2).eval())
    assert (made.latent, made.categories) == (4, 2)


def test_a_classifier_may_give_labels():
    made = lm.LatentTriple.of(same, same, lambda x: x.argmax(axis=1), latent=3, categories=3)
    assert made.labels(np.eye(3)).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("build", "error", "words"),
    [
        (lambda: lm.LatentTriple.of(same, same, same), LyapmapError, "latent: expected the number"),
        (lambda: lm.LatentTriple.of(same, same, lambda x: x[:, 0], latent=2), LyapmapError, "categories: expected"),
        (lambda: lm.LatentTriple.of(nn.Linear(2, 2), same, same), MapError, "generator: the module is in training"),
        (lambda: lm.LatentTriple.of(3, same, same), MapError, "generator: expected a torch module"),
        (lambda: lm.LatentTriple(same, same, same, 3, 4), LyapmapError, "at most as many as latent dimensions"),
        (lambda: lm.LatentTriple(same, same, same, 3, 1), LyapmapError, "categories: expected at least 2"),
    ],
)
def test_networks_that_do_not_do(build, error, words):
    with pytest.raises(error, match=words):
        build()


def test_values_that_do_not_do():
    made = lm.LatentTriple(same, lambda x, rng: x[:, :2], lambda x: x[:, :2] * np.nan, 3, 2)
    with pytest.raises(ShapeError, match=r"z: expected latent vectors \(b, 3\)"):
        made.images(np.zeros((2, 2)))
    with pytest.raises(ShapeError, match=r"encoder: expected \(4, 3\)"):
        made.latents(np.zeros((4, 3)))
    with pytest.raises(LyapmapError, match="classifier: gives values that are not finite"):
        made.labels(np.zeros((4, 3)))
    with pytest.raises(ShapeError, match=r"images: expected a batch"):
        made.latents(np.zeros(4))
    wrong = lm.LatentTriple(lambda z: z[:1], lambda x, rng: (x, x, x), lambda x: np.full(len(x), 7), 3, 3)
    with pytest.raises(ShapeError, match="generator: expected one row for each of 4"):
        wrong.images(np.zeros((4, 3)))
    with pytest.raises(LyapmapError, match="gave label 7"):
        wrong.labels(np.zeros((4, 3)))
    three = lm.LatentTriple.of(same, lambda x: (x, x, x), same, latent=3)
    with pytest.raises(ShapeError, match="got 3 arrays"):
        three.latents(np.zeros((4, 3)))
