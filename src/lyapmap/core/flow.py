"""Time-tau maps of flows dx/dt = f(x), with tangents that have a say in every step.

The vector field is a `TangentMap` whose image is the velocity, so a flow exists for every backend.
Tangents follow the variational equation dv/dt = Df(x) v. An adaptive step is taken only if states
and tangents are both good, each tangent measured by its own size; and since tangents align while
they are carried, they are orthonormalized within the time tau as often as the field demands.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field as data_field
from typing import Any, Protocol, final

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.arguments import positive
from lyapmap.core.errors import LyapmapError
from lyapmap.core.map import Map, TangentMap, as_tangent_map, dimension, jacobian_from_jvp
from lyapmap.core.ops import Array, ArrayOps
from lyapmap.core.propagate import quiet

MOST_STEPS = 20_000
"""Steps, refused ones included, that an adaptive integration may take for one time tau."""
SMALLEST_STEP = 1e-12
"""Smallest step of an adaptive integration, as a part of tau."""
SAFETY, SHRINK, GROW = 0.9, 0.2, 5.0
"""Of the step control: caution, and by how much a step may change at once."""
TANGENT_SHARE, TANGENT_MOST = 100.0, 1e-4
"""Relative error of a tangent in one step, in units of rtol, and at most: growth is wanted to fewer digits than states."""
TURN = 2.0
"""Integral of the field's rate over which tangents go without being orthonormalized."""
BLOWN_UP = 1e6
"""Velocity, relative to that at the start of tau (or to 1), above which an orbit leaves in finite time."""
COARSE = 0.03
"""Error of growth rates, relative to the field's own rate, with which equal steps are refused."""
SUM_RULE = 1e-3
"""The same where the sum of all rates is held against the divergence."""
AUDITED_ROWS, AUDITED_DIRECTIONS = 4, 8
"""Of the sample with which equal steps are held against steps half as long."""

STAGES = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
"""Weights of the stages; the last row is the step of order 5."""
ERRORS = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
"""Order 5 less order 4: the estimate of the error."""

_Point = tuple[Array, Array]
"""States and tangents, or their velocities; without tangents the second is None."""


@dataclass
class Course:
    """States and tangents of b trajectories on their way through one time tau.

    Attributes
    ----------
    x : (b, n)
    v : (b, n, k) or None
        Tangents since they were last orthonormalized: those that began the time tau are now
        `v @ factor`.
    factor : (b, k, k) float64 NumPy, or None where they never were
    log_growth : (b, k) float64 NumPy
        log|diag factor|, which does not underflow.
    steps : (b,)
        Steps tried.
    swayed : (b,) bool
        Whether tangents made a step other than the states alone would have taken.
    stiff : (b,) bool
        Whether the stiff method had to help.
    lost : (b,) bool
        Whether the orbit left for infinity; x and v are NaN.
    """

    x: Array
    v: Array
    factor: NDArray[np.float64] | None = None
    log_growth: NDArray[np.float64] = data_field(default_factory=lambda: np.zeros((0, 0)))
    steps: NDArray[np.int64] = data_field(default_factory=lambda: np.zeros(0, np.int64))
    swayed: NDArray[np.bool_] = data_field(default_factory=lambda: np.zeros(0, bool))
    stiff: NDArray[np.bool_] = data_field(default_factory=lambda: np.zeros(0, bool))
    lost: NDArray[np.bool_] = data_field(default_factory=lambda: np.zeros(0, bool))

    def __post_init__(self) -> None:
        b = int(self.x.shape[0])
        self.log_growth = np.zeros((b, 0 if self.v is None else self.v.shape[2]))
        self.steps = np.zeros(b, np.int64)
        self.swayed, self.stiff, self.lost = (np.zeros(b, bool) for _ in range(3))

    def turn(self, rows: NDArray[np.int64], r: NDArray[np.float64]) -> None:
        """Take note that the tangents of some rows are now those before times the inverse of r (m, k, k)."""
        if self.factor is None:
            b, k = self.log_growth.shape
            self.factor = np.broadcast_to(np.eye(k), (b, k, k)).copy()
        self.factor[rows] = r @ self.factor[rows]
        with np.errstate(divide="ignore", invalid="ignore"):
            self.log_growth[rows] += np.log(np.abs(np.diagonal(r, axis1=1, axis2=2)))

    def tangents(self, ops: ArrayOps) -> Array:
        """What became of the tangents that began."""
        return self.v if self.factor is None else ops.matmul(self.v, ops.from_numpy(self.factor))


class Scheme(Protocol):
    """A way to integrate a vector field over a time."""

    @property
    def described(self) -> dict[str, Any]:
        """Plain values for the provenance."""

    def carry(self, field: TangentMap, tau: float, x: Array, v: Array) -> Course:
        """States (b, n) and tangents (b, n, k) after the time tau; v may be None."""

    def tolerance(self, n: int, steps: int, rate: float) -> float:
        """Error of the logarithm of a volume after a time tau of so many steps; `rate` is the field's times tau."""


@final
class FlowMap:
    """The map that carries states along a vector field for a time tau.

    Parameters
    ----------
    field : Map
        The vector field: `apply` gives velocities, `jvp` their directional derivatives.
    tau : float
        Time of one step.
    scheme : RungeKutta4, DormandPrince, Rodas4 or Automatic

    Attributes
    ----------
    orthonormalizes_within : bool
        Whether frames are orthonormalized within a step as often as needed, so that rounding hides
        no exponent.
    log_abs_det_tolerance : float
        Accuracy per step to which `log_abs_det` agrees with the growth of a full frame.

    Notes
    -----
    `lyapmap.flow` makes one of a function, and takes the compiled way where there is one. States
    from `jvp` are those from `apply`, to the bit: where tangents asked for other steps, states are
    carried once more by themselves.
    """

    log_abs_det_in_blocks = False
    """`log_abs_det` is dear: it is asked for stretches of a run only."""

    def __init__(self, field: Map, tau: float, scheme: Scheme) -> None:
        self.field = as_tangent_map(field)
        if hasattr(self.field, "at"):
            raise LyapmapError("field: a vector field that depends on the step cannot be integrated")
        self.scheme = scheme
        self.time_per_step = finite_time(tau)
        self.state_shape = tuple(self.field.state_shape)
        self.ops = self.field.ops
        self.derivative = str(getattr(self.field, "derivative", "given"))
        self.orthonormalizes_within = not isinstance(scheme, RungeKutta4)
        self._carried_rows = self._stiff_rows = self._most_steps = 0
        self._rate = 0.0
        self._calls = 0

    @property
    def provenance(self) -> dict[str, Any]:
        described = dict(getattr(self.field, "provenance", {})) | {"tau": self.time_per_step} | self.scheme.described
        if self._stiff_rows:
            share = self._stiff_rows / self._carried_rows
            described["stiff"] = f"rodas4 was used in {share:.2g} of the steps, where the field is stiff"
        return described

    @property
    def log_abs_det_tolerance(self) -> float:
        return self.scheme.tolerance(dimension(self.state_shape), self._most_steps, self._rate)

    def apply(self, x: Array) -> Array:
        self._audit(x)
        return self._carried(x, None).x

    def jvp(self, x: Array, v: Array) -> _Point:
        self._audit(x)
        if isinstance(self.scheme, RungeKutta4) or not v.shape[2]:
            course = self._carried(x, v)
            return course.x, course.v
        # Tangents that are nearly the same, or none, or more than n, are as good as any others then.
        with quiet():
            frame, r = self.ops.qr(v)
            course = self._carried(x, frame)
            return course.x, self.ops.matmul(course.tangents(self.ops), r)

    def jacobian(self, x: Array) -> Array:
        return jacobian_from_jvp(self, x)

    def propagate(
        self, x: Array, frame: Array, n_steps: int, qr_every: int = 1
    ) -> tuple[Array, Array, NDArray[np.float64]]:
        """States, frames and log growth (b, k) after a block of steps; see `lyapmap.core.propagate`."""
        total = np.zeros((frame.shape[0], frame.shape[2]))
        with quiet():
            for step in range(1, n_steps + 1):
                self._audit(x)
                course = self._carried(x, frame)
                x, frame = course.x, course.v
                total += course.log_growth
                if step % qr_every == 0 or step == n_steps:
                    frame, r = self.ops.qr(frame)
                    total += self.ops.log_abs_diagonal(r)
        return x, frame, total

    def log_abs_det(self, x: Array, n_steps: int) -> NDArray[np.float64]:
        """Integral of the field's divergence along the orbits over a block of steps, (b,).

        It knows nothing of tangents: what their growth adds up to is held against it.
        """
        ops = self.ops
        divergence = WithDivergence(self.field)
        n, total = x.shape[1], np.zeros(x.shape[0])
        with quiet():
            for _ in range(n_steps):
                course = self.scheme.carry(divergence, self.time_per_step, divergence.started(x), None)
                self._most_steps = max(self._most_steps, int(course.steps.max(initial=0)))
                total += ops.to_numpy(course.x)[:, n].astype(np.float64)
                x = course.x[:, :n]
        self.note(divergence.rate * self.time_per_step)
        return total

    def note(self, rate: float) -> None:
        """Take note of the field's rate times tau, which says what accuracy is to be expected."""
        self._rate = max(self._rate, rate)

    def _carried(self, x: Array, v: Array) -> Course:
        course = self.scheme.carry(self.field, self.time_per_step, x, v)
        self._carried_rows += len(course.steps)
        self._stiff_rows += int(course.stiff.sum())
        self._most_steps = max(self._most_steps, int(course.steps.max(initial=0)))
        if course.swayed.any():
            rows = np.flatnonzero(course.swayed)
            alone = self.scheme.carry(self.field, self.time_per_step, _taken(self.ops, x, rows), None).x
            course.x = replaced(self.ops, course.x, alone, rows)
        return course

    def _audit(self, x: Array) -> None:
        """Hold equal steps against steps half as long, at the calls whose numbers are powers of two."""
        self._calls += 1
        if isinstance(self.scheme, RungeKutta4) and self._calls & (self._calls - 1) == 0:
            audit(self.ops, x, self.time_per_step, self.scheme.steps, self._advance)

    def _advance(self, count: int, h: float, x: Array, v: Array) -> _Point:
        course = RungeKutta4(count).carry(self.field, count * h, x, v)
        return course.x, course.v


def finite_time(tau: Any) -> float:
    """The time of one step, checked."""
    found = positive("tau", tau)
    if not np.isfinite(found):
        raise LyapmapError(f"tau: expected a finite time, got {tau!r}")
    return found


@final
class WithDivergence:
    """A field (f(x), tr Df(x)) of states (x, l): its flow integrates the divergence along the orbits."""

    def __init__(self, inner: TangentMap) -> None:
        self.inner = inner
        self.n = dimension(inner.state_shape)
        self.state_shape: tuple[int, ...] = (self.n + 1,)
        self.ops = inner.ops
        self.rate = 0.0
        """Root mean square of what the field does to a unit vector, the largest of all calls."""

    def started(self, x: Array) -> Array:
        """States with l = 0."""
        return self.ops.concatenate([x, self.ops.from_numpy(np.zeros((x.shape[0], 1)))], 1)

    def apply(self, z: Array) -> Array:
        x = z[:, : self.n]
        return self.ops.concatenate([self.inner.apply(x), self.ops.from_numpy(self._trace(x)[:, None])], 1)

    def jvp(self, z: Array, v: Array) -> _Point:
        return self.apply(z), self.ops.matmul(self.jacobian(z), v)

    def jacobian(self, z: Array) -> Array:
        """That of x and l; the gradient of the trace by central differences, which only steps depend on."""
        n, host = self.n, self.ops.to_numpy(z)[:, : self.n].astype(np.float64)
        out = np.zeros((len(host), n + 1, n + 1))
        out[:, :n, :n] = self.ops.to_numpy(self.inner.jacobian(z[:, :n]))
        size = np.maximum(np.abs(host).max(axis=1), 1e-3) * np.finfo(self.ops.dtype).eps ** (1 / 3)
        for i in range(n):
            moved = np.zeros_like(host)
            moved[:, i] = size
            ahead, behind = (self._trace(self.ops.from_numpy(host + sign * moved)) for sign in (1, -1))
            out[:, n, i] = (ahead - behind) / (2 * size)
        return self.ops.from_numpy(out)

    def _trace(self, x: Array) -> NDArray[np.float64]:
        matrices = self.ops.to_numpy(self.inner.jacobian(x)).astype(np.float64)
        rate = np.sqrt((matrices**2).sum(axis=(1, 2)) / self.n)
        self.rate = max(self.rate, float(np.nan_to_num(rate, nan=0.0, posinf=0.0).max(initial=0.0)))
        trace: NDArray[np.float64] = np.trace(matrices, axis1=1, axis2=2)
        return trace


@final
@dataclass(frozen=True)
class RungeKutta4:
    """The classical method of order 4 with equal steps.

    Attributes
    ----------
    steps : int
        In one time tau.
    """

    steps: int

    @property
    def described(self) -> dict[str, Any]:
        return {"method": "rk4", "substeps": self.steps}

    def carry(self, field: TangentMap, tau: float, x: Array, v: Array) -> Course:
        h = tau / self.steps
        with quiet():
            for _ in range(self.steps):
                slopes = [_velocity(field, (x, v))]
                for part in (0.5, 0.5, 1.0):
                    slopes.append(_velocity(field, _moved((x, v), (part * h, part * h), (1.0,), slopes[-1:])))
                x, v = _moved((x, v), (h / 6, h / 6), (1.0, 2.0, 2.0, 1.0), slopes)
        return Course(x, v)

    def tolerance(self, n: int, steps: int, rate: float) -> float:
        return SUM_RULE * n * rate


def audit(ops: ArrayOps, x: Array, tau: float, steps: int, advance: Callable[[int, float, Array, Array], Any]) -> None:
    """Raise where RK4 steps half as long would give other growth rates, seen on a few states and directions.

    Parameters
    ----------
    ops : ArrayOps
    x : (b, n)
    tau : float
    steps : int
    advance : callable
        Carries states and frames by so many steps of a length: (count, h, x, v) -> (x, v).

    Raises
    ------
    LyapmapError
        That names `steps`.
    """
    x = _taken(ops, x, np.arange(min(AUDITED_ROWS, int(x.shape[0]))))
    b, n = (int(size) for size in x.shape)
    k = min(n, AUDITED_DIRECTIONS)
    frame = np.linalg.qr(np.random.default_rng(0).standard_normal((b, n, k)))[0]
    given = ops.from_numpy(frame)
    brief = tau / steps * np.finfo(ops.dtype).eps ** 0.5
    with quiet():
        change = ops.to_numpy(advance(1, brief, x, given)[1]).astype(np.float64) - frame
        rate = np.sqrt((change**2).sum(axis=(1, 2)) / k) / brief
        ends = [advance(count, tau / count, x, given) for count in (steps, 2 * steps)]
        logs = []
        for _, v in ends:
            r = np.linalg.qr(np.nan_to_num(ops.to_numpy(v).astype(np.float64), posinf=np.nan, neginf=np.nan))[1]
            logs.append(np.log(np.abs(np.diagonal(r, axis1=1, axis2=2))))
        off = np.abs(logs[0] - logs[1]).max(axis=1) / np.maximum(rate * tau, np.finfo(ops.dtype).eps ** 0.5)
    usable = np.isfinite(logs[1]).all(axis=1) & ops.all_finite(ends[1][0]) & ops.all_finite(ends[1][1])
    usable &= np.isfinite(rate)
    worst = float(np.where(usable, np.nan_to_num(off, nan=np.inf), 0.0).max(initial=0.0))
    if worst > COARSE:
        how = f"by {worst:.0%} of the field's own rate" if worst < 10 else "beyond all bounds"
        raise LyapmapError(
            f"steps: {steps} steps of rk4 in tau = {tau:g} are too long, steps half as long change growth rates {how}; "
            "give more steps, or method='auto'"
        )


@final
@dataclass(frozen=True)
class DormandPrince:
    """The method of order 5 with an error estimate of order 4 and a step for each trajectory.

    The error of the states is kept below atol + rtol |x| (root mean square over the components),
    and that of each tangent below 100 rtol (but 1e-4) of its own length. The first step is found from the
    state alone, so the map depends on nothing but its argument. Where the velocity grows beyond
    bounds or is not finite, the state becomes NaN: to an analysis the orbit has escaped.

    Attributes
    ----------
    rtol, atol : float

    Raises
    ------
    LyapmapError
        From `carry`, where the tolerance takes more steps than there may be.

    References
    ----------
    J. R. Dormand and P. J. Prince, J. Comput. Appl. Math. 6, 19 (1980), Table 2.
    E. Hairer, S. P. Nørsett and G. Wanner, "Solving Ordinary Differential Equations I", Section
    II.4 (step control and first step).
    """

    rtol: float
    atol: float

    @property
    def described(self) -> dict[str, Any]:
        return {"method": "dopri5", "rtol": self.rtol, "atol": self.atol}

    def tolerance(self, n: int, steps: int, rate: float) -> float:
        return self.tangent_rtol * n * max(steps, 10 * rate, 1)

    @property
    def tangent_rtol(self) -> float:
        """Relative error of each tangent in one step."""
        return max(self.rtol, min(TANGENT_SHARE * self.rtol, TANGENT_MOST))

    def carry(
        self,
        field: TangentMap,
        tau: float,
        x: Array,
        v: Array,
        relieve: Callable[[Course, NDArray[np.float64], NDArray[np.float64], int], None] | None = None,
    ) -> Course:
        """States and tangents after the time tau.

        `relieve(course, left, h, tried)` is called before every step with what is left of tau and
        the step meant for each row, and may finish rows itself, of which it sets `left` to 0.
        """
        ops, b = field.ops, int(x.shape[0])
        course = Course(x, v)
        with quiet():
            slope = _velocity(field, (x, v))
            left = np.full(b, tau)
            course.lost = ~(ops.all_finite(x) & ops.all_finite(slope[0]))
            h = self._first_step(field, tau, x, slope[0])
            fast = BLOWN_UP * np.maximum(ops.norm(slope[0]), 1.0)
            refused, bent = np.zeros(b, bool), np.zeros(b)
            for tried in range(MOST_STEPS + 1):
                if relieve is not None:
                    relieve(course, left, h, tried)
                rows = np.flatnonzero((left > 0) & ~course.lost)
                if not rows.size:
                    break
                if tried == MOST_STEPS:
                    _give_up(ops, course, rows, slope[0], fast, "dopri5", tau)
                    break
                course.steps[rows] += 1
                # The rest is not left to a step that would only mend rounding.
                last = h[rows] >= left[rows] * (1 - 1e-10)
                step = np.where(last, left[rows], h[rows])
                now = (course.x, course.v)
                begin = _rows(ops, slope, rows)
                error, tangent_error, ahead, velocity = self._tried(field, _rows(ops, now, rows), begin, step)
                course.swayed[rows] |= ~(tangent_error <= np.maximum(error, (SAFETY / GROW) ** 5))
                error = np.fmax(error, tangent_error) + 0.0 * error  # NaN stays NaN
                good = error <= 1  # which NaN is not
                with np.errstate(divide="ignore"):
                    factor = SAFETY * np.nan_to_num(error, nan=np.inf) ** -0.2
                limit = np.where(refused[rows], 1.0, GROW)
                h[rows] = step * np.clip(factor, SHRINK, np.where(good, limit, 1.0))
                left[rows] = np.where(good, np.where(last, 0.0, left[rows] - step), left[rows])
                refused[rows] = ~good
                if v is not None:
                    bent[rows] += np.where(good, step * _rate(ops, _rows(ops, now, rows)[1], begin[1]), 0.0)
                course.x, course.v = _accepted(ops, now, ahead, rows, good)
                slope = _accepted(ops, slope, velocity, rows, good)
                small = rows[(left[rows] > 0) & (h[rows] < SMALLEST_STEP * tau)]
                if small.size:
                    _give_up(ops, course, small, slope[0], fast, "dopri5", tau)
                turned = np.flatnonzero((bent > TURN) & ~course.lost)
                if turned.size:
                    slope = self._turn(ops, course, slope, turned)
                    bent[turned] = 0.0
        if course.lost.any():
            course.x, course.v = _spoilt(ops, (course.x, course.v), course.lost)
            course.swayed &= ~course.lost
        return course

    @staticmethod
    def _turn(ops: ArrayOps, course: Course, slope: _Point, rows: NDArray[np.int64]) -> _Point:
        """Orthonormalize the tangents of some rows, and take their velocities along."""
        frame, r = ops.qr(_taken(ops, course.v, rows))
        upper = ops.to_numpy(r).astype(np.float64)
        whole = (np.abs(np.diagonal(upper, axis1=1, axis2=2)) > 0).all(axis=1)
        # Where a tangent is gone nothing can be divided by: those stay as they are.
        if not whole.any():
            return slope
        rows, kept = rows[whole], np.flatnonzero(whole)
        frame, upper = _taken(ops, frame, kept), upper[whole]
        course.turn(rows, upper)
        velocity = ops.matmul(_taken(ops, slope[1], rows), ops.from_numpy(np.linalg.inv(upper)))
        course.v = replaced(ops, course.v, frame, rows)
        return slope[0], replaced(ops, slope[1], velocity, rows)

    def _tried(
        self, field: TangentMap, now: _Point, slope: _Point, step: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], _Point, _Point]:
        """One step of each row: errors of states and tangents in units of the tolerance, the end, the velocity there."""
        ops = field.ops
        h = ops.from_numpy(step[:, None]), ops.from_numpy(step[:, None, None])
        slopes, ahead = [slope], now
        for weights in STAGES:
            ahead = _moved(now, h, weights, slopes)
            slopes.append(_velocity(field, ahead))
        zero = 0.0 * now[0], None if now[1] is None else 0.0 * now[1]
        errors = _moved(zero, h, ERRORS, slopes)
        error = ops.to_numpy(errors[0]).astype(np.float64)
        scale = np.maximum(np.abs(ops.to_numpy(now[0])), np.abs(ops.to_numpy(ahead[0]))).astype(np.float64)
        size = self._size(error, scale)
        if now[1] is None:
            return size, np.zeros(len(step)), ahead, slopes[-1]
        lengths = np.maximum(_lengths(ops, now[1]), _lengths(ops, ahead[1]))
        with np.errstate(divide="ignore", invalid="ignore"):
            parts = _lengths(ops, errors[1]) / (self.tangent_rtol * lengths)
        worst = np.where(lengths == 0, 0.0, parts).max(axis=1, initial=0.0)
        return size, worst, ahead, slopes[-1]

    def _size(self, values: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float64]:
        """Root mean square of each row in units of the tolerance."""
        size: NDArray[np.float64] = np.sqrt(np.mean((values / (self.atol + self.rtol * scale)) ** 2, axis=1))
        return size

    def _first_step(self, field: TangentMap, tau: float, x: Array, slope: Array) -> NDArray[np.float64]:
        """A first step from the sizes of the velocity and of its change."""
        ops = field.ops
        states = ops.to_numpy(x).astype(np.float64)
        scale, velocity = np.abs(states), ops.to_numpy(slope).astype(np.float64)
        first, second = self._size(states, scale), self._size(velocity, scale)
        guess = np.where((first < 1e-5) | (second < 1e-5), 1e-6 * tau, 0.01 * first / second)
        guess = np.minimum(np.nan_to_num(guess, nan=tau), tau)
        beyond = field.apply(x + ops.from_numpy(guess[:, None]) * slope)
        change = self._size(ops.to_numpy(beyond).astype(np.float64) - velocity, scale) / guess
        strongest = np.maximum(second, change)
        step = np.where(strongest <= 1e-15, np.maximum(1e-6 * tau, 1e-3 * guess), (0.01 / strongest) ** 0.2)
        finite: NDArray[np.float64] = np.nan_to_num(np.minimum(100 * guess, step), nan=1e-6 * tau)
        return np.clip(finite, 1e-6 * tau, tau)


def too_stiff(method: str, tau: float) -> LyapmapError:
    """What is said where a method cannot keep its tolerance."""
    mend = "use method='auto'" if method == "dopri5" else "lower tau, or raise rtol and atol"
    cause = "stiff, or has a jump there" if method == "dopri5" else "too rough there, or has a jump"
    return LyapmapError(
        f"method: {method} needs more than {MOST_STEPS} steps, or too small ones, for one tau = {tau:g}; the field is "
        f"{cause}: {mend}"
    )


def _give_up(
    ops: ArrayOps,
    course: Course,
    rows: NDArray[np.int64],
    velocity: Array,
    fast: NDArray[np.float64],
    method: str,
    tau: float,
) -> None:
    """Rows that cannot go on: those that leave for infinity are lost, and of any other there is an error."""
    speed = ops.norm(_taken(ops, velocity, rows))
    leaving = ~(speed < fast[rows])
    if not leaving.all():
        raise too_stiff(method, tau)
    course.lost[rows] = True


def _velocity(field: TangentMap, at: _Point) -> _Point:
    x, v = at
    return (field.apply(x), None) if v is None else field.jvp(x, v)


def _lengths(ops: ArrayOps, v: Array) -> NDArray[np.float64]:
    """Lengths (b, k) of tangents (b, n, k)."""
    host = ops.to_numpy(v).astype(np.float64, copy=False)
    lengths: NDArray[np.float64] = np.sqrt(np.einsum("bnk,bnk->bk", host, host))
    return lengths


def _rate(ops: ArrayOps, v: Array, slope: Array) -> NDArray[np.float64]:
    """The largest rate (b,) at which tangents change."""
    with np.errstate(divide="ignore", invalid="ignore"):
        rates = _lengths(ops, slope) / _lengths(ops, v)
    found: NDArray[np.float64] = np.nan_to_num(rates, nan=0.0, posinf=0.0).max(axis=1, initial=0.0)
    return found


def _moved(start: _Point, h: tuple[Any, Any], weights: tuple[float, ...], slopes: list[_Point]) -> _Point:
    """Start plus h times the weighted sum of slopes, for states and tangents."""
    moved: list[Array] = []
    for part, step in enumerate(h):
        if start[part] is None:
            moved.append(None)
            continue
        terms = [weight * slope[part] for weight, slope in zip(weights, slopes, strict=True) if weight != 0]
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        moved.append(start[part] + step * total)
    return moved[0], moved[1]


def _taken(ops: ArrayOps, array: Array, rows: NDArray[np.int64]) -> Array:
    return array if array is None or rows.size == array.shape[0] else ops.take(array, rows)


def _rows(ops: ArrayOps, point: _Point, rows: NDArray[np.int64]) -> _Point:
    return _taken(ops, point[0], rows), _taken(ops, point[1], rows)


def replaced(ops: ArrayOps, old: Array, new: Array, rows: NDArray[np.int64]) -> Array:
    """An array whose rows of those numbers are taken from `new`, in order."""
    b = int(old.shape[0])
    if rows.size == b:
        return new
    index = np.arange(b)
    index[rows] = b + np.arange(rows.size)
    # Gathered rather than written into, which not every library's arrays allow.
    return ops.take(ops.concatenate([old, new], 0), index)


def _accepted(ops: ArrayOps, old: _Point, new: _Point, rows: NDArray[np.int64], good: NDArray[np.bool_]) -> _Point:
    """Those rows that are good taken from `new`, whose row i belongs in the place rows[i]."""
    if not good.any():
        return old
    kept, index = rows[good], np.flatnonzero(good)
    x = replaced(ops, old[0], _taken(ops, new[0], index), kept)
    return x, None if old[1] is None else replaced(ops, old[1], _taken(ops, new[1], index), kept)


def _spoilt(ops: ArrayOps, point: _Point, lost: NDArray[np.bool_]) -> _Point:
    nothing = np.where(lost, np.nan, 0.0)
    x, v = point
    return x + ops.from_numpy(nothing[:, None]), None if v is None else v + ops.from_numpy(nothing[:, None, None])
