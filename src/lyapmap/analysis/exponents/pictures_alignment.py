"""Alignment of deviation vectors: GALI along trajectories, or over a plane of states."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING

import numpy as np

from lyapmap.report import style
from lyapmap.report.fields import draw_field

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lyapmap.analysis.exponents.alignment import Alignment

COLOURS = {"chaotic": style.VERMILLION, "regular": style.BLUE, "undetermined": style.GREY}
MOST_LINES = 100
"""Curves of each verdict that are drawn."""
LOWEST = -30.0
"""Decimal logarithm below which a picture of GALI shows no more."""


def draw_alignment(result: Alignment) -> Figure:
    """Draw GALI against the step, straight for chaos and against its logarithm for power laws.

    Over a grid: its logarithm at the end, and the verdict, as images.

    Parameters
    ----------
    result : Alignment

    Returns
    -------
    matplotlib.figure.Figure
    """
    if result.grid and len(result.grid["shape"]) == 2:
        figure = style.new_figure(11.4, 5.4)
        left, right = figure.subplots(1, 2)
        end = np.maximum(result.log_gali[:, -1] / math.log(10), -16.0)
        n = 1 + max(result.grid["axes"])
        label = rf"$\log_{{10}}$ GALI$_{{{result.k}}}$ (cut at −16)"
        draw_field(left, end, result.grid, label=label, title=f"After {result.steps[-1]} steps", colours="magma", n=n)
        _draw_verdicts(right, result, n)
    else:
        figure = style.new_figure(11.0, 4.6)
        left, right = figure.subplots(1, 2, sharey=True)
        _draw_curves(left, result, logarithmic=False)
        _draw_curves(right, result, logarithmic=True)
    name = str(result.provenance.get("model") or result.provenance.get("map") or "alignment")
    counts = ", ".join(f"{count} {verdict}" for verdict, count in result.counts.items() if count)
    parts = [
        rf"GALI$_{{{result.k}}}$",
        counts,
        f"{result.steps[-1]} steps",
        f"status {str(result.status).replace('_', ' ')}",
    ]
    notes = textwrap.wrap(str(result.message), 140) if result.message else []
    style.headline(figure, name, "   ·   ".join(parts), notes=notes)
    return figure


def _draw_curves(axes: Axes, result: Alignment, *, logarithmic: bool) -> None:
    title = "Against the logarithm of the step: power laws are straight" if logarithmic else "Chaos falls along a line"
    style.dress(axes, title=title, x="step", y="" if logarithmic else rf"$\log_{{10}}$ GALI$_{{{result.k}}}$")
    curves = result.log_gali / math.log(10)
    verdicts = np.array(result.verdict)
    shown = result.steps > 0 if logarithmic else result.steps >= 0
    for verdict, colour in COLOURS.items():
        chosen = curves[verdicts == verdict]
        if len(chosen) == 0:
            continue
        axes.plot(result.steps[shown], chosen[:MOST_LINES, shown].T, color=colour, linewidth=0.8, alpha=0.6)
        axes.plot([], [], color=colour, linewidth=1.6, label=f"{verdict} ({len(chosen)})")
    if logarithmic:
        axes.set_xscale("log")
    known = curves[np.isfinite(curves)]
    low = max(float(known.min()), LOWEST) if known.size else -1.0
    axes.set_ylim(1.06 * min(low, -1.0), 0.05 * abs(min(low, -1.0)))
    axes.legend(loc="lower left", fontsize=style.SMALL, framealpha=0.9, edgecolor="white")


def _draw_verdicts(axes: Axes, result: Alignment, n: int) -> None:
    from matplotlib.colors import BoundaryNorm, ListedColormap
    from matplotlib.patches import Patch

    draw_field(axes, result.verdicts.astype(float), result.grid, label="", title="Verdict", colours="magma", n=n)
    image = axes.images[0]
    if image.colorbar is not None:
        image.colorbar.remove()
    order = ("undetermined", "regular", "chaotic")
    image.set(cmap=ListedColormap([COLOURS[name] for name in order]), norm=BoundaryNorm([-1.5, -0.5, 0.5, 1.5], 3))
    handles = [Patch(color=COLOURS[name], label=f"{name} ({count})") for name, count in result.counts.items()]
    axes.legend(handles=handles, loc="upper right", fontsize=style.SMALL, framealpha=0.9, edgecolor="white")
