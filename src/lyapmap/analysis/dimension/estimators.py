"""TwoNN: the dimension from the ratio of each point's second to its first neighbour distance."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.neighbors.graph import Graph
from lyapmap.core.run import Report

Values = NDArray[np.float64]


def two_nn(log_ratios: Values, *, fit: str = "regression", discard_fraction: float = 0.1) -> tuple[float, Values]:
    """Dimension d from mu = r2 / r1, whose distribution is 1 - mu^-d on a manifold of any density.

    Parameters
    ----------
    log_ratios : (N,)
        log mu of each point.
    fit : "regression" or "mle"
        The slope through the origin of -log(1 - i/N) against the i-th smallest log mu, with the
        largest `discard_fraction` of them left out; or the maximum of the likelihood with those
        above that quantile known only to lie above it (none for a fraction of 0, where it is
        (N - 1) / sum log mu).

    Returns
    -------
    dimension : float
        Infinite where all ratios are 1.
    influence : (N,)
        Of each point on the dimension, mean zero.

    References
    ----------
    E. Facco, M. d'Errico, A. Rodriguez, A. Laio, Sci. Rep. 7 (2017) 12140, Eqs. 3 to 6.

    Examples
    --------
    >>> mu = np.random.default_rng(0).pareto(3.0, 40_000) + 1.0
    >>> round(two_nn(np.log(mu))[0], 1), round(two_nn(np.log(mu), fit="mle")[0], 1)
    (3.0, 3.0)
    """
    n = len(log_ratios)
    order = np.argsort(log_ratios, kind="stable")
    x = log_ratios[order]
    # The largest of all stands at log 0 and has no place in a regression.
    kept = min(int((1 - discard_fraction) * n), n - 1 if fit == "regression" else n)
    solve = _slope if fit == "regression" else _censored
    dimension, influence = solve(x, kept)
    placed = np.empty(n)
    placed[order] = influence - influence.mean()
    return dimension, placed


def _slope(x: Values, kept: int) -> tuple[float, Values]:
    n = len(x)
    beyond = 1 - np.arange(1, kept + 1) / n  # share of points above each
    y = -np.log(beyond)
    near = x[:kept]
    squares = float(near @ near)
    if squares == 0:
        return math.inf, np.zeros(n)
    slope = float(near @ y) / squares
    # A point moves the sum by its own term, and by the rank of every point above it.
    influence = np.zeros(n)
    influence[:kept] = near * y - slope * near**2 + np.cumsum((near / beyond)[::-1])[::-1] / n
    return slope, influence * (n / squares)


def _censored(x: Values, kept: int) -> tuple[float, Values]:
    seen = np.minimum(x, x[kept - 1])
    total = float(seen.sum())
    if total == 0:
        return math.inf, np.zeros(len(x))
    dimension = (kept - 1) / total  # one less: the estimate is unbiased
    known = np.arange(len(x)) < kept
    return dimension, (known - dimension * seen) * (len(x) / total)


SMALLEST = 1e-6
"""Least dimension that is looked for."""
STEPS = 200
PRECISION = 1e-12


def gride(log_ratios: Values, n1: int, n2: int) -> tuple[float, Values]:
    """Dimension d that makes the ratios mu = r_n2 / r_n1 most likely.

    With independent neighbourhoods of constant density, mu^-d has a beta distribution with
    parameters n1 and n2 - n1. N - 1 stands for N in the likelihood, so that n1 = 1, n2 = 2 is TwoNN's
    (N - 1) / sum log mu.

    Parameters
    ----------
    log_ratios : (N,)
        log mu of each point.
    n1, n2 : int
        Ranks of the two neighbours, n1 < n2.

    Returns
    -------
    dimension : float
        Infinite where all ratios are 1.
    influence : (N,)
        Of each point on the dimension, mean zero.

    References
    ----------
    F. Denti, D. Doimo, A. Laio, A. Mira, Sci. Rep. 12 (2022) 20005, Eqs. 7 to 9.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> round(gride(-np.log(rng.beta(8, 8, 40_000)) / 3.0, 8, 16)[0], 1)
    3.0
    """
    n = len(log_ratios)
    dimension = float(most_likely(log_ratios[None], n1, n2)[0])
    if not math.isfinite(dimension):
        return dimension, np.zeros(n)
    score, information = _score(np.array([[dimension]]), log_ratios[None], n1, n2)
    influence = score[0] / float(information.mean())
    return dimension, influence - influence.mean()


def most_likely(log_ratios: Values, n1: int, n2: int) -> Values:
    """The most likely dimension of each row (g, m) of ratios; infinite where all in a row are 1."""
    m = log_ratios.shape[1]
    total = log_ratios.sum(axis=1)
    with np.errstate(divide="ignore"):
        # The mean log ratio alone gives d up to a harmonic sum, exactly for n2 = n1 + 1.
        harmonic = float((1 / np.arange(n1, n2)).sum())
        dimensions = np.where(total > 0, harmonic * (m - 1) / total, np.inf)
    if n2 == n1 + 1:
        return dimensions
    todo = np.flatnonzero(np.isfinite(dimensions))
    for _ in range(STEPS):
        if not len(todo):
            break
        d = dimensions[todo, None]
        score, information = _score(d, log_ratios[todo], n1, n2)
        slope = score.sum(axis=1) - 1 / d[:, 0]
        # In log d the likelihood is close to a parabola, and d stays positive.
        step = np.clip(slope / (information.sum(axis=1) * d[:, 0]), -1, 1)
        dimensions[todo] = np.maximum(d[:, 0] * np.exp(step), SMALLEST)
        todo = todo[np.abs(step) > PRECISION]
    return dimensions


def _score(d: Values, t: Values, n1: int, n2: int) -> tuple[Values, Values]:
    """First derivative of the log likelihood by d, and minus the second; d is (g, 1), t is (g, m)."""
    x = np.maximum(d * t, 1e-12)
    between = n2 - n1 - 1
    with np.errstate(over="ignore"):
        grown = np.expm1(x)
    ratio = x / -np.expm1(-x)  # x / (1 - exp(-x)), 1 at 0
    curved = np.where(x < 1e-4, 1.0, x * ratio / np.maximum(grown, 1e-300))
    score = (1 + between * ratio - (n2 - 1) * x) / d
    information = (1 + between * curved) / d**2
    return score, information


def mle_dimension(distances: Values, *, average: str = "mackay-ghahramani") -> tuple[float, Values, Values]:
    """Dimension from s_i = sum over j < k of log(T_k / T_j), with T_j the distance to neighbour j.

    Parameters
    ----------
    distances : (N, k)
        Ascending, k at least 3.
    average : "mackay-ghahramani" or "levina-bickel"
        (k - 1) / mean(s), the likelihood of all points together; or the mean of (k - 2) / s, each
        unbiased for its point. Levina and Bickel's (k - 1) / s is too large by (k - 1) / (k - 2) on
        the average.

    Returns
    -------
    dimension : float
        Infinite where all neighbours of every point are equally far, or of one for "levina-bickel".
    influence : (N,)
        Of each point on the dimension, mean zero.
    local : (N,)
        (k - 2) / s; NaN where all neighbours are equally far.

    References
    ----------
    E. Levina, P. Bickel, NIPS 17 (2004) 777, Eqs. 8 and 9.
    D. MacKay, Z. Ghahramani, "Comments on 'Maximum likelihood estimation of intrinsic dimension'"
    (2005).

    Examples
    --------
    >>> within = np.random.default_rng(0).uniform(size=(4000, 20)) ** (1 / 3)  # of the unit ball
    >>> within[:, -1] = 1.0
    >>> round(mle_dimension(np.sort(within))[0], 1)
    3.0
    """
    k = distances.shape[1]
    sums = np.log(distances[:, -1:] / distances[:, :-1]).sum(axis=1)
    local = np.full(len(sums), np.nan)
    local[sums > 0] = (k - 2) / sums[sums > 0]
    if average == "levina-bickel":
        dimension = float(local.mean()) if (sums > 0).all() else math.inf
        influence = local - dimension
    else:
        mean = float(sums.mean())
        dimension = (k - 1) / mean if mean > 0 else math.inf
        influence = -dimension * (sums / mean - 1) if mean > 0 else sums
    return dimension, influence if math.isfinite(dimension) else np.zeros(len(sums)), local


BLOCK_VALUES = 4_000_000
"""Coordinates of neighbours in one block: 32 MB."""
THRESHOLDS = {"fukunaga-olsen": 0.05, "ratio": 0.05}
"""Rules, and the share below which a variance is none."""


def local_dimensions(
    points: Values, indices: NDArray[np.int64], *, rule: str, threshold: float, report: Report
) -> Values:
    """Number of directions along which each point and its neighbours spread.

    Parameters
    ----------
    points : (N, d)
    indices : (N, k)
        Neighbours. A neighbourhood of k + 1 points cannot show more than k directions, and needs
        several times as many points as directions to show them well.
    rule : "fukunaga-olsen" or "ratio"
        Directions whose variance is more than `threshold` of the largest; or the fewest that hold
        all variance but `threshold` of it.
    threshold : float

    Returns
    -------
    (N,) float64
        Whole numbers.

    References
    ----------
    K. Fukunaga, D. Olsen, IEEE Trans. Comput. C-20 (1971) 176.

    Examples
    --------
    >>> plane = np.random.default_rng(0).normal(size=(9, 2)) @ np.ones((2, 5)) + 3.0
    >>> local_dimensions(plane, np.arange(9)[None].repeat(9, 0), rule="ratio", threshold=0.05,
    ...                  report=lambda done, total: None)[:2]
    array([1., 1.])
    """
    n, k = indices.shape
    directions = np.empty(n)
    rows = max(1, BLOCK_VALUES // ((k + 1) * points.shape[1]))
    for start in range(0, n, rows):
        report(start, n)
        some = np.arange(start, min(start + rows, n))
        patches = points[np.concatenate([some[:, None], indices[some]], axis=1)]
        patches -= patches.mean(axis=1, keepdims=True)
        # Both products have the same eigenvalues but for zeros: take the smaller one.
        across = patches.shape[2] <= patches.shape[1]
        turned = patches.transpose(0, 2, 1)
        products = turned @ patches if across else patches @ turned
        variances = np.maximum(np.linalg.eigvalsh(products)[:, ::-1], 0.0)
        if rule == "fukunaga-olsen":
            directions[some] = (variances > threshold * variances[:, :1]).sum(axis=1)
        else:
            held = np.cumsum(variances, axis=1)
            directions[some] = 1 + (held < (1 - threshold) * held[:, -1:]).sum(axis=1)
    report(n, n)
    return directions


def overlap_error(influence: NDArray[np.float64], indices: NDArray[np.int64]) -> float:
    """Standard error of an average to which every point contributes through its neighbourhood.

    The contributions of two points are correlated as far as their neighbourhoods overlap. With
    u_m the sum of the influences of all points whose neighbourhood (themselves and k neighbours)
    holds point m, the variance is sum_m u_m^2 / (k + 1) / N^2: every pair of points counts with the
    share of neighbours that they have in common. Taking the points for independent, as Fisher's
    information does, gives errors that are a fifth to a third too small.

    Parameters
    ----------
    influence : (N,)
        What each point adds to the estimate, mean zero: estimate - truth is about their mean.
    indices : (N, k)
        The neighbours that each contribution stands on.

    Returns
    -------
    float

    References
    ----------
    D. Kojevnikov, V. Marmer, K. Song, J. Econometrics 222 (2021) 882, for such sums over networks.

    Examples
    --------
    Points that stand on none but themselves are independent.

    >>> overlap_error(np.array([1.0, -1.0, 1.0, -1.0]), np.empty((4, 0), dtype=int))
    0.5
    """
    n, k = len(influence), indices.shape[1]
    sums = influence + np.bincount(indices.ravel(), np.repeat(influence, k), minlength=n)
    return math.sqrt(float(np.square(sums).sum()) / (k + 1)) / n


USUAL_K = {"gride": 64, "twonn": 16, "mle": 20, "pca": 50}
LEAST_K = {"gride": 2, "twonn": 2, "mle": 3, "pca": 2}
POOLED = 20
"""Neighbours whose ratios a local estimate of "gride" and "twonn" joins."""
GENTLE = 0.02
"""Relative change from one scale to the next that edges and curvature may cause."""
LOCAL_ROWS = 4096
SAME = 1e-9
"""Relative difference of distances below which they are the same."""


@dataclass(frozen=True)
class Options:
    """What the methods are told besides neighbours."""

    fit: str
    discard_fraction: float
    average: str
    rule: str
    threshold: float

    def of(self, method: str) -> dict[str, Any]:
        """Those that a method heeds."""
        names = {"twonn": ("fit", "discard_fraction"), "mle": ("average",), "pca": ("rule", "threshold")}
        return {name: getattr(self, name) for name in names.get(method, ())}


@dataclass(frozen=True)
class Seen:
    """Estimates over scales.

    Attributes
    ----------
    neighbors : (m,)
        Rank of the farthest neighbour looked at.
    scale : (m,)
        Its mean distance.
    dimension, stderr : (m,)
    chosen : int
        Which of them is the estimate.
    local : (N,)
        Of each point at that scale.
    ties : float
        Share of the points whose first two neighbours are equally far; 0 where that does not matter.
    """

    neighbors: NDArray[np.int64]
    scale: Values
    dimension: Values
    stderr: Values
    steadiest: int
    local: Values
    ties: float

    def plateau(self) -> tuple[int, int]:
        """First and last scale about the chosen one that agree with it within two standard errors."""
        return _alike(self.dimension, self.stderr, self.steadiest)


def usual_scales(method: str, k: int, most: int) -> list[int]:
    """Ranks of the curve: doubling, up to k for ratios, about k for whole neighbourhoods."""
    if method in ("gride", "twonn"):
        return [2**j for j in range(k.bit_length()) if 2 ** (j + 1) <= k] or [1]
    # Few neighbours cannot show many directions.
    least = max(5, LEAST_K[method]) if method == "mle" else k // 2
    ranks = {k}
    while min(ranks) // 2 >= least:
        ranks.add(min(ranks) // 2)
    return sorted(rank for rank in ranks if rank <= max(k, most))


def by_gride(points: Values, graph: Graph, ranks: list[int], k: int, options: Options, report: Report) -> Seen:
    """Ratios of neighbours n and 2n, at the scale where error and drift together are smallest."""
    distances, indices = graph
    dimension, stderr = _ratio_curve(graph, ranks)
    steadiest = _steadiest(dimension, stderr)
    return _of_ratios(distances, indices, ranks, dimension, stderr, steadiest)


def by_two_nn(points: Values, graph: Graph, ranks: list[int], k: int, options: Options, report: Report) -> Seen:
    """Ratios of the second neighbour to the first; farther ones as by Gride, for the curve."""
    distances, indices = graph
    dimension, stderr = _ratio_curve(graph, ranks)
    nearest, influence = two_nn(_log_ratios(distances, 1), fit=options.fit, discard_fraction=options.discard_fraction)
    dimension[0], stderr[0] = nearest, overlap_error(influence, indices[:, :2])
    return _of_ratios(distances, indices, ranks, dimension, stderr, 0)


def by_mle(points: Values, graph: Graph, ranks: list[int], k: int, options: Options, report: Report) -> Seen:
    """All ratios of k neighbours."""
    distances, indices = graph
    dimension, stderr = np.empty(len(ranks)), np.empty(len(ranks))
    local = np.empty(0)
    for i, rank in enumerate(ranks):
        dimension[i], influence, about = mle_dimension(distances[:, :rank], average=options.average)
        stderr[i] = overlap_error(influence, indices[:, :rank])
        local = about if rank == k else local
    scale = _scales(distances, ranks)
    return Seen(np.array(ranks), scale, dimension, stderr, ranks.index(k), local, _ties(distances))


def by_pca(points: Values, graph: Graph, ranks: list[int], k: int, options: Options, report: Report) -> Seen:
    """The mean number of directions along which k neighbours spread."""
    distances, indices = graph
    dimension, stderr = np.empty(len(ranks)), np.empty(len(ranks))
    local = np.empty(0)
    for i, rank in enumerate(ranks):
        about = local_dimensions(
            points, indices[:, :rank], rule=options.rule, threshold=options.threshold, report=report
        )
        dimension[i] = about.mean()
        # Of M separate neighbourhoods that agree, the next may still differ by one direction.
        stderr[i] = max(overlap_error(about - dimension[i], indices[:, :rank]), (rank + 1) / len(about))
        local = about if rank == k else local
    return Seen(np.array(ranks), _scales(distances, ranks), dimension, stderr, ranks.index(k), local, 0.0)


MEASURES: dict[str, Callable[[Values, Graph, list[int], int, Options, Report], Seen]] = {
    "gride": by_gride,
    "twonn": by_two_nn,
    "mle": by_mle,
    "pca": by_pca,
}


def _log_ratios(distances: Values, n: int) -> Values:
    ratios: Values = np.log(distances[:, 2 * n - 1] / distances[:, n - 1])
    return ratios


def _ties(distances: Values) -> float:
    """Share of the points whose first two neighbours are equally far, but for rounding."""
    return float((distances[:, 1] <= distances[:, 0] * (1 + SAME)).mean())


def _scales(distances: Values, neighbors: list[int]) -> Values:
    scales: Values = distances[:, np.array(neighbors) - 1].mean(axis=0)
    return scales


def _ratio_curve(graph: Graph, ranks: list[int]) -> tuple[Values, Values]:
    dimension, stderr = np.empty(len(ranks)), np.empty(len(ranks))
    for i, n in enumerate(ranks):
        dimension[i], influence = gride(_log_ratios(graph[0], n), n, 2 * n)
        stderr[i] = overlap_error(influence, graph[1][:, : 2 * n])
    return dimension, stderr


def _alike(dimension: Values, stderr: Values, at: int) -> tuple[int, int]:
    with np.errstate(invalid="ignore"):  # infinite dimensions
        apart = np.abs(dimension - dimension[at])
        alike = apart <= np.maximum(2 * np.hypot(stderr, stderr[at]), 1e-9)
    first = last = at
    while first > 0 and alike[first - 1]:
        first -= 1
    while last + 1 < len(alike) and alike[last + 1]:
        last += 1
    return first, last


def _steadiest(dimension: Values, stderr: Values) -> int:
    """The scale to report: the smallest that leads to the plateau without a step.

    The plateau lies about the scale whose standard error and change to the next scales are
    smallest together. Noise makes the dimension rise steeply below it; edges and curvature bend it
    slowly, so that without noise smaller scales are nearer to the truth.
    """
    if len(dimension) == 1 or not np.isfinite(dimension).any():
        return 0
    with np.errstate(invalid="ignore"):  # infinite dimensions
        step = np.abs(np.diff(dimension))
        drift = np.maximum(np.append(step, 0.0), np.append(0.0, step))
        doubt = np.hypot(stderr, drift) / dimension
    middle = int(np.argmin(np.where(np.isfinite(doubt), doubt, np.inf)))
    while middle > 0:
        rise = abs(dimension[middle - 1] - dimension[middle])
        if not rise <= max(3 * np.hypot(stderr[middle - 1], stderr[middle]), GENTLE * dimension[middle]):
            break
        middle -= 1
    return middle


def _of_ratios(
    distances: Values, indices: NDArray[np.int64], ranks: list[int], dimension: Values, stderr: Values, steadiest: int
) -> Seen:
    far = [2 * n for n in ranks]
    ratios = _log_ratios(distances, ranks[steadiest])
    local = _pooled(ratios, indices[:, :POOLED], ranks[steadiest])
    return Seen(np.array(far), _scales(distances, far), dimension, stderr, steadiest, local, _ties(distances))


def _pooled(log_ratios: Values, indices: NDArray[np.int64], n: int) -> Values:
    """The likelihood of a point's ratio and its neighbours' together: one alone says next to nothing."""
    local = np.empty(len(indices))
    for start in range(0, len(indices), LOCAL_ROWS):
        rows = np.arange(start, min(start + LOCAL_ROWS, len(indices)))
        pooled = log_ratios[np.concatenate([rows[:, None], indices[rows]], axis=1)]
        local[rows] = most_likely(pooled, n, 2 * n)
    local[~np.isfinite(local)] = np.nan
    return local
