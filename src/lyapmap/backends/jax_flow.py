"""Flows along JAX vector fields, whose stages and steps lie inside one compiled loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, final

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpy.typing import NDArray

from lyapmap.backends.jax_blocks import (
    MOST_TOGETHER,
    TOGETHER,
    Passed,
    Product,
    Sum,
    compiled_along,
    compiled_blocks,
    filled_up,
    largest_batch,
    qr,
)
from lyapmap.backends.jax_precision import in_session
from lyapmap.core.flows.map import FlowMap, audit
from lyapmap.core.flows.schemes import (
    BLOWN_UP,
    ERRORS,
    GROW,
    MOST_STEPS,
    SAFETY,
    SHRINK,
    SMALLEST_STEP,
    STAGES,
    TURN,
    DormandPrince,
    RungeKutta4,
    Scheme,
    moved,
    too_stiff,
)
from lyapmap.core.flows.stiff import Automatic
from lyapmap.core.map import Blocks, InBlocks, dimension
from lyapmap.core.propagate import quiet

HANDED_OVER = 2000
"""Steps of the explicit method in one time tau after which method "auto" goes on uncompiled, with help."""

TABLEAU = np.array([[*row, *[0.0] * (7 - len(row))] for row in STAGES])
ERROR_WEIGHTS = np.array(ERRORS)

Image = Callable[[jax.Array], jax.Array]
Point = tuple[jax.Array, Any]
"""States and tangents, or their velocities; without tangents the second is None."""


@final
class JaxFlow(InBlocks):
    """The time-tau map of a JAX vector field: `FlowMap`, compiled.

    Parameters
    ----------
    field : JaxMap
    tau : float
    scheme : RungeKutta4, DormandPrince or Automatic

    Notes
    -----
    With `Automatic`, trajectories whose steps become too many within a time tau go on by `FlowMap`.
    """

    is_flow = True
    compiled = True
    log_abs_det_is_independent = True
    log_abs_det_in_blocks = True

    def __init__(self, field: Any, tau: float, scheme: Scheme) -> None:
        self._generic = FlowMap(field, tau, scheme)
        self.scheme = scheme
        self.time_per_step = self._generic.time_per_step
        self.state_shape, self.ops = self._generic.state_shape, self._generic.ops
        self.orthonormalizes_within = not isinstance(scheme, RungeKutta4)
        self._n = dimension(self.state_shape)
        self._field = field
        self._calls, self._rate = 0, 0.0
        steps: _EqualSteps | _FollowingSteps
        if isinstance(scheme, RungeKutta4):
            steps = _EqualSteps(field, self.time_per_step, scheme.steps)
            self._equal = jax.jit(steps.advance)
        else:
            explicit = scheme.explicit if isinstance(scheme, Automatic) else scheme
            assert isinstance(explicit, DormandPrince)
            most = HANDED_OVER if isinstance(scheme, Automatic) else MOST_STEPS
            steps = _FollowingSteps(field, self.time_per_step, explicit, most)
        self._states = jax.jit(steps.states)
        self._tangents = jax.jit(steps.tangents)
        self._blocks = compiled_blocks(steps.carry)
        self._volumes = compiled_along(steps.divergence, Sum.zero)

    @property
    def field(self) -> Any:
        return self._field

    def over(self, tau: float) -> JaxFlow:
        return JaxFlow(self._field, tau, self.scheme.over(tau / self.time_per_step))

    @property
    def derivative(self) -> str:  # type: ignore[override]
        return self._generic.derivative

    @property
    def provenance(self) -> dict[str, Any]:  # type: ignore[override]
        return self._generic.provenance

    @property
    def log_abs_det_tolerance(self) -> float:  # type: ignore[override]
        return self._generic.log_abs_det_tolerance

    @in_session
    def apply(self, x: jax.Array) -> jax.Array:
        self._audit(x)
        y, stuck = self._states(self._field.required(x, "x"))
        rows = self._stuck(stuck)
        if not rows.size:
            return y
        images = np.array(y)
        images[rows] = self._generic.apply(self.ops.take(x, rows))
        return self.ops.from_numpy(images)

    @in_session
    def jvp(self, x: jax.Array, v: jax.Array) -> tuple[jax.Array, jax.Array]:
        if self._left_alone(v):
            return self.apply(x), self._generic.jvp(x, v)[1]
        self._audit(x)
        y, u, stuck = self._tangents(self._field.required(x, "x"), self._field.required(v, "v"))
        rows = self._stuck(stuck)
        if rows.size:
            images, moved = (np.array(array) for array in (y, u))
            images[rows], moved[rows] = self._generic.jvp(self.ops.take(x, rows), self.ops.take(v, rows))
            return self.ops.from_numpy(images), self.ops.from_numpy(moved)
        return y, u

    @in_session
    def carry_blocks(
        self, x: jax.Array, frame: jax.Array, n_blocks: int, n_steps: int, qr_every: int, frame_dtype: str | None
    ) -> Blocks | None:
        if self._left_alone(frame) or not self.carries(frame_dtype):
            return self._generic.propagate_blocks(x, frame, n_blocks, n_steps, qr_every, frame_dtype=frame_dtype)
        together = TOGETHER if TOGETHER * frame.size <= MOST_TOGETHER else 1
        if n_blocks > together:
            return None
        self._audit(x)
        begin = self._field.required(x, "x"), self._field.required(frame, "v")
        states, frames, growth, stuck = self._blocks(*begin, n_blocks, n_steps, qr_every, together)
        rows = self._stuck(stuck)
        if not rows.size:
            return states[:n_blocks], frames[:n_blocks], growth.log()[:n_blocks]
        # All ended early: rows that are not stuck are carried again, by themselves.
        others = np.setdiff1d(np.arange(len(x)), rows)
        parts = [self._generic.propagate_blocks(*self._rows(x, frame, rows), n_blocks, n_steps, qr_every)]
        if others.size:
            parts.append(self.propagate_blocks(*self._rows(x, frame, others), n_blocks, n_steps, qr_every))
        order = np.argsort(np.concatenate([rows, others]), kind="stable")
        images, moved, growths = zip(*parts, strict=True)
        return (
            [self.ops.take(self.ops.concatenate(list(block), 0), order) for block in zip(*images, strict=True)],
            [self.ops.take(self.ops.concatenate(list(block), 0), order) for block in zip(*moved, strict=True)],
            [np.concatenate(block)[order] for block in zip(*growths, strict=True)],
        )

    def _rows(self, x: jax.Array, frame: jax.Array, rows: NDArray[np.int64]) -> tuple[jax.Array, jax.Array]:
        return self.ops.take(x, rows), self.ops.take(frame, rows)

    @in_session
    def log_abs_det(self, x: jax.Array, n_steps: int, *, first_step: int = 0) -> NDArray[np.float64]:
        """Integral of the field's divergence along the orbits over a block of steps, (b,)."""
        host = np.asarray(self._field.required(x, "x"))
        if self._rate == 0.0:
            self._rate = self._field_rate(x)
            self._generic.note(self._rate)
        parts, most = [], largest_batch(max(1, self._field.rows_at_once // self._n))
        for start in range(0, len(host), most):
            rows = host[start : start + most]
            total = self._volumes(self.ops.from_numpy(filled_up(rows)), n_steps).value()[: len(rows)]
            late = np.flatnonzero(np.isnan(total))
            if late.size:
                total[late] = self._generic.log_abs_det(self.ops.from_numpy(rows[late]), n_steps)
            parts.append(total)
        return np.concatenate(parts)

    def _field_rate(self, x: jax.Array) -> float:
        """Root mean square of what the field does to unit vectors, times tau, the largest of a few states."""
        with quiet():
            matrices = self.ops.to_numpy(self._field.jacobian(self.ops.take(x, np.arange(min(8, len(x))))))
            rates = np.sqrt((matrices.astype(np.float64) ** 2).sum(axis=(1, 2)) / self._n) * self.time_per_step
        return float(np.nan_to_num(rates, nan=0.0, posinf=0.0).max())

    def _left_alone(self, v: jax.Array) -> bool:
        """Whether so many tangents are left to code that takes them in parts."""
        return not 0 < v.shape[2] <= self._n or v.shape[0] * v.shape[2] > self._field.rows_at_once

    def _stuck(self, stuck: jax.Array) -> NDArray[np.int64]:
        """Rows that could not be finished; an error unless others may help."""
        rows = np.flatnonzero(np.asarray(stuck))
        if rows.size and not isinstance(self.scheme, Automatic):
            raise too_stiff("dopri5", self.time_per_step)
        return rows

    def _audit(self, x: jax.Array) -> None:
        """Hold equal steps against steps half as long, at the calls whose numbers are powers of two."""
        self._calls += 1
        if isinstance(self.scheme, RungeKutta4) and self._calls & (self._calls - 1) == 0:
            audit(self.ops, x, self.time_per_step, self.scheme.steps, self._advance)

    def _advance(self, count: int, h: float, x: jax.Array, v: jax.Array) -> tuple[jax.Array, jax.Array]:
        return self._equal(x, v, count, np.asarray(h, self.ops.dtype))


class _EqualSteps:
    """The classical method of order 4, as `RungeKutta4` has it."""

    def __init__(self, field: Any, tau: float, steps: int) -> None:
        self.field, self.tau, self.steps = field, tau, steps

    def states(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        return self._through(self.field.image, x), jnp.zeros(len(x), bool)

    def tangents(self, x: jax.Array, v: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        y, u = self.advance(x, v, self.steps, jnp.asarray(self.tau / self.steps, x.dtype))
        return y, u, jnp.zeros(len(x), bool)

    def carry(self, x: jax.Array, v: jax.Array) -> tuple[jax.Array, jax.Array, None]:
        y, u, _ = self.tangents(x, v)
        return y, u, None

    def divergence(self, x: jax.Array, total: Sum) -> tuple[jax.Array, Sum]:
        z = self._through(with_divergence(self.field), started(x))
        return z[:, :-1], total.plus(z[:, -1])

    def advance(self, x: jax.Array, v: jax.Array, count: Any, h: Any) -> tuple[jax.Array, jax.Array]:
        """So many steps of a length."""

        def step(_: Any, now: Point) -> Point:
            return _rk4(lambda at: self.field.carry(*at), now, h)

        return lax.fori_loop(0, count, step, (x, v))

    def _through(self, image: Image, x: jax.Array) -> jax.Array:
        h = jnp.asarray(self.tau / self.steps, x.dtype)
        return lax.fori_loop(0, self.steps, lambda _, now: _rk4(lambda at: (image(at[0]), None), (now, None), h)[0], x)


def _rk4(velocity: Callable[[Point], Point], now: Point, h: Any) -> Point:
    slopes = [velocity(now)]
    for part in (0.5, 0.5, 1.0):
        slopes.append(velocity(moved(now, (part * h, part * h), (1.0,), slopes[-1:])))
    return moved(now, (h / 6, h / 6), (1.0, 2.0, 2.0, 1.0), slopes)


def started(x: jax.Array) -> jax.Array:
    """States (x, l) with l = 0."""
    return jnp.concatenate([x, jnp.zeros_like(x[:, :1])], axis=1)


def with_divergence(field: Any) -> Image:
    """The field (f(x), tr Df(x)) of states (x, l)."""

    def velocity(z: jax.Array) -> jax.Array:
        x = z[:, :-1]
        trace = jnp.trace(field.matrices(x), axis1=1, axis2=2)
        return jnp.concatenate([field.image(x), trace[:, None]], axis=1)

    return velocity


class _Course(NamedTuple):
    """Trajectories on their way through one time tau; see `lyapmap.core.flows.schemes.Course`."""

    y: jax.Array
    u: Any
    slope: jax.Array
    turned: Any
    h: jax.Array
    left: jax.Array
    steps: jax.Array
    refused: jax.Array
    lost: jax.Array
    stuck: jax.Array
    swayed: jax.Array
    bent: jax.Array
    rate: jax.Array
    growth: Product
    factor: jax.Array


class _FollowingSteps:
    """Dormand and Prince's method with a step for each row, as `DormandPrince` has it."""

    def __init__(self, field: Any, tau: float, scheme: DormandPrince, most: int) -> None:
        self.field, self.tau, self.scheme, self.most = field, tau, scheme, most

    def states(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        end = self._through(lambda at: (self.field.image(at[0]), None), x, None)
        return end.y, end.stuck

    def tangents(self, x: jax.Array, v: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        frame, _ = qr(v)
        end = self._with_tangents(x, frame)
        return end.y, _products(end.u, _products(end.factor, _products(frame.swapaxes(1, 2), v))), end.stuck

    def carry(self, x: jax.Array, v: jax.Array) -> tuple[jax.Array, jax.Array, Passed]:
        end = self._with_tangents(x, v)
        assert end.u is not None
        return end.y, end.u, Passed(end.growth, end.stuck)

    def divergence(self, x: jax.Array, total: Sum) -> tuple[jax.Array, Sum]:
        velocity = with_divergence(self.field)
        end = self._through(lambda at: (velocity(at[0]), None), started(x), None)
        return end.y[:, :-1], total.plus(jnp.where(end.stuck, jnp.nan, end.y[:, -1]))

    def _with_tangents(self, x: jax.Array, v: jax.Array) -> _Course:
        """States are those that they are without tangents, to the bit."""
        end = self._through(lambda at: self.field.carry(*at), x, v)
        y, stuck = lax.cond(end.swayed.any(), lambda: self.states(x), lambda: (end.y, end.stuck))
        swayed = end.swayed & ~end.stuck
        return end._replace(y=jnp.where(swayed[:, None], y, end.y), stuck=end.stuck | (swayed & stuck))

    def _through(self, velocity: Callable[[Point], Point], x: jax.Array, v: jax.Array | None) -> _Course:
        b, k = len(x), 0 if v is None else v.shape[2]
        slope, turned = velocity((x, v))
        none, no = jnp.zeros(b, x.dtype), jnp.zeros(b, bool)
        fast = BLOWN_UP * jnp.maximum(_length(slope), 1)
        begin = _Course(
            x, v, slope, turned, self._first_step(velocity, x, slope), none + self.tau, jnp.zeros(b, jnp.int32), no,
            ~(jnp.isfinite(x).all(axis=1) & jnp.isfinite(slope).all(axis=1)), no, no, none,
            none if v is None else _rate(v, turned), Product.unit((b, k), x.dtype),
            jnp.broadcast_to(jnp.eye(k, dtype=x.dtype), (b, k, k)),
        )  # fmt: skip
        end = lax.while_loop(lambda now: _going(now).any(), lambda now: self._step(velocity, now, fast), begin)
        nothing = jnp.where(end.lost, jnp.nan, 0).astype(x.dtype)
        u = None if end.u is None else end.u + nothing[:, None, None]
        return end._replace(y=end.y + nothing[:, None], u=u, swayed=end.swayed & ~end.lost)

    def _step(self, velocity: Callable[[Point], Point], now: _Course, fast: jax.Array) -> _Course:
        going = _going(now)
        last = now.h >= now.left * (1 - 1e-10)
        step = jnp.where(going, jnp.where(last, now.left, now.h), 0)
        begin, h = (now.y, now.u), (step[:, None], step[:, None, None])
        ahead, slopes = _stages(velocity, begin, h, (now.slope, now.turned))
        off, tangents_off = (_weighted(ERROR_WEIGHTS, part, step) for part, step in zip(slopes, h, strict=True))
        error = self._size(off, jnp.maximum(jnp.abs(begin[0]), jnp.abs(ahead[0])))
        swayed = now.swayed
        if now.u is not None:
            lengths = jnp.maximum(_length(now.u), _length(ahead[1]))
            share = _length(tangents_off) / (self.scheme.tangent_rtol * jnp.where(lengths == 0, 1, lengths))
            worst = jnp.where(lengths == 0, 0, share).max(axis=1)
            swayed |= going & ~(worst <= jnp.maximum(error, (SAFETY / GROW) ** 5))
            error = jnp.fmax(error, worst) + 0 * error  # NaN stays NaN
        good = error <= 1  # which NaN is not
        factor = SAFETY * jnp.nan_to_num(error, nan=jnp.inf, posinf=jnp.inf) ** -0.2
        limit = jnp.where(now.refused, 1, GROW)
        change = _roughly(jnp.clip(factor, SHRINK, jnp.where(good, limit, 1)))
        taken = going & good
        bent, rate = now.bent, now.rate
        if now.u is not None:
            bent += jnp.where(taken, step * jnp.maximum(rate, _rate(now.u, now.turned)), 0)

        def accepted(new: Any, old: Any) -> Any:
            return None if old is None else jnp.where(taken.reshape(-1, *[1] * (old.ndim - 1)), new, old)

        left = jnp.where(taken, jnp.where(last, 0, now.left - step), now.left)
        after = now._replace(
            y=accepted(ahead[0], now.y),
            u=accepted(ahead[1], now.u),
            slope=accepted(slopes[0][-1], now.slope),
            turned=accepted(None if now.u is None else slopes[1][-1], now.turned),
            h=jnp.where(going, step * change, now.h),
            left=left,
            steps=now.steps + going,
            refused=jnp.where(going, ~good, now.refused),
            swayed=swayed,
            bent=bent,
        )
        given_up = going & (left > 0) & ((after.h < SMALLEST_STEP * self.tau) | (after.steps >= self.most))
        leaving = ~(_length(after.slope) < fast)
        after = after._replace(lost=now.lost | (given_up & leaving), stuck=now.stuck | (given_up & ~leaving))
        if now.u is None:
            return after
        late = going & (bent > TURN) & ~after.lost
        return lax.cond(late.any(), lambda: _turned(after, late), lambda: after)

    def _size(self, values: jax.Array, scale: jax.Array) -> jax.Array:
        """Root mean square of each row in units of the tolerance."""
        return jnp.sqrt(jnp.mean((values / (self.scheme.atol + self.scheme.rtol * scale)) ** 2, axis=1))

    def _first_step(self, velocity: Callable[[Point], Point], x: jax.Array, slope: jax.Array) -> jax.Array:
        tau, scale = self.tau, jnp.abs(x)
        first, second = self._size(x, scale), self._size(slope, scale)
        guess = jnp.where((first < 1e-5) | (second < 1e-5), 1e-6 * tau, 0.01 * first / second)
        guess = jnp.minimum(jnp.nan_to_num(guess, nan=tau), tau)
        beyond, _ = velocity((x + guess[:, None] * slope, None))
        change = self._size(beyond - slope, scale) / guess
        strongest = jnp.maximum(second, change)
        step = jnp.where(strongest <= 1e-15, jnp.maximum(1e-6 * tau, 1e-3 * guess), (0.01 / strongest) ** 0.2)
        finite = jnp.nan_to_num(jnp.minimum(100 * guess, step), nan=1e-6 * tau)
        return _roughly(jnp.clip(finite, 1e-6 * tau, tau).astype(x.dtype))


def _going(now: _Course) -> jax.Array:
    return (now.left > 0) & ~now.lost & ~now.stuck


def _roughly(values: jax.Array) -> jax.Array:
    """The first digits of numbers, in which powers agree that XLA takes of one number or of many."""
    return lax.reduce_precision(values, exponent_bits=8, mantissa_bits=12)


def _stages(velocity: Callable[[Point], Point], begin: Point, h: tuple[Any, Any], slope: Point) -> tuple[Point, Point]:
    """Where a step leads, and the slopes (7, b, ...) of all its stages: in a loop, which is compiled faster."""

    def room(first: Any) -> Any:
        return None if first is None else jnp.zeros((7, *first.shape), first.dtype).at[0].set(first)

    def substep(i: Any, now: Any) -> Any:
        _, slopes = now
        weights = jnp.asarray(TABLEAU)[i]
        x = begin[0] + _weighted(weights, slopes[0], h[0])
        v = None if begin[1] is None else begin[1] + _weighted(weights, slopes[1], h[1])
        rates = velocity((x, v))
        kept, turned = (
            None if part is None else part.at[i + 1].set(new) for part, new in zip(slopes, rates, strict=True)
        )
        return (x, v), (kept, turned)

    ahead, slopes = lax.fori_loop(0, 6, substep, (begin, (room(slope[0]), room(slope[1]))))
    return ahead, slopes


def _weighted(weights: Any, slopes: Any, h: Any) -> Any:
    if slopes is None:
        return None
    column = jnp.asarray(weights, slopes.dtype).reshape(-1, *[1] * (slopes.ndim - 1))
    return h * (column * slopes).sum(axis=0)


def _products(a: jax.Array, b: jax.Array) -> jax.Array:
    """Matrix products over the first axis; written out where matrices are small, so that bits do not depend on it."""
    if a.shape[2] * b.shape[2] > 64:
        return a @ b
    return (a[:, :, :, None] * b[:, None, :, :]).sum(axis=2)


def _turned(now: _Course, rows: jax.Array) -> _Course:
    """Orthonormalize the tangents of some rows, and take their velocities along."""
    frame, sizes = qr(now.u)
    upper = jnp.triu(_products(frame.swapaxes(1, 2), now.u))
    # Where a tangent is gone nothing can be divided by: those stay as they are.
    whole = rows & (sizes > 0).all(axis=1)
    by_state, by_tangent = whole[:, None], whole[:, None, None]
    velocities: list[jax.Array] = []
    for j in range(now.u.shape[2]):
        rest = now.turned[:, :, j]
        for i, before in enumerate(velocities):
            rest = rest - upper[:, i, j, None] * before
        velocities.append(rest / jnp.where(by_state, upper[:, j, j, None], 1))
    u = jnp.where(by_tangent, frame, now.u)
    turned = jnp.where(by_tangent, jnp.stack(velocities, axis=2), now.turned)
    return now._replace(
        u=u, turned=turned, growth=now.growth.times(jnp.where(by_state, sizes, 1)),
        factor=jnp.where(by_tangent, _products(upper, now.factor), now.factor),
        rate=jnp.where(rows, _rate(u, turned), now.rate), bent=jnp.where(rows, 0, now.bent),
    )  # fmt: skip


def _length(values: jax.Array) -> jax.Array:
    """Lengths (b,) of rows (b, n), or (b, k) of tangents (b, n, k)."""
    return jnp.sqrt(jnp.sum(values * values, axis=1))


def _rate(v: jax.Array, slope: jax.Array) -> jax.Array:
    rates = _length(slope) / _length(v)
    return jnp.sqrt((jnp.nan_to_num(rates, nan=0.0, posinf=0.0) ** 2).sum(axis=1))
