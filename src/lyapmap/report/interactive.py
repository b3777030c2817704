"""Figures of matplotlib as plots to hover over and to zoom: one mechanism for every result that can be drawn.

What a figure shows is read from its axes: each becomes a panel by itself, so that panels can stand below each other
on a phone. What has no counterpart (surfaces, arrows) and images stay pictures. Nothing here is computed anew: an
interactive plot has the numbers of the picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lyapmap.report.axes import Panel, Reading
from lyapmap.report.stills import apart, is_picture, needs_picture, still

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def panels_of(figure: Figure) -> list[Panel]:
    """A panel for each axes of a figure: traces and layout as plotly takes them, a title, and words for all to hear.

    Parameters
    ----------
    figure : matplotlib figure

    Returns
    -------
    list of dict
        Each with "title" (HTML), "alt", "traces" and "layout", or with "picture", the address of a picture that
        holds itself.
    """
    bars = {mappable.colorbar.ax: mappable for axes in figure.axes for mappable in _mappables(axes)}
    shown = [axes for axes in figure.axes if axes.get_visible() and axes not in bars and not _is_bar(axes)]
    pictures = [axes for axes in shown if is_picture(axes)]
    plots = [axes for axes in shown if axes not in pictures]
    figure.canvas.draw()
    panels = [still(figure, [axes]) if needs_picture(axes) else Reading(axes).panel() for axes in plots]
    if pictures:
        panels.append(still(figure, pictures if apart(pictures, plots) else shown))
    return panels


def is_panels(value: Any) -> bool:
    """Whether what a file holds has the form of panels."""
    forms = {"title": str, "alt": str, "traces": list, "layout": dict, "picture": str, "size": list}
    return isinstance(value, list) and all(
        isinstance(panel, dict)
        and {"title", "alt"} <= set(panel) <= set(forms)
        and ({"traces", "layout"} <= set(panel) or {"picture", "size"} <= set(panel))
        and all(isinstance(part, forms[name]) for name, part in panel.items())
        and str(panel.get("picture", "data:image/")).startswith("data:image/")
        and len(panel.get("size", [0, 0])) == 2
        and all(isinstance(length, int) for length in panel.get("size", []))
        for panel in value
    )


def _mappables(axes: Axes) -> Iterator[Any]:
    for artist in (*axes.images, *axes.collections):
        if getattr(artist, "colorbar", None) is not None:
            yield artist


def _is_bar(axes: Axes) -> bool:
    return hasattr(axes, "_colorbar") or axes.get_label() == "<colorbar>"
