"""Pictures of what adversarial generators draw: grids, film strips of the canvas, ways between samples."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.report import style
from lyapmap.report.images import film_strip, save_film_strip, save_gif, save_sheet, sheet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lyapmap.models.gan.sampling import GanSamples

STRIP_ROWS = 8
SECONDS_PER_STEP = 0.4


def draw_gan_samples(result: GanSamples) -> Figure:
    """The first canvases step by step, or a sheet of images where there is one step."""
    n, steps = result.canvases.shape[:2]
    name = str(result.provenance.get("model") or "samples")
    if result.columns:
        picture = _enlarged(_grid(result.images, result.columns), result.value_range)
        found = f"{n // result.columns} ways of {result.columns} images from noise to noise"
    elif steps > 1:
        picture = film_strip(
            result.canvases[:STRIP_ROWS], steps=range(1, steps + 1), value_range=result.value_range, columns=steps
        )
        found = f"{n} samples in {steps} steps; trained with {result.trained_steps}"
    else:
        picture = _enlarged(_grid(result.images), result.value_range)
        found = f"{n} samples"
    height, width = picture.shape[:2]
    figure = style.new_figure(max(width / 100, 4.0), height / 100 + 0.6)
    axes = figure.subplots()
    axes.imshow(picture, interpolation="nearest")
    axes.set_axis_off()
    style.headline(figure, name, found)
    return figure


def save_gan_samples(folder: str | Path, result: GanSamples) -> list[Path]:
    """Write grid.png and, of canvases in several steps, strip.png and canvas.gif; or interpolation.png; the files."""
    folder, bounds = Path(folder), result.value_range
    if result.columns:
        images = _grid(result.images, result.columns)
        return [save_sheet(images, folder / "interpolation.png", value_range=bounds)]
    files = [save_sheet(_grid(result.images), folder / "grid.png", value_range=bounds)]
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


def _grid(images: NDArray[Any], columns: int = 0) -> NDArray[Any]:
    """Images (n, c, h, w) in rows and columns, near a square by default; empty places are black."""
    columns = columns or math.ceil(math.sqrt(len(images)))
    rows = -(-len(images) // columns)
    cells = np.full((rows * columns, *images.shape[1:]), images.min(), images.dtype)
    cells[: len(images)] = images
    return cells.reshape(rows, columns, *images.shape[1:])


def _enlarged(images: NDArray[Any], bounds: tuple[float, float]) -> NDArray[np.uint8]:
    return sheet(images, value_range=bounds, scale=max(1, -(-56 // images.shape[-1])))
