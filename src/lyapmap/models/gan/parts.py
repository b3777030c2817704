"""What DCGAN and GRAN are built of: a painter, its mirror, a discriminator, and batch norm that counts steps.

After A. Radford, L. Metz, S. Chintala, "Unsupervised representation learning with deep convolutional generative
adversarial networks" (2016): strided convolutions, batch norm, ReLU in the generator and leaky ReLU in the
discriminator.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from lyapmap.models.gan.config import DcganConfig

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
