"""A Lyapunov spectrum as one figure: the exponents, how they converged, the dimension they give."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.report import style
from lyapmap.report.fields import draw_field

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lyapmap.analysis.exponents.finite_time import FiniteTimeExponents
    from lyapmap.analysis.exponents.singular_values import JacobianSpectrum
    from lyapmap.analysis.exponents.spectrum import LyapunovSpectrum

SIGMAS = 2.0
"""Standard errors that a bar or a band reaches to either side."""

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
        Of 13 by 4.6 inches; `figure.savefig(path)` writes it.

    Raises
    ------
    ShapeError
        If the result holds no exponent, or arrays that do not belong together.
    """
    if kind not in ("spectrum", "convergence"):
        raise LyapmapError(f"kind: expected 'spectrum' or 'convergence', got {kind!r}")
    if kind == "convergence":
        from lyapmap.analysis.exponents.pictures_convergence import draw_convergence

        return draw_convergence(result)
    spectrum = _Sorted.of(result)
    figure = style.new_figure(13.0, 4.6)
    left, middle, right = figure.subplots(1, 3, gridspec_kw={"width_ratios": [1.15, 1, 1]})
    _draw_exponents(left, spectrum, result.unit)
    _draw_convergence(middle, spectrum)
    _draw_partial_sums(right, result, spectrum)
    name = result.provenance.get("model") or result.provenance.get("map") or "Lyapunov spectrum"
    notes = textwrap.wrap(str(result.message), 160) if result.message else []
    style.headline(figure, str(name), _in_words(result, spectrum), notes=notes)
    return figure


def _in_words(result: LyapunovSpectrum, spectrum: _Sorted) -> str:
    largest = style.with_error(spectrum.exponents[0], spectrum.stderr[0]).replace("-", "−").replace("inf", "∞")
    largest = "unresolved" if math.isnan(spectrum.exponents[0]) else f"{largest} {result.unit}"
    b = len(spectrum.per_trajectory)
    run = f"{b} {'trajectory' if b == 1 else 'trajectories'}"
    if spectrum.steps.size:
        run += f" of {spectrum.steps[-1]:.0f} steps"
    parts = [
        str(result.attractor),
        _dimension(result),
        f"largest exponent {largest}",
        f"status {str(result.status).replace('_', ' ')}",
        run,
    ]
    return "   ·   ".join(part for part in parts if part)


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
    for chosen, colour, label in [
        (positive, style.VERMILLION, "positive"),
        ((index <= known) & ~positive & ~negative, style.INK, "zero within error"),
        ((index <= known) & negative, style.BLUE, "negative"),
    ]:
        if chosen.any():
            axes.errorbar(
                index[chosen],
                spectrum.exponents[chosen],
                yerr=SIGMAS * spectrum.stderr[chosen],
                fmt="o",
                color=colour,
                markersize=float(np.interp(math.log10(k), [0.5, 1.6, 2.5], [6.5, 4.5, 2.0])),
                markeredgewidth=0,
                elinewidth=1.2 if few else 0.6,
                capsize=2.5 if few else 0,
                label=f"{label} ({chosen.sum()})",
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
    axes.legend(
        loc="lower left" if descends else "center left",
        fontsize=style.SMALL,
        framealpha=0.9,
        edgecolor="white",
        handletextpad=0.4,
    )


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


def _draw_convergence(axes: Axes, spectrum: _Sorted) -> None:
    style.dress(axes, title="Convergence", x="steps", y=r"running estimate of $\lambda_i$")
    h = len(spectrum.history)
    if h == 0 or spectrum.n_resolved == 0:
        _say(axes, "nothing to show")
        return
    drawn = min(spectrum.n_positive or 3, _LEADING, spectrum.n_resolved)
    style.zero_line(axes)
    axes.set_xscale("log")
    colours = style.SEQUENCE[:drawn]
    values, reach = spectrum.exponents[:drawn], SIGMAS * np.nan_to_num(spectrum.stderr[:drawn])
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
    style.dress(axes, title="Kaplan-Yorke dimension", x="number of exponents $j$", y=r"$\lambda_1 + \dots + \lambda_j$")
    if spectrum.n_resolved == 0:
        _say(axes, "nothing to show")
        return
    style.zero_line(axes)
    sums = np.concatenate([[0.0], np.cumsum(spectrum.exponents[: spectrum.n_resolved])])
    dimension, error = float(result.kaplan_yorke), float(result.kaplan_yorke_stderr)
    known = not math.isnan(dimension)
    # Far beyond the zero the sums fall steeply and would press flat the part that matters.
    last = min(len(sums) - 1, max(math.ceil(1.75 * dimension), 5)) if known else len(sums) - 1
    sums, j = sums[: last + 1], np.arange(last + 1)
    dots = "o" if last <= _SINGLE_POINTS else ""
    axes.plot(j, sums, color=style.BLUE, linewidth=1.3, marker=dots, markersize=3.5)
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
        reach = SIGMAS * error if math.isfinite(error) and error > 0 else None
        axes.errorbar(
            dimension, 0, xerr=reach, fmt="o", color=style.INK, markersize=4.5, capsize=5, elinewidth=1.6, zorder=4
        )
        axes.annotate(
            _dimension(result), (dimension, 0), xytext=(7, 7), textcoords="offset points", fontsize=style.TITLE
        )


def _say(axes: Axes, text: str) -> None:
    """Words in place of a picture."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", fontsize=style.LABEL, color=style.GREY)


def _whole_ticks(axes: Axes, largest: int) -> None:
    from matplotlib.ticker import MaxNLocator, MultipleLocator

    axes.xaxis.set_major_locator(MultipleLocator(1) if largest <= _FEW else MaxNLocator(8, integer=True))


MOST_PANELS = 5


def draw_finite_time(result: FiniteTimeExponents) -> Figure:
    """Draw a field over a grid as an image, else a histogram of each of the first five exponents.

    Parameters
    ----------
    result : FiniteTimeExponents

    Returns
    -------
    matplotlib.figure.Figure
    """
    b, windows, k = result.exponents.shape
    drawn = min(k, MOST_PANELS)
    if result.grid:
        drawn = min(k, 2)
        wide = len(result.grid["shape"]) == 2
        figure = style.new_figure((5.6 if wide else 8.0) * drawn + 0.4, 5.4 if wide else 4.2)
        panels = figure.subplots(1, drawn, squeeze=False)[0]
        for i, axes in enumerate(panels):
            draw_field(
                axes,
                result.exponents[:, 0, i],
                result.grid,
                label=f"nats {result.unit}",
                title=f"Exponent {i + 1} over {result.n_steps} steps",
                colours="magma",
                n=1 + max(result.grid["axes"]),
            )
    else:
        figure = style.new_figure(max(3.1 * drawn, 6.5), 4.0)
        panels = figure.subplots(1, drawn, squeeze=False, sharey=False)[0]
        for i, axes in enumerate(panels):
            _draw_histogram(axes, result, i)
    name = str(result.provenance.get("model") or result.provenance.get("map") or "finite-time exponents")
    parts = [
        f"{result.measure} growth",
        f"{b} {'trajectory' if b == 1 else 'trajectories'}",
        f"{windows} {'window' if windows == 1 else 'windows'} of {result.n_steps} steps",
        f"status {str(result.status).replace('_', ' ')}",
    ]
    notes = textwrap.wrap(str(result.message), 100) if result.message else []
    style.headline(figure, name, "   ·   ".join(parts), notes=notes)
    return figure


def _draw_histogram(axes: Axes, result: FiniteTimeExponents, i: int) -> None:
    values = result.values(i)
    style.dress(axes, title=f"Exponent {i + 1}", x=f"nats {result.unit}", y="density" if i == 0 else "")
    if values.size == 0:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.text(0.5, 0.5, "nothing to show", transform=axes.transAxes, ha="center", color=style.GREY)
        return
    density, edges = result.histogram(i, "auto" if values.size > 20 else 10)
    mean, colour = float(values.mean()), style.SEQUENCE[i % len(style.SEQUENCE)]
    axes.stairs(density, edges, fill=True, color=colour, alpha=0.55)
    axes.axvline(mean, color=style.INK, linewidth=1.2)
    if edges[0] < 0 < edges[-1]:
        axes.axvline(0.0, color=style.GREY, linewidth=1.0, linestyle=":")
    modes = result.modes(i)
    shape = "too few values to count peaks" if modes == 0 else "one peak" if modes == 1 else f"{modes} peaks"
    text = f"mean {mean:.3g}\nspread {values.std():.2g}\n{shape}".replace("-", "−")
    axes.set_ylim(0, 1.3 * float(np.max(density)))
    axes.text(0.97, 0.97, text, transform=axes.transAxes, ha="right", va="top", fontsize=style.SMALL, color=style.INK)
    axes.tick_params(axis="y", labelleft=False)
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(4))


SMALLEST = 1e-12
"""Values below, relative to the largest, are drawn here: a logarithm has no zero."""


def draw_singular_values(result: JacobianSpectrum) -> Figure:
    """Singular values by rank with their spread over the states, and how many states have which dimension."""
    figure = style.new_figure(9.6, 4.4)
    spectrum, counts = figure.subplots(1, 2, width_ratios=(3, 2))
    known = np.isfinite(result.singular_values).all(axis=1)
    values = result.singular_values[known]
    if len(values) and values.max() > 0:
        low, middle, high = np.quantile(values, (0.1, 0.5, 0.9), axis=0)
        floor = SMALLEST * float(values.max())
        rank = np.arange(1, values.shape[1] + 1)
        spectrum.fill_between(
            rank, np.maximum(low, floor), np.maximum(high, floor), color=style.SKY, alpha=0.35, linewidth=0,
            label="10 to 90 % of states",
        )  # fmt: skip
        spectrum.plot(rank, np.maximum(middle, floor), color=style.BLUE, linewidth=1.2, marker="o", markersize=2.5)
        cut = float(middle[0]) * math.sqrt(result.threshold)
        spectrum.axhline(cut, color=style.VERMILLION, linewidth=0.9, linestyle="--")
        spectrum.annotate(
            f"{100 * result.threshold:g} % of the largest variance", (1, cut), xycoords=("axes fraction", "data"),
            xytext=(-4, 4), textcoords="offset points", ha="right", fontsize=style.SMALL, color=style.VERMILLION,
        )  # fmt: skip
        spectrum.set_yscale("log")
        if len(rank) < 12:
            spectrum.set_xticks(rank)
        if len(values) > 1:
            spectrum.legend(fontsize=style.SMALL, frameon=False, loc="lower left")
    style.dress(spectrum, title="Singular values of the Jacobian", x="number", y="output per unit of input")
    found = "no Jacobian is finite"
    if len(values):
        dimension = result.dimension[known]
        low_d, high_d = int(dimension.min()), int(dimension.max())
        counts.bar(*np.unique(dimension, return_counts=True), color=style.BLUE, width=0.8)
        counts.xaxis.get_major_locator().set_params(integer=True)
        counts.set_xlim(low_d - 1.5, high_d + 1.5)
        lines = [(float(result.rank[known].mean()), style.INK, "rank")]
        if np.isfinite(result.participation[known]).all():
            lines.append((float(result.participation[known].mean()), style.VERMILLION, "participation"))
        inside = counts.get_xlim()
        for place, colour, label in lines:
            counts.axvline(place, color=colour, linewidth=1.2, linestyle="--", label=f"{label} {place:.1f}")
            inside = min(inside[0], place - 1), max(inside[1], place + 1)
        counts.set_xlim(*inside)
        counts.set_ylim(top=1.25 * counts.get_ylim()[1])  # room for the legend
        counts.yaxis.get_major_locator().set_params(integer=True)
        counts.legend(fontsize=style.SMALL, frameon=False, loc="upper center", ncols=2)
        mean, error = result.mean("dimension")
        found = f"local dimension {style.with_error(mean, error)} of {result.inputs} inputs"
        found += f"   ·   {len(values)} states"
    style.dress(counts, title="Local dimension", x="directions that count", y="states")
    name = str(result.provenance.get("model") or result.provenance.get("map") or "Jacobian")
    style.headline(figure, name, found, notes=[result.message] if result.message else [])
    return figure
