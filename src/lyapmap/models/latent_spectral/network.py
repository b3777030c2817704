"""Latent spectral decomposition: the encoder and the classifier that go with a generator.

J. Q. Toledo-Marin, J. A. Glazier, "Using deep LSD to build operators in GANs latent space with meaning in real space"
(2023). The generator is a DCGAN (`latent_spectral_config.gan_config`).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.models.classifier import network as deep
from lyapmap.models.gan import dcgan, gran
from lyapmap.models.gan.parts import LEAKY_SLOPE, StepNorm
from lyapmap.models.latent_spectral.config import EncoderConfig, PooledConfig

__all__ = ["Classifier", "Encoder", "EncoderConfig", "LatentSpectral", "PooledConfig"]

GENERATORS: dict[str, Any] = {
    "dcgan": (dcgan.DcganConfig, dcgan.Generator),
    "gran": (gran.GranConfig, gran.Generator),
}


class Classifier(nn.Module):
    """Image to logits of the categories, (b, c, h, w) -> (b, categories): three convolutions and a dense layer.

    Examples
    --------
    >>> import torch
    >>> Classifier(PooledConfig(image_size=8, width=2))(torch.zeros(3, 1, 8, 8)).shape
    torch.Size([3, 10])
    """

    def __init__(self, config: PooledConfig) -> None:
        super().__init__()
        self.config = config
        w = config.width
        self.conv1 = nn.Conv2d(config.channels, w, 3, padding=1)
        self.conv2 = nn.Conv2d(w, 2 * w, 3, padding=1)
        self.conv3 = nn.Conv2d(2 * w, 2 * w, 3, padding=1)
        self.dropout = nn.Dropout(config.dropout)
        self.last = nn.Linear(2 * w * (config.image_size // 8) ** 2, config.categories)

    def features(self, x: Tensor) -> Tensor:
        """What the last layer reads, (b, c, h, w) -> (b, features)."""
        for layer in (self.conv1, self.conv2, self.conv3):
            x = F.max_pool2d(F.relu(layer(x)), 2)  # halves height and width
        return x.flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.dropout(self.features(x)))


class Encoder(nn.Module):
    """Images to the means and log standard deviations of their latent vectors, (b, c, h, w) -> two of (b, latent).

    The means go through batch norm and a leaky ReLU: they lie on one side of the origin, so that the mean vectors of
    the categories cannot add up to zero, which would leave the last one nothing of its own in Gram-Schmidt.

    Examples
    --------
    >>> import torch
    >>> net = Encoder(EncoderConfig(image_size=8, width=2, latent=5)).eval()
    >>> mean, log_deviation = net(torch.zeros(3, 1, 8, 8))
    >>> mean.shape, log_deviation.shape
    (torch.Size([3, 5]), torch.Size([3, 5]))
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        w = config.width
        self.layers = nn.ModuleList(
            [
                nn.Conv2d(config.channels, w, 3, padding=1, bias=False),
                nn.Conv2d(w, 2 * w, 4, stride=2, padding=1, bias=False),
                nn.Conv2d(2 * w, 2 * w, 4, stride=2, padding=1, bias=False),
            ]
        )
        self.norms = nn.ModuleList(StepNorm(c) for c in (w, 2 * w, 2 * w))
        size = 2 * w * (config.image_size // 4) ** 2
        self.mean = nn.Linear(size, config.latent, bias=False)
        self.mean_norm = StepNorm(config.latent)
        self.log_deviation = nn.Linear(size, config.latent)
        nn.init.zeros_(self.log_deviation.weight)  # deviations of 1 at first
        nn.init.zeros_(self.log_deviation.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = F.leaky_relu(norm(layer(x)), LEAKY_SLOPE)
        x = x.flatten(1)
        mean, log_deviation = _widened(self.mean(x)), _widened(self.log_deviation(x))
        mean = self.mean_norm(mean[:, :, None, None]).flatten(1)
        return F.leaky_relu(mean, LEAKY_SLOPE), log_deviation


class LatentSpectral(nn.Module):
    """The three networks, and as a map of images the round trip x -> G(mean of E(x)).

    The generator and the classifier may also be others of this package.

    Parameters
    ----------
    config : dict
        Configs of "generator", "encoder" and "classifier" as plain values; those of the first and the last with the
        name of the "model", "dcgan" or "gran", and "lsd-classifier" or "classifier".
    """

    generator: Any
    classifier: Any

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.config = config
        missing = {"generator", "encoder", "classifier"} - config.keys()
        if missing:
            raise LyapmapError(f"config: expected that of a generator, an encoder and a classifier, got {list(config)}")
        self.generator = _built(GENERATORS, config["generator"])
        self.classifier = _built(CLASSIFIERS, config["classifier"])
        self.encoder = Encoder(EncoderConfig(**config["encoder"]))
        latent, found = self.encoder.config.latent, self.generator.config.latent_shape
        if found != (latent,):
            raise ShapeError(f"generator: takes noise of shape {found}, the encoder gives {(latent,)}")
        for name in ("encoder", "classifier"):
            shape = getattr(self, name).config.state_shape
            if shape != self.state_shape:
                raise ShapeError(f"{name}: takes images of shape {shape}, the generator draws {self.state_shape}")

    def forward(self, x: Tensor) -> Tensor:  # (b, c, h, w) -> (b, c, h, w)
        mean, _ = self.encoder(x)
        return self.generator(mean)

    @property
    def state_shape(self) -> tuple[int, int, int]:
        """Shape of one image."""
        shape: tuple[int, int, int] = self.generator.config.state_shape
        return shape

    @property
    def latent(self) -> int:
        """Values of a latent vector."""
        return self.encoder.config.latent

    @property
    def categories(self) -> int:
        return int(self.classifier.config.categories)


CLASSIFIERS: dict[str, Any] = {
    "lsd-classifier": (PooledConfig, Classifier),
    "classifier": (deep.ClassifierConfig, deep.Classifier),
}


def _built(kinds: dict[str, Any], config: dict[str, Any]) -> nn.Module:
    sizes = dict(config)
    name = sizes.pop("model", None)
    if name not in kinds:
        raise LyapmapError(f"model: expected one of {', '.join(kinds)}, got {name!r}")
    make_config, make = kinds[name]
    network: nn.Module = make(make_config(**sizes))
    return network


def _widened(x: Tensor) -> Tensor:
    """Mixed precision ends where a divergence is taken."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def described(model: str, config: Any) -> dict[str, Any]:
    """What `LatentSpectral` takes as the config of a generator or classifier."""
    return {"model": model} | config.to_dict()


def sampled(mean: Tensor, log_deviation: Tensor) -> Tensor:
    """Latent vectors of an encoder's distribution, drawn on the CPU so that they are the same on every device."""
    return mean + log_deviation.exp() * torch.randn(mean.shape).to(mean.device)
