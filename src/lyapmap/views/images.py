"""Images of states: sheets, film strips and GIFs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.errors import ShapeError


def sheet(
    images: NDArray[np.floating], *, value_range: tuple[float, float] = (-1.0, 1.0), scale: int = 1, gap: int = 2
) -> NDArray[np.uint8]:
    """Images in rows and columns as one picture.

    Parameters
    ----------
    images : (rows, columns, channels, height, width)
        1 or 3 channels; values outside `value_range` are clipped.
    value_range : (float, float)
        Values of black and of white.
    scale : int
        Pixels on the sheet for each pixel of an image.
    gap : int
        White pixels between images.

    Returns
    -------
    (height, width, 3) uint8
    """
    if images.ndim != 5 or images.shape[2] not in (1, 3):
        raise ShapeError(f"images: expected (rows, columns, 1 or 3, height, width), got {images.shape}")
    low, high = value_range
    pixels = np.clip((np.nan_to_num(images, nan=low) - low) / (high - low), 0, 1)
    pixels = np.rint(255 * pixels).astype(np.uint8).repeat(scale, axis=3).repeat(scale, axis=4)
    rows, columns, _, height, width = pixels.shape
    cells = np.full((rows, height + gap, columns, width + gap, 3), 255, np.uint8)
    cells[:, :height, :, :width] = pixels.transpose(0, 3, 1, 4, 2)
    picture = cells.reshape(rows * (height + gap), columns * (width + gap), 3)
    return np.pad(picture, ((gap, 0), (gap, 0), (0, 0)), constant_values=255)


def save_sheet(
    images: NDArray[np.floating],
    path: str | Path,
    *,
    value_range: tuple[float, float] = (-1.0, 1.0),
    scale: int | None = None,
) -> Path:
    """Write a sheet of images (rows, columns, channels, height, width) as PNG.

    `scale=None` enlarges small images so that each is at least 56 pixels wide.
    """
    from PIL import Image

    path = Path(path)
    factor = scale if scale is not None else max(1, -(-56 // images.shape[-1]))
    Image.fromarray(sheet(images, value_range=value_range, scale=factor)).save(path)
    return path
