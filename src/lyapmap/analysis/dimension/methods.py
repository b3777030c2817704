"""Estimators of dimension over the scales of one neighbour graph, all seen in the same way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.dimension.gride import gride, most_likely
from lyapmap.analysis.dimension.local_pca import local_dimensions
from lyapmap.analysis.dimension.mle import mle_dimension
from lyapmap.analysis.dimension.overlap_error import overlap_error
from lyapmap.analysis.dimension.two_nn import two_nn
from lyapmap.analysis.neighbors.graph import Graph
from lyapmap.analysis.progress import Report

Values = NDArray[np.float64]

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
    chosen: int
    local: Values
    ties: float

    def plateau(self) -> tuple[int, int]:
        """First and last scale about the chosen one that agree with it within two standard errors."""
        return _alike(self.dimension, self.stderr, self.chosen)


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
    chosen = _steadiest(dimension, stderr)
    return _of_ratios(distances, indices, ranks, dimension, stderr, chosen)


def by_two_nn(points: Values, graph: Graph, ranks: list[int], k: int, options: Options, report: Report) -> Seen:
    """Ratios of the second neighbour to the first; farther ones as by Gride, for the curve."""
    distances, indices = graph
    dimension, stderr = _ratio_curve(graph, ranks)
    found, influence = two_nn(_log_ratios(distances, 1), fit=options.fit, discard_fraction=options.discard_fraction)
    dimension[0], stderr[0] = found, overlap_error(influence, indices[:, :2])
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
    distances: Values, indices: NDArray[np.int64], ranks: list[int], dimension: Values, stderr: Values, chosen: int
) -> Seen:
    far = [2 * n for n in ranks]
    ratios = _log_ratios(distances, ranks[chosen])
    local = _pooled(ratios, indices[:, :POOLED], ranks[chosen])
    return Seen(np.array(far), _scales(distances, far), dimension, stderr, chosen, local, _ties(distances))


def _pooled(log_ratios: Values, indices: NDArray[np.int64], n: int) -> Values:
    """The likelihood of a point's ratio and its neighbours' together: one alone says next to nothing."""
    local = np.empty(len(indices))
    for start in range(0, len(indices), LOCAL_ROWS):
        rows = np.arange(start, min(start + LOCAL_ROWS, len(indices)))
        pooled = log_ratios[np.concatenate([rows[:, None], indices[rows]], axis=1)]
        local[rows] = most_likely(pooled, n, 2 * n)
    local[~np.isfinite(local)] = np.nan
    return local
