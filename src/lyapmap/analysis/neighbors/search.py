"""How the neighbours of queries are found: by a tree, by blocks of matrix products, or by descent on a graph.

A search is made once from points and then called with queries, as often as there are any.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.neighbors.nearest import nearest_of
from lyapmap.core.errors import MissingExtraError

Points = NDArray[np.float64]
Graph = tuple[NDArray[np.float64], NDArray[np.int64]]
Search = Callable[[Points, int], Graph]
"""Takes queries (m, d) and k; distances (m, k) and indices (m, k), nearest first."""

METRICS = {"euclidean": 2.0, "chebyshev": np.inf, "cityblock": 1.0}
"""Metrics by name, and the power of the norm that each is."""
TREE_DIMENSIONS = 16
"""Up to here a tree may beat the blocks, and up to `ALWAYS_TREE` it does."""
ALWAYS_TREE = 3
TREE_GROWTH, BLOCK_SHARE = 1.75, 0.002
"""A query takes a tree longer by the first for every dimension that the points fill, and the blocks longer with
every point: as long as a tree in no dimension at 1 / BLOCK_SHARE points. Measured for 5 neighbours of 10 000 points."""
PILOT, PILOT_NEIGHBORS = 128, 8
"""Points, and neighbours of each, from which the dimension that the points fill is seen beforehand."""
BLOCK_VALUES = 1_000_000
"""Distances in one block: 4 MB of float32, which the cache of a core about holds."""
SPARE = 8
"""Neighbours chosen beyond those wanted, which absorb most ties of the rounded products."""
LEAST_EDGES = 30
"""Neighbours of each point at least on the graph that an approximate search descends."""


def exact_search(points: Points, metric: str = "euclidean") -> Search:
    """A search that finds the nearest of `points` for any queries.

    Examples
    --------
    >>> search = exact_search(np.array([[0.0], [1.0], [3.0]]))
    >>> search(np.array([[0.9]]), 2)[1].tolist()
    [[1, 0]]
    """
    d = points.shape[1]
    if d <= ALWAYS_TREE or (d <= TREE_DIMENSIONS and metric != "euclidean"):
        return _tree(points, metric)
    blocks = _blocks(points, metric)
    # Whichever it is, the neighbours are the same.
    return _tree(points, metric) if d <= TREE_DIMENSIONS and _few_dimensions(points, blocks) else blocks


def _few_dimensions(points: Points, search: Search) -> bool:
    """Whether the points fill so few dimensions, of however many coordinates, that a tree is the faster way."""
    n = len(points)
    k = min(PILOT_NEIGHBORS, n)
    distances = search(points[np.linspace(0, n - 1, min(n, PILOT)).astype(np.int64)], k)[0]
    farthest = distances[:, -1:]
    near = (distances > 0) & (farthest > 0)
    ratios = np.log(np.divide(farthest, distances, out=np.ones_like(distances), where=near))
    # The estimate of Levina and Bickel; many copies of a point fill no dimension.
    filled = near.sum() / ratios.sum() if ratios.any() else 0.0
    return bool(TREE_GROWTH**filled < BLOCK_SHARE * n)


class _tree:  # noqa: N801  # called as a function
    def __init__(self, points: Points, metric: str) -> None:
        from scipy.spatial import cKDTree

        self._tree = cKDTree(points, balanced_tree=False, compact_nodes=False)
        self._power = METRICS[metric]

    def __call__(self, queries: Points, k: int) -> Graph:
        distances, indices = self._tree.query(queries, k=np.arange(1, k + 1), p=self._power)
        return distances, indices.astype(np.int64)


class _blocks:  # noqa: N801  # called as a function
    def __init__(self, points: Points, metric: str) -> None:
        self._points, self._metric = np.ascontiguousarray(points), metric
        self._centre = points.mean(axis=0)
        centred = points - self._centre
        self._squares = np.einsum("ij,ij->i", centred, centred)
        self._columns = centred.T
        largest = float(self._squares.max())
        # Centred numbers beyond this range would overflow or vanish in float32.
        self._rough = np.float32 if 1e-15 < largest < 1e30 else np.float64
        self._tables: dict[Any, Any] = {}
        self._rooms = threading.local()

    def __call__(self, queries: Points, k: int) -> Graph:
        by_products = self._metric == "euclidean"
        distances = np.empty((len(queries), k))
        indices = np.empty((len(queries), k), dtype=np.int64)
        workers = _cores()
        rows = max(1, BLOCK_VALUES // len(self._points))

        def search_block(start: int) -> None:
            block = slice(start, start + rows)
            distances[block], indices[block] = (
                self._by_products(queries[block], k, self._rough)
                if by_products
                else self._by_differences(queries[block], k)
            )

        starts = range(0, len(queries), rows)
        if workers == 1 or len(starts) == 1:
            for start in starts:
                search_block(start)
            return distances, indices
        if by_products:
            self._table(self._rough)  # made once, not by every thread
        from threadpoolctl import threadpool_limits

        # Choosing among the products takes as long as making them, and only products know threads of their own.
        with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(workers) as pool:
            list(pool.map(search_block, starts))
        return distances, indices

    def _by_differences(self, queries: Points, k: int) -> Graph:
        from scipy.spatial.distance import cdist

        return _smallest(cdist(queries, self._points, self._metric), k)

    def _table(self, kind: Any) -> Any:
        """The points as columns, in float32 or float64, with their squares as last row."""
        if kind not in self._tables:
            self._tables[kind] = np.concatenate([self._columns, self._squares[None]]).astype(kind)
        return self._tables[kind]

    def _room(self, rows: int, columns: int, kind: Any) -> Any:
        """Memory of this thread for a block: fresh memory at every block costs as much as a tenth of the products."""
        name = np.dtype(kind).name
        room = getattr(self._rooms, name, None)
        if room is None or room.size < rows * columns:
            room = np.empty(rows * columns, kind)
            setattr(self._rooms, name, room)
        return room[: rows * columns].reshape(rows, columns)

    def _by_products(self, queries: Points, k: int, kind: Any) -> Graph:
        """Candidates by products in float32, or in float64 for the rows where that leaves doubt."""
        centred = queries - self._centre
        own = np.einsum("ij,ij->i", centred, centred)
        factors = np.ones((len(queries), queries.shape[1] + 1), kind)
        factors[:, :-1] = -2 * centred
        table = self._table(kind)
        rough = np.matmul(factors, table, out=self._room(len(queries), table.shape[1], kind))
        few = min(k + SPARE, len(self._points))
        distances, indices, border = nearest_of(rough, self._points, np.ascontiguousarray(queries), k, few)
        slack = 4 * np.finfo(kind).eps * (queries.shape[1] + 4) * (own + float(self._squares.max()))
        unsure = np.flatnonzero(distances[:, -1] ** 2 > border + own - slack)
        if len(unsure):
            exact = kind is np.float64
            again = self._by_differences if exact else functools.partial(self._by_products, kind=np.float64)
            distances[unsure], indices[unsure] = again(queries[unsure], k)
        return distances, indices


def _cores() -> int:
    """Threads that this process may use: those of its cores, or fewer if OMP_NUM_THREADS says so."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores, int(asked)) if asked.isdecimal() and int(asked) else cores


def _smallest(distances: NDArray[np.float64], k: int) -> Graph:
    """The k smallest of each row, in order, and where they stand."""
    some = np.argpartition(distances, k - 1, axis=1)[:, :k]
    values = np.take_along_axis(distances, some, axis=1)
    order = np.argsort(values, axis=1, kind="stable")
    return np.take_along_axis(values, order, axis=1), np.take_along_axis(some, order, axis=1)


class ApproximateSearch:
    """Most of the nearest neighbours, by pynndescent; distances of those found are exact.

    Raises
    ------
    MissingExtraError
        If pynndescent is not installed.
    """

    def __init__(self, points: Points, metric: str, k: int, seed: int) -> None:
        try:
            NNDescent = import_module("pynndescent").NNDescent
        except ImportError:
            raise MissingExtraError("pynndescent", "umap", "approximate=True") from None
        self._points, self._metric = points, metric
        # It computes in float32, which an offset would use up.
        self._centre = points.mean(axis=0)
        self._index = NNDescent(
            (points - self._centre).astype(np.float32),
            metric="manhattan" if metric == "cityblock" else metric,
            n_neighbors=min(max(LEAST_EDGES, k + 1), len(points)),
            random_state=seed,
        )

    def __call__(self, queries: Points, k: int) -> Graph:
        indices = self._index.query((queries - self._centre).astype(np.float32), k=k)[0]
        return self._measured(queries, indices.astype(np.int64))

    def among_themselves(self, k: int) -> Graph:
        """Neighbours of the points, each other than the point itself."""
        near = self._index.neighbor_graph[0].astype(np.int64)
        own = near == np.arange(len(near))[:, None]
        # The point itself comes last, then the farthest are cut off.
        order = np.argsort(own, axis=1, kind="stable")[:, :k]
        return self._measured(self._points, np.take_along_axis(near, order, axis=1), itself=True)

    def _measured(self, queries: Points, indices: NDArray[np.int64], *, itself: bool = False) -> Graph:
        """Distances by differences, in order; rows for which too few were found are searched exactly."""
        k = indices.shape[1]
        rows = np.arange(len(queries))[:, None]
        short = (indices < 0).any(axis=1) | ((indices == rows).any(axis=1) if itself else False)
        measured = np.empty(indices.shape)
        size = max(1, BLOCK_VALUES // (k * queries.shape[1]))
        for start in range(0, len(queries), size):
            some = slice(start, start + size)
            measured[some] = lengths(self._points[indices[some]] - queries[some, None], self._metric)
        order = np.argsort(measured, axis=1, kind="stable")
        distances, indices = np.take_along_axis(measured, order, axis=1), np.take_along_axis(indices, order, axis=1)
        left = np.flatnonzero(short)
        if len(left):
            near, which = exact_search(self._points, self._metric)(queries[left], k + itself)
            last = np.argsort(which == left[:, None], axis=1, kind="stable")[:, :k] if itself else np.arange(k)[None]
            distances[left] = np.take_along_axis(near, last, axis=1)
            indices[left] = np.take_along_axis(which, last, axis=1)
        return distances, indices


def lengths(differences: Points, metric: str) -> Points:
    """Lengths of vectors along the last axis.

    Examples
    --------
    >>> [float(lengths(np.array([3.0, -4.0]), metric)) for metric in METRICS]
    [5.0, 4.0, 7.0]
    """
    result: Points
    if metric == "euclidean":
        result = np.sqrt(np.einsum("...i,...i->...", differences, differences))
    else:
        sizes = np.abs(differences)
        result = sizes.max(-1) if metric == "chebyshev" else sizes.sum(-1)
    return result
