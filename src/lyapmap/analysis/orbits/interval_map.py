"""A map of one variable on an interval: fixed points with their slopes, flat steps, and where all starts end.

For maps whose graph can be looked at as a whole. Everything is read off an even grid, finer than what is sought.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.arguments import interval, positive, whole
from lyapmap.core.conformance import as_tangent_map
from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.core.map import Map, TangentMap, dimension
from lyapmap.core.propagate import quiet, step_states

Values = NDArray[np.float64]

FLAT = 0.1
"""Slope below which a piece of the graph counts as flat: it contracts tenfold."""
NARROWEST, LOWEST = 0.01, 0.02
"""Width of a step, and height between two, that are told apart; parts of the interval's length."""
BISECTIONS = 60
"""Halvings of an interval of the grid: 2^-60 of it is below any rounding."""
STILL = 1e-12
"""Largest move of any start at which the iteration stops, relative to the interval's length."""


@dataclass(frozen=True)
class IntervalMap:
    """What the graph of a map on an interval shows.

    Attributes
    ----------
    x, image, slope : (g,)
        The grid, the map and its derivative there.
    fixed_points : (p,)
        Where the graph crosses the diagonal, in rising order.
    multipliers : (p,)
        Slope at each; stable where the absolute value is below 1.
    steps : (q, 2)
        First and last place of each flat piece of the graph.
    ends : (g,)
        Where each start is after the last iteration.
    settled_after : (g,) int
        Iterations after which each start stays within the tolerance of its end; -1 if it still moves.
    basin : (g,) int
        Index of the fixed point at which each start ends; -1 elsewhere.
    """

    x: Values
    image: Values
    slope: Values
    fixed_points: Values
    multipliers: Values
    steps: Values
    ends: Values
    settled_after: NDArray[np.int64]
    basin: NDArray[np.int64]

    @property
    def in_a_step(self) -> NDArray[np.bool_]:
        """Which grid points lie in a step, (g,)."""
        inside = (self.x[:, None] >= self.steps[:, 0]) & (self.x[:, None] <= self.steps[:, 1])
        return np.asarray(inside.any(axis=1))

    @property
    def basin_shares(self) -> Values:
        """Part of all starts that end at each fixed point, (p,)."""
        count = np.bincount(self.basin[self.basin >= 0], minlength=len(self.fixed_points))
        return np.asarray(count / len(self.x), float)


def interval_map(
    map: Map,  # noqa: A002
    bounds: tuple[float, float],
    *,
    n_grid: int = 2001,
    n_steps: int = 500,
    tolerance: float = 1e-3,
    flat: float = FLAT,
) -> IntervalMap:
    """Look at a map of one variable on a whole interval.

    Parameters
    ----------
    map : Map
        With states of one value that maps the interval into itself; it may not depend on the step.
    bounds : (float, float)
        Ends of the interval.
    n_grid : int
        Points of the grid; what is narrower than their distance is not seen.
    n_steps : int
        Most iterations of the grid.
    tolerance : float
        Distance within which a start has settled, and belongs to a fixed point.
    flat : float
        Slope below which a piece of the graph is a step, if it is wider than a hundredth of the interval.
        Neighbours at the same height, within a fiftieth of the interval, are one step.

    Returns
    -------
    IntervalMap

    Raises
    ------
    LyapmapError
        If the map depends on the step, gives something not finite, or consists of fixed points.
    ShapeError
        If states have more than one value.

    Notes
    -----
    Fixed points are the changes of sign of f(x) - x on the grid, refined by bisection: a point where the
    graph touches the diagonal without crossing it is found only if it lies on the grid.

    Examples
    --------
    >>> class Halved:
    ...     state_shape = (1,)
    ...     def apply(self, x): return 0.5 * x + 0.25
    ...     def jacobian(self, x): return np.full((len(x), 1, 1), 0.5)
    >>> found = interval_map(Halved(), (0, 1))
    >>> found.fixed_points.round(6), found.multipliers
    (array([0.5]), array([0.5]))
    """
    low, high = interval("bounds", bounds)
    n_grid, n_steps = whole("n_grid", n_grid, 3), whole("n_steps", n_steps, 1)
    tolerance, flat = positive("tolerance", tolerance), positive("flat", flat)
    tangent_map = as_tangent_map(map)
    if dimension(tangent_map.state_shape) != 1:
        raise ShapeError(f"map: expected states of one value, got shape {tuple(tangent_map.state_shape)}")
    if tangent_map.depends_on_step:
        raise LyapmapError("map: expected one that does not depend on the step")
    x = np.linspace(low, high, n_grid)
    image, slope = _graph(tangent_map, x)
    if not (np.isfinite(image).all() and np.isfinite(slope).all()):
        raise LyapmapError("map: gave values that are not finite within the bounds")
    fixed = _fixed_points(tangent_map, x, image)
    multipliers = _graph(tangent_map, fixed)[1]
    ends, settled = _ends(tangent_map, x, n_steps, tolerance, STILL * (high - low))
    basin = _nearest(ends, fixed, tolerance)
    basin[settled < 0] = -1
    return IntervalMap(x, image, slope, fixed, multipliers, _steps(x, image, slope, flat), ends, settled, basin)


def _graph(tangent_map: TangentMap, x: Values) -> tuple[Values, Values]:
    """Values and slopes at places x (g,)."""
    if not len(x):
        return np.zeros(0), np.zeros(0)
    ops = tangent_map.ops
    with quiet():
        y, tangents = tangent_map.jvp(ops.from_numpy(x[:, None]), ops.from_numpy(np.ones((len(x), 1, 1))))
    return _numbers(tangent_map, y), _numbers(tangent_map, tangents)


def _numbers(tangent_map: TangentMap, values: Any) -> Values:
    return np.asarray(tangent_map.ops.to_numpy(values), float).reshape(-1)


def _image(tangent_map: TangentMap, x: Values) -> Values:
    return _numbers(tangent_map, step_states(tangent_map, tangent_map.ops.from_numpy(x[:, None]), n_steps=1))


def _fixed_points(tangent_map: TangentMap, x: Values, image: Values) -> Values:
    above = np.sign(image - x)
    on_grid = above == 0
    if (on_grid[:-1] & on_grid[1:]).any():
        raise LyapmapError("map: leaves a whole piece of the interval where it is; there are no single fixed points")
    crossing = np.flatnonzero(above[:-1] * above[1:] < 0)
    left, right, side = x[crossing], x[crossing + 1], above[crossing]
    for _ in range(BISECTIONS if len(crossing) else 0):
        middle = (left + right) / 2
        same = np.sign(_image(tangent_map, middle) - middle) == side
        left, right = np.where(same, middle, left), np.where(same, right, middle)
    return np.sort(np.concatenate([(left + right) / 2, x[on_grid]]))


def _steps(x: Values, image: Values, slope: Values, flat: float) -> Values:
    """Flat pieces (q, 2), neighbours of the same height joined."""
    length = x[-1] - x[0]
    level = np.concatenate([[False], np.abs(slope) < flat, [False]])
    edges = np.flatnonzero(level[1:] != level[:-1])
    pieces = [(a, b - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    joined: list[tuple[int, int]] = []
    for a, b in pieces:
        if x[b] - x[a] < NARROWEST * length:
            continue
        if joined and np.ptp(image[joined[-1][1] : a + 1]) < LOWEST * length:
            joined[-1] = (joined[-1][0], b)
        else:
            joined.append((a, b))
    return np.array([(x[a], x[b]) for a, b in joined], float).reshape(-1, 2)


def _ends(
    tangent_map: TangentMap, x: Values, n_steps: int, tolerance: float, still: float
) -> tuple[Values, NDArray[np.int64]]:
    """Where each start is at the end, and after how many iterations it stays near that place."""
    path = [x]
    for _ in range(n_steps):
        path.append(_image(tangent_map, path[-1]))
        if np.abs(path[-1] - path[-2]).max() <= still:
            break
    ends = path[-1]
    settled = np.zeros(len(x), np.int64)
    for step, states in enumerate(path):
        settled[np.abs(states - ends) > tolerance] = step + 1
    # A start that is at rest after the last iteration moves no further, whatever the others do.
    settled[np.abs(path[-1] - path[-2]) > tolerance / 100] = -1
    return ends, settled


def _nearest(places: Values, points: Values, within: float) -> NDArray[np.int64]:
    """Index of the nearest point of each place, -1 where none is near."""
    if not len(points):
        return np.full(len(places), -1)
    distance = np.abs(places[:, None] - points)
    return np.where(distance.min(axis=1) <= within, distance.argmin(axis=1), -1)
