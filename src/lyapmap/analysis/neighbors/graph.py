"""Nearest neighbours of points: the one graph that every method on points stands on.

Exact by default: a KD-tree where the space has few dimensions, blocks of matrix products where it
has many. The products round; what they choose is measured again by differences, and a row whose
choice the rounding could have changed is done again exactly. Memory grows as the number of points.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.neighbors.search import (
    BLOCK_VALUES,
    METRICS,
    TREE_DIMENSIONS,
    ApproximateSearch,
    Graph,
    Points,
    Search,
    exact_search,
    lengths,
)
from lyapmap.core.arguments import positive, whole
from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.core.points import as_points
from lyapmap.core.run import Report, reporting

__all__ = ["METRICS", "Graph", "Points", "as_points", "neighbor_graph", "pairs_within"]

QUERIES = 4096
"""Points after which progress is reported."""


def neighbor_graph(
    points: Any,
    k: int,
    *,
    queries: Any = None,
    exclude: int = 0,
    metric: str = "euclidean",
    approximate: bool = False,
    seed: int = 0,
    progress: bool | Report = False,
) -> Graph:
    """The k nearest neighbours of every point, nearest first.

    Parameters
    ----------
    points : (N, d) or (N, ...)
        Where neighbours are looked for; in time order if `exclude` is to mean anything.
    k : int
        Neighbours of each.
    queries : (M, d) or (M, ...), optional
        Whose neighbours; the points' own by default. A point is not its own neighbour, but a
        query that coincides with a point has it as neighbour at distance 0.
    exclude : int
        Theiler window: point j is no neighbour of point i if |i - j| <= exclude. Without `queries`
        only.
    metric : "euclidean", "chebyshev" or "cityblock"
    approximate : bool
        Let pynndescent find them, which is faster for a hundred thousand points in many
        dimensions and misses a few.
    seed : int
        Of the approximate search.
    progress : bool or function
        Show how many points are done.

    Returns
    -------
    distances : (N, k) float64
    indices : (N, k) int64
        Into `points`. Which of several points at the same distance are taken is not defined.

    Raises
    ------
    LyapmapError, ShapeError
        If the arrays do not fit, hold NaN, or have too few points.
    MissingExtraError
        If pynndescent is asked for and absent.

    References
    ----------
    J. Theiler, Phys. Rev. A 34 (1986) 2427, for the window.

    Examples
    --------
    >>> distances, indices = neighbor_graph([[0.0], [1.0], [3.0], [3.5]], 2)
    >>> indices.tolist()
    [[1, 2], [0, 2], [3, 1], [2, 1]]
    >>> neighbor_graph([[0.0], [1.0], [3.0], [3.5]], 1, exclude=1)[1].ravel().tolist()
    [2, 3, 0, 1]
    """
    rows = as_points(points)
    k, exclude = whole("k", k, 1), whole("exclude", exclude, 0)
    if metric not in METRICS:
        raise LyapmapError(f"metric: expected {', '.join(METRICS)}, got {metric!r}")
    asked = None if queries is None else as_points(queries, "queries")
    if asked is not None and asked.shape[1] != rows.shape[1]:
        raise ShapeError(f"queries: expected {rows.shape[1]} columns like the points, got {asked.shape[1]}")
    if asked is not None and exclude:
        raise LyapmapError("exclude: a window in time needs the points' own neighbours, not those of queries")
    # The point in the middle has most others within its window.
    enough = k if asked is not None else k + 1 + min(2 * exclude, len(rows) - 1)
    if enough > len(rows):
        raise LyapmapError(f"k: {k} neighbours outside a window of {exclude} need {enough} points, got {len(rows)}")
    search: Search
    if approximate:
        search = ApproximateSearch(rows, metric, k + 2 * exclude, seed)
        if asked is None and not exclude:
            return search.among_themselves(k)
    else:
        search = exact_search(rows, metric)
    if asked is not None:
        return search(asked, k)
    with reporting(progress, "neighbours") as report:
        return _own(search, rows, k, exclude, report)


def pairs_within(points: Any, radius: float, *, metric: str = "euclidean") -> tuple[NDArray[np.int64], Points]:
    """All pairs of points at most `radius` apart.

    Parameters
    ----------
    points : (N, d) or (N, ...)
    radius : float
    metric : "euclidean", "chebyshev" or "cityblock"

    Returns
    -------
    pairs : (m, 2) int64
        With i < j; their number alone decides on the memory needed.
    distances : (m,) float64

    Examples
    --------
    >>> pairs, distances = pairs_within([[0.0], [1.0], [1.5]], 1.0)
    >>> sorted(zip(pairs.tolist(), distances.tolist()))
    [([0, 1], 1.0), ([1, 2], 0.5)]
    """
    rows = as_points(points)
    radius = positive("radius", radius)
    if metric not in METRICS:
        raise LyapmapError(f"metric: expected {', '.join(METRICS)}, got {metric!r}")
    if rows.shape[1] <= TREE_DIMENSIONS:
        from scipy.spatial import cKDTree

        tree = cKDTree(rows, balanced_tree=False, compact_nodes=False)
        pairs = tree.query_pairs(radius, p=METRICS[metric], output_type="ndarray").astype(np.int64, copy=False)
        return pairs, _distances(rows, pairs, metric)
    candidates = np.concatenate(list(_close_in_blocks(rows, radius, metric)))
    distances = _distances(rows, candidates, metric)
    close = distances <= radius
    return candidates[close], distances[close]


def _close_in_blocks(points: Points, radius: float, metric: str) -> Iterator[NDArray[np.int64]]:
    """Pairs that are at most `radius` apart, and some that are so but for rounding."""
    from scipy.spatial.distance import cdist

    centred = points - points.mean(axis=0)
    squares = np.einsum("ij,ij->i", centred, centred)
    slack = 8 * np.finfo(float).eps * (points.shape[1] + 4) * squares.max()
    size = max(1, BLOCK_VALUES // len(points))
    for start in range(0, len(points), size):
        some = slice(start, start + size)
        if metric == "euclidean":
            rough = squares[some, None] + squares[start:] - 2 * centred[some] @ centred[start:].T
            i, j = np.nonzero(rough <= radius**2 + slack)
        else:
            i, j = np.nonzero(cdist(points[some], points[start:], metric) <= radius * (1 + 1e-12))
        above = i < j
        yield np.stack([i[above], j[above]], axis=1) + start


def _distances(points: Points, pairs: NDArray[np.int64], metric: str) -> Points:
    """Distances of pairs, by differences."""
    distances = np.empty(len(pairs))
    size = max(1, BLOCK_VALUES // points.shape[1])
    for start in range(0, len(pairs), size):
        i, j = pairs[start : start + size].T
        distances[start : start + size] = lengths(points[i] - points[j], metric)
    return distances


def _own(search: Search, points: Points, k: int, exclude: int, report: Report | None = None) -> Graph:
    """Neighbours of the points among themselves, those within the window left out.

    Few rows lose all their first candidates to the window, so the number asked for grows for
    those rows only; k + 2 exclude + 1 are always enough.
    """
    n = len(points)
    most = min(k + 2 * exclude + 1, n)
    distances = np.empty((n, k))
    indices = np.empty((n, k), dtype=np.int64)
    left, asked = np.arange(n), min(k + 1 + min(2 * exclude, 8), most)
    while len(left):
        step = min(max(1, BLOCK_VALUES // asked), QUERIES)
        short = []
        for start in range(0, len(left), step):
            if report is not None:
                report(n - len(left) + start, n)
            block = left[start : start + step]
            near, where = search(points[block], asked)
            allowed = np.abs(where - block[:, None]) > exclude
            # A point outside its own candidates (many duplicates) changes nothing: it is not allowed anyway.
            full = allowed.sum(axis=1) >= k
            order = np.argsort(~allowed[full], axis=1, kind="stable")[:, :k]
            distances[block[full]] = np.take_along_axis(near[full], order, axis=1)
            indices[block[full]] = np.take_along_axis(where[full], order, axis=1)
            short.append(block[~full])
        left, asked = np.concatenate(short), min(2 * asked, most)
    return distances, indices
