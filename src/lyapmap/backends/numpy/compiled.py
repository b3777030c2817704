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

from lyapmap.backends.numpy.program import Program, Symbols, UntraceableError, fitted, symbols, traced
from lyapmap.backends.numpy.purity import impurity, reachable
from lyapmap.core.ops import quiet

if TYPE_CHECKING:
    from lyapmap.backends.numba.map import NumbaMap

CALL = 30e-6
"""Seconds that a step of a NumPy function takes, about; counted rather than measured, so that the same run goes the
same way every time."""
WORTH_WHILE = 3.0
"""Seconds that a run must take to be worth a compilation."""
BLOCKS = 128
"""Blocks of a run, from whose length the whole is foretold."""
LARGEST = 64
"""Dimension up to which functions are compiled: numbers are written out one by one."""
SCALARS = 4
"""Dimension up to which several trajectories go in lockstep."""
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
        self.reason: str | None = "asked for" if wanted is False else None
        """Why it is not compiled."""
        self._trusted: tuple[Any, Any] | None = None

    def pays(self, n_steps: int) -> bool:
        """Whether blocks of so many steps are to be compiled; by their length alone, that runs can be repeated."""
        if self.wanted is False or self.n > LARGEST:
            return False
        return self.wanted is True or n_steps * BLOCKS * self.step_time >= WORTH_WHILE

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
        image: Callable[[NDArray[Any]], NDArray[Any]],
        tangents: Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]] | None,
    ) -> NumbaMap | None:
        """The compiled map with the parameters of now; None where there is none to be trusted.

        Parameters
        ----------
        x : (b, n)
            States about which it is going to be used.
        image, tangents : callable
            What it must agree with: images (m, n) of states, and what becomes of directions (m, n, 1).
        """
        if self.wanted is False or not np.isfinite(x).all():
            return None
        found = self.program()
        if found is None:
            return None
        key = (found.operations, found.ends)
        if self._trusted is not None and self._trusted[0] == key:
            return None if self._trusted[1] is None else self._with(self._trusted[1], found)
        made = self._made(found)
        if made is not None and not self._agrees(made, x, image, tangents):
            made = None
        self._trusted = (key, None if made is None else made.rule)
        if made is not None:
            self.reason = None
        return made

    def _made(self, program: Program) -> NumbaMap | None:
        from lyapmap.backends.numba.program import lane_rule, row_rule

        self.reason = impurity(self.function)
        if self.reason is not None:
            return None
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
        made: NumbaMap,
        x: NDArray[Any],
        image: Callable[[NDArray[Any]], NDArray[Any]],
        tangents: Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]] | None,
    ) -> bool:
        """Whether the twin gives what the function gives, which changes nothing meanwhile."""
        rng, n = np.random.default_rng(2), self.n
        states = [rng.uniform(0.05, 0.95, (96, n)), rng.uniform(-1, 1, (96, n)), rng.normal(0, 3, (96, n))]
        states += [rng.normal(0, size, (32, n)) for size in (1e-4, 1e-2, 30.0, 1e3)]
        orbit = [np.array(x[:4])]
        with quiet():
            before = reachable(self.function)
            for _ in range(64):
                orbit.append(image(orbit[-1]))
            try:
                everywhere = np.concatenate([*orbit, *states])
                theirs = image(everywhere)
            except Exception:  # it need not have a value far out
                everywhere = np.concatenate(orbit)
                theirs = image(everywhere)
            if reachable(self.function) != before:
                self.reason = "it changes what is not its own"
                return False
            ours = made.apply(everywhere)
            if not np.array_equal(ours, theirs, equal_nan=True):
                self.reason = "compiled code rounds otherwise than the function"
                return False
            if tangents is None:
                return True
            some = everywhere[np.isfinite(theirs).all(axis=1)]
            v = rng.standard_normal((len(some), n, 1))
            wanted, got = tangents(some, v)[:, :, 0], made.jvp(some, v)[1][:, :, 0]
            size = np.abs(wanted).max(axis=1) + 1e-300
            told = np.isfinite(wanted).all(axis=1) & np.isfinite(size)
            close = np.abs(got - wanted).max(axis=1) <= DERIVATIVE_TOLERANCE * size
        if told.any() and not close[told].mean() > 0.98:
            self.reason = "its derivative is not that of the program"
            return False
        return True


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
