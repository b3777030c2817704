"""What every picture must keep to, asked of a figure: it is not blank, nothing is cut off, no words lie on others."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from matplotlib.text import Text
from matplotlib.transforms import Bbox

TOUCHING = 1.0
"""Pixels by which boxes of words may overlap: their borders are wider than the letters."""


def words(figure: Any) -> str:
    """All text of a figure that is visible, one below the other."""
    return "\n".join(text.get_text() for text in figure.findobj(Text) if text.get_visible())


def pixels(figure: Any, dpi: int = 72) -> np.ndarray:
    """Colours (rows, columns, 3) of the picture, drawn coarsely, which is quicker."""
    figure.set_dpi(dpi)
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()


def legend(axes: Any) -> list[str]:
    """What a legend names."""
    return [text.get_text() for text in axes.get_legend().get_texts()]


def line(axes: Any, label: str) -> Any:
    """The line with that label, or one that begins with it."""
    return next(line for line in axes.lines if str(line.get_label()).startswith(label))


def labels(figure: Any) -> list[tuple[str, Bbox]]:
    """Words that are drawn, with their boxes in pixels; ticks outside the axes are not drawn."""
    renderer = figure.canvas.get_renderer()
    hidden: set[int] = set()
    for axes in figure.findobj(lambda artist: hasattr(artist, "xaxis")):
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            slack = 1e-9 * (high - low)
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                if not (axes.get_visible() and axes.axison and low - slack <= tick.get_loc() <= high + slack):
                    hidden |= {id(tick.label1), id(tick.label2)}
        if not axes.get_visible():
            hidden |= {id(text) for text in axes.findobj(Text)}
    drawn = []
    for text in figure.findobj(Text):
        if not text.get_text().strip() or not text.get_visible() or id(text) in hidden:
            continue
        box = Text.get_window_extent(text, renderer)  # of an annotation without its arrow
        drawn.append((text.get_text(), box))
    return drawn


def overlapping(figure: Any) -> list[tuple[str, str]]:
    """Pairs of words of which one lies on the other."""
    found = []
    for (one, a), (other, b) in combinations(labels(figure), 2):
        width = min(a.x1, b.x1) - max(a.x0, b.x0)
        height = min(a.y1, b.y1) - max(a.y0, b.y0)
        if width > TOUCHING and height > TOUCHING:
            found.append((one, other))
    return found


def check_picture(figure: Any, *, dpi: int = 72) -> np.ndarray:
    """Refuse a picture that is blank, cut off at an edge, or has words on words; its colours."""
    drawn = pixels(figure, dpi)
    assert drawn.std() > 3, "the picture is blank"
    for edge in (drawn[0], drawn[-1], drawn[:, 0], drawn[:, -1]):
        assert (edge == 255).all(), "something is cut off at the edge"
    pairs = overlapping(figure)
    assert not pairs, f"words lie on others: {pairs}"
    return drawn
