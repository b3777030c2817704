"""The compiled twin of a NumPy function: the same states to the last bit, and tangents exact to rounding.

The function is called with symbols before every run, so that the twin computes with the parameters of now. A twin is
trusted once it has given the function's own images and tangents at some hundred states.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.backends.numpy.derivatives import with_trace
from lyapmap.backends.numpy.program import Program, Symbols, UntraceableError, fitted, symbols, traced
from lyapmap.backends.numpy.purity import impurity, reachable
from lyapmap.core.map import Blocks, TangentMap, WrappedMap
from lyapmap.core.ops import quiet

if TYPE_CHECKING:
    from lyapmap.backends.numba.map import NumbaMap

CALL = 40e-6
"""Seconds that a call of a NumPy function takes with its tangents, about; not measured, so that the same run goes the
same way every time."""
WORTH_WHILE = 2.0
"""Seconds that a run must take to be worth a compilation."""
DERIVATIVES = 200
"""States at which derivatives are compared, about."""
LARGEST = 64
"""Dimension up to which functions are compiled: numbers are written out one by one."""
LARGEST_OF_STEPS = 8
"""The same for steps along a field, whose derivatives are dense."""
DERIVATIVE_TOLERANCE = 1e-7

Step = Callable[[Any, Symbols], Any]


class Twin:
    """What is compiled of a function of states.

    Parameters
    ----------
    function : callable
        The user's own.
    call : callable
        Takes (graph, symbols (n,)) and gives n values: one state goes through the function.
    n : int
    branches : bool
        Whether values may decide which way to go; not where a function takes a batch.
    calls : int
        Of the function, in one step.
    wanted : bool or None
        Whether to compile; None: where the run is long enough to pay.
    """

    def __init__(
        self, function: Any, call: Step, n: int, *, branches: bool, calls: int = 1, wanted: bool | None = None
    ) -> None:
        self.function, self.call, self.n, self.branches = function, call, n, branches
        self.wanted = wanted
        self.step_time = CALL * calls
        self.largest = LARGEST
        self.reason: str | None = "asked for" if wanted is False else None
        """Why it is not compiled."""
        self._trusted: tuple[Any, Any] | None = None

    def pays(self, n_steps: int) -> bool:
        """Whether a run of so many steps is to be compiled: by its length alone, so that parts go the same way."""
        if self.wanted is False or self.n > self.largest:
            return False
        return self.wanted is True or n_steps * self.step_time >= WORTH_WHILE

    def of_step(self, call: Step, calls: int, more: int = 0) -> Twin:
        """The twin of a step that is made of calls of the function, of states with `more` values."""
        made = Twin(self.function, call, self.n + more, branches=self.branches, calls=calls, wanted=self.wanted)
        made.reason, made.largest = self.reason, LARGEST_OF_STEPS + more
        return made

    def unchecked(self) -> NumbaMap | None:
        """The compiled map, held against nothing: for what is made of a function that has been looked at."""
        program = self.program()
        return None if program is None else self._made(program)

    def program(self) -> Program | None:
        """What the function does now; None where it cannot be told."""
        try:
            return traced(self.call, self.n, branches=self.branches)
        except UntraceableError as error:
            self.reason = str(error)
        except RecursionError:
            self.reason = "it calls itself"
        return None

    def now(
        self,
        x: NDArray[Any],
        k: int,
        image: Callable[[NDArray[Any]], NDArray[Any]],
        tangents: Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]],
    ) -> NumbaMap | None:
        """The compiled map with the parameters of now; None where there is none to be trusted.

        Parameters
        ----------
        x : (b, n)
            States about which it is going to be used.
        k : int
            Directions that will be carried.
        image, tangents : callable
            What it must agree with: images (m, n) of states, and what becomes of directions (m, n, 1).
        """
        if self.wanted is False or not np.isfinite(x).all():
            return None
        self.reason = impurity(self.function)
        if self.reason is None:
            # Before it meets a symbol, which must not be left behind anywhere.
            before = reachable(self.function)
            with quiet():
                image(x[:4].copy())
            if reachable(self.function) != before:
                self.reason = "it changes what is not its own"
        if self.reason is not None:
            return None
        program = self.program()
        if program is None:
            return None
        key = (program.operations, program.ends)
        if self._trusted is not None and self._trusted[0] == key:
            return None if self._trusted[1] is None else self._with(self._trusted[1], program)
        made = self._made(program)
        if made is not None and not self._agrees(program, made, x, k, image, tangents):
            made = None
        self._trusted = (key, None if made is None else made.rule)
        if made is not None:
            self.reason = None
        return made

    def _made(self, program: Program) -> NumbaMap | None:
        from lyapmap.backends.numba.program import SCALARS, lane_rule, row_rule

        try:
            make = lane_rule if self.n <= SCALARS else row_rule
            return self._with(make(program.operations, program.ends, self.n, False), program)
        except UntraceableError as error:
            self.reason = str(error)
            return None

    def _with(self, rule: Any, program: Program) -> NumbaMap:
        from lyapmap.backends.numba.map import NumbaMap

        return NumbaMap(rule, state_shape=(self.n,), parameters=program.constants, threads=1)

    def _agrees(
        self,
        program: Program,
        made: NumbaMap,
        x: NDArray[Any],
        k: int,
        image: Callable[[NDArray[Any]], NDArray[Any]],
        tangents: Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]],
    ) -> bool:
        """Whether the twin gives what the function gives, which changes nothing meanwhile."""
        rng, n = np.random.default_rng(2), self.n
        states = [rng.uniform(0.05, 0.95, (96, n)), rng.uniform(-1, 1, (96, n)), rng.normal(0, 3, (96, n))]
        states += [rng.normal(0, size, (32, n)) for size in (1e-4, 1e-2, 30.0, 1e3)]
        orbit = [np.array(x[:4])]
        with quiet():
            from lyapmap.backends.numba.program import plain_function

            for _ in range(64):
                orbit.append(image(orbit[-1]))
            try:
                everywhere = np.concatenate([*orbit, *states])
                theirs = image(everywhere)
            except Exception:  # it need not have a value far out
                everywhere = np.concatenate(orbit)
                theirs = image(everywhere)
            # By the very code that will be used: a kernel is made for each number of directions.
            frames = np.ascontiguousarray(np.broadcast_to(np.eye(n)[:, :k], (len(everywhere), n, k)))
            if not np.array_equal(made.propagate(everywhere, frames, 1)[0], theirs, equal_nan=True):
                self.reason = "compiled code rounds otherwise than the function"
                return False
            some = everywhere[np.isfinite(theirs).all(axis=1)][:: 1 + len(everywhere) // DERIVATIVES]
            v = rng.standard_normal((len(some), n, 1))
            wanted = tangents(some, v)[:, :, 0]
            derivative = plain_function(program.operations, program.ends, n, "tangents")
            got = np.empty((len(some), 1, n))
            for row, direction, out in zip(some, v, got, strict=True):
                derivative(program.constants, row, direction.T, out)
            size = np.abs(wanted).max(axis=1) + 1e-300
            comparable = np.isfinite(wanted).all(axis=1) & np.isfinite(size)
            close = np.abs(got[:, 0] - wanted).max(axis=1) <= self._tolerance() * size
        if comparable.any() and not close[comparable].mean() > 0.95:
            self.reason = "its derivative is not that of the program"
            return False
        return True

    def _tolerance(self) -> float:
        return DERIVATIVE_TOLERANCE


class CompiledRun(WrappedMap):
    """A map for one run, of which blocks of steps are carried by a compiled twin.

    Parameters
    ----------
    whole : TangentMap
    twin : NumbaMap
        One step, or one of several equal ones that make a step.
    within : int
        Steps of the twin in one of the map.
    volume : NumbaMap, optional
        Of a flow: a step of states (x, l), where l gathers the divergence of the field.
    """

    def __init__(self, whole: TangentMap, twin: NumbaMap, within: int = 1, volume: NumbaMap | None = None) -> None:
        super().__init__(whole)
        self._twin, self._within, self._volume = twin, within, volume
        self._noted = False
        self.log_abs_det_is_independent = whole.log_abs_det_is_independent
        self.log_abs_det_in_blocks = twin.log_abs_det_in_blocks if not whole.is_flow else volume is not None

    @property
    def provenance(self) -> dict[str, Any]:  # type: ignore[override]
        return self.inner.provenance | {"compiled": f"numba {self._twin.provenance['numba']}"}

    @property
    def log_abs_det_tolerance(self) -> float:  # type: ignore[override]
        return self.inner.log_abs_det_tolerance

    def propagate(
        self,
        x: NDArray[Any],
        frame: NDArray[Any],
        n_steps: int,
        qr_every: int = 1,
        *,
        frame_dtype: str | None = None,
        first_step: int = 0,
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float64]]:
        states, frames, totals = self.propagate_blocks(x, frame, 1, n_steps, qr_every, frame_dtype=frame_dtype)
        return states[0], frames[0], totals[0]

    def propagate_blocks(
        self,
        x: NDArray[Any],
        frame: NDArray[Any],
        n_blocks: int,
        n_steps: int,
        qr_every: int = 1,
        *,
        frame_dtype: str | None = None,
        first_step: int = 0,
    ) -> Blocks:
        if not self.carries(frame_dtype):
            return self.inner.propagate_blocks(x, frame, n_blocks, n_steps, qr_every, frame_dtype=frame_dtype)
        if self._within > 1:
            self.inner.apply(x[:1])  # which holds steps against steps half as long, at times
        return self._twin.propagate_blocks(x, frame, n_blocks, n_steps * self._within, qr_every * self._within)

    def log_abs_det(self, x: NDArray[Any], n_steps: int, *, first_step: int = 0) -> NDArray[np.float64]:
        if not self.log_abs_det_in_blocks:
            return self.inner.log_abs_det(x, n_steps)
        if self._volume is None:
            return self._twin.log_abs_det(x, n_steps)
        if not self._noted:
            self._noted = True
            self.inner.log_abs_det(x[:8], 1)  # which takes note of the accuracy that is to be expected
        started = np.concatenate([x, np.zeros((len(x), 1))], axis=1)
        none = np.empty((*started.shape, 0))
        ended, _, _ = self._volume.propagate(started, none, n_steps * self._within)
        return np.asarray(ended[:, -1])


def call_of(function: Any, state_shape: tuple[int, ...], *, vectorized: bool) -> Step:
    """How one state goes through a function of a batch, or of one state."""
    timed = _timed_field(function)
    if timed is not None:
        return timed.of_symbols

    def call(graph: Any, x: Symbols) -> Any:
        given = x.reshape((1, *state_shape) if vectorized else state_shape)
        return fitted(graph, function)(given)

    return call


def own_function(function: Any) -> Any:
    """The user's function within a field that takes the time."""
    timed = _timed_field(function)
    return function if timed is None else timed.rhs


def _timed_field(function: Any) -> Any:
    if isinstance(function, FunctionType) and function.__module__ == "lyapmap.backends.timed_field":
        for cell in function.__closure__ or ():
            if hasattr(cell.cell_contents, "of_symbols"):
                return cell.cell_contents
    return None


def rk4_step(field: Step, h: float) -> Step:
    """One step of `RungeKutta4` along a field, in the same order."""

    def step(graph: Any, x: Symbols) -> Any:
        def velocity(at: Any) -> Any:
            return symbols(graph, np.asarray(field(graph, at), object).ravel())

        first = velocity(x)
        second = velocity(x + (0.5 * h) * first)
        third = velocity(x + (0.5 * h) * second)
        fourth = velocity(x + h * third)
        return x + (h / 6) * (((first + 2 * second) + 2 * third) + fourth)

    return step


def divergence_step(field: Step, n: int) -> Step:
    """The field (f(x), tr Df(x)) of states (x, l)."""

    def velocity(graph: Any, z: Symbols) -> Any:
        return with_trace(graph, traced(field, n), list(z[:n]))

    return velocity
