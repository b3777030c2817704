"""Correlation dimension of points: how the number of close pairs grows with the distance.

P. Grassberger and I. Procaccia (1983), with pairs that are close in time left out (J. Theiler 1986).
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.correlation_sum import PairCounts, count_pairs
from lyapmap.analysis.embedding import decorrelation_time
from lyapmap.analysis.neighbors import METRICS, as_points, drop_duplicates
from lyapmap.analysis.scaling import Straight, local_slope, straight_part
from lyapmap.analysis.trajectory import Trajectory, drift
from lyapmap.core.arguments import interval, seeded, whole
from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.core.results import Result, Status, provenance

FEWEST_POINTS = 100
FEWEST_PLACES = 20
"""Different points below which a set is a cycle rather than an attractor."""
FEWEST_PAIRS = 30
"""Pairs at the smallest radius."""
LARGEST_SUM = 0.1
"""Correlation sum at the largest radius: beyond it the set's outline is seen, not its texture."""
N_RADII = 48
BLOCKS = 16
"""Stretches of time that are left out in turn to find the statistical error."""
SHORTEST = math.log(4)
"""Least length of the scaling region in log radius."""
EDGES = 0.5
"""How much of its slope, per radius over extent, a filled cube loses to points near its faces."""
SHARE = 0.5
"""Least length of it in proportion to that of the curve."""
DECORRELATION_TIMES = 3
WORST = 0.15
"""Standard error, relative to the dimension (at least 1), above which there is no scaling region."""


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
        the window (change of the slope within it, and its spread over windows nearly as good).
    n_points : int
    """

    DIMS: ClassVar[dict[str, tuple[str, ...]]] = {
        "radii": ("radius",),
        "correlation_sum": ("radius",),
        "pairs": ("radius",),
        "local_slope": ("radius",),
    }
    DRAWN_BY: ClassVar[str] = "scaling.draw_correlation_dimension"
    REMEDIES: ClassVar[dict[Status, str]] = {Status.NOT_CONVERGED: "give more points, or a window of radii by hand"}

    dimension: float
    stderr: float
    radii: NDArray[np.float64]
    correlation_sum: NDArray[np.float64]
    pairs: NDArray[np.int64]
    local_slope: NDArray[np.float64]
    window: tuple[float, float]
    theiler: int
    statistical: float
    systematic: float
    n_points: int


def correlation_dimension(
    points: Any,
    *,
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
    points : (N, d), (b, N, d) or Trajectory
        One trajectory or several, in time order. Points without order will do as well.
    theiler : int or "auto"
        Pairs of one trajectory at most so many steps apart do not count: they are close because
        time is short, not because the set is dense. "auto" takes three times the time in which
        the autocorrelation of the slowest component falls to 1/e.
    radii : (m,), optional
        48 in geometric progression by default, from the one that 30 pairs are within to the one
        that `max_pairs`, or a tenth of all pairs, are within.
    window : (float, float) or "auto"
        Radii between which the slope is taken. "auto" takes, of all windows that span a factor of
        4 or more, the one with the smallest error (see `lyapmap.analysis.scaling`).
    max_pairs : int
        About how many pairs to look at, the closest ones; 4 million take some 200 MB.
    metric : "euclidean", "chebyshev" or "cityblock"
        The dimension does not depend on it.
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
    rows, lengths = _time_ordered(points)
    if metric not in METRICS:
        raise LyapmapError(f"metric: expected {', '.join(METRICS)}, got {metric!r}")
    seed, rng = seeded(seed)
    settings: dict[str, Any] = {
        "theiler": theiler if theiler == "auto" else whole("theiler", theiler, 0),
        "window": window if isinstance(window, str) and window == "auto" else interval("window", window),
        "max_pairs": whole("max_pairs", max_pairs, 1000),
        "metric": metric,
        "n_trajectories": len(lengths),
    }
    begin = time.perf_counter()
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
        rng=rng,
    )
    extent = math.sqrt(12) * float(rows.std(axis=0).max())  # the side of a cube with that spread
    found = _read(counts, extent, None if window == "auto" else settings["window"])
    status, message = _judged(found, counts, rows)
    drifting = drift(points.states) if isinstance(points, Trajectory) else ""
    if drifting and status is Status.OK:
        status, message = Status.NOT_CONVERGED, "; ".join(filter(None, [drifting, message]))
    log_slope = np.full(len(counts.radii), np.nan)
    counted = counts.pairs > 0
    if counted.sum() > 1:
        log_slope[counted] = local_slope(np.log(counts.radii[counted]), np.log(counts.pairs[counted]))
    edges = (math.nan, math.nan)
    if found is not None:
        edges = float(counts.radii[counted][found.first]), float(counts.radii[counted][found.last])
    return CorrelationDimension(
        status=status,
        message=message,
        settings=settings,
        provenance=provenance(None, seed=seed, seconds=time.perf_counter() - begin),
        dimension=math.nan if found is None else found.slope,
        stderr=math.nan if found is None else found.stderr,
        radii=counts.radii,
        correlation_sum=counts.pairs / counts.n_pairs,
        pairs=counts.pairs,
        local_slope=log_slope,
        window=edges,
        theiler=steps,
        statistical=math.nan if found is None else found.statistical,
        systematic=math.nan if found is None else math.hypot(found.systematic, found.arbitrary),
        n_points=len(rows),
    ).checked(throw)


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


def _judged(found: Straight | None, counts: PairCounts, rows: NDArray[np.float64]) -> tuple[Status, str]:
    """Whether the slope is one, in words."""
    words = []
    if counts.n_equal or not len(counts.radii):
        places, _ = drop_duplicates(rows)
        if len(places) < FEWEST_PLACES:
            what = "a fixed point" if len(places) == 1 else f"a cycle of {len(places)} points"
            where = "1 place" if len(places) == 1 else f"{len(places)} different places"
            return Status.NOT_CONVERGED, f"all {len(rows)} points are at {where}: {what} has dimension 0"
        words.append(f"{counts.n_equal} pairs of points coincide and were left out")
    if found is None:
        return Status.NOT_CONVERGED, "; ".join(["too few close pairs for a scaling region", *words])
    most = 2 * math.log10(len(rows))
    if found.slope - found.stderr > most:
        return Status.NOT_CONVERGED, f"{len(rows)} points cannot show a dimension above {most:.1f}"
    if found.stderr > WORST * max(found.slope, 1.0):
        return Status.NOT_CONVERGED, "; ".join(["the slope of log C is not constant anywhere", *words])
    return Status.OK, "; ".join(words)


def _time_ordered(points: Any) -> tuple[NDArray[np.float64], list[int]]:
    """Points of all trajectories, one below the other, and how many each has."""
    given = points.states if isinstance(points, Trajectory) else np.asarray(points)
    if given.ndim == 1:
        raise ShapeError(f"points: expected (N, d) or (b, N, d), got {given.shape}; one variable is points[:, None]")
    if given.ndim not in (2, 3):
        raise ShapeError(f"points: expected (N, d) or (b, N, d), got {given.shape}")
    lengths = [given.shape[-2]] * (given.shape[0] if given.ndim == 3 else 1)
    rows = as_points(given.reshape(-1, given.shape[-1]))
    if len(rows) < FEWEST_POINTS:
        raise LyapmapError(f"points: expected at least {FEWEST_POINTS}, got {len(rows)}")
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
