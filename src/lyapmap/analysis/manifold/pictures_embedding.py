"""Data in the plane in light colours, and states on top: over time, or a panel for each step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.errors import LyapmapError
from lyapmap.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lyapmap.analysis.manifold.embedding import EmbeddedStates

TINTS = (
    "#A9E0CC",
    "#F4C6DD",
    "#B5DDF5",
    "#F7DDA0",
    "#D6C9EE",
    "#F3C0A5",
    "#C9DDA6",
    "#C3CCD6",
    "#E6D2C0",
    "#A8D5D8",
)
"""Light colours of categories; after the last they begin again."""
DARK = "#4A1486"
EARLY_TO_LATE = ("#2C115F", "#8C2981", "#DE4968", "#F66E2B")
MOST_PANELS, COLUMNS = 20, 4
HEADLINE = 0.75
"""Inches above the panels."""
_Places = NDArray[np.float32]


def draw_embedding(result: EmbeddedStates, *, over: str | None = None) -> Figure:
    """Data by category in light colours, with the states of trajectories on top.

    Parameters
    ----------
    result : EmbeddedStates
        With two axes.
    over : "time" or "steps", optional
        One panel, points coloured by their step, or a panel for each step. By default as it was
        placed: a panel for each step where steps were chosen.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    LyapmapError
        If the layout has other than two axes.
    """
    if result.data.shape[1] != 2:
        raise LyapmapError(f"result: only layouts with 2 axes are drawn, got {result.data.shape[1]}")
    if over not in (None, "time", "steps"):
        raise LyapmapError(f"over: expected 'time' or 'steps', got {over!r}")
    b, s, _ = result.coordinates.shape
    panels = result.settings.get("panels", False) if over is None else over == "steps"
    figure = _steps(result) if panels and b * s else _time(result)
    trajectories = f"{style.counted(b, 'trajectory', 'trajectories')} of {s} states" if b * s else ""
    if panels and b * s:
        trajectories = f"{style.counted(b, 'trajectory', 'trajectories')} at {s} steps"
    settings = result.settings
    parts = [trajectories, f"{len(result.data)} points of data"]
    parts.append(f"UMAP, {settings.get('n_neighbors')} neighbours, min_dist {settings.get('min_dist')}")
    style.caption(figure, result, "Embedding", parts)
    return figure


def _time(result: EmbeddedStates) -> Figure:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    b, s, _ = result.coordinates.shape
    width = 7.6
    figure, (axes,) = style.panels(1, width=width + (1.0 if b * s else 0.0), row=width * _tallness(result))
    _dress(axes, result, width)
    if b * s:
        colours = LinearSegmentedColormap.from_list("early to late", EARLY_TO_LATE)
        scale = Normalize(float(result.at[0]), float(max(result.at[-1], result.at[0] + 1)))
        # Trajectory by trajectory each would hide the one before: all of a step come together.
        places = result.coordinates.transpose(1, 0, 2).reshape(-1, 2)
        steps = np.repeat(result.at, b)
        _dots(axes, places, colours(scale(steps)), width)
        bar = axes.figure.colorbar(ScalarMappable(scale, colours), ax=axes, shrink=0.55, pad=0.02, aspect=28)
        bar.set_label("step $n$", fontsize=style.LABEL, color=style.INK)
        bar.ax.tick_params(labelsize=style.SMALL)
        bar.outline.set_visible(False)
    _name_clusters(axes, result)
    return figure


def _steps(result: EmbeddedStates) -> Figure:
    s = len(result.at)
    shown = np.arange(s) if s <= MOST_PANELS else np.unique(np.linspace(0, s - 1, MOST_PANELS).round().astype(int))
    down = math.ceil(len(shown) / COLUMNS)
    across = math.ceil(len(shown) / down)
    width = {1: 7.6, 2: 5.2, 3: 4.2}.get(across, 3.5)
    figure = style.new_figure(max(width * across, 8.0), (width * _tallness(result) + 0.3) * down + HEADLINE)
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for axes, place in zip(panels, shown, strict=False):
        _dress(axes, result, width)
        _dots(axes, result.coordinates[:, place], DARK, width)
        axes.set_title(f"$n = {int(result.at[place])}$", loc="left", fontsize=style.TITLE, color=style.INK)
        _name_clusters(axes, result)
    for axes in panels[len(shown) :]:
        axes.set_visible(False)
    return figure


def _tallness(result: EmbeddedStates) -> float:
    """Height over width of what is drawn, within what fits a page."""
    low, high = _extent(result)
    return float(np.clip((high - low)[1] / (high - low)[0], 0.4, 1.3))


def _extent(result: EmbeddedStates) -> tuple[_Places, _Places]:
    every = np.vstack([result.data, result.coordinates.reshape(-1, 2)])
    low, high = every.min(axis=0), every.max(axis=0)
    margin = 0.04 * float((high - low).max()) or 1.0
    return low - margin, high + margin


def _dots(axes: Axes, places: _Places, colours: Any, width: float) -> None:
    """Points in the size that keeps as many apart as the panel's width in inches allows."""
    size = float(np.clip(200 * width**2 / max(len(places), 1), 0.05 * width**2, 0.4 * width**2))
    axes.scatter(places[:, 0], places[:, 1], s=size, c=colours, linewidths=0, alpha=0.85, zorder=3)


def _dress(axes: Axes, result: EmbeddedStates, width: float) -> None:
    """The data; without ticks, since the axes have no unit and no meaning of their own."""
    size = float(np.clip(700 * width**2 / max(len(result.data), 1), 0.03 * width**2, 0.25 * width**2))
    for colour, _, members in _categories(result):
        x, y = result.data[members].T
        axes.scatter(x, y, s=size, c=colour, linewidths=0, zorder=1)
    low, high = _extent(result)
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(style.PALE)
        spine.set_linewidth(0.6)


def _categories(result: EmbeddedStates) -> list[tuple[str, str, NDArray[np.bool_]]]:
    """Colour, name and members of each."""
    if not len(result.labels):
        return [(style.PALE, "", np.ones(len(result.data), dtype=bool))]
    numbers = np.unique(result.labels)
    return [
        (TINTS[place % len(TINTS)], name, result.labels == number)
        for place, (number, name) in enumerate(zip(numbers, result.label_names, strict=True))
    ]


def _name_clusters(axes: Axes, result: EmbeddedStates) -> None:
    """Names in the middle of the categories, where they can be read above all points."""
    from matplotlib.patheffects import withStroke

    for _, name, members in _categories(result):
        x, y = np.median(result.data[members], axis=0)
        axes.text(
            x,
            y,
            name,
            fontsize=style.TITLE,
            fontweight="bold",
            color=style.INK,
            ha="center",
            va="center",
            zorder=4,
            parse_math=False,
            path_effects=[withStroke(linewidth=3, foreground="white")],
        )


PANEL = 1.3
"""Inches across."""
MOST_TRAJECTORIES = 100


def draw_embedded_bundle(result: EmbeddedStates) -> Figure:
    """A small panel for each trajectory, its states over the data in grey.

    Parameters
    ----------
    result : EmbeddedStates
        With two axes.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    LyapmapError
        If the layout has other than two axes, or there is no trajectory.
    """
    if result.data.shape[1] != 2 or not result.coordinates.size:
        raise LyapmapError("result: expected trajectories in a layout with 2 axes")
    shown = min(len(result.coordinates), MOST_TRAJECTORIES)
    across = math.ceil(math.sqrt(shown))
    down = math.ceil(shown / across)
    low, high = result.data.min(axis=0), result.data.max(axis=0)
    margin = 0.05 * float((high - low).max()) or 1.0
    tall = float(np.clip((high - low)[1] / max(float((high - low)[0]), 1e-12), 0.4, 1.5))
    figure = style.new_figure(max(PANEL * across, 6.5), max(PANEL * tall * down, 2.0) + 0.75)
    panels = figure.subplots(down, across, squeeze=False).ravel()
    data = result.data[:: max(1, len(result.data) // 1500)]
    for i, axes in enumerate(panels):
        if i >= shown:
            axes.set_visible(False)
            continue
        axes.scatter(data[:, 0], data[:, 1], s=1.2, c=style.PALE, linewidths=0, rasterized=True)
        states = result.coordinates[i]
        axes.scatter(states[:, 0], states[:, 1], s=2.5, c=style.BLUE, linewidths=0, alpha=0.8, rasterized=True)
        axes.set_xlim(low[0] - margin, high[0] + margin)
        axes.set_ylim(low[1] - margin, high[1] + margin)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title(str(i + 1), loc="left", fontsize=6, color=style.GREY, pad=1.5)
        for spine in axes.spines.values():
            spine.set_color(style.PALE)
            spine.set_linewidth(0.6)
    words = [f"{shown} trajectories of {len(result.at)} states", "grey: data"]
    style.caption(figure, result, "Trajectories", words)
    return figure
