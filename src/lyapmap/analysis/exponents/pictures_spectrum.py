"""A Lyapunov spectrum as one figure: the exponents, how they converged, the dimension they give."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lyapmap.analysis.exponents.spectrum import LyapunovSpectrum


CERTAIN = 3.0
"""Standard errors by which an exponent must be below zero to count as negative."""

_LEADING = 6  # exponents whose convergence is drawn
_SINGLE_POINTS = 64  # above this many exponents the trajectories' spread is drawn as a band
_FEW = 10  # up to this many exponents each has its own tick

_Values = NDArray[np.float64]


@dataclass(frozen=True)
class _Sorted:
    """What the panels need of a result, exponents in descending order, those that are not finite last."""

    exponents: _Values  # (k,)
    stderr: _Values  # (k,)
    per_trajectory: _Values  # (b, k)
    history: _Values  # (h, k)
    steps: _Values  # (h,)
    n_positive: int
    n_resolved: int

    @classmethod
    def of(cls, result: LyapunovSpectrum) -> _Sorted:
        exponents = np.asarray(result.exponents, float)
        k = exponents.size
        per_trajectory, history = np.asarray(result.per_trajectory, float), np.asarray(result.history, float)
        if k == 0 or exponents.ndim != 1 or per_trajectory.shape[-1:] != (k,) or history.shape[-1:] != (k,):
            raise ShapeError(
                f"result: expected exponents (k,), per_trajectory (b, k) and history (h, k), got "
                f"{exponents.shape}, {per_trajectory.shape} and {history.shape}"
            )
        stderr = np.asarray(result.stderr, float)
        stderr = np.where(np.isfinite(stderr), stderr, np.nan)  # infinite where the run was too short to tell
        order = np.argsort(-exponents, kind="stable")
        return cls(
            exponents[order],
            stderr[order],
            per_trajectory[:, order],
            history[:, order],
            np.asarray(result.history_steps, float),
            int(result.n_positive),
            int(np.isfinite(exponents).sum()),
        )


def draw_spectrum(result: LyapunovSpectrum, kind: str = "spectrum") -> Figure:
    """Draw a Lyapunov spectrum.

    Of `kind` "convergence", how its errors fall and whether to go on (`draw_convergence`); else
    three panels: the exponents with error bars and their spread over trajectories; how the
    leading ones converged; their partial sums, whose zero is the Kaplan-Yorke dimension (J. L.
    Kaplan and J. A. Yorke 1979). Bars and bands reach two standard errors to either side; the
    headline gives one.

    Parameters
    ----------
    result : LyapunovSpectrum
    kind : "spectrum" or "convergence"

    Returns
    -------
    matplotlib.figure.Figure
        `figure.savefig(path)` writes it.

    Raises
    ------
    ShapeError
        If the result holds no exponent, or arrays that do not belong together.
    """
    if kind not in ("spectrum", "convergence"):
        raise LyapmapError(f"kind: expected 'spectrum' or 'convergence', got {kind!r}")
    if kind == "convergence":
        return draw_convergence(result)
    spectrum = _Sorted.of(result)
    figure, (left, middle, right) = style.panels(3)
    _draw_exponents(left, spectrum, result.unit)
    _draw_convergence(middle, spectrum, result.unit)
    _draw_partial_sums(right, result, spectrum)
    style.caption(figure, result, "Lyapunov spectrum", _in_words(result, spectrum))
    return figure


def _in_words(result: LyapunovSpectrum, spectrum: _Sorted) -> list[str]:
    largest = style.with_error(spectrum.exponents[0], spectrum.stderr[0]).replace("-", "−").replace("inf", "∞")
    largest = "unresolved" if math.isnan(spectrum.exponents[0]) else f"{largest} {result.unit}"
    b = len(spectrum.per_trajectory)
    run = f"{style.counted(b, 'trajectory', 'trajectories')}"
    if spectrum.steps.size:
        run += f" of {spectrum.steps[-1]:.0f} steps"
    return [str(result.attractor), _dimension(result), f"largest exponent {largest}", run]


def _dimension(result: LyapunovSpectrum) -> str:
    if math.isnan(result.kaplan_yorke):
        return "$D_{KY}$ unknown"
    return f"$D_{{KY}}$ = {style.with_error(result.kaplan_yorke, result.kaplan_yorke_stderr)}"


def _draw_exponents(axes: Axes, spectrum: _Sorted, unit: str) -> None:
    k, known = spectrum.exponents.size, spectrum.n_resolved
    index = np.arange(1, k + 1)
    style.dress(axes, title="Spectrum", x="index $i$", y=rf"exponent $\lambda_i$  (nats {unit})")
    style.zero_line(axes)
    if known:
        _draw_spread(axes, index[:known], spectrum.per_trajectory[:, :known], many=k > _SINGLE_POINTS)
    positive = index <= min(known, spectrum.n_positive)
    with np.errstate(invalid="ignore"):
        negative = ~positive & (spectrum.exponents < -CERTAIN * spectrum.stderr)
    few = k <= _SINGLE_POINTS
    for members, colour, label in [
        (positive, style.VERMILLION, "positive"),
        ((index <= known) & ~positive & ~negative, style.INK, "zero within error"),
        ((index <= known) & negative, style.BLUE, "negative"),
    ]:
        if members.any():
            axes.errorbar(
                index[members],
                spectrum.exponents[members],
                yerr=style.SIGMAS * spectrum.stderr[members],
                fmt="o",
                color=colour,
                markersize=float(np.interp(math.log10(k), [0.5, 1.6, 2.5], [6.5, 4.5, 2.0])),
                markeredgewidth=0,
                elinewidth=1.2 if few else 0.6,
                capsize=2.5 if few else 0,
                label=f"{label} ({members.sum()})",
            )
    if known < k:
        label = f"{'unresolved' if np.isnan(spectrum.exponents[known]) else 'minus infinity'} ({k - known})"
        axes.axvspan(
            known + 0.5, k + 0.5, facecolor="white", edgecolor=style.PALE, hatch="///", linewidth=0, label=label
        )
    if not known:
        axes.set_yticks([])
    margin = max(0.5, 0.02 * k)
    axes.set_xlim(1 - margin, k + margin)
    _whole_ticks(axes, k)
    # The exponents descend, so the lower left stays free; above a floor of zero, the middle does.
    descends = bool(known and spectrum.exponents[known - 1] < 0)
    style.legend(axes, "lower left" if descends else "center left", handletextpad=0.4)


def _draw_spread(axes: Axes, index: NDArray[np.int64], per_trajectory: _Values, *, many: bool) -> None:
    """The exponents of each trajectory, faint behind the means: points, or their range where there are many."""
    b = len(per_trajectory)
    if b < 2:
        return
    if many:
        low, high = per_trajectory.min(0), per_trajectory.max(0)
        axes.fill_between(index, low, high, color=style.GREY, alpha=0.35, linewidth=0, label="range over trajectories")
        return
    x = (index[None] + np.linspace(-0.3, 0.3, b)[:, None]).ravel()
    axes.plot(
        x,
        per_trajectory.ravel(),
        "o",
        color=style.GREY,
        alpha=0.45,
        markersize=2.6,
        markeredgewidth=0,
        label="single trajectories",
    )


def _draw_convergence(axes: Axes, spectrum: _Sorted, unit: str) -> None:
    style.dress(axes, title="Convergence", x="steps", y=rf"running $\lambda_i$  (nats {unit})")
    h = len(spectrum.history)
    if h == 0 or spectrum.n_resolved == 0:
        style.say(axes, "no exponent is known")
        return
    drawn = min(spectrum.n_positive or 3, _LEADING, spectrum.n_resolved)
    style.zero_line(axes)
    style.log_axis(axes.xaxis, spectrum.steps)
    colours = style.RANKS[:drawn]
    values, reach = spectrum.exponents[:drawn], style.SIGMAS * np.nan_to_num(spectrum.stderr[:drawn])
    overlapping = bool((values[:-1] - reach[:-1] < values[1:] + reach[1:]).any())
    for i, colour in enumerate(colours):
        low, high = values[i] - reach[i], values[i] + reach[i]
        axes.axhspan(low, high, color=colour, alpha=0.08 if overlapping else 0.2, linewidth=0)
        axes.plot(spectrum.steps, spectrum.history[:, i], color=colour, linewidth=1.4, marker="o" if h < 3 else "")
    axes.set_ylim(*_settled_range(spectrum.history[:, :drawn], values, reach))
    axes.ticklabel_format(axis="y", useOffset=False)
    _label_ends(axes, values, colours)


def _settled_range(history: _Values, values: _Values, reach: _Values) -> tuple[float, float]:
    """Limits that show the later part of the history well and let the first steps run out of sight."""
    late = history[len(history) // 3 :]
    shown = np.concatenate([late[np.isfinite(late)], values - reach, values + reach])
    low, high = float(shown.min()), float(shown.max())
    margin = max(0.12 * (high - low), 1e-3 * max(abs(low), abs(high)), 1e-9)
    return low - margin, high + margin


def _label_ends(axes: Axes, values: _Values, colours: Sequence[str]) -> None:
    """Names of the curves beside their ends, pushed apart where they would touch."""
    low, high = axes.get_ylim()
    wanted = (values - low) / (high - low)
    places = wanted.copy()
    for i in range(1, len(places)):  # the values descend
        places[i] = min(places[i], places[i - 1] - 0.055)
    places += (wanted - places).mean()
    for i, (place, colour) in enumerate(zip(places, colours, strict=True)):
        name = rf"$\lambda_{{{i + 1}}}$"
        axes.text(1.02, place, name, transform=axes.transAxes, color=colour, fontsize=style.LABEL, va="center")


def _draw_partial_sums(axes: Axes, result: LyapunovSpectrum, spectrum: _Sorted) -> None:
    style.dress(
        axes,
        title="Kaplan-Yorke dimension",
        x="number of exponents $j$",
        y=rf"$\lambda_1 + \dots + \lambda_j$  (nats {result.unit})",
    )
    if spectrum.n_resolved == 0:
        style.say(axes, "no exponent is known")
        return
    style.zero_line(axes)
    sums = np.concatenate([[0.0], np.cumsum(spectrum.exponents[: spectrum.n_resolved])])
    dimension, error = float(result.kaplan_yorke), float(result.kaplan_yorke_stderr)
    known = not math.isnan(dimension)
    # Far beyond the zero the sums fall steeply and would press flat the part that matters.
    last = min(len(sums) - 1, max(math.ceil(1.75 * dimension), 5)) if known else len(sums) - 1
    sums, j = sums[: last + 1], np.arange(last + 1)
    dots = "o" if last <= _SINGLE_POINTS else ""
    axes.plot(j, sums, color=style.INK, linewidth=1.3, marker=dots, markersize=3.5)
    axes.fill_between(j, sums, 0, where=sums >= 0, interpolate=True, color=style.VERMILLION, alpha=0.15, linewidth=0)
    right = max(last, 1.75 * dimension) if known else last
    axes.set_xlim(-0.03 * right, 1.03 * right)
    low, high = float(sums.min()), float(sums.max())
    if last > _FEW:
        low = max(low, -1.5 * high)
    axes.set_ylim(low - 0.05 * (high - low), high + 0.16 * (high - low))
    _whole_ticks(axes, math.ceil(right))
    if result.kaplan_yorke_verdict != "certified":
        place = 0.88 if known else 0.12  # where the curve does not pass
        text = f"not certified:\n{result.kaplan_yorke_verdict}"
        axes.text(0.97, place, text, transform=axes.transAxes, ha="right", fontsize=style.LABEL, color=style.VERMILLION)
    if known:
        reach = style.SIGMAS * error if math.isfinite(error) and error > 0 else None
        axes.errorbar(
            dimension, 0, xerr=reach, fmt="o", color=style.INK, markersize=4.5, capsize=5, elinewidth=1.6, zorder=4
        )
        axes.annotate(
            _dimension(result), (dimension, 0), xytext=(7, 7), textcoords="offset points", fontsize=style.TITLE
        )


def _whole_ticks(axes: Axes, largest: int) -> None:
    from matplotlib.ticker import MaxNLocator, MultipleLocator

    axes.xaxis.set_major_locator(MultipleLocator(1) if largest <= _FEW else MaxNLocator(8, integer=True))


ERRORS_DRAWN = 4
"""Exponents whose errors are drawn."""
SLOPE_STRAYS = 0.25
"""By how much the slope of the errors may stray from -1/2 before the words say so."""


def draw_convergence(result: LyapunovSpectrum) -> Figure:
    """Draw how a spectrum converged, to see whether to go on.

    Left, running estimates within bands of two standard errors, as wide as they should have been
    then. Middle, standard errors against
    steps in logarithms, beside a line that falls with the square root of the steps: a curve that
    falls less steeply has not seen all of the attractor. Right, the trajectories' largest
    exponents one by one, with the error that each has by itself: trajectories on several
    attractors part.
    """
    figure, (left, middle, right) = style.panels(3)
    k = min(ERRORS_DRAWN, int(np.isfinite(result.exponents).sum()))
    _draw_estimates(left, result, k)
    slope = _draw_errors(middle, result, k)
    _draw_trajectories(right, result)
    style.caption(figure, result, "Lyapunov spectrum", _convergence_in_words(result, slope))
    return figure


def _convergence_in_words(result: LyapunovSpectrum, slope: float) -> list[str]:
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
    return parts


def _needed(value: float, error: float, steps: int) -> str:
    if value == 0:
        return "zero at any length"
    return f"{steps * (CERTAIN * error / abs(value)) ** 2:.2g} steps would tell"


def _draw_estimates(axes: Axes, result: LyapunovSpectrum, k: int) -> None:
    style.dress(axes, title="Running estimates", x="steps", y=r"$\lambda_i$ so far, minus $\lambda_i$ at the end")
    if k == 0 or len(result.history) == 0:
        return
    style.log_axis(axes.xaxis, result.history_steps)
    style.zero_line(axes)
    steps = result.history_steps
    for i in range(k):
        colour, error = style.RANKS[i], float(result.stderr[i])
        away = result.history[:, i] - result.exponents[i]
        axes.plot(steps, away, color=colour, linewidth=1.4, label=rf"$\lambda_{{{i + 1}}}$ = {result.exponents[i]:.4g}")
        if np.isfinite(error) and error > 0:
            band = 2 * error * np.sqrt(steps[-1] / steps)
            axes.fill_between(steps, -band, band, color=colour, alpha=0.10, linewidth=0)
    late = result.history[len(steps) // 3 :, :k] - result.exponents[:k]
    reach = max(float(np.abs(late).max()), 4 * float(np.nan_to_num(result.stderr[:k], posinf=0.0).max()), 1e-9)
    axes.set_ylim(-1.2 * reach, 1.2 * reach)
    style.legend(axes, "upper right", ncols=2)


def _draw_errors(axes: Axes, result: LyapunovSpectrum, k: int) -> float:
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
        axes.plot(steps, errors, "o-", color=style.RANKS[i], linewidth=1.4, markersize=4, label=label)
        if not drawn and len(steps) > 1:
            slope = float(np.polyfit(np.log(steps), np.log(errors), 1)[0])
            guide = errors[-1] * np.sqrt(steps[-1] / steps)
            axes.plot(steps, guide, color=style.GREY, linewidth=1.0, linestyle="--", label=r"steps$^{-1/2}$")
        drawn = True
    if not drawn:
        style.say(axes, "no errors to show")
        return slope
    style.log_axis(axes.xaxis, result.error_steps)
    style.log_axis(axes.yaxis, result.error_history[:, :k])
    style.legend(axes)
    return slope


def _draw_trajectories(axes: Axes, result: LyapunovSpectrum) -> None:
    style.dress(axes, title="Trajectories", x="trajectory, in order of its exponent", y=r"largest exponent $\lambda_1$")
    style.whole_ticks(axes.xaxis)
    values = np.asarray(result.per_trajectory, float)[:, 0]
    order = np.argsort(values)
    order = order[np.isfinite(values[order])]
    if not len(order):
        return
    place = np.arange(1, len(order) + 1)
    several = bool(result.groups)
    for number in np.unique(result.group):
        members = result.group[order] == number
        label = f"attractor {number + 1} ({members.sum()})" if several else None
        colour = style.SEQUENCE[int(number) % len(style.SEQUENCE)]
        axes.plot(place[members], values[order][members], "o", color=colour, markersize=3.5, label=label)
    mean, error = float(result.exponents[0]), float(result.stderr[0])
    if np.isfinite(mean) and not several:
        axes.axhline(mean, color=style.INK, linewidth=1.0)
        if np.isfinite(error):
            words = "mean, two standard errors"
            axes.axhspan(mean - 2 * error, mean + 2 * error, color=style.GREY, alpha=0.25, linewidth=0, label=words)
    if axes.get_legend_handles_labels()[0]:
        style.legend(axes)
