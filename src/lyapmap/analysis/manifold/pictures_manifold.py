"""Precision and recall over the number of neighbours, and along trajectories."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.errors import LyapmapError
from lyapmap.core.points import channels_first, image_shape
from lyapmap.report import style
from lyapmap.report.images import sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure

    from lyapmap.analysis.manifold.along import ManifoldAlong
    from lyapmap.analysis.manifold.memorization import Memorization
    from lyapmap.analysis.manifold.metrics import ManifoldMetrics
    from lyapmap.analysis.manifold.transitions import Transitions

COLOURS = {"precision": style.VERMILLION, "recall": style.BLUE, "density": style.ORANGE, "coverage": style.GREEN}
PANELS = (("precision", "recall"), ("density", "coverage"))
BINS = 60
_Values = NDArray[np.float64]


def draw_manifold(result: ManifoldMetrics) -> Figure:
    """Metrics over the number of neighbours with their confidence limits, and how real the samples look."""
    figure, axes = style.panels(3)
    for panel, names in zip(axes[:2], PANELS, strict=True):
        for name in names:
            limits = getattr(result, f"{name}_interval")
            _line(panel, result.k, getattr(result, name), limits[:, 0], limits[:, 1], name)
        _dress(panel, names, "neighbours $k$")
        _whole_numbers(panel, result.k)
    _draw_realism(axes[2], result)
    level = result.settings.get("level", 0.95)
    place = len(result.k) // 2
    parts = [
        f"{result.n_real} real, {result.n_generated} generated samples",
        f"k = {result.k[place]}: precision {result.precision[place]:.3f}, recall {result.recall[place]:.3f}",
        f"bands: {level:.0%} limits",
    ]
    style.caption(figure, result, "Precision and recall", parts)
    return figure


def draw_manifold_along(result: ManifoldAlong, k: int | None = None) -> Figure:
    """Metrics at every step for one number of neighbours; of trajectories, their mean and spread over k.

    Parameters
    ----------
    result : ManifoldAlong
    k : int, optional
        Over steps, which number of neighbours to draw; the middle one by default.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    LyapmapError
        If the result holds nothing, or not this k.
    """
    if not len(result.at):
        raise LyapmapError("result: no comparison was made, there is nothing to draw")
    figure, axes = style.panels(2)
    if result.over == "steps":
        place = _place(result, k)
        for panel, names in zip(axes, PANELS, strict=True):
            _draw_steps(panel, result, names, place)
        level = result.settings.get("level", 0.95)
        parts = [f"{result.n_generated} trajectories, k = {result.k[place]}", f"bands: {level:.0%} limits"]
    else:
        for panel, names in zip(axes, PANELS, strict=True):
            _draw_trajectories(panel, result, names)
        count = len(result.at)
        parts = [f"{style.counted(count, 'trajectory', 'trajectories')} of {result.n_generated} states"]
        parts += ["bands: standard deviation over them"] if count > 1 else []
    if len(result.reference_precision):
        parts.append("dashed: other real samples")
    style.caption(figure, result, "Precision and recall", parts)
    return figure


def _draw_steps(axes: Axes, result: ManifoldAlong, names: tuple[str, ...], place: int) -> None:
    for name in names:
        limits = getattr(result, f"{name}_interval")[:, place]
        _line(axes, result.at, getattr(result, name)[:, place], limits[:, 0], limits[:, 1], name)
        for value in getattr(result, f"reference_{name}")[:, place]:
            axes.axhline(value, color=COLOURS[name], linestyle="--", linewidth=1.0)
    _dress(axes, names, "step $n$")
    _whole_numbers(axes, result.at)


def _draw_trajectories(axes: Axes, result: ManifoldAlong, names: tuple[str, ...]) -> None:
    for name in names:
        values = getattr(result, name)
        mean, spread = values.mean(axis=0), values.std(axis=0)
        _line(axes, result.k, mean, mean - spread, mean + spread, name)
        for reference in getattr(result, f"reference_{name}"):
            axes.plot(result.k, reference, color=COLOURS[name], linestyle="--", linewidth=1.0)
    _dress(axes, names, "neighbours $k$")
    _whole_numbers(axes, result.k)


def _draw_realism(axes: Axes, result: ManifoldMetrics) -> None:
    place = len(result.k) // 2
    values = result.realism[place]
    known = values[np.isfinite(values)]
    style.dress(axes, title=f"Realism of each sample, k = {result.k[place]}", x="realism", y="generated samples")
    if len(known):
        # A few samples beside real ones reach far: the others must stay visible.
        top = max(float(np.quantile(known, 0.99)) * 1.1, 1.05)
        bins = np.linspace(0, top, BINS + 1).tolist()
        # At the surface or within a real sphere the realism is 1 or more.
        for which, colour, label in (
            (known < 1, style.GREY, "outside all small spheres"),
            (known >= 1, style.VERMILLION, "within one"),
        ):
            axes.hist(known[which].clip(max=top), bins, color=colour, label=f"{label} ({which.sum()})")
        axes.axvline(1, color=style.INK, linewidth=0.9)
        axes.set_xlim(0, top)
        style.legend(axes)
    if len(known) < len(values):
        axes.set_xlabel(f"realism  ({len(values) - len(known)} copies of real samples left out)", fontsize=style.LABEL)


def _line(axes: Axes, x: NDArray[np.int64], y: _Values, low: _Values, high: _Values, name: str) -> None:
    axes.fill_between(x, low, high, color=COLOURS[name], alpha=0.2, linewidth=0)
    marker = "o" if len(x) <= 40 else ""
    axes.plot(x, y, color=COLOURS[name], marker=marker, markersize=4, linewidth=1.4, label=name)


def _dress(axes: Axes, names: tuple[str, ...], x: str) -> None:
    style.dress(axes, title=" and ".join(names).capitalize(), x=x, y="part of the samples" if "recall" in names else "")
    top = max(1.0, axes.dataLim.ymax if np.isfinite(axes.dataLim.ymax) else 1.0)
    axes.set_ylim(0, 1.04 * top)
    style.legend(axes)


def _whole_numbers(axes: Axes, values: NDArray[np.int64]) -> None:

    if len(values) <= 10:
        axes.set_xticks(values)
    else:
        style.whole_ticks(axes.xaxis)


def _place(result: ManifoldAlong, k: int | None) -> int:
    if k is None:
        return len(result.k) // 2
    where = np.flatnonzero(result.k == k)
    if not len(where):
        raise LyapmapError(f"k: expected one of {', '.join(map(str, result.k))}, got {k}")
    return int(where[0])


COPY_BINS = 50
COLUMNS = 8
CELL, GAP = 56, 14
"""Pixels of an image at least, and between images."""


def draw_memorization(result: Memorization) -> Figure:
    """Distances of generated and held-out samples to the training data; of images, also the nearest pairs."""
    pictures = len(result.pair) > 0 and image_shape(tuple(result.sample_shape)) is not None
    figure, panels = style.panels(2 if pictures else 1, width=10.0 if pictures else style.WIDTH)
    _draw_distances(panels[0], result)
    if pictures:
        _draw_pairs(panels[1], result)
    low, high = result.closer_interval
    trained = result.settings.get("reference") == "training"
    closeness = (
        f"{result.closer:.1%} of the generated samples ({low:.1%} to {high:.1%}) are as near as the nearest "
        f"{result.settings.get('quantile', 0.05):.0%} of {'the training samples' if trained else 'held-out ones'}"
    )
    copies = style.counted(result.copies, "copy", "copies")
    style.caption(figure, result, "Memorization", [closeness, f"p = {result.p_value:.2g}", copies])
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
    style.legend(axes)


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
    style.dress(axes, title="Nearest pairs, with their distance", x="", y="")
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


ROWS, STEPS = 16, 100
"""Trajectories and steps that the strip shows at most."""
NAMED = 19
"""Categories whose colours are named."""
WRITTEN = 10
"""Categories up to which probabilities are written into the matrix."""
STAYS = 8
"""Categories up to which stays are drawn one beside the other."""


def draw_transitions(result: Transitions) -> Figure:
    """Strip of categories over matrix, lengths of stays and runs, and entropy given the categories before."""
    figure, (strip, matrix, stays, runs, memory) = style.panels(5, row=3.0)
    colours = _colours(len(result.categories))
    _draw_strip(strip, result, colours)
    _draw_matrix(matrix, result)
    _draw_stays(stays, result, colours)
    _draw_runs(runs, result)
    _draw_memory(memory, result)
    low, high = result.accuracy_interval
    order = " → ".join(map(str, [*result.order, *result.order[:1]]))
    holds = f"{order} holds in {result.accuracy:.1%} of the steps ({low:.1%} to {high:.1%})"
    rate = f"entropy rate {style.with_error(result.entropy_rate, result.entropy_stderr)} nats per step"
    parts = [holds if len(result.order) else "no order beyond chance", rate]
    style.caption(figure, result, "Transitions", parts)
    return figure


def _colours(k: int) -> ListedColormap:
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    if k <= len(style.SEQUENCE):
        return ListedColormap(list(style.SEQUENCE[:k]))
    return ListedColormap(colormaps["turbo"](np.linspace(0.05, 0.95, k)))


def _draw_strip(axes: Axes, result: Transitions, colours: ListedColormap) -> None:
    from matplotlib.patches import Patch

    shown = result.labels[:ROWS, :STEPS]
    places = np.searchsorted(result.categories, shown)
    k = len(result.categories)
    strip = np.ma.masked_where(shown < 0, places)
    axes.imshow(strip, cmap=colours, aspect="auto", interpolation="nearest", vmin=-0.5, vmax=k - 0.5)
    cut = shown.shape != result.labels.shape
    part = f", the first {shown.shape[0]} × {shown.shape[1]} of {' × '.join(map(str, result.labels.shape))}"
    style.dress(axes, title=f"Categories{part if cut else ''}", x="step $n$", y="trajectory")
    axes.grid(visible=False)
    axes.set_yticks(range(0, len(shown), -(-len(shown) // 4)))
    style.whole_ticks(axes.xaxis)
    patches = [Patch(color=colours(i), label=str(c)) for i, c in enumerate(result.categories[:NAMED])]
    if k > NAMED:
        patches.append(Patch(alpha=0, label=f"and {k - NAMED} more"))
    axes.legend(
        handles=patches,
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        fontsize=style.SMALL,
        frameon=False,
        ncols=1 + (len(patches) > 5),
    )


def _draw_matrix(axes: Axes, result: Transitions) -> None:
    k = len(result.categories)
    largest = 1.0 if k <= WRITTEN else float(np.nanmax(result.matrix))  # many small ones would all look white
    axes.imshow(np.ma.masked_invalid(result.matrix), cmap="Blues", vmin=0, vmax=largest, aspect="equal")
    title = "Transition probabilities" if k <= WRITTEN else f"Probabilities, up to {largest:.2g}"
    style.dress(axes, title=title, x="to", y="from")
    axes.grid(visible=False)
    every = -(-k // WRITTEN)
    axes.set_xticks(range(0, k, every), [str(c) for c in result.categories[::every]])
    axes.set_yticks(range(0, k, every), [str(c) for c in result.categories[::every]])
    for (i, j), p in np.ndenumerate(result.matrix if k <= WRITTEN else np.empty((0, 0))):
        text = "?" if np.isnan(p) else "0" if p == 0 else "1" if p == 1 else f"{p:.2f}".lstrip("0")
        if text == "1.00":
            text = ">.99"
        size = style.SMALL if k <= 6 else 5.5
        axes.text(j, i, text, ha="center", va="center", fontsize=size, color="white" if p > 0.6 else style.INK)


def _draw_stays(axes: Axes, result: Transitions, colours: ListedColormap) -> None:
    lengths = np.arange(1, result.dwell_counts.shape[1] + 1)
    style.dress(axes, title="Steps in a category", x="steps", y="part of its whole stays")
    totals = result.dwell_counts.sum(axis=1)
    seen = np.flatnonzero(totals)
    commonest = seen if len(seen) <= STAYS else np.argsort(-totals, kind="stable")[:STAYS]
    for place in np.sort(commonest):
        part = result.dwell_counts[place] / totals[place]
        kept = part > 0
        label = f"{result.categories[place]}: mean {result.dwell_mean[place]:.3g}"
        axes.plot(lengths[kept], part[kept], "o-", color=colours(place), markersize=4, linewidth=1.2, label=label)
    _finish(axes, len(seen) > 0, "no whole stay was seen")
    axes.set_xlim(0.5, max(lengths[-1], 3) + 0.5)
    axes.set_ylim(0, 1.04)


def _draw_runs(axes: Axes, result: Transitions) -> None:
    style.dress(axes, title="How long the order held", x="whole cycles in a row", y="runs")
    cycles = result.cycles
    if len(cycles):
        top = max(int(cycles.max()), 1)
        width = max(1, -(-top // 30))
        bins = (np.arange(0, top + 2 * width, width) - 0.5).tolist()
        for cut, colour, label in ((False, style.INK, "broken off"), (True, style.GREY, "cut by begin or end")):
            some = cycles[result.runs_cut == cut]
            if len(some):
                axes.hist(some, bins, color=colour, alpha=0.75, label=f"{label} ({len(some)})")
    _finish(axes, len(cycles) > 0, "the order never held" if len(result.order) else "there is no order")


def _draw_memory(axes: Axes, result: Transitions) -> None:

    style.dress(axes, title="Entropy of the next category", x="categories known before it", y="nats per step")
    memory = np.arange(len(result.memory_rates))
    axes.plot(memory, result.memory_rates, "o-", color=style.INK, markersize=4, linewidth=1.4)
    ceiling = float(np.log(max(len(result.categories), 1)))
    if ceiling > 0:
        axes.axhline(ceiling, color=style.GREY, linestyle="--", linewidth=1.0)
        axes.annotate(
            f"ln {len(result.categories)}",
            (1, ceiling),
            (-3, -3),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            ha="right",
            va="top",
            fontsize=style.SMALL,
            color=style.GREY,
        )
    axes.set_ylim(0, 1.1 * max(ceiling, float(result.memory_rates.max(initial=0)), 0.1))
    axes.set_xlim(-0.3, max(len(memory) - 1, 2) + 0.3)
    style.whole_ticks(axes.xaxis)


def _finish(axes: Axes, drawn: bool, otherwise: str) -> None:

    if drawn:
        style.whole_ticks(axes.xaxis)
        style.legend(axes)
    else:
        style.say(axes, otherwise)
