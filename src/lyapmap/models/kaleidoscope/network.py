"""The kaleidoscopic network: an autoencoding perceptron that is iterated until it shows what it was trained on.

H. Shrivastava, "Generative Kaleidoscopic Networks" (2024). A deep ReLU network with bounded output learns to
give back its training data (Eq. 1); applied to noise again and again (Eq. 2), with a little noise after each
step (Eq. 3), it settles near them.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

from lyapmap.models.kaleidoscope.config import KaleidoscopeConfig
from lyapmap.models.kaleidoscope.variants import body


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
