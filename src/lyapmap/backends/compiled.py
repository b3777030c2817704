"""Maps of other frameworks' functions, compiled by Numba where that pays: their runs go without a step in Python.

A framework shows what a function does to one state, as a program (see `numpy.program`). It is compiled with exact
derivatives, and trusted once it has given the framework's own images and tangents, to rounding, at some hundred states.
Of a field, whole flows are compiled. The function is looked at before every run, so that parameters are those of now.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.backends.numpy.program import Program, UntraceableError
from lyapmap.core.flows.map import FlowMap
from lyapmap.core.flows.schemes import RungeKutta4, Scheme
from lyapmap.core.flows.stiff import Rodas4
from lyapmap.core.map import Blocks, InBlocks, SameTangents, TangentMap, WrappedMap, dimension
from lyapmap.core.ops import Array, quiet
from lyapmap.core.qr_loop import Recording

if TYPE_CHECKING:
    from lyapmap.backends.numba.compile import LaneRule, RowRule

CALL = 4e-4
"""Seconds that a small function with its tangents takes in a framework at least; not measured, so that the same run
goes the same way every time."""
COMPILING, PER_OPERATION, ADAPTIVE = 4.0, 0.016, 6.0
"""Seconds that compiling takes: at least, more for each operation, and for steps that follow the states."""
ADAPTIVE_CALLS = 30
"""Calls that such a step makes, about."""
LARGEST = 64
"""Dimension up to which functions are compiled: numbers are written out one by one."""
MOST_CONSTANTS = 512
"""Parameters of a program that are handed to compiled code."""
ROUNDINGS = 1e5
"""By which images and tangents may differ: a function may magnify its own rounding."""
ORBIT = 16
"""Steps of the orbits along which they are compared."""
AGREEING = 0.97
"""Share of states at which both must agree: rounding decides elsewhere, as beside a jump."""


class Twin:
    """What is compiled of a map.

    Parameters
    ----------
    owner : TangentMap
    program : callable
        What one state goes through now, as a `Program`.
    """

    def __init__(self, owner: TangentMap, program: Callable[[], Program]) -> None:
        self.owner, self.program = owner, program
        self.reason = ""
        """Why there is none."""
        self._known: tuple[Any, str] | None = None
        self.wanted: bool | None = None
        """Whether to compile; None: where the run is long enough to pay."""

    def pays(self, seconds: float, operations: int = 0) -> bool:
        """Whether a run of so many seconds is to be compiled: the same for all parts of a run."""
        small = dimension(self.owner.state_shape) <= LARGEST and self.owner.ops.device == "cpu"
        pays = seconds >= COMPILING + PER_OPERATION * operations
        return small and (pays if self.wanted is None else self.wanted)

    def now(self, x: Array, seconds: float) -> Program | None:
        """The program with the parameters of now, if it pays, and can be trusted about states (b, n)."""
        self.reason = ""
        try:
            program, again = self.program(), self.program()
            if program != again:
                raise UntraceableError("it is not the same twice")
            if len(program.constants) > MOST_CONSTANTS:
                raise UntraceableError("too many parameters")
            if not self.pays(seconds, len(program.operations)):
                return None
            key = program.operations, program.ends
            if self._known is None or self._known[0] != key:
                self._known = key, self._difference(program, self.owner.ops.to_numpy(x[:4]))
            self.reason = self._known[1]
        except UntraceableError as error:
            self.reason = str(error)
        except RecursionError:
            self.reason = "it calls itself"
        except Exception as error:  # whatever stands in the way, the framework's own way is left
            self.reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        return None if self.reason else program

    def rule(self, program: Program, *, lanes: bool = True) -> LaneRule | RowRule:
        from lyapmap.backends.numba.program import SCALARS, lane_rule, row_rule

        make = lane_rule if lanes and program.n <= SCALARS else row_rule
        return make(program.operations, program.ends, program.n, True)

    def for_run(self, x: Array, n_steps: int) -> TangentMap | None:
        """The compiled map; None where there is none, or it does not pay."""
        seconds = n_steps * CALL
        program = self.now(x, seconds) if self.pays(seconds) else None
        if program is None:
            return None
        from lyapmap.backends.numba.map import NumbaMap

        threads = self.owner.ops.threads()
        made = NumbaMap(self.rule(program), state_shape=(program.n,), parameters=program.constants, threads=threads)
        return CarriedByTwin(self.owner, made)

    def _difference(self, program: Program, x: NDArray[Any]) -> str:
        """In what the program gives something else than the map; empty where it does not."""
        from lyapmap.backends.numba.program import plain_function

        owner, ops, n = self.owner, self.owner.ops, program.n
        rng = np.random.default_rng(2)
        orbit = [np.asarray(x, np.float64)]
        with quiet():
            for _ in range(ORBIT):
                orbit.append(ops.to_numpy(owner.apply(ops.from_numpy(orbit[-1]))).astype(np.float64))
            draws = rng.uniform(0.05, 0.95, (32, n)), rng.uniform(-1, 1, (32, n)), rng.normal(0, 3, (32, n))
            states = np.concatenate([*orbit, *draws]).astype(ops.dtype).astype(np.float64)
            states = states[np.isfinite(states).all(axis=1)]
            v = rng.standard_normal((len(states), n, 1)).astype(ops.dtype).astype(np.float64)
            theirs = owner.jvp(ops.from_numpy(states), ops.from_numpy(v))
            wanted = [ops.to_numpy(part).reshape(len(states), n).astype(np.float64) for part in theirs]
            image, tangents = (
                plain_function(program.operations, program.ends, n, name) for name in ("image", "tangents")
            )
            got = np.empty_like(states), np.empty((len(states), 1, n))
            for i, row in enumerate(states):
                image(program.constants, row, got[0][i])
                tangents(program.constants, row, v[i].T, got[1][i])
            tolerance = ROUNDINGS * float(np.finfo(ops.dtype).eps)
            for name, ours, value, size in zip(
                ("images", "tangents"), (got[0], got[1][:, 0]), wanted, (states, v[:, :, 0]), strict=True
            ):
                usable = np.isfinite(value).all(axis=1)
                sizes = np.abs(value).max(axis=1) + np.abs(size).max(axis=1)
                close = np.abs(ours - value).max(axis=1) <= tolerance * sizes
                if not usable.any() or not close[usable].mean() >= AGREEING:
                    return f"its {name} are not those of the program"
        return ""


class CarriedByTwin(InBlocks, WrappedMap):
    """A map for one run, which a compiled map of NumPy arrays carries."""

    compiled = True

    def __init__(self, whole: TangentMap, made: TangentMap) -> None:
        super().__init__(whole)
        self.made = made
        self.orthonormalizes_within = made.orthonormalizes_within
        self.log_abs_det_is_independent = made.log_abs_det_is_independent
        self.log_abs_det_in_blocks = made.log_abs_det_in_blocks

    @property
    def provenance(self) -> dict[str, Any]:  # type: ignore[override]
        described = self.made.provenance
        stiff = {"stiff": described["stiff"]} if "stiff" in described else {}
        return self.inner.provenance | {"compiled": f"numba {described['numba']}"} | stiff

    @property
    def log_abs_det_tolerance(self) -> float:  # type: ignore[override]
        return self.made.log_abs_det_tolerance

    def apply(self, x: Array) -> Array:
        return self._theirs(self.made.apply(self._ours(x)))

    def jvp(self, x: Array, v: Array) -> tuple[Array, Array]:
        y, u = self.made.jvp(self._ours(x), self._ours(v))
        return self._theirs(y), self._theirs(u)

    def jacobian(self, x: Array) -> Array:
        return self._theirs(self.made.jacobian(self._ours(x)))

    def carry_blocks(
        self, x: Array, frame: Array, n_blocks: int, n_steps: int, qr_every: int, frame_dtype: str | None
    ) -> Blocks:
        # In double precision, whatever frames are kept in.
        given = self._ours(x), self._ours(frame)
        states, frames, totals = self.made.propagate_blocks(*given, n_blocks, n_steps, qr_every)
        return [self._theirs(y) for y in states], [self.ops.from_numpy(q, frame_dtype) for q in frames], totals

    def record(
        self, x: Array, frame: Array, n_steps: int, wanted: NDArray[np.bool_], *, first_step: int = 0
    ) -> Recording:
        kept = self.made.record(self._ours(x), self._ours(frame), n_steps, wanted)
        return Recording(self._theirs(kept.x), self._theirs(kept.frame), kept.factors, kept.states, kept.frames)

    def log_abs_det(self, x: Array, n_steps: int, *, first_step: int = 0) -> NDArray[np.float64]:
        return self.made.log_abs_det(self._ours(x), n_steps)

    def with_tangents(self, dtype: str) -> TangentMap:
        return self if dtype == self.ops.dtype else self.inner.with_tangents(dtype)

    def _ours(self, array: Array) -> NDArray[np.float64]:
        return np.ascontiguousarray(self.ops.to_numpy(array), np.float64)

    def _theirs(self, array: NDArray[Any]) -> Array:
        return self.ops.from_numpy(array)


class CompilableFlow(SameTangents):
    """The flow along a field of a framework, of which long runs are compiled."""

    def __init__(self, field: TangentMap, twin: Twin, tau: float, scheme: Scheme) -> None:
        super().__init__(FlowMap(field, tau, scheme))
        self.twin = twin
        self._described: dict[str, Any] = {}

    @property
    def provenance(self) -> dict[str, Any]:  # type: ignore[override]
        return self.inner.provenance | self._described

    def over(self, tau: float) -> CompilableFlow:
        return CompilableFlow(self.field, self.twin, tau, self.scheme.over(tau / self.time_per_step))

    def for_run(self, x: Array, k: int, n_steps: int) -> TangentMap:
        in_lanes = isinstance(self.scheme, RungeKutta4)
        calls = 4 * self.scheme.steps if isinstance(self.scheme, RungeKutta4) else ADAPTIVE_CALLS
        seconds = n_steps * CALL * calls - (0.0 if in_lanes else ADAPTIVE)
        if isinstance(self.scheme, Rodas4) or not self.twin.pays(seconds):
            return self
        double = self.ops.dtype == "float64"
        program = self.twin.now(x, seconds) if double else None
        reason = self.twin.reason if double else "flows are compiled in float64"
        self._described = {"compiled": f"no: {reason}"} if reason else {}
        if program is None:
            return self
        from lyapmap.backends.numba.flow import CompiledFlow

        made = CompiledFlow(
            self.twin.rule(program, lanes=in_lanes),
            self.time_per_step,
            self.scheme,
            state_shape=(program.n,),
            parameters=program.constants,
        )
        return CarriedByTwin(self, made)
