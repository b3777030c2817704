"""The kaleidoscope of a few points in the unit square: loss surface, samples, where all starts end (Fig. 5)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lyapmap.backends import wrap
from lyapmap.core.arguments import positive, seeded, whole
from lyapmap.core.errors import LyapmapError
from lyapmap.core.map import Map, TangentMap, as_tangent_map
from lyapmap.core.propagate import step_states
from lyapmap.core.results import Result, Status, provenance
from lyapmap.core.run import Report
from lyapmap.models.kaleidoscope import experiment

Values = NDArray[np.float64]

SPREAD = 0.5**0.5
"""Standard deviation of the starts, N(0.5, 0.5 I) in the paper, cut off at the square's edge."""
SAMPLED_AFTER = (0, 1, 2, 5, 10, 50)
ELSEWHERE = -1


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


PAPER = (
    PlaneSetting(((0.5, 0.5),), 2, 50),
    PlaneSetting(((0.2, 0.2), (0.2, 0.8), (0.8, 0.2), (0.8, 0.8)), 7, 50),
)
"""The settings of Fig. 5."""


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

    DIMS: ClassVar[dict[str, tuple[str, ...]]] = {
        "fit_loss": ("setting",),
        "fit_steps": ("setting",),
        "tries": ("setting",),
        "points": ("setting", "point", "coordinate"),
        "axis": ("place",),
        "loss": ("setting", "row", "column"),
        "ends": ("setting", "row", "column", "coordinate"),
        "basin": ("setting", "row", "column"),
        "settled": ("setting",),
        "n_ends": ("setting",),
        "expansion": ("setting", "point"),
        "sampled_after": ("time",),
        "samples": ("setting", "time", "sample", "coordinate"),
        "share_at_points": ("setting", "time"),
        "share_by_point": ("setting", "point"),
    }
    DRAWN_BY: ClassVar[str] = "lyapmap.models.kaleidoscope.pictures.draw_kaleidoscope_plane"
    REMEDIES: ClassVar[dict[Status, str]] = experiment.REMEDIES

    names: list[str]
    fit_loss: Values
    fit_steps: NDArray[np.int64]
    tries: NDArray[np.int64]
    points: Values
    axis: Values
    loss: Values
    ends: Values
    basin: NDArray[np.int64]
    settled: Values
    n_ends: NDArray[np.int64]
    expansion: Values
    sampled_after: NDArray[np.int64]
    samples: Values
    share_at_points: Values
    share_by_point: Values


def kaleidoscope_plane(
    settings: Sequence[PlaneSetting] = PAPER,
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
    fit_steps, tries : int
        Most steps of Adam for one set of initial weights, and most of those.
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
    >>> found = kaleidoscope_plane([PlaneSetting(((0.5, 0.5),))], n_grid=5, n_steps=20)
    >>> found.share_by_point
    array([[1.]])
    """
    from lyapmap.models.kaleidoscope.fit import checked_sets, fit_points

    begin = time.perf_counter()
    seed, _ = seeded(seed)
    n_grid, n_steps, n_samples = (
        whole("n_grid", n_grid, 2),
        whole("n_steps", n_steps, 1),
        whole("n_samples", n_samples, 1),
    )
    tolerance, loss = positive("tolerance", tolerance), positive("loss", loss)
    if not settings:
        raise LyapmapError("settings: expected at least one")
    for one in settings:
        _, config = checked_sets(one.points, depth=one.depth, width=one.width, output="sigmoid")
        if config.state_shape != (2,):
            raise LyapmapError(f"points: expected pairs, got {one.points}")
        if len(np.unique(one.points, axis=0)) < len(one.points):
            raise LyapmapError(f"points: expected different ones, got {one.points}")
    looks: list[dict[str, Any]] = []
    networks: list[TangentMap] = []

    def fit_and_look(setting: PlaneSetting) -> None:
        fitted = fit_points(
            setting.points,
            depth=setting.depth,
            width=setting.width,
            loss=loss,
            steps=fit_steps,
            tries=tries,
            seed=seed,
        )
        networks.append(wrap(fitted.networks[0], state_shape=(2,)))
        noise = np.random.default_rng([seed, len(looks)]).standard_normal((n_samples, 2))
        starts = np.clip(0.5 + SPREAD * noise, 0, 1)
        look = look_at_plane(networks[-1], setting.points, starts, n_grid=n_grid, n_steps=n_steps, tolerance=tolerance)
        fit = {"fit_loss": fitted.loss[0], "fit_steps": fitted.steps[0], "tries": fitted.tries[0]}
        looks.append(look | fit)

    experiment.each(settings, fit_and_look, words="fitting and iterating", progress=progress)
    names, left = [setting.name for setting in settings], np.array([look["fit_loss"] for look in looks])
    columns: dict[str, Any] = {name: experiment.padded([look[name] for look in looks]) for name in looks[0]}
    return KaleidoscopePlane(
        **experiment.how_it_went(names, left, loss, tries),
        settings={
            "n_grid": n_grid,
            "n_steps": n_steps,
            "tolerance": tolerance,
            "loss": loss,
            "fit_steps": fit_steps,
            "tries": tries,
        },
        provenance=provenance(networks[-1], seed=seed, seconds=time.perf_counter() - begin),
        names=names,
        axis=np.linspace(0, 1, n_grid),
        sampled_after=np.array(SAMPLED_AFTER),
        **columns,
    ).checked(throw)


def look_at_plane(
    given: Map, points: Sequence[tuple[float, float]], starts: Values, *, n_grid: int, n_steps: int, tolerance: float
) -> dict[str, Any]:
    """What iterating a map of the unit square does, by the names of `KaleidoscopePlane`."""
    tangent_map = as_tangent_map(given)
    ops = tangent_map.ops
    axis = np.linspace(0, 1, n_grid)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1)  # [row, column] is (x, y) = (axis[column], axis[row])
    flat = grid.reshape(-1, 2)
    learned = np.asarray(points, float)
    image = _after(tangent_map, flat, 1)
    ends = _after(tangent_map, flat, n_steps)
    still = np.abs(_after(tangent_map, ends, 1) - ends).max(axis=1) <= tolerance / 100
    basin = np.where(still, _at_point(ends, learned, tolerance), ELSEWHERE)
    samples = experiment.visited(tangent_map, starts, SAMPLED_AFTER)
    derivative = np.asarray(ops.to_numpy(tangent_map.jacobian(ops.from_numpy(learned))), float)
    return {
        "points": learned,
        "loss": ((image - flat) ** 2).mean(axis=1).reshape(n_grid, n_grid),
        "ends": ends.reshape(n_grid, n_grid, 2),
        "basin": basin.reshape(n_grid, n_grid),
        "settled": float(still.mean()),
        "n_ends": len(_distinct(ends[still], tolerance)),
        "expansion": np.linalg.norm(derivative, 2, axis=(1, 2)),
        "samples": samples,
        "share_at_points": np.array([(_at_point(one, learned, tolerance) >= 0).mean() for one in samples]),
        "share_by_point": np.array([(basin == j).mean() for j in range(len(learned))]),
    }


def _after(tangent_map: TangentMap, x: Values, n_steps: int) -> Values:
    ops = tangent_map.ops
    return np.asarray(ops.to_numpy(step_states(tangent_map, ops.from_numpy(x), n_steps=n_steps)), float)


def _at_point(x: Values, points: Values, tolerance: float) -> NDArray[np.int64]:
    """Index of the nearest point of each row of x, `ELSEWHERE` where it is farther than the tolerance."""
    distance = np.linalg.norm(x[:, None] - points, axis=2)
    return np.where(distance.min(axis=1) <= tolerance, distance.argmin(axis=1), ELSEWHERE)


def _distinct(x: Values, tolerance: float) -> Values:
    """One of each group of rows that lie within the tolerance of the group's first."""
    found: list[Values] = []
    while len(x):
        found.append(x[0])
        x = x[np.linalg.norm(x - x[0], axis=1) > tolerance]
    return np.array(found).reshape(-1, 2)
