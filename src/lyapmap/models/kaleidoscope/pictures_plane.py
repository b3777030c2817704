"""The kaleidoscope on the unit square as a figure: loss surface, samples over iterations, basins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lyapmap.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lyapmap.models.kaleidoscope.plane import KaleidoscopePlane

LOWEST = 1e-8
SHOWN = (0, 1, 5, 50)
"""Iterations whose samples are drawn."""


def draw_kaleidoscope_plane(result: KaleidoscopePlane) -> Figure:
    """One row for each setting: the loss surface, samples over iterations, where all starts end."""
    from mpl_toolkits.mplot3d import Axes3D  # noqa: F401  (gives figures their three-dimensional axes)

    rows = len(result.names)
    times = [t for t, after in enumerate(result.sampled_after) if after in SHOWN]
    columns = 2 + len(times)
    figure = style.new_figure(3.0 * columns + 1.2, 0.9 + 3.4 * rows)
    widths = [1.5, *[1.0] * (len(times) + 1)]
    grid = figure.add_gridspec(rows, columns, width_ratios=widths)
    for i, name in enumerate(result.names):
        _draw_surface(figure.add_subplot(grid[i, 0], projection="3d"), result, i, name)
        for column, t in enumerate(times, start=1):
            _draw_samples_of_plane(figure.add_subplot(grid[i, column]), result, i, t)
        _draw_basins(figure.add_subplot(grid[i, columns - 1]), result, i)
    share = ", ".join(f"{100 * np.nansum(row):.0f} %" for row in result.share_by_point)
    style.headline(
        figure,
        "Kaleidoscopes on the unit square",
        f"starts of a grid that end at a point learned: {share};  red: starts, green: samples, crosses: points learned",
        notes=[result.message] if result.message else [],
    )
    return figure


def _points(result: KaleidoscopePlane, i: int) -> np.ndarray:
    return result.points[i][~np.isnan(result.points[i, :, 0])]


def _draw_surface(axes: Any, result: KaleidoscopePlane, i: int, name: str) -> None:
    x, y = np.meshgrid(result.axis, result.axis)
    axes.plot_surface(x, y, result.loss[i], cmap="viridis", linewidth=0, alpha=0.9, rcount=60, ccount=60)
    points = _points(result, i)
    axes.plot(points[:, 0], points[:, 1], np.zeros(len(points)), "x", color=style.VERMILLION, markersize=7, zorder=9)
    axes.set_title(f"{name}: loss", loc="left", fontsize=style.TITLE, color=style.INK)
    axes.tick_params(labelsize=style.SMALL - 1, pad=-1)
    axes.set_xlabel("x", fontsize=style.SMALL, labelpad=-4)
    axes.set_ylabel("y", fontsize=style.SMALL, labelpad=-4)
    axes.view_init(elev=32, azim=-58)


def _draw_samples_of_plane(axes: Axes, result: KaleidoscopePlane, i: int, t: int) -> None:
    logarithm = np.log10(np.maximum(result.loss[i], LOWEST))
    _picture(axes, logarithm, result, cmap="Greys_r", alpha=0.45)
    after = int(result.sampled_after[t])
    colour = style.VERMILLION if after == 0 else style.GREEN
    states = result.samples[i, t]
    axes.plot(
        states[:, 0],
        states[:, 1],
        "o",
        color=colour,
        markersize=4,
        markeredgecolor="white",
        markeredgewidth=0.4,
        zorder=4,
    )
    share = f"{100 * result.share_at_points[i, t]:.0f} % at points"
    _finish(axes, result, i, "starts" if after == 0 else f"n = {after}: {share}")


def _draw_basins(axes: Axes, result: KaleidoscopePlane, i: int) -> None:
    from matplotlib.colors import to_rgb

    colours = np.array([to_rgb(style.SEQUENCE[j % len(style.SEQUENCE)]) for j in range(result.points.shape[1])])
    elsewhere = result.basin[i] < 0
    shade = np.where(elsewhere[..., None], to_rgb(style.PALE), colours[np.maximum(result.basin[i], 0).astype(int)])
    _picture(axes, shade, result, alpha=0.7)
    settled = f"{result.n_ends[i]} {'end' if result.n_ends[i] == 1 else 'ends'}"
    grey = f", {100 * elsewhere.mean():.0f} % elsewhere" if elsewhere.any() else ""
    _finish(axes, result, i, f"basins: {settled}{grey}")


def _picture(axes: Axes, values: np.ndarray, result: KaleidoscopePlane, **options: Any) -> None:
    axes.imshow(values, origin="lower", extent=(0, 1, 0, 1), aspect="equal", interpolation="nearest", **options)


def _finish(axes: Axes, result: KaleidoscopePlane, i: int, title: str) -> None:
    points = _points(result, i)
    axes.plot(points[:, 0], points[:, 1], "x", color=style.INK, markersize=8, markeredgewidth=1.2, zorder=3)
    style.dress(axes, title=title, x="x", y="y")
    axes.grid(False)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
