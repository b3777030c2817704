"""Pictures of a latent basis: inner products, and what Gram-Schmidt leaves of each average."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lyapmap.report import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lyapmap.analysis.latent_basis import LatentBasis


def draw_latent_basis(result: LatentBasis) -> Figure:
    """Inner products of averages and of quasi-eigenvectors, and the lengths left of the averages.

    Parameters
    ----------
    result : LatentBasis

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = style.new_figure(13.0, 4.7)
    first, second, third = figure.subplots(1, 3, width_ratios=(1, 1, 1.15))
    for axes, vectors, letter in ((first, result.eta, "η"), (second, result.xi, "ξ")):
        products = vectors @ vectors.T / result.latent
        largest = float(np.abs(products).max())
        shown = axes.imshow(products, cmap="RdBu_r", vmin=-largest, vmax=largest, interpolation="nearest")
        style.dress(axes, title=f"⟨{letter}|{letter}⟩ / M", x="vector", y="vector")
        axes.grid(False)
        for axis in (axes.xaxis, axes.yaxis):
            axis.get_major_locator().set_params(integer=True)
        for border in np.flatnonzero(np.diff(result.set_number)):
            for line in (axes.axhline, axes.axvline):
                line(border + 0.5, color=style.GREY, linewidth=0.3)
        bar = figure.colorbar(shown, ax=axes, shrink=0.8)
        bar.ax.tick_params(labelsize=style.SMALL)
        bar.outline.set_visible(False)
    place = np.arange(1, len(result.xi) + 1)
    third.plot(place, np.linalg.norm(result.eta, axis=1), color=style.GREY, linewidth=1.0, label="average η")
    third.plot(place, result.noise, color=style.INK, linestyle="--", linewidth=1.0, label="its standard error")
    resolved = result.resolved
    for mask, colour, words in ((resolved, style.BLUE, "resolved"), (~resolved, style.VERMILLION, "chance")):
        if mask.any():
            third.plot(place[mask], result.remainder[mask], "o", color=colour, markersize=3.5, label=f"left: {words}")
    third.set_yscale("log")
    third.xaxis.get_major_locator().set_params(integer=True)
    style.dress(third, title="Length before and after Gram-Schmidt", x="vector", y="length")
    third.legend(fontsize=style.SMALL, framealpha=0.9, edgecolor="white")
    sets = int(result.set_number.max())
    style.headline(
        figure,
        "Latent basis",
        f"{len(result.xi)} vectors of {result.latent} components: {result.categories} labels, {sets} sets; "
        f"{int(resolved.sum())} resolved, orthogonal to {result.orthogonality:.0e}",
    )
    return figure
