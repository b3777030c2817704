"""Pictures of limit cycles of flows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lyapmap.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from lyapmap.analysis.orbits.limit_cycle import LimitCycle

SERIES = 4
"""Components that are drawn over time."""
COLOURS = {"stable": style.GREEN, "neutral": style.INK, "saddle": style.VERMILLION, "unstable": style.PURPLE}


def draw_limit_cycle(result: LimitCycle) -> Figure:
    """The closed orbit in its first two components and over time, and its multipliers beside the unit circle."""
    figure = style.new_figure(13.0, 4.4)
    portrait, series, plane = figure.subplots(1, 3)
    if not len(result.orbit):
        for axes in (portrait, series, plane):
            style.say(axes, "no cycle")
        style.caption(figure, result, "Limit cycle", ["no cycle reached"])
        return figure
    closed = np.concatenate([result.orbit, result.orbit[:1]])
    colour = COLOURS[result.stability]
    portrait.plot(closed[:, 0], closed[:, 1], color=colour, linewidth=1.4)
    portrait.plot(*closed[0, :2], "o", color=colour, markersize=4)
    names = ("x", "y", "z") if closed.shape[1] < 4 else tuple(f"component {i + 1}" for i in range(SERIES))
    style.dress(portrait, title="Closed orbit", x=names[0], y=names[1])
    times = np.append(result.times, result.period)
    for i in range(min(closed.shape[1], SERIES)):
        series.plot(times, closed[:, i], color=style.SEQUENCE[i], linewidth=1.2, label=names[min(i, len(names) - 1)])
    series.set_xlim(0, result.period)
    style.legend(series)
    style.dress(series, title="Over one period", x="time", y="value")
    draw_multipliers(plane, result.multipliers)
    unit = [f"period {result.period:.6g}", result.stability]
    style.caption(figure, result, "Limit cycle", unit)
    return figure


def draw_multipliers(axes: Axes, multipliers: NDArray[np.complex128]) -> None:
    """Multipliers in the complex plane, with the unit circle."""
    angle = np.linspace(0, 2 * np.pi, 200)
    axes.plot(np.cos(angle), np.sin(angle), color=style.GREY, linewidth=0.8)
    axes.axhline(0.0, color=style.PALE, linewidth=0.6, zorder=0)
    axes.axvline(0.0, color=style.PALE, linewidth=0.6, zorder=0)
    outside = np.abs(multipliers) > 1 + 1e-6
    for rows, colour, label in ((~outside, style.BLUE, "inside or on it"), (outside, style.VERMILLION, "outside")):
        if rows.any():
            values = multipliers[rows]
            axes.plot(values.real, values.imag, "o", color=colour, markersize=6, markeredgecolor="white", label=label)
    reach = max(1.3, 1.15 * float(np.abs(multipliers).max()))
    axes.set_xlim(-reach, reach)
    axes.set_ylim(-reach, reach)
    axes.set_aspect("equal")
    style.legend(axes, "upper left")
    style.dress(axes, title="Floquet multipliers", x="real part", y="imaginary part")
