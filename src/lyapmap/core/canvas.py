"""Where the next picture goes: into axes that the user has, or into a figure of a size that the user asks for.

`Result.plot` sets it for the time of one drawing, and the figures of `report/style.py` heed it. So no picture passes
`ax` and `figsize` through its panels, and every picture has them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

from lyapmap.core.errors import LyapmapError


class Canvas(NamedTuple):
    """Axes to draw into, none for a figure of its own; and width and height of the figure in inches."""

    axes: tuple[Any, ...] = ()
    size: tuple[float, float] | None = None


_OWN = Canvas()
CANVAS: ContextVar[Canvas] = ContextVar("canvas", default=_OWN)
"""What holds for the picture that is being drawn."""


@contextmanager
def canvas(ax: Any = None, figsize: Sequence[float] | None = None) -> Iterator[Canvas]:
    """Draw into these axes, or with this size, what is drawn within the block.

    Parameters
    ----------
    ax : matplotlib axes, or several of them, optional
    figsize : two numbers, optional
        Width and height in inches.

    Raises
    ------
    LyapmapError
        If these are no axes, or no size.
    """
    axes = () if ax is None else tuple(getattr(ax, "flat", ax) if hasattr(ax, "__iter__") else (ax,))
    if not all(hasattr(each, "add_artist") and hasattr(each, "transAxes") for each in axes):
        raise LyapmapError(f"ax: expected matplotlib axes, such as ax of `fig, ax = plt.subplots()`, got {ax!r:.60}")
    size = None
    if figsize is not None:
        if axes:
            raise LyapmapError("figsize: the axes given as ax have a figure already; set its size there")
        try:
            width, height = (float(inches) for inches in figsize)
        except (TypeError, ValueError):
            width = height = 0.0
        if not (0 < width < float("inf") and 0 < height < float("inf")):
            raise LyapmapError(f"figsize: expected width and height in inches, such as (8, 5), got {figsize!r:.60}")
        size = (width, height)
    token = CANVAS.set(Canvas(axes, size))
    try:
        yield CANVAS.get()
    finally:
        CANVAS.reset(token)
