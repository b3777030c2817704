"""DCGAN: noise to images by transposed convolutions, and the discriminator that teaches it.

A. Radford, L. Metz, S. Chintala (2016); the objective is that of I. Goodfellow et al. (2014).
"""

from __future__ import annotations

from torch import Tensor, nn

from lyapmap.models.gan.config import DcganConfig
from lyapmap.models.gan.parts import Discriminator, Painter, bounded, draw_weights

__all__ = ["Dcgan", "DcganConfig", "Generator"]


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
