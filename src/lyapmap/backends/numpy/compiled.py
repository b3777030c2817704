"""The compiled twin of a NumPy function: the same states to the last bit, and tangents exact to rounding.

The function is called with symbols before every run, so that the twin computes with the parameters of now. A twin is
trusted once it has given the function's own images and tangents at some hundred states.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.backends.numpy.program import Program, Symbols, UntraceableError, fitted, traced
from lyapmap.backends.numpy.purity import impurity, reachable
from lyapmap.core.map import Blocks, InBlocks, TangentMap, WrappedMap
from lyapmap.core.ops import quiet
from lyapmap.core.qr_loop import Recording

if TYPE_CHECKING:
    from lyapmap.backends.numba.map import LaneRule, NumbaMap, RowRule

CALL = 40e-6
"""Seconds that a call of a NumPy function takes with its tangents, about; not measured, so that the same run goes the
same way every time."""
ROOM = 30
"""Dimension at which a call takes twice as long, about."""
WORTH_WHILE = 0.8
"""Seconds that a run must take to be worth a compilation, which takes longer once and is kept on disk."""
DERIVATIVES = 200
"""States at which derivatives are compared, about."""
LARGEST = 64
"""Dimension up to which functions are compiled: numbers are written out one by one."""
ORBIT = 64
"""Steps of the orbits along which states are compared."""
DERIVATIVE_TOLERANCE = 1e-7

Step = Callable[[Any, Symbols], Any]
Images = Callable[[NDArray[Any]], NDArray[Any]]


@dataclass(frozen=True)
class Form:
    """What is made of a function's program, and how it is held against the function.

    Attributes
    ----------
    make : callable
        The compiled map of a rule with its parameters.
    in_lanes : bool
        Whether functions of a few numbers become rules for many trajectories at a time.
    step : callable
        Images (m, n) of states, by which the compiled map's orbits go on.
    images : callable
        Of the compiled map at states with frames, which must be `expected` of those states to the last bit.
    expected : callable
    """

    make: Callable[[LaneRule | RowRule, tuple[float, ...]], Any]
    in_lanes: bool
    step: Images
    images: Callable[[Any, NDArray[Any], NDArray[Any]], NDArray[Any]]
    expected: Images


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
    wanted : bool or None
        Whether to compile; None: where the run is long enough to pay.
    """

    def __init__(self, function: Any, call: Step, n: int, *, branches: bool, wanted: bool | None = None) -> None:
        self.function, self.call, self.n, self.branches = function, call, n, branches
        self.wanted = wanted
        self.reason: str | None = "asked for" if wanted is False else None
        """Why it is not compiled."""
        self._looked_at: dict[Any, str | None] = {}

    def pays(self, n_steps: int, calls: int = 1) -> bool:
        """Whether a run of so many steps is to be compiled: by its length alone, so that parts go the same way.

        `calls` are those of the function in a step.
        """
        if self.wanted is False or self.n > LARGEST:
            return False
        return self.wanted is True or n_steps * calls * CALL * (1 + self.n / ROOM) >= WORTH_WHILE

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
        image: Images,
        tangents: Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]],
        form: Form | None = None,
    ) -> Any:
        """The compiled map with the parameters of now; None where there is none to be trusted.

        Parameters
        ----------
        x : (b, n)
            States about which it is going to be used.
        k : int
            Directions that will be carried.
        image, tangents : callable
            What the program must agree with: images (m, n) of states, and what becomes of directions (m, n, 1).
        form : Form, optional
            By default the map of the function itself.
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
        form = form or Form(self._map, True, image, first_images, image)
        from lyapmap.backends.numba.program import SCALARS, lane_rule, row_rule

        try:
            make = lane_rule if form.in_lanes and self.n <= SCALARS else row_rule
            made = form.make(make(program.operations, program.ends, self.n, False), program.constants)
        except UntraceableError as error:
            self.reason = str(error)
            return None
        key = (program.operations, program.ends, k)
        if key not in self._looked_at:
            self._looked_at[key] = self._difference(program, made, x, k, tangents, form)
        self.reason = self._looked_at[key]
        return made if self.reason is None else None

    def _map(self, rule: LaneRule | RowRule, constants: tuple[float, ...]) -> NumbaMap:
        from lyapmap.backends.numba.map import NumbaMap

        return NumbaMap(rule, state_shape=(self.n,), parameters=constants)

    def _difference(
        self,
        program: Program,
        made: Any,
        x: NDArray[Any],
        k: int,
        tangents: Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]],
        form: Form,
    ) -> str | None:
        """In what the twin gives something else than the function, which changes nothing meanwhile."""
        rng, n = np.random.default_rng(2), self.n
        states = [rng.uniform(0.05, 0.95, (96, n)), rng.uniform(-1, 1, (96, n)), rng.normal(0, 3, (96, n))]
        states += [rng.normal(0, size, (32, n)) for size in (1e-4, 1e-2, 30.0, 1e3)]
        orbit = [np.array(x[:4])]
        with quiet():
            from lyapmap.backends.numba.program import plain_function

            for _ in range(ORBIT):
                orbit.append(form.step(orbit[-1]))
            try:
                everywhere = np.concatenate([*orbit, *states])
                theirs = form.expected(everywhere)
            except Exception:  # it need not have a value far out
                everywhere = np.concatenate(orbit)
                theirs = form.expected(everywhere)
            # By the very code that will be used: a kernel is made for each number of directions.
            frames = np.ascontiguousarray(np.broadcast_to(np.eye(n)[:, :k], (len(everywhere), n, k)))
            if not np.array_equal(form.images(made, everywhere, frames), theirs, equal_nan=True):
                return "compiled code rounds otherwise than the function"
            some = everywhere[np.isfinite(theirs).all(axis=1)][:: 1 + len(everywhere) // DERIVATIVES]
            v = rng.standard_normal((len(some), n, 1))
            wanted = tangents(some, v)[:, :, 0]
            derivative = plain_function(program.operations, program.ends, n, "tangents")
            got = np.empty((len(some), 1, n))
            for row, direction, out in zip(some, v, got, strict=True):
                derivative(program.constants, row, direction.T, out)
            size = np.abs(wanted).max(axis=1) + 1e-300
            comparable = np.isfinite(wanted).all(axis=1) & np.isfinite(size)
            close = np.abs(got[:, 0] - wanted).max(axis=1) <= DERIVATIVE_TOLERANCE * size
        if comparable.any() and not close[comparable].mean() > 0.95:
            return "its derivative is not that of the program"
        return None


def first_images(made: Any, x: NDArray[Any], frames: NDArray[Any]) -> NDArray[Any]:
    """States after one step, by the code that carries blocks."""
    images: NDArray[Any] = made.propagate(x, frames, 1)[0]
    return images


class CompiledRun(InBlocks, WrappedMap):
    """A map for one run, of which blocks of steps are carried by a compiled twin."""

    compiled = True

    def __init__(self, whole: TangentMap, twin: NumbaMap) -> None:
        super().__init__(whole)
        self._twin = twin
        self.log_abs_det_is_independent = whole.log_abs_det_is_independent
        self.log_abs_det_in_blocks = twin.log_abs_det_in_blocks

    @property
    def provenance(self) -> dict[str, Any]:  # type: ignore[override]
        return self.inner.provenance | {"compiled": f"numba {self._twin.provenance['numba']}"}

    @property
    def log_abs_det_tolerance(self) -> float:  # type: ignore[override]
        return self.inner.log_abs_det_tolerance

    def carry_blocks(
        self, x: NDArray[Any], frame: NDArray[Any], n_blocks: int, n_steps: int, qr_every: int, frame_dtype: str | None
    ) -> Blocks:
        carrier = self._twin if self.carries(frame_dtype) else self.inner
        return carrier.propagate_blocks(x, frame, n_blocks, n_steps, qr_every, frame_dtype=frame_dtype)

    def record(
        self, x: NDArray[Any], frame: NDArray[Any], n_steps: int, wanted: NDArray[np.bool_], *, first_step: int = 0
    ) -> Recording:
        return self._twin.record(x, frame, n_steps, wanted)

    def log_abs_det(self, x: NDArray[Any], n_steps: int, *, first_step: int = 0) -> NDArray[np.float64]:
        return (self._twin if self.log_abs_det_in_blocks else self.inner).log_abs_det(x, n_steps)


def call_of(function: Any, state_shape: tuple[int, ...], *, vectorized: bool) -> Step:
    """How one state goes through a function of a batch, or of one state."""
    timed = _timed_field(function)
    return _Call(function, state_shape, vectorized) if timed is None else timed.of_symbols


@dataclass(frozen=True)
class _Call:
    """A function of a batch, or of one state, with one state as symbols; can be pickled if the function can."""

    function: Any
    state_shape: tuple[int, ...]
    vectorized: bool

    def __call__(self, graph: Any, x: Symbols) -> Any:
        given = x.reshape((1, *self.state_shape) if self.vectorized else self.state_shape)
        return fitted(graph, self.function)(given)


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
