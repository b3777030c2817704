"""How every figure looks: colours, axes, and numbers with their errors.

Figures are built with matplotlib's objects alone. Nothing touches pyplot or the user's settings.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lyapmap.core.canvas import CANVAS
from lyapmap.core.errors import LyapmapError
from lyapmap.core.plain import with_error as with_error
from lyapmap.core.writing import written_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

    from lyapmap.core.results import Result

# Okabe and Ito's colours, which colour-blind people can tell apart.
VERMILLION = "#D55E00"
BLUE = "#0072B2"
GREEN = "#009E73"
PURPLE = "#CC79A7"
ORANGE = "#E69F00"
SKY = "#56B4E9"
SEQUENCE = (VERMILLION, BLUE, GREEN, PURPLE, ORANGE, SKY)
RANKS = ("#440154", "#3B528B", "#21918C", "#5EC962", "#B5A300", "#8C8C8C")
"""Colours of things in an order, such as exponents by index: none of them says positive or negative."""
INK = "#222222"
GREY = "#767676"
PALE = "#D9D9D9"

DOTS_PER_INCH = 150
TITLE, LABEL, SMALL = 10.5, 9.5, 8.5
"""Font sizes in points."""

SIGMAS = 2.0
"""Standard errors that a bar or a band reaches to either side: about 95 % of a normal distribution."""
_LETTERS_PER_INCH = 11.5
"""Of notes in the size of labels."""


WIDTH, ROW, HEADING = 8.0, 3.5, 0.7
"""Inches: of a figure across, of a row of panels, and of the headline above them."""
NARROWEST = 3.4
"""Inches across that a panel needs to be read."""


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches, or of those that the user asked for, ready for `savefig`.

    Raises
    ------
    LyapmapError
        If axes were given to draw into: a picture that arranges its own figure has no use for them.
    """
    if CANVAS.get().axes:
        raise LyapmapError("ax: this picture arranges several panels of its own; leave ax out, or give figsize=")
    return _figure(*(CANVAS.get().size or (width, height)))


def panels(
    n: int, *, row: float = ROW, width: float = WIDTH, sharey: bool = False, heights: Sequence[float] = ()
) -> tuple[Figure, list[Axes]]:
    """A figure with so many panels, the main one first.

    As many stand in a row as can be read there; where they do not fill the rows, the main one is as wide as several.
    On a narrow figure they stand below each other.

    Parameters
    ----------
    n : int
    row : float
        Height of a row in inches.
    width : float
        Of the figure in inches.
    sharey : bool
        Whether all have the vertical axis of the first.
    heights : sequence of float, optional
        Panels below each other, with one horizontal axis, of these relative heights.

    Returns
    -------
    figure : Figure
        That of the panels. Where the user gave axes, one that is thrown away with the panels for which there were none.
    panels : list of Axes
    """
    canvas = CANVAS.get()
    if len(canvas.axes) > 1 and len(canvas.axes) != n:
        raise LyapmapError(
            f"ax: this picture has {counted(n, 'panel')}; expected one axes or {n}, got {len(canvas.axes)}"
        )
    across = 1 if heights else min(n, max(1, int((canvas.size or (width,))[0] / NARROWEST)))
    rows = -(-n // across)
    parts = list(heights) or [1.0] * rows
    figure = _figure(*(canvas.size or (width, HEADING + row * sum(parts))))
    grid = figure.add_gridspec(rows, across, height_ratios=parts)
    spare = rows * across - n
    drawn: list[Axes] = list(canvas.axes[:1])
    if not drawn:
        drawn = [figure.add_subplot(grid[0, : spare + 1])]
    for place in range(len(drawn), n):
        if place < len(canvas.axes):
            drawn.append(canvas.axes[place])
            continue
        cell = grid[divmod(place + spare, across)]
        shared = {} if canvas.axes else {"sharey": drawn[0]} if sharey else {"sharex": drawn[0]} if heights else {}
        drawn.append(figure.add_subplot(cell, **shared))
    if heights and not canvas.axes:
        for axes in drawn[:-1]:
            axes.tick_params(labelbottom=False)
    return figure, drawn


def _figure(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    class Shown(Figure):
        """A figure that a notebook shows without matplotlib's inline backend."""

        def _repr_png_(self) -> bytes:
            drawn = BytesIO()
            self.savefig(drawn, format="png")
            return drawn.getvalue()

    figure = Shown(figsize=(width, height), dpi=DOTS_PER_INCH, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: str | Path, *, dpi: int = DOTS_PER_INCH) -> Path:
    """Write a figure, whole or not at all."""
    with written_whole(path) as beside:
        figure.savefig(beside, dpi=dpi)
    return Path(path)


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
    for axis, label in ((axes.xaxis, x), (axes.yaxis, y)):
        if axis.get_scale() == "linear" and label.partition("  ")[0] in COUNTED:
            whole_ticks(axis)


COUNTED = frozenset(
    {
        "step",
        "steps",
        "step $n$",
        "step $t$",
        "steps n",
        "index",
        "index $i$",
        "number",
        "rank",
        "cycle",
        "epoch",
        "trial",
    }
    | {"training", "image", "vector", "turn", "trajectory", "trajectories", "iterations", "hidden layers", "n"}
    | {"samples", "generated samples", "pairs", "points", "states", "runs", "number of exponents $j$"}
)
"""Names of axes whose values are whole numbers."""


def zero_line(axes: Axes) -> None:
    """Mark the border between contraction and expansion."""
    axes.axhline(0.0, color=INK, linewidth=0.9, zorder=1.5)


def say(axes: Axes, words: str) -> None:
    """Words in place of a picture, without axes that would measure nothing."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel("")
    axes.set_ylabel("")
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", fontsize=LABEL, color=GREY)


def legend(axes: Axes, place: Any = "best", **options: Any) -> None:
    """A legend on a pale ground without a border, if there is anything to name."""
    if "handles" in options or axes.get_legend_handles_labels()[0]:
        axes.legend(loc=place, fontsize=SMALL, framealpha=0.9, edgecolor="white", **options)


def band(axes: Axes, x: ArrayLike, value: Any, error: Any, colour: str, *, alpha: float = 0.2) -> None:
    """A band of two standard errors about a line; none where the error is not known."""
    import numpy as np

    reach = SIGMAS * np.nan_to_num(np.asarray(error, float), nan=0.0, posinf=0.0)
    axes.fill_between(x, value - reach, value + reach, color=colour, alpha=alpha, linewidth=0)


def whole_ticks(axis: Axis, most: int = 8) -> None:
    """Ticks at whole numbers only, about so many at most."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(most, integer=True, min_n_ticks=1))


def log_axis(axis: Axis, values: ArrayLike) -> None:
    """A logarithmic axis with plain numbers at its ticks; a linear one where there are no two values to compare.

    Parameters
    ----------
    axis : Axis
    values : array
        What it has to show; what is not positive or not finite counts for nothing.
    """
    import numpy as np
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    known = np.asarray(values, float)
    known = known[np.isfinite(known) & (known > 0)]
    if known.size == 0 or known.max() <= known.min():
        return
    (axis.axes.set_xscale if axis is axis.axes.xaxis else axis.axes.set_yscale)("log")
    decades = np.log10(known.max() / known.min())
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < 2 else (1.0,)))
    axis.set_minor_formatter(NullFormatter())
    if decades < 4 and known.min() >= 1e-3 and known.max() < 1e5:
        axis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))


def counted(n: int, what: str, many: str = "") -> str:
    """A number with its noun.

    >>> counted(1, "pair"), counted(3, "trajectory", "trajectories")
    ('1 pair', '3 trajectories')
    """
    return f"{n} {what}" if n == 1 else f"{n} {many or what + 's'}"


def caption(figure: Figure, result: Result, otherwise: str, parts: Sequence[str]) -> None:
    """The headline of a result: its model or map, what was found, how the run ended, and its message as a note.

    Parameters
    ----------
    figure : Figure
    result : Result
    otherwise : str
        The name where neither a model nor a map is recorded.
    parts : sequence of str
        What was found; empty parts are left out.
    """
    if CANVAS.get().axes:  # the figure is the user's: it has no room for a headline, but a failure is not hidden
        if result.status != "ok":
            title = CANVAS.get().axes[0]
            title.set_title(f"{title.get_title(loc='left')} ({str(result.status).replace('_', ' ')})", loc="left")
        return
    known = (result.provenance.get(source) for source in ("model", "map"))
    name = next((str(name) for name in known if name and name != "<lambda>"), otherwise)
    words = [*filter(None, parts), f"status {str(result.status).replace('_', ' ')}"]
    notes = textwrap.wrap(str(result.message), int(_LETTERS_PER_INCH * figure.get_figwidth())) if result.message else []
    headline(figure, name, BETWEEN.join(words), notes=notes)


BETWEEN = "   ·   "
"""What stands between the parts of a headline."""


def broken(summary: str, letters: int) -> list[str]:
    """A headline in lines of so many letters: it breaks between its parts, and within those that hold no formula.

    >>> broken("chaotic   ·   $D_{KY}$ = 1.26   ·   status ok", 24)
    ['chaotic   ·   $D_{KY}$ = 1.26', 'status ok']
    """
    lines: list[str] = []
    for part in summary.split(BETWEEN):
        if lines and _letters(f"{lines[-1]}{BETWEEN}{part}") <= letters:
            lines[-1] += BETWEEN + part
        else:
            lines += [part] if "$" in part else textwrap.wrap(part, letters)
    return lines


def _letters(text: str) -> int:
    """Letters as they are drawn: commands and braces of formulas take no room, blanks little."""
    return len(re.sub(r"\\[a-zA-Z]+", "x", text).translate(str.maketrans("", "", "${}_^")).replace("   ", "  "))


def headline(figure: Figure, name: str, summary: str, *, notes: Sequence[str] = ()) -> None:
    """Lines over a figure: a name in bold, what was found, and notes; the axes make room for them.

    `summary` may hold mathematical text between dollar signs; the others are drawn as they are.
    """
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    height = figure.get_figheight()
    top = 0.10  # inches from the upper edge
    letters = int(_LETTERS_PER_INCH * figure.get_figwidth())
    lines = broken(summary, int(0.9 * letters))
    for text, size, weight, colour in [
        *((line, 13.0, "bold", INK) for line in textwrap.wrap(name, int(0.72 * letters))),
        *((line, 10.5, "normal", INK) for line in lines),
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
            parse_math=text in lines,
        )
        top += 1.5 * size / 72
    layout = figure.get_layout_engine()
    if isinstance(layout, ConstrainedLayoutEngine):
        layout.set(rect=(0, 0, 1, 1 - top / height))
