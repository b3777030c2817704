"""What trajectories ended on: a cycle, a torus, chaos; whether an orbit that repeats is real or an artefact of
rounding; and whether all of them lie on one attractor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.journal import Resumable
from lyapmap.core.map import TangentMap, dimension, rate_unit
from lyapmap.core.ops import Array
from lyapmap.core.propagate import step_states

if TYPE_CHECKING:
    from lyapmap.analysis.exponents.tangent_run import TangentRun

FULL_UP_TO = 64
"""Largest dimension for which the full spectrum is the default, determinants are sampled and cycles get all of
their multipliers: n x n matrices are cheap there."""
LONGEST_PERIOD = 512
"""Steps for which a return is looked for. They come on top of the run, so that they must stay few beside it;
period-doubling cascades are seen up to 2^9."""
LONGEST_PERIOD_OF_FLOW = 32
"""The same of a flow, whose steps are dear, and whose orbits never come back if their period is no multiple of
tau."""
ROUNDINGS = 64
"""Roundings of a state's size within which two states are the same point, known inexactly: a step of a network of
some thousand terms is wrong by about sqrt(n) roundings."""
CHAOTIC, TORUS, LIMIT_CYCLE, UNDETERMINED = "chaotic", "torus", "limit cycle", "undetermined"
ZERO = 1e-9
"""Exponents closer to zero than this (nats per step) are zero, whatever their error: float64 sums of a million
steps leave about that much."""
NEUTRAL = 1e-6
"""Distance of a modulus from 1 within which a multiplier is neutral, in float64; its root in float32. Where two
eigenvalues meet, a rounding eps moves them by sqrt(eps), 1.5e-8."""
TORUS_ERROR = 0.003
"""A zero exponent says torus only if its standard error is no larger than this: 3 errors are then 0.01, and slower
chaos than that is called a torus. A judgement, held against strangers' systems in `docs/calibration.md`."""
CERTAIN = 3.0
"""Standard errors from zero at which the sign of an exponent counts as known: 1 in 370 by chance."""


def derivative_error(tangent_map: TangentMap, dtype: str) -> float:
    """Relative error of a map's derivative: a rounding, or what differences leave."""
    eps = float(np.finfo(dtype).eps)
    return eps ** (2 / 3) if "differences" in tangent_map.derivative else eps


def growth_rounding(tangent_map: TangentMap, dtype: str) -> float:
    """Growth per step that rounding of derivatives and frames makes where there is none: no statistics shows it."""
    eps, derivative = float(np.finfo(dtype).eps), derivative_error(tangent_map, dtype)
    return ROUNDINGS * eps if derivative == eps else 8 * derivative


def neutral_within(dtype: str) -> float:
    """Distance of a modulus from 1 within which a multiplier counts as 1; a root, as eigenvalues may meet there."""
    return NEUTRAL if np.finfo(dtype).eps < 1e-10 else float(np.sqrt(NEUTRAL))


class RepeatWatch(Resumable):
    """Notices trajectories whose computed orbit repeats in every bit.

    A snapshot is kept and renewed at block numbers that are powers of two (R. Brent 1980), so any
    period is found in the end. Growth since the snapshot is growth along the repeating orbit: if
    that is positive, a deterministic orbit could not have been attracted to it, and rounding must
    have put it there.
    """

    KEPT = ("repeats", "growth", "_since", "_steps", "_blocks", "_renew_at")
    CARRIED = ("_snapshot",)

    def __init__(self, tangent_map: TangentMap, x: Array, k: int) -> None:
        self.ops = tangent_map.ops
        b = x.shape[0]
        self.repeats: NDArray[np.bool_] = np.zeros(b, bool)
        self.growth: NDArray[np.float64] = np.full(b, np.nan)
        """Largest growth per step along the repeating orbit, (b,); NaN where there is none."""
        self._snapshot = self.ops.copy(x)
        self._since = np.zeros((b, k))
        self._steps = 0
        self._blocks = 0
        self._renew_at = 1

    def see(self, x: Array, log_growth: NDArray[np.float64], n_steps: int) -> None:
        """Look at the states after a block and take in its growth (b, k)."""
        self._since += log_growth
        self._steps += n_steps
        self._blocks += 1
        equal = self.ops.rows_equal(x, self._snapshot)
        if equal.any():
            self.repeats |= equal
            self.growth = np.where(equal, (self._since / self._steps).max(axis=1), self.growth)
        if self._blocks >= self._renew_at:
            self._renew_at *= 2
            self._blocks = 0
            self._steps = 0
            self._snapshot = self.ops.copy(x)
            self._since = np.zeros_like(self._since)


@dataclass(frozen=True)
class Recurrence:
    """Where trajectories return to, looked for from their final states.

    Attributes
    ----------
    period : (b,) int
        Smallest number of steps after which a state is back where it was, 0 where there is none
        up to `LONGEST_PERIOD`, or `LONGEST_PERIOD_OF_FLOW`.
    """

    period: NDArray[np.int64]


def find_recurrence(tangent_map: TangentMap, x: Array) -> Recurrence:
    """Periods of the orbits from states (b, n), to within the square root of the precision."""
    ops = tangent_map.ops
    scale = np.maximum(ops.norm(x), 1.0)
    tolerance = np.sqrt(np.finfo(ops.dtype).eps) * scale
    period = np.zeros(x.shape[0], np.int64)
    y = x
    for p in range(1, (LONGEST_PERIOD_OF_FLOW if tangent_map.is_flow else LONGEST_PERIOD) + 1):
        y = step_states(tangent_map, y, n_steps=1)
        back = (ops.norm(y - x) <= tolerance) & (period == 0)
        period[back] = p
        if period.all():
            break
    return Recurrence(period)


def starts_on_cycle(tangent_map: TangentMap, x0: Array, x: Array) -> NDArray[np.bool_]:
    """For each initial state whether it lies, to rounding, on the cycle through the state x of its row."""
    ops = tangent_map.ops
    tolerance = ROUNDINGS * np.finfo(ops.dtype).eps * np.maximum(ops.norm(x0), 1.0)
    on_cycle = np.zeros(x0.shape[0], bool)
    for _ in range(LONGEST_PERIOD):
        on_cycle |= ops.norm(x - x0) <= tolerance
        if on_cycle.all():
            break
        x = step_states(tangent_map, x, n_steps=1)
    return on_cycle


def cycle_exponents(tangent_map: TangentMap, x: Array, frame: Array, period: int) -> NDArray[np.float64]:
    """Exponents (b, k) of the cycle on which the states lie, from its multipliers.

    The frame spans an invariant subspace of the derivative of one period; in that basis the
    derivative is a small k x k matrix, whose eigenvalues are the multipliers. NaN where the frame
    is not invariant yet. Multipliers that are 1 up to rounding give 0; -inf those that are smaller
    than what rounding of the states makes of them: a superstable cycle is met to a rounding only.
    Those of a flow that are below the rounding of its largest are NaN.
    """
    ops = tangent_map.ops
    b, _, _ = frame.shape
    products = _Products(tangent_map, frame), _Products(tangent_map, frame)
    for _ in range(period):
        size = ROUNDINGS * np.finfo(ops.dtype).eps * np.maximum(ops.norm(x), 1.0)
        beside = x + ops.from_numpy(np.broadcast_to(size[:, None], (b, x.shape[1])))
        products[1].times(beside)
        x = products[0].times(x)
    exponents, residual = products[0].log_multipliers()
    moved, _ = products[1].log_multipliers()
    with np.errstate(invalid="ignore"):
        noise = (exponents < 0.5 * np.log(np.finfo(ops.dtype).eps)) & ~(np.abs(moved - exponents) < np.log(2))
    exponents[noise] = -np.inf
    exponents[np.abs(exponents) <= neutral_within(ops.dtype)] = 0.0
    exponents[residual > np.sqrt(np.finfo(ops.dtype).eps)] = np.nan
    return exponents / period


class _Products:
    """Derivatives of a map multiplied along states, in the basis of a frame (b, n, k), sizes as logarithms."""

    def __init__(self, tangent_map: TangentMap, frame: Array) -> None:
        self.map, self.ops, self.frame = tangent_map, tangent_map.ops, frame
        b, _, k = frame.shape
        self._start = self.ops.to_numpy(frame).astype(np.float64)
        self._product = np.broadcast_to(np.eye(k), (b, k, k)).copy()
        self._log_scale = np.zeros(b)

    def times(self, x: Array) -> Array:
        """Take in the derivative at states; their images."""
        image, tangents = self.map.jvp(x, self.ops.cast(self.frame, self.ops.dtype))
        self.frame, r = self.ops.qr(tangents)
        self._product = np.triu(self.ops.to_numpy(r).astype(np.float64)) @ self._product
        size = np.abs(self._product).max(axis=(1, 2))
        size[size == 0] = 1.0
        self._product /= size[:, None, None]
        self._log_scale += np.log(size)
        return image

    def log_multipliers(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Logarithms of the moduli (b, k), largest first, and by how much (b,) the frame is not invariant."""
        turned = self.ops.to_numpy(self.frame).astype(np.float64) @ self._product
        monodromy = np.swapaxes(self._start, 1, 2) @ turned
        residual = np.abs(turned - self._start @ monodromy).max(axis=(1, 2))
        usable = np.isfinite(monodromy).all(axis=(1, 2))
        monodromy[~usable] = 0.0
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.log(np.abs(np.linalg.eigvals(monodromy))) + self._log_scale[:, None]
        logs[~usable] = np.nan
        # A multiplier of a flow is never zero, but may be far below all others, where eigenvalues are rounding.
        if self.map.is_flow:
            floor = logs.max(axis=1, keepdims=True) + np.log(ROUNDINGS * np.finfo(self.ops.dtype).eps)
            logs[~(logs > floor)] = np.nan  # also where all underflow
        return -np.sort(-logs, axis=1), residual


def describe(
    largest: float,
    stderr: float,
    period: int,
    repeats_unstable: bool,
    *,
    exponential: bool = True,
    neutral: bool = False,
    zero: float = ZERO,
) -> str:
    """The attractor of one trajectory in words.

    Parameters
    ----------
    largest, stderr : float
        Of its largest exponent.
    period : int
        Of the cycle that it lies on, 0 for none.
    repeats_unstable, neutral : bool
        Whether that cycle is unstable, or has a largest multiplier of modulus 1.
    exponential : bool
        Whether tangents grow as no power of time does.
    zero : float
        Exponents closer to zero are zero.
    """
    certain = max(CERTAIN * stderr, zero)
    if repeats_unstable:
        return f"unstable {_cycle(period)}"
    if period and largest <= certain:
        return f"neutral {_cycle(period)}" if neutral else _cycle(period)
    if largest > certain:
        return CHAOTIC if exponential else UNDETERMINED
    if abs(largest) <= certain:
        return TORUS if stderr <= TORUS_ERROR else UNDETERMINED
    return UNDETERMINED


def counted(names: list[str]) -> str:
    """One name for all trajectories, or each with their number."""
    kinds = {name: names.count(name) for name in dict.fromkeys(names)}
    return names[0] if len(kinds) == 1 else ", ".join(f"{name} ({count})" for name, count in kinds.items())


def _cycle(period: int) -> str:
    return "fixed point" if period == 1 else f"cycle of period {period}" if period else "cycle"


COMPARED = 3
"""Leading exponents that are compared: attractors that differ at all mostly differ there, and each further one is
one more chance to part by accident."""
GAP = 4.0
"""Gap between neighbouring values, in standard errors of their difference, that chance does not leave: among
hundreds of sorted trajectories gaps of 3 errors occur, of 4 hardly ever."""
SAME = 1e-6
"""Exponents closer than this (relative, or in nats per step) are the same, whatever their error: cycles have no
error at all."""

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
    ops, n = run.ops, dimension(run.map.state_shape)
    for period in np.unique(periods[periods > 0]):
        rows = np.flatnonzero(periods == period)
        x, frame = (ops.take(array, rows) for array in (run.x, run.frame))
        if n <= FULL_UP_TO:  # all of space is invariant, whatever the frame
            every = np.broadcast_to(np.eye(n), (len(rows), n, n))
            frame = frame if k == n else ops.from_numpy(every, run.frame_dtype)
        exponents = cycle_exponents(run.map, x, frame, int(period))
        exact[rows] = exponents[:, :k]
    return exact
