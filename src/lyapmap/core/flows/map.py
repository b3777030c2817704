"""Time-tau maps of flows dx/dt = f(x), and what tells whether they can be trusted.

The vector field is a `TangentMap` whose image is the velocity, so a flow exists for every backend;
`schemes` and `stiff` in this folder carry states and tangents along it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.arguments import positive
from lyapmap.core.conformance import as_tangent_map
from lyapmap.core.errors import LyapmapError
from lyapmap.core.flows.schemes import Course, RungeKutta4, Scheme, replaced, taken
from lyapmap.core.map import Map, StepMap, TangentMap, dimension
from lyapmap.core.ops import Array, ArrayOps, quiet

COARSE = 0.03
"""Error of growth rates, relative to the field's own rate, with which equal steps are refused."""
AUDITED_ROWS, AUDITED_DIRECTIONS = 4, 8
"""Of the sample with which equal steps are held against steps half as long."""


@final
class FlowMap(TangentMap):
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
    log_abs_det_tolerance : float
        Accuracy per step to which `log_abs_det` agrees with the growth of a full frame.

    Notes
    -----
    `lyapmap.flow` makes one of a function, and takes the compiled way where there is one. States
    from `jvp` are those from `apply`, to the bit: where tangents asked for other steps, states are
    carried once more by themselves.
    """

    is_flow = True
    orthonormalizes_within = True
    log_abs_det_is_independent = True
    cost = 64
    scheme: Scheme

    def __init__(self, field: Map, tau: float, scheme: Scheme) -> None:
        self.field = as_tangent_map(field)
        if self.field.depends_on_step:
            raise LyapmapError("field: a vector field that depends on the step cannot be integrated")
        self.scheme = scheme
        self.time_per_step = finite_time(tau)
        self.state_shape = tuple(self.field.state_shape)
        self.ops = self.field.ops
        self._carried_rows = self._stiff_rows = self._most_steps = 0
        self._rate = 0.0
        self._calls = 0

    def over(self, tau: float) -> FlowMap:
        return FlowMap(self.field, tau, self.scheme.over(tau / self.time_per_step))

    @property
    def derivative(self) -> str:  # type: ignore[override]
        return str(self.field.derivative)

    @property
    def provenance(self) -> dict[str, Any]:  # type: ignore[override]
        described: dict[str, Any] = self.field.provenance | {"tau": self.time_per_step} | self.scheme.described
        if self._stiff_rows:
            share = self._stiff_rows / self._carried_rows
            described["stiff"] = f"rodas4 was used in {share:.2g} of the steps, where the field is stiff"
        return described

    @property
    def log_abs_det_tolerance(self) -> float:  # type: ignore[override]
        return self.scheme.tolerance(dimension(self.state_shape), self._most_steps, self._rate)

    def apply(self, x: Array) -> Array:
        self.check_steps(x)
        return self._carried(x, None).x

    def jvp(self, x: Array, v: Array) -> tuple[Array, Array]:
        self.check_steps(x)
        if isinstance(self.scheme, RungeKutta4) or not v.shape[2]:
            course = self._carried(x, v)
            return course.x, course.tangents(self.ops)
        # Tangents that are nearly the same, or none, or more than n, are as good as any others then.
        with quiet():
            frame, r = self.ops.qr(v)
            course = self._carried(x, frame)
            return course.x, self.ops.matmul(course.tangents(self.ops), r)

    def propagate(
        self,
        x: Array,
        frame: Array,
        n_steps: int,
        qr_every: int = 1,
        *,
        frame_dtype: str | None = None,
        first_step: int = 0,
    ) -> tuple[Array, Array, NDArray[np.float64]]:
        if not self.carries(frame_dtype):
            return super().propagate(x, frame, n_steps, qr_every, frame_dtype=frame_dtype)
        total = np.zeros((frame.shape[0], frame.shape[2]))
        with quiet():
            for step in range(1, n_steps + 1):
                self.check_steps(x)
                course = self._carried(x, frame)
                x, frame = course.x, course.v
                total += course.log_growth
                if step % qr_every == 0 or step == n_steps:
                    frame, r = self.ops.qr(frame)
                    total += self.ops.log_abs_diagonal(r)
        return x, frame, total

    def log_abs_det(self, x: Array, n_steps: int, *, first_step: int = 0) -> NDArray[np.float64]:
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
        with self.ops.session():
            course = self.scheme.carry(self.field, self.time_per_step, x, v)
        self._carried_rows += len(course.steps)
        self._stiff_rows += int(course.stiff.sum())
        self._most_steps = max(self._most_steps, int(course.steps.max(initial=0)))
        if course.swayed.any():
            rows = np.flatnonzero(course.swayed)
            alone = self.scheme.carry(self.field, self.time_per_step, taken(self.ops, x, rows), None).x
            course.x = replaced(self.ops, course.x, alone, rows)
        return course

    def check_steps(self, x: Array) -> None:
        """Hold equal steps against steps half as long, at the calls whose numbers are powers of two."""
        self._calls += 1
        if isinstance(self.scheme, RungeKutta4) and self._calls & (self._calls - 1) == 0:
            audit(self.ops, x, self.time_per_step, self.scheme.steps, self._advance)

    def _advance(self, count: int, h: float, x: Array, v: Array) -> tuple[Array, Array]:
        course = RungeKutta4(count).carry(self.field, count * h, x, v)
        return course.x, course.tangents(self.ops)


def finite_time(tau: Any) -> float:
    """The time of one step, checked."""
    time = positive("tau", tau)
    if not np.isfinite(time):
        raise LyapmapError(f"tau: expected a finite time, got {tau!r}")
    return time


@final
class WithDivergence(TangentMap):
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

    def jvp(self, z: Array, v: Array) -> tuple[Array, Array]:
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
    x = taken(ops, x, np.arange(min(AUDITED_ROWS, int(x.shape[0]))))
    b, n = (int(size) for size in x.shape)
    k = min(n, AUDITED_DIRECTIONS)
    frame = np.linalg.qr(np.random.default_rng(0).standard_normal((b, n, k)))[0]
    given = ops.from_numpy(frame)
    brief = tau / steps * float(np.finfo(ops.dtype).eps) ** 0.5
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
class ForcedFlow(StepMap):
    """The flow of a field that depends on time: step i goes from start + i tau to start + (i + 1) tau.

    Time is no coordinate of the state, so the exponents are the n of the response to what the
    clock does; the zero that an autonomous flow has along itself is not among them.

    Attributes
    ----------
    inner : TangentMap
        The flow of the n + 1 values (x, t), dt/dt = 1.
    start : float
        Time at which step 0 begins.
    period : float or None
        After which the field repeats: times are taken modulo it.
    """

    is_flow = True

    def __init__(self, inner: TangentMap, start: float, period: float | None, state_shape: tuple[int, ...]) -> None:
        self.inner = inner
        self.start = start
        self.period = period
        self.state_shape = state_shape
        self.ops = inner.ops
        self.time_per_step = inner.time_per_step
        self.log_abs_det_is_independent = inner.log_abs_det_is_independent
        self.orthonormalizes_within = inner.orthonormalizes_within

    @property
    def derivative(self) -> str:  # type: ignore[override]
        return self.inner.derivative

    @property
    def provenance(self) -> dict[str, Any]:  # type: ignore[override]
        described = self.inner.provenance | {"start": self.start}
        return described if self.period is None else described | {"period": self.period}

    @property
    def log_abs_det_tolerance(self) -> float:  # type: ignore[override]
        return self.inner.log_abs_det_tolerance

    def for_run(self, x: Array, k: int, n_steps: int) -> TangentMap:
        inner = self.inner.for_run(self.at(0).timed(x), k, n_steps)
        return self if inner is self.inner else ForcedFlow(inner, self.start, self.period, self.state_shape)

    def over(self, tau: float) -> ForcedFlow | None:
        within = self.inner.over(tau)
        return None if within is None else ForcedFlow(within, self.start, self.period, self.state_shape)

    def time(self, step: int) -> float:
        """When a step begins."""
        since = step * self.time_per_step
        return self.start + (since if self.period is None else since % self.period)

    def at(self, step: int) -> ForcedStep:
        """The map of one step."""
        return ForcedStep(self, self.time(step))


@final
class ForcedStep(TangentMap):
    """A forced flow over one step that begins at a given time: an ordinary map.

    Where tau is a multiple of the period it is the stroboscopic map, the same at every step.
    """

    is_flow = True

    def __init__(self, whole: ForcedFlow, time: float) -> None:
        self.whole = whole
        self.start = time
        self.n = dimension(whole.state_shape)
        self.state_shape = whole.state_shape
        self.ops = whole.ops
        self.time_per_step = whole.time_per_step
        self.cost = whole.inner.cost
        self.log_abs_det_is_independent = whole.log_abs_det_is_independent
        self.orthonormalizes_within = whole.orthonormalizes_within

    @property
    def derivative(self) -> str:  # type: ignore[override]
        return self.whole.derivative

    @property
    def provenance(self) -> dict[str, Any]:  # type: ignore[override]
        return self.whole.provenance

    @property
    def log_abs_det_tolerance(self) -> float:  # type: ignore[override]
        return self.whole.log_abs_det_tolerance

    def apply(self, x: Array) -> Array:
        return self.whole.inner.apply(self.timed(x))[:, : self.n]

    def jvp(self, x: Array, v: Array) -> tuple[Array, Array]:
        # The clock is what it is: tangents do not move it.
        still = self.ops.from_numpy(np.zeros((x.shape[0], 1, v.shape[2])))
        y, u = self.whole.inner.jvp(self.timed(x), self.ops.concatenate([v, still], 1))
        return y[:, : self.n], u[:, : self.n]

    def propagate(
        self,
        x: Array,
        frame: Array,
        n_steps: int,
        qr_every: int = 1,
        *,
        frame_dtype: str | None = None,
        first_step: int = 0,
    ) -> tuple[Array, Array, NDArray[np.float64]]:
        """Over steps that all begin at the same time; frames are orthonormalized as often as they need it."""
        if not (self.orthonormalizes_within and self.carries(frame_dtype)):
            return super().propagate(x, frame, n_steps, qr_every, frame_dtype=frame_dtype, first_step=first_step)
        still = self.ops.from_numpy(np.zeros((x.shape[0], 1, frame.shape[2])))
        total = np.zeros((frame.shape[0], frame.shape[2]))
        for _ in range(n_steps):
            with_time = self.ops.concatenate([frame, still], 1)
            y, turned, growth = self.whole.inner.propagate(self.timed(x), with_time, 1)
            x, frame = y[:, : self.n], turned[:, : self.n]
            total += growth
        return x, frame, total

    def log_abs_det(self, x: Array, n_steps: int, *, first_step: int = 0) -> NDArray[np.float64]:
        """Integral of the divergence over steps that all begin at the same time, (b,)."""
        total = np.zeros(x.shape[0])
        for _ in range(n_steps):
            total += self.whole.inner.log_abs_det(self.timed(x), 1)
            x = self.apply(x)
        return total

    def over(self, tau: float) -> ForcedFlow | None:
        """With the clock that runs on: over another time a step is no longer the same as the next."""
        return self.whole.over(tau)

    def for_run(self, x: Array, k: int, n_steps: int) -> TangentMap:
        whole = self.whole.for_run(x, k, n_steps)
        return self if whole is self.whole or not isinstance(whole, ForcedFlow) else ForcedStep(whole, self.start)

    def timed(self, x: Array) -> Array:
        """States (x, t) at the beginning of the step."""
        return self.ops.concatenate([x, self.ops.from_numpy(np.full((x.shape[0], 1), self.start))], 1)
