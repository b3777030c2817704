"""Finite-time exponents: histograms along trajectories, images over a plane of states."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np

from lyapmap.report import style
from lyapmap.report.fields import draw_field

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lyapmap.analysis.exponents.finite_time import FiniteTimeExponents

MOST_PANELS = 5


def draw_finite_time(result: FiniteTimeExponents) -> Figure:
    """Draw a field over a grid as an image, else a histogram of each of the first five exponents.

    Parameters
    ----------
    result : FiniteTimeExponents

    Returns
    -------
    matplotlib.figure.Figure
    """
    b, windows, k = result.exponents.shape
    drawn = min(k, MOST_PANELS)
    if result.grid:
        drawn = min(k, 2)
        wide = len(result.grid["shape"]) == 2
        figure = style.new_figure((5.6 if wide else 8.0) * drawn + 0.4, 5.4 if wide else 4.2)
        panels = figure.subplots(1, drawn, squeeze=False)[0]
        for i, axes in enumerate(panels):
            draw_field(
                axes,
                result.exponents[:, 0, i],
                result.grid,
                label=f"nats {result.unit}",
                title=f"Exponent {i + 1} over {result.n_steps} steps",
                colours="magma",
                n=1 + max(result.grid["axes"]),
            )
    else:
        figure = style.new_figure(max(3.1 * drawn, 6.5), 4.0)
        panels = figure.subplots(1, drawn, squeeze=False, sharey=False)[0]
        for i, axes in enumerate(panels):
            _draw_histogram(axes, result, i)
    name = str(result.provenance.get("model") or result.provenance.get("map") or "finite-time exponents")
    parts = [
        f"{result.measure} growth",
        f"{b} {'trajectory' if b == 1 else 'trajectories'}",
        f"{windows} {'window' if windows == 1 else 'windows'} of {result.n_steps} steps",
        f"status {str(result.status).replace('_', ' ')}",
    ]
    notes = textwrap.wrap(str(result.message), 100) if result.message else []
    style.headline(figure, name, "   ·   ".join(parts), notes=notes)
    return figure


def _draw_histogram(axes: Axes, result: FiniteTimeExponents, i: int) -> None:
    values = result.values(i)
    style.dress(axes, title=f"Exponent {i + 1}", x=f"nats {result.unit}", y="density" if i == 0 else "")
    if values.size == 0:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.text(0.5, 0.5, "nothing to show", transform=axes.transAxes, ha="center", color=style.GREY)
        return
    density, edges = result.histogram(i, "auto" if values.size > 20 else 10)
    mean, colour = float(values.mean()), style.SEQUENCE[i % len(style.SEQUENCE)]
    axes.stairs(density, edges, fill=True, color=colour, alpha=0.55)
    axes.axvline(mean, color=style.INK, linewidth=1.2)
    if edges[0] < 0 < edges[-1]:
        axes.axvline(0.0, color=style.GREY, linewidth=1.0, linestyle=":")
    modes = result.modes(i)
    shape = "too few values to count peaks" if modes == 0 else "one peak" if modes == 1 else f"{modes} peaks"
    text = f"mean {mean:.3g}\nspread {values.std():.2g}\n{shape}".replace("-", "−")
    axes.set_ylim(0, 1.3 * float(np.max(density)))
    axes.text(0.97, 0.97, text, transform=axes.transAxes, ha="right", va="top", fontsize=style.SMALL, color=style.INK)
    axes.tick_params(axis="y", labelleft=False)
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(4))
