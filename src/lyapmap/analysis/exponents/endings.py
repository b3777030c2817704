"""What the trajectories of a run ended on: cycles, whether stable, tori, chaos."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.exponents.ended_orbit import CERTAIN, CHAOTIC, LIMIT_CYCLE, TORUS, UNDETERMINED, counted, cycle_exponents, describe, find_recurrence
from lyapmap.analysis.exponents.tangent_run import FULL_UP_TO, TangentRun
from lyapmap.core.map import rate_unit


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
