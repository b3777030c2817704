"""Pictures of kaleidoscopic networks: samples on their way, the study's figures, and the experiments'.

One file, since they share colours, grids of images and the look of a loss over the plane.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.errors import LyapmapError
from lyapmap.core.points import channels_first, image_shape
from lyapmap.report import style
from lyapmap.report.images import film_strip, in_rows, save_film_strip, save_gif, save_sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lyapmap.analysis.exponents.sweep import Sweep
    from lyapmap.models.kaleidoscope.cube import KaleidoscopeCorners, KaleidoscopePlane
    from lyapmap.models.kaleidoscope.line import KaleidoscopeDepth, KaleidoscopeLine

STRIP_ROWS = 8
FILM_SAMPLES = 25
SECONDS_PER_STEP = 0.12
PATHS = 200
"""Points whose paths are drawn at most."""


class Samples(Protocol):
    """What is drawn; `lyapmap.models.kaleidoscope.sampling.KaleidoscopeSamples` is."""

    @property
    def states(self) -> NDArray[Any]:
        """(n, kept, d)."""

    @property
    def steps(self) -> NDArray[np.int64]:
        """(kept,)."""

    @property
    def state_shape(self) -> tuple[int, ...]:
        """Shape of one state."""

    @property
    def value_range(self) -> tuple[float, float]:
        """Smallest and largest value."""

    @property
    def settings(self) -> dict[str, Any]:
        """What was asked for."""

    @property
    def provenance(self) -> dict[str, Any]:
        """Where it comes from."""

    def images(self) -> NDArray[Any]:
        """(n, kept, *state_shape)."""


def draw_kaleidoscope_samples(result: Samples) -> Figure:
    """Film strip of the first samples where they are images, else paths of their first component."""
    states = np.asarray(result.states, float)
    n, kept, _ = states.shape
    name = str(result.provenance.get("model") or result.provenance.get("map") or "samples")
    eps, noise = result.settings.get("eps", 0.0), result.settings.get("noise", "")
    shaken = f"{noise} noise of {eps:g} at each step" if eps else "no noise after the start"
    summary = f"{n} samples over {int(result.steps[-1])} steps, {shaken}"
    if image_shape(tuple(result.state_shape)) is None:
        figure, (axes,) = style.panels(1)
        axes.plot(result.steps, states[:PATHS, :, 0].T, color=style.BLUE, linewidth=0.7, alpha=0.5)
        axes.plot(result.steps, states[:PATHS, :, 0].T, ".", color=style.VERMILLION, markersize=3)
        axes.set_xscale("symlog", linthresh=1)
        axes.set_xlim(left=0)
        y = "x" if states.shape[2] == 1 else "component 1"
        style.dress(axes, title="Samples over the steps", x="step", y=y)
    else:
        images = channels_first(result.images()[:STRIP_ROWS])
        strip = film_strip(images, steps=result.steps.tolist(), value_range=result.value_range, columns=max(kept, 1))
        height, width = strip.shape[:2]
        figure, (axes,) = style.panels(1, width=width / 100, row=height / 100)
        axes.imshow(strip, interpolation="nearest")
        axes.set_axis_off()
    style.headline(figure, name, summary)
    return figure


def save_kaleidoscope_samples(
    folder: str | Path, result: Samples, film: Samples | None = None, *, seconds_per_step: float = SECONDS_PER_STEP
) -> list[Path]:
    """Write strip.png, grid.png (the last step) and, with a film, kaleidoscope.gif; the files.

    The strip and the film show the first samples, the grid all.

    Parameters
    ----------
    folder : path
    result : KaleidoscopeSamples
        Of images.
    film : KaleidoscopeSamples, optional
        The same samples with the steps that the GIF shows.
    seconds_per_step : float
        Time that a frame of the GIF stays.

    Raises
    ------
    LyapmapError
        If the states are no images.
    """
    if image_shape(tuple(result.state_shape)) is None:
        raise LyapmapError(f"samples: states of shape {result.state_shape} are no images")
    folder, bounds = Path(folder), result.value_range
    images = channels_first(result.images())
    strip = save_film_strip(
        folder / "strip.png",
        images[:STRIP_ROWS],
        steps=result.steps.tolist(),
        value_range=bounds,
        columns=len(result.steps),
    )
    files = [strip, save_sheet(in_rows(images[:, -1], empty=bounds[1]), folder / "grid.png", value_range=bounds)]
    if film is not None:
        frames = channels_first(film.images()[:FILM_SAMPLES])
        files.append(
            save_gif(
                folder / "kaleidoscope.gif",
                frames,
                steps=film.steps.tolist(),
                value_range=bounds,
                seconds_per_step=seconds_per_step,
            )
        )
    return files


def draw_confidence(at: Sequence[int], sure: Mapping[str, Mapping[str, Any]], numbers: Mapping[str, Any]) -> Figure:
    """Confidence of a classifier over the iterations, and what it sees in the end.

    Parameters
    ----------
    at : sequence of int
        Steps.
    sure : mapping of name to mapping
        With `confidence` and `confidence_stderr`, one value for each step, and `labels`, the shares in the end.
    numbers : mapping
        With `categories`, `real_confidence` and `data_labels`.
    """
    figure, (curve, bars) = style.panels(2)
    for colour, (name, measured) in zip(style.SEQUENCE, sure.items(), strict=False):
        curve.errorbar(
            at, measured["confidence"], yerr=measured["confidence_stderr"], color=colour, marker="o", markersize=3.5,
            linewidth=1.2, capsize=2, label=name,
        )  # fmt: skip
    curve.axhline(numbers["real_confidence"], color=style.INK, linestyle="--", linewidth=0.9, label="held-out images")
    _steps(curve, at)
    curve.set_ylim(top=1.01)
    style.dress(curve, title="Mean probability of the likeliest category", x="step", y="confidence")
    curve.legend(fontsize=style.SMALL, frameon=False, loc="lower right")
    categories = np.arange(len(numbers["categories"]))
    width = 0.8 / (len(sure) + 1)
    sets: list[tuple[str, Any, str]] = [("training images", numbers["data_labels"], style.PALE)]
    sets += [
        (name, measured["labels"], colour)
        for colour, (name, measured) in zip(style.SEQUENCE, sure.items(), strict=False)
    ]
    for i, (name, shares, colour) in enumerate(sets):
        bars.bar(categories + (i - len(sure) / 2) * width, shares, width, color=colour, label=name)
    bars.set_xticks(categories, [str(c) for c in numbers["categories"]])
    style.dress(bars, title=f"Categories after {at[-1]} steps", x="category", y="share")
    bars.set_ylim(top=1.3 * bars.get_ylim()[1])  # room for the legend
    bars.legend(fontsize=style.SMALL, frameon=False, loc="upper right")
    quiet = next(iter(sure.values()))
    last, error = quiet["confidence"][-1], quiet["confidence_stderr"][-1]
    name = next(iter(sure))
    style.headline(figure, str(numbers["classifier"]), f"{name}, {style.with_error(last, error)} after {at[-1]} steps")
    return figure


def draw_manifold_steps(
    at: Sequence[int], curves: Mapping[str, Mapping[str, Sequence[float]]], reference: Mapping[str, float]
) -> Figure:
    """Precision, recall, density and coverage over the iterations, one panel each."""
    metrics = list(reference)
    figure, measured = style.panels(len(metrics))
    for axes, metric in zip(measured, metrics, strict=True):
        for colour, (name, curve) in zip(style.SEQUENCE, curves.items(), strict=False):
            axes.plot(at, curve[metric], color=colour, marker="o", markersize=3.5, linewidth=1.2, label=name)
        axes.axhline(reference[metric], color=style.INK, linestyle="--", linewidth=0.9, label="training images")
        _steps(axes, at)
        axes.set_ylim(-0.02, 1.35 * axes.get_ylim()[1] if metric == metrics[0] else None)
        style.dress(axes, title=metric.capitalize(), x="step", y="")
        if metric == metrics[0]:
            axes.legend(fontsize=style.SMALL, frameon=False, loc="upper right")
    last = dict(curves)
    words = "   ·   ".join(
        f"{name}: precision {curve['precision'][-1]:.2f}, recall {curve['recall'][-1]:.2f}"
        for name, curve in last.items()
    )
    style.headline(figure, f"Samples after {at[-1]} steps", words)
    return figure


def draw_noise(sweeps: Mapping[str, Sweep], numbers: Mapping[str, Any]) -> Figure:
    """Largest exponent, rate at which basins are left, and basins visited, against the level of noise."""
    figure, (exponent, leave, visited) = style.panels(3)
    for colour, (kind, swept) in zip(style.SEQUENCE, sweeps.items(), strict=False):
        options: dict[str, Any] = {"color": colour, "marker": "o", "markersize": 3.5, "linewidth": 1.2, "label": kind}
        exponent.errorbar(swept.values, swept.exponents[:, 0], yerr=2 * swept.stderr[:, 0], capsize=2, **options)
        leave.errorbar(swept.values, swept.measured[:, 0], yerr=2 * swept.measured[:, 1], capsize=2, **options)
        visited.plot(swept.values, swept.measured[:, 2], **options)
    style.zero_line(exponent)
    x = "standard deviation of the noise"
    style.dress(exponent, title="Largest exponent", x=x, y="nats per step")
    style.dress(leave, title="Basins left per step", x=x, y="rate")
    steps = numbers["wander_steps"]
    style.dress(visited, title=f"Basins visited in {steps} steps", x=x, y="mean over trajectories")
    leave.set_ylim(bottom=-0.02)
    visited.set_ylim(bottom=0)
    leave.legend(fontsize=style.SMALL, frameon=False, title="noise", title_fontsize=style.SMALL, loc="upper left")
    name = str(next(iter(sweeps.values())).provenance.get("model") or "Noise")
    style.headline(figure, name, str(numbers["verdict"]))
    return figure


def draw_depth(numbers: Mapping[str, Any]) -> Figure:
    """Burn-in, and the part at rest, against the depth of perceptrons."""
    figure, (steps, rest) = style.panels(2)
    depth = np.array(numbers["depth"], float)
    burn = np.array([np.nan if b is None else b for b in numbers["burn_in"]], float)
    limits = [[np.nan if v is None else v for v in pair] for pair in numbers["burn_in_interval"]]
    low, high = np.array(limits, float).T
    error = np.abs(np.stack([burn - low, np.where(np.isfinite(high), high, burn) - burn]))
    steps.errorbar(
        depth,
        burn,
        yerr=np.nan_to_num(error),
        linestyle="none",
        marker="o",
        capsize=3,
        color=style.BLUE,
        label="burn-in",
    )
    half = np.array([np.nan if v is None else v for v in numbers["median_settled_at"]], float)
    steps.plot(depth, half, linestyle="none", marker="s", color=style.VERMILLION, label="half at rest")
    steps.set_ylim(bottom=0)
    style.dress(steps, title="Steps", x="hidden layers", y="steps")
    steps.legend(fontsize=style.SMALL, frameon=False, loc="upper right")
    share = np.array(numbers["settled_share"], float)
    around = np.abs(np.array(numbers["settled_interval"], float).T - share)
    rest.errorbar(depth, share, yerr=around, linestyle="none", marker="o", capsize=3, color=style.BLUE)
    rest.set_ylim(-0.02, 1.02)
    style.dress(rest, title="Part at rest in the end", x="hidden layers", y="share of trajectories")
    for axes in (steps, rest):
        axes.set_xticks(sorted(set(depth.tolist())))
    style.headline(
        figure,
        "Burn-in against depth",
        f"{len(depth)} perceptrons, of {int(depth.min())} to {int(depth.max())} hidden layers",
    )
    return figure


def _steps(axes: Axes, at: Sequence[int]) -> None:
    """Steps on a logarithmic axis that has a zero."""
    axes.set_xscale("symlog", linthresh=1)
    ticks = [step for step in at if step in (0, 1, 10, 100, 1000) or step == at[-1]]
    if len(ticks) > 1 and 0 < ticks[-1] < 5 * ticks[-2]:
        del ticks[-2]  # their numbers would overlap
    axes.set_xticks(ticks, [str(step) for step in ticks])
    axes.minorticks_off()


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
    style.dress(axes, title=name.replace("}, ", "}\n"), x="x", y="loss  $(f(x) - x)^2$")


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
    figure, panels = style.panels(3)
    _draw(panels[0], result, result.largest, "Largest loss over all corners")
    _draw(panels[1], result, result.mean, "Mean loss over all corners")
    _draw(panels[2], result, result.fit_loss, "Loss left at the points")
    left = result.fit_loss[np.isfinite(result.fit_loss)]
    panels[2].set_yscale("log")
    panels[2].set_ylim(left.min() / 3, 3 * left.max())  # one value alone would span nothing
    for axes in panels[:2]:
        axes.set_ylim(0, max(1.05 * np.nanmax(np.append(result.largest, 0.25)), 0.3))
        # What the best constant output, the centre of the cube, would lose at every corner.
        axes.axhline(0.25, color=style.GREY, linewidth=0.8, linestyle="--", zorder=1)
    panels[1].text(
        1.0,
        0.255,
        "constant output 0.5",
        transform=panels[1].get_yaxis_transform(),
        fontsize=style.SMALL,
        color=style.GREY,
        va="bottom",
        ha="right",
    )
    named = panels[0].get_legend_handles_labels()
    figure.legend(*named, loc="outside right upper", fontsize=style.SMALL, frameon=False, title="dimension")
    seeds = result.largest.shape[2]
    style.headline(
        figure,
        "Loss outside the points learned",
        f"networks of {result.settings['depth']} hidden layers of {result.settings['width']} units, "
        "points uniform in the unit cube;  "
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
            label=str(dimension),
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
    "share_at_points": ("Starts ending at points", "part"),
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
        f"networks fitted to {{{points}}}, {style.counted(seeds, 'seed')};  bars: standard errors, "
        "titles: change for each doubling of the depth, with its 95 % interval",
        notes=[result.message] if result.message else [],
    )
    return figure


def _draw_profiles(axes: Axes, result: KaleidoscopeDepth, j: int) -> None:
    from matplotlib import colormaps

    axes.plot(result.x, result.x, color=style.GREY, linewidth=0.7, linestyle="--")
    shades = colormaps["viridis"](np.linspace(0, 0.9, len(result.depths)))
    for i, depth in enumerate(result.depths.tolist()):
        if np.isfinite(result.output[i, j]).all():
            axes.plot(
                result.x, result.output[i, j], color=shades[i], linewidth=1.3, label=style.counted(depth, "layer")
            )
    axes.plot(result.points, result.points, "x", color=style.VERMILLION, markersize=7, markeredgewidth=1.4, zorder=5)
    if j == 0:
        axes.legend(fontsize=style.SMALL, framealpha=0.9, edgecolor="white", loc="upper left")
    axes.set_xlim(result.x[0], result.x[-1])
    axes.set_ylim(result.x[0], result.x[-1])
    style.dress(axes, title=f"{result.widths[j]} units a layer, seed 0", x="x", y="f(x)")


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
            label=f"{width} units",
        )  # fmt: skip
    title, y = WORDS[result.measures[m]]
    effect, reach = result.effect[m, 0], result.effect_reach[m, 0]
    if np.isfinite(effect) and np.isfinite(reach):
        title += f": {effect:+.2f} ± {reach:.2f}"
    axes.set_xscale("log", base=2)
    axes.set_xticks(result.depths, [str(depth) for depth in result.depths])
    axes.minorticks_off()
    style.dress(axes, title=title, x="hidden layers", y=y)
