"""Arrays of symbols as frameworks take arrays: what their programs are traced with (see `numpy.program`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.backends.numpy.program import Graph, Symbol, Symbols, symbols

LARGEST_ARRAY = 4096
"""Numbers of an array that a program may hold: each is an operation at least."""
PLAIN = (0.0, 1.0, -1.0, 2.0, 0.5)
"""Numbers that stand in the code, since they are rarely parameters."""


def entered(graph: Graph, values: NDArray[Any]) -> Symbols:
    """Numbers that do not depend on the state, as symbols."""

    def symbol(value: Any) -> Symbol:
        if isinstance(value, float) and value not in PLAIN:
            return Symbol(graph, graph.constant(value))
        return Symbol(graph, graph.constant(value) if isinstance(value, bool) else graph.literal(float(value)))

    made = np.empty(values.shape, object)
    made[...] = np.frompyfunc(symbol, 1, 1)(values.astype(object)) if values.size else values
    return symbols(graph, made)


def rounded(values: Symbols) -> Symbols:
    """The same in single precision."""
    graph = values.graph

    def converted(value: Symbol) -> Symbol:
        return value if graph.is_logical(value.number) else Symbol(graph, graph.add("float32", value.number))

    made = np.empty(values.shape, object)
    made[...] = np.frompyfunc(converted, 1, 1)(np.asarray(values).view(np.ndarray))
    return symbols(graph, made)


def power(base: Any, exponent: Any) -> Any:
    """As frameworks take powers: by products where the exponent is a small whole number."""
    if isinstance(exponent, int | float) and float(exponent) in (2.0, 3.0, 1.0, 0.5, -1.0, -2.0):
        match float(exponent):
            case 0.5:
                return np.sqrt(base)
            case 1.0:
                return base + 0.0
            case size:
                product = base * base if abs(size) > 1 else base
                product = product * base if size == 3 else product
                return product if size > 0 else 1.0 / product
    return np.power(base, exponent)


def softmax(a: Any, axis: int) -> Any:
    grown = np.exp(a - np.maximum.reduce(a, axis=axis, keepdims=True))
    return grown / np.add.reduce(grown, axis=axis, keepdims=True)


def sigmoid(a: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-a))


def softplus(a: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    return np.where(a * beta > threshold, a, np.log1p(np.exp(a * beta)) / beta)


def elu(a: Any, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Any:
    return np.where(a > 0, a * scale, scale * alpha * np.expm1(a * input_scale))


def gelu(a: Any, approximate: str = "none") -> Any:
    if approximate == "tanh":
        return 0.5 * a * (1.0 + np.tanh(float(np.sqrt(2 / np.pi)) * (a + 0.044715 * a * a * a)))
    return 0.5 * a * (1.0 + erf(a * float(np.sqrt(0.5))))


def erf(a: Any) -> Any:
    graph = a.graph
    made = np.empty(a.shape, object)
    made[...] = np.frompyfunc(lambda value: Symbol(graph, graph.add("math.erf", value.number)), 1, 1)(_objects(a))
    return symbols(graph, made)


def _objects(a: Any) -> NDArray[Any]:
    return np.asarray(a).view(np.ndarray)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    name: getattr(np, name)
    for name in (
        *("sin", "cos", "tan", "sinh", "cosh", "tanh", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt"),
        *("square", "reciprocal", "abs", "sign", "floor", "ceil", "trunc", "maximum", "minimum", "hypot", "logaddexp"),
        *("remainder", "fmod", "floor_divide", "isnan", "isfinite", "logical_and", "logical_or", "logical_not"),
        *("bitwise_and", "bitwise_or"),
    )
} | {
    "neg": np.negative,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "atan2": np.arctan2,
    "rsqrt": lambda a: 1.0 / np.sqrt(a),
    "round": np.rint,
    "frac": lambda a: a - np.trunc(a),
    "bitwise_not": np.logical_not,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "eq": np.equal,
    "ne": np.not_equal,
    "erf": erf,
    "sigmoid": sigmoid,
    "relu": lambda a: np.maximum(a, 0.0),
    "leaky_relu": lambda a, slope=0.01: np.where(a > 0, a, a * slope),
    "elu": elu,
    "gelu": gelu,
    "silu": lambda a: a * sigmoid(a),
    "softplus": softplus,
    "hardtanh": lambda a, low=-1.0, high=1.0: np.minimum(np.maximum(a, low), high),
}
"""Functions of numbers that frameworks and NumPy call alike, or nearly so."""
