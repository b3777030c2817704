"""Encoder, classifier and generator of latent spectral decomposition: shapes, the paper's sizes, what does not fit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.models.classifier.network import ClassifierConfig
from lyapmap.models.gan import dcgan
from lyapmap.models.gan.dcgan import DcganConfig
from lyapmap.models.gan.gran import GranConfig
from lyapmap.models.latent_spectral.network import (
    Classifier,
    Encoder,
    EncoderConfig,
    LatentSpectral,
    PooledConfig,
    described,
    gan_config,
    sampled,
    scaled,
)

SIZES = {"image_size": 8, "channels": 1}


def parts(**changes: Any) -> dict[str, Any]:
    config = {
        "generator": described("dcgan", DcganConfig(kernels=(4, 2), kernel_size=4, latent=5, stem=3, **SIZES)),
        "encoder": EncoderConfig(width=2, latent=5, **SIZES).to_dict(),
        "classifier": described("lsd-classifier", PooledConfig(3, width=2, **SIZES)),
    }
    return config | changes


@settings(max_examples=12)
@given(size=st.sampled_from([8, 28, 32]), channels=st.sampled_from([1, 3]), latent=st.integers(1, 7))
def test_shapes_of_all_three(size: int, channels: int, latent: int) -> None:
    generator = dcgan.Generator(gan_config(size, channels, latent=latent, width=1 / 32)).eval()
    images = generator(torch.randn(2, latent))
    assert images.shape == (2, channels, size, size)
    assert images.abs().max() <= 1
    for found in Encoder(EncoderConfig(size, channels, 2, latent)).eval()(images):
        assert found.shape == (2, latent)
    assert Classifier(PooledConfig(4, size, channels, 2))(images).shape == (2, 4)


def test_sizes_are_those_of_the_paper() -> None:
    generator = dcgan.Generator(gan_config(width=1))
    shapes = [tuple(layer.weight.shape) for layer in (generator.painter.dense, *generator.painter.layers)]
    assert shapes == [(7 * 7 * 256, 100), (128, 256, 5, 5), (128, 64, 4, 4), (64, 1, 4, 4)]
    assert [norm.weight.numel() for norm in generator.painter.norms] == [256, 128, 64]
    classifier = Classifier(PooledConfig())
    assert [tuple(p.shape) for p in classifier.parameters() if p.ndim > 1] == [
        (16, 1, 3, 3), (32, 16, 3, 3), (32, 32, 3, 3), (10, 288)
    ]  # fmt: skip
    encoder = Encoder(EncoderConfig(width=64))
    assert (encoder.mean.in_features, encoder.mean.out_features) == (6272, 100)
    assert (scaled(1), scaled(0.5), scaled(0.001)) == (64, 32, 1)


def test_a_generator_without_a_stem_is_what_it_was() -> None:
    plain = DcganConfig(kernels=(4, 2), latent=5, **SIZES)
    assert "stem" not in plain.to_dict()
    assert DcganConfig(**plain.to_dict()) == plain
    torch.manual_seed(0)
    generator = dcgan.Generator(plain).eval()
    z = torch.randn(3, 5)
    x = generator.painter.dense(z).view(3, 4, 2, 2)
    for norm, layer in zip(generator.painter.norms, generator.painter.layers, strict=True):
        x = layer(F.relu(norm(x)))
    torch.testing.assert_close(generator(z), torch.tanh(x))
    stemmed = DcganConfig(kernels=(4, 2), latent=5, stem=3, **SIZES)
    assert DcganConfig(**stemmed.to_dict()) == stemmed


def test_the_encoder_by_hand() -> None:
    torch.manual_seed(0)
    encoder = Encoder(EncoderConfig(width=2, latent=5, **SIZES))
    x = torch.randn(6, 1, 8, 8)
    h = x
    for layer in encoder.layers:
        h = layer(h)
        h = F.leaky_relu((h - h.mean((0, 2, 3), True)) / (h.var((0, 2, 3), False, True) + 1e-5).sqrt(), 0.2)
    raw = h.flatten(1) @ encoder.mean.weight.T
    wanted = F.leaky_relu((raw - raw.mean(0)) / (raw.var(0, False) + 1e-5).sqrt(), 0.2)
    for norm in (*encoder.norms, encoder.mean_norm):
        torch.nn.init.ones_(norm.weight)
    mean, log_deviation = encoder.train()(x)
    torch.testing.assert_close(mean, wanted, rtol=1e-4, atol=1e-5)
    assert not log_deviation.any()


def test_draws_have_the_encoders_mean_and_deviation() -> None:
    torch.manual_seed(0)
    mean, log_deviation = torch.tensor([1.0, -2.0]), torch.tensor([0.0, -1.5])
    z = sampled(mean.expand(40000, 2), log_deviation.expand(40000, 2))
    torch.testing.assert_close(z.mean(0), mean, rtol=0, atol=0.02)
    torch.testing.assert_close(z.std(0), log_deviation.exp(), rtol=0.02, atol=0)


def test_the_round_trip_draws_the_mean() -> None:
    torch.manual_seed(0)
    module = LatentSpectral(parts()).eval()
    x = torch.randn(2, 1, 8, 8)
    assert torch.equal(module(x), module.generator(module.encoder(x)[0]))
    assert (module.latent, module.categories, module.state_shape) == (5, 3, (1, 8, 8))


def test_other_generators_and_classifiers_of_the_package() -> None:
    gran = GranConfig(image_size=8, channels=1, kernels=(4,), latent=5, hidden=3, steps=2)
    deep = ClassifierConfig(categories=3, width=2, features=3, **SIZES)
    config = parts(generator=described("gran", gran), classifier=described("classifier", deep))
    module = LatentSpectral(config).eval()
    assert module.classifier(module(torch.zeros(2, 1, 8, 8))).shape == (2, 3)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: EncoderConfig(image_size=10), "image_size: expected a multiple of 4"),
        (lambda: EncoderConfig(channels=2), "channels: expected 1 or 3"),
        (lambda: EncoderConfig(width=0), "width: expected at least 1"),
        (lambda: EncoderConfig(latent=0), "latent: expected at least 1"),
        (lambda: gan_config(30), "image_size: expected a multiple of 4"),
        (lambda: gan_config(width=0), "width: expected a number above 0"),
        (lambda: DcganConfig(stem=-1), "stem: expected at least 0"),
        (lambda: PooledConfig(categories=1), "categories: expected at least 2"),
        (lambda: LatentSpectral({"generator": {}}), "config: expected that of a generator, an encoder"),
        (lambda: LatentSpectral(parts(generator={"model": "vae"})), "model: expected one of dcgan, gran, got 'vae'"),
    ],
)
def test_bad_sizes_are_named(make: Any, said: str) -> None:
    with pytest.raises(LyapmapError, match=said):
        make()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"encoder": EncoderConfig(width=2, latent=4, **SIZES).to_dict()}, "generator: takes noise of shape"),
        ({"encoder": EncoderConfig(12, 1, 2, 5).to_dict()}, "encoder: takes images of shape"),
        ({"classifier": described("lsd-classifier", PooledConfig(3, 12, 1, 2))}, "classifier: takes images of shape"),
    ],
)
def test_networks_that_do_not_fit_together(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ShapeError, match=said):
        LatentSpectral(parts(**changes))
