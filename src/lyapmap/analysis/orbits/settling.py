"""What `settling` finds: how fast trajectories come to rest, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.proportions import wilson
from lyapmap.core.arguments import positive, probability, whole
from lyapmap.core.conformance import as_tangent_map
from lyapmap.core.demand import Advance, Demand, held, of_states
from lyapmap.core.errors import LyapmapError
from lyapmap.core.map import Map, TangentMap, as_states
from lyapmap.core.ops import Array
from lyapmap.core.propagate import quiet, step_states
from lyapmap.core.results import Result, Status, Verdict, dims
from lyapmap.core.run import Report, Run


@dataclass(frozen=True, kw_only=True)
class Settling(Result):
    """How trajectories come to rest on fixed points and cycles, and how many end on each.

    Attributes
    ----------
    step_size : (n_steps, 3)
        10, 50 and 90 % quantiles over trajectories of |x_{n+1} - x_n|.
    settled_share : (n_steps + 1,)
        Part of the trajectories that have settled at step n.
    settled_interval : (n_steps + 1, 2)
        Wilson's limits.
    settled_at : (b,)
        Step at which each settled; -1 where it did not.
    attractor : (b,)
        Number of the fixed point or cycle on which each ended; -1 where it did not settle.
    points : (m, n)
        Of each fixed point or cycle the state where the first trajectory ended on it.
    period : (m,)
        1 for a fixed point.
    share : (m,)
        Part of all trajectories that ended there, largest first: how large the basin is, as the
        distribution of the initial states measures it.
    share_interval : (m, 2)
        Wilson's limits.
    unseen : float
        Probability that a further trajectory ends on a fixed point or cycle that is not among
        these (I. J. Good 1953): the part of the settled ones that ended alone.
    n_estimated : float
        Number of fixed points and cycles in all, at least (A. Chao 1984).
    state_shape : tuple of int
    """

    DRAWN_BY: ClassVar[str] = "lyapmap.analysis.orbits.pictures_orbits.draw_settling"
    REMEDIES: ClassVar[dict[Status, str]] = {
        Status.UNRESOLVED: "raise n_steps or longest_period, or look with lyapunov_spectrum whether they wander"
    }

    step_size: NDArray[np.float64] = dims("step", "quantile")
    settled_share: NDArray[np.float64] = dims("state")
    settled_interval: NDArray[np.float64] = dims("state", "limit")
    settled_at: NDArray[np.int64] = dims("trajectory")
    attractor: NDArray[np.int64] = dims("trajectory")
    points: NDArray[np.float64] = dims("end", "component")
    period: NDArray[np.int64] = dims("end")
    share: NDArray[np.float64] = dims("end")
    share_interval: NDArray[np.float64] = dims("end", "limit")
    unseen: float
    n_estimated: float
    state_shape: tuple[int, ...]

    @property
    def median_settled_at(self) -> float:
        """Step at which half of all trajectories had settled; infinite if they had not."""
        steps = np.where(self.settled_at < 0, np.inf, self.settled_at)
        return float(np.quantile(steps, 0.5, method="inverted_cdf"))

    def images(self) -> NDArray[np.float64]:
        """`points` in the shape of a state, (m, *state_shape)."""
        return self.points.reshape(-1, *self.state_shape)

    def _finding(self) -> str:
        b = len(self.attractor)
        if not len(self.share):
            return f"None of {b} trajectories came to rest."
        cycles = int((self.period > 1).sum())
        points = len(self.period) - cycles
        ends = " and ".join(
            [*([f"{points} fixed points"] if points else []), *([f"{cycles} cycles"] if cycles else [])]
        )
        rest = f"{self.settled_share[-1]:.0%} of {b} trajectories came to rest, on {ends}"
        return f"{rest}; the commonest end takes {self.share[0]:.0%}."


__all__ = ["Settling", "settling"]

QUANTILES = (0.1, 0.5, 0.9)
"""Of the lengths of a step over trajectories: the bulk, without the first and the last to settle."""
BLOCK = 2_000_000
"""Entries of differences between end states held at once."""

_Values = NDArray[np.float64]


def settling(
    map: Map,  # noqa: A002  # the field's own word
    x0: Any,
    *,
    n_steps: int,
    longest_period: int = 32,
    tolerance: float | None = None,
    separation: float | None = None,
    level: float = 0.95,
    progress: bool | Report = False,
    throw: bool = True,
) -> Settling:
    """Follow trajectories until they come to rest, and sort them by where they end.

    A trajectory has settled at step n if from there on |x_{m+p} - x_m| stays within the tolerance
    for its period p, the smallest up to `longest_period` with which its last state returns.

    Parameters
    ----------
    map : Map
        It must not depend on the step: noise keeps a trajectory from coming to rest.
    x0 : (b, n), (b, *state_shape) or one state
        Initial states; what is said of basins is said of the distribution that they are drawn from.
    n_steps : int
        Steps that trajectories have to come to rest.
    longest_period : int
        Longest cycle that is looked for, for as many further steps.
    tolerance : float, optional
        Distance |x_{m+p} - x_m| relative to max(1, |x|) within which a state has returned;
        2.4e-5 in float32 and 3.7e-11 in float64 (the 2/3 power of the rounding) by default.
    separation : float, optional
        Distance relative to max(1, |x|) within which two ends are the same; the root of the
        rounding by default. Larger than `tolerance`, since slow trajectories rest before they are there.
    level : float
        Of the confidence limits.
    progress : bool or callable
        Show a bar on a terminal, or call a function with (steps done, steps in all).
    throw : bool
        Raise if a state escapes; else return what there is with status "escaped".

    Returns
    -------
    Settling
        With status "unresolved" where trajectories have not settled.

    Raises
    ------
    LyapmapError
        If an argument cannot be used.
    RunError
        If a state becomes infinite or NaN and `throw`.
    Interrupted
        On Ctrl-C, without a result: where trajectories end is not known.

    Notes
    -----
    A trajectory that creeps by less than the tolerance counts as settled where it is; near a
    multiplier of 1 that can be tolerance / (1 - multiplier) before the fixed point. Newton's method
    (`lyapmap.periodic_orbits`) tells whether a fixed point is there.

    References
    ----------
    I. J. Good, Biometrika 40 (1953) 237 (the probability of what was not seen).
    A. Chao, Scand. J. Statist. 11 (1984) 265 (the number of kinds).

    Examples
    --------
    x -> tanh(2 x) has stable fixed points at ±0.9575 and an unstable one between:

    >>> import numpy as np
    >>> import lyapmap as lm
    >>> well = lm.wrap(lambda x: np.tanh(2 * x), state_shape=1)
    >>> found = lm.settling(well, np.array([[-2.0], [0.1], [0.5], [1.0]]), n_steps=100)
    >>> found.points.round(4).ravel().tolist(), found.share.tolist()
    ([0.9575, -0.9575], [0.75, 0.25])
    """
    tangent_map = as_tangent_map(map)
    if tangent_map.depends_on_step:
        raise LyapmapError("map: a map that depends on the step (noise, input) does not come to rest")
    n_steps, longest = whole("n_steps", n_steps, 1), whole("longest_period", longest_period, 1)
    eps = float(np.finfo(tangent_map.ops.dtype).eps)
    near = eps ** (2 / 3) if tolerance is None else positive("tolerance", tolerance)
    apart = max(float(np.sqrt(eps)), near) if separation is None else positive("separation", separation)
    if apart < near:
        raise LyapmapError(f"separation: expected at least the tolerance {near:.2g}, got {apart:.2g}")
    settings = {
        "n_steps": n_steps,
        "longest_period": longest,
        "tolerance": near,
        "separation": apart,
        "level": probability("level", level),
    }
    x, _ = as_states(x0, tangent_map)
    run = Run("settling", tangent_map, progress=progress, demand=_demand(tangent_map, x, n_steps, near))
    with run.steps() as report:
        orbits = _Orbits(tangent_map, x, n_steps, near)
        orbits.step(report)
        orbits.find_periods(longest)
        orbits.time_cycles()
        ends = orbits.ends(apart)
    return run.finish(_result(orbits, *ends, settings | {"n_trajectories": orbits.b}, run), throw)


def _demand(tangent_map: TangentMap, x: Array, n_steps: int, near: float) -> Demand:
    b = int(x.shape[0])

    def begin(rows: int) -> Advance:
        def advance(steps: int) -> None:
            _Orbits(tangent_map, x[:rows], steps, near).step(lambda done, total: None)

        return advance

    arrays = [
        *of_states(tangent_map, b, copies=8),
        held("sizes of steps", 8, n_steps=n_steps, _quantiles=len(QUANTILES)),
    ]
    return Demand(arrays, rows=b, steps=n_steps, begin=begin)


class _Orbits:
    """Trajectories on their way, of which only the current states are held."""

    def __init__(self, tangent_map: TangentMap, x: Array, n_steps: int, tolerance: float) -> None:
        self.map, self.ops, self.start = tangent_map, tangent_map.ops, x
        self.b, self.n_steps, self.tolerance = int(x.shape[0]), n_steps, tolerance
        self.last = x
        self.step_size = np.full((n_steps, len(QUANTILES)), np.nan)
        self.settled_at: NDArray[np.int64] = np.zeros(self.b, np.int64)
        self.period: NDArray[np.int64] = np.zeros(self.b, np.int64)

    def step(self, report: Report) -> None:
        """Go to the end, noting steps that were longer than the tolerance."""
        x = self.start
        for step in range(self.n_steps):
            y = step_states(self.map, x, n_steps=1)
            with quiet():
                size = self.ops.norm(y - x)
            if np.isfinite(size).any():
                self.step_size[step] = np.quantile(size[np.isfinite(size)], QUANTILES)
            # NaN is not within the tolerance either.
            self.settled_at[~(size <= self.tolerance * self._scale(x))] = step + 1
            x = y
            report(step + 1, self.n_steps)
        self.last = x

    def find_periods(self, longest: int) -> None:
        """The smallest period of each last state, 0 where there is none."""
        rows: NDArray[np.int64] = np.flatnonzero(self.ops.all_finite(self.last))
        x = self.ops.take(self.last, rows)
        y = x
        for p in range(1, longest + 1):
            if not len(rows):
                return
            y = step_states(self.map, y, n_steps=1)
            back = self.ops.norm(y - x) <= self.tolerance * self._scale(x)
            self.period[rows[back]] = p
            stay = np.flatnonzero(~back)
            rows, x, y = rows[stay], self.ops.take(x, stay), self.ops.take(y, stay)

    def time_cycles(self) -> None:
        """When trajectories settled that end on cycles: those are followed again."""
        self.settled_at[self.period == 0] = -1
        for p in sorted(set(self.period[self.period > 1].tolist())):
            rows = np.flatnonzero(self.period == p)
            late = self.ops.take(self.start, rows)
            early, at = late, np.zeros(len(rows), np.int64)
            late = step_states(self.map, late, n_steps=p)
            for step in range(self.n_steps):
                at[~(self.ops.norm(late - early) <= self.tolerance * self._scale(early))] = step + 1
                early, late = (step_states(self.map, z, n_steps=1) for z in (early, late))
            self.settled_at[rows] = np.minimum(at, self.n_steps)

    def ends(self, separation: float) -> tuple[NDArray[np.int64], _Values, NDArray[np.int64]]:
        """For each trajectory the number of its end (b,), the ends (m, n) and their periods (m,)."""
        states = np.asarray(self.ops.to_numpy(self.last), np.float64)
        label = np.full(self.b, -1, np.int64)
        first: list[int] = []
        for row in np.flatnonzero(self.period):
            if label[row] >= 0:
                continue
            label[row] = len(first)
            first.append(int(row))
            p, x = int(self.period[row]), self.ops.take(self.last, np.array([row]))
            others = np.flatnonzero((label < 0) & (self.period == p))
            for _ in range(p):
                phase = np.asarray(self.ops.to_numpy(x), np.float64)[0]
                limit = separation * max(1.0, float(np.linalg.norm(phase)))
                label[others[_within(states, others, phase, limit)]] = label[row]
                x = step_states(self.map, x, n_steps=1)
        counts = np.bincount(label[label >= 0], minlength=len(first))
        order = np.argsort(-counts, kind="stable")
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        rows = np.array(first, np.int64)[order]
        return np.where(label >= 0, rank[label] if len(rank) else -1, -1), states[rows], self.period[rows]

    def _scale(self, x: Array) -> _Values:
        return np.maximum(self.ops.norm(x), 1.0)


def _within(states: _Values, rows: NDArray[np.int64], point: _Values, limit: float) -> NDArray[np.bool_]:
    chunk = max(1, BLOCK // states.shape[1])
    parts = [np.linalg.norm(states[rows[i : i + chunk]] - point, axis=1) for i in range(0, len(rows), chunk)]
    return np.concatenate(parts) <= limit if parts else np.zeros(0, bool)


def _result(
    orbits: _Orbits,
    attractor: NDArray[np.int64],
    points: _Values,
    period: NDArray[np.int64],
    settings: dict[str, Any],
    run: Run,
) -> Settling:
    b, level = orbits.b, settings["level"]
    settled = attractor >= 0
    done = np.sort(orbits.settled_at[settled])
    share_over_n = np.searchsorted(done, np.arange(orbits.n_steps + 1), side="right") / b
    counts = np.bincount(attractor[settled], minlength=len(points))
    once, twice = int((counts == 1).sum()), int((counts == 2).sum())
    lost = int((~orbits.ops.all_finite(orbits.last)).sum())
    moving = b - int(settled.sum())
    verdict = Verdict()
    if lost:
        verdict = Verdict(Status.ESCAPED, f"{lost} of {b} trajectories are not finite after {orbits.n_steps} steps")
    elif moving:
        message = (
            f"{moving} of {b} trajectories are neither at rest nor on a cycle of at most "
            f"{settings['longest_period']} points after {orbits.n_steps} steps"
        )
        verdict = Verdict(Status.UNRESOLVED, message)
    return Settling(
        **run.ending(verdict),
        settings=settings,
        step_size=orbits.step_size,
        settled_share=share_over_n,
        settled_interval=wilson(share_over_n, b, level),
        settled_at=orbits.settled_at,
        attractor=attractor,
        points=points,
        period=period,
        share=counts / b,
        share_interval=wilson(counts / b, b, level),
        unseen=once / int(settled.sum()) if settled.any() else float("nan"),
        n_estimated=len(points) + once * (once - 1) / (2 * (twice + 1)) if settled.any() else float("nan"),
        state_shape=tuple(orbits.map.state_shape),
    )
