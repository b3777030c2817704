"""Points that occur several times: each counts once where densities, dimensions and copies are measured."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.neighbors.search import Points
from lyapmap.core.points import as_points


def drop_duplicates(points: Any) -> tuple[Points, NDArray[np.int64]]:
    """Different points in the order of their first appearance, and how often each was given.

    Examples
    --------
    >>> points, counts = drop_duplicates([[2.0], [1.0], [2.0]])
    >>> points.ravel().tolist(), counts.tolist()
    ([2.0, 1.0], [2, 1])
    """
    rows, inverse = tell_apart(points)
    return rows, np.bincount(inverse).astype(np.int64)


def tell_apart(points: Any) -> tuple[Points, NDArray[np.int64]]:
    """Different points in the order of their first appearance, and which of them each given one is.

    Examples
    --------
    >>> points, which = tell_apart([[2.0], [1.0], [2.0]])
    >>> points.ravel().tolist(), which.tolist()
    ([2.0, 1.0], [0, 1, 0])
    """
    rows = as_points(points)
    first, which = first_appearances([rows])
    return (rows if len(first) == len(rows) else rows[first]) + 0.0, which


def first_appearances(chunks: Iterable[Points]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each different point of a set first stands, and which of them each point is.

    Parameters
    ----------
    chunks : iterable of (m, d) float64
        The points, as many at a time as there is memory for.

    Returns
    -------
    first : (u,) int64
        Ascending. -0.0 is 0.0.
    which : (n,) int64

    Examples
    --------
    >>> first, which = first_appearances([np.array([[2.0], [1.0]]), np.array([[2.0], [-0.0]])])
    >>> first.tolist(), which.tolist()
    ([0, 1, 3], [0, 1, 0, 2])
    """
    # Equal rows have equal bits, and two hashes of 64 bits are faster to sort than rows. That two of a billion
    # different rows have both in common has a probability of 1e-20.
    hashes, factors = [], np.empty((0, 0), np.uint64)
    for rows in chunks:
        if not factors.size:
            random = np.random.default_rng(0).integers(0, 2**63, (rows.shape[1], 2), dtype=np.uint64)
            factors = random * np.uint64(2) + np.uint64(1)
        bits = (np.ascontiguousarray(rows) + 0.0).view(np.uint64)
        # The lowest bits of whole numbers are zeros, which products would leave.
        hashes.append((bits ^ (bits >> np.uint64(29))) @ factors)
    keys = np.concatenate(hashes)
    order = np.lexsort((keys[:, 1], keys[:, 0]))
    new = np.ones(len(keys), bool)
    new[1:] = (keys[order[1:]] != keys[order[:-1]]).any(axis=1)
    # The sort is stable: of equal rows the first given comes first.
    number, begins = np.cumsum(new) - 1, order[new]
    place = np.empty(len(begins), np.int64)
    place[np.argsort(begins)] = np.arange(len(begins))
    which = np.empty(len(keys), np.int64)
    which[order] = place[number]
    return np.sort(begins), which
