"""The layout of data in the plane by UMAP."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from lyapmap.analysis.manifold.embedding_input import as_rows, categories, checked_graph
from lyapmap.analysis.manifold.embedding_result import Embedding
from lyapmap.analysis.manifold.umap_import import load_umap
from lyapmap.analysis.manifold.umap_model import fitted, parts_of
from lyapmap.analysis.neighbors.graph import neighbor_graph, tell_apart
from lyapmap.analysis.neighbors.search import METRICS, Graph
from lyapmap.analysis.progress import Report, reporting
from lyapmap.core.arguments import seeded, whole
from lyapmap.core.errors import Interrupted, LyapmapError, ShapeError
from lyapmap.core.points import real_array
from lyapmap.core.results import Status, provenance

__all__ = ["Embedding", "embed"]


def embed(
    data: Any,
    *,
    labels: Any = None,
    n_neighbors: int = 15,
    min_dist: float = 0.1,
    metric: str = "euclidean",
    n_components: int = 2,
    graph: Graph | None = None,
    approximate: bool = False,
    seed: int | None = 0,
    progress: bool | Report = False,
) -> Embedding:
    """Lay data out in the plane by UMAP, so that other points can be placed among them.

    Parameters
    ----------
    data : (m, d) or (m, ...)
        Points, or images as rows of pixels.
    labels : (m,), optional
        Categories, integers or words, for the colours.
    n_neighbors : int
        Neighbours that make up the structure kept, the point itself among them.
    min_dist : float
        How close points may come, from 0 to 1.
    metric : "euclidean", "chebyshev" or "cityblock"
    n_components : int
        Dimensions of the layout.
    graph : (distances, indices), optional
        Of `neighbor_graph(data, k)` with k of n_neighbors - 1 or more, shared with other methods.
    approximate : bool
        Let pynndescent find neighbours. It compiles for one to two minutes in every process and misses
        some, which pays off from about fifty thousand images on.
    seed : int, optional
        The same seed gives the same layout on the same machine; None draws one.
    progress : bool or function
        Show a bar on a terminal, or call a function with (done, in all).

    Returns
    -------
    Embedding

    Raises
    ------
    LyapmapError, ShapeError
        If the data cannot be used: not finite, fewer different points than neighbours.
    MissingExtraError
        If umap-learn is not installed.
    Interrupted
        On Ctrl-C.

    Notes
    -----
    A layout shows which points are neighbours. Distances between clusters, their sizes and their
    density mean little, and every point gets a place among the data, also one that is like none
    of them: `manifold_metrics` counts those.

    References
    ----------
    L. McInnes, J. Healy, J. Melville, arXiv:1802.03426 (2018).

    Examples
    --------
    >>> import lyapmap as lm
    >>> digits = lm.data.load("digits", classes=(0, 1, 2))
    >>> embedding = lm.embed(digits.images, labels=digits.labels)  # doctest: +SKIP
    >>> embedding.plot(lm.trajectory(generator, digits.images[0], n_steps=1000))  # doctest: +SKIP
    """
    n_neighbors, n_components = whole("n_neighbors", n_neighbors, 2), whole("n_components", n_components, 1)
    if metric not in METRICS:
        raise LyapmapError(f"metric: expected {', '.join(METRICS)}, got {metric!r}")
    if not (isinstance(min_dist, int | float) and 0 <= min_dist <= 1):
        raise LyapmapError(f"min_dist: expected a number from 0 to 1, got {min_dist!r}")
    seed, _ = seeded(seed)
    if seed >= 2**32:
        raise LyapmapError(f"seed: UMAP takes numbers below 2**32, got {seed}")
    given = real_array(data, "data")
    if given.ndim < 2:
        raise ShapeError(f"data: expected points (m, d) or samples (m, ...), got shape {given.shape}")
    rows = as_rows(given, "data", given.shape[1:])
    numbers, names = categories(labels, len(rows))
    different = len(tell_apart(rows)[0])
    if different <= n_neighbors:
        same = "all points are the same" if different == 1 else f"got {different}"
        raise LyapmapError(f"data: {n_neighbors} neighbours need more than {n_neighbors} different points, {same}")
    load_umap()  # complain before the work
    begin = time.perf_counter()
    settings = {
        "n_neighbors": n_neighbors,
        "min_dist": float(min_dist),
        "metric": metric,
        "n_components": n_components,
        "approximate": bool(approximate),
    }
    try:
        if graph is None:
            graph = neighbor_graph(
                rows, n_neighbors - 1, metric=metric, approximate=approximate, seed=seed, progress=progress
            )
        graph = checked_graph(graph, len(rows), n_neighbors - 1)
        with reporting(progress, "layout") as report:
            model = fitted(rows, graph, settings, seed, report=report)
    except KeyboardInterrupt:
        raise Interrupted(None) from None
    notes = []
    if different < len(rows):
        notes.append(f"{len(rows) - different} of {len(rows)} points repeat others")
    parts = parts_of(model.graph_)
    if parts > 1:
        notes.append(f"the neighbours fall into {parts} parts, which say nothing of each other's place")
    return Embedding(
        status=Status.OK,
        message="; ".join(notes),
        settings=settings,
        provenance=provenance(None, seed=seed, seconds=time.perf_counter() - begin),
        data=np.array(model.embedding_, dtype=np.float32),
        labels=numbers,
        label_names=names,
        points=given.reshape(len(rows), -1) if given.dtype in (np.float32, np.uint8) else rows,
        neighbor_distance=graph[0],
        neighbor_index=graph[1],
        curve=(float(model._a), float(model._b)),
        sample_shape=tuple(int(size) for size in given.shape[1:]),
        seed=seed,
    )
