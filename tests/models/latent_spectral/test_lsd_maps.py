"""Round trips and rotations as maps, against the networks called by hand and against known exponents."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

import latent_triples
import lyapmap as lm
from lyapmap.analysis.latent_basis import cycle_phases, shift
from lyapmap.core.errors import LyapmapError, MapError
from lyapmap.training import image_rotation_map, image_shift_map, rotation_map, round_trip_map

M = latent_triples.LATENT


@pytest.fixture(scope="module")
def triple():
    return latent_triples.triple(3)


@pytest.fixture(scope="module")
def basis(triple):
    data = lm.data.load("digits", classes=(0, 1, 2))
    return lm.LatentBasis.build(triple, data=data, n_vectors=100, seed=0)


class Curved(nn.Module):
    """A small network with a bend, for derivatives."""

    def __init__(self, inputs, outputs, seed):
        super().__init__()
        self.layer = nn.Linear(inputs, outputs)
        with torch.no_grad():
            draws = torch.Generator().manual_seed(seed)
            self.layer.weight.copy_(torch.randn(outputs, inputs, generator=draws) / inputs**0.5)
        self.eval()

    def forward(self, x):
        return torch.tanh(self.layer(x))


def test_the_round_trip_of_an_inverse_is_the_identity(triple):
    trip = round_trip_map(triple, dtype="float64")
    z = np.random.default_rng(0).standard_normal((4, M))
    np.testing.assert_allclose(trip.apply(trip.ops.from_numpy(z)), z, atol=1e-5)
    found = lm.lyapunov_spectrum(trip, z[:1], n_steps=50, n_exponents="all", seed=0)
    np.testing.assert_allclose(found.exponents, 0, atol=1e-5)


def test_exponents_of_a_linear_round_trip_are_known():
    factors = np.array([0.9, 0.7, 0.5, 0.3])
    scaled = lm.LatentTriple.of(lambda z: 2 * z, lambda x: (x * factors / 2, 0 * x), lambda x: x, latent=4)
    trip = round_trip_map(scaled)
    assert trip.provenance["map"] == "round trip"
    found = lm.lyapunov_spectrum(trip, np.ones(4), n_steps=40, transient=20, seed=0, n_exponents="all")
    np.testing.assert_allclose(found.exponents, np.log(factors), atol=1e-5)


def test_maps_do_what_networks_and_basis_do(triple, basis):
    z = np.random.default_rng(1).standard_normal((5, M)).astype(np.float32)
    turning = rotation_map(triple, basis, steps=3)
    images = image_rotation_map(triple, basis, labels=[2, 0])
    assert (turning.period, images.period, images.state_shape) == (9, 2, (1, 8, 8))
    for step, phase in enumerate([*cycle_phases(basis, steps=3)] * 2):
        wanted = triple.latents(triple.images(basis.rotate(z, *phase)))
        found = turning.ops.to_numpy(turning.at(step).apply(turning.ops.from_numpy(z)))
        np.testing.assert_allclose(found, wanted, atol=1e-4)
    x = triple.images(z)
    for step, phase in enumerate(cycle_phases(basis, [2, 0])):
        wanted = triple.images(basis.rotate(triple.latents(x), *phase)).reshape(5, -1)
        found = images.at(step).apply(images.ops.from_numpy(x.reshape(5, -1)))
        np.testing.assert_allclose(images.ops.to_numpy(found), wanted, atol=1e-4)
    moved = image_shift_map(triple, basis)
    wanted = triple.images(basis.rescaled(triple.latents(x) @ shift(basis).T)).reshape(5, -1)
    np.testing.assert_allclose(moved.apply(moved.ops.from_numpy(x.reshape(5, -1))), wanted, atol=1e-4)


def test_rotation_alone_is_neutral_and_the_length_is_forgotten(triple, basis):
    turning = rotation_map(triple, basis, dtype="float64")
    found = lm.lyapunov_spectrum(turning, basis.xi[3], n_steps=60, n_exponents=M - 1, seed=0)
    np.testing.assert_allclose(found.exponents, 0, atol=0.02)
    whole = turning.whole_turn()
    j = turning.ops.to_numpy(whole.jacobian(turning.ops.from_numpy(basis.xi[3:4])))[0]
    assert np.linalg.svd(j)[1][-1] < 1e-5  # along the state itself
    start = turning.ops.from_numpy(basis.xi[:1])
    np.testing.assert_allclose(whole.apply(start), basis.xi[:1], atol=1e-4)  # the vector of label 0 comes back


def test_images_of_the_cycle_show_its_labels(triple, basis):
    images = image_rotation_map(triple, basis)
    start = lm.data.load("digits", split="test").of_class(0)
    orbit = lm.trajectory(images, start, n_steps=5).states
    seen = [triple.labels(orbit[:, n].reshape(-1, 1, 8, 8)) for n in range(6)]
    for n, labels in enumerate(seen):
        assert (labels == n % 3).mean() > 0.8, n


def test_tangents_agree_with_differences(basis):
    curved = lm.LatentTriple.of(Curved(M, 20, 0), Curved(20, M, 1), Curved(20, 3, 2))
    for made in (
        round_trip_map(curved, dtype="float64"),
        rotation_map(curved, basis, dtype="float64").at(1),
        image_rotation_map(curved, basis, dtype="float64").at(0),
        image_shift_map(curved, basis, dtype="float64"),
    ):
        n = int(np.prod(made.state_shape))
        report = lm.check_map(made, np.random.default_rng(2).uniform(-1, 1, (3, n)))
        assert report.ok, str(report)


def test_networks_are_copied_for_another_precision_only(triple):
    round_trip_map(triple, dtype="float64")
    assert next(triple.networks[0].parameters()).dtype == torch.float32


def test_bad_input(triple, basis):
    alone = lm.LatentTriple(triple.generate, triple.encode, triple.classify, M, 3)
    with pytest.raises(MapError, match="does not hold its networks"):
        round_trip_map(alone)
    mixed = lm.LatentTriple.of(triple.networks[0], lambda x: x.reshape(len(x), -1)[:, :M], triple.networks[2], latent=M)
    with pytest.raises(MapError, match="of different frameworks, numpy and torch"):
        round_trip_map(mixed)
    plain = lm.LatentTriple.of(lambda z: z, lambda x: x, lambda x: x, latent=3)
    with pytest.raises(LyapmapError, match="device: can be chosen for torch networks only"):
        round_trip_map(plain, device="cpu")
    with pytest.raises(LyapmapError, match="steps: expected at least 1"):
        rotation_map(triple, basis, steps=0)
    with pytest.raises(LyapmapError, match="no vector of label 7"):
        image_rotation_map(triple, basis, labels=[0, 7])


@pytest.mark.slow
def test_keras_networks(basis):
    pytest.importorskip("tensorflow", reason="Keras networks need TensorFlow")
    import keras

    keras.utils.set_random_seed(0)
    layers = keras.layers
    z, x = keras.Input((M,)), keras.Input((4, 5, 1))
    generator = keras.Model(z, layers.Reshape((4, 5, 1))(layers.Dense(20, activation="tanh")(z)))
    flat = layers.Flatten()(x)
    encoder = keras.Model(x, [layers.Dense(M)(flat), layers.Dense(M)(flat)])
    made = lm.LatentTriple.of(generator, encoder, keras.Model(x, layers.Dense(3)(flat)))
    assert (made.latent, made.categories) == (M, 3)
    values = np.random.default_rng(0).standard_normal((3, M)).astype(np.float32)
    trip = round_trip_map(made)
    wanted = made.latents(made.images(values))
    np.testing.assert_allclose(trip.ops.to_numpy(trip.apply(trip.ops.from_numpy(values))), wanted, atol=1e-5)
    turning = image_rotation_map(made, basis)
    assert turning.state_shape == (4, 5, 1)
    first = cycle_phases(basis)[0]
    images = made.images(values)
    wanted = made.images(basis.rotate(made.latents(images), *first)).reshape(3, -1)
    found = turning.ops.to_numpy(turning.apply(turning.ops.from_numpy(images.reshape(3, -1))))
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    tangents = turning.jvp(turning.ops.from_numpy(images.reshape(3, -1)), turning.ops.from_numpy(np.ones((3, 20, 1))))[
        1
    ]
    assert math.isfinite(float(np.abs(turning.ops.to_numpy(tangents)).max()))
