"""Kaleidoscopes in the unit square: loss, samples, where all starts end (Fig. 5); at corners of cubes (Fig. 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from lyapmap.core.arguments import positive, whole
from lyapmap.core.conformance import as_tangent_map
from lyapmap.core.errors import LyapmapError
from lyapmap.core.map import Map, TangentMap
from lyapmap.core.results import Result, Status, dims
from lyapmap.core.run import Report, Run
from lyapmap.models.kaleidoscope.experiment import (
    REMEDIES,
    Cell,
    Counts,
    Fit,
    Values,
    ascending_sizes,
    cells_of,
    count_apart,
    experiment,
    over_sizes,
    padded,
    visited,
)

if TYPE_CHECKING:
    from lyapmap.models.kaleidoscope.fit import Fitted


@dataclass(frozen=True)
class PlaneSetting:
    """One network on the unit square: the points it learns, hidden layers, units of each; its output is a sigmoid."""

    points: tuple[tuple[float, float], ...]
    depth: int = 2
    width: int = 50

    @property
    def name(self) -> str:
        """In short, e.g. "4 points, L=7, H=50"."""
        m = len(self.points)
        return f"{m} {'point' if m == 1 else 'points'}, L={self.depth}, H={self.width}"

    def cell(self) -> Cell:
        """Points as a table, and sizes, after a look whether they can be fitted."""
        from lyapmap.models.kaleidoscope.fit import checked_sets

        (points, *_), config = checked_sets(self.points, depth=self.depth, width=self.width, output="sigmoid")
        if config.state_shape != (2,):
            raise LyapmapError(f"points: expected pairs, got {self.points}")
        if len(np.unique(points, axis=0)) < len(points):
            raise LyapmapError(f"points: expected different ones, got {self.points}")
        return Cell(points, self.depth, self.width)


PAPER_PLANE = (
    PlaneSetting(((0.5, 0.5),), 2, 50),
    PlaneSetting(((0.2, 0.2), (0.2, 0.8), (0.8, 0.2), (0.8, 0.8)), 7, 50),
)
"""The settings of Fig. 5."""
SPREAD = 0.5**0.5
"""Standard deviation of the starts, N(0.5, 0.5 I) in the paper, cut off at the square's edge."""
SAMPLED_AFTER = (0, 1, 2, 5, 10, 50)
ELSEWHERE = -1


@dataclass(frozen=True, kw_only=True)
class KaleidoscopePlane(Result):
    """Networks on the unit square; s settings, of which shorter rows of points end in NaN.

    Attributes
    ----------
    names : list of str
        The settings in words.
    fit_loss, fit_steps, tries : (s,)
        Loss left at the points, steps of Adam, initial weights tried.
    points : (s, m, 2)
        What was learned.
    axis : (g,)
        Places of the grid along either axis.
    loss : (s, g, g)
        Mean squared difference of output and input; rows are the second coordinate.
    ends : (s, g, g, 2)
        Where each start of the grid is after `n_steps` iterations.
    basin : (s, g, g) int
        Point at which it ended, within the tolerance; -1 elsewhere.
    settled : (s,)
        Part of the grid's starts that no longer move.
    n_ends : (s,)
        Different places at which these stand, told apart by the tolerance.
    expansion : (s, m)
        Largest singular value of the derivative at each point.
    sampled_after : (t,)
    samples : (s, t, k, 2)
        Random starts and what became of them.
    share_at_points : (s, t)
        Part of the samples within the tolerance of a point.
    share_by_point : (s, m)
        Part of the grid's starts that end at each point.
    """

    DRAWN_BY: ClassVar[str] = "lyapmap.models.kaleidoscope.pictures.draw_kaleidoscope_plane"
    REMEDIES: ClassVar[dict[Status, str]] = REMEDIES

    names: list[str]
    fit_loss: Values = dims("setting")
    fit_steps: Counts = dims("setting")
    tries: Counts = dims("setting")
    points: Values = dims("setting", "point", "coordinate")
    axis: Values = dims("place")
    loss: Values = dims("setting", "row", "column")
    ends: Values = dims("setting", "row", "column", "coordinate")
    basin: Counts = dims("setting", "row", "column")
    settled: Values = dims("setting")
    n_ends: Counts = dims("setting")
    expansion: Values = dims("setting", "point")
    sampled_after: Counts = dims("time")
    samples: Values = dims("setting", "time", "sample", "coordinate")
    share_at_points: Values = dims("setting", "time")
    share_by_point: Values = dims("setting", "point")


def kaleidoscope_plane(
    settings: Sequence[PlaneSetting] = PAPER_PLANE,
    *,
    loss: float = 1e-8,
    fit_steps: int = 12_000,
    tries: int = 32,
    n_grid: int = 101,
    n_steps: int = 300,
    n_samples: int = 100,
    tolerance: float = 0.01,
    seed: int | None = 0,
    throw: bool = True,
    progress: bool | Report = False,
) -> KaleidoscopePlane:
    """Fit networks to points of the unit square, and see what iterating them does to the whole of it.

    Parameters
    ----------
    settings : sequence of PlaneSetting
        The paper's two by default.
    loss : float
        That a fit has to reach.
    fit_steps : int
        Most steps of Adam for one set of initial weights.
    tries : int
        Most sets of initial weights for one network.
    n_grid : int
        Places along either axis, also as starts.
    n_steps : int
        Iterations of these.
    n_samples : int
        Random starts, normal with variance 0.5 about the centre, moved to the edge where they lie outside.
    tolerance : float
        Distance within which an end is at a point, and two ends are the same.
    seed : int or None
    throw : bool
        Raise if a fit does not reach the loss.
    progress : bool or callable

    Returns
    -------
    KaleidoscopePlane

    Raises
    ------
    LyapmapError
        If points lie outside the square, or an option is out of its range.
    RunError
        If a fit does not reach the loss, unless `throw` is False.
    Interrupted
        On Ctrl-C.

    References
    ----------
    H. Shrivastava, "Generative Kaleidoscopic Networks" (2024), Fig. 5.

    Examples
    --------
    >>> plane = kaleidoscope_plane([PlaneSetting(((0.5, 0.5),))], n_grid=5, n_steps=20)
    >>> plane.share_by_point
    array([[1.]])
    """
    run, fit = Run("fitting and iterating", seed=seed, progress=progress), Fit.checked(loss, fit_steps, tries)
    n_grid, n_steps, n_samples = (
        whole("n_grid", n_grid, 2),
        whole("n_steps", n_steps, 1),
        whole("n_samples", n_samples, 1),
    )
    tolerance, cells = positive("tolerance", tolerance), cells_of(settings)

    def look(number: int, maps: list[TangentMap], _: Fitted) -> dict[str, Any]:
        noise = np.random.default_rng([run.seed, number]).standard_normal((n_samples, 2))
        starts = np.clip(0.5 + SPREAD * noise, 0, 1)
        points = cells[number].points
        return look_at_plane(maps[0], points, starts, n_grid=n_grid, n_steps=n_steps, tolerance=tolerance)

    seen = experiment(run, cells, fit, look)
    names, left = [setting.name for setting in settings], np.array([cell.fit.loss[0] for cell in seen])
    columns: dict[str, Any] = {name: padded([cell.look[name] for cell in seen]) for name in seen[0].look}
    result = KaleidoscopePlane(
        **run.ending(fit.verdict(names, left)),
        settings={"n_grid": n_grid, "n_steps": n_steps, "tolerance": tolerance} | fit._asdict(),
        names=names,
        fit_loss=left,
        fit_steps=np.array([cell.fit.steps[0] for cell in seen]),
        tries=np.array([cell.fit.tries[0] for cell in seen]),
        axis=np.linspace(0, 1, n_grid),
        sampled_after=np.array(SAMPLED_AFTER),
        **columns,
    )
    return run.finish(result, throw)


def look_at_plane(
    given: Map, points: Any, starts: Values, *, n_grid: int, n_steps: int, tolerance: float
) -> dict[str, Any]:
    """What iterating a map of the unit square does, by the names of `KaleidoscopePlane`."""
    tangent_map = as_tangent_map(given)
    ops = tangent_map.ops
    axis = np.linspace(0, 1, n_grid)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)  # [row, column] is (axis[column], axis[row])
    learned = np.asarray(points, float)
    image, ends = visited(tangent_map, grid, (1, n_steps))
    # Not the step after the last one of the run above: an end is where the next step leads nowhere else.
    still = np.abs(visited(tangent_map, ends, (1,))[0] - ends).max(axis=1) <= tolerance / 100
    basin = np.where(still, _at_point(ends, learned, tolerance), ELSEWHERE)
    samples = visited(tangent_map, starts, SAMPLED_AFTER)
    derivative = np.asarray(ops.to_numpy(tangent_map.jacobian(ops.from_numpy(learned))), float)
    return {
        "points": learned,
        "loss": ((image - grid) ** 2).mean(axis=1).reshape(n_grid, n_grid),
        "ends": ends.reshape(n_grid, n_grid, 2),
        "basin": basin.reshape(n_grid, n_grid),
        "settled": float(still.mean()),
        "n_ends": count_apart(ends[still], tolerance),
        "expansion": np.linalg.norm(derivative, 2, axis=(1, 2)),
        "samples": samples,
        "share_at_points": np.array([(_at_point(x, learned, tolerance) >= 0).mean() for x in samples]),
        "share_by_point": np.array([(basin == j).mean() for j in range(len(learned))]),
    }


def _at_point(x: Values, points: Values, tolerance: float) -> Counts:
    """Index of the nearest point of each row of x, `ELSEWHERE` where it is farther than the tolerance."""
    distance = np.linalg.norm(x[:, None] - points, axis=2)
    return np.where(distance.min(axis=1) <= tolerance, distance.argmin(axis=1), ELSEWHERE)


QUICK_CORNERS = ((1, 2, 4, 8), (1, 4, 16, 64, 256))
PAPER_CORNERS = (tuple(range(1, 17)), tuple(2**i for i in range(12)))
"""Dimensions and numbers of points: a subset that takes a minute, and those of Fig. 6."""
MOST_DIMENSIONS = 20
"""2**20 corners are a million."""
CHUNK = 16_384
"""Corners that pass through the network at once."""


@dataclass(frozen=True, kw_only=True)
class KaleidoscopeCorners(Result):
    """Loss outside the points learned; d dimensions, c numbers of points, s seeds. NaN: not measured.

    Attributes
    ----------
    dimensions : (d,)
    n_points : (c,)
    largest, mean : (d, c, s)
        Largest and mean loss over all corners of the unit cube.
    fit_loss : (d, c, s)
        Loss left at the points.
    fit_steps : (d, c, s)
        Steps of Adam.
    """

    DRAWN_BY: ClassVar[str] = "lyapmap.models.kaleidoscope.pictures.draw_kaleidoscope_corners"
    REMEDIES: ClassVar[dict[Status, str]] = {Status.NOT_CONVERGED: "run it to the end, or with fewer sizes"}

    dimensions: Counts = dims("dimension")
    n_points: Counts = dims("count")
    largest: Values = dims("dimension", "count", "seed")
    mean: Values = dims("dimension", "count", "seed")
    fit_loss: Values = dims("dimension", "count", "seed")
    fit_steps: Values = dims("dimension", "count", "seed")

    @property
    def largest_mean(self) -> Values:
        """Mean over the seeds, (d, c)."""
        return np.asarray(self.largest.mean(axis=2))

    @property
    def largest_stderr(self) -> Values:
        """Standard error of that mean, from the spread over seeds; NaN for one seed."""
        s = self.largest.shape[2]
        if s < 2:
            return np.full(self.largest.shape[:2], np.nan)
        return np.asarray(self.largest.std(axis=2, ddof=1) / np.sqrt(s))


def kaleidoscope_corners(
    dimensions: Sequence[int] = QUICK_CORNERS[0],
    n_points: Sequence[int] = QUICK_CORNERS[1],
    *,
    n_seeds: int = 3,
    depth: int = 2,
    width: int = 50,
    loss: float = 1e-8,
    fit_steps: int = 1500,
    seed: int | None = 0,
    progress: bool | Report = False,
) -> KaleidoscopeCorners:
    """Learn points drawn uniformly in the unit cube, and measure the loss at all of its corners.

    Parameters
    ----------
    dimensions : sequence of int
        Of the cube, 1 to 20.
    n_points : sequence of int
        Numbers of points learned.
    n_seeds : int
        Networks for each, with points and initial weights of their own.
    depth : int
        Hidden layers.
    width : int
        Units of each.
    loss : float
        At which a network is done; many points cannot be learned that well.
    fit_steps : int
        Most steps of Adam. What is left then stands in `fit_loss`.
    seed : int or None
    progress : bool or callable

    Returns
    -------
    KaleidoscopeCorners

    Raises
    ------
    LyapmapError
        If an option is out of its range.
    Interrupted
        On Ctrl-C, with what was measured until then.

    References
    ----------
    H. Shrivastava, "Generative Kaleidoscopic Networks" (2024), Fig. 6.

    Examples
    --------
    >>> kaleidoscope_corners([1], [1, 4], n_seeds=2, fit_steps=200).largest.shape
    (1, 2, 2)
    """
    run, fit = Run("fitting, then corners", seed=seed, progress=progress), Fit.checked(loss, fit_steps)
    n_seeds, depth, width = whole("n_seeds", n_seeds, 1), whole("depth", depth, 1), whole("width", width, 1)
    sides = ascending_sizes("dimensions", dimensions, MOST_DIMENSIONS)
    counts = ascending_sizes("n_points", n_points, 2**20)

    def drawn(d: int, m: int) -> Values:
        return np.array([np.random.default_rng([run.seed, d, m, s]).uniform(size=(m, d)) for s in range(n_seeds)])

    def look(_: int, maps: list[TangentMap], __: Fitted) -> Values:
        losses = [corner_losses(network) for network in maps]
        return np.array([(at.max(), at.mean()) for at in losses])  # (s, 2)

    cells = [Cell(drawn(d, m), depth, width) for d, m in product(sides.tolist(), counts.tolist())]
    seen = experiment(run, cells, fit, look, partial=True)
    shape = (len(sides), len(counts), n_seeds)
    at_corners = over_sizes((*shape, 2), [cell.look for cell in seen])
    result = KaleidoscopeCorners(
        **run.ending(done=f"{len(seen)} of {len(cells)} sizes"),
        settings={"depth": depth, "width": width, "n_seeds": n_seeds, "loss": fit.loss, "fit_steps": fit.fit_steps},
        dimensions=sides,
        n_points=counts,
        largest=at_corners[..., 0],
        mean=at_corners[..., 1],
        fit_loss=over_sizes(shape, [cell.fit.loss for cell in seen]),
        fit_steps=over_sizes(shape, [cell.fit.steps for cell in seen]),
    )
    return run.finish(result, throw=False)


def corner_losses(given: Map) -> Values:
    """Mean squared difference of output and input at each of the 2**n corners of the unit cube.

    Examples
    --------
    >>> class Centre:
    ...     state_shape = (3,)
    ...     def apply(self, x): return 0 * x + 0.5
    ...     def jacobian(self, x): return np.zeros((len(x), 3, 3))
    >>> corner_losses(Centre())
    array([0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25])
    """
    tangent_map = as_tangent_map(given)
    ops, n = tangent_map.ops, int(np.prod(tangent_map.state_shape))
    losses = []
    for first in range(0, 2**n, CHUNK):
        number = np.arange(first, min(first + CHUNK, 2**n))
        corners = ((number[:, None] >> np.arange(n)) & 1).astype(float)
        image = np.asarray(ops.to_numpy(tangent_map.apply(ops.from_numpy(corners))), float)
        losses.append(((image - corners) ** 2).mean(axis=1))
    return np.concatenate(losses)
