"""A function compiled by Numba for one state, called from Python for each row: to look at it without compiling more."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from types import FunctionType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.backends.numba import flow_kernels, lane_kernels, row_kernels
from lyapmap.core.differences import AGREEMENT, COARSEST, FLAT, INNER, NOISE, SHORTER, SMALLEST_SIZE, lengths
from lyapmap.core.machine_code import machine_code
from lyapmap.core.map import TangentMap, dimension
from lyapmap.core.ops import ArrayOps


class NumbaRows(TangentMap):
    """The map of a `FunctionRule`, row by row."""

    def __init__(self, made: Any) -> None:
        self.state_shape: tuple[int, ...] = made.state_shape
        self.ops: ArrayOps = made.ops
        self.derivative: str = made.derivative
        self._rule: FunctionRule = made.own
        self._n = dimension(self.state_shape)

    def apply(self, x: NDArray[Any]) -> NDArray[Any]:
        return self._rows(self._rule.function, self._rule.scalar, x).reshape(len(x), self._n)

    def jacobian(self, x: NDArray[Any]) -> NDArray[Any]:
        return self._rows(self._rule.jacobian, self._rule.scalar_jacobian, x).reshape(len(x), self._n, self._n)

    def jvp(self, x: NDArray[Any], v: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        return self.apply(x), self.jacobian(x) @ v

    @staticmethod
    def _rows(function: Any, scalar: bool, x: NDArray[Any]) -> NDArray[Any]:
        return np.array([function(float(row[0]) if scalar else row.copy()) for row in x], np.float64)


WIDE = 64
"""Dimension from which a user's map is worth the compile time of vector instructions."""


MATRIX = -1
"""Stands for the number of parameters where they are a matrix."""


@dataclass(frozen=True)
class LaneRule:
    """A map of a few scalars, to be carried many trajectories at a time.

    Attributes
    ----------
    step : callable
        Plain Python for Numba: `step(p, x0, x1, ...)` with the parameters as a tuple of floats
        returns the image, a tuple of n, and the entries of the Jacobian that `pattern` marks, a
        tuple in row order. It may use literals, `math` and `numpy`, no other globals.
    pattern : n tuples of n bools
        Entries of the Jacobian that are not zero everywhere.
    """

    step: Callable[..., Any]
    pattern: tuple[tuple[bool, ...], ...]

    def __reduce__(self) -> Any:
        # What was made from a user's function is made again in another process.
        return vars(self.step).get("made_by") or (LaneRule, (self.step, self.pattern))


@dataclass(frozen=True)
class RowRule:
    """A map of any size, to be carried one trajectory at a time, without its Jacobian.

    Attributes
    ----------
    image, tangents : callable
        Plain Python for Numba, as `row_kernels.image` and `row_kernels.tangents` describe.
    """

    image: Callable[..., None]
    tangents: Callable[..., None]

    def __reduce__(self) -> Any:
        return vars(self.image).get("made_by") or (RowRule, (self.image, self.tangents))


@dataclass(frozen=True)
class FunctionRule:
    """A user's compiled function of one state, its Jacobian if there is one, and which take a float.

    Differences are taken along directions, rather than of every coordinate, with `along`.
    """

    function: Callable[..., Any]
    jacobian: Callable[..., Any] | None
    scalar: bool
    scalar_jacobian: bool
    along: bool = False


@dataclass(frozen=True)
class FlowRule:
    """The map of a flow: one step of a Runge-Kutta method along a vector field.

    Attributes
    ----------
    field : LaneRule, RowRule or FunctionRule
        The vector field as a map from states to velocities.
    method : "rk4" or "dopri5"
        One step of length h, or as many over a time tau as the tolerance asks for. Before the
        parameters of the field come h, or tau, rtol and atol. A `LaneRule` needs "rk4".
    """

    field: LaneRule | RowRule | FunctionRule
    method: str


Rule = LaneRule | RowRule | FunctionRule | FlowRule


def basis(rule: Rule) -> LaneRule | RowRule | FunctionRule:
    """The rule itself, or that of the vector field: which loops a map goes through."""
    return rule.field if isinstance(rule, FlowRule) else rule


@lru_cache(maxsize=512)
def compiled(rule: Rule, task: str, n: int, k: int, n_parameters: int) -> Callable[..., None]:
    """One task of a map as machine code, from disk if it is there.

    n and k are fixed in the code of a `LaneRule`; other rules take any k, and a `RowRule` any n.
    Parameters are so many floats, or a matrix where `n_parameters` is `MATRIX`.
    """
    import numba

    p: Any = numba.types.UniTuple(numba.float64, n_parameters) if n_parameters > 0 else numba.types.Tuple(())
    if n_parameters == MATRIX:
        p = numba.float64[:, ::1]
    states, tensors = numba.float64[:, ::1], numba.float64[:, :, ::1]
    signature = {
        "apply": (p, states, states),
        "jvp": (p, states, tensors, states, tensors),
        "propagate": (p, states, tensors, states, numba.int64, numba.int64),
        "log_det": (p, states, numba.float64[::1], numba.int64),
        "record": (
            *(p, states, tensors, numba.float64[:, :, :, ::1], tensors, numba.float64[:, :, :, ::1]),
            *(numba.boolean[::1], numba.int64, numba.int64, numba.int64),
        ),
    }[task]
    return machine_code(_linked(rule, task, n, k), signature, kept=not isinstance(basis(rule), FunctionRule))


def _linked(rule: Rule, task: str, n: int, k: int) -> Callable[..., None]:
    """The Python function of a task, the map's own functions among its globals."""
    base, method = basis(rule), rule.method if isinstance(rule, FlowRule) else ""
    if isinstance(base, LaneRule):
        step, pattern = _jit(base.step), base.pattern
        if method and task == "log_det":
            namespace: dict[str, Any] = {"field": step}
            return _rebound(
                _executed(flow_kernels.divergence_source(n, pattern), task, namespace), base.step, namespace, method
            )
        if method:
            text, pattern = flow_kernels.rk4_source(n, pattern)
            step = _jit(_executed(text, "step", {"field": step}), forceinline=True)
        if task == "record":
            own: dict[str, Any] = {"step": step}
            exec(compile(lane_kernels.rows_source(n, pattern), "<lyapmap>", "exec"), own)
            namespace = _row_functions(wide=False) | {name: _jit(own[name]) for name in ("image", "tangents")}
            return _rebound(row_kernels.record_rows, base.step, namespace, method)
        if task == "propagate":
            text = lane_kernels.propagate_source(n, k, pattern)
        else:
            text = {"jvp": lane_kernels.jvp_source, "log_det": lane_kernels.log_det_source}[task](n, pattern)
        namespace = _row_functions(wide=False) | {"step": step}
        return _rebound(_executed(text, task, namespace), base.step, namespace, method)
    loop = getattr(row_kernels, f"{task}_rows")
    origin, wide = (base.image, True) if isinstance(base, RowRule) else (None, n >= WIDE)
    own = dict(zip(("image", "tangents"), _image_and_tangents(rule), strict=True))
    own["stretch"] = _stretch(rule) if method == "dopri5" else _bound(row_kernels.stretch, own)
    return _rebound(loop, origin, _row_functions(wide=wide) | own, method)


@lru_cache(maxsize=64)
def _image_and_tangents(rule: Any) -> tuple[Any, Any]:
    """What the loops over rows call, the same for all tasks of a map, so that it is compiled once."""
    if isinstance(rule, FlowRule):
        advance = _advance(rule)
        return _jit(flow_kernels.image_of(advance)), _jit(flow_kernels.tangents_of(advance))
    if isinstance(rule, RowRule):
        # Images are rounded as they are written, tangents as is fastest.
        return _jit(rule.image), _jit(rule.tangents, fastmath={"contract"})
    return _user_functions(rule)


@lru_cache(maxsize=64)
def _stretch(rule: FlowRule) -> Any:
    return _jit(flow_kernels.stretch_of(_advance(rule)))


@lru_cache(maxsize=64)
def _advance(rule: FlowRule) -> Any:
    """One step of a flow, from `image` and `tangents` of its vector field."""
    field, field_tangents = _image_and_tangents(rule.field)
    namespace = dict(vars(flow_kernels)) | {"field": field, "field_tangents": field_tangents}
    for name in (*(flow_kernels.HELPERS if rule.method == "dopri5" else ()), rule.method):
        namespace[name] = _bound(namespace[name], namespace)
    return namespace[rule.method]


def _bound(function: Callable[..., Any], namespace: dict[str, Any]) -> Any:
    """A function compiled with other globals."""
    return _jit(FunctionType(function.__code__, namespace, function.__name__))


def _jit(function: Callable[..., Any], kept: bool = False, **options: Any) -> Any:
    """A function for other compiled ones to call, `kept` on disk or made anew.

    It gets no entry from Python, which would take time.
    """
    import numba

    options |= {"error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    if kept:
        with suppress(RuntimeError):  # no folder to write to
            return numba.njit(cache=True, **options)(function)
    return numba.njit(**options)(function)


@lru_cache(maxsize=2)
def _row_functions(wide: bool) -> dict[str, Any]:
    """Globals of `row_kernels` with its helpers compiled.

    Wide rows have sums reordered, so that they become vector instructions (NaN and infinity keep
    their meaning), and go four by four; for a few short ones both would only cost compile time.
    """
    namespace = dict(vars(row_kernels))
    if not wide:
        namespace |= {"FOUR_FROM": sys.maxsize, "project_four": row_kernels.leave}
    helpers = ("stride", "load", "store", "squares", "largest", "multiply", "project", "take", "project_four")
    for name in (*helpers, "replace", "orthonormalize", "factorize"):
        # For all maps alike: compiled once and kept under a name that says all that shapes it.
        kept_as = f"{name}_{'wide' if wide else 'short'}_{hashlib.sha256(_toolchain()).hexdigest()[:16]}"
        code = namespace[name].__code__.replace(co_name=kept_as, co_qualname=kept_as)
        function = FunctionType(code, namespace, kept_as)
        namespace[name] = _jit(function, kept=True, fastmath={"reassoc", "contract"} if wide else False)
    return namespace


def _executed(text: str, name: str, namespace: dict[str, Any]) -> Any:
    """A function from its source."""
    exec(compile(text, "<lyapmap>", "exec"), namespace)
    return namespace[name]


def _rebound(
    function: Callable[..., None], origin: Callable[..., Any] | None, namespace: dict[str, Any], method: str
) -> Callable[..., None]:
    """A function with other globals, named so that Numba's cache holds it apart.

    Numba files compiled code under the file and name of a function and forgets it when that file
    changes. Neither tells it of the globals: so the function goes under the file of the map it
    belongs to, and its name holds the method of a flow and a digest of everything else that shapes
    the machine code.
    """
    code = function.__code__
    if origin is not None:
        whole = _toolchain() + code.co_code + repr((code.co_consts, code.co_names)).encode()
        own = "_".join(filter(None, (origin.__name__.strip("_"), method, code.co_name)))
        name = f"{own}_{hashlib.sha256(whole).hexdigest()[:16]}"
        code = code.replace(co_filename=inspect.getfile(origin), co_name=name, co_qualname=name)
    return FunctionType(code, namespace, code.co_name)


@lru_cache(maxsize=1)
def _toolchain() -> bytes:
    """Sources of the modules that make the code."""
    modules = (sys.modules[__name__], flow_kernels, lane_kernels, row_kernels)
    return "".join(inspect.getsource(module) for module in modules).encode()


def _user_functions(rule: FunctionRule) -> tuple[Any, Any]:
    """`image` and `tangents` in terms of a user's function of one state."""
    given = rule.function
    if rule.scalar:
        scalar_function = given

        def function(x: Any) -> Any:
            y = np.empty(1)
            y[0] = scalar_function(x[0])
            return y

        given = _jit(function)
    return _jit(_image_of(given)), _jit(_tangents_of(given, rule))


def _image_of(function: Any) -> Callable[..., None]:
    # Loops rather than array expressions, here and below: they compile several times as fast.
    def image(p: Any, x: Any, y: Any) -> None:
        returned = function(x)
        for i in range(y.shape[0]):
            y[i] = returned[i]

    return image


def _tangents_of(function: Any, rule: FunctionRule) -> Callable[..., None]:
    if rule.along:
        return _differences_along(function)
    matrix = _differences_of(function) if rule.jacobian is None else rule.jacobian
    if rule.scalar_jacobian:

        def slope(p: Any, x: Any, v: Any, u: Any) -> None:
            derivative = matrix(x[0])
            for c in range(v.shape[0]):
                u[c, 0] = derivative * v[c, 0]

        return slope

    def tangents(p: Any, x: Any, v: Any, u: Any) -> None:
        jacobian = matrix(x)
        n = x.shape[0]
        for c in range(v.shape[0]):
            for i in range(n):
                entry = 0.0
                for j in range(n):
                    entry += jacobian[i, j] * v[c, j]
                u[c, i] = entry

    return tangents


def _differences_of(function: Any) -> Any:
    """The Jacobian: differences along each coordinate."""
    along = _jit(_differences_along(function))

    def differences(x: Any) -> Any:
        n = x.shape[0]
        columns = np.empty((n, n))
        along(x, x, np.eye(n), columns)
        return columns.T

    return _jit(differences)


def _differences_along(function: Any) -> Callable[..., None]:
    """Tangents by differences that stay on one side of jumps, along each direction at once; see `differences`.

    A step is as long as the sizes of the coordinates let it be.
    """
    tried = tuple(lengths(np.float64))
    eps = float(np.finfo(np.float64).eps)

    def slopes(x: Any, v: Any, moved: Any, part: float, image: Any, out: Any) -> Any:
        square, length = 0.0, 0.0
        for i in range(x.shape[0]):
            moved[i] = x[i] + part * v[i]
            # The length as rounding left it, not as it was meant.
            length += (moved[i] - x[i]) * v[i]
            square += v[i] * v[i]
        length /= square
        y = function(moved)
        for i in range(x.shape[0]):
            out[i] = (y[i] - image[i]) / length
        return length

    slopes = _jit(slopes)

    def tangents(p: Any, x: Any, v: Any, u: Any) -> None:
        n = x.shape[0]
        moved, image = np.empty(n), np.empty(n)
        a, b, c = np.empty(n), np.empty(n), np.empty(n)
        values = function(x)
        for i in range(n):
            image[i] = values[i]
        for j in range(v.shape[0]):
            size = np.inf
            for i in range(n):
                if v[j, i] != 0.0:
                    size = min(size, max(SMALLEST_SIZE, abs(x[i])) / abs(v[j, i]))
            for i in range(n):
                u[j, i] = 0.0 if size == np.inf else np.nan
            if size == np.inf:
                continue
            calmest = np.inf
            for attempt in range(3 * len(tried)):
                h, side = tried[attempt // 3] * size, attempt % 3
                # To both sides, then ahead alone, then behind alone.
                first = h if side < 2 else -h
                second = -h if side == 0 else INNER * first
                third = INNER * first if side == 0 else second / SHORTER
                ta = slopes(x, v[j], moved, first, image, a)
                tb = slopes(x, v[j], moved, second, image, b)
                tc = slopes(x, v[j], moved, third, image, c)
                largest = 0.0
                for i in range(n):
                    largest = max(largest, abs(a[i]), abs(b[i]), abs(c[i]))
                shortest = abs(tc)
                tolerance = min(max(NOISE * eps * size / shortest, AGREEMENT), COARSEST)
                misfit, rounding, reach = 0.0, 30 * eps * size / shortest, (tc - tb) / (ta - tb)
                for i in range(n):
                    noise = rounding * abs(image[i])
                    if attempt > 2 and noise > (COARSEST * largest * size if largest > 0.0 else FLAT * abs(image[i])):
                        misfit = np.inf
                    off = abs(b[i] + reach * (a[i] - b[i]) - c[i])
                    scale = max(abs(a[i]), abs(b[i]), abs(c[i]), 1e-3 * largest)
                    if off > 0.0:
                        misfit = max(misfit, off / (tolerance * scale + noise / size))
                    elif off != 0.0:
                        misfit = np.inf
                if misfit <= 1.0 or (misfit < np.inf and largest < calmest):
                    calmest = largest
                    for i in range(n):
                        u[j, i] = b[i] - (a[i] - b[i]) / (ta - tb) * tb
                if misfit <= 1.0:
                    break

    return tangents
