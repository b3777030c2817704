"""Pictures of how trajectories come to rest, and of the burn-in of ensembles."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lyapmap.report import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lyapmap.analysis.orbits.burn_in import BurnIn
    from lyapmap.analysis.orbits.settling import Settling

SMALLEST = 1e-12
"""Lengths of steps below are drawn here: a logarithm has no zero."""


def draw_settling(result: Settling) -> Figure:
    """Length of steps, part at rest, and shares of the ends."""
    figure = style.new_figure(13.0, 4.4)
    length, rest, ends = figure.subplots(1, 3)
    steps = np.arange(1, len(result.step_size) + 1)
    low, middle, high = np.maximum(result.step_size, SMALLEST).T
    length.fill_between(steps, low, high, color=style.SKY, alpha=0.35, linewidth=0, label="10 to 90 %")
    length.plot(steps, middle, color=style.BLUE, linewidth=1.2, label="median")
    length.set_yscale("log")
    length.set_xscale("log")
    visible = result.step_size[result.step_size > 0]
    if visible.size:
        length.set_ylim(max(float(visible.min()), SMALLEST) / 2, float(visible.max()) * 2)
    style.dress(length, title="Length of a step", x="step", y="|x(n+1) - x(n)|")
    length.legend(fontsize=style.SMALL, frameon=False, loc="lower left")
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
            ecolor=style.PALE, elinewidth=1,
        )  # fmt: skip
        ends.set_yscale("log")
        if len(rank) > 20:
            ends.set_xscale("log")
        elif len(rank) < 6:
            ends.set_xticks(rank)
    style.dress(ends, title="Where they end", x="fixed point or cycle, by rank", y="share of trajectories")
    cycles = int((result.period > 1).sum())
    kinds = f"{len(result.share) - cycles} fixed points" + (f" and {cycles} cycles" if cycles else "")
    found = f"none of {len(result.attractor)} trajectories came to rest"
    if len(result.share):
        settled = int((result.attractor >= 0).sum())
        elsewhere = f"{result.unseen:.2g}" if result.unseen else f"below {1 / settled:.2g}"
        found = f"{result.settled_share[-1]:.1%} of {len(result.attractor)} trajectories at rest, on {kinds}"
        found += f"   ·   a further one that comes to rest ends elsewhere with probability {elsewhere}"
    name = str(result.provenance.get("model") or result.provenance.get("map") or "Settling")
    style.headline(figure, name, found, notes=_notes(result.message))
    return figure


def draw_burn_in(result: BurnIn) -> Figure:
    """Energy distance to the last ensemble over the steps."""
    figure = style.new_figure(8.6, 4.6)
    axes = figure.subplots()
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
        axes.set_yscale("log")
        axes.set_ylim(bottom=least)
        first, last = result.burn_in_interval
        if math.isfinite(result.burn_in):
            end = last if math.isfinite(last) else float(result.at[-1])
            axes.axvspan(first, end, color=style.ORANGE, alpha=0.18, linewidth=0)
            axes.axvline(result.burn_in, color=style.ORANGE, linewidth=1.2)
    axes.set_xlim(0, float(result.at[-1]) if len(result.at) else 1.0)
    style.dress(axes, title="Distance to the last ensemble", x="step", y="energy distance")
    found = "no burn-in to tell"
    if math.isfinite(result.burn_in):
        first, last = result.burn_in_interval
        limits = f"{first:.0f} to {last:.0f}" if math.isfinite(last) else f"from {first:.0f}"
        found = f"burn-in of {result.burn_in:.0f} steps ({limits})"
    found += f"   ·   {result.settings.get('n_trajectories', '?')} trajectories"
    if result.settings.get("features"):
        found += "   ·   in features"
    name = str(result.provenance.get("model") or result.provenance.get("map") or "Burn-in")
    style.headline(figure, name, found, notes=_notes(result.message))
    return figure


def _notes(message: str) -> list[str]:
    return [message] if message else []
