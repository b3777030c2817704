"""Latent spectral decomposition: the encoder and the classifier that go with a generator, and their files.

J. Q. Toledo-Marin, J. A. Glazier, "Using deep LSD to build operators in GANs latent space with meaning in real space"
(2023). The generator is a DCGAN (`gan_config`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from lyapmap.analysis.latent_basis import LatentBasis
from lyapmap.analysis.latent_triple import LatentTriple
from lyapmap.backends.torch.copies import resolved_device
from lyapmap.core.errors import CheckpointError, LyapmapError, ShapeError
from lyapmap.files import checkpoint as checkpoints
from lyapmap.files import zoo
from lyapmap.files.checkpoint import build_module
from lyapmap.models.classifier import network as deep
from lyapmap.models.gan import dcgan, gran
from lyapmap.models.gan.dcgan import LEAKY_SLOPE, DcganConfig, StepNorm
from lyapmap.training.image_config import ImageConfig

PAPER_WIDTH = 64
"""Channels of the largest maps of the paper's generator, discriminator and encoder."""


@dataclass(frozen=True)
class PooledConfig(ImageConfig):
    """Sizes of the paper's classifier.

    Parameters
    ----------
    categories : int
    image_size : int
        Height and width in pixels, 8 to 128.
    channels : int
        1 (grey) or 3 (colour).
    width : int
        Channels of the first convolution; the second and the third have twice as many.
    dropout : float
        Probability with which a value that the last layer reads is dropped while training.
    """

    categories: int = 10
    image_size: int = 28
    channels: int = 1
    width: int = 16
    dropout: float = 0.0


@dataclass(frozen=True)
class EncoderConfig:
    """Sizes of an encoder.

    Parameters
    ----------
    image_size : int
        Height and width in pixels, a multiple of 4 of at least 8.
    channels : int
        1 (grey) or 3 (colour).
    width : int
        Channels of the largest maps; the smaller ones have twice as many.
    latent : int
        Values of a latent vector, M in the paper.
    """

    image_size: int = 28
    channels: int = 1
    width: int = 32
    latent: int = 100

    def __post_init__(self) -> None:
        if self.image_size % 4 or not 8 <= self.image_size <= 128:
            raise LyapmapError(f"image_size: expected a multiple of 4 from 8 to 128 pixels, got {self.image_size}")
        if self.channels not in (1, 3):
            raise LyapmapError(f"channels: expected 1 or 3, got {self.channels}")
        if self.width < 1:
            raise LyapmapError(f"width: expected at least 1 channel, got {self.width}")
        if self.latent < 1:
            raise LyapmapError(f"latent: expected at least 1, got {self.latent}")

    @property
    def state_shape(self) -> tuple[int, int, int]:
        """Shape of one image, (channels, height, width)."""
        return (self.channels, self.image_size, self.image_size)

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values, as a checkpoint keeps them."""
        return asdict(self)


def gan_config(image_size: int = 28, channels: int = 1, *, latent: int = 100, width: float = 0.5) -> DcganConfig:
    """The generator of the paper, and a discriminator that mirrors its last two layers.

    A dense layer to a quarter of the size with 256 channels, a convolution of 5 x 5 to 128, two transposed
    convolutions of 4 x 4 that double the size, to 64 channels and to the image; the channels times `width`.

    >>> gan_config(width=1.0).kernels, gan_config(width=1.0).stem, gan_config(8, latent=20).smallest
    ((128, 64), 256, 2)
    """
    c = scaled(width)
    if image_size % 4:
        raise LyapmapError(f"image_size: expected a multiple of 4 pixels, got {image_size}")
    return DcganConfig(image_size, channels, (2 * c, c), kernel_size=4, latent=latent, stem=4 * c)


def scaled(width: float) -> int:
    """Channels of the largest maps at a width relative to the paper's."""
    if not 0 < width <= 8:
        raise LyapmapError(f"width: expected a number above 0 (1 as in the paper) and at most 8, got {width}")
    return max(1, round(PAPER_WIDTH * width))


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
        latent, noise_shape = self.encoder.config.latent, self.generator.config.latent_shape
        if noise_shape != (latent,):
            raise ShapeError(f"generator: takes noise of shape {noise_shape}, the encoder gives {(latent,)}")
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


BASIS = "basis"
"""Where in a checkpoint's `training` the basis stands, whose arrays keep their precision."""


@dataclass(frozen=True)
class Lsd:
    """A generator, an encoder and a classifier in evaluation mode, and the basis that they give.

    Attributes
    ----------
    name : str
        Name, or file it came from.
    module : LatentSpectral
    classes : tuple of int
        Labels in the order of the classifier's logits.
    images : (m, c, h, w)
        Images of the data to begin with.
    basis : LatentBasis or None
    training : dict
        How it was trained.
    origin : dict
        Plain values that results record: name and SHA256.
    """

    name: str
    module: LatentSpectral
    classes: tuple[int, ...]
    images: NDArray[Any]
    basis: LatentBasis | None = None
    training: dict[str, Any] = field(default_factory=dict)
    origin: dict[str, Any] = field(default_factory=dict)

    @property
    def generator(self) -> nn.Module:
        """Latent vectors (b, M) to images (b, c, h, w)."""
        return self.module.generator

    @property
    def encoder(self) -> nn.Module:
        """Images to means and log standard deviations, each (b, M)."""
        return self.module.encoder

    @property
    def classifier(self) -> nn.Module:
        """Images to logits (b, L), in the order of `classes`."""
        return self.module.classifier

    def triple(self, *, batch: int = 500) -> LatentTriple:
        """The three as functions of NumPy arrays, as `lyapmap.LatentBasis.build` takes them."""
        return LatentTriple.of(
            self.generator,
            self.encoder,
            self.classifier,
            latent=self.module.latent,
            categories=self.module.categories,
            batch=batch,
        )

    def with_basis(self, basis: LatentBasis) -> Lsd:
        """The same networks with another basis."""
        return replace(self, basis=basis.with_triple(self.triple()))

    def save(self, path: str | Path, *, half: bool = False) -> Path:
        """Write networks and basis to one checkpoint; `half` rounds the weights, and never the basis."""
        weights = {name: tensor.detach().cpu().clone() for name, tensor in self.module.state_dict().items()}
        training = dict(self.training)
        if self.basis is not None:
            arrays = {name: torch.from_numpy(np.array(a)) for name, a in self.basis.as_arrays().items()}
            training[BASIS] = {"settings": dict(self.basis.settings), "arrays": arrays}
        whole = checkpoints.Checkpoint("lsd", self.module.config, weights, torch.from_numpy(self.images), training)
        return checkpoints.save(whole, path, half=half)


def load_lsd(name: str | Path, *, device: str | None = None) -> Lsd:
    """Load the networks of latent spectral decomposition, and their basis where the file has one.

    Parameters
    ----------
    name : str or path
        A shipped model, or a `.pt` or `.safetensors` file of `lyapmap train lsd`.
    device : str, optional
        The CPU by default.

    Raises
    ------
    CheckpointError
        If there is no such model or file, or it holds another network.
    """
    path, kind = zoo.kind_of(name)
    if kind is not zoo.KINDS["torch"]:
        raise CheckpointError(f"model: expected a .pt or .safetensors checkpoint of train lsd, got {path.name}")
    saved = checkpoints.load(path)
    label = str(name) if str(name) in zoo.shipped() else path.name
    if saved.model != "lsd":
        raise CheckpointError(f"model: {label} is a {saved.model} model, expected an lsd model")
    module, _ = build_module(saved, path)
    assert isinstance(module, LatentSpectral)
    classes = saved.training.get("settings", {}).get("classes")
    if not isinstance(classes, list | tuple) or len(classes) != module.categories:
        raise CheckpointError(f"{path}: expected {module.categories} classes in its settings, got {classes!r}")
    module.to(resolved_device(device or "cpu")).requires_grad_(False)
    training = {key: value for key, value in saved.training.items() if key not in ("state", BASIS)}
    lsd = Lsd(
        label,
        module,
        tuple(int(c) for c in classes),
        saved.sample_states.numpy(),
        None,
        training,
        {"model": label, "sha256": saved.sha256},
    )
    stored = saved.training.get(BASIS)
    if stored is None:
        return lsd
    try:
        basis = LatentBasis.from_arrays(stored["arrays"], settings=stored["settings"])
        return lsd.with_basis(basis)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: its basis is damaged ({error})") from None
