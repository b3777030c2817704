"""The kaleidoscopic network: an autoencoding perceptron that is iterated until it shows what it was trained on.

H. Shrivastava, "Generative Kaleidoscopic Networks" (2024). A deep ReLU network with bounded output learns to give
back its training data (Eq. 1); applied to noise again and again (Eq. 2), with a little noise after each step (Eq. 3),
it settles near them. The convolutional autoencoder and the U-Net are tried in the paper too: their iterates settle,
but not on images like the training data. Both halve the image twice.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lyapmap.core.errors import LyapmapError

RANGES = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0)}
"""Smallest and largest value that each kind of output can take."""
ARCHITECTURES = ("mlp", "conv", "unet")


@dataclass(frozen=True)
class KaleidoscopeConfig:
    """Sizes of a kaleidoscopic network.

    Parameters
    ----------
    state_shape : tuple of int
        Shape of one state, e.g. (1,) for numbers or (1, 28, 28) for images.
    depth : int
        Hidden layers; 10 in the paper for images.
    width : int
        Units of each; 500 in the paper for MNIST.
    output : "tanh" or "sigmoid"
        What bounds the output, to [-1, 1] or [0, 1].
    architecture : "mlp", "conv" or "unet"
        A perceptron, the paper's; or a convolutional autoencoder or U-Net for images whose height and
        width are multiples of 4, with `width` channels at full size and `depth` convolutions at a
        quarter of it.
    """

    state_shape: tuple[int, ...]
    depth: int = 10
    width: int = 500
    output: str = "tanh"
    architecture: str = "mlp"

    def __post_init__(self) -> None:
        shape = tuple(int(size) for size in self.state_shape)
        if not shape or min(shape) < 1:
            raise LyapmapError(f"state_shape: expected sizes of at least 1, got {self.state_shape}")
        object.__setattr__(self, "state_shape", shape)  # checkpoints in JSON give a list
        for name in ("depth", "width"):
            if getattr(self, name) < 1:
                raise LyapmapError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if self.output not in RANGES:
            raise LyapmapError(f"output: expected one of {', '.join(RANGES)}, got {self.output!r}")
        if self.architecture not in ARCHITECTURES:
            raise LyapmapError(f"architecture: expected one of {', '.join(ARCHITECTURES)}, got {self.architecture!r}")

    @property
    def value_range(self) -> tuple[float, float]:
        """Smallest and largest value of a state."""
        return RANGES[self.output]

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values, as a checkpoint keeps them."""
        return asdict(self) | {"state_shape": list(self.state_shape)}


BODIES = ("conv", "unet")


def body(architecture: str, state_shape: tuple[int, ...], depth: int, width: int) -> nn.Module:
    """Images to images without bounds, (b, c, h, w) -> (b, c, h, w).

    Parameters
    ----------
    architecture : "conv" or "unet"
    state_shape : (c, h, w)
        Height and width multiples of 4.
    depth : int
        Convolutions of 3 x 3 at a quarter of the size; there are four more on the way down and up.
    width : int
        Channels at full size; twice and four times as many at half and at a quarter of it.
    """
    if len(state_shape) != 3 or state_shape[1] % 4 or state_shape[2] % 4:
        raise LyapmapError(
            f"state_shape: the {architecture} architecture takes images whose height and width are multiples of 4, "
            f"got {state_shape}"
        )
    kind: type[ConvAutoencoder] | type[UNet] = ConvAutoencoder if architecture == "conv" else UNet
    return kind(state_shape[0], depth, width)


class ConvAutoencoder(nn.Module):
    """Strided convolutions down to a quarter of the size, `depth` more there, transposed ones up.

    Each is followed by a norm over the whole image: without, training ends with an image that is black everywhere.
    """

    def __init__(self, channels: int, depth: int, width: int) -> None:
        super().__init__()
        first = [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
        self.down = _normed([*first, *_halved(width), *_halved(2 * width)])
        self.middle = _normed([*_repeated(4 * width, depth)])
        self.up = _normed([*_doubled(4 * width), *_doubled(2 * width)])
        self.last = nn.Conv2d(width, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:  # (b, c, h, w)
        y: Tensor = self.last(self.up(self.middle(self.down(x))))
        return y


class UNet(nn.Module):
    """The same, with what each size held on the way down joined to the way up (O. Ronneberger et al. 2015)."""

    def __init__(self, channels: int, depth: int, width: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(channels, width, 3, padding=1), nn.ReLU())
        self.down1, self.down2 = nn.Sequential(*_halved(width)), nn.Sequential(*_halved(2 * width))
        self.middle = _repeated(4 * width, depth)
        self.up1, self.up2 = nn.Sequential(*_doubled(4 * width)), nn.Sequential(*_doubled(2 * width))
        self.join1 = nn.Sequential(nn.Conv2d(4 * width, 2 * width, 3, padding=1), nn.ReLU())
        self.join2 = nn.Sequential(nn.Conv2d(2 * width, width, 3, padding=1), nn.ReLU())
        self.last = nn.Conv2d(width, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:  # (b, c, h, w)
        full = self.first(x)  # (b, w, h, w)
        half = self.down1(full)  # (b, 2w, h/2, w/2)
        quarter = self.middle(self.down2(half))  # (b, 4w, h/4, w/4)
        half = self.join1(torch.cat([self.up1(quarter), half], 1))
        full = self.join2(torch.cat([self.up2(half), full], 1))
        y: Tensor = self.last(full)
        return y


def _normed(layers: list[nn.Module]) -> nn.Sequential:
    """The layers, with a norm over all values of an image after each convolution."""
    normed: list[nn.Module] = []
    for layer in layers:
        normed.append(layer)
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            normed.append(nn.GroupNorm(1, layer.out_channels))
    return nn.Sequential(*normed)


def _halved(c: int) -> list[nn.Module]:
    return [nn.Conv2d(c, 2 * c, 4, stride=2, padding=1), nn.ReLU()]


def _doubled(c: int) -> list[nn.Module]:
    return [nn.ConvTranspose2d(c, c // 2, 4, stride=2, padding=1), nn.ReLU()]


def _repeated(c: int, times: int) -> nn.Sequential:
    return nn.Sequential(*[part for _ in range(times) for part in (nn.Conv2d(c, c, 3, padding=1), nn.ReLU())])


class Kaleidoscope(nn.Module):
    """Points or images to the same, (b, *state_shape) -> (b, *state_shape), within the range of the output.

    `depth` hidden layers of `width` ReLU units, then a tanh or a sigmoid; or, as the config says, a
    convolutional network before it.

    Examples
    --------
    >>> import torch
    >>> f = Kaleidoscope(KaleidoscopeConfig(state_shape=(2,), depth=3, width=8, output="sigmoid"))
    >>> f(torch.rand(5, 2)).shape
    torch.Size([5, 2])
    """

    def __init__(self, config: KaleidoscopeConfig) -> None:
        super().__init__()
        self.config = config
        bound = nn.Tanh() if config.output == "tanh" else nn.Sigmoid()
        if config.architecture == "mlp":
            self.layers = nn.Sequential(*_perceptron(config), bound)
        else:
            self.layers = nn.Sequential(
                body(config.architecture, config.state_shape, config.depth, config.width), bound
            )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x.flatten(1) if self.config.architecture == "mlp" else x)
        return y.reshape(x.shape)


def _perceptron(config: KaleidoscopeConfig) -> list[nn.Module]:
    n = math.prod(config.state_shape)
    sizes = [n, *[config.width] * config.depth, n]
    layers: list[nn.Module] = []
    for n_in, n_out in itertools.pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return layers[:-1]


def manifold_loss(output: Tensor, x: Tensor) -> Tensor:
    """Mean squared difference of states and their images (paper, Eq. 1), in the square of their unit."""
    return torch.mean((output - x) ** 2)
