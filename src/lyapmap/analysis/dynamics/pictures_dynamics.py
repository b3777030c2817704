"""Pictures of learned systems beside true ones, and of attractors and their basins."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lyapmap.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lyapmap.analysis.dynamics.attractors import Attractors
    from lyapmap.analysis.dynamics.comparison import DynamicsComparison

MOST_ROWS = 24
"""Quantities that the picture has room for."""
OF_DISTANCES = ("divergence", "transition_divergence", "spectral_distance")


def draw_dynamics_comparison(result: DynamicsComparison) -> Figure:
    """States, power spectra, errors of forecasts, and what differs, each beside the reference."""
    figure, (states, table, spectra, forecast) = style.panels(4, width=11.0, row=3.8)
    _draw_states(states, result)
    _draw_spectra(spectra, result)
    _draw_forecast(forecast, result)
    _draw_quantities(table, result)
    parts = [result.verdict]
    if math.isfinite(result.prediction_time):
        lyapunov = f" ({result.lyapunov_times:.2g} Lyapunov times)" if math.isfinite(result.lyapunov_times) else ""
        parts.append(f"forecasts hold for {result.prediction_time:g} steps{lyapunov}")
    style.caption(figure, result, "Model and reference", parts)
    return figure


def _draw_states(axes: Axes, result: DynamicsComparison) -> None:
    one_value = result.spectrum_reference.shape[1] < 2
    x, y = ("x(t)", "x(t + 1)") if one_value else ("feature 0", "feature 1")
    style.dress(axes, title="States, in deviations of the reference", x=x, y=y)
    if not len(result.points_model):
        style.say(axes, f"{result.escaped} trajectories of the model escape")
        return
    for points, colour, name in (
        (result.points_reference, style.GREY, "reference"),
        (result.points_model, style.VERMILLION, "model"),
    ):
        axes.plot(*points.T, linestyle="none", marker=".", markersize=2.5, color=colour, alpha=0.6, label=name)
    style.legend(axes, "upper right", markerscale=4)


def _draw_spectra(axes: Axes, result: DynamicsComparison) -> None:
    style.dress(axes, title="Power spectra, mean over features", x="frequency per step", y="part of the power")
    if not len(result.frequencies):
        style.say(axes, "none")
        return
    for spectrum, colour, name in (
        (result.spectrum_reference, style.GREY, "reference"),
        (result.spectrum_model, style.VERMILLION, "model"),
    ):
        axes.plot(result.frequencies, spectrum.mean(axis=1), color=colour, linewidth=1.4, label=name)
    top = float(result.spectrum_reference.mean(axis=1).max() or 1.0)
    axes.set_yscale("log")
    axes.set_ylim(bottom=top * 1e-7)
    style.legend(axes, "upper right")


def _draw_forecast(axes: Axes, result: DynamicsComparison) -> None:
    style.dress(axes, title="Error of forecasts", x="step", y="in deviations of the reference")
    if not len(result.forecast_error):
        style.say(axes, "no forecasts: the model is data, or is read")
        return
    steps = np.arange(1, len(result.forecast_error) + 1)
    threshold = float(result.settings["threshold"])
    error = np.clip(result.forecast_error, 1e-16, 1e3)
    axes.fill_between(steps, error[:, 0], error[:, 2], color=style.SKY, alpha=0.35, linewidth=0, label="10 to 90 %")
    axes.plot(steps, error[:, 1], color=style.BLUE, linewidth=1.2, label="median")
    axes.axhline(threshold, color=style.INK, linestyle="--", linewidth=0.9, label=f"threshold {threshold:g}")
    axes.axvline(result.prediction_time, color=style.ORANGE, linewidth=1.2, label="valid until here")
    axes.set_yscale("log")
    style.legend(axes, "lower right")


def _draw_quantities(axes: Axes, result: DynamicsComparison) -> None:
    title = "Differences over what chance gives; filled: significant"
    style.dress(axes, title=title, x="difference in half widths of the intervals", y="")
    if not len(result.p_value):
        style.say(axes, "none")
        return
    rows: list[tuple[str, float]] = []
    for name, field in zip(("states", "transitions", "power spectra"), OF_DISTANCES, strict=True):
        value, (low, high) = getattr(result, field), getattr(result, f"{field}_interval")
        rows.append((name, (value - getattr(result, f"{field}_floor")) / max((high - low) / 2, 1e-300)))
    widths = [np.diff(limits, axis=1)[:, 0] / 2 for limits in (result.model_interval, result.reference_interval)]
    reach = np.maximum(np.hypot(*widths), 1e-300)
    rows += list(zip(result.quantities, (result.model - result.reference) / reach, strict=True))
    rows = rows[:MOST_ROWS]
    level = float(result.settings["false_alarm"])
    for place, (_, size) in enumerate(rows):
        differs = result.p_value[place] <= level
        colour = style.VERMILLION if differs else style.GREY
        axes.plot(
            np.clip(np.nan_to_num(size), -1e6, 1e6), place, "o", color=colour,
            markerfacecolor=colour if differs else "white", markersize=5,
        )  # fmt: skip
    axes.axvspan(-1, 1, color=style.PALE, alpha=0.5, linewidth=0)
    ticks = (-100, -10, -1, 0, 1, 10, 100)
    axes.set_xscale("symlog", linthresh=2)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.margins(x=0.08)
    axes.set_yticks(range(len(rows)), [name for name, _ in rows], fontsize=style.SMALL)
    axes.set_ylim(len(rows) - 0.5, -0.5)


COLOURS = (*style.SEQUENCE, style.INK)
"""Of attractors, in turn."""
MOST_DRAWN = 12


def draw_attractors(result: Attractors) -> Figure:
    """Basins over the plane of starts where there is one, the attractors, and shares of their basins."""
    plane = result.basins.size > 0
    figure, axes = style.panels(3 if plane else 2, width=11.0 if plane else 8.0)
    if plane:
        _draw_basins(axes[0], result)
    states, shares = axes[-2:]
    style.dress(states, title="Attractors", x="feature 0", y="feature 1")
    for i, points in enumerate(result.points[:MOST_DRAWN]):
        size = 6.0 if result.period[i] else 2.0
        states.plot(*points.T, linestyle="none", marker=".", markersize=size, color=COLOURS[i % len(COLOURS)])
    style.dress(shares, title="Basins", x="attractor", y="share of the starts")
    for i, share in enumerate(result.share[:MOST_DRAWN]):
        reach = np.abs(result.share_interval[i] - share)[:, None]
        shares.errorbar([i + 1], [share], yerr=reach, fmt="o", color=COLOURS[i % len(COLOURS)], capsize=3, markersize=4)
    style.whole_ticks(shares.xaxis)
    shares.set_ylim(bottom=0)
    parts = [style.counted(len(result.share), "attractor"), f"{result.escaped} starts escape" if result.escaped else ""]
    if math.isfinite(result.uncertainty_exponent):
        parts.append(f"boundary of dimension {2 - result.uncertainty_exponent:.2f}")
    if (result.nearest_data >= 0).any():
        parts.append(f"{int(result.memorized.sum())} are samples")
    style.caption(figure, result, "Attractors", parts)
    return figure


def _draw_basins(axes: Axes, result: Attractors) -> None:
    from matplotlib.colors import ListedColormap

    grid = result.settings["grid"]
    shown = np.where(result.basins < 0, len(COLOURS), result.basins % len(COLOURS))
    (left, right), (bottom, top) = zip(grid["low"], grid["high"], strict=True)
    axes.imshow(
        shown.T, origin="lower", extent=(left, right, bottom, top), aspect="auto", interpolation="nearest",
        cmap=ListedColormap([*COLOURS, style.PALE]), vmin=0, vmax=len(COLOURS),
    )  # fmt: skip
    x, y = (f"component {axis}" for axis in grid["axes"])
    style.dress(axes, title="Basins", x=x, y=y)
    axes.grid(False)
