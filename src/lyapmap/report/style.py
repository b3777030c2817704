"""How every figure looks: colours, axes, and numbers with their errors.

Figures are built with matplotlib's objects alone. Nothing touches pyplot or the user's settings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which colour-blind people can tell apart.
VERMILLION = "#D55E00"
BLUE = "#0072B2"
GREEN = "#009E73"
PURPLE = "#CC79A7"
ORANGE = "#E69F00"
SKY = "#56B4E9"
SEQUENCE = (VERMILLION, BLUE, GREEN, PURPLE, ORANGE, SKY)
INK = "#222222"
GREY = "#767676"
PALE = "#D9D9D9"

DOTS_PER_INCH = 150
TITLE, LABEL, SMALL = 10.5, 9.5, 8.5
"""Font sizes in points."""

_LONGEST_DECIMALS = 6


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches, ready for `savefig`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def dress(axes: Axes, *, title: str, x: str, y: str) -> None:
    """Give axes their title and labels, a thin grid, and no box."""
    axes.set_facecolor("white")
    axes.set_title(title, loc="left", fontsize=TITLE, color=INK)
    axes.set_xlabel(x, fontsize=LABEL, color=INK)
    axes.set_ylabel(y, fontsize=LABEL, color=INK)
    axes.tick_params(labelsize=SMALL, colors=INK, width=0.6, length=3)
    axes.tick_params(which="minor", width=0.4, length=2)
    axes.grid(True, color=PALE, linewidth=0.5)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(GREY)
        spine.set_linewidth(0.6)


def zero_line(axes: Axes) -> None:
    """Mark the border between contraction and expansion."""
    axes.axhline(0.0, color=INK, linewidth=0.9, zorder=1.5)


def headline(figure: Figure, name: str, found: str, *, notes: Sequence[str] = ()) -> None:
    """Lines over a figure: a name in bold, what was found, and notes; the axes make room for them.

    `found` may hold mathematical text between dollar signs; the others are drawn as they are.
    """
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    height = figure.get_figheight()
    top = 0.10  # inches from the upper edge
    for text, size, weight, colour in [
        (name, 13.0, "bold", INK),
        (found, 10.5, "normal", INK),
        *((note, LABEL, "normal", VERMILLION) for note in notes),
    ]:
        figure.text(
            0.10 / figure.get_figwidth(),
            1 - top / height,
            text,
            fontsize=size,
            fontweight=weight,
            color=colour,
            va="top",
            parse_math=text is found,
        )
        top += 1.5 * size / 72
    layout = figure.get_layout_engine()
    if isinstance(layout, ConstrainedLayoutEngine):
        layout.set(rect=(0, 0, 1, 1 - top / height))


def with_error(value: float, error: float) -> str:
    """A number and its standard error, rounded to what the error allows.

    One digit of the error is kept, two where it starts with 1.

    Examples
    --------
    >>> with_error(0.34012, 0.0021), with_error(14.4927, 0.163), with_error(0.5, float("nan"))
    ('0.340 ± 0.002', '14.49 ± 0.16', '0.5')
    >>> with_error(0.6931471805599453, 3e-12), with_error(1234.6, 41.0)
    ('0.693147 ± 3e-12', '1235 ± 41')
    """
    if not (math.isfinite(error) and math.isfinite(value)):
        return f"{value:.4g}"
    if error <= 0:
        return f"{value:.6g}"
    exponent = math.floor(math.log10(error))
    decimals = -exponent + (1 if error / 10.0**exponent < 1.95 else 0)
    if decimals > _LONGEST_DECIMALS:
        return f"{value:.6g} ± {error:.0e}"
    decimals = max(decimals, 0)
    return f"{value:.{decimals}f} ± {error:.{decimals}f}"
