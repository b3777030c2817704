"""DCGAN: noise to images by transposed convolutions, and the discriminator that teaches it.

A. Radford, L. Metz, S. Chintala, "Unsupervised representation learning with deep convolutional generative
adversarial networks" (2016): strided convolutions, batch norm, ReLU in the generator and leaky ReLU in the
discriminator. The objective is that of I. Goodfellow et al. (2014). GRAN (`gran.py`) is made of the same parts:
a painter, its mirror, a discriminator, and batch norm that counts steps.
"""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from lyapmap.core.errors import LyapmapError

RANGES = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0)}
"""Smallest and largest value that each kind of output can take."""
KERNEL_SIZES = (3, 4, 5)
SMALLEST_MAP = 4
"""Pixels to which `usual_kernels` halves an image at most."""


@dataclass(frozen=True)
class DcganConfig:
    """Sizes of a DCGAN.

    Parameters
    ----------
    image_size : int
        Height and width in pixels, 8 to 128.
    channels : int
        1 (grey) or 3 (colour).
    kernels : tuple of int
        Channels of the generator's layers from the smallest map up, without the image; each layer
        doubles the size, so that the first map has image_size / 2**len(kernels) pixels. The
        discriminator has the same the other way round.
    kernel_size : int
        Width of the convolutions: 3, 4 or 5 pixels.
    latent : int
        Values of the noise z.
    output : "tanh" or "sigmoid"
        What bounds the image, to [-1, 1] or [0, 1].
    spectral_norm : bool
        Divide the discriminator's weights by their largest singular values (T. Miyato et al. 2018), in the
        place of its batch norm.
    stem: int = 0
        Channels of a further map of the generator, ahead of `kernels`: the dense layer leads to it, and a convolution
        of 5 x 5 from it to the first of `kernels`, at the same size. 0 for none.
    """

    image_size: int = 32
    channels: int = 3
    kernels: tuple[int, ...] = (256, 128, 64)
    kernel_size: int = 5
    latent: int = 100
    output: str = "tanh"
    spectral_norm: bool = False
    stem: int = 0

    def __post_init__(self) -> None:
        if not 8 <= self.image_size <= 128:
            raise LyapmapError(f"image_size: expected 8 to 128 pixels, got {self.image_size}")
        if self.channels not in (1, 3):
            raise LyapmapError(f"channels: expected 1 or 3, got {self.channels}")
        kernels = tuple(int(k) for k in self.kernels)
        object.__setattr__(self, "kernels", kernels)  # checkpoints in JSON give a list
        if not kernels or min(kernels) < 1:
            raise LyapmapError(f"kernels: expected at least one number of channels, all positive, got {kernels}")
        if self.image_size % 2 ** len(kernels) or self.smallest < 2:
            raise LyapmapError(
                f"kernels: {len(kernels)} layers halve {self.image_size} pixels {len(kernels)} times, "
                "which must leave a whole number of at least 2"
            )
        if self.kernel_size not in KERNEL_SIZES:
            raise LyapmapError(f"kernel_size: expected one of {KERNEL_SIZES}, got {self.kernel_size}")
        if self.latent < 1:
            raise LyapmapError(f"latent: expected at least 1, got {self.latent}")
        if self.output not in RANGES:
            raise LyapmapError(f"output: expected one of {', '.join(RANGES)}, got {self.output!r}")
        if self.stem < 0:
            raise LyapmapError(f"stem: expected at least 0 channels, got {self.stem}")

    @property
    def smallest(self) -> int:
        """Pixels of the first map of the generator."""
        return self.image_size // 2 ** len(self.kernels)

    @property
    def state_shape(self) -> tuple[int, int, int]:
        """Shape of one image, (channels, height, width)."""
        return (self.channels, self.image_size, self.image_size)

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """Shape of the noise of one image."""
        return (self.latent,)

    @property
    def value_range(self) -> tuple[float, float]:
        """Smallest and largest value of an image."""
        return RANGES[self.output]

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values, as a checkpoint keeps them."""
        fields = asdict(self) | {"kernels": list(self.kernels)}
        if not self.stem:  # left out: checkpoints of networks that have none need not know of it
            del fields["stem"]
        return fields


def usual_kernels(image_size: int, width: int) -> tuple[int, ...]:
    """Channels that double while an image is halved down to 4 pixels or an odd number.

    >>> usual_kernels(28, 40), usual_kernels(64, 64), usual_kernels(8, 16)
    ((80, 40), (512, 256, 128, 64), (16,))
    """
    halvings, size = 0, image_size
    while size % 2 == 0 and size // 2 >= SMALLEST_MAP:
        size //= 2
        halvings += 1
    if not halvings:
        raise LyapmapError(f"image_size: expected an even number of at least 8, got {image_size}")
    return tuple(width * 2**i for i in reversed(range(halvings)))


LEAKY_SLOPE = 0.2
WEIGHT_SPREAD = 0.02
"""Standard deviation of first weights."""


class StepNorm(nn.Module):
    """Batch norm of maps with one gain and shift, and running means and variances for each step.

    In evaluation mode it is an affine function of each pixel, and treats rows apart.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, channels: int, steps: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(1 + WEIGHT_SPREAD * torch.randn(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(steps, channels))
        self.register_buffer("variance", torch.ones(steps, channels))
        self.momentum = 0.1
        self.epsilon = 1e-5

    def forward(self, x: Tensor, step: int = 0) -> Tensor:  # (b, c, h, w)
        mean, variance = self.mean[step], self.variance[step]
        if self.training:
            return F.batch_norm(x, mean, variance, self.weight, self.bias, True, self.momentum, self.epsilon)
        gain = self.weight * (variance + self.epsilon).rsqrt()
        shift = self.bias - mean * gain
        return x * gain[:, None, None] + shift[:, None, None]


def _up(c_in: int, c_out: int, kernel: int, *, bias: bool) -> nn.ConvTranspose2d:
    """A transposed convolution that doubles height and width."""
    return nn.ConvTranspose2d(
        c_in, c_out, kernel, stride=2, padding=(kernel - 1) // 2, output_padding=kernel % 2, bias=bias
    )


def _down(c_in: int, c_out: int, kernel: int, *, bias: bool) -> nn.Conv2d:
    """A convolution that halves an even height and width."""
    return nn.Conv2d(c_in, c_out, kernel, stride=2, padding=(kernel - 1) // 2, bias=bias)


class Painter(nn.Module):
    """Codes to images without bounds, (b, inputs) -> (b, c, h, w): a dense layer, transposed convolutions.

    In training mode rows meet in the batch norm. `steps` are those that it keeps running means of.
    """

    def __init__(self, config: DcganConfig, inputs: int, steps: int = 1) -> None:
        super().__init__()
        channels = [*config.kernels, config.channels]
        stem = [config.stem] if config.stem else []
        first = [*stem, *channels][0]
        self.first_map = (first, config.smallest, config.smallest)
        size = config.smallest**2
        self.dense = nn.Linear(inputs, first * size, bias=False)
        self.layers = nn.ModuleList(
            _up(c_in, c_out, config.kernel_size, bias=c_out == channels[-1] and i == len(channels) - 2)
            for i, (c_in, c_out) in enumerate(itertools.pairwise(channels))
        )
        if stem:  # a transposed convolution that keeps the size is a convolution
            self.layers.insert(0, nn.Conv2d(first, channels[0], 5, padding=2, bias=False))
        self.norms = nn.ModuleList(StepNorm(c, steps) for c in (*stem, *config.kernels))

    def forward(self, code: Tensor, step: int = 0) -> Tensor:
        x = self.dense(code).unflatten(1, self.first_map)
        for norm, layer in zip(self.norms, self.layers, strict=True):
            x = layer(F.relu(norm(x, step)))
        return x


class Reader(nn.Module):
    """Images without bounds to codes in (-1, 1), (b, c, h, w) -> (b, outputs): the mirror of a `Painter`."""

    def __init__(self, config: DcganConfig, outputs: int, steps: int = 1) -> None:
        super().__init__()
        channels = [config.channels, *reversed(config.kernels)]
        # The first map is not normalized, as in the discriminator: brightness would be lost.
        self.layers = nn.ModuleList(
            _down(c_in, c_out, config.kernel_size, bias=i == 0)
            for i, (c_in, c_out) in enumerate(itertools.pairwise(channels))
        )
        self.norms = nn.ModuleList(StepNorm(c, steps) for c in channels[2:])
        self.dense = nn.Linear(channels[-1] * config.smallest**2, outputs)

    def forward(self, x: Tensor, step: int = 0) -> Tensor:
        x = F.relu(self.layers[0](x))
        for norm, layer in zip(self.norms, list(self.layers)[1:], strict=True):
            x = F.relu(norm(layer(x), step))
        return torch.tanh(self.dense(x.flatten(1)))


class Discriminator(nn.Module):
    """Images to the logits that they are real, (b, c, h, w) -> (b,)."""

    def __init__(self, config: DcganConfig) -> None:
        super().__init__()
        channels = [config.channels, *reversed(config.kernels)]
        plain = config.spectral_norm
        convolutions: list[nn.Module] = [
            _down(c_in, c_out, config.kernel_size, bias=i == 0 or plain)
            for i, (c_in, c_out) in enumerate(itertools.pairwise(channels))
        ]
        dense: nn.Module = nn.Linear(channels[-1] * config.smallest**2, 1)
        for layer in (*convolutions, dense):
            draw_weights(layer)
        if plain:
            convolutions = [spectral_norm(layer) for layer in convolutions]
            dense = spectral_norm(dense)
        self.layers = nn.ModuleList(convolutions)
        self.norms = nn.ModuleList() if plain else nn.ModuleList(StepNorm(c) for c in channels[2:])
        self.dense = dense

    def forward(self, x: Tensor) -> Tensor:
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i and len(self.norms):
                x = self.norms[i - 1](x)
            x = F.leaky_relu(x, LEAKY_SLOPE)
        return self.dense(x.flatten(1)).squeeze(1)


def draw_weights(module: nn.Module) -> None:
    """First weights as in DCGAN: normal with a small spread, biases of zero."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(part.weight, 0.0, WEIGHT_SPREAD)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


def bounded(canvas: Tensor, output: str) -> Tensor:
    """Images of canvases."""
    return torch.tanh(canvas) if output == "tanh" else torch.sigmoid(canvas)


class Generator(nn.Module):
    """Noise to images, (b, latent) -> (b, c, h, w), within the range of the output.

    Examples
    --------
    >>> import torch
    >>> g = Generator(DcganConfig(image_size=8, channels=1, kernels=(4,), latent=3)).eval()
    >>> g(torch.zeros(2, 3)).shape
    torch.Size([2, 1, 8, 8])
    """

    def __init__(self, config: DcganConfig) -> None:
        super().__init__()
        self.config = config
        self.painter = Painter(config, config.latent)
        draw_weights(self)

    def forward(self, z: Tensor) -> Tensor:
        return bounded(self.painter(z), self.config.output)


class Dcgan(nn.Module):
    """A generator with its discriminator."""

    def __init__(self, config: DcganConfig) -> None:
        super().__init__()
        self.config = config
        self.generator = Generator(config)
        self.discriminator = Discriminator(config)
