"""Values of figures as a page takes them: short, and no more than can be drawn."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

LONGEST_LINE = 3_000
"""Points of a line above which it is thinned."""
DIGITS = 6


def numbers(values: Any) -> list[Any]:
    """Values as JSON takes them, short."""
    array = np.ma.asarray(values)
    if array.dtype.kind in "iu":
        return list(array.tolist())
    flat = np.ma.filled(array.astype(float), np.nan).ravel()
    return [float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None for value in flat.tolist()]


def filled(values: Any) -> NDArray[Any]:
    made: NDArray[Any] = np.ma.filled(np.ma.asarray(values, float), np.nan)
    return made


def thinned(x: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """A long line with its extremes kept, where it runs from left to right; else every so many-th point."""
    n = len(x)
    if n <= LONGEST_LINE:
        return x, y
    known = x[np.isfinite(x)]
    if (np.diff(known) >= 0).all():
        parts = np.array_split(np.arange(n), LONGEST_LINE // 2)
        safe = np.where(np.isfinite(y), y, 0.0)
        places = sorted(
            {int(part[np.argmin(safe[part])]) for part in parts} | {int(part[np.argmax(safe[part])]) for part in parts}
        )
        return x[places], y[places]
    places_ = np.arange(0, n, -(-n // LONGEST_LINE))
    return x[places_], y[places_]


def middles(edges: NDArray[Any]) -> NDArray[Any]:
    return (edges[1:] + edges[:-1]) / 2


def has_words(texts: list[str]) -> bool:
    """Whether ticks have names and no numbers."""
    return any(re.search(r"[A-Za-z]{2}|[^\W\d_]\w* |\n", re.sub(r"\$.*?\$|mathdefault", "", text)) for text in texts)
