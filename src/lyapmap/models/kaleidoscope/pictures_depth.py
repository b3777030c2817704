"""Depth against width as a figure: profiles of the output, and how each measure changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lyapmap.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lyapmap.models.kaleidoscope.depth import KaleidoscopeDepth

WORDS = {
    "n_steps": ("Flat steps", "steps"),
    "flat_share": ("Flat part of the range", "part"),
    "step_slope": ("Slope in the steps", "mean |slope|"),
    "steepest": ("Steepest slope", "log2 of |slope|"),
    "settled_after": ("Iterations to settle", "log2(1 + median)"),
    "share_at_points": ("Starts that end at a point", "part"),
}


def draw_kaleidoscope_depth(result: KaleidoscopeDepth) -> Figure:
    """Above, the output of one network of each depth and width; below, every measure against the depth.

    Marks are means over seeds, bars their standard errors. Titles give the change for each doubling of the
    depth, with the half width of its 95 % interval.
    """
    b = len(result.widths)
    columns = max(b, 3)
    figure = style.new_figure(3.7 * columns, 10.2)
    profiles, measures = np.ravel(figure.subfigures(2, 1, height_ratios=[1, 2], squeeze=False))
    for j, axes in enumerate(profiles.subplots(1, b, squeeze=False)[0]):
        _draw_profiles(axes, result, j)
    panels = measures.subplots(2, 3, squeeze=False).ravel()
    for m, axes in enumerate(panels):
        _draw_measure(axes, result, m)
    panels[0].legend(fontsize=style.SMALL, framealpha=0.9, edgecolor="white", ncols=2)
    points = ", ".join(f"{p:g}" for p in result.points)
    seeds = result.measured.shape[3]
    style.headline(
        figure,
        "Depth against width",
        f"networks fitted to {{{points}}}, {seeds} {'seed' if seeds == 1 else 'seeds'};  bars: standard errors, "
        "titles: change for each doubling of the depth, with its 95 % interval",
        notes=[result.message] if result.message else [],
    )
    return figure


def _draw_profiles(axes: Axes, result: KaleidoscopeDepth, j: int) -> None:
    from matplotlib import colormaps

    axes.plot(result.x, result.x, color=style.GREY, linewidth=0.7, linestyle="--")
    shades = colormaps["viridis"](np.linspace(0, 0.9, len(result.depths)))
    for i, depth in enumerate(result.depths):
        if np.isfinite(result.output[i, j]).all():
            axes.plot(result.x, result.output[i, j], color=shades[i], linewidth=1.3, label=f"L = {depth}")
    axes.plot(result.points, result.points, "x", color=style.VERMILLION, markersize=7, markeredgewidth=1.4, zorder=5)
    if j == 0:
        axes.legend(fontsize=style.SMALL, framealpha=0.9, edgecolor="white", loc="upper left")
    axes.set_xlim(result.x[0], result.x[-1])
    axes.set_ylim(result.x[0], result.x[-1])
    style.dress(axes, title=f"H = {result.widths[j]}: output of seed 0", x="x", y="f(x)")


def _draw_measure(axes: Axes, result: KaleidoscopeDepth, m: int) -> None:
    b = len(result.widths)
    for j, width in enumerate(result.widths):
        values = result.measured[m, :, j]
        count = np.isfinite(values).sum(axis=1)
        known = count > 0
        if not known.any():
            continue
        middle = np.nanmean(values[known], axis=1)
        squares = np.nansum((values[known] - middle[:, None]) ** 2, axis=1)
        n = count[known]
        error = np.where(n > 1, np.sqrt(squares / np.maximum(n - 1, 1) / n), 0.0)
        colour = style.SEQUENCE[j % len(style.SEQUENCE)]
        x = result.depths[known] * 2.0 ** (0.12 * (j - (b - 1) / 2))
        axes.errorbar(
            x, middle, yerr=error, color=colour, marker="o", markersize=4, linewidth=1.1, elinewidth=0.9, capsize=2,
            label=f"H = {width}",
        )  # fmt: skip
    title, y = WORDS[result.measures[m]]
    effect, reach = result.effect[m, 0], result.effect_reach[m, 0]
    if np.isfinite(effect) and np.isfinite(reach):
        title += f": {effect:+.2f} ± {reach:.2f}"
    axes.set_xscale("log", base=2)
    axes.set_xticks(result.depths, [str(depth) for depth in result.depths])
    axes.minorticks_off()
    style.dress(axes, title=title, x="depth L", y=y)
