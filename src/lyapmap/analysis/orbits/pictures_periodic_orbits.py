"""Cycles as a figure: their points on a phase portrait, or as images, and their multipliers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lyapmap.core.images import channels_first, image_shape
from lyapmap.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lyapmap.analysis.orbits.periodic_orbits import PeriodicOrbits

COLOURS = {"stable": style.GREEN, "neutral": style.INK, "saddle": style.VERMILLION, "unstable": style.PURPLE}
IMAGE_ROWS, IMAGE_COLUMNS = 5, 8


def draw_periodic_orbits(result: PeriodicOrbits) -> Figure:
    """Draw cycles, coloured by their stability, beside the moduli of their multipliers.

    States of a few components are drawn over the states that the search passed through; images
    are drawn as such, one row for each of the first cycles. A number in brackets counts the
    unstable directions.
    """
    images = image_shape(tuple(result.state_shape)) is not None and len(result.orbits) > 0
    figure = style.new_figure(12.0, 5.0)
    if images:
        parts: Any = figure.subfigures(1, 2, width_ratios=[1.25, 1])
        _draw_images(parts[0], result)
        _draw_exponents(parts[1].subplots(), result)
    else:
        left, right = figure.subplots(1, 2, gridspec_kw={"width_ratios": [1.25, 1]})
        _draw_points(left, result)
        _draw_exponents(right, result)
    name = str(result.provenance.get("model") or result.provenance.get("map") or "Cycles")
    style.headline(figure, name, in_words(result), notes=[result.message] if result.message else [])
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
        axes.legend(fontsize=style.SMALL, framealpha=0.9, edgecolor="white", handletextpad=0.3)
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
        axes.set_xticks([])
        axes.set_yticks([])
        axes.text(0.5, 0.5, "nothing to show", transform=axes.transAxes, ha="center", color=style.GREY)
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
