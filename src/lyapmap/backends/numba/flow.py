"""Flows along compiled vector fields, which carry whole blocks of steps themselves."""

from __future__ import annotations

import inspect
from importlib.metadata import version
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from lyapmap.backends.numba.compile import FlowRule, FunctionRule, LaneRule, RowRule
from lyapmap.backends.numba.map import ANALYTIC, NumbaMap
from lyapmap.core.arguments import whole
from lyapmap.core.errors import LyapmapError
from lyapmap.core.flows.map import FlowMap, finite_time
from lyapmap.core.flows.schemes import WITHIN, DormandPrince, RungeKutta4, Scheme, too_stiff
from lyapmap.core.flows.stiff import Automatic
from lyapmap.core.map import Blocks, InBlocks, TangentMap
from lyapmap.core.qr_loop import Recording

FILLED = frozenset({"out", "result", "dx", "ds", "du", "dy", "dxdt", "dydt", "dsdt", "dudt"})
"""Names that people give to an array into which the velocity is written."""

__all__ = ["CompiledFlow", "LaneRule", "RowRule"]

Block = NDArray[np.float64]

_HALF = (
    *(0.991455371120813, 0.949107912342759, 0.864864423359769, 0.741531185599394),
    *(0.586087235467691, 0.405845151377397, 0.207784955007898),
)
_HALF_KRONROD = (
    *(0.022935322010529, 0.063092092629979, 0.104790010322250, 0.140653259715525),
    *(0.169004726639267, 0.190350578064785, 0.204432940075298),
)
_HALF_GAUSS = (0.0, 0.129484966168870, 0.0, 0.279705391489277, 0.0, 0.381830050505119, 0.0)
NODES = np.array([*(-x for x in _HALF), 0.0, *reversed(_HALF)])
KRONROD = np.array([*_HALF_KRONROD, 0.209482141084728, *reversed(_HALF_KRONROD)])
GAUSS = np.array([*_HALF_GAUSS, 0.417959183673469, *reversed(_HALF_GAUSS)])
"""The rules of 7 and 15 points on [-1, 1] by Gauss and Kronrod (QUADPACK, 1983)."""


@final
class CompiledFlow(InBlocks):
    """The time-tau map of a compiled vector field.

    Parameters
    ----------
    field : LaneRule, RowRule or FunctionRule
        The vector field: its "image" is the velocity.
    tau : float
        Time of one step.
    scheme : RungeKutta4, DormandPrince or Automatic
        A `LaneRule` needs `RungeKutta4`.
    state_shape : tuple of int
    parameters : tuple of float
        Of the vector field.
    derivative : str
    provenance : dict
    written : TangentMap, optional
        The field as it was written, if it is not this one: equal steps are looked at along it, and stiff
        trajectories go on along it.

    Notes
    -----
    With `RungeKutta4` the compiled map is a single step of length tau / steps, of which `steps`
    make one step of the flow; frames are orthonormalized after at most `WITHIN` of them. With
    `Automatic` trajectories whose steps become too many go on by `FlowMap`, which is not compiled.
    """

    is_flow = True
    compiled = True
    log_abs_det_is_independent = True
    orthonormalizes_within = True

    def __init__(
        self,
        field: LaneRule | RowRule | FunctionRule,
        tau: float,
        scheme: Scheme,
        *,
        state_shape: tuple[int, ...],
        parameters: tuple[float, ...] = (),
        derivative: str = ANALYTIC,
        provenance: dict[str, Any] | None = None,
        written: TangentMap | None = None,
    ) -> None:
        self.time_per_step = finite_time(tau)
        settings: tuple[float, ...]
        if isinstance(scheme, RungeKutta4):
            self._substeps, settings = scheme.steps, (self.time_per_step / scheme.steps,)
            rule = FlowRule(field, "rk4")
        elif isinstance(field, LaneRule):
            raise LyapmapError("scheme: a field of lanes takes steps of equal length, RungeKutta4")
        else:
            explicit = scheme.explicit if isinstance(scheme, Automatic) else scheme
            if not isinstance(explicit, DormandPrince):
                raise LyapmapError(f"scheme: {type(scheme).__name__} is not compiled")
            self._substeps, settings = 1, (self.time_per_step, explicit.rtol, explicit.atol)
            rule = FlowRule(field, "dopri5")
        self.scheme = scheme
        self._substep = NumbaMap(rule, state_shape=state_shape, parameters=(*settings, *parameters))
        self._lanes = isinstance(field, LaneRule)
        self.log_abs_det_in_blocks = self._lanes
        self.field = NumbaMap(field, state_shape=state_shape, parameters=parameters, derivative=derivative)
        self._generic = FlowMap(self.field if written is None else written, tau, scheme)
        self._parts: dict[float, NumbaMap] = {}
        self._rate = 0.0
        self.state_shape = state_shape
        self.ops = self._substep.ops
        self.derivative = derivative
        self._described = {"numba": version("numba")} | (provenance or {}) | {"tau": self.time_per_step}
        self._made_of = {
            "state_shape": state_shape,
            "parameters": parameters,
            "derivative": derivative,
            "provenance": provenance,
            "written": written,
        }
        self._rule = field

    def over(self, tau: float) -> CompiledFlow:
        made_of: dict[str, Any] = self._made_of
        return CompiledFlow(self._rule, tau, self.scheme.over(tau / self.time_per_step), **made_of)

    @property
    def provenance(self) -> dict[str, Any]:  # type: ignore[override]
        stiff = {key: value for key, value in self._generic.provenance.items() if key == "stiff"}
        return self._described | self.scheme.described | stiff

    @property
    def log_abs_det_tolerance(self) -> float:  # type: ignore[override]
        """Accuracy per step to which `log_abs_det` agrees with the growth of a full frame."""
        if self._lanes:
            return self.scheme.tolerance(self.state_shape[0], 0, self._rate)
        return self._generic.log_abs_det_tolerance

    def apply(self, x: Block) -> Block:
        self._generic.check_steps(x)
        if self._lanes:
            return self._substep.propagate(x, np.empty((*x.shape, 0)), self._substeps, self._substeps)[0]
        y = x
        for _ in range(self._substeps):
            y = self._substep.apply(y)
        stuck = self._stuck(y)
        if stuck.size:
            y[stuck] = self._generic.apply(x[stuck])
        return y

    def jvp(self, x: Block, v: Block) -> tuple[Block, Block]:
        self._generic.check_steps(x)
        y, u = x, v
        for _ in range(self._substeps):
            y, u = self._substep.jvp(y, u)
        stuck = self._stuck(y, u)
        if stuck.size:
            y[stuck], u[stuck] = self._generic.jvp(x[stuck], v[stuck])
        return y, u

    def carry_blocks(
        self, x: Block, frame: Block, n_blocks: int, n_steps: int, qr_every: int, frame_dtype: str | None
    ) -> Blocks | None:
        if not self.carries(frame_dtype):
            return None
        qr_every = whole("qr_every", qr_every, 1)
        self._generic.check_steps(x)
        states, frames, totals = self._substep.propagate_blocks(
            x, frame, n_blocks, n_steps * self._substeps, min(qr_every * self._substeps, WITHIN)
        )
        stuck = self._stuck(states[-1], frames[-1])
        if stuck.size:
            now, tangents = x[stuck], frame[stuck]
            for i in range(n_blocks):
                now, tangents, totals[i, stuck] = self._generic.propagate(now, tangents, n_steps, qr_every)
                states[i, stuck], frames[i, stuck] = now, tangents
        return states, frames, totals

    def record(
        self, x: Block, frame: Block, n_steps: int, wanted: NDArray[np.bool_], *, first_step: int = 0
    ) -> Recording:
        self._generic.check_steps(x)
        kept = self._substep.record(x, frame, n_steps, wanted, within=self._substeps)
        if self._stuck(kept.x, kept.frame).size:
            return super().record(x, frame, n_steps, wanted)
        return kept

    def log_abs_det(self, x: Block, n_steps: int, *, first_step: int = 0) -> Block:
        """Integral of the field's divergence along the orbits, (b,), which knows nothing of tangents."""
        if not self._lanes:
            total = np.zeros(len(x))
            for _ in range(n_steps):
                gained, x = self._divergence(x)
                total += gained
            return total
        if self._rate == 0.0:
            with np.errstate(all="ignore"):
                matrices = self._generic.field.jacobian(x[:8])
                rate = np.sqrt((matrices**2).sum(axis=(1, 2)) / x.shape[1]).max() * self.time_per_step
            self._rate = float(np.nan_to_num(rate, posinf=0.0))
        return self._substep.log_abs_det(x, n_steps * self._substeps)

    def _divergence(self, x: Block) -> tuple[Block, Block]:
        """Integral of the divergence over one time tau, (b,), and where it leads."""
        rk4 = isinstance(self.scheme, RungeKutta4)
        # With equal steps Simpson's rule has the order of the states; else as good as is asked for.
        nodes = np.linspace(0, 1, 2 * self._substeps + 1) if rk4 else (1 + NODES) / 2
        states, now = [x] if rk4 else [], x
        for i in range(self._substeps if rk4 else len(nodes)):
            if rk4:
                states += [self._shorter(0.5).apply(now), self._substep.apply(now)]
                now = states[-1]
            else:
                now = self._shorter(nodes[i] - (nodes[i - 1] if i else 0.0)).apply(now)
                states.append(now)
        matrices = self.field.jacobian(np.concatenate(states))
        traces = np.trace(matrices, axis1=1, axis2=2).reshape(len(states), len(x))
        rates = np.sqrt((matrices**2).sum(axis=(1, 2)) / x.shape[1]) * self.time_per_step
        self._generic.note(float(np.nan_to_num(rates, nan=0.0, posinf=0.0).max(initial=0.0)))
        if rk4:
            simpson = np.ones(len(nodes))
            simpson[1::2], simpson[2:-1:2] = 4.0, 2.0
            return self.time_per_step / (6 * self._substeps) * (simpson @ traces), now
        fine, rough = (self.time_per_step / 2 * (weights @ traces) for weights in (KRONROD, GAUSS))
        y = self.apply(x)
        rows = np.flatnonzero(~(np.abs(fine - rough) <= 1e-6 * np.maximum(1.0, np.abs(fine))))
        if rows.size:
            fine[rows] = self._generic.log_abs_det(x[rows], 1)
        return fine, y

    def _shorter(self, part: float) -> NumbaMap:
        """The compiled step of a part of its length, by the code that is compiled already."""
        if part not in self._parts:
            length, *others = self._substep.parameters
            shorter = NumbaMap(self._substep.rule, state_shape=self.state_shape, parameters=(part * length, *others))
            self._parts[part] = shorter
        return self._parts[part]

    def _stuck(self, x: Block, v: Block | None = None) -> NDArray[np.int64]:
        """Rows of which the compiled method found that its steps are too many; an error unless others may help."""
        if isinstance(self.scheme, RungeKutta4):
            return np.zeros(0, np.int64)
        bad = np.isneginf(x).any(axis=1)
        if v is not None:
            # Tangents may need more steps than states. After orthonormalization they are NaN.
            bad |= np.isfinite(x).all(axis=1) & ~np.isfinite(v).all(axis=(1, 2))
        rows = np.flatnonzero(bad)
        if rows.size and not isinstance(self.scheme, Automatic):
            raise too_stiff("dopri5", self.time_per_step)
        return rows


def timed_numba(rhs: Any, order: str, n: int) -> Any:
    """A Numba field f(t, x) or f(x, t) as one of (x, t)."""
    import numba

    names = list(inspect.signature(rhs.py_func).parameters)
    if not FILLED.isdisjoint(names):
        raise LyapmapError(
            f"rhs: takes ({', '.join(names)}); a field returns the velocity, as f(x), f(t, x) or f(x, t), rather than "
            "writing it into an array"
        )

    if order == "x, t":
        swapped = rhs
    else:

        @numba.njit  # type: ignore[untyped-decorator,unused-ignore]
        def swapped(x: Any, t: Any) -> Any:
            return rhs(t, x)

    @numba.njit  # type: ignore[untyped-decorator,unused-ignore]
    def field(z: Any) -> Any:
        out = np.empty(n + 1)
        out[:n] = swapped(z[:n], z[n])
        out[n] = 1.0
        return out

    return field
