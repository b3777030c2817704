"""How neighbours in a reconstructed space part with time: the curves that exponents are read from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.neighbors.graph import neighbor_graph

from lyapmap.analysis.exponents.pairs import Values

BLOCKS = 16
"""Stretches of time that are left out in turn to find the statistical error."""


@dataclass(frozen=True)
class Curve:
    """Mean logarithm of the distance of pairs that began as neighbours.

    Attributes
    ----------
    steps : (t,)
    mean : (t,)
        NaN where no pair has a distance.
    without : (g, t)
        The same without the reference points of each of g stretches of time.
    n_pairs : int
        Pairs that began at a distance above 0.
    n_equal : int
        Pairs that began at distance 0, which do not count.
    """

    steps: NDArray[np.int64]
    mean: Values
    without: Values
    n_pairs: int
    n_equal: int


def divergence_curve(
    recordings: list[Values],
    *,
    steps: NDArray[np.int64],
    theiler: int,
    n_neighbors: int,
    radius: float | None,
    together: bool,
    across: bool,
    rank: int = 1,
) -> Curve:
    """Follow neighbours of every point.

    Parameters
    ----------
    recordings : list of (N, d)
        Points in time order; no pair is followed beyond the end of its recording.
    steps : (t,)
        Steps after which distances are measured, ascending from 0.
    theiler : int
        Neighbours are more than so many steps away in time.
    n_neighbors : int
        Of each point.
    radius : float, optional
        Neighbours further away do not count.
    together : bool
        Take the logarithm of the mean distance of a point's neighbours (Kantz), rather than the
        mean of the logarithms of their distances (Rosenstein).
    across : bool
        Measure distances across the orbit, without their part along its direction, in which
        nothing grows.
    rank : int
        Take the last `n_neighbors` of so many times that number: 1 for the nearest, more for pairs
        that begin further apart.
    """
    last = int(steps[-1])
    points = np.concatenate(recordings)
    starts = np.cumsum([0, *(len(r) for r in recordings[:-1])])
    begin = np.concatenate(
        [start + np.arange(max(len(r) - last, 0)) for start, r in zip(starts, recordings, strict=True)]
    )
    n = len(begin)
    # Indices count only points that can be followed: two recordings lie closer in them than in time,
    # so the window leaves out at most a few pairs too many.
    columns = slice((rank - 1) * n_neighbors, rank * n_neighbors)
    near, other = (found[:, columns] for found in neighbor_graph(points[begin], columns.stop, exclude=theiler))
    along = None
    if across:
        along = np.concatenate([np.gradient(r, axis=0) if len(r) > 1 else np.zeros_like(r) for r in recordings])
        along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-300)

    apart = near > 0
    n_equal = int(apart.size - apart.sum())
    if radius is not None:
        apart &= near <= radius
    row, place = np.nonzero(apart)
    here, there = begin[row], begin[other[row, place]]
    block = np.arange(n) * BLOCKS // n
    stretch = block if together else block[row]
    total, number = np.zeros((2, BLOCKS, len(steps)))
    for i, step in enumerate(steps):
        difference = points[here + step] - points[there + step]
        if along is not None:
            way = along[here + step]
            difference -= np.einsum("ij,ij->i", difference, way)[:, None] * way
        distance = np.sqrt(np.einsum("ij,ij->i", difference, difference))
        if together:
            count = np.bincount(row, minlength=n)
            distance = np.bincount(row, distance, minlength=n) / np.maximum(count, 1)
        some = distance > 0
        total[:, i] = np.bincount(stretch[some], np.log(distance[some]), minlength=BLOCKS)
        number[:, i] = np.bincount(stretch[some], minlength=BLOCKS)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total.sum(axis=0) / number.sum(axis=0)
        without = (total.sum(axis=0) - total) / (number.sum(axis=0) - number)
    return Curve(steps, mean, without, int(apart.sum()), n_equal)
