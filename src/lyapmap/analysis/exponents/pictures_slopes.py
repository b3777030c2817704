"""Curves from which a slope is read, with the part that it was read from."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lyapmap.analysis.dimension.correlation import CorrelationDimension
    from lyapmap.analysis.exponents.series import SeriesExponent



def draw_correlation_dimension(result: CorrelationDimension) -> Figure:
    """Draw the correlation sum and its local slope over the radius.

    The scaling region is shaded; the band beside the slope is two standard errors to either side.

    Parameters
    ----------
    result : CorrelationDimension

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = style.new_figure(9.6, 4.4)
    left, right = figure.subplots(1, 2)
    radii, counted = np.asarray(result.radii), np.asarray(result.pairs) > 0
    style.dress(left, title="Correlation sum", x="radius r", y="C(r)")
    style.dress(right, title="Local slope", x="radius r", y="d log C / d log r")
    if counted.any():
        left.loglog(
            radii[counted], result.correlation_sum[counted], ".-", color=style.BLUE, markersize=4, linewidth=0.9
        )
        right.semilogx(radii[counted], result.local_slope[counted], ".-", color=style.BLUE, markersize=4, linewidth=0.9)
        _mark_slope(left, right, result.window, radii, np.log(np.maximum(result.correlation_sum, 1e-300)), result)
    else:
        _say(left, "no pairs to count")
        _say(right, "no pairs to count")
    dimension = "unknown" if math.isnan(result.dimension) else style.with_error(result.dimension, result.stderr)
    found = [
        f"$D_2$ = {dimension}",
        f"{result.n_points} points",
        f"Theiler window {result.theiler}",
        f"status {str(result.status).replace('_', ' ')}",
    ]
    notes = textwrap.wrap(str(result.message), 120) if result.message else []
    style.headline(figure, _name(result, "Correlation dimension"), "   ·   ".join(found), notes=notes)
    return figure


def _mark_slope(
    left: Axes,
    right: Axes,
    window: tuple[float, float],
    radii: NDArray[Any],
    log_sum: NDArray[Any],
    result: CorrelationDimension,
) -> None:
    if math.isnan(window[0]):
        return
    inside = (radii >= window[0] * (1 - 1e-9)) & (radii <= window[1] * (1 + 1e-9))
    x = np.log(radii)
    level = (log_sum[inside] - result.dimension * x[inside]).mean()
    left.loglog(
        radii[inside],
        np.exp(level + result.dimension * x[inside]),
        color=style.VERMILLION,
        linewidth=2.2,
        alpha=0.8,
        label=f"slope {style.with_error(result.dimension, result.stderr)}",
    )
    left.legend(loc="upper left", fontsize=style.SMALL, framealpha=0.9, edgecolor="white")
    for axes in (left, right):
        axes.axvspan(*window, color=style.VERMILLION, alpha=0.07, linewidth=0)
    _band(right, window, result.dimension, result.stderr)


def _band(axes: Axes, window: tuple[float, float], value: float, error: float) -> None:
    axes.plot(window, [value, value], color=style.VERMILLION, linewidth=1.6)
    if math.isfinite(error):
        low, high = value - SIGMAS * error, value + SIGMAS * error
        axes.fill_between(window, low, high, color=style.VERMILLION, alpha=0.2, linewidth=0)


def draw_series_exponent(result: SeriesExponent) -> Figure:
    """Draw the mean log distance of neighbours over time, and its local slope.

    The straight part is shaded; the band beside the slope is two standard errors to either side.

    Parameters
    ----------
    result : SeriesExponent

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = style.new_figure(9.6, 4.4)
    left, right = figure.subplots(1, 2)
    dt = result.settings.get("dt") or 1.0
    time = np.asarray(result.steps) * dt
    unit = "steps" if result.unit == "per step" else "time"
    style.dress(left, title="Divergence of neighbours", x=unit, y="mean log distance")
    style.dress(right, title="Local slope", x=unit, y=f"nats {result.unit}")
    if len(time) > 1:
        second = str(result.settings.get("second_curve", "second curve"))
        reach = max(1, len(time) // 30)
        for curve, colour, label in (
            (result.second_curve, style.SKY, second),
            (result.curve, style.BLUE, "delay vectors"),
        ):
            left.plot(time, curve, ".-", color=colour, markersize=4, linewidth=0.9, label=label)
            slope = (curve[2 * reach :] - curve[: -2 * reach]) / (time[2 * reach :] - time[: -2 * reach])
            right.plot(time[reach:-reach], slope, ".-", color=colour, markersize=4, linewidth=0.9)
        style.zero_line(right)
    else:
        _say(left, "neighbours were not followed")
        _say(right, "neighbours were not followed")
    if not math.isnan(result.window[0]):
        window = (result.window[0] * dt, result.window[1] * dt)
        inside = (time >= window[0] - 1e-9 * dt) & (time <= window[1] + 1e-9 * dt)
        level = (result.curve[inside] - result.exponent * time[inside]).mean()
        label = f"slope {style.with_error(result.exponent, result.stderr)}"
        line = level + result.exponent * time[inside]
        left.plot(time[inside], line, color=style.VERMILLION, linewidth=2.2, alpha=0.8, label=label)
        left.legend(loc="lower right", fontsize=style.SMALL, framealpha=0.9, edgecolor="white")
        for axes in (left, right):
            axes.axvspan(*window, color=style.VERMILLION, alpha=0.07, linewidth=0)
        _band(right, window, result.exponent, result.stderr)
    exponent = "unknown" if math.isnan(result.exponent) else style.with_error(result.exponent, result.stderr)
    found = [
        rf"$\lambda_1$ = {exponent} {'' if math.isnan(result.exponent) else result.unit}".rstrip(),
        f"dimension {result.dimension}, delay {result.delay}",
        f"{result.n_pairs} pairs",
        f"status {str(result.status).replace('_', ' ')}",
    ]
    notes = textwrap.wrap(str(result.message), 120) if result.message else []
    style.headline(figure, _name(result, "Exponent of a series"), "   ·   ".join(found), notes=notes)
    return figure


def _name(result: Any, otherwise: str) -> str:
    return str(result.provenance.get("model") or result.provenance.get("map") or otherwise)


