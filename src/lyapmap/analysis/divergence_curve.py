"""How neighbours in a reconstructed space part with time: the curve that exponents are read from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.neighbors import neighbor_graph

Values = NDArray[np.float64]

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
    points: Values,
    *,
    steps: NDArray[np.int64],
    theiler: int,
    n_neighbors: int,
    radius: float | None,
    together: bool,
    across: bool,
) -> Curve:
    """Follow the nearest neighbours of every point.

    Parameters
    ----------
    points : (N, d)
        In time order.
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
    """
    n = len(points) - int(steps[-1])
    near, other = neighbor_graph(points[:n], n_neighbors, exclude=theiler)
    apart = near > 0
    n_equal = int(near.size - apart.sum())
    if radius is not None:
        apart &= near <= radius
    block = np.arange(n) * BLOCKS // n
    total = np.zeros((BLOCKS, len(steps)))
    number = np.zeros((BLOCKS, len(steps)))
    here, neighbor = np.nonzero(apart)
    there = other[here, neighbor]
    stretch = block if together else block[here]
    along = None
    if across:
        along = np.gradient(points, axis=0)
        along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-300)
    for place, step in enumerate(steps):
        difference = points[here + step] - points[there + step]
        if along is not None:
            way = along[here + step]
            difference -= np.einsum("ij,ij->i", difference, way)[:, None] * way
        distance = np.sqrt(np.einsum("ij,ij->i", difference, difference))
        if together:
            count = np.bincount(here, minlength=n)
            distance = np.bincount(here, distance, minlength=n) / np.maximum(count, 1)
        some = distance > 0
        total[:, place] = np.bincount(stretch[some], np.log(distance[some]), minlength=BLOCKS)
        number[:, place] = np.bincount(stretch[some], minlength=BLOCKS)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total.sum(axis=0) / number.sum(axis=0)
        without = (total.sum(axis=0) - total) / (number.sum(axis=0) - number)
    return Curve(steps, mean, without, int(apart.sum()), n_equal)
