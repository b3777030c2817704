"""Loss at the corners of the cube as a figure: against the number of points, and against the loss left at them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lyapmap.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lyapmap.models.kaleidoscope.corners import KaleidoscopeCorners


def draw_kaleidoscope_corners(result: KaleidoscopeCorners) -> Figure:
    """Largest and mean loss over the corners, and the loss left at the points; one curve for each dimension.

    Curves are means over seeds, bars reach from the smallest to the largest.
    """
    figure = style.new_figure(13.0, 4.6)
    panels = figure.subplots(1, 3)
    _draw(panels[0], result, result.largest, "Largest loss over all corners")
    _draw(panels[1], result, result.mean, "Mean loss over all corners")
    panels[2].set_yscale("log")
    _draw(panels[2], result, result.fit_loss, "Loss left at the points")
    for axes in panels[:2]:
        axes.set_ylim(0, max(1.05 * np.nanmax(np.append(result.largest, 0.25)), 0.3))
        # What the best constant output, the centre of the cube, would lose at every corner.
        axes.axhline(0.25, color=style.GREY, linewidth=0.8, linestyle="--", zorder=1)
    panels[1].text(
        result.n_points[-1],
        0.255,
        "constant output 0.5",
        fontsize=style.SMALL,
        color=style.GREY,
        va="bottom",
        ha="right",
    )
    handles, labels = panels[0].get_legend_handles_labels()
    columns = 1 if len(labels) <= 8 else 2
    panels[0].legend(handles, labels, fontsize=style.SMALL, ncols=columns, framealpha=0.9, edgecolor="white")
    seeds = result.largest.shape[2]
    style.headline(
        figure,
        "Loss outside the points learned",
        f"networks L={result.settings['depth']}, H={result.settings['width']}, points uniform in the unit cube;  "
        f"means of {seeds} {'seed' if seeds == 1 else 'seeds, bars: smallest to largest'}",
        notes=[result.message] if result.message else [],
    )
    return figure


def _draw(axes: Axes, result: KaleidoscopeCorners, values: np.ndarray, title: str) -> None:
    from matplotlib import colormaps

    d = len(result.dimensions)
    shades = colormaps["viridis"](np.linspace(0, 0.9, d))
    for i, dimension in enumerate(result.dimensions):
        known = ~np.isnan(values[i]).any(axis=1)
        if not known.any():
            continue
        rows = values[i][known]
        middle = rows.mean(axis=1)
        reach = np.stack([middle - rows.min(axis=1), rows.max(axis=1) - middle])
        # Side by side, so that bars of different curves do not hide one another.
        x = result.n_points[known] * 2.0 ** (0.3 * (i - (d - 1) / 2) / d)
        axes.errorbar(
            x, middle, yerr=reach, color=shades[i], marker="o", markersize=3.5, linewidth=1.2, elinewidth=0.7,
            label=f"D = {dimension}",
        )  # fmt: skip
    axes.set_xscale("log", base=2)
    shown = result.n_points[:: 2 if len(result.n_points) > 8 else 1]
    axes.set_xticks(shown, [str(count) for count in shown])
    axes.minorticks_off()
    style.dress(axes, title=title, x="points learned", y="loss")
