"""Maps compiled with Numba, which carry whole blocks of steps themselves.

Requires numba >= 0.61; it is imported when a map is first used, and compiled code is kept on disk
where that is possible (see `numba_compile`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import version
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from lyapmap.backends.numba.compile import MATRIX, FlowRule, FunctionRule, LaneRule, RowRule, Rule, basis, compiled
from lyapmap.backends.numba.lane_kernels import LANES
from lyapmap.backends.numba.program import exact_rules
from lyapmap.backends.numba.threads import in_parts
from lyapmap.core.differences import CENTRAL_DIFFERENCES, COLUMNS, slopes_along
from lyapmap.core.errors import LyapmapError, MapError, PrecisionError, ShapeError
from lyapmap.core.map import Blocks, InBlocks, dimension
from lyapmap.core.ops import ArrayOps, NumpyOps
from lyapmap.core.qr_loop import Recording

ANALYTIC = "analytic"
GIVEN = "jacobian given"
DUAL_NUMBERS = "dual numbers"

WRITTEN_OUT = 4
"""Largest dimension in which compiled code spells out a determinant."""

PROBES = 8
"""States at which differences of a user's function are tried."""

__all__ = ["LaneRule", "NumbaMap", "RowRule", "wrap_numba"]


@final
class NumbaMap(InBlocks):
    """A compiled map. Users get one from `wrap_numba`, the catalogue builds its own from rules.

    Parameters
    ----------
    rule : LaneRule, RowRule, FunctionRule or FlowRule
    state_shape : tuple of int
    parameters : tuple of float, or a matrix
        Given to the compiled code when it runs; other values need no other code. A matrix for a `RowRule` only.
    derivative : str
    provenance : dict
    threads : int, optional
        Most threads that carry a batch in `propagate`, where there is enough to do. By default
        `numba.config.NUMBA_NUM_THREADS`: the cores that the process may use, or the environment
        variable of that name. Always 1 for a user's functions, which may not be made for several.
        Results are the same to the last bit for any number.

    Notes
    -----
    Images are computed in strict IEEE arithmetic in the order written, so `apply`, `jvp` and
    `propagate` give the same states to the last bit. Frames from `propagate` have a positive
    diagonal of R.
    """

    compiled = True

    def __init__(
        self,
        rule: Rule,
        *,
        state_shape: tuple[int, ...],
        parameters: tuple[float, ...] | NDArray[np.float64] = (),
        derivative: str = ANALYTIC,
        provenance: dict[str, Any] | None = None,
        threads: int | None = None,
    ) -> None:
        self.state_shape = state_shape
        self.ops: ArrayOps = NumpyOps("float64")
        self.derivative = derivative
        self.provenance: dict[str, Any] = {"numba": _numba_version()} | (provenance or {})
        self.rule = rule
        self.own = rule
        """A user's functions, as they were given."""
        self.rows: RowRule | None = None
        """The same map as a rule for any number of tangents, where `rule` is for lanes."""
        self.parameters: Any = (
            np.ascontiguousarray(parameters, np.float64)
            if isinstance(parameters, np.ndarray)
            else tuple(float(value) for value in parameters)
        )
        self.threads = threads
        self._threads = 0  # as many as are used, once it is known
        self._n = dimension(state_shape)
        self._kernels: dict[tuple[str, int], Callable[..., None]] = {}
        # Of a flow it is the integral of the divergence, which needs no determinant.
        self.log_abs_det_in_blocks = isinstance(basis(rule), LaneRule) and (
            self._n <= WRITTEN_OUT or isinstance(rule, FlowRule)
        )

    def __getstate__(self) -> dict[str, Any]:
        # Compiled code stays behind when a map travels to another process.
        return vars(self) | {"_kernels": {}, "own": self.rule}

    def apply(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        x = self._states(x)
        if isinstance(basis(self.rule), LaneRule):
            # Its derivative costs next to nothing, so no code is made for images alone.
            return self.jvp(x, np.empty((*x.shape, 0)))[0]
        y = np.empty_like(x)
        self._kernel("apply")(self.parameters, x, y)
        return y

    def jvp(self, x: NDArray[np.float64], v: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        x = self._states(x)
        v = self._tangents(v, x, "v")
        y, u = np.empty_like(x), np.empty_like(v)
        self._kernel("jvp")(self.parameters, x, v, y, u)
        return y, u

    def jacobian(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        matrices: NDArray[np.float64] = super().jacobian(self._states(x))
        return matrices

    def carry_blocks(
        self,
        x: NDArray[np.float64],
        frame: NDArray[Any],
        n_blocks: int,
        n_steps: int,
        qr_every: int,
        frame_dtype: str | None,
    ) -> Blocks | None:
        """States (m, b, n), frames (m, b, n, k) and log growth (m, b, k) after each of m blocks of steps."""
        if not self.carries(frame_dtype):
            return None
        if qr_every < 1:
            raise LyapmapError(f"qr_every: expected at least 1 step, got {qr_every}")
        x = self._states(x)
        frame = self._tangents(frame, x, "frame")
        k = frame.shape[2]
        if k > self._n:
            raise ShapeError(f"frame: expected at most {self._n} vectors of {self._n} values, got {k}")
        states, frames = np.empty((n_blocks, *x.shape)), np.empty((n_blocks, *frame.shape))
        totals = np.zeros((n_blocks, len(x), k))
        kernel = self._kernel("propagate", k)

        def carry(first: int, last: int) -> None:
            # The kernel works in place: every block begins as a copy of where the one before ended.
            now, tangents = x[first:last], frame[first:last]
            for state, vectors, total in zip(states, frames, totals, strict=True):
                state[first:last], vectors[first:last] = now, tangents
                now, tangents = state[first:last], vectors[first:last]
                kernel(self.parameters, now, tangents, total[first:last], n_steps, qr_every)

        self._in_threads(carry, len(x), n_blocks * n_steps * self._n * (k + 1))
        return states, frames, totals

    def record(
        self,
        x: NDArray[np.float64],
        frame: NDArray[Any],
        n_steps: int,
        wanted: NDArray[np.bool_],
        *,
        first_step: int = 0,
        within: int = 1,
    ) -> Recording:
        """R of every step, each of `within` steps of this map, and some of the states and frames."""
        x = self._states(x).copy()
        frame = self._tangents(frame, x, "frame").copy()
        (b, n), k, m = x.shape, frame.shape[2], int(wanted.sum())
        factors = np.zeros((n_steps, b, k, k))
        states, frames = np.empty((m, b, n)), np.empty((m, b, n, k))
        kernel = self._kernel("record")

        def carry(first: int, last: int) -> None:
            kernel(self.parameters, x, frame, factors, states, frames, wanted, within, first, last)

        self._in_threads(carry, b, n_steps * within * n * (k + 1))
        return Recording(x, frame, factors, states, frames)

    def log_abs_det(self, x: NDArray[np.float64], n_steps: int, *, first_step: int = 0) -> NDArray[np.float64]:
        """Sum of log|det J| over a block of steps, (b,), by compiled code where that is the better way."""
        if not self.log_abs_det_in_blocks:
            return super().log_abs_det(x, n_steps)
        x = self._states(x).copy()
        total = np.zeros(len(x))
        kernel = self._kernel("log_det")

        def carry(first: int, last: int) -> None:
            kernel(self.parameters, x[first:last], total[first:last], n_steps)

        self._in_threads(carry, len(x), n_steps * self._n)
        return total

    def _in_threads(self, work: Callable[[int, int], None], rows: int, row_work: int) -> None:
        if self._threads < 1:
            self._threads = 1 if isinstance(basis(self.rule), FunctionRule) else self.threads or _default_threads()
        # Lanes stay together, so that a row meets the same instructions however many threads there are.
        unit = LANES if isinstance(basis(self.rule), LaneRule) else 1
        in_parts(work, rows, unit=unit, row_work=row_work, threads=self._threads)

    def _kernel(self, task: str, k: int = 0) -> Callable[..., None]:
        known = self._kernels.get((task, k))
        if known is not None:
            return known
        # What the code does not depend on stays out of its key.
        base = basis(self.rule)
        n = 0 if isinstance(base, RowRule) else self._n
        fixed = k if isinstance(base, LaneRule) else 0
        count = MATRIX if isinstance(self.parameters, np.ndarray) else len(self.parameters)
        kernel = compiled(self.rule, task, n, fixed, count)
        self._kernels[task, k] = kernel
        return kernel

    def _states(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        if x.ndim != 2 or x.shape[1] != self._n:
            raise ShapeError(f"x: expected {self._n} values per row for {self.state_shape}, got shape {x.shape}")
        return self._float64(x, "x")

    def _tangents(self, v: NDArray[np.float64], x: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        if v.ndim != 3 or v.shape[:2] != x.shape:
            raise ShapeError(f"{name}: expected {(*x.shape, 'k')} for states {x.shape}, got shape {v.shape}")
        return self._float64(v, name)

    def _float64(self, array: NDArray[Any], name: str) -> NDArray[np.float64]:
        if array.dtype != np.float64:
            raise PrecisionError(f"{name}: expected float64, got {array.dtype}")
        return np.ascontiguousarray(array)


@lru_cache(maxsize=1)
def _numba_version() -> str:
    return version("numba")


def _default_threads() -> int:
    import numba

    return int(vars(numba.config)["NUMBA_NUM_THREADS"])


def wrap_numba(
    function: Callable[..., Any],
    *,
    state_shape: tuple[int, ...],
    jacobian: Callable[..., Any] | None = None,
    provenance: dict[str, Any] | None = None,
) -> NumbaMap:
    """Make a map of a function that Numba has compiled.

    Parameters
    ----------
    function : Numba function
        Takes one flat state (n,) of float64 and returns its image (n,). For n = 1 it may take and
        return a float.
    state_shape : tuple of int
        Shape of one state; n is the product.
    jacobian : Numba function, optional
        Takes the same and returns the (n, n) derivative. Without it tangents are exact, by compiled
        dual numbers, where the function's source can be followed (see docs/frameworks.md); else
        they are taken by differences, good to about 1e-9, central ones except beside a jump, where
        they stay on the side that the state belongs to, at the cost of 3 calls for each coordinate
        or, from 64 on, each direction.
    provenance : dict, optional
        Plain values that results will record.

    Returns
    -------
    NumbaMap

    Raises
    ------
    LyapmapError
        If the functions do not take such a state, or return another shape or dtype.

    Examples
    --------
    >>> import numba
    >>> @numba.njit
    ... def logistic(x):
    ...     return 4 * x * (1 - x)
    >>> m = wrap_numba(logistic, state_shape=(1,))
    >>> m.apply(np.array([[0.25], [0.5]]))
    array([[0.75],
           [1.  ]])
    >>> m.derivative
    'dual numbers'
    """
    shape = tuple(int(s) for s in state_shape)
    if not shape or min(shape) < 1:
        raise ShapeError(f"state_shape: expected positive sizes, got {state_shape}")
    n = dimension(shape)
    scalar = _takes_float(function, "function", (n,))
    scalar_jacobian = jacobian is not None and _takes_float(jacobian, "jacobian", (n, n))
    described = {"map": getattr(function, "__name__", type(function).__name__)} | (provenance or {})
    derivative = CENTRAL_DIFFERENCES if jacobian is None else GIVEN
    own = FunctionRule(function, jacobian, scalar, scalar_jacobian, along=jacobian is None and n > COLUMNS)
    rule: Rule = own
    rows: RowRule | None = None
    exact = exact_rules(own, n)
    if exact is not None:
        rule, rows, matrix = exact
        if jacobian is None:
            own, derivative = FunctionRule(function, matrix, scalar, False), DUAL_NUMBERS
    elif jacobian is None:
        _require_slopes(function, n, scalar)
    made = NumbaMap(rule, state_shape=shape, derivative=derivative, provenance=described)
    made.own, made.rows = own, rows
    return made


def _require_slopes(function: Any, n: int, scalar: bool) -> None:
    """Differences must be able to tell the derivative at most states: compiled code cannot say where they do not."""

    def images(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.array([[function(float(row[0]))] if scalar else function(row) for row in x])

    rng = np.random.default_rng(0)
    states = rng.uniform(0.1, 0.9, (PROBES, n))
    with np.errstate(all="ignore"):
        sure = slopes_along(images, states, rng.standard_normal((PROBES, n)))[1]
        finite = np.isfinite(images(states)).all(axis=1)
    if (finite & ~sure).sum() > finite.sum() / 2:
        raise MapError("function: jumps too densely, or is too noisy, for differences; give its jacobian")


def _takes_float(function: Any, name: str, wanted: tuple[int, ...]) -> bool:
    """Call a user's function once; whether it takes and returns a float, as it may for n = 1."""
    from numba.core.dispatcher import Dispatcher
    from numba.core.errors import NumbaError

    if not isinstance(function, Dispatcher):
        raise MapError(f"{name}: expected a function compiled with numba.njit, got {type(function).__name__}")
    n = wanted[0]
    probe = np.random.default_rng(0).uniform(0.1, 0.9, n)
    try:
        if n == 1:
            with suppress(NumbaError):
                if isinstance(function(float(probe[0])), float):
                    return True
        image = function(probe)
    except Exception as error:  # whatever a user's code raises is told in one line
        reason = " ".join(str(error).split())[:200]
        raise MapError(f"{name}: failed on one float64 state of shape ({n},) ({reason})") from None
    if not isinstance(image, np.ndarray) or image.shape != wanted:
        got = f"shape {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise ShapeError(f"{name}: expected an array of shape {wanted} for one state of shape ({n},), got {got}")
    if image.dtype != np.float64:
        raise PrecisionError(f"{name}: expected float64 back, got {image.dtype}")
    return False


def with_selection(function: Any, given: Any) -> Any:
    """A Numba function of one state with inputs beside it, or of a window whose next element it gives, as one of Numba.

    Raises
    ------
    LyapmapError
        For what Numba cannot do.
    """
    if given.output is not None:
        raise LyapmapError("output: Numba functions return one array; take what is wanted inside of yours")
    if given.axis:
        raise LyapmapError("window: of a Numba function the first axis of a state is that of its elements")
    import numba

    try:
        by_name = dict(given.named) if isinstance(given.inputs, Mapping) else {}
        by_place = [] if by_name else [value for _, value in given.named]
        bound = inspect.signature(function.py_func).bind(None, *by_place, **by_name)
    except TypeError as error:
        raise LyapmapError(f"inputs: {error}") from None
    inputs = tuple(np.asarray(value) if hasattr(value, "shape") else value for value in bound.args[1:])

    if given.window is None:

        def step(x: Any) -> Any:
            return function(x, *inputs)

    else:

        def step(x: Any) -> Any:
            moved = np.empty_like(x)
            moved[:-1] = x[1:]
            moved[-1] = function(x, *inputs)
            return moved

    step.__name__ = function.__name__
    return numba.njit(step)
