"""Pictures of small kaleidoscopic networks: on a line, on the unit square, at the corners of a cube, against depth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lyapmap.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lyapmap.models.kaleidoscope.corners import KaleidoscopeCorners
    from lyapmap.models.kaleidoscope.depth import KaleidoscopeDepth
    from lyapmap.models.kaleidoscope.line import KaleidoscopeLine
    from lyapmap.models.kaleidoscope.plane import KaleidoscopePlane

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
