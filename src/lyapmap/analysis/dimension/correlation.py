"""Counting close pairs: the correlation sum, and what it is without each stretch of time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.exponents.straight import Straight, local_slope, straight_part
from lyapmap.analysis.neighbors.duplicates import drop_duplicates
from lyapmap.analysis.neighbors.graph import METRICS, pairs_within
from lyapmap.analysis.orbits.trajectory import Trajectory, drift
from lyapmap.analysis.series.delays import decorrelation_time
from lyapmap.core.arguments import given, interval, one_of, whole
from lyapmap.core.demand import Demand, held, of_points
from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.core.plain import with_error
from lyapmap.core.points import as_points, real_array, rounding
from lyapmap.core.results import Result, Status, Verdict, dims
from lyapmap.core.run import Run

Values = NDArray[np.float64]

SAMPLED_DISTANCES = 3_000_000
"""Distances by which the largest radius is chosen: 24 MB, of which a share of 1e-4 is still 300."""
SPAN = 30
"""Factor between largest and smallest radius that is aimed at: 3.4 e-foldings, in which a window of 1.4 can be
moved."""
ABOVE_EQUAL = 20
"""Pairs at the smallest radius for each pair that coincides: rounded data then lose 5 % of the pairs at most to
their grain."""


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
        per_point = min(n, len(distances) - 1)
        lower, upper = np.partition(distances, sorted({least, per_point}))[[least, per_point]]
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

    # Of very many points some stand for all: even 50 of them have too many distances to the rest.
    if len(points) > SAMPLED_DISTANCES // 50:
        points = points[rng.choice(len(points), SAMPLED_DISTANCES // 50, replace=False)]
    n = len(points)
    rows = rng.choice(n, min(n, max(50, min(1000, SAMPLED_DISTANCES // n))), replace=False)
    sampled = []
    for some in np.array_split(rows, -(-len(rows) * n // SAMPLED_DISTANCES)):
        sampled.append(cdist(points[some], points, metric).ravel())
    distances = np.concatenate(sampled)
    wanted = min(len(rows) + max(int(share * (len(distances) - len(rows))), 1), len(distances) - 1)
    return float(np.partition(distances, wanted)[wanted])  # each point's distance to itself comes first


FEWEST_POINTS = 100
"""Points from which a dimension is read: 100 make 4950 pairs, of which 30 to 500 are counted."""
FEWEST_PLACES = 20
"""Different points below which a set is a cycle rather than an attractor."""
FEWEST_PAIRS = 30
"""Pairs at the smallest radius: its count is then known to 18 %."""
LARGEST_SUM = 0.1
"""Correlation sum at the largest radius: beyond a tenth of all pairs the set's outline is seen, not its texture."""
N_RADII = 48
"""Radii of the curve: several for each ripple of a self-similar set (one per factor of its scaling)."""
BLOCKS = 16
"""Stretches of time that are left out in turn to find the statistical error, known then to 18 %."""
SHORTEST = math.log(4)
"""Least length of the scaling region in log radius: a factor of 4, below which any curve is straight."""
EDGES = 0.5
"""How much of its slope, per radius over extent, a filled cube loses at its faces: of a line of length L, C(r) = 2
r / L - (r / L)^2, whose logarithmic slope is 1 - r / (2 L); of a cube so for each direction."""
SHARE = 0.5
"""Least length of the region in proportion to that of the curve: a slope that holds over less is one of several."""
DECORRELATION_TIMES = 3
"""Times in which the autocorrelation falls to 1/e that the Theiler window lasts: e^-3 is left."""
LOGARITHM = 0.65
"""Expected power b of a logarithm in C(r) ~ r^D L^b, L = REACH + log(extent / r), before the curve is looked at.

A chaotic set that is folded has one (b near 1: the logistic map, the Rössler system); its slope is too low by b / L."""
REACH = 2.0
"""Adds to L, so that the logarithm is that of a length e^2 beyond the extent of the set, and does not vanish at
any radius."""
RIPPLES = 3
"""Independent pieces of a curve whose ripples belong to the set: thirds, as the window must hold a ripple."""
ROUNDING = 100
"""Radii of fewer roundings of the largest value than that show the rounding: distances there are known to a
percent."""
WORST = 0.15
"""Standard error, relative to the dimension (at least 1), above which there is no scaling region: three errors are
then half of the dimension."""


@dataclass(frozen=True, kw_only=True)
class CorrelationDimension(Result):
    """Correlation dimension with the curve that it was read from.

    Attributes
    ----------
    dimension, stderr : float
        Slope of log C against log r within `window`; NaN where there is none.
    radii : (m,)
    correlation_sum : (m,)
        Share C(r) of the pairs that are closer than r.
    pairs : (m,)
        Number of such pairs.
    local_slope : (m,)
        d log C / d log r, over two radii to either side.
    window : (float, float)
        Radii between which the slope was taken; NaN where none could be.
    theiler : int
        Pairs at most so many steps apart in time do not count.
    statistical, systematic : float
        Parts of the error: of the sample of points (jackknife over 16 stretches of time), and of
        the window (change of the slope within it, its spread over windows nearly as good, and the
        logarithm of the radius that the curve does not exclude).
    n_points : int
    """

    DRAWN_BY: ClassVar[str] = "lyapmap.analysis.dimension.pictures_dimension.draw_correlation_dimension"
    SUMMARY: ClassVar[tuple[str, ...]] = ("dimension", "n_points", "theiler")
    REMEDIES: ClassVar[dict[Status, str]] = {Status.NOT_CONVERGED: "give more points, or a window of radii by hand"}

    dimension: float
    stderr: float
    radii: NDArray[np.float64] = dims("radius")
    correlation_sum: NDArray[np.float64] = dims("radius")
    pairs: NDArray[np.int64] = dims("radius")
    local_slope: NDArray[np.float64] = dims("radius")
    window: tuple[float, float]
    theiler: int
    statistical: float
    systematic: float
    n_points: int

    def _finding(self) -> str:
        low, high = self.window
        size = with_error(self.dimension, self.stderr)
        where = f"read at distances from {low:.3g} to {high:.3g} ({self.n_points} points)"
        return f"The points fill a set of correlation dimension {size}, {where}."


def correlation_dimension(
    points: Any,
    *,
    trajectories: bool = False,
    theiler: int | str = "auto",
    radii: Any = None,
    window: tuple[float, float] | str = "auto",
    max_pairs: int = 4_000_000,
    metric: str = "euclidean",
    seed: int | None = None,
    throw: bool = True,
) -> CorrelationDimension:
    """Correlation dimension D2 of an attractor, or of any set of points.

    Parameters
    ----------
    points : (N, d), (N, ...) or Trajectory
        Points in time order, or without any; images are points of as many values as they have pixels.
    trajectories : bool
        Take an array (b, N, d) as b trajectories of N points each, as a `Trajectory` is.
    theiler : int or "auto"
        Pairs of one trajectory at most so many steps apart do not count: they are close because
        time is short, not because the set is dense. "auto" takes three times the time in which
        the autocorrelation of the slowest component falls to 1/e.
    radii : (m,), optional
        48 in geometric progression by default, from the one that 30 pairs are within to the one
        that `max_pairs`, or a tenth of all pairs, are within.
    window : (float, float) or "auto"
        Radii between which the slope is taken. "auto" takes, of all windows that span a factor of
        4 or more, the one with the smallest error (see `lyapmap.analysis.exponents.growth`).
    max_pairs : int
        About how many pairs to look at, the closest ones; 4 million take some 200 MB.
    metric : "euclidean", "chebyshev" or "cityblock"
        How distances are measured; the dimension does not depend on it.
    seed : int, optional
        Of the sample of distances by which the largest radius is chosen.
    throw : bool
        Raise if there is no scaling region; else return the result with status not_converged.

    Returns
    -------
    CorrelationDimension

    Raises
    ------
    LyapmapError, ShapeError
        If the points or an option cannot be used.
    RunError
        If there is no scaling region and `throw`.

    Notes
    -----
    Points given several times count as close at no distance: such pairs are left out, and the
    message tells how many. N points cannot show a dimension above 2 log10 N (J.-P. Eckmann and
    D. Ruelle 1992); one that is found there has status not_converged.

    Where a set is folded its density has singularities, and C(r) ~ r^D log(c / r): the slope is below D by
    1 / log(c / r), at any radius that can be reached. A window that is a few e-foldings long cannot tell
    such a logarithm from none. As much of it as the curve allows is part of the error.

    References
    ----------
    P. Grassberger, I. Procaccia, Phys. Rev. Lett. 50 (1983) 346; Physica D 9 (1983) 189.
    J. Theiler, Phys. Rev. A 34 (1986) 2427.
    J.-P. Eckmann, D. Ruelle, Physica D 56 (1992) 185.

    Examples
    --------
    >>> import numpy as np
    >>> import lyapmap as lm
    >>> square = np.random.default_rng(0).uniform(size=(5000, 2))
    >>> found = lm.correlation_dimension(square, seed=0)
    >>> bool(abs(found.dimension - 2) < 3 * found.stderr), found.status.value
    (True, 'ok')
    """
    rows, lengths = _time_ordered(points, trajectories)
    settings: dict[str, Any] = {
        "theiler": given(whole, "theiler", theiler, 0, unless="auto"),
        "window": given(interval, "window", window, unless="auto"),
        "max_pairs": whole("max_pairs", max_pairs, 1000),
        "metric": one_of("metric", metric, METRICS),
        "n_trajectories": len(lengths),
    }
    run = Run("correlation dimension", seed=seed, demand=_demand(rows, settings, seed))
    grid = None if radii is None else _given(radii)
    steps = int(settings["theiler"]) if theiler != "auto" else _theiler(rows, lengths)
    if steps >= min(lengths) // 2:
        raise LyapmapError(f"theiler: expected less than half of the {min(lengths)} points, got {steps}")
    counts = count_pairs(
        rows,
        lengths,
        theiler=steps,
        radii=grid,
        n_radii=N_RADII,
        fewest=FEWEST_PAIRS,
        largest_sum=LARGEST_SUM,
        max_pairs=settings["max_pairs"],
        blocks=BLOCKS,
        metric=metric,
        rng=run.rng,
    )
    extent = math.sqrt(12) * float(rows.std(axis=0).max())  # the side of a cube with that spread
    line = _read(counts, extent, None if settings["window"] == "auto" else settings["window"])
    hidden = math.nan if line is None else _logarithm(counts, extent, line)
    stderr = math.nan if line is None else math.hypot(line.stderr, hidden)
    status, message = _judged(line, stderr, counts, rows)
    if not trajectories and not isinstance(points, Trajectory) and np.ndim(points) == 3:
        shape = f"an array {tuple(np.shape(points))} is {len(rows)} points of {rows.shape[1]} values"
        message = "; ".join(part for part in (message, shape) if part)
    drifting = drift(points.states) if isinstance(points, Trajectory) else ""
    if drifting and status is Status.OK:
        status, message = Status.NOT_CONVERGED, "; ".join(filter(None, [drifting, message]))
    log_slope = np.full(len(counts.radii), np.nan)
    counted = counts.pairs > 0
    if counted.sum() > 1:
        log_slope[counted] = local_slope(np.log(counts.radii[counted]), np.log(counts.pairs[counted]))
    edges = (math.nan, math.nan)
    if line is not None:
        edges = float(counts.radii[counted][line.first]), float(counts.radii[counted][line.last])
    result = CorrelationDimension(
        **run.ending(Verdict(status, message)),
        settings=settings,
        dimension=math.nan if line is None else line.slope,
        stderr=stderr,
        radii=counts.radii,
        correlation_sum=counts.pairs / counts.n_pairs,
        pairs=counts.pairs,
        local_slope=log_slope,
        window=edges,
        theiler=steps,
        statistical=math.nan if line is None else line.statistical,
        systematic=math.nan if line is None else math.hypot(line.systematic, line.arbitrary, hidden),
        n_points=len(rows),
    )
    return run.finish(result, throw)


def _demand(rows: NDArray[np.float64], settings: dict[str, Any], seed: int | None) -> Demand:
    n = len(rows)
    pairs = int(min(LARGEST_SUM * n * (n - 1) / 2, settings["max_pairs"]))

    def trial(some: slice) -> None:
        part = rows[some]
        # As many pairs for each point as the whole has: the rest grows like the points.
        most = max(1000, int(pairs / n * len(part)))
        correlation_dimension(part, theiler=0, max_pairs=most, metric=settings["metric"], seed=seed or 0, throw=False)

    arrays = [
        held("points and their tree", 3 * 8, points=n, _d=rows.shape[1]),
        held("distances that are sampled", 3 * 8, _values=min(n * 1000, 2 * SAMPLED_DISTANCES)),
        held("pairs", 100, max_pairs=pairs),
    ]
    return of_points(arrays, n, trial)


def _read(counts: PairCounts, extent: float, window: tuple[float, float] | None) -> Straight | None:
    """The slope of log C against log r, where there are pairs."""
    some = counts.pairs > 0
    x = np.log(counts.radii[some])
    replicates = np.log(np.maximum(counts.without[:, some], 0.5))
    edges = None if window is None else (math.log(window[0]), math.log(window[1]))
    shortest = max(SHORTEST, SHARE * float(np.ptp(x))) if len(x) else SHORTEST
    return straight_part(
        x,
        np.log(counts.pairs[some]),
        replicates,
        shortest=shortest,
        fewest=6,
        window=edges,
        allowance=EDGES * counts.radii[some] / extent,
        rough=True,
    )


def _logarithm(counts: PairCounts, extent: float, line: Straight) -> float:
    """How much lower the slope may be for a logarithm that the curve does not exclude.

    The power b of the logarithm is fitted to the curve up to the window's end. Its error is that of the
    sample and of ripples. With what is expected of b beforehand, which is not negative, that gives the mean of b^2.
    """
    some = counts.pairs > 0
    x = np.log(counts.radii[some][: line.last + 1] / extent)
    middle = max(REACH - 0.5 * float(x[line.first] + x[-1]), 0.5)
    mean, variance = 0.0, LOGARITHM**2
    if len(x) > 6:
        y = np.log(counts.pairs[some][: line.last + 1])
        replicates = np.log(np.maximum(counts.without[:, some][:, : line.last + 1], 0.5))
        columns = np.stack([np.ones_like(x), x, np.log(np.maximum(REACH - x, 0.5))], axis=1)
        inverse = np.linalg.pinv(columns)
        varied = replicates @ inverse[2]
        g, m = len(varied), len(x)
        sample = (g - 1) / g * np.square(varied - varied.mean()).sum()
        rest = y - columns @ (inverse @ y)
        ripple = rest @ rest / (m - 3) * (inverse[2] @ inverse[2]) * m / RIPPLES
        variance = 1 / (1 / LOGARITHM**2 + 1 / max(float(sample + ripple), 1e-12))
        mean = variance * float(inverse[2] @ y) / max(float(sample + ripple), 1e-12)
    return math.sqrt(_square_above_zero(mean, math.sqrt(variance))) / middle


def _square_above_zero(mean: float, spread: float) -> float:
    """Mean square of a normal distribution cut off below zero."""
    from scipy.special import log_ndtr

    ratio = mean / spread
    tail = math.exp(-0.5 * ratio**2 - 0.5 * math.log(2 * math.pi) - float(log_ndtr(ratio)))
    return max(mean**2 + spread**2 + mean * spread * tail, 0.0)


def _judged(line: Straight | None, stderr: float, counts: PairCounts, rows: NDArray[np.float64]) -> tuple[Status, str]:
    """Whether the slope is one, in words."""
    words = []
    if counts.n_equal or not len(counts.radii):
        places, _ = drop_duplicates(rows)
        if len(places) < FEWEST_PLACES:
            what = "a fixed point" if len(places) == 1 else f"a cycle of {len(places)} points"
            where = "1 place" if len(places) == 1 else f"{len(places)} different places"
            return Status.NOT_CONVERGED, f"all {len(rows)} points are at {where}: {what} has dimension 0"
        if counts.n_equal:
            words.append(f"{counts.n_equal} pairs of points coincide and were left out")
    if line is None:
        return Status.NOT_CONVERGED, "; ".join(["too few close pairs for a scaling region", *words])
    if counts.radii[counts.pairs > 0][line.last] < ROUNDING * rounding(rows):
        return Status.NOT_CONVERGED, "close pairs are as near as rounding: points on few places have dimension 0"
    most = 2 * math.log10(len(rows))
    if line.slope - stderr > most:
        return Status.NOT_CONVERGED, f"{len(rows)} points cannot show a dimension above {most:.1f}"
    if stderr > WORST * max(line.slope, 1.0):
        return Status.NOT_CONVERGED, "; ".join(["the slope of log C is not constant anywhere", *words])
    return Status.OK, "; ".join(words)


def _time_ordered(points: Any, trajectories: bool) -> tuple[NDArray[np.float64], list[int]]:
    """Points of all trajectories, one below the other, and how many each has."""
    if isinstance(points, Trajectory):
        points, trajectories = points.states, True
    array = real_array(points, "points")
    if trajectories:
        if array.ndim != 3 or 0 in array.shape:
            raise ShapeError(f"points: expected trajectories (b, N, d), got shape {array.shape}")
        rows, lengths = as_points(array.reshape(-1, array.shape[-1])), [array.shape[1]] * array.shape[0]
    else:
        rows = as_points(array)
        lengths = [len(rows)]
    if len(rows) < FEWEST_POINTS:
        mend = "" if trajectories or array.ndim != 3 else "; trajectories (b, N, d) need trajectories=True (--bundle)"
        raise LyapmapError(f"points: expected at least {FEWEST_POINTS}, got {len(rows)}{mend}")
    return rows, lengths


def _given(radii: Any) -> NDArray[np.float64]:
    grid = np.asarray(radii, dtype=float)
    if grid.ndim != 1 or len(grid) < 4 or not (np.isfinite(grid).all() and grid[0] > 0 and (np.diff(grid) > 0).all()):
        raise LyapmapError("radii: expected four or more positive numbers in ascending order")
    return grid


def _theiler(rows: NDArray[np.float64], lengths: list[int]) -> int:
    """Three decorrelation times of the slowest component, at most a tenth of a trajectory."""
    first = rows[: lengths[0]]
    spread = first.std(axis=0)
    moving = np.argsort(-spread)[:16]  # of images, those that change most
    times = [decorrelation_time(first[:, i]) for i in moving if spread[i] > 0]
    return min(DECORRELATION_TIMES * max(times, default=1), max(1, lengths[0] // 10))
