"""A generative adversarial network on a line: densities, discriminator and value, at rest and moving."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lyapmap.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lyapmap.models.gan.line import GanLine

MOMENTS = 3
SECONDS_PER_FRAME = 0.1
GIF_DOTS_PER_INCH = 80


def draw_gan_line(result: GanLine) -> Figure:
    """Beginning, middle and end on the line, and the value of the game along the training.

    Parameters
    ----------
    result : GanLine

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = style.new_figure(13.0, 6.6)
    grid = figure.add_gridspec(2, MOMENTS)
    half = int(np.argmin(np.abs(result.divergence - result.divergence[0] / 2)))
    for place, at in enumerate((0, half, len(result.step) - 1)):
        axes = figure.add_subplot(grid[0, place])
        _draw_line(axes, result, at)
        if place == 0:
            axes.legend(fontsize=style.SMALL, framealpha=0.9, edgecolor="white", loc="upper left")
    value, error = figure.add_subplot(grid[1, :2]), figure.add_subplot(grid[1, 2])
    _draw_value(value, result)
    style.dress(error, title="Mean distance of the discriminator to its best", x="step", y="")
    error.plot(result.step, result.error, color=style.GREEN)
    error.set_ylim(bottom=0)
    found = (
        f"{result.settings.get('loss', '')} loss   ·   at the end the value is {result.value[-1]:.3f}, "
        f"the bound -log 4 = {-math.log(4):.3f}   ·   divergence {result.divergence[-1]:.3g} nats"
    )
    style.headline(figure, "A GAN on a line", found)
    return figure


def save_gan_line_gif(path: str | Path, result: GanLine) -> Path:
    """Write the training as a GIF that repeats for ever.

    Parameters
    ----------
    path : path
    result : GanLine

    Returns
    -------
    Path
    """
    import io

    from PIL import Image

    frames = []
    for at in range(len(result.step)):
        figure = style.new_figure(6.4, 4.2)
        axes = figure.subplots()
        _draw_line(axes, result, at)
        axes.legend(fontsize=style.SMALL, framealpha=0.9, edgecolor="white", loc="upper left")
        kept = io.BytesIO()
        figure.savefig(kept, format="png", dpi=GIF_DOTS_PER_INCH)
        frames.append(Image.open(kept).convert("P", palette=Image.Palette.ADAPTIVE))
    path = Path(path)
    durations = [round(1000 * SECONDS_PER_FRAME)] * (len(frames) - 1) + [1500]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=durations, loop=0)
    return path


def _draw_line(axes: Axes, result: GanLine, at: int) -> None:
    top = 1.25 * float(max(result.p_data.max(), 1.0))
    style.dress(axes, title=f"step {result.step[at]}", x="x", y="density, probability")
    axes.fill_between(result.x, result.p_data, color=style.PALE, label="$p_{data}$")
    axes.plot(result.x, result.p_g[at].clip(max=2 * top), color=style.GREEN, label="$p_g$")
    axes.plot(result.x, result.best[at], color=style.GREY, linestyle="--", label="best $D$")
    axes.plot(result.x, result.discriminator[at], color=style.BLUE, label="trained $D$")
    axes.set_ylim(0, top)
    axes.set_xlim(result.x[0], result.x[-1])


def _draw_value(axes: Axes, result: GanLine) -> None:
    style.dress(axes, title="Value of the game", x="step of the generator", y="nats")
    axes.plot(result.step, result.best_value, color=style.GREY, linestyle="--", label="of the best discriminator")
    axes.plot(result.step, result.value, color=style.BLUE, label="of the trained one")
    axes.axhline(-math.log(4), color=style.INK, linewidth=0.9, label=r"bound $-\log\,4$")
    axes.legend(fontsize=style.SMALL, framealpha=0.9, edgecolor="white")
