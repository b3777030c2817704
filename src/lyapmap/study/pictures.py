"""Figures that the studies of several papers show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.report import style
from lyapmap.report.images import sheet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDEST = 8
"""Fixed points side by side."""


def draw_fixed_points(
    images: NDArray[Any],
    nearest: NDArray[Any],
    share: NDArray[np.float64],
    multiplier: NDArray[np.float64],
    distance: NDArray[np.float64],
    *,
    total: int,
    unstable: int,
) -> Figure:
    """Fixed points as images, each above its nearest training image.

    Parameters
    ----------
    images, nearest : (m, channels, height, width)
        Values in [-1, 1].
    share, multiplier, distance : (m,)
        Part of the starts that end there; modulus of the leading multiplier; to the training image.
    total, unstable : int
        Of all fixed points.
    """
    columns = min(len(images), WIDEST)
    rows = -(-len(images) // columns)
    figure = style.new_figure(max(1.35 * columns, 6.2), 3.05 * rows + 0.9)
    grid = figure.subplots(2 * rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for i in range(len(images)):
        upper, lower = grid[2 * (i // columns), i % columns], grid[2 * (i // columns) + 1, i % columns]
        for axes, image in ((upper, images[i]), (lower, nearest[i])):
            axes.imshow(sheet(image[None, None], gap=0), interpolation="nearest")
        colour = style.VERMILLION if multiplier[i] > 1 else style.INK
        upper.set_title(f"{share[i]:.1%}\n|μ| {multiplier[i]:.3f}", fontsize=style.SMALL, color=colour)
        lower.set_title(f"↓ {distance[i]:.1f}", fontsize=style.SMALL, color=style.GREY)
    found = f"{total} found, {unstable} of them unstable (red); below each, the nearest training image and its distance"
    style.headline(figure, "Fixed points", found)
    return figure
