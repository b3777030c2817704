"""Trajectories among data in the plane, a panel for each."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lyapmap.core.errors import LyapmapError
from lyapmap.report import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lyapmap.analysis.manifold.embedded_states import EmbeddedStates

PANEL = 1.3
"""Inches across."""
MOST_PANELS = 100


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
    shown = min(len(result.coordinates), MOST_PANELS)
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
    name = str(result.provenance.get("model") or result.provenance.get("map") or "Trajectories")
    style.headline(figure, name, f"{shown} trajectories of {len(result.at)} states   ·   grey: data")
    return figure
