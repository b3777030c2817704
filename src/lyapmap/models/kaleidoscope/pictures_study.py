"""Figures of the study of kaleidoscopic networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lyapmap.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lyapmap.analysis.sweep import Sweep


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
