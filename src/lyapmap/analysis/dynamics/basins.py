"""Where basins of attraction meet: their entropy, and how often a small error of the start changes the end."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

BOX = 5
"""Cells along the side of a box, as in the literature."""
STRIPS = 8
"""Of the plane, that are left out in turn."""
FEWEST_SCALES = 3
MIXED = 0.5
"""Part of pairs that end apart above which a distance no longer tells of the boundary."""


def basin_entropy(basins: NDArray[np.int64], box: int = BOX) -> tuple[float, float]:
    """Mean entropy of boxes of cells, of all and of those that hold several basins, in nats (A. Daza et al. 2016).

    Parameters
    ----------
    basins : (h, w)
        Number of the basin of each cell.
    box : int
        Cells along the side of a box.

    Returns
    -------
    entropy, boundary_entropy : float
        The second above ln 2 means a fractal boundary; NaN where no box holds several basins.

    Examples
    --------
    >>> halves = np.repeat([[0, 1]], 10, axis=0).repeat(10, axis=1)
    >>> basin_entropy(halves)[0]
    0.0
    """
    h, w = (size // box * box for size in basins.shape)
    if not h or not w:
        return math.nan, math.nan
    cells = basins[:h, :w].reshape(h // box, box, w // box, box).swapaxes(1, 2).reshape(-1, box * box)
    entropy = np.zeros(len(cells))
    for label in np.unique(cells):
        part = (cells == label).mean(axis=1)
        entropy -= np.where(part > 0, part * np.log(np.where(part > 0, part, 1.0)), 0.0)
    mixed = entropy > 0
    return float(entropy.mean()), float(entropy[mixed].mean()) if mixed.any() else math.nan


def uncertainty_exponent(basins: NDArray[np.int64]) -> tuple[float, float]:
    """How the part of starts whose end an error eps may change falls with it, f ~ eps^alpha, and its standard error.

    C. Grebogi, S. McDonald, E. Ott, J. Yorke, Phys. Lett. A 99 (1983) 415. The boundary has dimension 2 - alpha in a
    plane: 1 where it is smooth, smaller where it is fractal. NaN where the plane shows too few scales.

    Examples
    --------
    >>> rows, columns = np.indices((128, 128))
    >>> alpha, error = uncertainty_exponent((rows + columns > 120).astype(np.int64))
    >>> abs(alpha - 1) < 0.03
    True
    """
    scales = [2**i for i in range(12) if 2**i <= min(basins.shape) // 8]
    strips = np.array_split(np.arange(basins.shape[0]), STRIPS)
    counts = np.array([[_apart(basins[rows], scale) for scale in scales] for rows in strips])  # (strips, scales, 2)
    if len(scales) < FEWEST_SCALES:
        return math.nan, math.nan
    whole = _slope(scales, counts.sum(axis=0))
    parts = np.array([_slope(scales, np.delete(counts, i, axis=0).sum(axis=0)) for i in range(len(strips))])
    error = float(np.sqrt((len(parts) - 1) / len(parts) * ((parts - parts.mean()) ** 2).sum()))
    return whole, error


def _apart(basins: NDArray[np.int64], scale: int) -> tuple[int, int]:
    """Pairs of cells so far apart that end differently, and all."""
    pairs: list[Any] = [basins[:, scale:] != basins[:, :-scale]]
    if basins.shape[0] > scale:
        pairs.append(basins[scale:] != basins[:-scale])
    return sum(int(part.sum()) for part in pairs), sum(part.size for part in pairs)


def _slope(scales: list[int], counts: NDArray[np.int64]) -> float:
    part = counts[:, 0] / np.maximum(counts[:, 1], 1)
    usable = (part > 0) & (part < MIXED)
    if usable.sum() < FEWEST_SCALES:
        return math.nan
    weight = np.sqrt(counts[usable, 0])  # of a count, relative to it
    return float(np.polyfit(np.log(np.array(scales)[usable]), np.log(part[usable]), 1, w=weight)[0])
