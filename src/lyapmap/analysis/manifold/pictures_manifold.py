"""Precision and recall over the number of neighbours, and along trajectories."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.errors import LyapmapError
from lyapmap.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lyapmap.analysis.manifold.along import ManifoldAlong
    from lyapmap.analysis.manifold.metrics import ManifoldMetrics

COLOURS = {"precision": style.VERMILLION, "recall": style.BLUE, "density": style.ORANGE, "coverage": style.GREEN}
PANELS = (("precision", "recall"), ("density", "coverage"))
BINS = 60
_Values = NDArray[np.float64]


def draw_manifold(result: ManifoldMetrics) -> Figure:
    """Metrics over the number of neighbours with their confidence limits, and how real the samples look.

    Parameters
    ----------
    result : ManifoldMetrics

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = style.new_figure(13.0, 4.6)
    axes = figure.subplots(1, 3)
    for panel, names in zip(axes[:2], PANELS, strict=True):
        for name in names:
            limits = getattr(result, f"{name}_interval")
            _line(panel, result.k, getattr(result, name), limits[:, 0], limits[:, 1], name)
        _dress(panel, names, "neighbours $k$")
        _whole_numbers(panel, result.k)
    _draw_realism(axes[2], result)
    level = result.settings.get("level", 0.95)
    place = len(result.k) // 2
    found = (
        f"{result.n_real} real, {result.n_generated} generated samples   ·   k = {result.k[place]}: "
        f"precision {result.precision[place]:.3f}, recall {result.recall[place]:.3f}   ·   bands: {level:.0%} limits"
    )
    style.headline(figure, "Precision and recall", found, notes=_notes(result.message))
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
    figure = style.new_figure(11.0, 4.6)
    axes = figure.subplots(1, 2)
    if result.over == "steps":
        place = _place(result, k)
        for panel, names in zip(axes, PANELS, strict=True):
            _draw_steps(panel, result, names, place)
        found = f"{result.n_generated} trajectories, k = {result.k[place]}   ·   bands: {_level(result)} limits"
    else:
        for panel, names in zip(axes, PANELS, strict=True):
            _draw_trajectories(panel, result, names)
        count = len(result.at)
        spread = "   ·   bands: standard deviation over them" if count > 1 else ""
        found = f"{count} {'trajectory' if count == 1 else 'trajectories'} of {result.n_generated} states{spread}"
    if len(result.reference_precision):
        found += "   ·   dashed: other real samples"
    name = str(result.provenance.get("model") or result.provenance.get("map") or "Precision and recall")
    style.headline(figure, name, found, notes=_notes(result.message))
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
        for chosen, colour, label in (
            (known < 1, style.GREY, "outside all small spheres"),
            (known >= 1, style.VERMILLION, "within one"),
        ):
            axes.hist(known[chosen].clip(max=top), bins, color=colour, label=f"{label} ({chosen.sum()})")
        axes.axvline(1, color=style.INK, linewidth=0.9)
        axes.set_xlim(0, top)
        axes.legend(fontsize=style.SMALL, framealpha=0.9, edgecolor="white")
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
    axes.legend(fontsize=style.SMALL, framealpha=0.9, edgecolor="white", loc="best")


def _whole_numbers(axes: Axes, values: NDArray[np.int64]) -> None:
    from matplotlib.ticker import MaxNLocator

    if len(values) <= 10:
        axes.set_xticks(values)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _place(result: ManifoldAlong, k: int | None) -> int:
    if k is None:
        return len(result.k) // 2
    where = np.flatnonzero(result.k == k)
    if not len(where):
        raise LyapmapError(f"k: expected one of {', '.join(map(str, result.k))}, got {k}")
    return int(where[0])


def _level(result: ManifoldAlong) -> str:
    return f"{result.settings.get('level', 0.95):.0%}"


def _notes(message: str) -> list[str]:
    return textwrap.wrap(message, 160) if message else []
