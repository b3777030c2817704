"""Colours, markers and dashes of matplotlib as plotly takes them, by names where light and dark pages differ."""

from __future__ import annotations

from typing import Any

import numpy as np

from lyapmap.report import style

TOKENS = {
    style.INK: "ink",
    style.GREY: "grey",
    style.PALE: "pale",
    "#ffffff": "paper",
    "#000000": "ink",
    style.VERMILLION: "vermillion",
    style.BLUE: "blue",
    style.GREEN: "green",
    style.PURPLE: "purple",
    style.ORANGE: "orange",
    style.SKY: "sky",
}
"""Colours that the page has for light and for dark grounds, by those of the figures."""
NAMES = {colour.lower(): name for colour, name in TOKENS.items()}
MARKERS = {
    "o": "circle", ".": "circle", ",": "circle", "s": "square", "D": "diamond", "d": "diamond-tall",
    "^": "triangle-up", "v": "triangle-down", "<": "triangle-left", ">": "triangle-right", "*": "star",
    "x": "x-thin", "X": "x", "+": "cross-thin", "P": "cross", "|": "line-ns", "_": "line-ew",
}  # fmt: skip
THIN = {"x-thin", "cross-thin", "line-ns", "line-ew"}
DASHES = {"-": "solid", "--": "dash", ":": "dot", "-.": "dashdot"}


def colour(value: Any, alpha: float | None = None) -> str:
    """A colour as the page writes it: by its name in the two sets of colours, else as numbers.

    >>> colour("#0072B2"), colour("#0072B2", 0.2), colour((1.0, 0.0, 0.5, 1.0))
    ('@blue', '@blue/0.2', 'rgba(255,0,128,1)')
    """
    from matplotlib.colors import to_hex, to_rgba

    if isinstance(value, np.ndarray) and value.ndim == 2:
        value = value[0] if len(value) else (0, 0, 0, 0)
    rgba = to_rgba(value, alpha)
    name = NAMES.get(to_hex(rgba))
    opacity = round(float(rgba[3]), 3)
    if name is not None:
        return f"@{name}" if opacity == 1 else f"@{name}/{opacity:g}"
    return f"rgba({','.join(str(round(255 * part)) for part in rgba[:3])},{opacity:g})"


def hex_of(face: Any) -> str:
    from matplotlib.colors import to_hex

    return str(to_hex(face))


def rgb_of(face: Any) -> tuple[float, float, float]:
    from matplotlib.colors import to_rgb

    red, green, blue = to_rgb(face)
    return red, green, blue


def dash(line: Any) -> str:
    return DASHES.get(str(line.get_linestyle()), "solid")


def scale_of(cmap: Any) -> list[list[Any]]:
    """A colour map as a scale of colours."""
    stops = np.linspace(0, 1, 2 * cmap.N if cmap.N <= 24 else 21)
    places = np.repeat(np.linspace(0, 1, cmap.N + 1), 2)[1:-1] if cmap.N <= 24 else stops
    colours = (
        [cmap(min(i // 2, cmap.N - 1)) for i in range(2 * cmap.N)]
        if cmap.N <= 24
        else [cmap(float(stop)) for stop in stops]
    )
    return [
        [round(float(p), 4), f"rgb({','.join(str(round(255 * part)) for part in c[:3])})"]
        for p, c in zip(places, colours, strict=True)
    ]
