"""A sweep as a figure: bifurcation diagram above the exponents, on one axis of the parameter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lyapmap.core.errors import ShapeError
from lyapmap.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lyapmap.analysis.exponents.sweep import Sweep

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
    figure = style.new_figure(10.0, 1.4 + 2.6 * max(sum(height for _, height in panels), 1.0))
    if panels:
        ratios = [height for _, height in panels]
        grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": ratios})[:, 0]
    else:
        grid = np.array([figure.subplots()])
        style.dress(grid[0], title="nothing to show", x=result.parameter, y="")
    for axes, (drawer, _) in zip(grid, panels, strict=False):
        drawer(axes, result, component)
        _mark_failures(axes, result)
    grid[-1].set_xlabel(result.parameter, fontsize=style.LABEL, color=style.INK)
    low, high = float(result.values.min()), float(result.values.max())
    margin = 0.01 * (high - low) or 0.5
    grid[-1].set_xlim(low - margin, high + margin)
    name = str(result.provenance.get("model") or result.provenance.get("map") or "Sweep")
    style.headline(figure, name, _in_words(result), notes=[result.message] if result.message else [])
    return figure


def _in_words(result: Sweep) -> str:
    text = f"{len(result.values)} values of {result.parameter}"
    if result.exponents.shape[1]:
        with np.errstate(invalid="ignore"):
            certain = result.exponents[:, 0] > 3 * result.stderr[:, 0]
        text += f",  largest exponent positive at {int(certain.sum())}"
    fixed = result.provenance.get("parameters") or {}
    if fixed:
        text += ",  " + ", ".join(f"{key} = {value}" for key, value in fixed.items())
    return text


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
        colour = style.SEQUENCE[i] if i < DRAWN else style.GREY
        mean = np.where(np.isfinite(result.exponents[order, i]), result.exponents[order, i], np.nan)
        reach = SIGMAS * np.where(np.isfinite(result.stderr[order, i]), result.stderr[order, i], 0.0)
        axes.fill_between(values, mean - reach, mean + reach, color=colour, alpha=0.3, linewidth=0)
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
        axes.legend(
            handles[::-1],
            labels[::-1],
            loc="lower left",
            ncols=min(k, DRAWN),
            fontsize=style.SMALL,
            framealpha=0.9,
            edgecolor="white",
        )


def _draw_measured(axes: Axes, result: Sweep, _: int) -> None:
    names = [name for name in result.settings.get("analysis", []) if name not in ("spectrum", "bifurcation")]
    style.dress(axes, title=names[0] if names else "Measured", x="", y="value")
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
