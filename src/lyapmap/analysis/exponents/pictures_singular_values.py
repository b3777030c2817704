"""Pictures of the singular values of Jacobians, and of the local dimensions that they show."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lyapmap.report import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lyapmap.analysis.exponents.singular_values import JacobianSpectrum

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
