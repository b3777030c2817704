"""States that are images, for the page: packed into one sheet, to be shown at the points of a plot and as a film."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.report.images import sheet
from lyapmap.report.stills import as_address

MOST_IMAGES = 400
"""Images of one sheet."""
MOST_PIXELS = 1_200_000
"""Pixels of one sheet."""


@dataclass(frozen=True)
class Hovered:
    """An image for each point of a series; an artist of matplotlib carries it as its attribute `hovered`.

    Parameters
    ----------
    images : (m, channels, height, width)
    value_range : (float, float)
        Values of black and of white.
    """

    images: NDArray[Any]
    value_range: tuple[float, float] = (-1.0, 1.0)

    def packed(self, rows: NDArray[Any]) -> dict[str, Any]:
        """The images of some rows, in one sheet, and the place in it for each point; -1 where there is no room."""
        usable = np.flatnonzero(rows < len(self.images))
        room = max(1, min(MOST_IMAGES, MOST_PIXELS // int(np.prod(self.images.shape[2:]))))
        kept = usable[np.unique(np.linspace(0, len(usable) - 1, min(room, len(usable))).astype(int))]
        places = np.full(len(rows), -1)
        places[kept] = np.arange(len(kept))
        return sprite(self.images[rows[kept]], self.value_range) | {"places": places.tolist()}


def sprite(images: NDArray[Any], value_range: tuple[float, float] = (-1.0, 1.0)) -> dict[str, Any]:
    """Images (m, channels, height, width) as one picture, and how to find each in it."""
    from PIL import Image

    columns = max(1, int(np.ceil(np.sqrt(len(images)))))
    rows = -(-len(images) // columns)
    cells = np.full((rows * columns, *images.shape[1:]), value_range[0], np.float32)
    cells[: len(images)] = images
    pixels = sheet(cells.reshape(rows, columns, *images.shape[1:]), value_range=value_range, gap=0)
    grey = images.shape[1] == 1
    picture = Image.fromarray(pixels[..., 0] if grey else pixels)
    height, width = images.shape[2:]
    return {"source": as_address(picture), "columns": columns, "width": int(width), "height": int(height)}
