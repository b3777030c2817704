"""Pictures of adversarial networks: samples, ways between them, the canvas, a GAN on a line, pairs side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.report import style
from lyapmap.report.images import film_strip, in_rows, save_film_strip, save_frames, save_gif, save_sheet, sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lyapmap.analysis.battle import Tournament
    from lyapmap.models.gan.canvas import CanvasDynamics
    from lyapmap.models.gan.line import GanLine
    from lyapmap.models.gan.pair import GanSamples

STRIP_ROWS = 8
SECONDS_PER_STEP = 0.4


def draw_gan_samples(result: GanSamples) -> Figure:
    """The first canvases step by step, or a sheet of images where there is one step."""
    n, steps = result.canvases.shape[:2]
    name = str(result.provenance.get("model") or "samples")
    if result.columns:
        picture = _enlarged(in_rows(result.images, result.columns), result.value_range)
        summary = f"{n // result.columns} ways of {result.columns} images from noise to noise"
    elif steps > 1:
        picture = film_strip(
            result.canvases[:STRIP_ROWS], steps=range(1, steps + 1), value_range=result.value_range, columns=steps
        )
        summary = f"{n} samples in {steps} steps; trained with {result.trained_steps}"
    else:
        picture = _enlarged(in_rows(result.images), result.value_range)
        summary = f"{n} samples"
    height, width = picture.shape[:2]
    figure, (axes,) = style.panels(1, width=max(width / 100, 4.0), row=height / 100)
    axes.imshow(picture, interpolation="nearest")
    axes.set_axis_off()
    style.headline(figure, name, summary)
    return figure


def save_gan_samples(folder: str | Path, result: GanSamples) -> list[Path]:
    """Write grid.png and, of canvases in several steps, strip.png and canvas.gif; or interpolation.png; the files."""
    folder, bounds = Path(folder), result.value_range
    if result.columns:
        images = in_rows(result.images, result.columns)
        return [save_sheet(images, folder / "interpolation.png", value_range=bounds)]
    files = [save_sheet(in_rows(result.images), folder / "grid.png", value_range=bounds)]
    steps = result.canvases.shape[1]
    if steps > 1:
        numbers = range(1, steps + 1)
        first = result.canvases[:STRIP_ROWS]
        files += [
            save_film_strip(folder / "strip.png", first, steps=numbers, value_range=bounds, columns=steps),
            save_gif(
                folder / "canvas.gif",
                result.canvases,
                steps=numbers,
                value_range=bounds,
                seconds_per_step=SECONDS_PER_STEP,
            ),
        ]
    return files


def _enlarged(images: NDArray[Any], bounds: tuple[float, float]) -> NDArray[np.uint8]:
    return sheet(images, value_range=bounds, scale=max(1, -(-56 // images.shape[-1])))


SMALLEST = 1e-9
"""Lengths below are not drawn: float32 knows none, and a logarithm has no zero."""


def draw_canvas_dynamics(result: CanvasDynamics) -> Figure:
    """Exponents, updates and their changes, changes of the image and its saturated part; one colour for each noise."""
    figure, (exponents, updates, image) = style.panels(3)
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
        axes.xaxis.set_minor_formatter("")
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
    summary = f"largest exponent: {', '.join(leading)} nats per step"
    style.headline(figure, name, summary, notes=[result.message] if result.message else [])
    return figure


def _band(
    axes: Axes, steps: NDArray[np.int64], lengths: NDArray[np.float64], colour: str, line: str, label: str
) -> None:
    low, middle, high = np.where(lengths > SMALLEST, lengths, np.nan).T
    axes.fill_between(steps, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.plot(steps, middle, color=colour, linestyle=line, linewidth=1.3, label=label)


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
    summary = (
        f"{result.settings.get('loss', '')} loss   ·   at the end the value is {result.value[-1]:.3f}, "
        f"the bound -log 4 = {-math.log(4):.3f}   ·   divergence {result.divergence[-1]:.3g} nats"
    )
    style.headline(figure, "A GAN on a line", summary)
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
        figure, (axes,) = style.panels(1, width=6.4)
        _draw_line(axes, result, at)
        axes.legend(fontsize=style.SMALL, framealpha=0.9, edgecolor="white", loc="upper left")
        kept = io.BytesIO()
        figure.savefig(kept, format="png", dpi=GIF_DOTS_PER_INCH)
        frames.append(Image.open(kept).convert("P", palette=Image.Palette.ADAPTIVE))
    return save_frames(path, frames, [round(1000 * SECONDS_PER_FRAME)] * (len(frames) - 1) + [1500])


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


PANELS = (
    ("precision", "precision"),
    ("recall", "recall"),
    ("density", "density"),
    ("coverage", "coverage"),
    ("variance", "variance, parts of the data's"),
    ("categories", "categories in effect"),
)


def draw_kinds(kinds: Mapping[str, str], quality: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Measures of every model, one column of dots for each kind.

    Parameters
    ----------
    kinds : mapping of str to str
        Kind of each model.
    quality : mapping
        Numbers of each model by name.

    Returns
    -------
    matplotlib.figure.Figure
    """
    order = list(dict.fromkeys(kinds[name] for name in quality))
    shown = [panel for panel in PANELS if any(numbers.get(panel[0]) is not None for numbers in quality.values())]
    columns = 3
    rows = -(-len(shown) // columns)
    figure = style.new_figure(4.0 * columns, 2.9 * rows + 0.6)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, (key, words) in zip(grid.flat, shown, strict=False):
        for place, kind in enumerate(order):
            values = [float(n[key]) for name, n in quality.items() if kinds[name] == kind and n.get(key) is not None]
            if not values:
                continue
            colour = style.SEQUENCE[place % len(style.SEQUENCE)]
            apart = np.linspace(-0.12, 0.12, len(values)) if len(values) > 1 else [0.0]
            axes.plot(place + np.asarray(apart), values, "o", color=colour, markersize=5, alpha=0.85)
            axes.plot([place - 0.28, place + 0.28], [np.mean(values)] * 2, color=colour, linewidth=1.8)
        axes.set_xticks(range(len(order)), [kind.replace(" ", "\n", 1) for kind in order])
        axes.set_xlim(-0.6, len(order) - 0.4)
        style.dress(axes, title=words, x="", y="")
    for axes in list(grid.flat)[len(shown) :]:
        axes.set_visible(False)
    style.headline(figure, "Quality and variety", f"{len(quality)} models of {len(order)} kinds; lines: means")
    return figure


def draw_winners(table: Tournament, quality: Mapping[str, Mapping[str, Any]]) -> Figure:
    """How the ratio of each battle goes with what one model covers, and is precise, more than the other.

    Parameters
    ----------
    table : Tournament
    quality : mapping
        Numbers "coverage" and "precision" of each model by name.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, both = style.panels(2)
    for axes, key in zip(both, ("coverage", "precision"), strict=True):
        decided: list[tuple[float, float]] = []
        tied: list[tuple[float, float]] = []
        for i, first in enumerate(table.names):
            for j in range(i + 1, len(table.names)):
                second = table.names[j]
                if first not in quality or second not in quality or not math.isfinite(table.r_sample[i, j]):
                    continue
                # As seen by the first: a ratio of its inverse above 1 is a success.
                point = (1 / float(table.r_sample[i, j]), quality[first][key] - quality[second][key])
                (decided if table.outcome[i, j] else tied).append(point)
        for points, colour, words in ((tied, style.GREY, "ties"), (decided, style.VERMILLION, "decided")):
            if points:
                x, y = np.array(points).T
                axes.plot(x, y, "o", color=colour, markersize=5, alpha=0.8, label=f"{words} ({len(points)})")
        axes.set_xscale("log")
        axes.axvline(1.0, color=style.INK, linewidth=0.9)
        style.zero_line(axes)
        style.dress(axes, title=f"{key}: first less second", x="1 / $r_{sample}$: above 1 the first does better", y="")
        if decided or tied:
            axes.legend(fontsize=style.SMALL, framealpha=0.9, edgecolor="white")
    style.headline(figure, "Battles and measures", "a dot for each pair; winning goes with covering if dots rise")
    return figure
