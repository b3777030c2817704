"""Counting close pairs: the correlation sum, and what it is without each stretch of time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.neighbors.graph import pairs_within

Values = NDArray[np.float64]

SAMPLED_DISTANCES = 3_000_000
SPAN = 30
ABOVE_EQUAL = 20


@dataclass(frozen=True)
class PairCounts:
    """Pairs of points by distance.

    Attributes
    ----------
    radii : (m,)
        Ascending; empty if there are not enough pairs to choose any.
    pairs : (m,)
        Pairs closer than each radius.
    without : (g, m)
        The same without the points of each of g stretches of time.
    n_pairs : int
        All pairs that could count, near or far.
    n_equal : int
        Pairs at distance 0, which do not count.
    """

    radii: Values
    pairs: NDArray[np.int64]
    without: NDArray[np.int64]
    n_pairs: int
    n_equal: int


def count_pairs(
    points: Values,
    lengths: list[int],
    *,
    theiler: int,
    radii: Values | None,
    n_radii: int,
    fewest: int,
    largest_sum: float,
    max_pairs: int,
    blocks: int,
    metric: str,
    rng: np.random.Generator,
) -> PairCounts:
    """Count the pairs of points of trajectories of the given lengths.

    The radii, if not given, end where the correlation sum is `largest_sum` or there are `max_pairs`
    pairs. They begin where there is a pair for every point: below, the counts of a regular orbit
    go in stairs. Where that leaves less than a factor of 30 they begin further down, but not where
    there are fewer than `fewest` pairs, or 20 times those that coincide (below that the grain of
    rounded data is seen).
    """
    n = len(points)
    every = n * (n - 1) // 2
    share = min(largest_sum, max_pairs / every)
    largest = float(radii[-1]) if radii is not None else _radius_for(points, share, metric, rng)
    n_pairs = every - sum(_close_in_time(length, theiler) for length in lengths)
    nothing = np.empty(0)
    if largest <= 0:
        return PairCounts(nothing, nothing.astype(int), np.empty((blocks, 0), int), n_pairs, every)
    pairs, distances = pairs_within(points, largest, metric=metric)
    i, j = pairs.T
    trajectory = np.repeat(np.arange(len(lengths)), lengths)
    apart = (j - i > theiler) | (trajectory[i] != trajectory[j])
    equal = distances == 0
    kept = apart & ~equal
    n_equal = int((apart & equal).sum())
    i, j, distances = i[kept], j[kept], distances[kept]
    if radii is None:
        least = max(fewest, ABOVE_EQUAL * n_equal)
        if len(distances) < 2 * least:
            return PairCounts(nothing, nothing.astype(int), np.empty((blocks, 0), int), n_pairs, n_equal)
        one_each = min(n, len(distances) - 1)
        lower, upper = np.partition(distances, sorted({least, one_each}))[[least, one_each]]
        smallest = float(max(lower, min(upper, largest / SPAN)))
        radii = np.geomspace(smallest, largest, n_radii) if smallest < largest else np.array([largest])
    m = len(radii)
    ring = np.searchsorted(radii, distances)  # the first radius that a pair is within; m if none
    size = -(-n // blocks)
    counted = np.zeros((blocks, blocks, m + 1), dtype=np.int64)
    where = (i // size * blocks + j // size) * (m + 1) + ring
    counted += np.bincount(where, minlength=counted.size).reshape(counted.shape)
    counted = np.cumsum(counted[..., :m], axis=2)
    total = counted.sum(axis=(0, 1))
    own = np.einsum("aam->am", counted)
    without = total - counted.sum(axis=0) - counted.sum(axis=1) + own
    return PairCounts(radii, total, without, n_pairs, n_equal)


def _close_in_time(length: int, theiler: int) -> int:
    """Pairs i < j of one trajectory with j - i <= theiler."""
    most = min(theiler, length - 1)
    return most * length - most * (most + 1) // 2


def _radius_for(points: Values, share: float, metric: str, rng: np.random.Generator) -> float:
    """Radius within which about this share of all pairs are."""
    from scipy.spatial.distance import cdist

    n = len(points)
    rows = rng.choice(n, min(n, max(50, min(1000, SAMPLED_DISTANCES // n))), replace=False)
    found = []
    for some in np.array_split(rows, -(-len(rows) * n // SAMPLED_DISTANCES)):
        found.append(cdist(points[some], points, metric).ravel())
    distances = np.concatenate(found)
    wanted = min(len(rows) + max(int(share * (len(distances) - len(rows))), 1), len(distances) - 1)
    return float(np.partition(distances, wanted)[wanted])  # each point's distance to itself comes first
