"""How the numbers of a study move along training, and how trainings differ: one line for each run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lyapmap.core.errors import LyapmapError
from lyapmap.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

PANELS = (
    ("largest", "Largest exponent", "nats per step", "largest_stderr"),
    ("kaplan_yorke", "Kaplan-Yorke dimension", "$D_{KY}$", "kaplan_yorke_stderr"),
    ("n_positive", "Positive exponents", "number", ""),
    ("precision", "Precision", "part of the samples", ""),
    ("recall", "Recall", "part of the samples", ""),
    ("coverage", "Coverage", "part of the samples", ""),
    ("order", "Order of the categories kept", "part of the steps", ""),
)
AT: dict[str, tuple[Any, str, str]] = {
    "1": ("-", style.INK, "test images after 1 step"),
    "10": ("--", "white", "after 10 steps"),
    "30": ("-.", style.PALE, "after 30 steps"),
}
"""Line styles and marks of steps."""
PARTS = ("precision", "recall", "coverage")
SIGMAS = 2.0
"""Standard errors that a bar reaches to either side."""


def draw_development(
    runs: Mapping[str, Sequence[Mapping[str, Any]]], *, paper: Mapping[str, float] | None = None
) -> Figure:
    """Draw exponents, dimension, quality and variety over the epochs of one or several runs.

    Parameters
    ----------
    runs : mapping of str to sequence of dict
        By the name of the run, entries of its epochs: "epoch", "largest", "kaplan_yorke",
        "n_positive", "order", "precision_at_1", ..., "recall_at_10", ..., "coverage_at_30", and where
        known "largest_stderr" and "kaplan_yorke_stderr". None, or what is missing, leaves a gap.
    paper : mapping, optional
        Values to compare with by the same names, drawn as grey lines.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    LyapmapError
        If there is no entry.
    """
    known = {name: sorted(entries, key=lambda entry: entry["epoch"]) for name, entries in runs.items() if len(entries)}
    if not known:
        raise LyapmapError("runs: expected at least one epoch of one run, got none")
    figure, axes = style.panels(len(PANELS) + 1, row=2.9)
    for place, (key, title, unit, error) in enumerate(PANELS):
        _draw(axes[place], known, key, title, unit, error, paper or {})
    _legend(axes[-1], known, bool(paper))
    return figure


def draw_trials(values: Mapping[str, Mapping[str, NDArray[np.float64]]], places: Sequence[str]) -> Figure:
    """Draw metrics of several trainings at several steps, a line for each training.

    Parameters
    ----------
    values : mapping of str to mapping of str to (trainings, places)
        By the kind of settings, values of "precision", "recall", ...
    places : sequence of str
        Where they were measured.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.lines import Line2D

    names = list(next(iter(values.values())))
    figure, panels = style.panels(len(names))
    for axes, name in zip(panels, names, strict=True):
        style.dress(axes, title=name.capitalize(), x="", y="part of the samples")
        for place, metrics in enumerate(values.values()):
            colour = style.SEQUENCE[place % len(style.SEQUENCE)]
            for row in metrics[name]:
                axes.plot(range(len(places)), row, color=colour, linewidth=1.1, marker="o", markersize=3.5)
        axes.set_xticks(range(len(places)), places, rotation=35, ha="right", fontsize=style.SMALL)
        axes.set_ylim(bottom=0)
    handles = [
        Line2D([], [], color=style.SEQUENCE[i % len(style.SEQUENCE)], marker="o", markersize=3.5, label=kind)
        for i, kind in enumerate(values)
    ]
    figure.legend(handles=handles, fontsize=style.SMALL, frameon=False, loc="outside lower center")
    return figure


def draw_trust(trials: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw the largest exponent over the last epochs of trainings, and how near their images are to training images.

    Parameters
    ----------
    trials : sequence of dict
        Of each training "run", "kind", "held_epochs", "held" and "held_stderr" (values or None), and where it was
        measured "preference".

    Returns
    -------
    matplotlib.figure.Figure
    """
    kinds = list(dict.fromkeys(trial["kind"] for trial in trials))
    colours = {kind: style.SEQUENCE[place % len(style.SEQUENCE)] for place, kind in enumerate(kinds)}
    figure, (left, right) = style.panels(2)
    style.dress(left, title="Largest exponent", x="epochs before the last", y="nats per step")
    style.dress(right, title="Nearness to training images", x="training", y="chance")
    for trial in trials:
        before = np.asarray(trial["held_epochs"]) - trial["held_epochs"][-1]
        values, errors = (np.array(trial[key], float) for key in ("held", "held_stderr"))
        left.errorbar(
            before,
            values,
            yerr=SIGMAS * errors,
            color=colours[trial["kind"]],
            linewidth=1.1,
            marker="o",
            markersize=3.5,
        )
    left.axhline(0, color=style.PALE, linewidth=0.8)
    known = [trial for trial in trials if trial.get("preference") is not None]
    for place, trial in enumerate(known):
        right.plot([place], [trial["preference"]], color=colours[trial["kind"]], marker="o", linestyle="none")
    right.axhline(0.5, color=style.PALE, linewidth=0.8)
    names = [trial["run"] for trial in known]
    right.set_xticks(range(len(known)), names, rotation=35, ha="right", fontsize=style.SMALL)
    right.set_ylim(-0.03, 1.03)
    left.locator_params(axis="x", integer=True)
    for kind in kinds:
        left.plot([], [], color=colours[kind], marker="o", markersize=3.5, label=kind)
    figure.legend(fontsize=style.SMALL, frameon=False, loc="outside lower center")
    return figure


def _draw(
    axes: Axes,
    runs: Mapping[str, Sequence[Mapping[str, Any]]],
    key: str,
    title: str,
    unit: str,
    error: str,
    paper: Mapping[str, float],
) -> None:
    from matplotlib.ticker import MaxNLocator

    style.dress(axes, title=title, x="epoch", y=unit)
    if key == "largest":
        style.zero_line(axes)
    parts = {f"_at_{n}": (line, fill) for n, (line, fill, _) in AT.items()} if key in PARTS else {"": ("-", style.INK)}
    together = key in PARTS and len(runs) > FEW_RUNS
    for part, (line, fill) in parts.items():
        options: dict[str, Any] = {"linestyle": line, "linewidth": 1.3, "markersize": 4}
        options["markerfacecolor"] = None if fill == style.INK else fill
        if together:
            _draw_range(axes, runs, key + part, options)
        for place, entries in enumerate(() if together else runs.values()):
            epochs = [entry["epoch"] for entry in entries]
            values = np.array([_number(entry.get(key + part)) for entry in entries])
            errors = np.array([_number(entry.get(error)) for entry in entries])
            bars = SIGMAS * np.where(np.isfinite(errors), errors, 0) if error else None
            colour, marker = style.SEQUENCE[place % len(style.SEQUENCE)], "o" if len(epochs) <= 40 else ""
            axes.errorbar(epochs, values, yerr=bars, color=colour, elinewidth=0.9, marker=marker, **options)
        if key + part in paper:
            axes.axhline(paper[key + part], color=style.GREY, linewidth=1.2, linestyle=":", zorder=1.5)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    if key in (*PARTS, "order"):
        axes.set_ylim(0, 1.02)
    elif key != "largest":
        axes.set_ylim(bottom=0)


FEW_RUNS = 2
"""Runs up to which each has its own lines in panels that show several steps."""


def _draw_range(
    axes: Axes, runs: Mapping[str, Sequence[Mapping[str, Any]]], key: str, options: Mapping[str, Any]
) -> None:
    """A number over the epochs: its mean over the runs, and in grey the range that they fill."""
    by_epoch: dict[int, list[float]] = {}
    for entry in (entry for entries in runs.values() for entry in entries):
        if np.isfinite(value := _number(entry.get(key))):
            by_epoch.setdefault(entry["epoch"], []).append(value)
    epochs = sorted(by_epoch)
    low, mean, high = (np.array([measure(by_epoch[e]) for e in epochs]) for measure in (min, np.mean, max))
    axes.fill_between(epochs, low, high, color=style.GREY, alpha=0.16, linewidth=0)
    axes.plot(epochs, mean, color=style.INK, marker="o", **options)


def _legend(axes: Axes, runs: Mapping[str, Any], with_paper: bool) -> None:
    from matplotlib.lines import Line2D

    axes.set_axis_off()
    handles = [
        Line2D([], [], color=style.SEQUENCE[i % len(style.SEQUENCE)], marker="o", markersize=3, label=name)
        for i, name in enumerate(runs)
        if name
    ]
    handles += [
        Line2D([], [], color=style.INK, linestyle=line, marker="o", markersize=4, markerfacecolor=fill, label=name)
        for line, fill, name in AT.values()
    ]
    if with_paper:
        handles.append(Line2D([], [], color=style.GREY, linestyle=":", label="paper (of precision and recall, bounds)"))
    axes.legend(handles=handles, loc="upper left", fontsize=style.LABEL, frameon=False)
    words = "bars: two standard errors"
    if len(runs) > FEW_RUNS:
        words += "; of precision, recall and coverage\nthe mean over the runs, grey: their range"
    axes.text(0.02, 0.02, words, fontsize=style.SMALL, color=style.GREY, transform=axes.transAxes)


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)
