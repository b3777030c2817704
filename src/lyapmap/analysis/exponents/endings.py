"""Do all trajectories lie on one attractor? Those that do not are told apart by their exponents."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.exponents.ended_orbit import (
    CERTAIN,
    CHAOTIC,
    LIMIT_CYCLE,
    TORUS,
    UNDETERMINED,
    counted,
    cycle_exponents,
    describe,
    find_recurrence,
)
from lyapmap.analysis.exponents.tangent_run import FULL_UP_TO, TangentRun
from lyapmap.core.map import rate_unit

COMPARED = 3
"""Leading exponents that are looked at."""
GAP = 4.0
"""Gap between neighbouring values, in standard errors of their difference, that chance does not leave."""
SAME = 1e-6
"""Exponents closer than this (relative, or in nats per step) are the same, whatever their error."""

Matrix = NDArray[np.float64]


def group_trajectories(per_trajectory: Matrix, within: Matrix, periods: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number of the group that each trajectory belongs to, the largest group first.

    Trajectories on cycles of different periods are apart; so are those whose exponents, sorted,
    leave a gap of more than `GAP` standard errors of the difference. Attractors that differ by less, or in other
    respects than their exponents, cannot be told apart in this way.

    Parameters
    ----------
    per_trajectory : (b, k)
        Exponents of each trajectory, leading ones first.
    within : (b, k)
        Standard error of each trajectory's exponents, from its variation in time.
    periods : (b,)
        Of the cycles on which trajectories ended, 0 for none.

    Returns
    -------
    (b,) int

    Examples
    --------
    >>> group_trajectories(np.array([[0.5], [0.1], [0.52], [0.49]]), np.full((4, 1), 0.01), np.zeros(4, int))
    array([0, 1, 0, 0])
    """
    labels = np.unique(periods, return_inverse=True)[1].astype(np.int64)
    for values, errors in zip(per_trajectory.T[:COMPARED], within.T[:COMPARED], strict=True):
        if not np.isfinite(errors).all() or not np.isfinite(values).all():
            continue
        order = np.argsort(values, kind="stable")
        ordered = errors[order]
        least = np.maximum(GAP * np.hypot(ordered[1:], ordered[:-1]), SAME * max(1.0, float(np.abs(values).max())))
        piece = np.zeros(len(values), np.int64)
        piece[order[1:]] = np.cumsum(np.diff(values[order]) > least)
        labels = np.unique(labels * len(values) + piece, return_inverse=True)[1].astype(np.int64)
    counts = np.bincount(labels)
    rank = np.empty(len(counts), np.int64)
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    return rank[labels]


@dataclass(frozen=True)
class Endings:
    """What trajectories ended on.

    Attributes
    ----------
    period : (b,)
        Of the cycle, 0 for none.
    unstable : (b,)
        Whether the computed orbit repeats although its cycle is unstable.
    exponential : (b,)
        Whether tangents grew as no power of time does.
    names : list of str
    """

    period: NDArray[np.int64]
    unstable: NDArray[np.bool_]
    exponential: NDArray[np.bool_]
    names: list[str]

    def in_words(self) -> str:
        return counted(self.names)


def find_endings(
    run: TangentRun,
    per_trajectory: NDArray[np.float64],
    within: NDArray[np.float64],
    stderr: NDArray[np.float64],
    *,
    rounding: float,
    zero: float,
) -> Endings:
    """What each trajectory ended on; `rounding` and `zero` are growth per step, as in `Summary`."""
    b = run.b
    largest = per_trajectory.max(axis=1)
    repeats = run.watch.repeats
    if run.lost() is not None or run.statistics.steps == 0:
        never = np.zeros(b, bool)
        return Endings(np.zeros(b, np.int64), never, never, [UNDETERMINED] * b)
    # The error of one trajectory: from its own variation, or judged from that of their mean.
    leading = int(per_trajectory.mean(axis=0).argmax())
    together = float(np.nan_to_num(stderr[leading], posinf=np.inf)) * np.sqrt(b)
    error = np.where(np.isfinite(within[:, leading]), within[:, leading], together)
    constant = error <= rounding  # growth that does not vary goes on as it is
    exponential = run.statistics.grows_exponentially() | (constant & (largest > zero))
    error = np.where(exponential | constant, error, np.fmax(error, np.where(largest > 0, largest, 0.0)))
    certain = np.maximum(CERTAIN * error, zero)
    period = np.zeros(b, np.int64)
    closed = repeats | (largest <= certain)
    if run.autonomous and closed.any():
        period = find_recurrence(run.map, run.x).period
    # Around a cycle the multipliers tell more than growth over a part of the run.
    largest = np.where(repeats, run.watch.growth, largest)
    exact = np.full(b, np.nan)
    if (closed & (period > 0)).any():
        exact = np.where(closed, on_cycles(run, period)[:, 0], np.nan)
    on_cycle = ~np.isnan(exact)
    largest, error = np.where(on_cycle, exact, largest), np.where(on_cycle, 0.0, error)
    unstable = closed & (on_cycle | repeats) & (largest > zero)
    names = [
        describe(
            float(largest[t]),
            float(error[t]),
            int(period[t]),
            bool(unstable[t]),
            exponential=bool(exponential[t]),
            neutral=bool(exact[t] == 0),
            zero=zero,
        )
        for t in range(b)
    ]
    if rate_unit(run.map) == "per unit time":
        # A flow's orbit has an exponent of zero along itself; only a second one makes a torus.
        second = np.sort(per_trajectory, axis=1)[:, -2] if run.statistics.totals.shape[1] > 1 else np.full(b, np.nan)
        for t, name in enumerate(names):
            if name == TORUS and not abs(second[t]) <= certain[t]:
                names[t] = LIMIT_CYCLE if second[t] < 0 else UNDETERMINED
            elif name.startswith("neutral cycle") and second[t] < -certain[t]:
                names[t] = LIMIT_CYCLE  # whose period is a multiple of tau
    wandering = (CHAOTIC, TORUS, LIMIT_CYCLE, UNDETERMINED)
    settled = np.array([name not in wandering for name in names])
    return Endings(np.where(settled, period, 0), unstable & repeats, exponential, names)


def on_cycles(run: TangentRun, periods: NDArray[np.int64]) -> NDArray[np.float64]:
    """Exponents (b, k) of each trajectory from the multipliers of the cycle that it ended on; NaN for none."""
    k = run.statistics.totals.shape[1]
    exact = np.full((run.b, k), np.nan)
    ops, n = run.ops, run.n
    for period in np.unique(periods[periods > 0]):
        rows = np.flatnonzero(periods == period)
        x, frame = (ops.take(array, rows) for array in (run.x, run.frame))
        if n <= FULL_UP_TO:  # all of space is invariant, whatever the frame
            every = np.broadcast_to(np.eye(n), (len(rows), n, n))
            frame = frame if k == n else ops.from_numpy(every, run.frame_dtype)
        exponents = cycle_exponents(run.map, x, frame, int(period))
        exact[rows] = exponents[:, :k]
    return exact
