"""Burn-in: after how many steps an ensemble no longer changes its distribution."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.arguments import positive, probability, whole
from lyapmap.core.conformance import as_tangent_map
from lyapmap.core.demand import Advance, Demand, held, of_states
from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.core.map import Map, as_states
from lyapmap.core.propagate import step_states
from lyapmap.core.results import Result, Status, Verdict, dims
from lyapmap.core.run import Report, Run

FEWEST = 16
"""Trajectories that a distribution is judged from: two halves of eight."""
QUANTILE = 0.99
"""Of the distances between ensembles that differ by chance alone: one step in a hundred exceeds it."""
RARELY = 0.05
"""Part of the later steps at which chance may carry the distance over the threshold: five times what the quantile
lets through, as neighbouring steps are alike."""

Features = Callable[[Any], Any]
_Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class BurnIn(Result):
    """How the distribution of an ensemble approaches the one it ends with.

    Attributes
    ----------
    at : (s,)
        Steps that were looked at.
    distance : (s,)
        Energy distance to the ensemble after the last step, in the unit of the states or features.
    stderr : (s,)
        By the bootstrap over trajectories.
    noise : float
        Distance that two ensembles of half as many trajectories, drawn from the last one, exceed
        by chance in 1 % of cases.
    threshold : float
        `noise`, or `settings["tolerance"]` of the first distance if that is more; above rounding.
    burn_in : float
        First of `at` with a distance within the threshold after which at most 5 % are above it;
        NaN if that is later than half of the steps, so that the end is no late ensemble.
    burn_in_interval : (2,)
        Quantiles of the bootstrap; infinite where resampled ensembles do not settle either.
    """

    DRAWN_BY: ClassVar[str] = "lyapmap.analysis.orbits.pictures_orbits.draw_burn_in"
    SUMMARY: ClassVar[tuple[str, ...]] = ("burn_in", "threshold")
    REMEDIES: ClassVar[dict[Status, str]] = {Status.NOT_CONVERGED: "raise n_steps"}

    at: NDArray[np.int64] = dims("time")
    distance: _Values = dims("time")
    stderr: _Values = dims("time")
    noise: float
    threshold: float
    burn_in: float
    burn_in_interval: _Values = dims("limit")

    def _finding(self) -> str:
        if not math.isfinite(self.burn_in):
            return "The ensemble is still changing at the end of the run, so that no burn-in can be told."
        first, last = self.burn_in_interval
        limits = f"between {first:.0f} and {last:.0f}" if math.isfinite(last) else f"at least {first:.0f}"
        return f"After {self.burn_in:.0f} steps ({limits}) the ensemble no longer remembers where it started."


def burn_in(
    map: Map,  # noqa: A002  # the field's own word
    x0: Any,
    *,
    n_steps: int,
    every: int = 1,
    features: Features | None = None,
    tolerance: float = 1e-3,
    n_resamples: int = 200,
    level: float = 0.95,
    seed: int | None = None,
    progress: bool | Report = False,
    throw: bool = True,
) -> BurnIn:
    """After how many steps the states of an ensemble have the distribution that they keep.

    The ensemble at step n is compared with that at the last step by the energy distance
    2 E|X - Y| - E|X - X'| - E|Y - Y'|, over pairs of different trajectories, which are independent.
    Burn-in ends where the distance is no more than chance would give between two ensembles of
    half the size that both belong to the last one: it could not be told from a further sample of it.

    Parameters
    ----------
    map : Map
        It may depend on the step (noise).
    x0 : (b, n) or (b, *state_shape)
        Independent initial states, 16 at least. With more of them, smaller changes are told.
    n_steps : int
        Steps, twice the burn-in at least.
    every : int
        Look at every so many-th step.
    features : callable, optional
        Takes states (b, *state_shape), gives rows (b, d) to compare instead.
    tolerance : float
        Distance, relative to the first one, that does not matter: what ends the burn-in where all
        trajectories end on the same point, and chance plays no part.
    n_resamples : int
        Resamples of the bootstrap, and pairs of halves.
    level : float
        Confidence of the interval.
    seed : int, optional
        Of both. Without it drawn from the operating system and recorded.
    progress : bool or callable
        Show a bar on a terminal, or call a function with (steps done, steps in all).
    throw : bool
        Raise if a state escapes or the ensemble still changes after half of the steps.

    Returns
    -------
    BurnIn

    Raises
    ------
    LyapmapError, ShapeError
        If an argument cannot be used.
    RunError
        If there is no burn-in to tell, and `throw`.
    Interrupted
        On Ctrl-C, without a result: the last ensemble is not known.

    References
    ----------
    G. J. Székely, M. L. Rizzo, J. Stat. Plann. Inference 143 (2013) 1249 (energy distance).
    D. B. Rubin, Ann. Stat. 9 (1981) 130 (the bootstrap with smooth weights).

    Examples
    --------
    A contraction by 1/2 brings every distance below 1/1000 of the first in 10 steps:

    >>> import numpy as np
    >>> import lyapmap as lm
    >>> x0 = np.random.default_rng(0).standard_normal((50, 2))
    >>> lm.burn_in(lm.wrap(lambda x: 0.5 * x, state_shape=2), x0, n_steps=40, seed=0).burn_in
    10.0
    """
    tangent_map = as_tangent_map(map)
    n_steps, every = whole("n_steps", n_steps, 4), whole("every", every, 1)
    tolerance, n_resamples = positive("tolerance", tolerance), whole("n_resamples", n_resamples, 20)
    level = probability("level", level)
    x, _ = as_states(x0, tangent_map)
    b = int(x.shape[0])
    if b < FEWEST:
        raise ShapeError(f"x0: expected {FEWEST} independent states at least, got {b}")
    if every > n_steps:
        raise LyapmapError(f"every: expected at most n_steps = {n_steps}, got {every}")
    at = np.unique(np.append(np.arange(0, n_steps, every), n_steps))

    def rows_of(states: Any) -> NDArray[Any]:
        images = tangent_map.ops.to_numpy(states).reshape(b, *tangent_map.state_shape)
        rows = np.asarray(images if features is None else features(images))
        if rows.shape[0] != b:
            raise ShapeError(f"features: expected {b} rows, got an array of shape {rows.shape}")
        return rows.reshape(b, -1)

    run = Run("burn-in", tangent_map, seed=seed, progress=progress)

    def begin(rows: int) -> Advance:
        def advance(steps: int) -> None:
            y, ensembles = x, [rows_of(x)]
            for step in range(0, steps, every):
                y = step_states(tangent_map, y, n_steps=min(every, steps - step))
                ensembles.append(rows_of(y))
            _Curve(ensembles, n_resamples, np.random.default_rng(0))

        return advance

    arrays = [
        *of_states(tangent_map, b),
        held("ensembles", 8, trajectories=b, _times=len(at), _n=rows_of(x).shape[1]),
        held("distances", 3 * 8, trajectories=b, _b=b),
    ]
    run.needs(Demand(arrays, steps=n_steps, begin=begin))
    ensembles: list[NDArray[Any]] = []
    with run.steps() as report:
        done = 0
        for step in at.tolist():
            x = step_states(tangent_map, x, n_steps=step - done, first_step=done)
            done = step
            if not tangent_map.ops.all_finite(x).all():
                break
            ensembles.append(rows_of(x))
            report(step, n_steps)
        if len(ensembles) == len(at):
            curve = _Curve(ensembles, n_resamples, run.rng)
    settings = {
        "n_steps": n_steps,
        "every": every,
        "features": str(getattr(features, "name", features)) if features is not None else "",
        "tolerance": tolerance,
        "n_resamples": n_resamples,
        "level": level,
        "n_trajectories": b,
    }
    if len(ensembles) == len(at):
        return run.finish(_result(curve, at, settings, run), throw)
    unknown = np.full(len(ensembles), np.nan)
    escaped = BurnIn(
        **run.ending(Verdict(Status.ESCAPED, f"a state is not finite after step {at[len(ensembles)]}")),
        settings=settings,
        at=at[: len(ensembles)],
        distance=unknown,
        stderr=unknown,
        noise=float("nan"),
        threshold=float("nan"),
        burn_in=float("nan"),
        burn_in_interval=np.full(2, np.nan),
    )
    return run.finish(escaped, throw)


class _Curve:
    """Energy distances to the last of several ensembles of the same trajectories."""

    def __init__(self, ensembles: list[NDArray[Any]], n_resamples: int, rng: np.random.Generator) -> None:
        late = ensembles[-1].astype(np.float64)
        if not all(np.isfinite(rows).all() for rows in ensembles):
            raise LyapmapError("features: expected finite values for finite states")
        b, middle = len(late), late.mean(axis=0)
        late = late - middle
        among_late = _distances(late, late)
        even = np.full((1, b), 1 / b)
        # Even weights first, then those of the resamples.
        weights = np.concatenate([even, rng.dirichlet(np.ones(b), n_resamples)])
        late_term = _between(among_late, weights)
        energies = []
        for rows in ensembles:
            states = rows - middle
            cross, own = _distances(states, late), _distances(states, states)
            energies.append(2 * _between(cross, weights) - _between(own, weights) - late_term)
        self.all = np.stack(energies)  # (s, 1 + resamples)
        # Where all states are alike, roundings of the squares are all there is.
        self.rounding = 8 * float(np.sqrt(np.finfo(np.float64).eps)) * float(np.abs(late + middle).max())
        self.halves = np.array([_halves(among_late, rng) for _ in range(n_resamples)])


def _distances(x: _Values, y: _Values) -> _Values:
    """|x_i - y_j|, (b, b), by one matrix product."""
    squares = (x**2).sum(axis=1)[:, None] + (y**2).sum(axis=1)[None] - 2 * x @ y.T
    out: _Values = np.sqrt(np.maximum(squares, 0.0))
    return out


def _between(distances: _Values, weights: _Values) -> _Values:
    """Mean distance over pairs of different trajectories, for each row of weights."""
    off = distances.copy()
    np.fill_diagonal(off, 0.0)
    sums: _Values = np.einsum("ri,ri->r", weights @ off, weights) / (1 - (weights**2).sum(axis=1))
    return sums


def _halves(distances: _Values, rng: np.random.Generator) -> float:
    """Energy distance between two halves of an ensemble."""
    rows = rng.permutation(len(distances))
    half = len(rows) // 2
    a, b = rows[:half], rows[half : 2 * half]
    inside = sum(distances[np.ix_(part, part)].sum() for part in (a, b)) / (half * (half - 1))
    return float(2 * distances[np.ix_(a, b)].mean() - inside)


def _settles(curve: _Values, threshold: float) -> int:
    """First place within a threshold after which a curve hardly ever leaves it."""
    above = curve > threshold
    later = np.cumsum(above[::-1])[::-1] / np.arange(len(curve), 0, -1)
    # The last ensemble is at distance zero from itself, so there is such a place.
    return int(np.flatnonzero(~above & (later <= RARELY))[0])


def _result(curve: _Curve, at: NDArray[np.int64], settings: dict[str, Any], run: Run) -> BurnIn:
    tolerance, level = settings["tolerance"], settings["level"]
    distance = curve.all[:, 0]
    noise = max(float(np.quantile(curve.halves, QUANTILE)), 0.0)
    threshold = max(noise, tolerance * float(distance[0]), curve.rounding)
    half = int(at[-1]) // 2
    burnt_in = float(at[_settles(distance, threshold)])
    resampled = [float(at[_settles(row, threshold)]) for row in curve.all.T[1:]]
    times = np.array([t if t <= half else np.inf for t in resampled])
    limits = np.quantile(times, [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf")
    verdict = Verdict()
    if burnt_in > half:
        message = f"the ensemble still changes after {half} of {at[-1]} steps, so that its end is no late one"
        verdict, burnt_in = Verdict(Status.NOT_CONVERGED, message), float("nan")
    return BurnIn(
        **run.ending(verdict),
        settings=settings,
        at=at,
        distance=distance,
        stderr=curve.all[:, 1:].std(axis=1, ddof=1),
        noise=noise,
        threshold=threshold,
        burn_in=burnt_in,
        burn_in_interval=limits,
    )
