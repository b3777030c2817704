"""Dual numbers in NumPy: a function's value and its derivative in k directions, in one pass and exact.

An array of dual numbers stands where a NumPy function expects its states. It answers to ufuncs, to
NumPy's functions and to Python's operators, so that `%`, `floor`, `where`, comparisons and `if` do
what they do with numbers, and every state gets the derivative of the branch that it takes. What has
no rule here goes element by element, as arrays of objects do. Whatever would lose the tangents, as
`float(x)` or writing into an array of plain numbers, raises.

While a function is looked at for the first time it leaves notes of what it does: one that does
nothing but arithmetic and analytic functions may be differentiated by complex steps everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.backends.numpy.dual_arrays import Dual
from lyapmap.backends.numpy.dual_functions import FUNCTIONS, LINEAR, MULTILINEAR, by_direction
from lyapmap.backends.numpy.dual_values import OpaqueError, as_dual

ANALYTIC = frozenset({
    "add", "subtract", "multiply", "divide", "negative", "positive", "square", "reciprocal", "power", "matmul",
    "exp", "log", "sin", "cos", "sinh", "cosh", "tanh", "sqrt", "sum", "mean",
    "getitem", "setitem", "stack", "concatenate", "column_stack", "hstack", "vstack", "reshape", "ravel", "transpose",
    "copy", "pad", "zeros_like", "empty_like", "ones_like", "full_like", "moveaxis", "swapaxes", "squeeze",
    "expand_dims", "roll", "shape", "ndim", "size",
})  # fmt: skip
"""Operations that complex numbers with a tiny imaginary part go through exactly, wherever they are defined."""

_Array = NDArray[Any]


class DualArray(Dual):
    """Dual numbers that NumPy's functions take."""

    __slots__ = ()

    def __array_function__(self, function: Any, types: Any, given: Any, options: Any) -> Any:
        name = function.__name__
        self.note(name)
        rule = FUNCTIONS.get(function)
        if rule is not None:
            return rule(type(self), *given, **options)
        if function in LINEAR or function in MULTILINEAR:
            return by_direction(type(self), function, given, options)
        if function.__module__.startswith(("numpy.fft", "numpy.linalg")):
            raise OpaqueError(f"no derivative of {name}")
        return function._implementation(*given, **options)


def noting() -> tuple[type[Dual], set[str]]:
    """A kind of dual numbers that takes notes, and the notes."""
    notes: set[str] = set()
    return type("Noting", (DualArray,), {"notes": notes, "__slots__": (), "__hash__": None}), notes


def tangents_of(
    function: Callable[[Any], Any], x: _Array, v: _Array, kind: type[Dual] = DualArray
) -> tuple[_Array, _Array]:
    """Image of x, of any shape, and tangents (k, *shape) for directions v (k, *shape of x).

    Raises
    ------
    Exception
        Whatever comes of a function that loses tangents: one cannot know what it does then.
    """
    image = as_dual(kind, function(kind(x.copy(), v.copy())), len(v))
    if image.dtype.kind == "c":
        raise OpaqueError("complex image")
    return np.asarray(image.value), image.tangent
