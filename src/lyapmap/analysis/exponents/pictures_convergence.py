"""Whether a run of exponents has converged: how its errors fall, and what its trajectories say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lyapmap.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lyapmap.analysis.exponents.spectrum import LyapunovSpectrum

LEADING = 4
"""Exponents that are drawn."""
CERTAIN = 3.0
"""Standard errors from zero at which the sign of an exponent is known."""
SLOPE_STRAYS = 0.25
"""By how much the error's slope may stray from -1/2 before the words say so."""


def draw_convergence(result: LyapunovSpectrum) -> Figure:
    """Draw how a spectrum converged, to see whether to go on.

    Left, running estimates within bands of two standard errors, as wide as they should have been
    then. Middle, standard errors against
    steps in logarithms, beside a line that falls with the square root of the steps: a curve that
    falls less steeply has not seen all of the attractor. Right, the trajectories' largest
    exponents one by one, with the error that each has by itself: trajectories on several
    attractors part.

    Parameters
    ----------
    result : LyapunovSpectrum

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = style.new_figure(13.0, 4.6)
    left, middle, right = figure.subplots(1, 3, gridspec_kw={"width_ratios": [1.1, 1.1, 1]})
    k = min(LEADING, int(np.isfinite(result.exponents).sum()))
    _estimates(left, result, k)
    slope = _errors(middle, result, k)
    _trajectories(right, result)
    name = str(result.provenance.get("model") or result.provenance.get("map") or "Lyapunov spectrum")
    notes = [str(result.message)] if result.message else []
    style.headline(figure, name, _in_words(result, slope), notes=notes)
    return figure


def _in_words(result: LyapunovSpectrum, slope: float) -> str:
    error, value = float(result.stderr[0]), float(result.exponents[0])
    parts = [f"{result.n_steps} steps"]
    if np.isfinite(result.effective_samples[0]):
        parts.append(f"{result.effective_samples[0]:.0f} effective samples of {result.n_batches} batches")
    if np.isfinite(slope):
        parts.append(f"error falls as steps$^{{{slope:.2f}}}$")
        if slope > -0.5 + SLOPE_STRAYS:
            parts.append("slower than chance alone: go on")
    failed = [check.name for check in result.check() if not check.passed]
    if failed:
        parts.append("checks that fail: " + ", ".join(failed))
    elif np.isfinite(error) and error > 0:
        sure = abs(value) > CERTAIN * error
        parts.append("sign known" if sure else f"sign unknown: about {_needed(value, error, result.n_steps)}")
    return "   ·   ".join(parts)


def _needed(value: float, error: float, steps: int) -> str:
    if value == 0:
        return "zero at any length"
    return f"{steps * (CERTAIN * error / abs(value)) ** 2:.2g} steps would tell"


def _estimates(axes: Axes, result: LyapunovSpectrum, k: int) -> None:
    style.dress(axes, title="Running estimates", x="steps", y=r"$\lambda_i$ so far, minus $\lambda_i$ at the end")
    if k == 0 or len(result.history) == 0:
        return
    axes.set_xscale("log")
    style.zero_line(axes)
    steps = result.history_steps
    for i in range(k):
        colour, error = style.SEQUENCE[i], float(result.stderr[i])
        away = result.history[:, i] - result.exponents[i]
        axes.plot(steps, away, color=colour, linewidth=1.4, label=rf"$\lambda_{{{i + 1}}}$ = {result.exponents[i]:.4g}")
        if np.isfinite(error) and error > 0:
            band = 2 * error * np.sqrt(steps[-1] / steps)
            axes.fill_between(steps, -band, band, color=colour, alpha=0.10, linewidth=0)
    late = result.history[len(steps) // 3 :, :k] - result.exponents[:k]
    reach = max(float(np.abs(late).max()), 4 * float(np.nan_to_num(result.stderr[:k], posinf=0.0).max()), 1e-9)
    axes.set_ylim(-1.2 * reach, 1.2 * reach)
    axes.legend(loc="best", fontsize=style.SMALL, framealpha=0.9, edgecolor="white", ncols=2)


def _errors(axes: Axes, result: LyapunovSpectrum, k: int) -> float:
    """Draw the errors; the slope of the largest exponent's in logarithms."""
    style.dress(axes, title="Standard errors", x="steps", y=f"standard error  (nats {result.unit})")
    slope = np.nan
    drawn = False
    for i in range(k):
        good = np.isfinite(result.error_history[:, i]) & (result.error_history[:, i] > 0)
        if good.sum() == 0:
            continue
        steps, errors = result.error_steps[good], result.error_history[good, i]
        label = rf"$\lambda_{{{i + 1}}}$"
        axes.plot(steps, errors, "o-", color=style.SEQUENCE[i], linewidth=1.4, markersize=4, label=label)
        if not drawn and len(steps) > 1:
            slope = float(np.polyfit(np.log(steps), np.log(errors), 1)[0])
            guide = errors[-1] * np.sqrt(steps[-1] / steps)
            axes.plot(steps, guide, color=style.GREY, linewidth=1.0, linestyle="--", label=r"steps$^{-1/2}$")
        drawn = True
    if not drawn:
        axes.text(0.5, 0.5, "no errors to show", transform=axes.transAxes, ha="center", color=style.GREY)
        return slope
    axes.set_xscale("log")
    axes.set_yscale("log")
    _sparse_ticks(axes)
    axes.legend(loc="best", fontsize=style.SMALL, framealpha=0.9, edgecolor="white")
    return slope


def _sparse_ticks(axes: Axes) -> None:
    """Labels at 1, 2 and 5 times the powers of ten, which never touch."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())


def _trajectories(axes: Axes, result: LyapunovSpectrum) -> None:
    style.dress(axes, title="Trajectories", x="trajectory, in order of its exponent", y=r"largest exponent $\lambda_1$")
    values = np.asarray(result.per_trajectory, float)[:, 0]
    order = np.argsort(values)
    order = order[np.isfinite(values[order])]
    if not len(order):
        return
    place = np.arange(1, len(order) + 1)
    several = bool(result.groups)
    for number in np.unique(result.group):
        chosen = result.group[order] == number
        label = f"attractor {number + 1} ({chosen.sum()})" if several else None
        colour = style.SEQUENCE[int(number) % len(style.SEQUENCE)]
        axes.plot(place[chosen], values[order][chosen], "o", color=colour, markersize=3.5, label=label)
    mean, error = float(result.exponents[0]), float(result.stderr[0])
    if np.isfinite(mean) and not several:
        axes.axhline(mean, color=style.INK, linewidth=1.0)
        if np.isfinite(error):
            words = "mean, two standard errors"
            axes.axhspan(mean - 2 * error, mean + 2 * error, color=style.GREY, alpha=0.25, linewidth=0, label=words)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="best", fontsize=style.SMALL, framealpha=0.9, edgecolor="white")
