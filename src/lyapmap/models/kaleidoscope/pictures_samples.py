"""Pictures of kaleidoscopic sampling: film strip, grid and GIF of images, paths of points."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.errors import LyapmapError
from lyapmap.core.images import channels_first, image_shape
from lyapmap.report import style
from lyapmap.report.images import film_strip, save_film_strip, save_gif, save_sheet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STRIP_ROWS = 8
FILM_SAMPLES = 25
SECONDS_PER_STEP = 0.12
PATHS = 200
"""Points whose paths are drawn at most."""


class Samples(Protocol):
    """What is drawn; `lyapmap.models.kaleidoscope.sampling.KaleidoscopeSamples` is."""

    @property
    def states(self) -> NDArray[Any]:
        """(n, kept, d)."""

    @property
    def steps(self) -> NDArray[np.int64]:
        """(kept,)."""

    @property
    def state_shape(self) -> tuple[int, ...]:
        """Shape of one state."""

    @property
    def value_range(self) -> tuple[float, float]:
        """Smallest and largest value."""

    @property
    def settings(self) -> dict[str, Any]:
        """What was asked for."""

    @property
    def provenance(self) -> dict[str, Any]:
        """Where it comes from."""

    def images(self) -> NDArray[Any]:
        """(n, kept, *state_shape)."""


def draw_kaleidoscope_samples(result: Samples) -> Figure:
    """Film strip of the first samples where they are images, else paths of their first component."""
    states = np.asarray(result.states, float)
    n, kept, _ = states.shape
    name = str(result.provenance.get("model") or result.provenance.get("map") or "samples")
    eps, noise = result.settings.get("eps", 0.0), result.settings.get("noise", "")
    shaken = f"{noise} noise of {eps:g} at each step" if eps else "no noise after the start"
    found = f"{n} samples over {int(result.steps[-1])} steps, {shaken}"
    if image_shape(tuple(result.state_shape)) is None:
        figure = style.new_figure(8.0, 4.4)
        axes = figure.subplots()
        axes.plot(result.steps, states[:PATHS, :, 0].T, color=style.BLUE, linewidth=0.7, alpha=0.5)
        axes.plot(result.steps, states[:PATHS, :, 0].T, ".", color=style.VERMILLION, markersize=3)
        axes.set_xscale("symlog", linthresh=1)
        axes.set_xlim(left=0)
        y = "x" if states.shape[2] == 1 else "component 1"
        style.dress(axes, title="Samples over the steps", x="step", y=y)
    else:
        images = channels_first(result.images()[:STRIP_ROWS])
        strip = film_strip(images, steps=result.steps.tolist(), value_range=result.value_range, columns=max(kept, 1))
        height, width = strip.shape[:2]
        figure = style.new_figure(width / 100, height / 100 + 0.6)
        axes = figure.subplots()
        axes.imshow(strip, interpolation="nearest")
        axes.set_axis_off()
    style.headline(figure, name, found)
    return figure


def save_kaleidoscope_samples(
    folder: str | Path, result: Samples, film: Samples | None = None, *, seconds_per_step: float = SECONDS_PER_STEP
) -> list[Path]:
    """Write strip.png, grid.png (the last step) and, with a film, kaleidoscope.gif; the files.

    The strip and the film show the first samples, the grid all.

    Parameters
    ----------
    folder : path
    result : KaleidoscopeSamples
        Of images.
    film : KaleidoscopeSamples, optional
        The same samples with the steps that the GIF shows.
    seconds_per_step : float
        Time that a frame of the GIF stays.

    Raises
    ------
    LyapmapError
        If the states are no images.
    """
    if image_shape(tuple(result.state_shape)) is None:
        raise LyapmapError(f"samples: states of shape {result.state_shape} are no images")
    folder, bounds = Path(folder), result.value_range
    images = channels_first(result.images())
    strip = save_film_strip(
        folder / "strip.png",
        images[:STRIP_ROWS],
        steps=result.steps.tolist(),
        value_range=bounds,
        columns=len(result.steps),
    )
    files = [strip, save_sheet(_grid(images[:, -1], bounds[1]), folder / "grid.png", value_range=bounds)]
    if film is not None:
        frames = channels_first(film.images()[:FILM_SAMPLES])
        files.append(
            save_gif(
                folder / "kaleidoscope.gif",
                frames,
                steps=film.steps.tolist(),
                value_range=bounds,
                seconds_per_step=seconds_per_step,
            )
        )
    return files


def _grid(images: NDArray[Any], white: float) -> NDArray[Any]:
    """Images (n, c, h, w) in rows and columns that are near a square."""
    columns = math.ceil(math.sqrt(len(images)))
    rows = -(-len(images) // columns)
    cells = np.full((rows * columns, *images.shape[1:]), white, images.dtype)
    cells[: len(images)] = images
    return cells.reshape(rows, columns, *images.shape[1:])
