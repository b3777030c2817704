"""What an embedding is given, checked: samples, trajectories, categories, neighbours."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.manifold.umap_model import FoundNeighbors, fitted, load_umap, parts_of, quiet
from lyapmap.analysis.neighbors.duplicates import tell_apart
from lyapmap.analysis.neighbors.graph import neighbor_graph
from lyapmap.analysis.neighbors.search import METRICS, ApproximateSearch, Graph, Points, Search, exact_search
from lyapmap.core.arguments import one_of, whole
from lyapmap.core.conformance import as_tangent_map
from lyapmap.core.demand import held, of_points
from lyapmap.core.errors import LyapmapError, RunError, ShapeError
from lyapmap.core.map import Map, as_states
from lyapmap.core.points import as_points, real_array
from lyapmap.core.propagate import step_states
from lyapmap.core.results import Result, Verdict, dims
from lyapmap.core.run import Report, Run


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
    for inner in (shape, (int(np.prod(shape)),)):
        outer = array.shape[: array.ndim - len(inner)]
        if len(outer) in (1, 2) and array.shape[len(outer) :] == inner:
            return (
                array.reshape((1, *outer, -1) if len(outer) == 1 else (*outer, -1))
                if array.size
                else np.zeros((1, 0, int(np.prod(shape))))
            )
    raise ShapeError(
        f"states: expected points (n, {int(np.prod(shape))}), trajectories (b, n, {int(np.prod(shape))}), "
        f"or samples of shape {shape} in their place, got {array.shape}"
    )


TRANSFORM_EPOCHS = 100
"""Passes that other points are moved for, however many they are."""


@dataclass(frozen=True, kw_only=True)
class Embedding(Result):
    """Data in the plane, and the way there for other points.

    Attributes
    ----------
    data : (m, n_components) float32
        Coordinates of the points fitted.
    labels : (m,)
        Their categories; empty if none were given.
    label_names : tuple of str
        Of the different labels, in ascending order.
    points : (m, d)
        The points fitted.
    neighbor_distance, neighbor_index : (m, n_neighbors - 1)
        Their neighbours.
    curve : (float, float)
        a and b of the curve 1 / (1 + a x^2b) that `min_dist` stands for.
    sample_shape : tuple of int
        Shape of one sample.
    seed : int
    """

    data: NDArray[np.float32] = dims("point", "axis")
    labels: NDArray[np.int64] = dims("label")
    label_names: tuple[str, ...]
    points: NDArray[Any] = dims("point", "component")
    neighbor_distance: NDArray[np.float64] = dims("point", "neighbor")
    neighbor_index: NDArray[np.int64] = dims("point", "neighbor")
    curve: tuple[float, float]
    sample_shape: tuple[int, ...]
    seed: int

    def transform(self, points: Any) -> NDArray[np.float32]:
        """Coordinates of other points.

        Each depends on that point alone: neither on the others given with it, nor on their order. A
        point that was fitted comes out where it lies in `data`.

        Parameters
        ----------
        points : (n, d) or (n, *sample_shape)
            Points of the same width as those that were fitted.

        Returns
        -------
        (n, n_components) float32

        Raises
        ------
        ShapeError, LyapmapError
            If they are no points of this width, or not finite.
        RunError
            If UMAP places one nowhere.
        Interrupted
            On Ctrl-C.
        """
        rows = as_rows(points, "points", self.sample_shape)
        if len(rows) == 0:
            return np.zeros((0, self.data.shape[1]), np.float32)
        with Run("layout").steps():
            distances, indices = self._search(rows, self.settings["n_neighbors"])
            placed = self._placed(distances, indices)
        known = distances[:, 0] == 0
        placed[known] = self.data[indices[known, 0]]
        if not np.isfinite(placed).all():
            lost = int((~np.isfinite(placed).all(axis=1)).argmax())
            raise RunError(f"point {lost} has no place: it is too far from the data", self)
        return placed

    def place(self, states: Any, *, at: Any = None) -> EmbeddedStates:
        """Coordinates of trajectories, or of points in their order.

        Parameters
        ----------
        states : Trajectory, (n, d), (b, n, d), (n, *sample_shape) or (b, n, *sample_shape)
            A trajectory, several of them, or single points.
        at : sequence of int, optional
            Steps to keep, a panel each in the picture; all in one, coloured by time, if not given.

        Returns
        -------
        EmbeddedStates

        Raises
        ------
        ShapeError, LyapmapError
            If they are no states of this width, not finite, or have no such step.

        Examples
        --------
        ``embedding.place(lm.trajectory(generator, x0, n_steps=10), at=(0, 1, 2, 3, 10)).plot()``
        """
        run = Run("trajectories")
        first, origin = 0, {}
        if hasattr(states, "states"):
            first, origin = int(states.settings.get("transient", 0)), states.provenance
            states = states.states
        batch = as_trajectories(states, self.sample_shape)
        steps = np.arange(first, first + batch.shape[1])
        if at is not None:
            steps = np.array([whole("at", step, 0) for step in np.ravel(at)], dtype=np.int64)
            wrong = (steps < first) | (steps >= first + batch.shape[1])
            if wrong.any() or not len(steps):
                raise LyapmapError(
                    f"at: expected steps from {first} to {first + batch.shape[1] - 1}, got {', '.join(map(str, steps))}"
                )
        return self._result(batch[:, steps - first], steps, panels=at is not None, origin=origin, run=run)

    def along(
        self,
        map: Map,  # noqa: A002  # the field's own word
        x0: Any,
        *,
        at: Any,
        progress: bool | Report = False,
    ) -> EmbeddedStates:
        """Coordinates of an ensemble at chosen steps of a map; the states between are not kept.

        Parameters
        ----------
        map : Map
            Any map; `lyapmap.wrap` makes one of a function or a network.
        x0 : (b, n) or (b, *state_shape)
            Initial states of the ensemble.
        at : sequence of int
            Ascending; 0 is `x0` itself.
        progress : bool or function
            Show a bar on a terminal, or call a function with (steps done, steps in all).

        Returns
        -------
        EmbeddedStates

        Raises
        ------
        ShapeError, LyapmapError
            If states of the map are no points of this width, or `at` does not ascend.
        RunError
            If a state is not finite.
        Interrupted
            On Ctrl-C.
        """
        steps = np.array([whole("at", step, 0) for step in np.ravel(at)], dtype=np.int64)
        if not len(steps) or (np.diff(steps) <= 0).any():
            raise LyapmapError(f"at: expected ascending steps, got {', '.join(str(step) for step in steps) or 'none'}")
        tangent_map = as_tangent_map(map)
        x, _ = as_states(x0, tangent_map)
        as_rows(tangent_map.ops.to_numpy(x)[:0], "x0", self.sample_shape)
        kept, done = [], 0
        run = Run("trajectories", tangent_map, progress=progress)
        with run.steps() as report:
            for step in steps:
                x = step_states(tangent_map, x, n_steps=int(step) - done, first_step=done)
                done = int(step)
                kept.append(tangent_map.ops.to_numpy(x))
                if not np.isfinite(kept[-1]).all():
                    raise RunError(f"escaped: a state is not finite after step {done}", None)
                report(done, int(steps[-1]))
        return self._result(np.stack(kept, axis=1), steps, panels=True, origin=run.provenance(), run=run)

    def _result(
        self, states: NDArray[Any], steps: NDArray[np.int64], *, panels: bool, origin: dict[str, Any], run: Run
    ) -> EmbeddedStates:
        placed = self.transform(states.reshape(-1, self._width))
        named = {key: origin[key] for key in ("model", "map", "sha256", "device", "dtype") if key in origin}
        ending = run.ending(Verdict(message=self.message))
        ending["provenance"] = self.provenance | named | {"seconds": round(run.seconds, 4)}
        return EmbeddedStates(
            **ending,
            settings=self.settings | {"panels": panels},
            data=self.data,
            labels=self.labels,
            label_names=self.label_names,
            coordinates=placed.reshape(*states.shape[:2], self.data.shape[1]),
            at=steps,
        )

    def plot(self, points: Any = None, *, at: Any = None, **options: Any) -> Any:
        """Draw the data in light colours, with other points on top.

        Parameters
        ----------
        points, at
            As `place` takes them; the data alone if none are given.
        **options
            Of `lyapmap.views.draw_embedding`.

        Returns
        -------
        matplotlib.figure.Figure
        """
        none = np.zeros((0, self._width))
        return self.place(none if points is None else points, at=at).plot(**options)

    @property
    def _width(self) -> int:
        return int(self.points.shape[1])

    @cached_property
    def _search(self) -> Search:
        rows = as_points(self.points)
        if self.settings["approximate"]:
            return ApproximateSearch(rows, self.settings["metric"], self.settings["n_neighbors"], self.seed)
        return exact_search(rows, self.settings["metric"])

    @cached_property
    def _model(self) -> Any:
        """UMAP as it is after the fit, made of the arrays: a fit from these places on, without a step."""
        graph = self.neighbor_distance, self.neighbor_index
        model = fitted(
            as_points(self.points), graph, self.settings, self.seed, init=self.data, n_epochs=0, curve=self.curve
        )
        model.embedding_ = np.ascontiguousarray(self.data, dtype=np.float32)
        model.n_epochs = 3 * TRANSFORM_EPOCHS  # of which it takes a third to place other points
        return model

    def _placed(self, distances: Points, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """UMAP's way for other points, with their neighbours at hand.

        It weighs the neighbours by the largest weight, and bounds scales by the mean distance, of
        all that are placed at once. A fitted point beside them has the largest weight there is, and
        distances in units of each row's mean have the mean 1: no point depends on the others.
        """
        own = np.concatenate([[0.0], self.neighbor_distance[0]]), np.concatenate([[0], self.neighbor_index[0]])
        table, which = np.vstack([own[0], distances]), np.vstack([own[1], indices])
        mean = table.mean(axis=1, keepdims=True)
        model = copy.copy(self._model)
        model._knn_search_index = FoundNeighbors((table / np.where(mean > 0, mean, 1)).astype(np.float32), which)
        with quiet():
            placed = model.transform(np.zeros((len(which), self._width), np.float32))
        return np.array(placed[1:], dtype=np.float32)


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
        How distances are measured: the root of summed squares, the largest difference, or the sum of differences.
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
    one_of("metric", metric, METRICS)
    if not (isinstance(min_dist, int | float) and 0 <= min_dist <= 1):
        raise LyapmapError(f"min_dist: expected a number from 0 to 1, got {min_dist!r}")
    run = Run("layout", seed=seed, progress=progress)
    if run.seed >= 2**32:
        raise LyapmapError(f"seed: UMAP takes numbers below 2**32, got {run.seed}")
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
    arrays = [
        held("points", 3 * 8, points=len(rows), _d=rows.shape[1]),
        held("neighbours", 6 * 16, points=len(rows), n_neighbors=n_neighbors),
    ]

    def trial(some: slice) -> None:
        embed(
            given[some],
            n_neighbors=n_neighbors,
            min_dist=min_dist,
            metric=metric,
            n_components=n_components,
            approximate=approximate,
            seed=run.seed,
        )

    run.needs(of_points(arrays, len(rows), trial))
    settings = {
        "n_neighbors": n_neighbors,
        "min_dist": float(min_dist),
        "metric": metric,
        "n_components": n_components,
        "approximate": bool(approximate),
    }
    if graph is None:
        with Run("neighbours").steps():
            graph = neighbor_graph(
                rows, n_neighbors - 1, metric=metric, approximate=approximate, seed=run.seed, progress=progress
            )
    graph = checked_graph(graph, len(rows), n_neighbors - 1)
    with run.steps() as report:
        model = fitted(rows, graph, settings, run.seed, report=report)
    notes = []
    if different < len(rows):
        notes.append(f"{len(rows) - different} of {len(rows)} points repeat others")
    parts = parts_of(model.graph_)
    if parts > 1:
        notes.append(f"the neighbours fall into {parts} parts, which say nothing of each other's place")
    return Embedding(
        **run.ending(Verdict(message="; ".join(notes))),
        settings=settings,
        data=np.array(model.embedding_, dtype=np.float32),
        labels=numbers,
        label_names=names,
        points=given.reshape(len(rows), -1) if given.dtype in (np.float32, np.uint8) else rows,
        neighbor_distance=graph[0],
        neighbor_index=graph[1],
        curve=(float(model._a), float(model._b)),
        sample_shape=tuple(int(size) for size in given.shape[1:]),
        seed=run.seed,
    )


@dataclass(frozen=True, kw_only=True)
class EmbeddedStates(Result):
    """Coordinates of data, and of trajectories placed among them.

    Attributes
    ----------
    data : (m, n_components)
        Coordinates of the data.
    labels : (m,)
        Their categories; empty if there are none.
    label_names : tuple of str
        Of the different labels, in ascending order.
    coordinates : (b, s, n_components)
        Of b trajectories at s steps.
    at : (s,)
        The steps.
    """

    DRAWN_BY: ClassVar[str] = "lyapmap.analysis.manifold.pictures_embedding.draw_embedding"

    data: NDArray[np.float32] = dims("point", "axis")
    labels: NDArray[np.int64] = dims("label")
    label_names: tuple[str, ...]
    coordinates: NDArray[np.float32] = dims("trajectory", "step", "axis")
    at: NDArray[np.int64] = dims("step")

    def _finding(self) -> str:
        b, steps, _ = self.coordinates.shape
        placed = f", with {b} trajectories at {steps} steps among them" if b * steps else ""
        laid_out = f"{len(self.data)} points laid out so that neighbours stay neighbours{placed}"
        return f"{laid_out}; distances between clusters mean little."
