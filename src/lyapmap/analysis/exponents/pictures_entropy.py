"""Expansion entropy as a figure: ln E against time, its slope, and how many samples are left."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lyapmap.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lyapmap.analysis.exponents.entropy import ExpansionEntropy

FEW_LEFT = 0.05
"""Fraction of samples left below which they are drawn on a logarithmic scale."""


def draw_expansion_entropy(result: ExpansionEntropy) -> Figure:
    """Draw ln E with its errors and the fit, the local slopes, and the samples that are left.

    Bars reach two standard errors to either side; the headline gives one.
    """
    steps = np.arange(len(result.log_expansion))
    figure = style.new_figure(13.0, 4.4)
    growth, slopes, left = figure.subplots(1, 3, gridspec_kw={"width_ratios": [1.2, 1, 0.8]})
    errors = np.where(np.isfinite(result.log_expansion_stderr), result.log_expansion_stderr, np.nan)
    values = np.where(np.isfinite(result.log_expansion), result.log_expansion, np.nan)
    first, last = result.window
    known = math.isfinite(result.entropy)
    style.dress(growth, title="Expansion", x="step $t$", y=r"$\ln E(t)$")
    growth.errorbar(
        steps, values, yerr=SIGMAS * errors, fmt="o", color=style.BLUE, markersize=4, elinewidth=1, capsize=2
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
        growth.legend(loc="upper left", fontsize=style.SMALL, frameon=False)
    _local_slopes(slopes, result, values)
    style.dress(left, title="Samples never outside the region", x="step $t$", y="fraction")
    shown = np.where(result.surviving > 0, result.surviving, np.nan)
    left.plot(steps, shown, color=style.GREEN, marker="o", markersize=3.5, linewidth=1.2)
    if np.nanmin(shown) < FEW_LEFT:
        left.set_yscale("log")
    else:
        left.set_ylim(0, 1.05)
    for axes in (growth, slopes, left):
        axes.xaxis.get_major_locator().set_params(integer=True)
    name = str(result.provenance.get("model") or result.provenance.get("map") or "Expansion entropy")
    words = "entropy not determined"
    if known:
        words = f"expansion entropy {style.with_error(result.entropy, result.stderr)} {result.unit}".replace("-", "−")
    found = f"{words},  {result.settings.get('n_samples', 0)} samples"
    style.headline(figure, name, found, notes=[result.message] if result.message else [])
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
        low, high = (tau * (result.entropy + sign * SIGMAS * result.stderr) for sign in (-1, 1))
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
