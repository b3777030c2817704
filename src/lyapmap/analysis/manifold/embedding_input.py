"""What an embedding is given, checked: samples, trajectories, categories, neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.neighbors.search import Graph, Points
from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.core.points import as_points, real_array


def as_rows(samples: Any, name: str, shape: tuple[int, ...]) -> Points:
    """Samples as finite float64 rows (n, d)."""
    array = real_array(samples, name)
    width = int(np.prod(shape))
    if array.ndim < 2 or array.shape[1:] not in (shape, (width,)):
        raise ShapeError(f"{name}: expected (n, {width}) or samples of shape {shape}, got {array.shape}")
    return as_points(array, name) if len(array) else np.zeros((0, width))


def plain_array(samples: Any) -> NDArray[Any]:
    return np.asarray(samples.detach().cpu() if hasattr(samples, "detach") else samples)


def categories(labels: Any, m: int) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    if labels is None:
        return np.zeros(0, np.int64), ()
    array = plain_array(labels)
    if array.shape != (m,):
        raise ShapeError(f"labels: expected one for each of {m} points, got shape {array.shape}")
    if array.dtype.kind in "iub":
        numbers = array.astype(np.int64)
        return numbers, tuple(map(str, np.unique(numbers)))
    if array.dtype.kind not in "UT":
        raise LyapmapError(f"labels: expected integers or words, got dtype {array.dtype}")
    names, which = np.unique(array, return_inverse=True)
    return which.astype(np.int64), tuple(map(str, names))


def checked_graph(graph: Graph, m: int, k: int) -> Graph:
    distances, indices = (np.asarray(part) for part in graph)
    if distances.shape != indices.shape or distances.ndim != 2 or len(distances) != m or distances.shape[1] < k:
        raise ShapeError(f"graph: expected distances and indices ({m}, {k} or more), got {distances.shape}")
    return distances[:, :k].astype(np.float64), indices[:, :k].astype(np.int64)


def as_trajectories(states: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    """States (b, n, d) of trajectories; points without more are one."""
    array = real_array(states, "states")
    for one in (shape, (int(np.prod(shape)),)):
        outer = array.shape[: array.ndim - len(one)]
        if len(outer) in (1, 2) and array.shape[len(outer) :] == one:
            return (
                array.reshape((1, *outer, -1) if len(outer) == 1 else (*outer, -1))
                if array.size
                else np.zeros((1, 0, int(np.prod(shape))))
            )
    raise ShapeError(
        f"states: expected points (n, {int(np.prod(shape))}), trajectories (b, n, {int(np.prod(shape))}), "
        f"or samples of shape {shape} in their place, got {array.shape}"
    )
