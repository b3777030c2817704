"""What tangents do: covariant vectors, alignment, growth in finite time, singular values; fields over a plane."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lyapmap.core.points import channels_first, image_shape
from lyapmap.report import style
from lyapmap.report.fields import draw_field

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lyapmap.analysis.exponents.finite_time import FiniteTimeExponents
    from lyapmap.analysis.tangents.alignment import Alignment
    from lyapmap.analysis.tangents.covariant import CovariantVectors
    from lyapmap.analysis.tangents.singular_values import JacobianSpectrum

MOST_ROWS, MOST_VECTORS = 4, 5
MOST_ARROWS = 250


def draw_covariant(result: CovariantVectors) -> Figure:
    """Draw covariant vectors.

    Where states are images: some of them beside their first vectors, red where the vector brightens
    a pixel and blue where it darkens it (or the other way round: the sign is free). Else the first
    two components of the first and the last vector along the attractor. Below or beside: exponents
    of the vectors against those of the frames, and the angles between the two subspaces.
    """
    if image_shape(tuple(result.state_shape)) is not None:
        figure = _with_images(result)
    else:
        figure, (left, middle, right) = style.panels(3)
        _draw_portrait(left, result)
        _draw_exponents(middle, result)
        _draw_angles(right, result)
    smallest = np.degrees(result.smallest_angle)
    b, samples = result.angles.shape
    parts = [
        style.counted(len(result.exponents), "covariant vector"),
        f"{style.counted(b, 'trajectory', 'trajectories')}, {samples} samples each",
        *([f"smallest angle {smallest:.2g}°"] if np.isfinite(smallest) else []),
    ]
    style.caption(figure, result, "Covariant vectors", parts)
    return figure


def _with_images(result: CovariantVectors) -> Figure:
    shown, k = min(MOST_ROWS, result.vectors.shape[1]), min(MOST_VECTORS, result.vectors.shape[3])
    columns = 1 + k
    figure = style.new_figure(1.45 * columns + 4.6, max(1.55 * shown + 0.9, 4.8))
    pictures, others = figure.subfigures(1, 2, width_ratios=[1.45 * columns, 4.4], squeeze=False)[0]
    cells = pictures.subplots(shown, columns, squeeze=False, gridspec_kw={"wspace": 0.03, "hspace": 0.03})
    samples = np.linspace(0, result.vectors.shape[1] - 1, shown).astype(int)
    shape, vectors = tuple(result.state_shape), channels_first(result.images())
    for row, sample in zip(cells, samples, strict=True):
        state = np.moveaxis(channels_first(result.states[0, sample].reshape(shape)), 0, -1).squeeze()
        low, high = float(np.nanmin(state)), float(np.nanmax(state))
        row[0].imshow((state - low) / max(high - low, 1e-12), cmap="gray", vmin=0, vmax=1)
        row[0].set_ylabel(f"step {result.steps[sample]}", fontsize=style.SMALL, color=style.INK)
        for j, axes in enumerate(row[1:]):
            # Colour images show the mean change over channels.
            picture = vectors[0, sample, j].mean(axis=0)
            reach = float(np.nanmax(np.abs(picture))) if np.isfinite(picture).any() else 1.0
            axes.imshow(picture, cmap="RdBu_r", vmin=-reach, vmax=reach)
    for axes in cells.ravel():
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set(color=style.PALE, linewidth=0.6)
    cells[0, 0].set_title("state", fontsize=style.LABEL, color=style.INK)
    for j in range(k):
        title = rf"$v_{{{j + 1}}}$   {result.exponents[j]:+.3f}".replace("-", "−")
        cells[0, j + 1].set_title(title, fontsize=style.LABEL, color=style.INK)
    top, bottom = others.subplots(2, 1)
    _draw_exponents(top, result)
    _draw_angles(bottom, result)
    return figure


def _draw_portrait(axes: Axes, result: CovariantVectors) -> None:
    n = result.states.shape[2]
    if n < 2:
        style.dress(axes, title="First vector", x="x", y="v")
        axes.plot(result.states[..., 0].ravel(), result.vectors[:, :, 0, 0].ravel(), ".", color=style.VERMILLION)
        return
    names = ("x", "y") if n < 4 else ("component 1", "component 2")
    style.dress(axes, title="Directions along the first trajectory", x=names[0], y=names[1])
    states = result.states.reshape(-1, n)[:, :2]
    axes.plot(*states.T, ".", markersize=1.5, color=style.GREY, alpha=0.5, markeredgewidth=0, rasterized=True)
    every = max(1, result.states.shape[1] // MOST_ARROWS)
    places = result.states[0, ::every, :2]
    k = result.vectors.shape[3]
    for j, colour in [(0, style.VERMILLION), *([(k - 1, style.BLUE)] if k > 1 else [])]:
        arrows = result.vectors[0, ::every, :2, j]
        axes.quiver(
            *places.T,
            *arrows.T,
            color=colour,
            pivot="middle",
            angles="xy",
            headlength=0,
            headaxislength=0,
            headwidth=1,
            scale=22,
            width=0.0035,
            label=f"vector {j + 1}",
        )
    axes.margins(0.08)
    style.legend(axes)


def _draw_exponents(axes: Axes, result: CovariantVectors) -> None:
    style.dress(axes, title="Growth", x="index", y=f"exponent  (nats {result.unit})")
    index = np.arange(1, len(result.exponents) + 1)
    style.zero_line(axes)
    axes.plot(index, result.qr_exponents, "o", markersize=9, markerfacecolor="none", color=style.GREY, label="frames")
    reach = 2 * np.where(np.isfinite(result.stderr), result.stderr, np.nan)
    axes.errorbar(
        index, result.exponents, yerr=reach, fmt="o", markersize=4, color=style.INK, label="covariant vectors"
    )
    style.whole_ticks(axes.xaxis)
    axes.set_xlim(0.5, len(index) + 0.5)
    if np.nan_to_num(np.abs(result.exponents)).max() < 1e-9:  # rounding needs no axis of its own
        axes.set_ylim(-0.5, 0.5)
    axes.margins(y=0.12)
    style.legend(axes, "lower left")  # the exponents descend


def _draw_angles(axes: Axes, result: CovariantVectors) -> None:
    k, split = len(result.exponents), result.split
    others = f"{split + 1} to {k}" if split + 1 < k else f"{k}"
    first = f"1 to {split}" if split > 1 else "1"
    style.dress(axes, title=f"Angle between vectors {first} and {others}", x="degrees", y="samples")
    known = np.degrees(result.angles[np.isfinite(result.angles)])
    if known.size == 0:
        axes.set_title("Angles", loc="left", fontsize=style.TITLE, color=style.INK)
        style.say(axes, "nothing to show")
        return

    axes.hist(known, bins=np.linspace(0, 90, 46).tolist(), color=style.PURPLE, alpha=0.75)
    axes.set_xlim(0, 90)
    style.whole_ticks(axes.yaxis)
    axes.axvline(known.min(), color=style.INK, linewidth=1.0, linestyle="--", label=f"smallest {known.min():.2g}°")
    style.legend(axes)


COLOURS = {"chaotic": style.VERMILLION, "regular": style.BLUE, "undetermined": style.GREY}
MOST_LINES = 100
"""Curves of each verdict that are drawn."""
LOWEST = -30.0
"""Decimal logarithm below which a picture of GALI shows no more."""


def draw_alignment(result: Alignment) -> Figure:
    """Draw GALI against the step, straight for chaos and against its logarithm for power laws.

    Over a grid: its logarithm at the end, and the verdict, as images.
    """
    if result.grid and len(result.grid["shape"]) == 2:
        figure, (left, right) = style.panels(2, row=4.0)
        end = np.maximum(result.log_gali[:, -1] / math.log(10), -16.0)
        n = 1 + max(result.grid["axes"])
        label = rf"$\log_{{10}}$ GALI$_{{{result.k}}}$ (cut at −16)"
        draw_field(left, end, result.grid, label=label, title=f"After {result.steps[-1]} steps", colours="magma", n=n)
        _draw_verdicts(right, result, n)
    else:
        figure, (left, right) = style.panels(2, sharey=True)
        _draw_curves(left, result, logarithmic=False)
        _draw_curves(right, result, logarithmic=True)
    counts = ", ".join(f"{count} {verdict}" for verdict, count in result.counts.items() if count)
    index = rf"generalized alignment index GALI$_{{{result.k}}}$"
    style.caption(figure, result, "Alignment", [index, counts, f"{result.steps[-1]} steps"])
    return figure


def _draw_curves(axes: Axes, result: Alignment, *, logarithmic: bool) -> None:
    title = "A power law is straight here" if logarithmic else "Chaos is straight here"
    style.dress(axes, title=title, x="step", y="" if logarithmic else rf"$\log_{{10}}$ GALI$_{{{result.k}}}$")
    curves = result.log_gali / math.log(10)
    verdicts = np.array(result.verdict)
    shown = result.steps > 0 if logarithmic else result.steps >= 0
    for verdict, colour in COLOURS.items():
        members = curves[verdicts == verdict]
        if len(members) == 0:
            continue
        axes.plot(result.steps[shown], members[:MOST_LINES, shown].T, color=colour, linewidth=0.8, alpha=0.6)
        axes.plot([], [], color=colour, linewidth=1.6, label=f"{verdict} ({len(members)})")
    if logarithmic:
        axes.set_xscale("log")
    known = curves[np.isfinite(curves)]
    low = max(float(known.min()), LOWEST) if known.size else -1.0
    axes.set_ylim(1.06 * min(low, -1.0), 0.05 * abs(min(low, -1.0)))
    with np.errstate(invalid="ignore"):
        visible = result.steps[(curves >= LOWEST).any(axis=0)]
    if len(visible) and visible[-1] < result.steps[-1]:  # all have left the picture
        axes.set_xlim(right=1.05 * visible[-1])
    style.legend(axes, "lower left")


def _draw_verdicts(axes: Axes, result: Alignment, n: int) -> None:
    from matplotlib.colors import BoundaryNorm, ListedColormap
    from matplotlib.patches import Patch

    draw_field(axes, result.verdicts.astype(float), result.grid, label="", title="Verdict", colours="magma", n=n)
    image = axes.images[0]
    if image.colorbar is not None:
        image.colorbar.remove()
    order = ("undetermined", "regular", "chaotic")
    image.set(cmap=ListedColormap([COLOURS[name] for name in order]), norm=BoundaryNorm([-1.5, -0.5, 0.5, 1.5], 3))
    handles = [Patch(color=COLOURS[name], label=f"{name} ({count})") for name, count in result.counts.items()]
    axes.legend(handles=handles, loc="upper right", fontsize=style.SMALL, framealpha=0.9, edgecolor="white")


MOST_PANELS = 5


def draw_finite_time(result: FiniteTimeExponents) -> Figure:
    """Draw a field over a grid as an image, else a histogram of each of the first five exponents."""
    b, windows, k = result.exponents.shape
    drawn = min(k, MOST_PANELS)
    if result.grid:
        drawn = min(k, 2)
        wide = len(result.grid["shape"]) == 2
        figure, panels = style.panels(drawn, row=4.0 if wide else style.ROW)
        for i, axes in enumerate(panels):
            draw_field(
                axes,
                result.exponents[:, 0, i],
                result.grid,
                label=f"nats {result.unit}",
                title=f"Exponent {i + 1} over {result.n_steps} steps",
                colours="magma",
                n=1 + max(result.grid["axes"]),
            )
    else:
        figure, panels = style.panels(drawn)
        for i, axes in enumerate(panels):
            _draw_histogram(axes, result, i)
    parts = [
        f"{result.measure} growth",
        f"{style.counted(b, 'trajectory', 'trajectories')}",
        f"{style.counted(windows, 'window')} of {result.n_steps} steps",
    ]
    style.caption(figure, result, "Finite-time exponents", parts)
    return figure


def _draw_histogram(axes: Axes, result: FiniteTimeExponents, i: int) -> None:
    values = result.values(i)
    style.dress(axes, title=f"Exponent {i + 1}", x=f"nats {result.unit}", y="density" if i == 0 else "")
    if values.size == 0:
        style.say(axes, "nothing to show")
        return
    density, edges = result.histogram(i, "auto" if values.size > 20 else 10)
    mean, colour = float(values.mean()), style.RANKS[i % len(style.RANKS)]
    axes.stairs(density, edges, fill=True, color=colour, alpha=0.55)
    axes.axvline(mean, color=style.INK, linewidth=1.2)
    if edges[0] < 0 < edges[-1]:
        axes.axvline(0.0, color=style.GREY, linewidth=1.0, linestyle=":")
    modes = result.modes(i)
    shape = "too few values to count peaks" if modes == 0 else "one peak" if modes == 1 else f"{modes} peaks"
    text = f"mean {mean:.3g}\nspread {values.std():.2g}\n{shape}".replace("-", "−")
    axes.set_ylim(0, 1.3 * float(np.max(density)))
    axes.text(0.97, 0.97, text, transform=axes.transAxes, ha="right", va="top", fontsize=style.SMALL, color=style.INK)
    axes.tick_params(axis="y", labelleft=False)
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(4))


SMALLEST = 1e-12
"""Values below, relative to the largest, are drawn here: a logarithm has no zero."""


def draw_singular_values(result: JacobianSpectrum) -> Figure:
    """Singular values by rank with their spread over the states, and how many states have which dimension."""
    figure, (spectrum, counts) = style.panels(2)
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
            style.legend(spectrum, "lower left")
    style.dress(spectrum, title="Singular values of the Jacobian", x="number", y="output per unit of input")
    parts = ["no Jacobian is finite"]
    if len(values):
        dimension = result.dimension[known]
        low_d, high_d = int(dimension.min()), int(dimension.max())
        counts.bar(*np.unique(dimension, return_counts=True), color=style.BLUE, width=0.8)
        style.whole_ticks(counts.xaxis)
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
        style.whole_ticks(counts.yaxis)
        style.legend(counts, "upper center", ncols=2)
        mean, error = result.mean("dimension")
        parts = [f"local dimension {style.with_error(mean, error)} of {result.inputs} inputs", f"{len(values)} states"]
    style.dress(counts, title="Local dimension", x="directions that count", y="states")
    style.caption(figure, result, "Jacobian", parts)
    return figure
