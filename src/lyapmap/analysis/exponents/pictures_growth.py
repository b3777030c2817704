"""Growth of distances and volumes, and what a sweep along a parameter shows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lyapmap.core.errors import ShapeError
from lyapmap.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lyapmap.analysis.exponents.divergence import Divergence
    from lyapmap.analysis.exponents.entropy import ExpansionEntropy
    from lyapmap.analysis.exponents.sweep import Sweep

MOST_LINES = 200
"""Pairs that are drawn one by one."""


def draw_divergence(result: Divergence) -> Figure:
    """Draw how pairs of trajectories part: each pair, their mean, the fitted line, and the spread."""
    figure, (left, right) = style.panels(2)
    _draw_curves(left, result)
    _draw_spread(right, result)
    b = len(result.per_trajectory)
    exponent = "no exponent"
    if np.isfinite(result.exponent):
        number = style.with_error(result.exponent, result.stderr).replace("-", "−")
        exponent = f"largest exponent {number} nats {result.unit}"
    pairs = f"{style.counted(b, 'pair')}, {result.settings.get('direction', '')}, {result.method}"
    style.caption(figure, result, "Divergence", [exponent, pairs, f"initial distance {result.size:.1e}"])
    return figure


def _draw_curves(axes: Axes, result: Divergence) -> None:
    style.dress(axes, title="Distance of the pairs", x="step", y="log distance  (nats)")
    steps = result.steps
    if result.log_distance.size == 0:
        style.say(axes, "nothing to show")
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
    style.legend(axes)


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
        style.say(axes, "nothing to show")
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
        style.legend(axes, "upper right")
    axes.set_ylim(top=1.18 * axes.get_ylim()[1])
    style.whole_ticks(axes.yaxis)


FEW_LEFT = 0.05
"""Fraction of samples left below which they are drawn on a logarithmic scale."""


def draw_expansion_entropy(result: ExpansionEntropy) -> Figure:
    """Draw ln E with its errors and the fit, the local slopes, and the samples that are left.

    Bars reach two standard errors to either side; the headline gives one.
    """
    steps = np.arange(len(result.log_expansion))
    figure, (growth, slopes, left) = style.panels(3)
    errors = np.where(np.isfinite(result.log_expansion_stderr), result.log_expansion_stderr, np.nan)
    values = np.where(np.isfinite(result.log_expansion), result.log_expansion, np.nan)
    first, last = result.window
    known = math.isfinite(result.entropy)
    style.dress(growth, title="Expansion", x="step $t$", y=r"$\ln E(t)$")
    growth.errorbar(
        steps, values, yerr=style.SIGMAS * errors, fmt="o", color=style.BLUE, markersize=4, elinewidth=1, capsize=2
    )
    if known:
        slope = np.diff(values[first : last + 1]).mean() if last > first else 0.0
        per_step = result.entropy * (slope / result.entropy if result.unit != "per step" and result.entropy else 1.0)
        t = np.array([first, last])
        middle = np.nanmean(values[first : last + 1])
        growth.plot(
            t,
            middle + per_step * (t - t.mean()),
            color=style.VERMILLION,
            linewidth=1.6,
            label=f"fit, steps {first} to {last}",
        )
        style.legend(growth, "upper left")
    if len(steps) > 1 and np.isfinite(values).sum() > 1:
        _local_slopes(slopes, result, values)
    else:
        for axes in (growth, slopes):
            axes.clear()
            style.dress(axes, title="Expansion" if axes is growth else "Growth at each step", x="step $t$", y="")
            style.say(axes, "ln E is not known at two steps")
    style.dress(left, title="Samples never outside the region", x="step $t$", y="fraction")
    shown = np.where(result.surviving > 0, result.surviving, np.nan)
    left.plot(steps, shown, color=style.GREEN, marker="o", markersize=3.5, linewidth=1.2)
    if np.nanmin(shown) < FEW_LEFT:
        style.log_axis(left.yaxis, shown)
    else:
        left.set_ylim(0, 1.05)
    for axes in (growth, slopes, left):
        if len(axes.get_xticks()):
            style.whole_ticks(axes.xaxis)
    entropy = "entropy not determined"
    if known:
        entropy = f"expansion entropy {style.with_error(result.entropy, result.stderr)} {result.unit}".replace("-", "−")
    style.caption(figure, result, "Expansion entropy", [entropy, f"{result.settings.get('n_samples', 0)} samples"])
    return figure


def _local_slopes(axes: Axes, result: ExpansionEntropy, values: np.ndarray) -> None:
    """Increments of ln E, in which a bend or the onset of noise shows at a glance."""
    style.dress(axes, title="Growth at each step", x="step $t$", y=r"$\ln E(t) - \ln E(t - 1)$")
    increments = np.diff(values)
    axes.plot(np.arange(1, len(values)), increments, "o-", color=style.BLUE, markersize=3.5, linewidth=0.9)
    first, last = result.window
    if math.isfinite(result.entropy) and last > first:
        axes.axvspan(first, last, color=style.VERMILLION, alpha=0.08, linewidth=0)
        tau = _time_per_step(result)
        low, high = (tau * (result.entropy + sign * style.SIGMAS * result.stderr) for sign in (-1, 1))
        axes.axhspan(low, high, color=style.VERMILLION, alpha=0.3, linewidth=0)
        axes.axhline(tau * result.entropy, color=style.VERMILLION, linewidth=1.2)
    finite = increments[np.isfinite(increments)]
    if finite.size and np.ptp(finite) < 1e-6:
        axes.set_ylim(finite.mean() - 0.5, finite.mean() + 0.5)
    if axes.get_ylim()[0] <= 0:
        style.zero_line(axes)


def _time_per_step(result: ExpansionEntropy) -> float:
    """What rates are multiplied by to be per step, as ln E is drawn."""
    return float(result.settings.get("time_per_step", 1.0))


DRAWN = 6
"""Exponents drawn in colours of their own."""
FEW = 40
"""Values up to which each has a mark on the curves."""


def draw_sweep(result: Sweep, *, component: int = 0) -> Figure:
    """Draw what a sweep holds, one panel above the other.

    Parameters
    ----------
    result : Sweep
    component : int
        Of the state, in the bifurcation diagram.

    Notes
    -----
    Bands reach two standard errors to either side. Values whose runs failed are hatched.
    """
    panels = [
        (drawer, height)
        for drawer, height, wanted in (
            (_draw_bifurcation, 1.4, result.states.shape[1]),
            (_draw_exponents, 1.0, result.exponents.shape[1]),
            (_draw_measured, 1.0, result.measured.shape[1]),
        )
        if wanted
    ]
    figure, grid = style.panels(max(len(panels), 1), heights=[height for _, height in panels], row=2.6)
    if not panels:
        style.dress(grid[0], title="", x="", y="")
        style.say(grid[0], "nothing to show")
    for axes, (drawer, _) in zip(grid, panels, strict=False):
        drawer(axes, result, component)
        _mark_failures(axes, result)
    grid[-1].set_xlabel(result.parameter, fontsize=style.LABEL, color=style.INK)
    low, high = float(result.values.min()), float(result.values.max())
    margin = 0.01 * (high - low) or 0.5
    grid[-1].set_xlim(low - margin, high + margin)
    style.caption(figure, result, "Sweep", _in_words(result))
    return figure


def _in_words(result: Sweep) -> list[str]:
    parts = [f"{style.counted(len(result.values), 'value')} of {result.parameter}"]
    if result.exponents.shape[1]:
        with np.errstate(invalid="ignore"):
            certain = result.exponents[:, 0] > 3 * result.stderr[:, 0]
        parts.append(f"largest exponent positive at {int(certain.sum())}")
    fixed = result.provenance.get("parameters") or {}
    return [*parts, ", ".join(f"{key} = {value}" for key, value in fixed.items())]


def _draw_bifurcation(axes: Axes, result: Sweep, component: int) -> None:
    v, s, n = result.states.shape
    if not 0 <= component < n:
        raise ShapeError(f"component: expected 0 to {n - 1}, got {component}")
    x, y = np.repeat(result.values, s), result.states[:, :, component].ravel()
    size = float(np.clip(300 / np.sqrt(max(v * s, 1)), 0.8, 4.0))
    axes.plot(x, y, linestyle="none", marker=".", markersize=size, color=style.BLUE, markeredgewidth=0, rasterized=True)
    style.dress(axes, title="States after the transient", x="", y="x" if n < 4 else f"component {component + 1}")


def _draw_exponents(axes: Axes, result: Sweep, _: int) -> None:
    name = r"$\lambda_i$" if result.exponents.shape[1] > 1 else r"$\lambda$"
    style.dress(axes, title="Lyapunov exponents", x="", y=rf"{name}  (nats {result.unit})")
    order = np.argsort(result.values, kind="stable")
    if (np.diff(result.values) < 0).all():
        order = order[::-1]
    values = result.values[order]
    k = result.exponents.shape[1]
    mark = "o" if len(values) <= FEW else ""
    for i in range(k - 1, -1, -1):
        colour = style.RANKS[i] if i < DRAWN else style.PALE
        mean = np.where(np.isfinite(result.exponents[order, i]), result.exponents[order, i], np.nan)
        style.band(axes, values, mean, result.stderr[order, i], colour, alpha=0.3)
        label = rf"$\lambda_{{{i + 1}}}$" if i < DRAWN else ""
        axes.plot(values, mean, color=colour, linewidth=0.9, marker=mark, markersize=3, label=label)
    style.zero_line(axes)
    finite = result.exponents[np.isfinite(result.exponents)]
    if finite.size:
        # Superstable cycles reach far down; the rest should stay readable.
        low, high = float(np.percentile(finite, 2)), float(finite.max())
        margin = 0.08 * max(high - min(low, 0.0), 1e-6)
        axes.set_ylim(min(low, 0.0) - margin, max(high, 0.0) + margin)
    if k > 1:
        handles, labels = axes.get_legend_handles_labels()
        style.legend(axes, "lower left", handles=handles[::-1], labels=labels[::-1], ncols=min(k, DRAWN))


def _draw_measured(axes: Axes, result: Sweep, _: int) -> None:
    names = [name for name in result.settings.get("analysis", []) if name not in ("spectrum", "bifurcation")]
    style.dress(axes, title=names[0] if names and names[0] != "<lambda>" else "Measured", x="", y="value")
    mark = "o" if len(result.values) <= FEW else ""
    for i in range(result.measured.shape[1]):
        colour = style.SEQUENCE[i % len(style.SEQUENCE)]
        axes.plot(result.values, result.measured[:, i], color=colour, linewidth=1.0, marker=mark, markersize=3)


def _mark_failures(axes: Axes, result: Sweep) -> None:
    """Hatch the values whose runs failed, half the way to their neighbours."""
    failed = np.array([status not in ("ok", "unresolved") for status in result.statuses], bool)
    if not failed.any() or failed.all():
        return
    order = np.argsort(result.values)
    values, failed = result.values[order], failed[order]
    edges = np.concatenate([values[:1], (values[:-1] + values[1:]) / 2, values[-1:]])
    for i in np.flatnonzero(failed):
        axes.axvspan(edges[i], edges[i + 1], facecolor="none", edgecolor=style.PALE, hatch="///", linewidth=0)
