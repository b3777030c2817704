"""Categories along trajectories: what was seen, transition matrix, runs, and entropy over memory."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np

from lyapmap.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure

    from lyapmap.analysis.manifold.transitions import Transitions

ROWS, STEPS = 16, 100
"""Trajectories and steps that the strip shows at most."""
WRITTEN = 10
"""Categories up to which probabilities are written into the matrix."""
STAYS = 8
"""Categories up to which stays are drawn one beside the other."""


def draw_transitions(result: Transitions) -> Figure:
    """Strip of categories over matrix, lengths of stays and runs, and entropy given the categories before.

    Parameters
    ----------
    result : Transitions

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = style.new_figure(13.0, 6.6)
    rows = min(len(result.labels), ROWS)
    grid = figure.add_gridspec(2, 4, height_ratios=[0.5 + 0.06 * rows, 2.0])
    colours = _colours(len(result.categories))
    _draw_strip(figure.add_subplot(grid[0, :]), result, colours)
    _draw_matrix(figure.add_subplot(grid[1, 0]), result)
    _draw_stays(figure.add_subplot(grid[1, 1]), result, colours)
    _draw_runs(figure.add_subplot(grid[1, 2]), result)
    _draw_memory(figure.add_subplot(grid[1, 3]), result)
    low, high = result.accuracy_interval
    order = " → ".join(map(str, [*result.order, *result.order[:1]]))
    holds = f"{order} holds in {result.accuracy:.1%} of the steps ({low:.1%} to {high:.1%})"
    rate = f"entropy rate {style.with_error(result.entropy_rate, result.entropy_stderr)} nats per step"
    found = f"{holds if len(result.order) else 'no order beyond chance'}   ·   {rate}"
    name = str(result.provenance.get("model") or result.provenance.get("map") or "Transitions")
    notes = textwrap.wrap(result.message, 160) if result.message else []
    style.headline(figure, name, found, notes=notes)
    return figure


def _colours(k: int) -> ListedColormap:
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    if k <= len(style.SEQUENCE):
        return ListedColormap(list(style.SEQUENCE[:k]))
    return ListedColormap(colormaps["turbo"](np.linspace(0.05, 0.95, k)))


def _draw_strip(axes: Axes, result: Transitions, colours: ListedColormap) -> None:
    from matplotlib.patches import Patch
    from matplotlib.ticker import MaxNLocator

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
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    patches = [Patch(color=colours(i), label=str(c)) for i, c in enumerate(result.categories[:20])]
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
    axes.imshow(np.ma.masked_invalid(result.matrix), cmap="Blues", vmin=0, vmax=1, aspect="equal")
    style.dress(axes, title="Transition probabilities", x="to", y="from")
    axes.grid(visible=False)
    every = -(-k // 20)
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
    chosen = seen if len(seen) <= STAYS else np.argsort(-totals, kind="stable")[:STAYS]
    for place in np.sort(chosen):
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
        for cut, colour, label in ((False, style.VERMILLION, "broken off"), (True, style.GREY, "cut by begin or end")):
            some = cycles[result.runs_cut == cut]
            if len(some):
                axes.hist(some, bins, color=colour, alpha=0.75, label=f"{label} ({len(some)})")
    _finish(axes, len(cycles) > 0, "the order never held" if len(result.order) else "there is no order")


def _draw_memory(axes: Axes, result: Transitions) -> None:
    from matplotlib.ticker import MaxNLocator

    style.dress(axes, title="Entropy of the next category", x="categories known before it", y="nats per step")
    memory = np.arange(len(result.memory_rates))
    axes.plot(memory, result.memory_rates, "o-", color=style.BLUE, markersize=4, linewidth=1.4)
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
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _finish(axes: Axes, drawn: bool, otherwise: str) -> None:
    from matplotlib.ticker import MaxNLocator

    if drawn:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(fontsize=style.SMALL, framealpha=0.9, edgecolor="white")
    else:
        axes.text(0.5, 0.5, otherwise, transform=axes.transAxes, ha="center", fontsize=style.LABEL, color=style.GREY)
        axes.set_xticks([])
        axes.set_yticks([])
