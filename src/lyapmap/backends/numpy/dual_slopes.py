"""Derivatives of NumPy's ufuncs, as functions of arguments and image: what dual numbers multiply tangents by."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

Slopes = Callable[..., tuple[Any, ...]]
"""Of (arguments, image): one for each argument. "+" and "-" stand for 1 and -1, None for none; a function is called
where its argument has tangents."""


def _constant(*_: Any) -> tuple[None, ...]:
    return (None, None)


def _power(a: Any, b: Any, y: Any) -> tuple[Any, Any]:
    below = np.where(np.equal(b, 0), 0.0, b * np.power(a, np.where(np.equal(b, 0), 1.0, np.subtract(b, 1.0))))
    return below, lambda: y * np.log(np.where(np.equal(a, 0), 1.0, a))


_CONSTANT = frozenset(["floor", "ceil", "rint", "trunc", "sign", "heaviside", "floor_divide"])
"""Functions with steps: their derivative is zero wherever there is one."""
LOGICAL = frozenset(
    [
        "less",
        "less_equal",
        "greater",
        "greater_equal",
        "equal",
        "not_equal",
        "isnan",
        "isinf",
        "isfinite",
        "signbit",
        "logical_and",
        "logical_or",
        "logical_not",
        "logical_xor",
        "bitwise_and",
        "bitwise_or",
        "invert",
    ]
)

SLOPES: dict[str, Slopes] = dict.fromkeys(_CONSTANT, _constant) | {
    "add": lambda a, b, y: ("+", "+"),
    "subtract": lambda a, b, y: ("+", "-"),
    "multiply": lambda a, b, y: (b, a),
    "divide": lambda a, b, y: (np.divide(1.0, b), lambda: -y / b),
    "negative": lambda a, y: ("-",),
    "positive": lambda a, y: ("+",),
    "square": lambda a, y: (2 * a,),
    "reciprocal": lambda a, y: (-y * y,),
    "power": _power,
    "float_power": _power,
    "remainder": lambda a, b, y: ("+", lambda: -np.floor_divide(a, b)),
    "fmod": lambda a, b, y: ("+", lambda: -np.trunc(np.divide(a, b))),
    "fabs": lambda a, y: (np.where(a < 0, -1.0, 1.0),),
    "exp": lambda a, y: (y,),
    "exp2": lambda a, y: (y * math.log(2),),
    "expm1": lambda a, y: (np.exp(a),),
    "log": lambda a, y: (1 / a,),
    "log2": lambda a, y: (1 / (a * math.log(2)),),
    "log10": lambda a, y: (1 / (a * math.log(10)),),
    "log1p": lambda a, y: (1 / (1 + a),),
    "sqrt": lambda a, y: (0.5 / y,),
    "cbrt": lambda a, y: (1 / (3 * y * y),),
    "sin": lambda a, y: (np.cos(a),),
    "cos": lambda a, y: (-np.sin(a),),
    "tan": lambda a, y: (1 + y * y,),
    "arcsin": lambda a, y: (1 / np.sqrt((1 - a) * (1 + a)),),
    "arccos": lambda a, y: (-1 / np.sqrt((1 - a) * (1 + a)),),
    "arctan": lambda a, y: (1 / (1 + a * a),),
    "sinh": lambda a, y: (np.cosh(a),),
    "cosh": lambda a, y: (np.sinh(a),),
    # Not 1 - y^2, which is zero long before the derivative is.
    "tanh": lambda a, y: (_square(1 / np.cosh(a)),),
    "arcsinh": lambda a, y: (1 / np.hypot(a, 1.0),),
    "arccosh": lambda a, y: (1 / np.sqrt((a - 1) * (a + 1)),),
    "arctanh": lambda a, y: (1 / ((1 - a) * (1 + a)),),
    "arctan2": lambda a, b, y: (b / (a * a + b * b), -a / (a * a + b * b)),
    "hypot": lambda a, b, y: (np.where(y == 0, 1.0, a / np.where(y == 0, 1.0, y)), b / np.where(y == 0, 1.0, y)),
    "maximum": lambda a, b, y: ((a >= b) * 1.0, (a < b) * 1.0),
    "minimum": lambda a, b, y: ((a <= b) * 1.0, (a > b) * 1.0),
    "fmax": lambda a, b, y: (((a >= b) | np.isnan(b)) * 1.0, ((a < b) | np.isnan(a)) * 1.0),
    "fmin": lambda a, b, y: (((a <= b) | np.isnan(b)) * 1.0, ((a > b) | np.isnan(a)) * 1.0),
    "copysign": lambda a, b, y: (np.where(np.signbit(a) == np.signbit(b), 1.0, -1.0), None),
    "logaddexp": lambda a, b, y: (np.exp(a - y), np.exp(b - y)),
    "logaddexp2": lambda a, b, y: (np.exp2(a - y), np.exp2(b - y)),
    "deg2rad": lambda a, y: (math.pi / 180,),
    "radians": lambda a, y: (math.pi / 180,),
    "rad2deg": lambda a, y: (180 / math.pi,),
    "degrees": lambda a, y: (180 / math.pi,),
    # Of scipy.special.
    "expit": lambda a, y: (y * (1 - y),),
    "erf": lambda a, y: (2 / math.sqrt(math.pi) * np.exp(-a * a),),
    "erfc": lambda a, y: (-2 / math.sqrt(math.pi) * np.exp(-a * a),),
}

REAL = frozenset(
    [
        "maximum",
        "minimum",
        "fmax",
        "fmin",
        "fabs",
        "arctan2",
        "remainder",
        "fmod",
        "hypot",
        "cbrt",
        "copysign",
        "logaddexp",
    ]
)


def _square(a: Any) -> Any:
    return a * a
