"""Maps of flows from one crossing of a section to the next, with the exact derivative.

Orbits are carried by the flow itself, a look after each time tau. In the tau in which an orbit crosses, the time of
the crossing is found to rounding along the field with time scaled, dx/ds = t f(x), which makes t one more coordinate
of the state: its tangent is the velocity, of the numerical orbit too. The derivative of the return is then
that of the flow, projected along the velocity onto the section (J. Guckenheimer and P. Holmes 1983, Section 1.5).
"""

from __future__ import annotations

import abc
import copy
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, final

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.combined.periodic import within
from lyapmap.core.errors import LyapmapError
from lyapmap.core.flows.map import FlowMap
from lyapmap.core.flows.schemes import Scheme, replaced
from lyapmap.core.map import TangentMap, dimension
from lyapmap.core.ops import Array, quiet

Block = NDArray[np.float64]

T = TypeVar("T")

MOST_LOOKS = 5_000
"""Looks, a time tau apart, after which an orbit that has not come back is given up."""
NEWTON = 60
"""Most steps towards a crossing: bisection alone reaches the rounding in these."""
SETTLING = 8
"""Most steps by which a state beside a surface is moved onto it."""
ON_SECTION = 1e3
"""Roundings within which a state counts as lying on the section."""
HALVINGS = 40
"""Halvings of the first tau in search of a time at which an orbit has left the section it started from."""
DIPS = 24
"""Steps towards the place where an orbit comes closest between two looks."""
AUDITED, FINER = 4, 4
"""Rows whose returns are held against those with more looks, and how many more."""
RETURN, SAME_VOLUME = 100.0, 1e-5
"""Steps of a flow that a return is taken to last, and the least error of the logarithm of a volume over it."""
SAME_TIME = 1e-6
"""Relative difference of return times up to which both are the same crossing."""


class Section(abc.ABC):
    """A surface g(x) = 0 that orbits cross.

    Attributes
    ----------
    described : dict
        Plain values for the provenance.
    """

    described: dict[str, Any]

    @abc.abstractmethod
    def look(self, x: Array, v: Array) -> tuple[Block, Block]:
        """g (b,) at states (b, n), and its derivatives (b, k) along tangents (b, n, k)."""

    def passed(self, before: Block, after: Block) -> NDArray[np.bool_]:
        """Where g changed its sign by going through zero."""
        return before * after < 0


@final
class Plane(Section):
    """The plane normal . x = offset; its states are n - 1 values.

    Parameters
    ----------
    normal : (n,)
    offset : float
    period : float
        Of the coordinate that the plane holds, if it comes round; infinite otherwise.

    Attributes
    ----------
    basis : (n, n - 1)
        Orthonormal; of a coordinate's plane, the other coordinates.
    origin : (n,)
        The point of the plane where all n - 1 values are 0.
    """

    def __init__(self, normal: Block, offset: float, period: float, to_numpy: Callable[[Array], NDArray[Any]]) -> None:
        n = len(normal)
        self.normal, self.offset, self.period = normal, offset, period
        self.to_numpy = to_numpy
        self.origin = normal * offset / (normal @ normal)
        held = np.flatnonzero(normal)
        if len(held) == 1:
            self.basis = np.delete(np.eye(n), held[0], axis=1)
            self.described = {"section": f"component {held[0]} = {offset / normal[held[0]]:g}"}
        else:
            self.basis = np.linalg.qr(np.column_stack([normal, np.eye(n)]))[0][:, 1:n]
            self.described = {"section": f"{normal.tolist()} . x = {offset:g}"}

    def look(self, x: Array, v: Array) -> tuple[Block, Block]:
        states, tangents = (np.asarray(self.to_numpy(array), np.float64) for array in (x, v))
        g = states @ self.normal - self.offset
        if np.isfinite(self.period):
            g = np.mod(g + self.period / 2, self.period) - self.period / 2
        return g, np.einsum("bnk,n->bk", tangents, self.normal)

    def passed(self, before: Block, after: Block) -> NDArray[np.bool_]:
        # Half a period away an angle goes from one end of its range to the other.
        return (before * after < 0) & (np.abs(before - after) < self.period / 2)


@final
class Surface(Section):
    """The surface on which a function of the state is zero; `function` is a map whose image begins with g."""

    def __init__(self, function: TangentMap, component: int, described: dict[str, Any]) -> None:
        self.function, self.component, self.described = function, component, described

    def look(self, x: Array, v: Array) -> tuple[Block, Block]:
        y, u = self.function.jvp(x, v)
        ops, i = self.function.ops, self.component
        return np.asarray(ops.to_numpy(y), np.float64)[:, i], np.asarray(ops.to_numpy(u), np.float64)[:, i, :]


@final
class TimedField(TangentMap):
    """The field (t f(x), 0) of states (x, t): over a time of 1 it carries x along f for a time t."""

    def __init__(self, inner: TangentMap) -> None:
        self.inner = inner
        self.n = dimension(inner.state_shape)
        self.state_shape: tuple[int, ...] = (self.n + 1,)
        self.ops = inner.ops
        self.derivative = inner.derivative

    def apply(self, z: Array) -> Array:
        time = z[:, self.n :]
        return self.ops.concatenate([time * self.inner.apply(z[:, : self.n]), 0.0 * time], 1)

    def jvp(self, z: Array, v: Array) -> tuple[Array, Array]:
        time = z[:, self.n :]
        f, moved = self.inner.jvp(z[:, : self.n], v[:, : self.n])
        turned = time[:, :, None] * moved + f[:, :, None] * v[:, self.n :]
        return self.ops.concatenate([time * f, 0.0 * time], 1), self.ops.concatenate([turned, 0.0 * v[:, self.n :]], 1)


class Timed:
    """A flow over a time of its own for each state."""

    def __init__(self, field: TangentMap, scheme: Scheme) -> None:
        self.ops, self.n = field.ops, dimension(field.state_shape)
        self._flow = FlowMap(TimedField(field), 1.0, scheme)

    def states(self, x: Array, times: Block) -> Array:
        """States (b, n) after times (b,)."""
        return self._flow.apply(self._started(x, times))[:, : self.n]

    def propagate(self, x: Array, frame: Array, times: Block) -> tuple[Array, Array, Block]:
        """States, orthonormal frames and their log growth (b, k) after times (b,)."""
        ops, (b, _, k) = self.ops, frame.shape
        still = ops.from_numpy(np.zeros((b, 1, k)))
        z, u, growth = self._flow.propagate(self._started(x, times), ops.concatenate([frame, still], 1), 1)
        return z[:, : self.n], u[:, : self.n], growth

    def log_abs_det(self, x: Array, times: Block) -> Block:
        """Integrals of the field's divergence over times (b,)."""
        return self._flow.log_abs_det(self._started(x, times), 1)

    def _started(self, x: Array, times: Block) -> Array:
        return self.ops.concatenate([x, self.ops.from_numpy(times[:, None])], 1)

    def carry(self, x: Array, v: Array, times: Block) -> tuple[Array, Array, Array]:
        """States, tangents (b, n, k) and velocities (b, n) after times (b,)."""
        ops, (b, _, k) = self.ops, v.shape
        clock = np.zeros((b, 1, k + 1))
        clock[:, 0, k] = 1.0
        along = ops.concatenate([v, ops.from_numpy(np.zeros((b, self.n, 1)))], 2)
        z, u = self._flow.jvp(self._started(x, times), ops.concatenate([along, ops.from_numpy(clock)], 1))
        return z[:, : self.n], u[:, : self.n, :k], u[:, : self.n, k]


@dataclass
class Returns:
    """Where orbits came back to the section, NaN where they did not.

    Attributes
    ----------
    x : (b, n)
    times : (b,)
    tangents : (b, n, k)
        Tangents along the section, or frames in it.
    growth : (b, k)
        Of logarithms, where frames were orthonormalized on the way.
    """

    x: Block
    times: Block
    tangents: Block
    growth: Block


class Carrier:
    """What goes with the states to the next crossing: here, nothing.

    Attributes
    ----------
    flow : TangentMap
        Over one time tau; coordinates that come round run on.
    timed : Timed
        Over the rest of the time.
    """

    def __init__(self, whole: SectionMap, k: int = 0) -> None:
        self.ops, self.flow, self.timed, self.section, self.k = whole.ops, whole.bare, whole.timed, whole.section, k

    def advance(self, x: Array, v: Array) -> tuple[Array, Array, Block]:
        """States, tangents and growth (b, k) after a time tau."""
        return self.flow.apply(x), v, np.zeros((int(x.shape[0]), self.k))

    def turned(self, v: Array, velocity: Array) -> Array:
        """Tangents after a time tau, without what lies along the velocity there."""
        return v

    def finish(self, x: Array, v: Array, times: Block) -> tuple[Block, Block, Block, Block]:
        """States, tangents and growth at the crossings, and how far (in time) these lie behind the section."""
        none = self.ops.from_numpy(np.zeros((len(times), self.timed.n, 0)))
        y, _, velocity = self.timed.carry(x, none, times)
        states, late, _ = self.projected(y, velocity, none)
        return states, np.zeros((len(times), self.timed.n, self.k)), np.zeros((len(times), self.k)), late

    def projected(self, y: Array, velocity: Array, u: Array) -> tuple[Block, Block, Block]:
        """States on the section, how late they were before, and tangents in it."""
        ops = self.ops
        g, moved = self.section.look(y, ops.concatenate([u, velocity[:, :, None]], 2))
        states, tangents, f = (np.asarray(ops.to_numpy(array), np.float64) for array in (y, u, velocity))
        rate = moved[:, -1]
        tangents = tangents - f[:, :, None] * (moved[:, None, :-1] / rate[:, None, None])
        # The last rounding of g is taken off along the velocity.
        late = np.where(np.isfinite(g / rate), g / rate, 0.0)
        return states - f * late[:, None], late, tangents


class Tangents(Carrier):
    """Tangents; what lies along the velocity is taken off after each tau, for the section will take it off at last.

    It neither grows nor shrinks: strongly contracting directions would be lost beside it.
    """

    def advance(self, x: Array, v: Array) -> tuple[Array, Array, Block]:
        y, u = self.flow.jvp(x, v)
        return y, u, np.zeros((int(x.shape[0]), self.k))

    def turned(self, v: Array, velocity: Array) -> Array:
        share = (
            self.ops.matmul(self.ops.transpose(velocity[:, :, None]), v) / (velocity * velocity).sum(1)[:, None, None]
        )
        return v - velocity[:, :, None] * share

    def finish(self, x: Array, v: Array, times: Block) -> tuple[Block, Block, Block, Block]:
        y, u, velocity = self.timed.carry(x, v, times)
        states, late, tangents = self.projected(y, velocity, u)
        return states, tangents, np.zeros((len(times), self.k)), late


class Frames(Carrier):
    """Frames behind the velocity, orthonormalized by the flow as often as it needs: no growth is lost."""

    def advance(self, x: Array, v: Array) -> tuple[Array, Array, Block]:
        y, frame, growth = self.flow.propagate(x, v, 1)
        return y, frame, growth[:, 1:]

    def finish(self, x: Array, v: Array, times: Block) -> tuple[Block, Block, Block, Block]:
        y, frame, growth = self.timed.propagate(x, v, times)
        states, late, tangents = self.projected(y, frame[:, :, 0], frame[:, :, 1:])
        return states, tangents, growth[:, 1:], late


class Volumes(Carrier):
    """Integrals of the divergence."""

    def advance(self, x: Array, v: Array) -> tuple[Array, Array, Block]:
        return self.flow.apply(x), v, self.flow.log_abs_det(x, 1)[:, None]

    def finish(self, x: Array, v: Array, times: Block) -> tuple[Block, Block, Block, Block]:
        states, tangents, _, late = super().finish(x, v, times)
        return states, tangents, self.timed.log_abs_det(x, times)[:, None], late


def in_session(method: Callable[..., T]) -> Callable[..., T]:
    """A method of a map that works with arrays of its library, in the settings that these need."""

    @functools.wraps(method)
    def within_session(self: Any, *arguments: Any, **options: Any) -> T:
        with self.ops.session():
            return method(self, *arguments, **options)

    return within_session


@final
class SectionMap(TangentMap):
    """The map from one crossing of a section to the next; `lyapmap.poincare_map` and `lyapmap.maxima_map` make it.

    Attributes
    ----------
    flow : TangentMap
    section : Section
    direction : int
        1 where g must rise through zero, -1 where it must fall, 0 for both.

    Notes
    -----
    Of a plane the states are n - 1 coordinates in it, else all n values of a state, whose derivative is zero along
    the velocity: one exponent is then -inf.
    """

    cost = 256

    def __init__(self, flow: TangentMap, section: Section, direction: int, max_time: float, *, audited: bool) -> None:
        self.flow, self.section, self.direction, self.max_time = flow, section, direction, max_time
        self.ops = flow.ops
        self.n = dimension(flow.state_shape)
        self.plane = section if isinstance(section, Plane) else None
        self.state_shape = tuple(flow.state_shape) if self.plane is None else (self.n - 1,)
        self.structure = flow.structure if self.plane is None else None
        self.orthonormalizes_within = flow.orthonormalizes_within
        self.log_abs_det_is_independent = self.plane is not None
        self._eps = float(np.finfo(self.ops.dtype).eps)
        self.timed = Timed(flow.field, flow.scheme)
        unwrapped: Any = flow
        # Angles run on between two crossings.
        self.bare: TangentMap = unwrapped.inner if flow.periods is not None else flow
        half = self.bare.over(flow.time_per_step / FINER) if audited else None
        self._finer = None if half is None else SectionMap(half, section, direction, max_time, audited=False)
        self._calls = 0
        self._same_time = max(SAME_TIME, 1e4 * self._eps)

    @property
    def derivative(self) -> str:  # type: ignore[override]
        return self.flow.derivative

    @property
    def log_abs_det_tolerance(self) -> float:  # type: ignore[override]
        # A return takes many steps of the flow, and what it is held against was cut off at a section.
        return max(RETURN * self.bare.log_abs_det_tolerance, SAME_VOLUME)

    @property
    def provenance(self) -> dict[str, Any]:  # type: ignore[override]
        word = {1: "up", -1: "down", 0: "both"}[self.direction]
        return dict(self.flow.provenance) | self.section.described | {"direction": word}

    @in_session
    def apply(self, u: Array) -> Array:
        return self._chart(self._returns(u, Carrier(self)).x)

    @in_session
    def jvp(self, u: Array, v: Array) -> tuple[Array, Array]:
        returns = self._returns(u, Tangents(self, int(v.shape[2])), self._lifted(v))
        return self._chart(returns.x), self.ops.from_numpy(self._charted(returns.tangents))

    @in_session
    def propagate(
        self,
        x: Array,
        frame: Array,
        n_steps: int,
        qr_every: int = 1,
        *,
        frame_dtype: str | None = None,
        first_step: int = 0,
    ) -> tuple[Array, Array, Block]:
        """Frames go behind the velocity, which is their first column on the way, from crossing to crossing."""
        if not (self.bare.orthonormalizes_within and self.carries(frame_dtype)):
            return super().propagate(x, frame, n_steps, qr_every, frame_dtype=frame_dtype, first_step=first_step)
        ops, k = self.ops, int(frame.shape[2])
        total = np.zeros((int(frame.shape[0]), k))
        if k == self.n:  # a surface has one direction less: nothing is left of the last
            x, kept, total[:, :-1] = self.propagate(x, frame[:, :, :-1], n_steps, qr_every)
            total[:, -1] = -np.inf
            return x, ops.qr(ops.concatenate([kept, frame[:, :, -1:]], 2))[0], total
        with quiet():
            for _ in range(n_steps):
                velocity = self.flow.field.apply(ops.from_numpy(self.full(ops.to_numpy(x))))
                lifted = ops.from_numpy(self._lifted(frame))
                behind, r = ops.qr(ops.concatenate([velocity[:, :, None], lifted], 2))
                total += ops.log_abs_diagonal(r)[:, 1:]
                returns = self._returns(x, Frames(self, k), behind)
                x = self._chart(returns.x)
                frame, r = ops.qr(ops.from_numpy(self._charted(returns.tangents)))
                total += returns.growth + ops.log_abs_diagonal(r)
        return x, frame, total

    @in_session
    def log_abs_det(self, x: Array, n_steps: int, *, first_step: int = 0) -> Block:
        """The integral of the divergence, and the ratio of the speeds at which orbits go through the section.

        Volumes carried through the section in a short time are area times that speed.
        """
        if self.plane is None:
            return super().log_abs_det(x, n_steps, first_step=first_step)
        total = np.zeros(int(x.shape[0]))
        with quiet():
            for _ in range(n_steps):
                before = self._speed(x)
                returns = self._returns(x, Volumes(self, 1))
                x = self._chart(returns.x)
                total += returns.growth[:, 0] + np.log(before / self._speed(x))
        return total

    def _speed(self, u: Array) -> Block:
        slope: Block = np.abs(self._look(self.ops.from_numpy(self.full(self.ops.to_numpy(u))))[1])
        return slope

    @in_session
    def return_times(self, u: Any) -> Block:
        """Times (b,) that states (b, n') of the section take to come back; NaN where they do not."""
        rows = self.ops.from_numpy(np.atleast_2d(np.asarray(u, np.float64)))
        return self._returns(rows, Carrier(self)).times

    def full(self, u: Any) -> Block:
        """States of the flow (b, n) of states of the section (b, n')."""
        states = np.asarray(u, np.float64).reshape(-1, dimension(self.state_shape))
        return states if self.plane is None else self.plane.origin + states @ self.plane.basis.T

    def for_run(self, x: Array, k: int, n_steps: int) -> TangentMap:
        full = self.ops.from_numpy(self.full(self.ops.to_numpy(x)))
        bare = self.bare.for_run(full, min(k + 1, self.n), n_steps * int(RETURN))
        if bare is self.bare:
            return self
        now = copy.copy(self)
        now.bare = bare
        return now

    @in_session
    def starts(self, x: Any) -> Block:
        """States of the section (b, n') to which states of the flow (b, n), or (n,), come first."""
        states = np.asarray(x, np.float64).reshape(-1, self.n)
        rows = self.ops.from_numpy(states)
        crossings = self._carried(rows, Carrier(self), None, start_on=False).x
        return np.asarray(self.ops.to_numpy(self._chart(crossings)), np.float64)

    def initial_states(self, b: int, rng: np.random.Generator | int = 0) -> Block | None:
        states = self.flow.initial_states(b, rng)
        return None if states is None else self.starts(states)

    def _chart(self, x: Block) -> Array:
        """Crossings (b, n) as states of the section."""
        if self.flow.periods is not None:
            finite = np.isfinite(x).all(axis=1)
            x = x.copy()
            x[finite] = within(x[finite], self.flow.periods)
        return self.ops.from_numpy(x if self.plane is None else (x - self.plane.origin) @ self.plane.basis)

    def _lifted(self, v: Array) -> Block:
        """Tangents (b, n', k) of the section as those of the flow."""
        tangents = np.asarray(self.ops.to_numpy(v), np.float64)
        return tangents if self.plane is None else np.einsum("nj,bjk->bnk", self.plane.basis, tangents)

    def _charted(self, tangents: Block) -> Block:
        return tangents if self.plane is None else np.einsum("nj,bnk->bjk", self.plane.basis, tangents)

    def _returns(self, u: Array, carrier: Carrier, v: Any = None) -> Returns:
        x = self.ops.from_numpy(self.full(np.asarray(self.ops.to_numpy(u), np.float64)))
        tangents = v if v is None or not isinstance(v, np.ndarray) else self.ops.from_numpy(v)
        if self.plane is None:
            x, tangents = self._settled(x, tangents)
        returns = self._carried(x, carrier, tangents, start_on=True)
        self._audit(np.asarray(self.ops.to_numpy(x), np.float64), returns.times)
        return returns

    def _settled(self, x: Array, v: Any) -> tuple[Array, Any]:
        """States beside a surface moved onto it along their orbits, forth or back, with their tangents.

        Else one that lies a little before it would cross at once, and be taken for a fixed point.
        """
        ops, reach = self.ops, float(self.flow.time_per_step) / 2
        with quiet():
            g, slope = self._look(x)
            times = np.zeros(len(g))
            for _ in range(SETTLING):
                shift = np.where(np.abs(g) > 0, -g / slope, 0.0)
                if not (np.abs(shift) > self._eps * reach).any():
                    break
                times = times + np.where(np.isfinite(shift), shift, np.inf)
                far = ~(np.abs(times) <= reach)
                times = np.where(far, 0.0, times)
                g, slope = self._look(self.timed.states(x, times))
                g[far] = 0.0
            rows = np.flatnonzero((times != 0) & (self.direction * slope >= 0))
            if not rows.size:
                return x, v
            some = ops.take(x, rows)
            if v is None:
                return replaced(ops, x, self.timed.states(some, times[rows]), rows), v
            moved, tangents, _ = self.timed.carry(some, ops.take(v, rows), times[rows])
            return replaced(ops, x, moved, rows), replaced(ops, v, tangents, rows)

    def _audit(self, x: Block, times: Block) -> None:
        """Hold returns against those with more looks, at the calls whose numbers are powers of two."""
        self._calls += 1
        if self._finer is None or self._calls & (self._calls - 1):
            return
        rows = np.flatnonzero(np.isfinite(times))[:AUDITED]
        finer = self._finer._carried(self.ops.from_numpy(x[rows]), Carrier(self._finer), None, start_on=True).times
        off = np.flatnonzero(~(np.abs(finer - times[rows]) <= self._same_time * (times[rows] + 1)))
        if off.size:
            i, tau = off[0], self.flow.time_per_step
            raise LyapmapError(
                f"step: looks {tau:g} apart miss crossings (a return took {times[rows[i]]:.6g}, with {FINER} times as "
                f"many looks {finer[i]:.6g}); give a shorter step, e.g. {tau / (2 * FINER):.3g}"
            )

    def _carried(self, x: Array, carrier: Carrier, v: Array, *, start_on: bool) -> Returns:
        """Follow states (b, n), and what goes with them, to their next crossing."""
        ops, b, k = self.ops, int(x.shape[0]), carrier.k
        v = ops.from_numpy(np.zeros((b, self.n, 0))) if v is None else v
        empty = np.full((b, self.n), np.nan), np.full(b, np.nan), np.full((b, self.n, k), np.nan)
        out = Returns(*empty, np.full((b, k), np.nan))
        tau = float(self.flow.time_per_step)
        rows, past, growth = np.arange(b), np.zeros(b), np.zeros((b, k))
        fresh = np.zeros(b, bool)
        waiting: list[tuple[Any, ...]] = []  # crossings are worked out together, which is quicker by far
        with quiet():
            g, slope = self._look(x)
            if start_on:
                # On the section it counts to which side the orbit leaves.
                size = np.maximum(np.abs(np.asarray(ops.to_numpy(x), np.float64)).max(axis=1), np.abs(slope))
                fresh = np.abs(g) <= ON_SECTION * self._eps * np.maximum(size, 1.0)
                g = np.where(fresh, 0.0, g)
            for _ in range(int(min(MOST_LOOKS, np.ceil(self.max_time / tau)))):
                if not rows.size:
                    break
                y, u, grown = carrier.advance(x, v)
                velocity = self.flow.field.apply(y)
                ahead, slope_ahead = self._look(y, velocity)
                crossed, begin, low, high = self._brackets(x, (g, slope), (ahead, slope_ahead), fresh[rows])
                m = np.flatnonzero(crossed)
                if m.size:
                    waiting.append((rows[m], ops.take(x, m), ops.take(v, m), begin[m], low[m], high[m], ahead[m]))
                past[rows[~crossed]] += tau
                growth[rows[~crossed]] += grown[~crossed]
                fresh[:] = False
                keep = np.flatnonzero(~crossed & np.isfinite(ahead))
                if keep.size < rows.size:
                    rows, g, slope = rows[keep], ahead[keep], slope_ahead[keep]
                    x, v = ops.take(y, keep), carrier.turned(ops.take(u, keep), ops.take(velocity, keep))
                else:
                    g, slope, x, v = ahead, slope_ahead, y, carrier.turned(u, velocity)
            if waiting:
                at, begin, low, high, ahead = (np.concatenate([part[i] for part in waiting]) for i in (0, 3, 4, 5, 6))
                x, v = (ops.concatenate([part[i] for part in waiting], 0) for i in (1, 2))
                times = self._time(x, begin, low, high, ahead)
                out.x[at], out.tangents[at], rest, late = carrier.finish(x, v, times)
                out.times[at], out.growth[at] = past[at] + times - late, growth[at] + rest
        return out

    def _look(self, x: Array, velocity: Array = None) -> tuple[Block, Block]:
        """g and its rate along the orbit, each (b,)."""
        velocity = self.flow.field.apply(x) if velocity is None else velocity
        g, slope = self.section.look(x, velocity[:, :, None])
        return g, slope[:, 0]

    def _brackets(
        self, x: Array, first: tuple[Block, Block], last: tuple[Block, Block], fresh: NDArray[np.bool_]
    ) -> tuple[NDArray[np.bool_], Block, Block, Block]:
        """Rows that cross in the wanted direction within tau; g before, and times between which they do so first."""
        (g, slope), (ahead, slope_ahead), tau = first, last, float(self.flow.time_per_step)
        b = len(g)
        low, high, crossed = np.zeros(b), np.full(b, tau), np.zeros(b, bool)
        begin, start, rate = g.copy(), np.zeros(b), slope.copy()
        for row in np.flatnonzero(fresh).tolist():
            # A time at which the orbit is off the section, on the side to which it leaves.
            side, t = np.sign(slope[row]) or np.sign(ahead[row]), tau
            for _ in range(HALVINGS):
                value, now = (ahead[row], slope_ahead[row]) if t == tau else self._at(x, row, t)
                if value * side > 0 or not np.isfinite(value):
                    break
                t /= 2
            begin[row], start[row], rate[row] = (value, t, now) if value * side > 0 else (ahead[row], tau, 0.0)
        passed = self.section.passed(begin, ahead)
        for row in np.flatnonzero(~passed & (start < tau) & np.isfinite(ahead)).tolist():
            middle = self._dip(x, row, (start[row], begin[row], rate[row]), (tau, ahead[row], slope_ahead[row]))
            if middle is not None:
                # Through and back: whichever of the two goes the right way.
                crossed[row] = True
                if self.direction in (0, -int(np.sign(begin[row]))):
                    low[row], high[row] = start[row], middle
                else:
                    low[row], begin[row] = middle, -begin[row]
        right = (np.sign(ahead) == self.direction) if self.direction else np.ones(b, bool)
        through = passed & right
        crossed |= through
        low[through], high[through] = start[through], tau
        return crossed, begin, low, high

    def _at(self, x: Array, row: int, t: float) -> tuple[float, float]:
        """g and its rate after a time t from one of the states."""
        g, slope = self._look(self.timed.states(self.ops.take(x, np.array([row])), np.array([t])))
        return float(g[0]), float(slope[0])

    def _dip(
        self, x: Array, row: int, begin: tuple[float, float, float], end: tuple[float, float, float]
    ) -> float | None:
        """A time between two looks at which g has the other sign, if there is one.

        Looked for where g heads for zero at the first and away from it at the second.
        """
        sign = np.sign(begin[1])
        for _ in range(DIPS):
            (t0, g0, s0), (t1, g1, s1) = begin, end
            g0, s0, g1, s1 = (float(sign * value) for value in (g0, s0, g1, s1))
            width = t1 - t0
            # Straight lines from both ends bound a convex dip from below.
            if not (s0 < 0 < s1) or width <= 0:
                return None
            meet = (g1 - g0 - s1 * width) / (s0 - s1)
            if g0 + s0 * meet > 0:
                return None
            t = t0 + min(max(meet, 0.1 * width), 0.9 * width)
            g, slope = self._at(x, row, t)
            if g * sign < 0:
                return t
            if slope * sign < 0:
                begin = (t, g, slope)
            else:
                end = (t, g, slope)
        return None

    def _time(self, x: Array, begin: Block, low: Block, high: Block, ahead: Block) -> Block:
        """Times of crossings of orbits from states x, between two times; g is `begin` at the first, later `ahead`."""
        low, high = low.copy(), high.copy()
        share = np.abs(begin) / (np.abs(begin) + np.abs(ahead))
        t = low + (high - low) * np.clip(share, 0.01, 0.99)
        best, least = t.copy(), np.full(len(t), np.inf)
        for _ in range(NEWTON):
            g, slope = self._look(self.timed.states(x, t))
            better = np.abs(g) < least
            best, least = np.where(better, t, best), np.where(better, np.abs(g), least)
            before = g * begin > 0
            low, high = np.where(before, t, low), np.where(before, high, t)
            newton = t - g / slope
            inside = (newton > low) & (newton < high)
            done = (np.abs(newton - t) <= 4 * self._eps * high) | (g == 0) | (high - low <= 4 * self._eps * high)
            if done.all():
                break
            t = np.where(done, t, np.where(inside, newton, (low + high) / 2))
        times: Block = best
        return times
