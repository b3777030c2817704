"""What the configurations of networks on square images share."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from lyapmap.core.errors import LyapmapError


@dataclass(frozen=True)
class ImageConfig:
    """Sizes of a network on square images of several categories; networks set their own defaults.

    Attributes
    ----------
    categories : int
    image_size : int
        Height and width in pixels, 8 to 128.
    channels : int
        1 (grey) or 3 (colour).
    width : int
        Channels of the first stage.
    dropout : float
        Probability with which a unit is dropped while training, in [0, 1).
    """

    categories: int
    image_size: int
    channels: int
    width: int
    dropout: float

    def __post_init__(self) -> None:
        if self.categories < 2:
            raise LyapmapError(f"categories: expected at least 2, got {self.categories}")
        if not 8 <= self.image_size <= 128:
            raise LyapmapError(f"image_size: expected 8 to 128 pixels, got {self.image_size}")
        if self.channels not in (1, 3):
            raise LyapmapError(f"channels: expected 1 or 3, got {self.channels}")
        if self.width < 1:
            raise LyapmapError(f"width: expected at least 1 channel, got {self.width}")
        if not 0 <= self.dropout < 1:
            raise LyapmapError(f"dropout: expected a probability in [0, 1), got {self.dropout}")

    @property
    def state_shape(self) -> tuple[int, int, int]:
        """Shape of one image, (channels, height, width)."""
        return (self.channels, self.image_size, self.image_size)

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values, as a checkpoint keeps them."""
        return asdict(self)
