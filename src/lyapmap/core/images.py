"""States that are images: channels first, as torch and our data sets have them, or last, as Keras has them.

This is the only place that knows which axis holds the channels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

CHANNELS = (1, 3)
"""Grey and colour."""


def image_shape(state_shape: tuple[int, ...]) -> tuple[int, int, int] | None:
    """(channels, height, width) of states that are images, None of others.

    Where both ends could be channels, they come first.

    >>> image_shape((1, 28, 28)), image_shape((28, 28, 1)), image_shape((784,))
    ((1, 28, 28), (1, 28, 28), None)
    """
    if len(state_shape) != 3:
        return None
    first, middle, last = state_shape
    if first in CHANNELS:
        return (first, middle, last)
    return (last, first, middle) if last in CHANNELS else None


def channels_last(state_shape: tuple[int, ...]) -> bool:
    """Whether states are images with the channels as their last axis.

    >>> channels_last((28, 28, 3)), channels_last((3, 28, 28))
    (True, False)
    """
    return image_shape(state_shape) is not None and state_shape[0] not in CHANNELS


def channels_first(images: Any) -> NDArray[Any]:
    """Images (..., channels, height, width) of images in either layout.

    >>> channels_first(np.zeros((5, 28, 20, 3))).shape
    (5, 3, 28, 20)
    """
    found = np.asarray(images)
    return np.moveaxis(found, -1, -3) if channels_last(found.shape[-3:]) else found


def laid_out(images: Any, state_shape: tuple[int, ...]) -> NDArray[Any]:
    """Images (..., channels, height, width) as states of this shape have them.

    Images of another size are moved all the same, so that whoever compares shapes can name both.

    >>> laid_out(np.zeros((5, 3, 28, 20)), (28, 20, 3)).shape
    (5, 28, 20, 3)
    """
    found = np.asarray(images)
    return np.ascontiguousarray(np.moveaxis(found, -3, -1)) if channels_last(tuple(state_shape)) else found
