"""Sizes of the networks of latent spectral decomposition: a generator, an encoder and a classifier."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from lyapmap.core.errors import LyapmapError
from lyapmap.models.gan.config import DcganConfig
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
