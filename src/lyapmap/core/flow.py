"""Time-tau maps of flows dx/dt = f(x): states and tangents go through the same Runge-Kutta stages.

The vector field is a `TangentMap` whose image is the velocity, so a flow exists for every backend.
Tangents follow the variational equation dv/dt = Df(x) v; integrated with the stages and steps of
the states, they are the derivative of the numerical map itself, not an approximation beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, final

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.arguments import positive
from lyapmap.core.errors import LyapmapError
from lyapmap.core.map import Map, TangentMap, as_tangent_map, jacobian_from_jvp
from lyapmap.core.ops import Array, ArrayOps
from lyapmap.core.propagate import quiet

MOST_STEPS = 100_000
"""Steps, refused ones included, that an adaptive integration may take for one time tau."""
SMALLEST_STEP = 1e-12
"""Smallest step of an adaptive integration, as a part of tau."""
SAFETY, SHRINK, GROW = 0.9, 0.2, 5.0
"""Of the step control: caution, and by how much a step may change at once."""

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


class Scheme(Protocol):
    """A way to integrate a vector field over a time."""

    @property
    def described(self) -> dict[str, Any]:
        """Plain values for the provenance."""

    def carry(self, field: TangentMap, tau: float, x: Array, v: Array) -> _Point:
        """States (b, n) and tangents (b, n, k) after the time tau; v may be None."""


@final
class FlowMap:
    """The map that carries states along a vector field for a time tau.

    Parameters
    ----------
    field : Map
        The vector field: `apply` gives velocities, `jvp` their directional derivatives.
    tau : float
        Time of one step.
    scheme : RungeKutta4 or DormandPrince

    Notes
    -----
    `lyapmap.flow` makes one of a function, and takes the compiled way where there is one.
    """

    def __init__(self, field: Map, tau: float, scheme: Scheme) -> None:
        self.field = as_tangent_map(field)
        if hasattr(self.field, "at"):
            raise LyapmapError("field: a vector field that depends on the step cannot be integrated")
        self.scheme = scheme
        self.time_per_step = finite_time(tau)
        self.state_shape = tuple(self.field.state_shape)
        self.ops = self.field.ops
        self.derivative = str(getattr(self.field, "derivative", "given"))
        inherited = dict(getattr(self.field, "provenance", {}))
        self.provenance: dict[str, Any] = inherited | {"tau": self.time_per_step} | scheme.described

    def apply(self, x: Array) -> Array:
        return self.scheme.carry(self.field, self.time_per_step, x, None)[0]

    def jvp(self, x: Array, v: Array) -> _Point:
        return self.scheme.carry(self.field, self.time_per_step, x, v)

    def jacobian(self, x: Array) -> Array:
        return jacobian_from_jvp(self, x)


def finite_time(tau: Any) -> float:
    """The time of one step, checked."""
    found = positive("tau", tau)
    if not np.isfinite(found):
        raise LyapmapError(f"tau: expected a finite time, got {tau!r}")
    return found


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

    def carry(self, field: TangentMap, tau: float, x: Array, v: Array) -> _Point:
        h = tau / self.steps
        with quiet():
            for _ in range(self.steps):
                slopes = [_velocity(field, (x, v))]
                for part in (0.5, 0.5, 1.0):
                    slopes.append(_velocity(field, _moved((x, v), (part * h, part * h), (1.0,), slopes[-1:])))
                x, v = _moved((x, v), (h / 6, h / 6), (1.0, 2.0, 2.0, 1.0), slopes)
        return x, v


@final
@dataclass(frozen=True)
class DormandPrince:
    """The method of order 5 with an error estimate of order 4 and a step for each trajectory.

    The error of the states is kept below atol + rtol |x| (root mean square over the components);
    tangents have no say in it. The first step is found from the state alone, so the map depends on
    nothing but its argument. Where the tolerance cannot be met, or the velocity is not finite, the
    state becomes NaN: to an analysis the orbit has escaped.

    Attributes
    ----------
    rtol, atol : float

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

    def carry(self, field: TangentMap, tau: float, x: Array, v: Array) -> _Point:
        ops, b = field.ops, int(x.shape[0])
        with quiet():
            now, slope = (x, v), _velocity(field, (x, v))
            left = np.full(b, tau)
            h = self._first_step(field, tau, x, slope[0])
            refused = np.zeros(b, bool)
            lost = ~(ops.all_finite(x) & ops.all_finite(slope[0]))
            for _ in range(MOST_STEPS):
                rows = np.flatnonzero((left > 0) & ~lost)
                if not rows.size:
                    break
                # The rest is not left to a step that would only mend rounding.
                last = h[rows] >= left[rows] * (1 - 1e-10)
                step = np.where(last, left[rows], h[rows])
                error, ahead, velocity = self._tried(field, _rows(ops, now, rows), _rows(ops, slope, rows), step)
                good = error <= 1  # which NaN is not
                with np.errstate(divide="ignore"):
                    factor = SAFETY * np.nan_to_num(error, nan=np.inf) ** -0.2
                limit = np.where(refused[rows], 1.0, GROW)
                h[rows] = step * np.clip(factor, SHRINK, np.where(good, limit, 1.0))
                left[rows] = np.where(good, np.where(last, 0.0, left[rows] - step), left[rows])
                refused[rows] = ~good
                lost[rows] |= (left[rows] > 0) & (h[rows] < SMALLEST_STEP * tau)
                now = _replaced(ops, now, ahead, rows, good)
                slope = _replaced(ops, slope, velocity, rows, good)
            lost |= left > 0
            return _spoilt(ops, now, lost) if lost.any() else now

    def _tried(
        self, field: TangentMap, now: _Point, slope: _Point, step: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], _Point, _Point]:
        """One step of each row: its error relative to the tolerance, where it leads, the velocity there."""
        ops = field.ops
        h = ops.from_numpy(step[:, None]), ops.from_numpy(step[:, None, None])
        slopes, ahead = [slope], now
        for weights in STAGES:
            ahead = _moved(now, h, weights, slopes)
            slopes.append(_velocity(field, ahead))
        zero = 0.0 * now[0]
        error = ops.to_numpy(_moved((zero, None), h, ERRORS, slopes)[0]).astype(np.float64)
        scale = np.maximum(np.abs(ops.to_numpy(now[0])), np.abs(ops.to_numpy(ahead[0]))).astype(np.float64)
        return self._size(error, scale), ahead, slopes[-1]

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


def _velocity(field: TangentMap, at: _Point) -> _Point:
    x, v = at
    return (field.apply(x), None) if v is None else field.jvp(x, v)


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


def _rows(ops: ArrayOps, point: _Point, rows: NDArray[np.int64]) -> _Point:
    x, v = point
    if rows.size == x.shape[0]:
        return point
    return ops.take(x, rows), None if v is None else ops.take(v, rows)


def _replaced(ops: ArrayOps, old: _Point, new: _Point, rows: NDArray[np.int64], good: NDArray[np.bool_]) -> _Point:
    """Those rows that are good taken from `new`, whose row i belongs in the place rows[i]."""
    b = int(old[0].shape[0])
    if rows.size == b and good.all():
        return new
    index = np.arange(b)
    index[rows[good]] = b + np.flatnonzero(good)
    # Gathered rather than written into, which not every library's arrays allow.
    x = ops.take(ops.concatenate([old[0], new[0]], 0), index)
    return x, None if old[1] is None else ops.take(ops.concatenate([old[1], new[1]], 0), index)


def _spoilt(ops: ArrayOps, point: _Point, lost: NDArray[np.bool_]) -> _Point:
    nothing = np.where(lost, np.nan, 0.0)
    x, v = point
    return x + ops.from_numpy(nothing[:, None]), None if v is None else v + ops.from_numpy(nothing[:, None, None])
