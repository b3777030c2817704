"""Fields: one number for each initial state of a grid, as an image or a curve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from lyapmap.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_field(
    axes: Axes, values: np.ndarray, grid: Mapping[str, Any], *, label: str, title: str, colours: str, n: int
) -> None:
    """Draw values (b,) over the grid that a result records; NaN stays white.

    Parameters
    ----------
    axes : matplotlib axes
    values : (b,)
    grid : mapping
        "shape", "axes", "low", "high".
    label : str
        What the numbers are.
    title : str
    colours : str
        A colour map of matplotlib.
    n : int
        Components of a state, for the names of the axes.
    """
    field = np.where(np.isfinite(values), values, np.nan).reshape(tuple(grid["shape"]))
    names = [_name(axis, n) for axis in grid["axes"]]
    (low, high) = grid["low"], grid["high"]
    if field.ndim == 1:
        style.dress(axes, title=title, x=names[0], y=label)
        axes.plot(np.linspace(low[0], high[0], len(field)), field, color=style.BLUE, linewidth=0.9)
        return
    style.dress(axes, title=title, x=names[0], y=names[1])
    axes.grid(visible=False)
    # Points lie in the middle of their pixels.
    half = [(b - a) / (count - 1) / 2 for a, b, count in zip(low, high, field.shape, strict=True)]
    extent = (low[0] - half[0], high[0] + half[0], low[1] - half[1], high[1] + half[1])
    known = field[np.isfinite(field)]
    limits = np.percentile(known, [0.5, 99.5]) if known.size else (0.0, 1.0)
    image = axes.imshow(
        field.T,
        origin="lower",
        extent=extent,
        aspect="auto",
        cmap=colours,
        vmin=float(limits[0]),
        vmax=float(limits[1]),
        interpolation="nearest",
    )
    bar = axes.figure.colorbar(image, ax=axes, shrink=0.9, pad=0.02)
    bar.set_label(label, fontsize=style.LABEL, color=style.INK)
    bar.ax.tick_params(labelsize=style.SMALL)
    bar.outline.set_visible(False)


def _name(axis: int, n: int) -> str:
    return ("x", "y", "z")[axis] if n < 4 else f"component {axis + 1}"
