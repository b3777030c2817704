"""The kaleidoscope on a line as a figure: loss, output with fixed points and steps, samples, ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lyapmap.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lyapmap.models.kaleidoscope.line import KaleidoscopeLine


SMALLEST_BASIN = 0.03
"""Part of the starts that a basin needs for its share to be written beside it."""


def draw_kaleidoscope_line(result: KaleidoscopeLine) -> Figure:
    """One row for each setting: loss, output, samples over iterations, where all starts end.

    Grey bands are flat steps of the output. Full circles are stable fixed points, open ones unstable.
    """
    rows = len(result.names)
    figure = style.new_figure(14.0, 1.1 + 2.9 * rows)
    panels = figure.subplots(rows, 4, squeeze=False)
    for i, name in enumerate(result.names):
        _draw_loss(panels[i, 0], result, i, name)
        _draw_output(panels[i, 1], result, i)
        _draw_samples(panels[i, 2], result, i)
        _draw_ends(panels[i, 3], result, i)
    notes = [result.message] if result.message else []
    many = f"{rows} networks" if rows > 1 else "one network"
    style.headline(
        figure,
        "Kaleidoscopes on a line",
        f"{many}, largest loss at the points {result.fit_loss.max():.1e};  "
        "full circles: stable fixed points, open: unstable, crosses: points learned, bands: flat steps",
        notes=notes,
    )
    return figure


def _known(row: np.ndarray) -> np.ndarray:
    return row[~np.isnan(row)]


def _draw_loss(axes: Axes, result: KaleidoscopeLine, i: int, name: str) -> None:
    lowest = 1e-12
    axes.semilogy(result.x[i], np.maximum(result.loss[i], lowest), color=style.BLUE, linewidth=1.2)
    for point in _known(result.points[i]):
        axes.axvline(point, color=style.GREY, linewidth=0.7, linestyle=":")
    axes.set_ylim(lowest / 3, 3)
    axes.set_xlim(result.x[i, 0], result.x[i, -1])
    style.dress(axes, title=name, x="x", y="loss  $(f(x) - x)^2$")


def _draw_output(axes: Axes, result: KaleidoscopeLine, i: int) -> None:
    x = result.x[i]
    for first, last in result.flat_steps[i]:
        if np.isfinite(first):
            axes.axvspan(first, last, color=style.PALE, alpha=0.5, linewidth=0)
    axes.plot(x, x, color=style.GREY, linewidth=0.7, linestyle="--")
    axes.plot(x, result.output[i], color=style.BLUE, linewidth=1.6)
    points = _known(result.points[i])
    axes.plot(points, points, "x", color=style.VERMILLION, markersize=9, markeredgewidth=1.5, zorder=4)
    for place, multiplier in zip(result.fixed_points[i], result.multipliers[i], strict=True):
        face = style.INK if abs(multiplier) < 1 else "white"
        axes.plot(place, place, "o", color=style.INK, markerfacecolor=face, markersize=5, zorder=5)
    axes.set_xlim(x[0], x[-1])
    axes.set_ylim(x[0], x[-1])
    steps = int(np.isfinite(result.flat_steps[i, :, 0]).sum())
    steepest = f"steepest slope {np.abs(result.slope[i]).max():.2g}"
    style.dress(axes, title=f"{steps} {'step' if steps == 1 else 'steps'}, {steepest}", x="x", y="f(x)")


def _draw_samples(axes: Axes, result: KaleidoscopeLine, i: int) -> None:
    places = np.arange(len(result.sampled_after))
    for point in _known(result.points[i]):
        axes.axhline(point, color=style.VERMILLION, linewidth=0.8, linestyle=":")
    axes.plot(places, result.samples[i], color=style.PALE, linewidth=0.8)
    for j, states in enumerate(result.samples[i]):
        colour = style.VERMILLION if j == 0 else style.GREEN
        axes.plot(np.full(len(states), j), states, "o", color=colour, markersize=4, markeredgewidth=0)
    axes.set_xticks(places, [str(n) for n in result.sampled_after])
    axes.set_ylim(result.x[i, 0], result.x[i, -1])
    style.dress(axes, title=f"{result.samples.shape[2]} random starts", x="iterations", y="x")


def _draw_ends(axes: Axes, result: KaleidoscopeLine, i: int) -> None:
    settled = result.settled_after[i] >= 0
    x, ends = result.x[i], result.ends[i]
    axes.plot(x[settled], ends[settled], ".", color=style.GREEN, markersize=3, markeredgewidth=0)
    axes.plot(x[~settled], ends[~settled], ".", color=style.VERMILLION, markersize=3, markeredgewidth=0)
    for place, share in zip(result.fixed_points[i], result.basin_shares[i], strict=True):
        if share >= SMALLEST_BASIN:
            basin = x[np.abs(ends - place) <= result.settings["tolerance"]]
            axes.annotate(
                f"{100 * share:.0f} %",
                (np.median(basin), place),
                xytext=(0, 5 if place < x.mean() else -5),
                textcoords="offset points",
                ha="center",
                va="bottom" if place < x.mean() else "top",
                fontsize=style.SMALL,
            )
    axes.set_xlim(x[0], x[-1])
    axes.set_ylim(x[0], x[-1])
    took = result.settled_after[i][settled]
    words = (
        f"median {np.median(took):.0f}, 95 %: {np.percentile(took, 95):.0f} iterations" if len(took) else "none settled"
    )
    style.dress(axes, title=words, x=f"start  ({100 * result.share_at_points[i]:.0f} % end at points)", y="end")
