"""`intrinsic_dimension`: the dimension of points by several estimators, read at the scale where it holds.

What a curve of dimension over scales says: the number at its scale, its error, and when there is none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, overload

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.dimension.estimators import LEAST_K, MEASURES, THRESHOLDS, USUAL_K, Options, Seen, usual_scales
from lyapmap.analysis.neighbors.duplicates import tell_apart
from lyapmap.analysis.neighbors.graph import Graph, neighbor_graph
from lyapmap.analysis.orbits.trajectory import Trajectory
from lyapmap.core.arguments import given, one_of, positive, whole
from lyapmap.core.demand import held, of_points
from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.core.plain import with_error
from lyapmap.core.points import as_points, rounding
from lyapmap.core.results import Result, Status, Verdict, dims
from lyapmap.core.run import Report, Run

BENT = {"gride": 0.3, "twonn": 0.3, "mle": 0.2, "pca": 0.5}
"""Standard error for edges, curvature and changes of density, as a share of the dimension where neighbourhoods are as
wide as the points are apart, and less in proportion; from tori, spheres, cubes and Gaussians (`docs/dimension.md`)."""
FREE_CHOICE = 1.15
"""How much the choice of its scale adds to the error of Gride."""
ROUNDING = 100
"""Distances of fewer roundings of the largest value than that are rounding themselves."""
IN_ORDER = 0.3
"""Share of points whose nearest neighbour stands next to them that makes them a path."""
UNLIKE = 3.0
"""Ratio of the largest local dimensions to the smallest, by tenths of the points, that is told."""
MANY_TIES, MOST_TIES = 0.01, 0.25
"""Share of points with both neighbours at the same distance that is told, and that is too many."""
CLOSE, MANY_CLOSE = 1e-4, 0.01
"""Nearest neighbours so much nearer than the median are near duplicates; the share that is told."""
CLEAR_DRIFT, CERTAIN = 0.1, 3.0
"""Change of the dimension over the larger scales, relative and in standard errors, that is told."""
FAR = 2.0
"""Factor by which it rises with the scale where there is none, as of near twins; edges, noise and clusters lower it."""


def nothing(given: int) -> dict[str, Any]:
    """A result without an estimate."""
    none = np.empty(0)
    numbers = dict.fromkeys(("dimension", "stderr", "statistical", "systematic", "scale", "drift"), math.nan)
    curve = dict.fromkeys(("scales", "dimension_by_scale", "stderr_by_scale"), none)
    return {
        "status": Status.NOT_CONVERGED,
        "message": "",
        **numbers,
        **curve,
        "neighbors": 0,
        "neighbors_by_scale": np.empty(0, dtype=np.int64),
        "local": np.full(given, np.nan),
        "plateau": (math.nan, math.nan),
    }


def read(
    seen: Seen, graph: Graph, rows: NDArray[np.float64], which: NDArray[np.int64], method: str, *, free: bool
) -> dict[str, Any]:
    """The chosen scale of a curve, and what is to be said of it; `free` if the scale was chosen among others."""
    at, n, by_distances = seen.steadiest, len(rows), method != "pca"
    d, error = float(seen.dimension[at]), float(seen.stderr[at])
    beyond = seen.dimension[at + 1 :] if at + 1 < len(seen.dimension) else seen.dimension[:at][::-1]
    drift = float(beyond[0]) - d if len(beyond) else math.nan
    finite = np.isfinite(seen.dimension)
    first, last = seen.plateau()
    unread = nothing(len(which)) | {
        "scales": seen.scale,
        "dimension_by_scale": np.where(finite, seen.dimension, np.nan),
        "stderr_by_scale": np.where(finite, seen.stderr, np.nan),
        "neighbors_by_scale": seen.neighbors,
    }
    if seen.ties > MOST_TIES or not math.isfinite(d):
        share = f"{100 * seen.ties:.0f} % of the points have neighbours at exactly the same distance"
        return unread | {"message": f"{share}: the values are discrete"}
    if float(seen.scale[at]) < ROUNDING * rounding(rows):
        return unread | {"message": "neighbours are as near as rounding: points on few places have dimension 0"}
    # The variance of each coordinate by itself needs no second copy of all points.
    widest = math.sqrt(2 * sum(float(column.var()) for column in rows.T))
    sample = FREE_CHOICE * error if free else error
    bent = d * math.hypot(BENT[method] * float(seen.scale[at]) / widest, seen.ties)
    reading = unread | {
        "status": Status.OK,
        "dimension": d,
        "stderr": math.hypot(sample, bent),
        "statistical": sample,
        "systematic": bent,
        "scale": float(seen.scale[at]),
        "drift": drift,
        "local": seen.local[which],
        "plateau": (float(seen.scale[first]), float(seen.scale[last])),
    }
    words = []
    if seen.ties > MANY_TIES:
        words.append(f"{100 * seen.ties:.0f} % of the points have neighbours at exactly the same distance (discrete)")
    nearest = graph[0][:, 0]
    close = float((nearest < CLOSE * np.median(nearest)).mean())
    if close > MANY_CLOSE:
        words.append(f"{100 * close:.0f} % of the points nearly repeat another one, which lowers the small scales")
    path = along_a_path(graph[1], d, reading["stderr"])
    if path:
        return unread | {"message": path}
    wanders = len(beyond) > 0 and abs(beyond[-1] - d) > max(CLEAR_DRIFT * d, CERTAIN * error)
    near, far = (d, float(beyond[-1])) if at + 1 < len(seen.dimension) else (float(seen.dimension[0]), d)
    if wanders and far > FAR * near:
        return unread | {"message": f"no scale: with it the dimension rises from {near:.1f} to {far:.1f}"}
    low, high = np.nanquantile(reading["local"], (0.1, 0.9)) if np.isfinite(reading["local"]).any() else (1.0, 1.0)
    if high > UNLIKE * max(low, 1e-9):
        words.append(f"no single dimension: about the points it goes from {low:.1f} to {high:.1f}")
    if wanders:
        words.append(f"no plateau: over the scales it goes from {d:.1f} to {beyond[-1]:.1f}")
    k = int(seen.neighbors[at])
    if not by_distances and d > k / 2:
        words.append(f"{k} neighbours can show at most {k} directions: raise k")
    most = 2 * math.log10(n)
    if d > most and by_distances:
        words.append(f"a lower bound: {n} points cannot tell dimensions above {most:.1f} apart")
    return reading | {"message": "; ".join(words)}


def along_a_path(indices: NDArray[np.int64], dimension: float, stderr: float) -> str:
    """What is wrong with points in the order of a path finer than its strands are apart; empty if nothing is.

    Their nearest neighbours are the steps before and after, which tell the dimension of a curve.
    """
    share = float((np.abs(indices[:, 0] - np.arange(len(indices))) == 1).mean())
    if share < IN_ORDER or abs(dimension - 1) < CERTAIN * stderr:
        return ""
    return (
        f"{100 * share:.0f} % of the points have the one before or after as their nearest, as along a path, which has "
        "dimension 1; leave out points close in time, or shuffle them if their order means nothing"
    )


METHODS = ("gride", "twonn", "mle", "pca", "correlation")
FEWEST_POINTS, ENOUGH_POINTS = 10, 50
"""Below the first points are no set; below the second errors do not hold what they should (`docs/dimension.md`)."""


@dataclass(frozen=True, kw_only=True)
class DimensionEstimate(Result):
    """Intrinsic dimension, at the scale that it speaks of and at others.

    Attributes
    ----------
    dimension, stderr : float
        NaN where there is no estimate. The error holds that of the sample of points and an allowance for edges,
        curvature and changes of density, which grows with the neighbourhoods; noise is no part of it.
    statistical, systematic : float
        These two parts of it.
    scale : float
        Mean distance to the farthest neighbour that the estimate looks at; for "correlation" the
        geometric mean of the radii that its slope was taken between.
    drift : float
        Change of the dimension to the next larger scale on the curve (the next smaller one, at its
        end); NaN where there is one scale only. Of "correlation", the error of its window.
    neighbors : int
        Rank of that farthest neighbour; 0 for "correlation".
    local : (N,)
        Dimension about each point given, in their order; NaN where it has none. No entries for
        "correlation".
    scales, dimension_by_scale, stderr_by_scale : (m,)
        The same over scales, with errors of the sample alone. For "correlation", radii and the slope there,
        without errors.
    neighbors_by_scale : (m,)
    plateau : (float, float)
        Scales about `scale` between which the dimension does not change within its errors.
    method : str
    duplicates : int
        Points given that repeat another one, and were dropped.
    n_points : int
        Different points.
    """

    DRAWN_BY: ClassVar[str] = "lyapmap.analysis.dimension.pictures_dimension.draw_dimension"
    SUMMARY: ClassVar[tuple[str, ...]] = ("dimension", "method", "scale", "n_points", "duplicates")
    REMEDIES: ClassVar[dict[Status, str]] = {
        Status.NOT_CONVERGED: "give more different points, or values that are not rounded"
    }

    dimension: float
    stderr: float
    scale: float
    drift: float
    neighbors: int
    local: NDArray[np.float64] = dims("point")
    scales: NDArray[np.float64] = dims("scale")
    dimension_by_scale: NDArray[np.float64] = dims("scale")
    stderr_by_scale: NDArray[np.float64] = dims("scale")
    neighbors_by_scale: NDArray[np.int64] = dims("scale")
    plateau: tuple[float, float]
    method: str
    duplicates: int
    n_points: int
    statistical: float = math.nan
    systematic: float = math.nan

    def _finding(self) -> str:
        size = with_error(self.dimension, self.stderr)
        where = f"seen at distances of about {self.scale:.3g} ({self.n_points} points)"
        return f"The points lie about a shape of dimension {size}, {where}."


@overload
def intrinsic_dimension(
    points: Any,
    *,
    method: str = "gride",
    k: int | None = None,
    scales: Sequence[int] | None = None,
    discard_fraction: float = 0.1,
    fit: str = "regression",
    average: str = "mackay-ghahramani",
    rule: str = "fukunaga-olsen",
    threshold: float | None = None,
    graph: Graph | None = None,
    approximate: bool = False,
    seed: int | None = None,
    throw: bool = True,
    progress: bool | Report = False,
) -> DimensionEstimate: ...


@overload
def intrinsic_dimension(
    points: Any,
    *,
    method: list[str] | tuple[str, ...],
    k: int | None = None,
    scales: Sequence[int] | None = None,
    discard_fraction: float = 0.1,
    fit: str = "regression",
    average: str = "mackay-ghahramani",
    rule: str = "fukunaga-olsen",
    threshold: float | None = None,
    graph: Graph | None = None,
    approximate: bool = False,
    seed: int | None = None,
    throw: bool = True,
    progress: bool | Report = False,
) -> dict[str, DimensionEstimate]: ...


def intrinsic_dimension(
    points: Any,
    *,
    method: str | list[str] | tuple[str, ...] = "gride",
    k: int | None = None,
    scales: Sequence[int] | None = None,
    discard_fraction: float = 0.1,
    fit: str = "regression",
    average: str = "mackay-ghahramani",
    rule: str = "fukunaga-olsen",
    threshold: float | None = None,
    graph: Graph | None = None,
    approximate: bool = False,
    seed: int | None = None,
    throw: bool = True,
    progress: bool | Report = False,
) -> DimensionEstimate | dict[str, DimensionEstimate]:
    """Intrinsic dimension of points, with its error, the scale it speaks of and a curve over scales.

    Parameters
    ----------
    points : (N, d), (N, ...) or Trajectory
        An array holds N points: images are points of as many values as they have pixels. So are the states of
        a `Trajectory`. Points that repeat another one exactly are dropped and counted: neighbours at no
        distance have no ratio, and a repeated point says nothing of the space about it.
    method : "gride", "twonn", "mle", "pca" or "correlation", or a list of them
        Several share one search for neighbours, which is what takes time.

        Gride takes the ratio of the distances of neighbours n and 2n, at the scale n = 1, 2, 4, ...
        where the curve begins to be flat. TwoNN is the ratio of the second to the first
        neighbour. MLE uses all of k neighbours. "pca" counts the directions along which k
        neighbours spread. "correlation" is `correlation_dimension` of points without order in time.
    k : int, optional
        Neighbours of each point: 64 for "gride" and 16 for "twonn", which end the curve, 20 for
        "mle" and 50 for "pca", which the estimate uses; fewer by default where there are fewer points.
    scales : sequence of int, optional
        Ranks on the curve: n of "gride" and "twonn", numbers of neighbours of "mle" and "pca".
        With one rank, "gride" takes that.
    discard_fraction : float
        Share of the largest ratios that "twonn" leaves out (regression) or takes as censored (mle).
    fit : "regression" or "mle"
        Of "twonn".
    average : "mackay-ghahramani" or "levina-bickel"
        Of "mle": of the inverse local dimensions, or of the local dimensions.
    rule : "fukunaga-olsen" or "ratio"
        Of "pca": variances above `threshold` of the largest, or all but `threshold` of the variance.
    threshold : float, optional
        0.05 for both rules.
    graph : (distances, indices), optional
        Of `neighbor_graph(drop_duplicates(points)[0], k)`, to be used again.
    approximate : bool
        Let pynndescent find the neighbours.
    seed : int, optional
        Of the approximate search and of "correlation".
    throw : bool
        Raise if there is no estimate; else return the result with status not_converged.
    progress : bool or function
        Show a bar on a terminal, or call a function with (points done, points in all).

    Returns
    -------
    DimensionEstimate, or dict of them
        One for each method by its name, in the order asked for, if `method` is a list.

    Raises
    ------
    LyapmapError, ShapeError
        If the points or an option cannot be used.
    RunError
        If there is no estimate, or none by one of several methods, and `throw`.

    Notes
    -----
    All methods take the density for constant over a neighbourhood. Edges and curvature make high
    dimensions come out too low unless the number of points grows exponentially with them: N points
    show dimensions above 2 log10 N as a lower bound only, and the message says so. Fewer than 50
    different points have no dimension.

    References
    ----------
    E. Facco, M. d'Errico, A. Rodriguez, A. Laio, Sci. Rep. 7 (2017) 12140.
    F. Denti, D. Doimo, A. Laio, A. Mira, Sci. Rep. 12 (2022) 20005.
    E. Levina, P. Bickel, NIPS 17 (2004) 777.
    J.-P. Eckmann, D. Ruelle, Physica D 56 (1992) 185.

    Examples
    --------
    >>> import lyapmap as lm
    >>> plane = np.random.default_rng(0).uniform(size=(2000, 2)) @ [[1, 0, 1, 0], [0, 2, 0, 1]]
    >>> estimate = lm.intrinsic_dimension(plane)
    >>> bool(abs(estimate.dimension - 2) < 3 * estimate.stderr), estimate.duplicates
    (True, 0)
    >>> estimates = lm.intrinsic_dimension(plane, method=["gride", "twonn"])
    >>> {name: round(estimate.dimension, 1) for name, estimate in estimates.items()}
    {'gride': 2.0, 'twonn': 2.0}
    """
    methods = (method,) if isinstance(method, str) else tuple(method)
    for name in methods:
        one_of("method", name, METHODS)
    if not methods or len(set(methods)) < len(methods):
        raise LyapmapError(f"method: expected different methods, got {method!r}")
    options = _options(fit, average, rule, threshold, discard_fraction)
    counts = {name: given(whole, "k", k, LEAST_K.get(name, 1)) for name in methods}
    run = Run("local PCA", seed=seed, progress=progress)
    all_rows, words = point_rows(points)
    rows, which = tell_apart(all_rows)
    n, n_given = len(rows), len(which)
    if n_given < FEWEST_POINTS:
        mend = "".join(f"; {word}, trajectories (b, N, d) need points.reshape(-1, d)" for word in words)
        raise LyapmapError(f"points: expected at least {FEWEST_POINTS}, got {n_given}{mend}")
    if n_given > n >= ENOUGH_POINTS:
        words.append(f"{n_given - n} of {n_given} points repeat others and were dropped")
    settings: dict[str, dict[str, Any]] = {
        name: {"method": name, "k": counts[name], "approximate": approximate, **options.of(name)} for name in methods
    }
    readings: dict[str, dict[str, Any]] = {}

    def trial(some: slice) -> None:
        intrinsic_dimension(
            rows[some],
            method=list(methods),
            k=k,
            discard_fraction=discard_fraction,
            fit=fit,
            average=average,
            rule=rule,
            threshold=threshold,
            approximate=approximate,
            seed=run.seed,
            throw=False,
        )

    if n >= ENOUGH_POINTS:
        by_graph = [name for name in methods if name != "correlation"]
        most_near = max((_ranks(name, counts[name], scales, n, graph)[0] for name in by_graph), default=0)
        neighbours = held("neighbours", 3 * 16, points=n, k=most_near + 1)
        run.needs(of_points([held("points", 3 * 8, points=n, _d=rows.shape[1]), neighbours], n, trial))
    with run.steps() as report:
        if n < ENOUGH_POINTS:
            readings = {name: nothing(n_given) | {"message": _too_few(n, n_given)} for name in methods}
            methods = ()
        ranks = {name: _ranks(name, counts[name], scales, n, graph) for name in methods if name != "correlation"}
        if ranks:
            if graph is None:
                most = max(wanted for wanted, _ in ranks.values())
                graph = neighbor_graph(rows, most, approximate=approximate, seed=run.seed, progress=progress)
            _check_graph(graph, n)
        for name in methods:
            if graph is None or name not in ranks:
                readings[name] = _by_correlation(rows, run.seed)
                continue
            wanted, curve = ranks[name]
            settings[name] |= {"k": wanted, "scales": curve}
            # A graph may hold more neighbours than this method wants, for others.
            near: Graph = graph[0][:, :wanted], graph[1][:, :wanted]
            seen = MEASURES[name](rows, near, curve, wanted, options, report)
            readings[name] = read(seen, near, rows, which, name, free=name == "gride" and len(curve) > 1)
            readings[name]["neighbors"] = int(seen.neighbors[seen.steadiest])
    estimates = {}
    for name, reading in readings.items():
        remarks = [word for word in (reading.pop("message"), *words) if word]
        estimate = DimensionEstimate(
            **run.ending(Verdict(reading.pop("status"), "; ".join(remarks))),
            settings=settings[name],
            method=name,
            duplicates=n_given - n,
            n_points=n,
            **reading,
        )
        estimates[name] = run.finish(estimate, throw)
    return estimates[method] if isinstance(method, str) else estimates


def _options(fit: str, average: str, rule: str, threshold: float | None, discard_fraction: float) -> Options:
    one_of("fit", fit, ("regression", "mle"))
    one_of("average", average, ("mackay-ghahramani", "levina-bickel"))
    one_of("rule", rule, THRESHOLDS)
    share = THRESHOLDS[rule] if threshold is None else positive("threshold", threshold)
    if share >= 1:
        raise LyapmapError(f"threshold: expected a share below 1, got {threshold}")
    if not (isinstance(discard_fraction, int | float) and 0 <= discard_fraction < 0.9):
        raise LyapmapError(f"discard_fraction: expected a share from 0 to 0.9, got {discard_fraction!r}")
    return Options(fit, float(discard_fraction), average, rule, share)


def point_rows(points: Any, name: str = "points") -> tuple[NDArray[np.float64], list[str]]:
    """Finite rows (N, d) of points (N, ...) or of a `Trajectory`, and what is to be said of their shape."""
    if isinstance(points, Trajectory):
        return as_points(points.states.reshape(-1, points.states.shape[-1]), name), []
    rows = as_points(points, name)
    if np.ndim(points) != 3:
        return rows, []
    # Trajectories (b, N, d) look the same.
    return rows, [f"an array {tuple(np.shape(points))} is {len(rows)} points of {rows.shape[1]} values"]


def _too_few(n: int, given: int) -> str:
    if n == 1:
        return f"all {given} points are the same: a fixed point has dimension 0"
    if n == given or n >= FEWEST_POINTS:
        of = f"{n} points" if n == given else f"{n} different points of {given}"
        return f"{of} are too few for a dimension, which needs {ENOUGH_POINTS}"
    return f"only {n} of {given} points differ: a cycle has dimension 0"


def _ranks(
    method: str, k: int | None, scales: Sequence[int] | None, n: int, graph: Graph | None
) -> tuple[int, list[int]]:
    """Neighbours needed of each point, and the ranks of the curve."""
    most = n - 1 if graph is None else min(n - 1, np.shape(graph[0])[-1])
    source = f"{n} different points" if graph is None else f"a graph of {most} neighbours"
    factor = 2 if method in ("gride", "twonn") else 1
    if scales is None:
        # Beyond a quarter of all points a neighbourhood is the whole set.
        wanted = k if k is not None else max(LEAST_K[method], min(USUAL_K[method], most, n // 4))
        ranks = usual_scales(method, wanted, min(most, n // 2))
    else:
        ranks = sorted({whole("scales", rank, 1 if factor == 2 else LEAST_K[method]) for rank in scales})
        if not ranks:
            raise LyapmapError("scales: expected at least one rank")
        wanted = k if k is not None else factor * max(ranks)
    if method == "twonn" and 1 not in ranks:
        ranks = [1, *ranks]
    if factor == 1 and wanted not in ranks:
        ranks = sorted([*ranks, wanted])
    name = "k" if scales is None or k is not None else "scales"
    needed = max(wanted, factor * ranks[-1])
    if needed > most:
        raise LyapmapError(f"{name}: {needed} neighbours asked for, {source} can give {most}")
    return (needed if factor == 2 else wanted), ranks


def _check_graph(graph: Graph, n: int) -> None:
    distances, indices = graph
    if np.shape(distances) != np.shape(indices) or np.ndim(distances) != 2 or len(distances) != n:
        raise ShapeError(
            f"graph: expected distances and indices ({n}, k) of the different points, got "
            f"{np.shape(distances)} and {np.shape(indices)}"
        )
    if not (np.asarray(distances)[:, 0] > 0).all():
        raise LyapmapError("graph: some neighbours are at distance 0; make it of drop_duplicates(points)[0]")


def _by_correlation(rows: NDArray[np.float64], seed: int) -> dict[str, Any]:
    from lyapmap.analysis.dimension.correlation import correlation_dimension

    result = correlation_dimension(rows, theiler=0, seed=seed, throw=False)
    low, high = result.window
    seen = result.pairs > 0
    path = "" if result.failed else along_a_path(neighbor_graph(rows, 1)[1], result.dimension, result.stderr)
    none = result.failed or bool(path)
    return nothing(0) | {
        "status": Status.NOT_CONVERGED if none else Status.OK,
        "message": path or result.message,
        "dimension": math.nan if none else result.dimension,
        "stderr": math.nan if none else result.stderr,
        "statistical": math.nan if none else result.statistical,
        "systematic": math.nan if none else result.systematic,
        "scale": math.sqrt(low * high),
        "drift": result.systematic,
        "scales": result.radii[seen],
        "dimension_by_scale": result.local_slope[seen],
        "stderr_by_scale": np.full(int(seen.sum()), np.nan),
        "neighbors_by_scale": np.zeros(int(seen.sum()), dtype=np.int64),
        "plateau": result.window,
    }
