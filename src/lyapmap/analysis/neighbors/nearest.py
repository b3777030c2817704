"""The few nearest of a row of rough squared distances, measured again by differences: compiled loops.

The rough squares come from matrix products and round. What could be among the nearest is measured
again, and a bound for all that was passed over goes along, so that the caller can tell the rows in
which rounding may have hidden a neighbour.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.machine_code import machine_code

GROUP = 32
"""Points at most of which only the nearest is looked at first."""
GROUPS_EACH = 4
"""Groups for each neighbour wanted, so that the nearest groups hold few points too many."""


def groups_of(n: int, few: int) -> int:
    """Groups into which a row of n values is cut, for the `few` smallest to be taken."""
    size = max(1, min(GROUP, n // (GROUPS_EACH * few)))
    return -(-n // size)


def nearest_of(
    rough: NDArray[Any], points: NDArray[np.float64], queries: NDArray[np.float64], k: int, few: int
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """The k nearest points of each query.

    Parameters
    ----------
    rough : (m, n) float32 or float64
        Squared distances up to rounding and a constant for each row.
    points : (n, d)
    queries : (m, d)
    k, few : int
        The `few` with the smallest rough squares, at least k, are measured.

    Returns
    -------
    distances : (m, k)
        Nearest first; by number where they are equal.
    indices : (m, k)
    border : (m,)
        No rough square of a point that was not measured is smaller; infinite where all were.

    Examples
    --------
    >>> points = np.array([[0.0], [1.0], [3.0]])
    >>> distances, indices, border = nearest_of((points.T - 0.9) ** 2, points, np.array([[0.9]]), 1, 2)
    >>> indices.tolist(), border.round(2).tolist()
    ([[1]], [0.81])
    """
    m = len(rough)
    distances, indices = np.empty((m, k)), np.empty((m, k), np.int64)
    border = np.empty(m)
    _machine_code(rough.dtype.name)(
        rough, points, queries, few, groups_of(len(points), few), distances, indices, border
    )
    return distances, indices, border


def choose_rows(
    rough: NDArray[Any],
    points: NDArray[np.float64],
    queries: NDArray[np.float64],
    few: int,
    groups: int,
    distances: NDArray[np.float64],
    indices: NDArray[np.int64],
    border: NDArray[np.float64],
) -> None:
    """Plain Python for Numba: `nearest_of`. Point j is in group j modulo `groups`."""
    n, d = points.shape
    k = distances.shape[1]
    nearest = np.empty(groups, rough.dtype)
    room = np.empty(groups, rough.dtype)
    squares, which = np.empty(n), np.empty(n, np.int64)
    for row in range(rough.shape[0]):
        # The few smallest stand in the groups with the few smallest minima, which are all taken at once.
        for g in range(groups):
            nearest[g] = rough[row, g]
        start = groups
        while start < n:
            for g in range(min(groups, n - start)):
                value = rough[row, start + g]
                if value < nearest[g]:
                    nearest[g] = value
            start += groups
        some = few < groups
        bound = nearest[0]
        if some:
            for g in range(groups):
                room[g] = nearest[g]
            bound = rank(room, few - 1)
        count = 0
        for g in range(groups):
            if not (some and nearest[g] > bound):
                j = g
                while j < n:
                    if not (some and rough[row, j] > bound):
                        square = 0.0
                        for i in range(d):
                            apart = points[j, i] - queries[row, i]
                            square += apart * apart
                        squares[count], which[count] = square, j
                        count += 1
                    j += groups
        border[row] = bound if count < n else np.inf
        first_sorted(squares, which, count, k)
        for place in range(k):
            distances[row, place], indices[row, place] = np.sqrt(squares[place]), which[place]


def rank(values: NDArray[Any], place: int) -> Any:
    """The value that would stand at a place if the values were in order; their order is changed."""
    low, high = 0, values.shape[0] - 1
    while low < high:
        pivot = values[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while pivot < values[j]:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if place <= j:
            high = j
        elif place >= i:
            low = i
        else:
            break
    return values[place]


def first_sorted(values: NDArray[np.float64], which: NDArray[np.int64], count: int, k: int) -> None:
    """Bring the k smallest of `count` values to the front, in order, and their numbers with them."""
    for place in range(1, count):
        value, number = values[place], which[place]
        i = min(place, k)
        # Whatever falls behind place k is lost.
        if i == k and not (value < values[k - 1] or (value == values[k - 1] and number < which[k - 1])):
            continue
        i = min(place, k - 1)
        while i > 0 and (values[i - 1] > value or (values[i - 1] == value and which[i - 1] > number)):
            values[i], which[i] = values[i - 1], which[i - 1]
            i -= 1
        values[i], which[i] = value, number


@lru_cache(maxsize=2)
def _machine_code(kind: str) -> Callable[..., None]:
    rows = "float64[:, ::1]"
    return machine_code(
        choose_rows,
        f"void({kind}[:, ::1], {rows}, {rows}, int64, int64, {rows}, int64[:, ::1], float64[::1])",
        helpers=(rank, first_sorted),
        fastmath={"reassoc", "contract"},
    )
