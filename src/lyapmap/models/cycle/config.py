"""Sizes of a cycle model, the same in every framework."""

from __future__ import annotations

from dataclasses import dataclass

from lyapmap.training.image_config import ImageConfig

LEAKY_SLOPE = 0.3
NORM_EPSILON = 1e-3


@dataclass(frozen=True)
class CycleConfig(ImageConfig):
    """Sizes of a cycle model.

    Parameters
    ----------
    categories : int
        Number of image categories on the cycle, at least 2 (the paper has 3).
    image_size : int
        Height and width in pixels, 8 to 128.
    channels : int
        1 (grey) or 3 (colour).
    width : int
        Channels of the first stage; the second has twice as many. 64 in the paper.
    dropout : float
        Probability with which a unit is dropped while training, in [0, 1).
    """

    categories: int = 3
    image_size: int = 28
    channels: int = 1
    width: int = 64
    dropout: float = 0.1


def halvings(size: int, times: int) -> list[int]:
    """`size` halved (rounded up) again and again: [size, size / 2, ...].

    >>> halvings(28, 3)
    [28, 14, 7, 4]
    """
    sizes = [size]
    for _ in range(times):
        sizes.append(-(-sizes[-1] // 2))
    return sizes
