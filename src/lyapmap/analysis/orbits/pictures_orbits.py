"""Pictures of how trajectories come to rest, and of the burn-in of ensembles."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lyapmap.core.points import channels_first, image_shape
from lyapmap.report import style
from lyapmap.report.hover import Hovered
from lyapmap.report.images import save_film_strip

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lyapmap.analysis.orbits.burn_in import BurnIn
    from lyapmap.analysis.orbits.periodic_orbits import PeriodicOrbits
    from lyapmap.analysis.orbits.settling import Settling
    from lyapmap.analysis.orbits.trajectory import Trajectory

SMALLEST = 1e-12
"""Lengths of steps below are drawn here: a logarithm has no zero."""


def draw_settling(result: Settling) -> Figure:
    """Length of steps, part at rest, and shares of the ends."""
    figure, (length, rest, ends) = style.panels(3)
    steps = np.arange(1, len(result.step_size) + 1)
    low, middle, high = np.maximum(result.step_size, SMALLEST).T
    length.fill_between(steps, low, high, color=style.SKY, alpha=0.35, linewidth=0, label="10 to 90 %")
    length.plot(steps, middle, color=style.BLUE, linewidth=1.2, label="median")
    style.log_axis(length.yaxis, result.step_size)
    style.log_axis(length.xaxis, steps)
    visible = result.step_size[result.step_size > 0]
    if visible.size:
        length.set_ylim(max(float(visible.min()), SMALLEST) / 2, float(visible.max()) * 2)
    style.dress(length, title="Length of a step", x="step", y="distance from x(n) to x(n + 1)")
    style.legend(length, "lower left")
    n = np.arange(len(result.settled_share))
    rest.fill_between(n, *result.settled_interval.T, color=style.SKY, alpha=0.35, linewidth=0)
    rest.plot(n, result.settled_share, color=style.BLUE, linewidth=1.2)
    rest.set_ylim(-0.02, 1.02)
    rest.set_xscale("symlog", linthresh=10)
    rest.set_xlim(0, len(n) - 1)
    style.dress(rest, title="Part at rest", x="step", y="share of trajectories")
    rank = np.arange(1, len(result.share) + 1)
    if len(rank):
        error = np.abs(result.share_interval.T - result.share)
        ends.errorbar(
            rank, result.share, yerr=error, linestyle="none", marker="o", markersize=3, color=style.VERMILLION,
            ecolor=style.GREY, elinewidth=1,
        )  # fmt: skip
        if result.share.min() < 0.02:
            ends.set_yscale("log")
        else:
            ends.set_ylim(0, 1.02)
            ends.set_xlim(0.5, len(rank) + 0.5)
        if len(rank) > 20:
            ends.set_xscale("log")
        elif len(rank) < 6:
            ends.set_xticks(rank)
    style.dress(ends, title="Where they end", x="fixed point or cycle, by rank", y="share of trajectories")
    cycles = int((result.period > 1).sum())
    kinds = f"{len(result.share) - cycles} fixed points" + (f" and {cycles} cycles" if cycles else "")
    parts = [f"none of {len(result.attractor)} trajectories came to rest"]
    if len(result.share):
        settled = int((result.attractor >= 0).sum())
        elsewhere = f"{result.unseen:.2g}" if result.unseen else f"below {1 / settled:.2g}"
        parts = [
            f"{result.settled_share[-1]:.1%} of {len(result.attractor)} trajectories at rest, on {kinds}",
            f"a further one that comes to rest ends elsewhere with probability {elsewhere}",
        ]
    style.caption(figure, result, "Settling", parts)
    return figure


def draw_burn_in(result: BurnIn) -> Figure:
    """Energy distance to the last ensemble over the steps."""
    figure, (axes,) = style.panels(1)
    known = np.isfinite(result.distance)
    if known.any():
        least = result.threshold / 30 if result.threshold > 0 else 1e-6 * float(np.nanmax(result.distance) or 1.0)
        low, high = result.distance - result.stderr, result.distance + result.stderr
        axes.fill_between(
            result.at, np.maximum(low, least), np.maximum(high, least), color=style.SKY, alpha=0.35, linewidth=0
        )
        axes.plot(result.at, np.maximum(result.distance, least), color=style.BLUE, linewidth=1.2)
        axes.axhline(result.threshold, color=style.INK, linestyle="--", linewidth=0.9)
        axes.annotate(
            "what chance gives" if result.threshold == result.noise else "tolerance",
            (1, result.threshold), xycoords=("axes fraction", "data"), xytext=(-4, 4), textcoords="offset points",
            ha="right", fontsize=style.SMALL, color=style.INK,
        )  # fmt: skip
        style.log_axis(axes.yaxis, np.append(result.distance, [least, result.threshold]))
        axes.set_ylim(bottom=least)
        first, last = result.burn_in_interval
        if math.isfinite(result.burn_in):
            end = last if math.isfinite(last) else float(result.at[-1])
            axes.axvspan(first, end, color=style.ORANGE, alpha=0.18, linewidth=0)
            axes.axvline(result.burn_in, color=style.ORANGE, linewidth=1.2)
    axes.set_xlim(0, float(result.at[-1]) if len(result.at) else 1.0)
    style.dress(axes, title="Distance to the last ensemble", x="step", y="energy distance")
    burn_in = "no burn-in to tell"
    if math.isfinite(result.burn_in):
        first, last = result.burn_in_interval
        limits = f"{first:.0f} to {last:.0f}" if math.isfinite(last) else f"from {first:.0f}"
        burn_in = f"burn-in of {result.burn_in:.0f} steps ({limits})"
    ensemble = f"{result.settings.get('n_trajectories', '?')} trajectories"
    features = "in features" if result.settings.get("features") else ""
    style.caption(figure, result, "Burn-in", [burn_in, ensemble, features])
    return figure


STRIP_COLUMNS = 13
STRIP_BLOCKS = 3
"""Blocks of columns below each other before steps are left out: every third one hides a cycle of period 3."""
STRIP_ROWS = 8
SERIES_STEPS = 100


def save_trajectory(result: Trajectory, path: str | Path) -> Path:
    """Write a picture of a trajectory: a film strip if its states are images, else a plot.

    The strip shows the first trajectories, in blocks below each other, and of long ones every so many-th step.
    """
    path = Path(path)
    if image_shape(tuple(result.state_shape)) is not None:
        images = channels_first(result.images()[:STRIP_ROWS])
        every = max(1, -(-(images.shape[1] - 1) // (STRIP_BLOCKS * STRIP_COLUMNS - 1)))
        first = int(result.settings.get("transient", 0))
        steps = range(first, first + images.shape[1], every)
        return save_film_strip(path, images[:, ::every], steps=steps, columns=STRIP_COLUMNS)
    return style.save_figure(draw_trajectory(result), path)


def draw_trajectory(result: Trajectory) -> Figure:
    """Phase portrait, and the first component over the first steps.

    The portrait shows the first two components; for a map of one variable, each value against the
    one before it; of images, the two principal components in which they differ most.
    """
    states = np.asarray(result.states, dtype=float)
    states = states[:, np.isfinite(states).all(axis=(0, 2))]
    images = None
    if image_shape(tuple(result.state_shape)) is not None:
        images = channels_first(states.reshape(-1, *result.state_shape))
        states = principal_components(states)
    figure, (portrait, series) = style.panels(2)
    _portrait(portrait, states, images)
    shown = min(states.shape[1], SERIES_STEPS + 1)
    first = int(result.settings.get("transient", 0))
    for i, row in reversed(list(enumerate(states[:4, :shown, 0]))):
        colour = style.PALE if i else style.BLUE  # the first can be followed, the others show how they part
        series.plot(first + np.arange(shown), row, color=colour, linewidth=0.9, marker=".", markersize=3)
    name = "principal component 1" if images is not None else "x" if states.shape[2] < 4 else "component 1"
    style.dress(series, title="First component over time", x="step", y=name)
    b, recorded, _ = states.shape
    style.caption(
        figure, result, "Trajectory", [f"{style.counted(b, 'trajectory', 'trajectories')} of {recorded - 1} steps"]
    )
    return figure


def principal_components(states: np.ndarray) -> np.ndarray:
    """The two coordinates of states (b, T, n) in which they vary most, (b, T, 2)."""
    rows = states.reshape(-1, states.shape[-1])
    centred = rows - (rows.mean(axis=0) if len(rows) else 0.0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    coordinates = np.zeros((len(rows), 2))
    count = min(2, len(sizes))
    coordinates[:, :count] = left[:, :count] * sizes[:count]
    return coordinates.reshape(*states.shape[:2], 2)


def _portrait(axes: Axes, states: np.ndarray, images: np.ndarray | None = None) -> None:
    if states.shape[2] == 1:
        x, y = states[:, :-1, 0].ravel(), states[:, 1:, 0].ravel()
        labels = ("x at step n", "x at step n + 1")
    else:
        x, y = states[..., 0].ravel(), states[..., 1].ravel()
        labels = ("x", "y") if states.shape[2] < 4 else ("component 1", "component 2")
    # As many points as there are cover about as much of the panel: many are small, and none too faint to see.
    size = float(np.clip(90 / np.sqrt(max(len(x), 1)), 0.9, 6.0))
    points = axes.plot(
        x, y, linestyle="none", marker=".", markersize=size, color=style.BLUE, markeredgewidth=0, rasterized=True
    )[0]
    if images is not None:
        labels = ("principal component 1", "principal component 2")
        points.hovered = Hovered(images)  # type: ignore[attr-defined]
    style.dress(axes, title="Phase portrait", x=labels[0], y=labels[1])


COLOURS = {"stable": style.GREEN, "neutral": style.INK, "saddle": style.VERMILLION, "unstable": style.PURPLE}
IMAGE_ROWS, IMAGE_COLUMNS = 5, 8


def draw_periodic_orbits(result: PeriodicOrbits) -> Figure:
    """Draw cycles, coloured by their stability, beside the moduli of their multipliers.

    States of a few components are drawn over the states that the search passed through; images
    are drawn as such, one row for each of the first cycles. A number in brackets counts the
    unstable directions.
    """
    images = image_shape(tuple(result.state_shape)) is not None and len(result.orbits) > 0
    if images:
        figure = style.new_figure(12.0, 5.0)
        parts: Any = figure.subfigures(1, 2, width_ratios=[1.25, 1])
        _draw_images(parts[0], result)
        _draw_exponents(parts[1].subplots(), result)
    else:
        figure, (left, right) = style.panels(2)
        _draw_points(left, result)
        _draw_exponents(right, result)
    style.caption(figure, result, "Cycles", [in_words(result)])
    return figure


def in_words(result: PeriodicOrbits) -> str:
    """How many cycles of which period there are."""
    if len(result.period) == 0:
        return f"no cycle of period {result.settings.get('period', '?')} found"
    parts = []
    for period in np.unique(result.period):
        count = int((result.period == period).sum())
        kind = "fixed point" if period == 1 else f"cycle of period {period}"
        parts.append(f"{count} {kind if count == 1 else kind.replace('point', 'points').replace('cycle', 'cycles')}")
    return ", ".join(parts) + " found"


def _draw_points(axes: Axes, result: PeriodicOrbits) -> None:
    orbits, visited = result.orbits, result.visited
    n = orbits.shape[2]
    if n == 1:
        labels = ("x at step n", "x at step n + 1")
        points, following = orbits[..., 0], np.roll(orbits[..., 0], -1, axis=1)
        background = np.zeros((0, 2))
        low, high = (float(np.min(orbits)), float(np.max(orbits))) if orbits.size else (0.0, 1.0)
        axes.plot([low, high], [low, high], color=style.GREY, linewidth=0.8)
    else:
        labels = ("x", "y") if n < 4 else ("component 1", "component 2")
        points, following = orbits[..., 0], orbits[..., 1]
        background = visited[:, :2]
    if len(background):
        size = float(np.clip(6000 / len(background), 0.8, 5.0))
        axes.plot(*background.T, ".", color=style.GREY, alpha=0.6, markersize=size, markeredgewidth=0, rasterized=True)
    for kind, colour in COLOURS.items():
        rows = np.array([name == kind for name in result.stability], bool)
        if rows.any():
            size = float(np.clip(40 / np.sqrt(rows.sum() * points.shape[1]), 3.0, 7.0))
            axes.plot(
                points[rows].ravel(),
                following[rows].ravel(),
                "o",
                color=colour,
                markersize=size,
                markeredgecolor="white",
                markeredgewidth=0.5,
                label=f"{kind} ({rows.sum()})",
            )
    if len(result.period):
        style.legend(axes, handletextpad=0.3)
        _keep_in_sight(axes, background, points, following)
    style.dress(axes, title="Points of the cycles", x=labels[0], y=labels[1])


def _keep_in_sight(axes: Axes, background: Any, points: Any, following: Any) -> None:
    """Limits that the cycles and the bulk of the background set; orbits on their way out do not."""
    for set_limits, wanted, column in ((axes.set_xlim, points, 0), (axes.set_ylim, following, 1)):
        values = [wanted.ravel()]
        if len(background):
            values.append(np.percentile(background[:, column], [0.5, 99.5]))
        low, high = float(np.min(np.concatenate(values))), float(np.max(np.concatenate(values)))
        margin = 0.06 * (high - low) or 0.1 * max(abs(low), 1.0)
        set_limits(low - margin, high + margin)


def _draw_images(figure: Any, result: PeriodicOrbits) -> None:
    """The first points of the first cycles as images."""
    orbits = channels_first(result.images())
    wide = bool((result.period == 1).all())  # fixed points fill a grid
    shown = orbits[: IMAGE_ROWS * 4, 0] if wide else orbits[:IMAGE_ROWS, :IMAGE_COLUMNS]
    columns = min(4, len(shown)) if wide else shown.shape[1]
    rows = -(-len(shown) // columns) if wide else len(shown)
    grid = np.atleast_2d(figure.subplots(rows, columns, squeeze=False))
    for axes in grid.ravel():
        axes.set_axis_off()
    low, high = float(shown.min()), float(shown.max())
    for i in range(len(shown)):
        for j in range(1 if wide else columns):
            axes = grid[i // columns, i % columns] if wide else grid[i, j]
            picture = np.moveaxis(shown[i] if wide else shown[i, j], 0, -1)
            axes.set_axis_on()
            axes.set_xticks([])
            axes.set_yticks([])
            for spine in axes.spines.values():
                spine.set_color(style.PALE)
            axes.imshow(_brightness(picture, low, high), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            if wide or j == 0:
                kind = result.stability[i]
                label = f"{i + 1}: {kind}" + (f" ({result.n_unstable[i]})" if result.n_unstable[i] else "")
                axes.set_title(label, loc="left", fontsize=style.SMALL, color=COLOURS[kind])


def _brightness(picture: np.ndarray, low: float, high: float) -> np.ndarray:
    """Values scaled to 0 to 1, alike in all pictures; one channel without its axis."""
    scaled = (picture - low) / (high - low) if high > low else np.zeros_like(picture)
    return scaled[..., 0] if scaled.shape[-1] == 1 else scaled


def _draw_exponents(axes: Axes, result: PeriodicOrbits) -> None:
    """Exponents of each cycle: ln|multiplier| over the period."""
    style.dress(axes, title="Exponents of the cycles", x="cycle", y=f"ln|multiplier| / period  (nats {result.unit})")
    m, k = result.exponents.shape
    if m == 0:
        style.say(axes, "nothing to show")
        return
    style.zero_line(axes)
    size = float(np.interp(m * k, [1, 100, 5000], [6.0, 4.0, 2.0]))
    index = np.arange(1, m + 1)
    for j in range(k):
        values = np.where(np.isfinite(result.exponents[:, j]), result.exponents[:, j], np.nan)
        up = values > 0
        axes.plot(index[up], values[up], "o", color=style.VERMILLION, markersize=size, markeredgewidth=0)
        axes.plot(index[~up], values[~up], "o", color=style.BLUE, markersize=size, markeredgewidth=0)
    if m <= 10:
        axes.set_xticks(index)
    axes.set_xlim(0.5, m + 0.5)
