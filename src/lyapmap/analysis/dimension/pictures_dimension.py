"""Intrinsic dimension over scales, with the plateau that it was read from."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lyapmap.analysis.dimension.comparison import DimensionComparison
    from lyapmap.analysis.dimension.correlation import CorrelationDimension
    from lyapmap.analysis.dimension.intrinsic import DimensionEstimate


NAMES = {"gride": "Gride", "twonn": "TwoNN", "mle": "MLE", "pca": "local PCA", "correlation": "correlation sum"}


def draw_dimension(result: DimensionEstimate) -> Figure:
    """Draw a dimension over scales with its plateau, and the spread of local dimensions.

    Bars reach two standard errors to either side; the plateau is shaded.
    """
    local = np.asarray(result.local)
    local = local[np.isfinite(local)]
    figure, panels = style.panels(2 if len(local) else 1)
    style.dress(panels[0], title="Over scales", x=_distance(result.method), y="dimension")
    if len(result.scales):
        _draw_curve(panels[0], result)
    else:
        style.say(panels[0], "nothing to show")
    if len(local):
        _draw_local(panels[1], local, result)
    dimension = "unknown" if math.isnan(result.dimension) else style.with_error(result.dimension, result.stderr)
    parts = [f"d = {dimension}", f"{result.n_points} points"]
    if not math.isnan(result.scale):
        parts.append(f"at distance {result.scale:.3g}")
    style.caption(figure, result, f"Intrinsic dimension by {NAMES[result.method]}", parts)
    return figure


def _distance(method: str) -> str:
    return "radius" if method == "correlation" else "mean distance of the farthest neighbour (with its rank)"


def _draw_curve(axes: Axes, result: DimensionEstimate) -> None:
    dimension, error = np.asarray(result.dimension_by_scale), np.asarray(result.stderr_by_scale)
    style.log_axis(axes.xaxis, result.scales)
    axes.errorbar(
        result.scales,
        dimension,
        yerr=style.SIGMAS * np.where(np.isfinite(error), error, 0),
        fmt="o-",
        color=style.BLUE,
        markersize=4.5,
        linewidth=1.0,
        capsize=2.5 if np.isfinite(error).any() else 0,
    )
    low, high = result.plateau
    if not math.isnan(low):
        if high > low:
            axes.axvspan(low, high, color=style.VERMILLION, alpha=0.09, linewidth=0, label="plateau")
        error = np.array([style.SIGMAS * result.stderr])
        axes.errorbar(
            [result.scale],
            [result.dimension],
            yerr=np.where(np.isfinite(error), error, 0),
            fmt="o",
            color=style.VERMILLION,
            markersize=7,
            capsize=4,
            zorder=4,
            label=f"estimate {style.with_error(result.dimension, result.stderr)}",
        )
        style.legend(axes)
    for scale, value, rank in zip(result.scales, dimension, result.neighbors_by_scale, strict=True):
        if rank and math.isfinite(value):
            axes.annotate(
                str(rank),
                (scale, value),
                xytext=(5, 5),
                textcoords="offset points",
                ha="left",
                fontsize=style.SMALL,
                color=style.GREY,
            )
    known = dimension[np.isfinite(dimension)]
    if len(known):
        middle = float(np.median(known))
        bar = style.SIGMAS * float(np.nan_to_num(result.stderr))
        reach = max(float(np.abs(known - middle).max()), bar, 0.1 * middle)
        axes.set_ylim(max(0.0, middle - 1.45 * reach), middle + 1.35 * reach)
    _plain_ticks(axes)


def _draw_local(axes: Axes, local: Any, result: DimensionEstimate) -> None:
    style.dress(axes, title="About each point", x="local dimension", y="points")
    top = float(np.quantile(local, 0.99)) * 1.1
    whole = result.method == "pca"
    bins = np.arange(0.5, math.ceil(local.max()) + 1.5) if whole else np.linspace(0, top, 41)
    if whole:
        style.whole_ticks(axes.xaxis)
    axes.hist(np.minimum(local, bins[-1]), bins=list(bins), color=style.SKY, edgecolor="white", linewidth=0.4)
    if math.isfinite(result.dimension):
        axes.axvline(result.dimension, color=style.VERMILLION, linewidth=1.6, label="estimate")
        style.legend(axes)


def draw_dimension_comparison(result: DimensionComparison) -> Figure:
    """Draw dimensions of several sets side by side: over scales, and by method."""
    figure, (left, right) = style.panels(2)
    curve = NAMES["gride" if "gride" in result.methods else result.methods[0]]
    style.dress(left, title=f"Over scales ({curve})", x="distance", y="dimension")
    style.dress(right, title="By method", x="", y="dimension")
    left.set_xscale("log")
    places = np.arange(len(result.methods))
    for i, name in enumerate(result.names):
        colour = style.SEQUENCE[(i + 1) % len(style.SEQUENCE)]
        error = np.nan_to_num(result.curve_stderr[i])
        left.errorbar(
            result.curve_scales[i],
            result.curve_dimension[i],
            yerr=style.SIGMAS * error,
            fmt="o-",
            color=colour,
            markersize=4.5,
            linewidth=1.0,
            capsize=2.5,
            label=f"{name}, {result.n_points[i]} points",
        )
        beside = places + 0.16 * (i - (len(result.names) - 1) / 2)
        error = style.SIGMAS * np.nan_to_num(result.stderr[i])
        right.errorbar(beside, result.dimension[i], yerr=error, fmt="o", color=colour, markersize=5.5, capsize=3)
    if not math.isnan(result.kaplan_yorke):
        label = f"Kaplan-Yorke {style.with_error(result.kaplan_yorke, result.kaplan_yorke_stderr)}"
        for axes in (left, right):
            axes.axhline(result.kaplan_yorke, color=style.VERMILLION, linewidth=1.4, linestyle="--", label=label)
    right.set_xticks(places, [NAMES[m] for m in result.methods])
    right.set_xlim(-0.6, len(places) - 0.4)
    for axes in (left, right):
        _, high = axes.get_ylim()
        axes.set_ylim(0, max(high, 1.0) * 1.1)
    style.legend(left)
    _plain_ticks(left)
    parts = [
        f"{name} {style.with_error(float(d[0]), float(e[0]))}" if np.isfinite(d[0]) else f"{name} unknown"
        for name, d, e in zip(result.names, result.dimension, result.stderr, strict=True)
    ]
    style.caption(figure, result, f"Intrinsic dimension by {NAMES[result.methods[0]]}", parts)
    return figure


def draw_correlation_dimension(result: CorrelationDimension) -> Figure:
    """Draw the correlation sum and its local slope over the radius.

    The scaling region is shaded; the band beside the slope is two standard errors to either side.
    """
    figure, (left, right) = style.panels(2)
    radii, counted = np.asarray(result.radii), np.asarray(result.pairs) > 0
    style.dress(left, title="Correlation sum", x="radius r", y="C(r)")
    style.dress(right, title="Local slope", x="radius r", y="d log C / d log r")
    if counted.any():
        left.loglog(
            radii[counted], result.correlation_sum[counted], ".-", color=style.BLUE, markersize=4, linewidth=0.9
        )
        right.semilogx(radii[counted], result.local_slope[counted], ".-", color=style.BLUE, markersize=4, linewidth=0.9)
        _mark_slope(left, right, result.window, radii, np.log(np.maximum(result.correlation_sum, 1e-300)), result)
        for axes in (left, right):
            _plain_ticks(axes)
    else:
        style.say(left, "no pairs to count")
        style.say(right, "no pairs to count")
    dimension = "unknown" if math.isnan(result.dimension) else style.with_error(result.dimension, result.stderr)
    parts = [
        f"$D_2$ = {dimension}",
        f"{result.n_points} points",
        f"Theiler window {result.theiler}",
    ]
    style.caption(figure, result, "Correlation dimension", parts)
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
    style.legend(left, "upper left")
    for axes in (left, right):
        axes.axvspan(*window, color=style.VERMILLION, alpha=0.07, linewidth=0)
    right.plot(window, [result.dimension] * 2, color=style.VERMILLION, linewidth=1.6)
    style.band(right, window, result.dimension, result.stderr, style.VERMILLION)


def _plain_ticks(axes: Axes) -> None:
    """Distances within a decade or two read better as plain numbers."""
    from matplotlib.ticker import LogLocator, NullFormatter

    if axes.get_xscale() != "log":
        return
    low, high = axes.get_xlim()
    few = high / low < 100
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    if few:
        axes.xaxis.set_major_formatter(lambda value, position: f"{value:.3g}")
