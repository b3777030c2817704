"""Pictures of limit cycles of flows, and of branches of cycles along a parameter."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from lyapmap.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from lyapmap.analysis.orbits.continuation import Continuation
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


MARKS = {"fold": "s", "flip": "^", "Neimark-Sacker": "o", "branch point": "X"}
"""Markers of special points."""


def draw_continuation(result: Continuation) -> Figure:
    """Bifurcation diagram, solid where the cycle is stable, and the largest multiplier along the parameter."""
    figure = style.new_figure(12.0, 4.8)
    diagram, moduli = figure.subplots(1, 2, gridspec_kw={"width_ratios": [1.3, 1]})
    name = "x" if result.orbits.shape[2] == 1 else "component 1"
    style.dress(diagram, title="Branches", x=result.parameter, y=name)
    style.dress(moduli, title="Largest multiplier", x=result.parameter, y="modulus")
    if not len(result.values):
        for axes in (diagram, moduli):
            style.say(axes, "no cycle")
        style.caption(figure, result, "Continuation", ["no cycle at the start"])
        return figure
    largest = np.abs(result.multipliers[:, 0])
    moduli.axhline(1.0, color=style.GREY, linewidth=0.8)
    for number in np.unique(result.branch):
        rows = np.flatnonzero(result.branch == number)
        for stretch in _stretches(rows, result.n_unstable[rows] == 0):
            stable = result.n_unstable[stretch[len(stretch) // 2]] == 0
            colour: dict[str, Any] = {
                "color": style.GREEN if stable else style.VERMILLION,
                "linestyle": "-" if stable else "--",
            }
            for place in range(result.orbits.shape[1]):
                diagram.plot(result.values[stretch], result.orbits[stretch, place, 0], linewidth=1.4, **colour)
            moduli.plot(result.values[stretch], largest[stretch], linewidth=1.4, **colour)
    for kind, mark in MARKS.items():
        special = np.flatnonzero([known == kind for known in result.special_kinds])
        if special.size:
            values = np.repeat(result.special_values[special], result.orbits.shape[1])
            heights = result.special_orbits[special, :, 0].ravel()
            look: dict[str, Any] = {"linestyle": "none", "marker": mark, "color": style.INK, "markersize": 6}
            diagram.plot(values, heights, label=f"{kind} ({special.size})", zorder=5, **look)
            moduli.plot(result.special_values[special], np.ones(special.size), **look)
    diagram.plot([], [], color=style.GREEN, label="stable")
    diagram.plot([], [], color=style.VERMILLION, linestyle="--", label="unstable")
    style.legend(diagram)
    finite = largest[np.isfinite(largest)]
    moduli.set_ylim(0, min(float(finite.max(initial=1.0)) * 1.05, max(3.0, 3 * float(np.median(finite)))))
    orbits = "fixed points" if result.orbits.shape[1] == 1 else f"cycles of period {result.orbits.shape[1]}"
    count = style.counted(len(np.unique(result.branch)), "branch", "branches")
    style.caption(figure, result, "Continuation", [f"{orbits}, {count}, {len(result.values)} points"])
    return figure


def _stretches(rows: NDArray[np.int64], stable: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """Rows in pieces of one stability; each reaches to the first row of the next."""
    cuts = np.flatnonzero(np.diff(stable.astype(int))) + 1
    edges = [0, *cuts.tolist(), len(rows)]
    return [rows[a : b + 1] if b < len(rows) else rows[a:b] for a, b in itertools.pairwise(edges)]
