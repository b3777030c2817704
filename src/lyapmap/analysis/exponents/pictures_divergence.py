"""Divergence of neighbouring trajectories: log distance against step, and the line through it."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np

from lyapmap.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lyapmap.analysis.exponents.divergence import Divergence

MOST_LINES = 200
"""Pairs that are drawn one by one."""

SIGMAS = 2.0
"""Standard errors that a band or a bar reaches to either side."""


def draw_divergence(result: Divergence) -> Figure:
    """Draw how pairs of trajectories part: each pair, their mean, the fitted line, and the spread.

    Parameters
    ----------
    result : Divergence

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = style.new_figure(10.5, 4.6)
    left, right = figure.subplots(1, 2, gridspec_kw={"width_ratios": [2, 1]})
    _draw_curves(left, result)
    _draw_spread(right, result)
    name = str(result.provenance.get("model") or result.provenance.get("map") or "divergence")
    b = len(result.per_trajectory)
    found = "no exponent"
    if np.isfinite(result.exponent):
        number = style.with_error(result.exponent, result.stderr).replace("-", "−")
        found = f"largest exponent {number} nats {result.unit}"
    parts = [
        found,
        f"{b} {'pair' if b == 1 else 'pairs'}, {result.settings.get('direction', '')}, {result.method}",
        f"initial distance {result.size:.1e}",
        f"status {str(result.status).replace('_', ' ')}",
    ]
    notes = textwrap.wrap(str(result.message), 140) if result.message else []
    style.headline(figure, name, "   ·   ".join(parts), notes=notes)
    return figure


def _draw_curves(axes: Axes, result: Divergence) -> None:
    style.dress(axes, title="Distance of the pairs", x="step", y="log distance  (nats)")
    steps = result.steps
    if result.log_distance.size == 0:
        _say(axes, "nothing to show")
        return
    curves = np.where(np.isfinite(result.log_distance), result.log_distance, np.nan)
    axes.plot(steps, curves[:MOST_LINES].T, color=style.GREY, linewidth=0.5, alpha=0.35, zorder=1)
    axes.plot([], [], color=style.GREY, linewidth=0.8, label="single pairs")
    mean = np.where(np.isfinite(curves).all(axis=0), curves.mean(axis=0), np.nan)
    axes.plot(steps, mean, color=style.BLUE, linewidth=2.0, label="mean", zorder=3)
    if len(result.window) == 2 and np.isfinite(result.exponent):
        _draw_line(axes, result, mean)
    if result.method == "fit" and np.isfinite(result.log_saturation):
        axes.axhline(result.log_saturation, color=style.GREEN, linestyle=":", linewidth=1.4, label="unrelated states")
    axes.legend(loc="best", fontsize=style.SMALL, framealpha=0.9, edgecolor="white")


def _draw_line(axes: Axes, result: Divergence, mean: np.ndarray) -> None:
    first, last = result.window
    inside = (result.steps >= first) & (result.steps <= last)
    x = result.steps[inside].astype(float)
    # The exponent is per unit of time, the axis counts steps.
    slope = float(np.polyfit(x, mean[inside], 1)[0]) if result.method == "fit" else _end_slope(x, mean[inside])
    middle = (x.mean(), mean[inside].mean()) if result.method == "fit" else (x[0], mean[inside][0])
    reach = np.array([first, last], float)
    axes.plot(
        reach,
        middle[1] + slope * (reach - middle[0]),
        color=style.VERMILLION,
        linewidth=2.6,
        alpha=0.85,
        linestyle="--",
        zorder=4,
        label=f"line, steps {first} to {last}",
    )
    if result.method == "fit":
        axes.axvspan(first, last, color=style.VERMILLION, alpha=0.06, linewidth=0)


def _end_slope(x: np.ndarray, y: np.ndarray) -> float:
    return float((y[-1] - y[0]) / (x[-1] - x[0]))


def _draw_spread(axes: Axes, result: Divergence) -> None:
    style.dress(axes, title="Exponent of each pair", x=f"nats {result.unit}", y="pairs")
    values = result.per_trajectory[np.isfinite(result.per_trajectory)]
    if values.size == 0:
        _say(axes, "nothing to show")
        return
    if np.ptp(values) <= 1e-12 * max(1.0, float(np.abs(values).max())):
        centre = float(values.mean())
        axes.hist([centre] * values.size, bins=1, range=(centre - 0.05, centre + 0.05), color=style.SKY)
    else:
        axes.hist(values, bins="auto" if values.size > 8 else 8, color=style.SKY, edgecolor="white", linewidth=0.5)
    axes.axvline(result.exponent, color=style.VERMILLION, linewidth=2.0, linestyle="--")
    if np.isfinite(result.stderr):
        low, high = result.exponent - 2 * result.stderr, result.exponent + 2 * result.stderr
        axes.axvspan(low, high, color=style.VERMILLION, alpha=0.2, linewidth=0, label="mean, ± 2 standard errors")
        axes.legend(loc="upper right", fontsize=style.SMALL, framealpha=0.9, edgecolor="white")
    axes.set_ylim(top=1.18 * axes.get_ylim()[1])
    from matplotlib.ticker import MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator(integer=True))


def _say(axes: Axes, text: str) -> None:
    """Words in place of a picture."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", fontsize=style.LABEL, color=style.GREY)
