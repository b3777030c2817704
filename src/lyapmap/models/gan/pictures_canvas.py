"""Pictures of the recurrence of a canvas: its exponents, and how far updates and image still move."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lyapmap.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lyapmap.models.gan.canvas_run import CanvasDynamics

SMALLEST = 1e-9
"""Lengths below are not drawn: float32 knows none, and a logarithm has no zero."""


def draw_canvas_dynamics(result: CanvasDynamics) -> Figure:
    """Exponents, updates and their changes, changes of the image and its saturated part; one colour for each noise."""
    figure = style.new_figure(13.0, 4.4)
    exponents, updates, image = figure.subplots(1, 3)
    numbers = np.arange(1, result.exponents.shape[1] + 1)
    style.zero_line(exponents)
    for i, noise in enumerate(result.noises):
        colour = style.SEQUENCE[i]
        apart = 0.12 * (i - (len(result.noises) - 1) / 2)
        exponents.errorbar(
            numbers + apart, result.exponents[i], yerr=2 * np.nan_to_num(result.stderr[i]), linestyle="none",
            marker="o", markersize=4, color=colour, elinewidth=1, label=f"{noise} noise",
        )  # fmt: skip
        steps = np.arange(1, result.update_size.shape[1] + 1)
        _band(updates, steps, result.update_size[i], colour, "-", f"update, {noise} noise")
        _band(updates, steps[1:], result.update_change[i], colour, ":", f"its change, {noise} noise")
        _band(image, steps[1:], result.image_change[i], colour, "-", f"change, {noise} noise")
        part = np.where(result.saturated[i] > 0, result.saturated[i], np.nan)
        image.plot(steps, part, color=colour, linestyle=":", linewidth=1.4, label=f"black or white, {noise} noise")
    exponents.set_xticks(numbers)
    exponents.legend(fontsize=style.SMALL, frameon=False)
    style.dress(exponents, title="Exponents of the recurrence", x="number", y="nats per step")
    for axes in (updates, image):
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.axvline(result.trained_steps, color=style.GREY, linewidth=0.9, linestyle="--")
        axes.xaxis.set_major_formatter("{x:g}")
        low, high = axes.get_ylim()
        axes.set_ylim(top=high * (high / low) ** 0.35)  # room for the legend
        axes.annotate(
            "trained", (result.trained_steps, 0), xycoords=("data", "axes fraction"), xytext=(3, 3),
            textcoords="offset points", fontsize=style.SMALL, color=style.GREY,
        )  # fmt: skip
        axes.legend(fontsize=style.SMALL, frameon=False, loc="upper right")
    style.dress(updates, title="Updates of the canvas", x="step", y="root mean square over pixels")
    style.dress(image, title="The image", x="step", y="change, and part of pixels")
    leading = [
        f"{noise} noise {style.with_error(float(result.exponents[i, 0]), float(result.stderr[i, 0]))}"
        for i, noise in enumerate(result.noises)
    ]
    name = str(result.provenance.get("map") or "canvas")
    found = f"largest exponent: {', '.join(leading)} nats per step"
    style.headline(figure, name, found, notes=[result.message] if result.message else [])
    return figure


def _band(
    axes: Axes, steps: NDArray[np.int64], lengths: NDArray[np.float64], colour: str, line: str, label: str
) -> None:
    low, middle, high = np.where(lengths > SMALLEST, lengths, np.nan).T
    axes.fill_between(steps, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.plot(steps, middle, color=colour, linestyle=line, linewidth=1.3, label=label)
