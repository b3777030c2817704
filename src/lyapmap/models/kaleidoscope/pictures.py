"""Pictures of kaleidoscopic networks: samples on their way, and the figures of the study."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.errors import LyapmapError
from lyapmap.core.points import channels_first, image_shape
from lyapmap.report import style
from lyapmap.report.images import film_strip, save_film_strip, save_gif, save_sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lyapmap.analysis.exponents.sweep import Sweep

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


def draw_confidence(at: Sequence[int], sure: Mapping[str, Mapping[str, Any]], numbers: Mapping[str, Any]) -> Figure:
    """Confidence of a classifier over the iterations, and what it sees in the end.

    Parameters
    ----------
    at : sequence of int
        Steps.
    sure : mapping of name to mapping
        With `confidence` and `confidence_stderr`, one value for each step, and `labels`, the shares in the end.
    numbers : mapping
        With `categories`, `real_confidence` and `data_labels`.
    """
    figure = style.new_figure(11.0, 4.4)
    curve, bars = figure.subplots(1, 2)
    for colour, (name, found) in zip(style.SEQUENCE, sure.items(), strict=False):
        curve.errorbar(
            at, found["confidence"], yerr=found["confidence_stderr"], color=colour, marker="o", markersize=3.5,
            linewidth=1.2, capsize=2, label=name,
        )  # fmt: skip
    curve.axhline(numbers["real_confidence"], color=style.INK, linestyle="--", linewidth=0.9, label="held-out images")
    _steps(curve, at)
    curve.set_ylim(top=1.01)
    style.dress(curve, title="Mean probability of the likeliest category", x="step", y="confidence")
    curve.legend(fontsize=style.SMALL, frameon=False, loc="lower right")
    categories = np.arange(len(numbers["categories"]))
    width = 0.8 / (len(sure) + 1)
    sets: list[tuple[str, Any, str]] = [("training images", numbers["data_labels"], style.PALE)]
    sets += [
        (name, found["labels"], colour) for colour, (name, found) in zip(style.SEQUENCE, sure.items(), strict=False)
    ]
    for i, (name, shares, colour) in enumerate(sets):
        bars.bar(categories + (i - len(sure) / 2) * width, shares, width, color=colour, label=name)
    bars.set_xticks(categories, [str(c) for c in numbers["categories"]])
    style.dress(bars, title=f"Categories after {at[-1]} steps", x="category", y="share")
    bars.set_ylim(top=1.3 * bars.get_ylim()[1])  # room for the legend
    bars.legend(fontsize=style.SMALL, frameon=False, loc="upper right")
    quiet = next(iter(sure.values()))
    last, error = quiet["confidence"][-1], quiet["confidence_stderr"][-1]
    name = next(iter(sure))
    style.headline(figure, str(numbers["classifier"]), f"{name}, {style.with_error(last, error)} after {at[-1]} steps")
    return figure


def draw_manifold_steps(
    at: Sequence[int], curves: Mapping[str, Mapping[str, Sequence[float]]], reference: Mapping[str, float]
) -> Figure:
    """Precision, recall, density and coverage over the iterations, one panel each."""
    metrics = list(reference)
    figure = style.new_figure(3.1 * len(metrics), 3.6)
    for axes, metric in zip(figure.subplots(1, len(metrics)), metrics, strict=True):
        for colour, (name, found) in zip(style.SEQUENCE, curves.items(), strict=False):
            axes.plot(at, found[metric], color=colour, marker="o", markersize=3.5, linewidth=1.2, label=name)
        axes.axhline(reference[metric], color=style.INK, linestyle="--", linewidth=0.9, label="training images")
        _steps(axes, at)
        axes.set_ylim(-0.02, 1.35 * axes.get_ylim()[1] if metric == metrics[0] else None)
        style.dress(axes, title=metric.capitalize(), x="step", y="")
        if metric == metrics[0]:
            axes.legend(fontsize=style.SMALL, frameon=False, loc="upper right")
    last = dict(curves)
    words = "   ·   ".join(
        f"{name}: precision {found['precision'][-1]:.2f}, recall {found['recall'][-1]:.2f}"
        for name, found in last.items()
    )
    style.headline(figure, f"Samples after {at[-1]} steps", words)
    return figure


def draw_noise(found: Mapping[str, Sweep], numbers: Mapping[str, Any]) -> Figure:
    """Largest exponent, rate at which basins are left, and basins visited, against the level of noise."""
    figure = style.new_figure(12.5, 4.2)
    exponent, leave, visited = figure.subplots(1, 3)
    for colour, (kind, one) in zip(style.SEQUENCE, found.items(), strict=False):
        options: dict[str, Any] = {"color": colour, "marker": "o", "markersize": 3.5, "linewidth": 1.2, "label": kind}
        exponent.errorbar(one.values, one.exponents[:, 0], yerr=2 * one.stderr[:, 0], capsize=2, **options)
        leave.errorbar(one.values, one.measured[:, 0], yerr=2 * one.measured[:, 1], capsize=2, **options)
        visited.plot(one.values, one.measured[:, 2], **options)
    style.zero_line(exponent)
    x = "standard deviation of the noise"
    style.dress(exponent, title="Largest exponent", x=x, y="nats per step")
    style.dress(leave, title="Basins left per step", x=x, y="rate")
    steps = numbers["wander_steps"]
    style.dress(visited, title=f"Basins visited in {steps} steps", x=x, y="mean over trajectories")
    leave.set_ylim(bottom=-0.02)
    visited.set_ylim(bottom=0)
    leave.legend(fontsize=style.SMALL, frameon=False, title="noise", title_fontsize=style.SMALL, loc="upper left")
    name = str(next(iter(found.values())).provenance.get("model") or "Noise")
    style.headline(figure, name, str(numbers["verdict"]))
    return figure


def draw_depth(numbers: Mapping[str, Any]) -> Figure:
    """Burn-in, and the part at rest, against the depth of perceptrons."""
    figure = style.new_figure(10.0, 4.2)
    steps, rest = figure.subplots(1, 2)
    depth = np.array(numbers["depth"], float)
    burn = np.array([np.nan if b is None else b for b in numbers["burn_in"]], float)
    limits = [[np.nan if v is None else v for v in pair] for pair in numbers["burn_in_interval"]]
    low, high = np.array(limits, float).T
    error = np.abs(np.stack([burn - low, np.where(np.isfinite(high), high, burn) - burn]))
    steps.errorbar(
        depth,
        burn,
        yerr=np.nan_to_num(error),
        linestyle="none",
        marker="o",
        capsize=3,
        color=style.BLUE,
        label="burn-in",
    )
    half = np.array([np.nan if v is None else v for v in numbers["median_settled_at"]], float)
    steps.plot(depth, half, linestyle="none", marker="s", color=style.VERMILLION, label="half at rest")
    steps.set_ylim(bottom=0)
    style.dress(steps, title="Steps", x="hidden layers", y="steps")
    steps.legend(fontsize=style.SMALL, frameon=False, loc="upper right")
    share = np.array(numbers["settled_share"], float)
    around = np.abs(np.array(numbers["settled_interval"], float).T - share)
    rest.errorbar(depth, share, yerr=around, linestyle="none", marker="o", capsize=3, color=style.BLUE)
    rest.set_ylim(-0.02, 1.02)
    style.dress(rest, title="Part at rest in the end", x="hidden layers", y="share of trajectories")
    for axes in (steps, rest):
        axes.set_xticks(sorted(set(depth.tolist())))
    style.headline(
        figure,
        "Burn-in against depth",
        f"{len(depth)} perceptrons, of {int(depth.min())} to {int(depth.max())} hidden layers",
    )
    return figure


def _steps(axes: Axes, at: Sequence[int]) -> None:
    """Steps on a logarithmic axis that has a zero."""
    axes.set_xscale("symlog", linthresh=1)
    ticks = [step for step in at if step in (0, 1, 10, 100, 1000) or step == at[-1]]
    if len(ticks) > 1 and 0 < ticks[-1] < 5 * ticks[-2]:
        del ticks[-2]  # their numbers would overlap
    axes.set_xticks(ticks, [str(step) for step in ticks])
    axes.minorticks_off()
