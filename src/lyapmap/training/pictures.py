"""How a training run went: its losses, and the exponents of the network along the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lyapmap.core.errors import LyapmapError
from lyapmap.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIGMAS = 2.0
"""Standard errors that a bar reaches to either side."""

_LEADING = 6  # exponents drawn


def draw_training(history: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw the log of a training run.

    Parameters
    ----------
    history : sequence of dict
        Entries of the training log: "epoch", "losses" by name and, where the monitor was called,
        "monitor" with "exponents", "stderr" and "kaplan_yorke". What is None is left out.

    Returns
    -------
    matplotlib.figure.Figure
        Losses over epochs; below, if the monitor was ever called, the largest exponents with bars
        of two standard errors, and the Kaplan-Yorke dimension where it is known.

    Raises
    ------
    LyapmapError
        If there is no entry, or one without epoch and losses.

    Examples
    --------
    >>> figure = draw_training([{"epoch": 1, "losses": {"G": 2.0}}, {"epoch": 2, "losses": {"G": 1.5}}])
    >>> len(figure.axes)
    1
    """
    if not history:
        raise LyapmapError("history: expected at least one epoch, got none")
    for i, entry in enumerate(history):
        if "epoch" not in entry or not isinstance(entry.get("losses"), Mapping):
            raise LyapmapError(f"history: entry {i} has no 'epoch' or no 'losses'")
    monitored = [entry for entry in history if (entry.get("monitor") or {}).get("exponents")]
    dimensions = [entry for entry in monitored if entry["monitor"].get("kaplan_yorke") is not None]
    rows = 1 + bool(monitored) + bool(dimensions)
    figure = style.new_figure(8.5, 1.0 + 2.5 * rows)
    axes = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    _draw_losses(axes[0], history)
    if monitored:
        _draw_exponents(axes[1], monitored)
    if dimensions:
        _draw_dimension(axes[2], dimensions)
    for above in axes[:-1]:
        above.set_xlabel("")
    _whole_epochs(axes[-1], [entry["epoch"] for entry in history])
    return figure


def _draw_losses(axes: Axes, history: Sequence[Mapping[str, Any]]) -> None:
    style.dress(axes, title="Losses", x="epoch", y="mean over the epoch")
    names = list(dict.fromkeys(name for entry in history for name in entry["losses"]))
    epochs = [entry["epoch"] for entry in history]
    everything = []
    for i, name in enumerate(names):
        values = np.array([_number(entry["losses"].get(name)) for entry in history])
        everything.append(values)
        axes.plot(
            epochs, values, color=_colour(i), linewidth=1.4, marker=_marker(len(epochs)), markersize=3.5, label=name
        )
    known = np.concatenate(everything) if everything else np.zeros(0)
    known = known[np.isfinite(known)]
    # A total is often ten times its parts; a log scale shows both.
    if known.size and known.min() > 0 and known.max() > 8 * known.min():
        _plain_log_scale(axes, float(known.min()), float(known.max()))
    _legend(axes, len(names))


def _draw_exponents(axes: Axes, monitored: Sequence[Mapping[str, Any]]) -> None:
    style.dress(axes, title="Largest Lyapunov exponents", x="epoch", y=r"$\lambda_i$  (nats per step)")
    style.zero_line(axes)
    epochs = np.array([entry["epoch"] for entry in monitored], float)
    drawn = min(_LEADING, max(len(entry["monitor"]["exponents"]) for entry in monitored))
    for i in range(drawn):
        values = np.array([_item(entry["monitor"]["exponents"], i) for entry in monitored])
        if not np.isfinite(values).any():
            continue
        errors = np.array([_item(entry["monitor"].get("stderr"), i) for entry in monitored])
        axes.errorbar(
            epochs,
            values,
            yerr=SIGMAS * errors,
            color=style.RANKS[i],
            linewidth=1.4 if i == 0 else 1.0,
            elinewidth=1.0,
            capsize=2,
            marker=_marker(len(epochs)),
            markersize=3.5,
            label=rf"$\lambda_{{{i + 1}}}$",
        )
    _legend(axes, drawn)


def _draw_dimension(axes: Axes, dimensions: Sequence[Mapping[str, Any]]) -> None:
    style.dress(axes, title="Kaplan-Yorke dimension", x="epoch", y="$D_{KY}$")
    epochs = [entry["epoch"] for entry in dimensions]
    values = [_number(entry["monitor"]["kaplan_yorke"]) for entry in dimensions]
    axes.plot(epochs, values, color=style.INK, linewidth=1.4, marker="o", markersize=3.5)
    axes.set_ylim(bottom=0)


def _legend(axes: Axes, entries: int) -> None:
    if entries:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=style.SMALL, frameon=False, handlelength=1.6)


def _plain_log_scale(axes: Axes, low: float, high: float) -> None:
    """A log scale labelled 1, 2, 5, 10 rather than in powers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_yscale("log")
    axes.set_ylim(low / 1.2, high * 1.2)
    within_a_few_decades = high < 1000 * low
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if within_a_few_decades else (1.0,)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _whole_epochs(axes: Axes, epochs: Sequence[int]) -> None:
    from matplotlib.ticker import MaxNLocator

    first, last = min(epochs), max(epochs)
    margin = max(0.02 * (last - first), 0.5 if first == last else 0.05)
    axes.set_xlim(first - margin, last + margin)
    axes.xaxis.set_major_locator(MaxNLocator(10, integer=True, min_n_ticks=1))


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def _item(values: Sequence[Any] | None, i: int) -> float:
    return _number(values[i]) if values is not None and i < len(values) else float("nan")


def _colour(i: int) -> str:
    return style.SEQUENCE[i % len(style.SEQUENCE)]


def _marker(points: int) -> str:
    """Dots as long as they do not run together."""
    return "o" if points <= 60 else ""
