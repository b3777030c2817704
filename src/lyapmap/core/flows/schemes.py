"""Trajectories of a flow on their way through one time tau."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, final

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.errors import LyapmapError
from lyapmap.core.map import TangentMap
from lyapmap.core.ops import Array, ArrayOps
from lyapmap.core.propagate import quiet

Point = tuple[Array, Array]
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
    log_growth: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    steps: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    swayed: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    stiff: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    lost: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))

    def __post_init__(self) -> None:
        b = int(self.x.shape[0])
        self.log_growth = np.zeros((b, 0 if self.v is None else self.v.shape[2]))
        self.steps = np.zeros(b, np.int64)
        self.swayed, self.stiff, self.lost = (np.zeros(b, bool) for _ in range(3))

    def turn(self, rows: NDArray[np.int64], r: NDArray[np.float64], logs: NDArray[np.float64] | None = None) -> None:
        """Take note that the tangents of some rows are now those before times the inverse of r (m, k, k).

        `logs` are log|diag r|, for an r that underflows.
        """
        if self.factor is None:
            b, k = self.log_growth.shape
            self.factor = np.broadcast_to(np.eye(k), (b, k, k)).copy()
        self.factor[rows] = r @ self.factor[rows]
        if logs is None:
            with np.errstate(divide="ignore", invalid="ignore"):
                logs = np.log(np.abs(np.diagonal(r, axis1=1, axis2=2)))
        self.log_growth[rows] += logs

    def tangents(self, ops: ArrayOps) -> Array:
        """What became of the tangents that began."""
        return self.v if self.factor is None else ops.matmul(self.v, ops.from_numpy(self.factor))


def taken(ops: ArrayOps, array: Array, rows: NDArray[np.int64]) -> Array:
    return array if array is None or rows.size == array.shape[0] else ops.take(array, rows)


def replaced(ops: ArrayOps, old: Array, new: Array, rows: NDArray[np.int64]) -> Array:
    """An array whose rows of those numbers are taken from `new`, in order."""
    b = int(old.shape[0])
    if rows.size == b:
        return new
    index = np.arange(b)
    index[rows] = b + np.arange(rows.size)
    # Gathered rather than written into, which not every library's arrays allow.
    return ops.take(ops.concatenate([old, new], 0), index)


def spoilt(ops: ArrayOps, point: Point, lost: NDArray[np.bool_]) -> Point:
    nothing = np.where(lost, np.nan, 0.0)
    x, v = point
    return x + ops.from_numpy(nothing[:, None]), None if v is None else v + ops.from_numpy(nothing[:, None, None])


MOST_STEPS = 20_000
"""Steps, refused ones included, that an adaptive integration may take for one time tau."""
SMALLEST_STEP = 1e-12
"""Smallest step of an adaptive integration, as a part of tau."""
SAFETY, SHRINK, GROW = 0.9, 0.2, 5.0
"""Of the step control: caution, and by how much a step may change at once."""
TANGENT_SHARE, TANGENT_MOST = 100.0, 1e-4
"""Relative error of a tangent in one step, in units of rtol, and at most: growth needs fewer digits than states."""
WITHIN = 16
"""Most equal steps between two orthonormalizations: a step that is short enough grows by e at most, or little more."""
TURN = 2.0
"""Integral of the field's rate over which tangents go without being orthonormalized."""
BLOWN_UP = 1e6
"""Velocity, relative to that at the start of tau (or to 1), above which an orbit leaves in finite time."""
SUM_RULE = 1e-3
"""The same where the sum of all rates is held against the divergence."""
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


class Scheme(Protocol):
    """A way to integrate a vector field over a time."""

    @property
    def described(self) -> dict[str, Any]:
        """Plain values for the provenance."""

    def over(self, part: float) -> Scheme:
        """The scheme for a time that is so many times as long."""

    def carry(self, field: TangentMap, tau: float, x: Array, v: Array) -> Course:
        """States (b, n) and tangents (b, n, k) after the time tau; v may be None."""

    def tolerance(self, n: int, steps: int, rate: float) -> float:
        """Error of the logarithm of a volume after a time tau of so many steps; `rate` is the field's times tau."""


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

    def over(self, part: float) -> RungeKutta4:
        # Rounding is not to make a step more of what divides evenly.
        return RungeKutta4(max(1, math.ceil(self.steps * part * (1 - 1e-12))))

    def carry(self, field: TangentMap, tau: float, x: Array, v: Array) -> Course:
        h = tau / self.steps
        course, rows = Course(x, v), np.arange(int(x.shape[0]))
        with quiet():
            for number in range(self.steps):
                if number and number % WITHIN == 0 and v is not None and v.shape[2]:
                    v, r = field.ops.qr(v)
                    course.turn(rows, field.ops.to_numpy(r).astype(np.float64))
                slopes = [_velocity(field, (x, v))]
                for part in (0.5, 0.5, 1.0):
                    slopes.append(_velocity(field, moved((x, v), (part * h, part * h), (1.0,), slopes[-1:])))
                x, v = moved((x, v), (h / 6, h / 6), (1.0, 2.0, 2.0, 1.0), slopes)
        course.x, course.v = x, v
        return course

    def tolerance(self, n: int, steps: int, rate: float) -> float:
        return SUM_RULE * n * rate


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

    def over(self, part: float) -> DormandPrince:
        return self

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
            name = "dopri5" if relieve is None else "auto"
            # Of tangents when they were last orthonormal: once aligned they show the slowest rate only.
            rate = np.zeros(b) if v is None else _rate(ops, v, slope[1])
            for tried in range(MOST_STEPS + 1):
                if relieve is not None:
                    relieve(course, left, h, tried)
                rows = np.flatnonzero((left > 0) & ~course.lost)
                if not rows.size:
                    break
                if tried == MOST_STEPS:
                    _give_up(ops, course, rows, slope[0], fast, name, tau)
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
                    rates = np.maximum(rate[rows], _rate(ops, _rows(ops, now, rows)[1], begin[1]))
                    bent[rows] += np.where(good, step * rates, 0.0)
                course.x, course.v = _accepted(ops, now, ahead, rows, good)
                slope = _accepted(ops, slope, velocity, rows, good)
                small = rows[(left[rows] > 0) & (h[rows] < SMALLEST_STEP * tau)]
                if small.size:
                    _give_up(ops, course, small, slope[0], fast, name, tau)
                turned = np.flatnonzero((bent > TURN) & ~course.lost)
                if turned.size:
                    slope = self._turn(ops, course, slope, turned)
                    rate[turned] = _rate(ops, taken(ops, course.v, turned), taken(ops, slope[1], turned))
                    bent[turned] = 0.0
        if course.lost.any():
            course.x, course.v = spoilt(ops, (course.x, course.v), course.lost)
            course.swayed &= ~course.lost
        return course

    @staticmethod
    def _turn(ops: ArrayOps, course: Course, slope: Point, rows: NDArray[np.int64]) -> Point:
        """Orthonormalize the tangents of some rows, and take their velocities along."""
        frame, r = ops.qr(taken(ops, course.v, rows))
        upper = ops.to_numpy(r).astype(np.float64)
        whole = (np.abs(np.diagonal(upper, axis1=1, axis2=2)) > 0).all(axis=1)
        # Where a tangent is gone nothing can be divided by: those stay as they are.
        if not whole.any():
            return slope
        rows, kept = rows[whole], np.flatnonzero(whole)
        frame, upper = taken(ops, frame, kept), upper[whole]
        course.turn(rows, upper)
        velocity = ops.matmul(taken(ops, slope[1], rows), ops.from_numpy(np.linalg.inv(upper)))
        course.v = replaced(ops, course.v, frame, rows)
        return slope[0], replaced(ops, slope[1], velocity, rows)

    def _tried(
        self, field: TangentMap, now: Point, slope: Point, step: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], Point, Point]:
        """One step of each row: errors of states and tangents over the tolerance, the end, the velocity there."""
        ops = field.ops
        h = ops.from_numpy(step[:, None]), ops.from_numpy(step[:, None, None])
        slopes, ahead = [slope], now
        for weights in STAGES:
            ahead = moved(now, h, weights, slopes)
            slopes.append(_velocity(field, ahead))
        zero = 0.0 * now[0], None if now[1] is None else 0.0 * now[1]
        errors = moved(zero, h, ERRORS, slopes)
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
    speed = ops.norm(taken(ops, velocity, rows))
    leaving = ~(speed < fast[rows])
    if not leaving.all():
        raise too_stiff(method, tau)
    course.lost[rows] = True


def _velocity(field: TangentMap, at: Point) -> Point:
    x, v = at
    return (field.apply(x), None) if v is None else field.jvp(x, v)


def _lengths(ops: ArrayOps, v: Array) -> NDArray[np.float64]:
    """Lengths (b, k) of tangents (b, n, k)."""
    host = ops.to_numpy(v).astype(np.float64, copy=False)
    lengths: NDArray[np.float64] = np.sqrt(np.einsum("bnk,bnk->bk", host, host))
    return lengths


def _rate(ops: ArrayOps, v: Array, slope: Array) -> NDArray[np.float64]:
    """Rates (b,) at which tangents change, the root of the sum of their squares."""
    with np.errstate(divide="ignore", invalid="ignore"):
        rates = _lengths(ops, slope) / _lengths(ops, v)
    norms: NDArray[np.float64] = np.sqrt((np.nan_to_num(rates, nan=0.0, posinf=0.0) ** 2).sum(axis=1))
    return norms


def moved(start: Point, h: tuple[Any, Any], weights: tuple[float, ...], slopes: list[Point]) -> Point:
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


def _rows(ops: ArrayOps, point: Point, rows: NDArray[np.int64]) -> Point:
    return taken(ops, point[0], rows), taken(ops, point[1], rows)


def _accepted(ops: ArrayOps, old: Point, new: Point, rows: NDArray[np.int64], good: NDArray[np.bool_]) -> Point:
    """Those rows that are good taken from `new`, whose row i belongs in the place rows[i]."""
    if not good.any():
        return old
    kept, index = rows[good], np.flatnonzero(good)
    x = replaced(ops, old[0], taken(ops, new[0], index), kept)
    return x, None if old[1] is None else replaced(ops, old[1], taken(ops, new[1], index), kept)
