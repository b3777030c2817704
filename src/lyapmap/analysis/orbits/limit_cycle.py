"""Limit cycles of flows: their free period and their Floquet multipliers, by shooting."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.exponents.attractor import neutral_within
from lyapmap.analysis.orbits.search import largest_first, multipliers_of
from lyapmap.core.arguments import positive, whole
from lyapmap.core.conformance import as_tangent_map
from lyapmap.core.errors import LyapmapError
from lyapmap.core.flows.schemes import DormandPrince, RungeKutta4
from lyapmap.core.flows.sections import Plane, SectionMap, Timed
from lyapmap.core.map import TangentMap, as_states, dimension
from lyapmap.core.ops import quiet
from lyapmap.core.results import Cause, Result, Status, Verdict, dims
from lyapmap.core.run import Report, Run

SEGMENTS = 8
"""Pieces in which a cycle is shot at once: the derivative of each is tame where that of the whole is not."""
UNKNOWNS = 1024
"""Values of all pieces together, up to which there are several."""
LARGEST = 2048
"""Dimension up to which matrices are written out."""
RETURNS = 24
"""Returns to a plane through the start, among which the period is guessed."""
NEAR = 0.02
"""Distance from the start, as a part of the orbit's size, at which a return is taken for that of the cycle at once."""
POINTS = 256
"""Points of the orbit that a result holds, about."""
FINE, COARSE = 1e-10, 1e-5
"""Tolerances in float64 and float32, of flows that are given equal steps."""
HALVINGS = 10
STALLED = 0.1
"""A part of a step must make the residual smaller by this part of it; the whole step, at all."""
REACH = 0.5
"""Longest step, as a part of the size of the orbit and of the period."""
LEAST_PERIOD = 6
"""Parts of a period after which it is looked whether the orbit has closed already."""
AT_REST = 1e-6
"""Size of an orbit, relative to its distance from 0 and to 1, below which it is an equilibrium."""
TRIVIAL = 1e-2
"""Distance from 1 of the multiplier along the orbit from which the multipliers are not vouched for."""

Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class LimitCycle(Result):
    """A closed orbit of a flow.

    Attributes
    ----------
    period : float
        In units of time; NaN where no cycle was reached.
    multipliers_real, multipliers_imag : (n,)
        Floquet multipliers, the eigenvalues of the derivative of the flow over the period, largest modulus first. One
        of them, along the orbit, is 1.
    exponents : (n,)
        Floquet exponents, ln|multiplier| per unit time.
    n_unstable : int
        Multipliers outside the unit circle, that of the orbit's own direction left out.
    stability : str
        "stable", "saddle", "unstable" or "neutral" (another multiplier on the unit circle and none outside).
    orbit : (m, n)
        Points at equal distances of time over one period; the last one is not the first again.
    times : (m,)
    residual : float
        Largest defect of the closed orbit, relative to max(1, |x|).
    trivial_error : float
        Distance from 1 of the multiplier along the orbit, which knows how good the others are.
    divergence_error : float
        Sum of the exponents less the mean of the field's divergence along the orbit.
    state_shape : tuple of int
    """

    DRAWN_BY: ClassVar[str] = "lyapmap.analysis.orbits.pictures_flows.draw_limit_cycle"
    SUMMARY: ClassVar[tuple[str, ...]] = ("period", "stability", "n_unstable", "trivial_error", "divergence_error")
    REMEDIES: ClassVar[dict[Any, str]] = {
        Status.NOT_CONVERGED: "start closer, give the period, or another transient (0 for an unstable cycle)",
        Cause.CROSS_CHECK: "ask for smaller tolerances of the flow (rtol, atol)",
    }

    period: float
    multipliers_real: Values = dims("multiplier")
    multipliers_imag: Values = dims("multiplier")
    exponents: Values = dims("multiplier")
    n_unstable: int
    stability: str
    orbit: Values = dims("point", "component")
    times: Values = dims("point")
    residual: float
    trivial_error: float
    divergence_error: float
    state_shape: tuple[int, ...]
    unit: str = "per unit time"

    @property
    def multipliers(self) -> NDArray[np.complex128]:
        """Complex multipliers (n,)."""
        return self.multipliers_real + 1j * self.multipliers_imag


def limit_cycle(
    flow: Any,
    x0: Any = None,
    *,
    period: float | None = None,
    transient: int = 1_000,
    tolerance: float | None = None,
    max_iterations: int = 40,
    progress: bool | Report = False,
    throw: bool = True,
) -> LimitCycle:
    """A closed orbit of a flow, its period and its Floquet multipliers.

    Newton's method solves phi_{T/m}(x_i) = x_{i+1} for m points and the period T at once, with the first point held to
    a plane across the orbit. Stable and unstable cycles are found alike.

    Parameters
    ----------
    flow : TangentMap
        Of `lyapmap.flow` or of the catalogue, whose field does not depend on time. One that does has the cycles of
        `lyapmap.stroboscopic_map`, by `periodic_orbits`.
    x0 : (n,), (b, n), state_shape or (b, *state_shape), optional
        Where to start; of several states, one after the other until a cycle is reached. Without it, the flow's own
        `initial_states`.
    period : float, optional
        A guess of the period; by default it is read off returns to a plane through the start.
    transient : int
        Steps tau of the flow before; 0 for an unstable cycle that x0 lies near.
    tolerance : float, optional
        Largest defect of the closed orbit, relative to max(1, |x|): 1e-8 in float64, 1e-4 in float32.
    max_iterations : int
        Most steps of Newton's method.
    progress : bool or callable
        Show a bar on a terminal, or call a function with (steps done, steps in all).
    throw : bool
        Raise if no cycle was reached; else return the empty result with status "not_converged".

    Returns
    -------
    LimitCycle

    Raises
    ------
    LyapmapError
        If an argument cannot be used.
    RunError
        If no start led to a cycle, and `throw`.

    Notes
    -----
    Two checks come with the numbers: one multiplier must be 1, and the exponents must add up to the mean of the
    field's divergence along the orbit.

    References
    ----------
    R. Seydel, "Practical Bifurcation and Stability Analysis", Springer (2010), Chapter 7.

    Examples
    --------
    The circle r = 1 of dr/dt = r (1 - r^2), dphi/dt = 2 has the period pi and the multipliers 1 and exp(-2 pi):

    >>> import numpy as np
    >>> import lyapmap as lm
    >>> def hopf(s):
    ...     x, y = s[:, 0], s[:, 1]
    ...     r2 = x**2 + y**2
    ...     return np.stack([x * (1 - r2) - 2 * y, y * (1 - r2) + 2 * x], axis=1)
    >>> cycle = lm.limit_cycle(lm.flow(hopf, 0.1, state_shape=2), [0.5, 0.1], transient=20)
    >>> round(cycle.period, 7), cycle.stability, (cycle.exponents.round(5) + 0.0).tolist()
    (3.1415927, 'stable', [0.0, -2.0])
    """
    inner = as_tangent_map(flow)
    if inner.field is None:
        what = "a flow that depends on time" if inner.is_flow else "a map"
        raise LyapmapError(f"flow: expected one of lyapmap.flow whose field does not depend on time, got {what}")
    n = dimension(inner.state_shape)
    if n > LARGEST:
        raise LyapmapError(f"flow: expected at most {LARGEST} values in a state, got {n}")
    guess = None if period is None else positive("period", period, finite=True)
    transient = whole("transient", transient, 0)
    max_iterations = whole("max_iterations", max_iterations, 1)
    double = inner.ops.dtype == "float64"
    limit = (1e-8 if double else 1e-4) if tolerance is None else positive("tolerance", tolerance)
    starts = _starts(inner, x0)
    run = Run("limit cycle", inner, progress=progress)
    search = _Shooting(inner)
    reached: _Cycle | None = None
    reason = ""
    with run.steps() as report:
        for i, start in enumerate(starts):
            try:
                reached = search.cycle(start, guess, transient, limit, max_iterations)
                break
            except _MissedError as missed:
                reason = reason or str(missed)
            report(i + 1, len(starts))
    settings = {
        "period": guess,
        "transient": transient,
        "tolerance": limit,
        "max_iterations": max_iterations,
        "segments": search.m,
    }
    if reached is None:
        verdict = Verdict(Status.NOT_CONVERGED, reason)
        empty = np.full(n, np.nan)
        nothing = LimitCycle(
            **run.ending(verdict),
            settings=settings,
            period=np.nan,
            multipliers_real=empty,
            multipliers_imag=empty,
            exponents=empty,
            n_unstable=0,
            stability="",
            orbit=np.zeros((0, n)),
            times=np.zeros(0),
            residual=np.nan,
            trivial_error=np.nan,
            divergence_error=np.nan,
            state_shape=tuple(inner.state_shape),
        )
        return run.finish(nothing, throw)
    result = search.result(reached)
    verdict = Verdict()
    if not result.trivial_error <= TRIVIAL:
        words = f"the multiplier along the orbit is off 1 by {result.trivial_error:.1g}"
        verdict = Verdict(Status.NOT_CONVERGED, words, Cause.CROSS_CHECK)
    return run.finish(replace(result, **run.ending(verdict), settings=settings), throw)


def _starts(flow: TangentMap, x0: Any) -> Values:
    if x0 is None:
        own = flow.initial_states(8, 0)
        if own is None:
            raise LyapmapError("x0: expected a state to start from, got none")
        return np.asarray(own, np.float64)
    rows, _ = as_states(x0, flow)
    return np.asarray(flow.ops.to_numpy(rows), np.float64)


class _MissedError(Exception):
    """A start that leads to no cycle; says why."""


class _Cycle(NamedTuple):
    """Points (m, n) at equal distances of time, the period, and the largest defect."""

    x: Values
    period: float
    residual: float


class _Shooting:
    """Newton's method for the points of a cycle and its period."""

    def __init__(self, flow: TangentMap) -> None:
        self.flow = flow
        self.bare: TangentMap = flow.inner if flow.periods is not None else flow  # type: ignore[attr-defined]
        self.field, self.ops = flow.field, flow.ops
        self.n = dimension(flow.state_shape)
        self.m = max(1, min(SEGMENTS, UNKNOWNS // self.n))
        # Equal steps are meant for one tau; pieces of a cycle are longer.
        tolerance = FINE if self.ops.dtype == "float64" else COARSE
        scheme = DormandPrince(tolerance, tolerance) if isinstance(flow.scheme, RungeKutta4) else flow.scheme
        self.timed = Timed(flow.field, scheme)
        # An angle that goes round comes back a whole number of periods later.
        self.around = np.full(self.n, np.inf) if flow.periods is None else flow.periods

    def cycle(self, start: Values, guess: float | None, transient: int, limit: float, most: int) -> _Cycle:
        """The cycle that is reached from a state."""
        x = self.ops.from_numpy(start[None])
        with quiet():
            for _ in range(transient):
                x = self.flow.apply(x)
            state = np.asarray(self.ops.to_numpy(x), np.float64)
            if not np.isfinite(state).all():
                raise _MissedError("the orbit left for infinity in the transient")
            period = self._guess(state[0]) if guess is None else guess
            points = self._states(np.repeat(state, self.m, axis=0), period * np.arange(self.m) / self.m)
            return self._least(self._newton(points, period, limit, most), limit)

    def _states(self, x: Values, times: Values) -> Values:
        """States (b, n) after times (b,)."""
        return np.asarray(self.ops.to_numpy(self.timed.states(self.ops.from_numpy(x), times)), np.float64)

    def _velocity(self, x: Values) -> Values:
        return np.asarray(self.ops.to_numpy(self.field.apply(self.ops.from_numpy(x))), np.float64)

    def _guess(self, state: Values) -> float:
        """The time after which the orbit comes back closest to a plane through the start."""
        velocity = self._velocity(state[None])[0]
        speed = float(np.linalg.norm(velocity))
        if not speed * self.flow.time_per_step > AT_REST**2 * max(float(np.abs(state).max()), 1.0):
            raise _MissedError("the orbit came to rest")
        best, least = np.nan, np.inf
        for i in np.flatnonzero(np.isfinite(self.around) & (velocity != 0)):
            # An orbit that goes round comes back to the angle from which it started.
            section = Plane(np.eye(self.n)[i], float(state[i]), float(self.around[i]), self.ops.to_numpy)
            time, distance = self._closest(self.flow, section, int(np.sign(velocity[i])), state)
            if distance < least:
                best, least = time, distance
        if not np.isfinite(best):
            section = Plane(velocity / speed, float(velocity @ state) / speed, np.inf, self.ops.to_numpy)
            best, _ = self._closest(self.bare, section, 1, state)
        if not np.isfinite(best):
            raise _MissedError("the orbit does not come back to where it was: it may rest, escape, or take longer")
        return best

    def _closest(self, flow: TangentMap, plane: Plane, direction: int, state: Values) -> tuple[float, float]:
        """The time of the return to a plane that comes closest to the start, and its distance."""
        returns = SectionMap(flow, plane, direction, 2_000 * self.flow.time_per_step, audited=False)
        u = (state - plane.origin) @ plane.basis
        size, total, best, least = 0.0, 0.0, np.nan, np.inf
        now = u[None]
        for _ in range(RETURNS):
            time = float(returns.return_times(now)[0])
            now = np.asarray(self.ops.to_numpy(returns.apply(self.ops.from_numpy(now))), np.float64)
            total += time
            if not np.isfinite(total):
                break
            middle = self._states(returns.full(now), np.array([time / 2]))[0]
            size = max(size, float(np.linalg.norm(middle - state)))
            distance = float(np.linalg.norm(self._off(returns.full(now), state[None])))
            if distance < least:
                best, least = total, distance
            if least <= NEAR * size:
                break
        return best, least

    def _defects(self, x: Values, period: float) -> tuple[Values, Values, Values]:
        """phi(x_i) - x_{i+1}, derivatives (m, n, n), and velocities at the ends."""
        ops, unit = self.ops, np.broadcast_to(np.eye(self.n), (self.m, self.n, self.n)).copy()
        moved = self.timed.carry(ops.from_numpy(x), ops.from_numpy(unit), np.full(self.m, period / self.m))
        y, jacobians, velocity = (np.asarray(ops.to_numpy(part), np.float64) for part in moved)
        return self._off(y, x), jacobians, velocity

    def _off(self, y: Values, x: Values) -> Values:
        off = y - np.roll(x, -1, axis=0)
        for i in np.flatnonzero(np.isfinite(self.around)):
            off[:, i] -= self.around[i] * np.round(off[:, i] / self.around[i])
        return off

    def _newton(self, x: Values, period: float, limit: float, most: int) -> _Cycle:
        m, n = self.m, self.n
        first, across = x[0].copy(), self._velocity(x[:1])[0]
        across /= np.linalg.norm(across)
        defects, jacobians, velocity = self._defects(x, period)
        residual = self._residual(x, defects)
        for _ in range(most):
            if not np.isfinite(residual):
                break
            matrix = np.zeros((m * n + 1, m * n + 1))
            for i in range(m):
                rows, columns = slice(i * n, (i + 1) * n), ((i + 1) % m) * n
                matrix[rows, i * n : (i + 1) * n] += jacobians[i]
                matrix[rows, columns : columns + n] -= np.eye(n)
            matrix[:-1, -1] = velocity.ravel() / m
            matrix[-1, :n] = across
            right = -np.append(defects.ravel(), across @ (x[0] - first))
            step = np.linalg.lstsq(matrix, right, rcond=None)[0]
            # No point moves further than the orbit is large, nor the period by half: beyond, orbits may blow up.
            room = (
                REACH * max(float(np.abs(x - x.mean(axis=0)).max()), 1e-3) / max(float(np.abs(step[:-1]).max()), 1e-300)
            )
            length, taken = min(1.0, room, REACH * period / max(abs(float(step[-1])), 1e-300)), False
            for _ in range(HALVINGS):
                trial, time = x + length * step[:-1].reshape(m, n), period + length * step[-1]
                if time > 0:
                    after = self._defects(trial, time)
                    size = self._residual(trial, after[0])
                    if size < residual * (1.0 if length == 1 else 1 - STALLED * length):
                        x, period, residual, taken = trial, time, size, True
                        defects, jacobians, velocity = after
                        break
                if residual <= limit:
                    break
                length /= 2
            if not taken:
                break
        if not residual <= limit:
            raise _MissedError(f"Newton's method ended with a defect of {residual:.1g}, and {limit:.1g} was asked for")
        spread = float(np.abs(x - x.mean(axis=0)).max()) if m > 1 else np.inf
        travelled = float(np.linalg.norm(self._velocity(x), axis=1).max()) * period
        if min(spread, travelled) <= AT_REST * max(float(np.abs(x).max()), 1.0):
            raise _MissedError("Newton's method led to an equilibrium")
        return _Cycle(x, period, residual)

    @staticmethod
    def _residual(x: Values, defects: Values) -> float:
        size = float(np.abs(defects).max()) / max(1.0, float(np.abs(x).max()))
        return size if np.isfinite(size) else np.inf

    def _least(self, cycle: _Cycle, limit: float) -> _Cycle:
        """The cycle gone through once."""
        parts = np.arange(LEAST_PERIOD, 1, -1)
        back = self._states(np.repeat(cycle.x[:1], len(parts), axis=0), cycle.period / parts)
        size = max(1.0, float(np.abs(cycle.x).max()))
        for part, state in zip(parts, back, strict=True):
            if np.abs(state - cycle.x[0]).max() <= np.sqrt(limit) * size:
                period = cycle.period / float(part)
                points = self._states(np.repeat(cycle.x[:1], self.m, axis=0), period * np.arange(self.m) / self.m)
                return self._newton(points, period, limit, 20)
        return cycle

    def result(self, cycle: _Cycle) -> LimitCycle:
        """The cycle with its multipliers; `run.ending` is still to come."""
        with quiet(), self.ops.session():
            _, jacobians, _ = self._defects(cycle.x, cycle.period)
            multipliers, logs = largest_first(*multipliers_of(jacobians), self.m)
            trivial = int(np.abs(multipliers - 1).argmin())
            others = np.delete(multipliers, trivial)
            each = -(-POINTS // self.m)
            times = cycle.period * np.arange(each * self.m) / (each * self.m)
            orbit = self._states(np.repeat(cycle.x, each, axis=0), np.tile(times[:each], self.m))
            volume = self.timed.log_abs_det(self.ops.from_numpy(cycle.x), np.full(self.m, cycle.period / self.m)).sum()
        return LimitCycle(
            status=Status.OK,
            period=float(cycle.period),
            multipliers_real=multipliers.real,
            multipliers_imag=multipliers.imag,
            exponents=logs / cycle.period,
            n_unstable=int((np.abs(others) > 1 + neutral_within(self.ops.dtype)).sum()),
            stability=_stability(others, neutral_within(self.ops.dtype)),
            orbit=orbit,
            times=times,
            residual=cycle.residual,
            trivial_error=float(np.abs(multipliers[trivial] - 1)),
            divergence_error=float((logs.sum() - volume) / cycle.period),
            state_shape=tuple(self.flow.state_shape),
        )


def _stability(others: NDArray[np.complex128], neutral: float) -> str:
    modulus = np.abs(others)
    outside = int((modulus > 1 + neutral).sum())
    if outside == 0:
        return "neutral" if (modulus >= 1 - neutral).any() else "stable"
    return "unstable" if outside == len(others) else "saddle"
