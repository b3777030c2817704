"""Functions that fill plain arrays or call `math`, made fit for dual numbers.

A function is copied for every call (`stand_ins.copy_of`), so that it sees its module's variables as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np

from lyapmap.backends.numpy.dual_arrays import Dual
from lyapmap.backends.numpy.dual_values import as_dual, directions
from lyapmap.backends.numpy.stand_ins import NumpyStandIn, copy_of

DEPTH = 3
"""Of functions that call functions of their own module, or of those around them."""

_MATH = {
    "acos": "arccos", "acosh": "arccosh", "asin": "arcsin", "asinh": "arcsinh", "atan": "arctan", "atan2": "arctan2",
    "atanh": "arctanh", "cbrt": "cbrt", "copysign": "copysign", "cos": "cos", "cosh": "cosh", "degrees": "degrees",
    "exp": "exp", "exp2": "exp2", "expm1": "expm1", "fabs": "fabs", "fmod": "fmod", "hypot": "hypot", "log": "log",
    "log10": "log10", "log1p": "log1p", "log2": "log2", "modf": "modf", "pow": "power", "radians": "radians",
    "sin": "sin", "sinh": "sinh", "sqrt": "sqrt", "tan": "tan", "tanh": "tanh",
    "isnan": "isnan", "isfinite": "isfinite", "isinf": "isinf",
}  # fmt: skip
"""NumPy's names of the functions of `math`."""


def fit_for(kind: type[Dual], k: int, function: Callable[..., Any]) -> Callable[..., Any]:
    """A copy of a Python function that sees modules for dual numbers in k directions."""
    return _fitted(function, {id(np): _Numpy(kind, k), id(math): _Math()}, DEPTH)


def _fitted(function: Any, modules: dict[int, Any], depth: int) -> Any:
    if not isinstance(function, FunctionType) or depth == 0:
        return function

    def seen(value: Any) -> Any:
        if id(value) in modules:
            return modules[id(value)]
        if getattr(value, "__module__", None) == "math" and getattr(value, "__name__", "") in _MATH:
            return _of_math(value)
        if isinstance(value, FunctionType) and value.__module__ == function.__module__ and value is not function:
            return _fitted(value, modules, depth - 1)
        return value

    def seen_in_cell(value: Any) -> Any:
        return modules[id(value)] if id(value) in modules else _fitted(value, modules, depth - 1)

    return copy_of(function, None if function.__module__.startswith("lyapmap.") else seen, seen_in_cell)


class _Numpy(NumpyStandIn):
    """NumPy, whose new arrays of real numbers take tangents."""

    def __init__(self, kind: type[Dual], k: int) -> None:
        self._kind, self._k = kind, k

    def _taking(self, array: Any) -> Any:
        return as_dual(self._kind, array, self._k) if array.dtype.kind in "fc" else array

    def full(self, shape: Any, value: Any, *given: Any, **options: Any) -> Any:
        if not isinstance(value, Dual):
            return self._taking(np.full(shape, value, *given, **options))
        made = self.zeros(shape)
        made[...] = value
        return made

    def array(self, value: Any, dtype: Any = None, **options: Any) -> Any:
        if directions(value) < 0:
            return self._taking(np.array(value, dtype, **options))
        made = as_dual(self._kind, value, self._k)
        return made.copy() if dtype is None else made.astype(dtype)

    def asarray(self, value: Any, dtype: Any = None, **options: Any) -> Any:
        if isinstance(value, Dual) and dtype in (None, value.dtype, float):
            return value
        return self.array(value, dtype, **options)

    asanyarray = ascontiguousarray = asarray


class _Math:
    """`math`, whose functions take dual numbers too."""

    def __getattr__(self, name: str) -> Any:
        value = getattr(math, name)
        return _of_math(value) if name in _MATH else value


def _of_math(function: Any) -> Any:
    ufunc = getattr(np, _MATH[function.__name__])

    def either(*given: Any) -> Any:
        if not any(isinstance(part, Dual) for part in given):
            return function(*given)
        if ufunc is np.log and len(given) == 2:
            return np.log(given[0]) / np.log(given[1])
        return ufunc(*given)

    return either
