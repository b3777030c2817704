"""What is read from a measured series: how neighbours part, and the walk of the 0-1 test."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lyapmap.report import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lyapmap.analysis.series.exponent import SeriesExponent
    from lyapmap.analysis.series.zero_one import ZeroOneTest


def draw_series_exponent(result: SeriesExponent) -> Figure:
    """Draw the mean log distance of neighbours over time, and its local slope.

    The straight part is shaded; the band beside the slope is two standard errors to either side.
    """
    figure, (left, right) = style.panels(2)
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
        style.say(left, "neighbours were not followed")
        style.say(right, "neighbours were not followed")
    if not math.isnan(result.window[0]):
        window = (result.window[0] * dt, result.window[1] * dt)
        inside = (time >= window[0] - 1e-9 * dt) & (time <= window[1] + 1e-9 * dt)
        level = (result.curve[inside] - result.exponent * time[inside]).mean()
        label = f"slope {style.with_error(result.exponent, result.stderr)}"
        line = level + result.exponent * time[inside]
        left.plot(time[inside], line, color=style.VERMILLION, linewidth=2.2, alpha=0.8, label=label)
        style.legend(left, "lower right")
        for axes in (left, right):
            axes.axvspan(*window, color=style.VERMILLION, alpha=0.07, linewidth=0)
        right.plot(window, [result.exponent] * 2, color=style.VERMILLION, linewidth=1.6)
        style.band(right, window, result.exponent, result.stderr, style.VERMILLION)
    exponent = "unknown" if math.isnan(result.exponent) else style.with_error(result.exponent, result.stderr)
    parts = [
        rf"$\lambda_1$ = {exponent} {'' if math.isnan(result.exponent) else result.unit}".rstrip(),
        f"dimension {result.dimension}, delay {result.delay}",
        f"{result.n_pairs} pairs",
    ]
    style.caption(figure, result, "Exponent of a series", parts)
    return figure


def draw_zero_one(result: ZeroOneTest) -> Figure:
    """Draw a 0-1 test.

    Left the walk in the plane at one frequency: bounded for regular, diffuse for chaotic motion.
    In the middle its mean square displacement, right K of every frequency with the median.
    """
    figure, (left, middle, right) = style.panels(3)
    walk = np.asarray(result.walk)
    style.dress(left, title="Walk of the first values", x="p: sum of x cos(c n)", y="q: sum of x sin(c n)")
    style.dress(middle, title="Mean square displacement", x="steps n", y="mean square distance D(n)")
    style.dress(right, title="K of each frequency", x="frequency c", y="K  (0 regular, 1 chaotic)")
    if len(walk) and np.ptp(walk) > 0:
        left.plot(walk[:, 0], walk[:, 1], color=style.BLUE, linewidth=0.5)
        left.set_title(f"Walk of the first {len(walk)} values", loc="left")
        left.set_aspect("equal", adjustable="datalim")
        middle.plot(result.lags, result.displacement, color=style.BLUE, linewidth=1.2)
        middle.set_ylim(bottom=min(0.0, float(np.min(result.displacement))))
    else:
        for axes in (left, middle):
            style.say(axes, "no walk" if not len(walk) else "the walk stands still")
    for i, row in enumerate(np.asarray(result.K_per_frequency)[:8]):
        colour = style.SEQUENCE[(i + 1) % len(style.SEQUENCE)]
        right.plot(result.frequencies, row, ".", color=colour, markersize=4, alpha=0.8, markeredgewidth=0)
    if np.isfinite(result.K):
        right.axhline(result.K, color=style.VERMILLION, linewidth=1.0, zorder=1.8, label=f"median {result.K:.3f}")
        style.legend(right, "lower right")
        right.set_ylim(-1.05, 1.1)
    else:
        style.say(right, "K was not measured")
    b = len(result.K_per_series)
    parts = [
        result.verdict,
        f"K = {style.with_error(result.K, result.stderr)}" if np.isfinite(result.K) else "K unknown",
        f"{b} series of {result.n_values} values" if b > 1 else f"{result.n_values} values",
    ]
    style.caption(figure, result, "0-1 test", parts)
    return figure
