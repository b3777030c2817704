"""Pictures of trajectories: film strips of images, else phase portraits and time series."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lyapmap.core.images import channels_first, image_shape
from lyapmap.report import style
from lyapmap.report.images import save_film_strip

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lyapmap.analysis.orbits.trajectory import Trajectory

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
    draw_trajectory(result).savefig(path, dpi=style.DOTS_PER_INCH)
    return path


def draw_trajectory(result: Trajectory) -> Figure:
    """Phase portrait, and the first component over the first steps.

    The portrait shows the first two components; for a map of one variable, each value against the
    one before it.
    """
    states = np.asarray(result.states, dtype=float)
    states = states[:, np.isfinite(states).all(axis=(0, 2))]
    name = str(result.provenance.get("model") or result.provenance.get("map") or "trajectory")
    figure = style.new_figure(9.0, 4.4)
    portrait, series = figure.subplots(1, 2)
    _portrait(portrait, states)
    shown = min(states.shape[1], SERIES_STEPS + 1)
    first = int(result.settings.get("transient", 0))
    for i, row in enumerate(states[:4, :shown, 0]):
        colour = style.SEQUENCE[i % len(style.SEQUENCE)]
        series.plot(first + np.arange(shown), row, color=colour, linewidth=0.9, marker=".", markersize=3)
    style.dress(series, title="First component over time", x="step", y="x" if states.shape[2] < 4 else "component 1")
    b, recorded, _ = states.shape
    style.headline(figure, name, f"{b} {'trajectory' if b == 1 else 'trajectories'} of {recorded - 1} steps")
    return figure


def _portrait(axes: Axes, states: np.ndarray) -> None:
    if states.shape[2] == 1:
        x, y = states[:, :-1, 0].ravel(), states[:, 1:, 0].ravel()
        labels = ("x at step n", "x at step n + 1")
    else:
        x, y = states[..., 0].ravel(), states[..., 1].ravel()
        labels = ("x", "y") if states.shape[2] < 4 else ("component 1", "component 2")
    size = float(np.clip(4000 / max(len(x), 1), 0.15, 6.0))
    axes.plot(x, y, linestyle="none", marker=".", markersize=size, color=style.BLUE, markeredgewidth=0, rasterized=True)
    style.dress(axes, title="Phase portrait", x=labels[0], y=labels[1])
