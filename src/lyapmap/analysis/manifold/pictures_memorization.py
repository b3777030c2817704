"""Distances to the training data, and generated images over the training images nearest to them."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np

from lyapmap.core.images import channels_first, image_shape
from lyapmap.report import style
from lyapmap.report.images import sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lyapmap.analysis.manifold.memorization import Memorization

COPY_BINS = 50
COLUMNS = 8
CELL, GAP = 56, 14
"""Pixels of an image at least, and between images."""


def draw_memorization(result: Memorization) -> Figure:
    """Distances of generated and held-out samples to the training data; of images, also the nearest pairs.

    Parameters
    ----------
    result : Memorization

    Returns
    -------
    matplotlib.figure.Figure
    """
    pictures = len(result.pair) > 0 and image_shape(tuple(result.sample_shape)) is not None
    figure = style.new_figure(13.0 if pictures else 10.5, 4.9)
    if pictures:
        left, right = figure.subplots(1, 2, width_ratios=[1, 1.5])
        _draw_pairs(right, result)
    else:
        left = figure.subplots()
    _draw_distances(left, result)
    low, high = result.closer_interval
    trained = result.settings.get("reference") == "training"
    found = (
        f"{result.closer:.1%} of the generated samples ({low:.1%} to {high:.1%}) are as near as the nearest "
        f"{result.settings.get('quantile', 0.05):.0%} of {'the training samples' if trained else 'held-out ones'}"
    )
    found += f"   ·   p = {result.p_value:.2g}   ·   {result.copies} {'copy' if result.copies == 1 else 'copies'}"
    notes = textwrap.wrap(result.message, 150 if pictures else 110) if result.message else []
    style.headline(figure, "Memorization", found, notes=notes)
    return figure


def _draw_distances(axes: Axes, result: Memorization) -> None:
    both = np.concatenate([result.distance, result.reference_distance])
    top = float(np.quantile(both, 0.995)) * 1.05 or 1.0
    bins = np.linspace(0, top, COPY_BINS + 1).tolist()
    reference = "training, each without itself" if result.settings.get("reference") == "training" else "held out"
    style.dress(axes, title="Nearest training sample", x="distance", y="part of the samples")
    for values, colour, label in (
        (result.reference_distance, style.GREY, reference),
        (result.distance, style.VERMILLION, "generated"),
    ):
        weights = np.full(len(values), 1 / len(values))
        axes.hist(
            values.clip(max=top), bins, weights=weights, color=colour, alpha=0.6, label=f"{label} ({len(values)})"
        )
    axes.axvline(
        result.threshold, color=style.INK, linewidth=0.9, label=f"{result.settings.get('quantile', 0.05):.0%} quantile"
    )
    axes.set_xlim(0, top)
    axes.legend(fontsize=style.SMALL, framealpha=0.9, edgecolor="white")


def _draw_pairs(axes: Axes, result: Memorization) -> None:
    shape = result.sample_shape
    m = len(result.pair)
    across = min(COLUMNS, m)
    rows = -(-m // across)
    both = [channels_first(values.reshape(m, *shape)) for values in (result.pair_generated, result.pair_training)]
    channels, height, width = both[0].shape[1:]
    low, high = result.value_range
    if not low < high:
        low, high = low - 1, low + 1
    images = np.full((2 * rows, across, channels, height, width), high)
    for row, values in enumerate(both):
        for place, image in enumerate(values):
            images[2 * (place // across) + row, place % across] = image
    scale = max(1, -(-CELL // width))
    axes.imshow(sheet(images, value_range=(low, high), scale=scale, gap=GAP), interpolation="nearest")
    style.dress(axes, title="Nearest pairs, from the nearest on: generated over training, and distance", x="", y="")
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_xticks([])
    down, right = scale * height + GAP, scale * width + GAP
    axes.set_yticks(
        [GAP + row * down + (down - GAP) / 2 for row in range(2 * rows)],
        ["generated", "training"] * rows,
    )
    axes.tick_params(length=0)
    for place, number in enumerate(result.pair):
        axes.text(
            GAP + (place % across) * right + (right - GAP) / 2,
            2 * (place // across) * down + 0.85 * GAP,
            f"{result.distance[number]:.3g}",
            ha="center",
            va="bottom",
            fontsize=7,
            color=style.INK,
        )
