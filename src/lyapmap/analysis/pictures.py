"""Battles of generators: how often each discriminator errs, and the table of a tournament."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lyapmap.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lyapmap.analysis.battle import BattleResult, Tournament
    from lyapmap.analysis.latent_basis import LatentBasis


def draw_battle(result: BattleResult) -> Figure:
    """Error rates of both discriminators, and the two ratios with their limits."""
    figure, (left, right) = style.panels(2)
    _draw_errors(left, result)
    _draw_ratios(right, result)
    outcome = {"tie": "tie", "": "no winner"}.get(result.winner, f"winner: {result.winner}")
    title = f"{result.names[0]} against {result.names[1]}"
    style.caption(figure, result, title, [outcome, result.reason.replace("$", r"\$")])
    return figure


def _draw_errors(axes: Axes, result: BattleResult) -> None:
    style.dress(axes, title="How often each discriminator errs", x="", y="part of the samples")
    kinds = (("test data", result.test_errors), ("other's samples", result.sample_errors), ("own", result.own_errors))
    for place, (name, colour) in enumerate(zip(result.names, (style.VERMILLION, style.BLUE), strict=True)):
        at = np.arange(len(kinds)) + (place - 0.5) * 0.36
        rates = np.array([values[place] for _, values in kinds])
        label = f"of {name}" if np.isfinite(rates).any() else f"{name} has none"
        bars = axes.bar(at, np.nan_to_num(rates), width=0.34, color=colour, alpha=0.85, label=label)
        for bar, rate in zip(bars, rates, strict=True):
            if math.isfinite(rate):
                axes.annotate(
                    f"{rate:.3f}",
                    (bar.get_x() + bar.get_width() / 2, rate),
                    xytext=(0, 2),
                    textcoords="offset points",
                    ha="center",
                    fontsize=style.SMALL,
                )
    axes.set_xticks(range(len(kinds)), [name for name, _ in kinds])
    axes.set_ylim(0, 1.12)
    style.legend(axes, "upper right")


def _draw_ratios(axes: Axes, result: BattleResult) -> None:
    style.dress(axes, title="Ratios of the errors", x="", y="first model's over the second's")
    tolerance = float(result.settings.get("tolerance", 0.3))
    axes.axhspan(1 / (1 + tolerance), 1 + tolerance, xmax=0.5, color=style.PALE, alpha=0.6, linewidth=0)
    axes.axhline(1.0, color=style.INK, linewidth=0.9, zorder=1.5)
    both = ((result.r_test, result.r_test_interval), (result.r_sample, result.r_sample_interval))
    for place, (ratio, limits) in enumerate(both):
        if math.isfinite(ratio):
            reach = np.abs(np.asarray(limits) - ratio)[:, None]
            axes.errorbar([place], [ratio], yerr=reach, fmt="o", color=style.VERMILLION, capsize=4)
            axes.annotate(f"{ratio:.3g}", (place, ratio), xytext=(9, -3), textcoords="offset points")
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    known = [value for ratio, limits in both for value in (ratio, *limits) if math.isfinite(value)]
    reach = max([1.6, *(max(value, 1 / value) for value in known)]) * 1.25
    axes.set_ylim(1 / reach, reach)
    axes.set_xlim(-0.5, 1.5)
    axes.set_xticks([0, 1], ["$r_{test}$ (grey: close to 1)", f"$r_{{sample}}$ (below 1: {result.names[0]} wins)"])


def draw_tournament(result: Tournament) -> Figure:
    """Who beats whom: r_sample of every pair, coloured by the outcome, and wins, ties and losses."""
    from matplotlib.colors import ListedColormap

    m = len(result.names)
    figure, (axes,) = style.panels(1, width=3.2 + 1.1 * m, row=1.7 + 0.7 * m)
    axes.imshow(result.outcome, cmap=ListedColormap(["#F3C9B5", "#F4F4F4", "#BFE3D5"]), vmin=-1, vmax=1)
    for i in range(m):
        for j in range(m):
            if math.isfinite(result.r_sample[i, j]):
                words = f"{result.r_sample[i, j]:.3g}\n({result.r_test[i, j]:.3g})"
                axes.text(j, i, words, ha="center", va="center", fontsize=style.SMALL, color=style.INK)
    ends = [
        f"{name}   {w} : {t} : {lost}"
        for name, w, t, lost in zip(result.names, result.wins, result.ties, result.losses, strict=True)
    ]
    axes.set_xticks(range(m), result.names, fontsize=style.LABEL, rotation=0 if m < 5 else 30)
    axes.set_yticks(range(m), ends, fontsize=style.LABEL)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title(
        "$r_{sample}$ ($r_{test}$) of row against column\ngreen: the row wins, red: the column",
        loc="left",
        fontsize=style.LABEL,
        color=style.INK,
    )
    axes.set_ylabel("wins : ties : losses", fontsize=style.LABEL)
    style.caption(figure, result, "Tournament", ["   >   ".join(result.ranking)])
    return figure


def draw_latent_basis(result: LatentBasis) -> Figure:
    """Inner products of averages and of quasi-eigenvectors, and the lengths left of the averages."""
    figure, (third, first, second) = style.panels(3)
    for axes, vectors, title in (
        (first, result.eta, "Products of averages"),
        (second, result.xi, "Products of basis vectors"),
    ):
        products = vectors @ vectors.T / result.latent
        largest = float(np.abs(products).max())
        shown = axes.imshow(products, cmap="RdBu_r", vmin=-largest, vmax=largest, interpolation="nearest")
        style.dress(axes, title=title, x="vector", y="vector")
        axes.grid(False)
        for axis in (axes.xaxis, axes.yaxis):
            style.whole_ticks(axis)
        for border in np.flatnonzero(np.diff(result.set_number)):
            for line in (axes.axhline, axes.axvline):
                line(border + 0.5, color=style.GREY, linewidth=0.3)
        bar = axes.figure.colorbar(shown, ax=axes, shrink=0.8)
        bar.set_label(f"inner product / {result.latent}", fontsize=style.LABEL, color=style.INK)
        bar.ax.tick_params(labelsize=style.SMALL)
        bar.outline.set_visible(False)
    place = np.arange(1, len(result.xi) + 1)
    third.plot(place, np.linalg.norm(result.eta, axis=1), color=style.GREY, linewidth=1.0, label="average")
    third.plot(place, result.noise, color=style.INK, linestyle="--", linewidth=1.0, label="its standard error")
    resolved = result.resolved
    for mask, colour, words in ((resolved, style.BLUE, "resolved"), (~resolved, style.VERMILLION, "chance")):
        if mask.any():
            third.plot(place[mask], result.remainder[mask], "o", color=colour, markersize=3.5, label=f"left: {words}")
    third.set_yscale("log")
    style.whole_ticks(third.xaxis)
    style.dress(third, title="Length before and after Gram-Schmidt", x="vector", y="length")
    style.legend(third)
    sets = int(result.set_number.max())
    parts = [
        f"{len(result.xi)} vectors of {result.latent} components: {result.categories} labels, {sets} sets",
        f"{int(resolved.sum())} resolved, orthogonal to {result.orthogonality:.0e}",
    ]
    style.caption(figure, result, "Latent basis", parts)
    return figure
