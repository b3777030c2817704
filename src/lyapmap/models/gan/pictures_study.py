"""Adversarial networks side by side: measures by kind, and whether winners of battles are better by them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from lyapmap.report import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lyapmap.analysis.tournament import Tournament

PANELS = (
    ("precision", "precision"),
    ("recall", "recall"),
    ("density", "density"),
    ("coverage", "coverage"),
    ("variance", "variance, parts of the data's"),
    ("categories", "categories in effect"),
)


def draw_kinds(kinds: Mapping[str, str], quality: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Measures of every model, one column of dots for each kind.

    Parameters
    ----------
    kinds : mapping of str to str
        Kind of each model.
    quality : mapping
        Numbers of each model by name.

    Returns
    -------
    matplotlib.figure.Figure
    """
    order = list(dict.fromkeys(kinds[name] for name in quality))
    shown = [panel for panel in PANELS if any(numbers.get(panel[0]) is not None for numbers in quality.values())]
    columns = 3
    rows = -(-len(shown) // columns)
    figure = style.new_figure(4.0 * columns, 2.9 * rows + 0.6)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, (key, words) in zip(grid.flat, shown, strict=False):
        for place, kind in enumerate(order):
            values = [float(n[key]) for name, n in quality.items() if kinds[name] == kind and n.get(key) is not None]
            if not values:
                continue
            colour = style.SEQUENCE[place % len(style.SEQUENCE)]
            apart = np.linspace(-0.12, 0.12, len(values)) if len(values) > 1 else [0.0]
            axes.plot(place + np.asarray(apart), values, "o", color=colour, markersize=5, alpha=0.85)
            axes.plot([place - 0.28, place + 0.28], [np.mean(values)] * 2, color=colour, linewidth=1.8)
        axes.set_xticks(range(len(order)), [kind.replace(" ", "\n", 1) for kind in order])
        axes.set_xlim(-0.6, len(order) - 0.4)
        style.dress(axes, title=words, x="", y="")
    for axes in list(grid.flat)[len(shown) :]:
        axes.set_visible(False)
    style.headline(figure, "Quality and variety", f"{len(quality)} models of {len(order)} kinds; lines: means")
    return figure


def draw_winners(table: Tournament, quality: Mapping[str, Mapping[str, Any]]) -> Figure:
    """How the ratio of each battle goes with what one model covers, and is precise, more than the other.

    Parameters
    ----------
    table : Tournament
    quality : mapping
        Numbers "coverage" and "precision" of each model by name.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = style.new_figure(9.5, 4.4)
    for axes, key in zip(figure.subplots(1, 2), ("coverage", "precision"), strict=True):
        decided: list[tuple[float, float]] = []
        tied: list[tuple[float, float]] = []
        for i, one in enumerate(table.names):
            for j in range(i + 1, len(table.names)):
                other = table.names[j]
                if one not in quality or other not in quality or not math.isfinite(table.r_sample[i, j]):
                    continue
                # As seen by the first: a ratio of its inverse above 1 is a success.
                point = (1 / float(table.r_sample[i, j]), quality[one][key] - quality[other][key])
                (decided if table.outcome[i, j] else tied).append(point)
        for points, colour, words in ((tied, style.GREY, "ties"), (decided, style.VERMILLION, "decided")):
            if points:
                x, y = np.array(points).T
                axes.plot(x, y, "o", color=colour, markersize=5, alpha=0.8, label=f"{words} ({len(points)})")
        axes.set_xscale("log")
        axes.axvline(1.0, color=style.INK, linewidth=0.9)
        style.zero_line(axes)
        style.dress(axes, title=f"{key}: first less second", x="1 / $r_{sample}$: above 1 the first does better", y="")
        if decided or tied:
            axes.legend(fontsize=style.SMALL, framealpha=0.9, edgecolor="white")
    style.headline(figure, "Battles and measures", "a dot for each pair; winning goes with covering if dots rise")
    return figure
