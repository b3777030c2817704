"""What a NumPy function does to one state, as a list of operations on numbers: found by calling it.

An array of symbols stands where the function expects its states; whatever is done to them is written down. What has
no place in such a list raises `UntraceableError`: values that decide which way to go, where they are not allowed to,
whole numbers, random numbers, other libraries. Whether the function does anything besides, as writing into what is
not its own, is `purity`'s business.

One file, since all of it is what may happen to a symbol: as a number, in an array, in functions of NumPy and of `math`,
and where it decides which way to go.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any

import numpy as np

from lyapmap.backends.numpy.stand_ins import NumpyStandIn, copy_of

MOST_OPERATIONS = 4000
MOST_WAYS = 12
"""Ways that a function may go, as its branches lead."""
DEPTH = 4
"""Of functions that call functions of a user's own."""

EXTERNAL = (
    "sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh",
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "cbrt", "power", "float_power", "arctan2", "hypot",
    "remainder", "fmod", "floor_divide", "logaddexp",
)  # fmt: skip
"""Functions that each library computes in its own way, to the last bit."""
EXACT = {
    "add": "add", "subtract": "sub", "multiply": "mul", "divide": "div", "true_divide": "div", "negative": "neg",
    "positive": "same", "square": "square", "reciprocal": "reciprocal", "sqrt": "sqrt", "absolute": "abs",
    "fabs": "abs", "sign": "sign", "floor": "floor", "ceil": "ceil", "trunc": "trunc", "rint": "rint",
    "maximum": "max", "minimum": "min", "less": "lt", "less_equal": "le", "greater": "gt", "greater_equal": "ge",
    "equal": "eq", "not_equal": "ne", "logical_and": "and", "logical_or": "or", "logical_not": "not",
    "bitwise_and": "and", "bitwise_or": "or", "invert": "not", "isnan": "isnan", "isfinite": "isfinite",
    "conjugate": "same", "degrees": None, "radians": None,
}  # fmt: skip
"""Functions of which IEEE arithmetic leaves one result only, and what they are called here."""
LOGICAL = ("lt", "le", "gt", "ge", "eq", "ne", "and", "or", "not", "isnan", "isfinite")
_MATH = {
    "acos": "arccos", "asin": "arcsin", "atan": "arctan", "atan2": "arctan2", "acosh": "arccosh", "asinh": "arcsinh",
    "atanh": "arctanh", "pow": "power", "fabs": "abs",
}  # fmt: skip
_MATH_NAMES = ("sin", "cos", "tan", "sinh", "cosh", "tanh", "exp", "expm1", "log", "log2", "log10", "log1p", "hypot",
               "sqrt", *_MATH)  # fmt: skip
"""Functions of `math` that are known here."""


class UntraceableError(BaseException):
    """The function does what a list of operations cannot hold. Not for a user's own `except` to catch."""


class _OtherWayError(BaseException):
    """A branch was met of which no way is chosen yet."""


Operation = tuple[Any, ...]
"""A name and numbers of earlier operations; ("x", i), ("p", i) and ("lit", value) begin."""


@dataclass
class Graph:
    """Operations on numbers, none twice; arguments come before what is made of them.

    Attributes
    ----------
    operations : list
    constants : list of float
        Values of parameters ("p", i), which may be others at another time.
    decisions : list of bool
        Which way to go at each branch, in the order in which they are met.
    frozen : bool
        Whether constants are written into the code, as Numba does.
    """

    frozen: bool = False
    branches: bool = False
    operations: list[Operation] = field(default_factory=list)
    constants: list[float] = field(default_factory=list)
    known: dict[Operation, int] = field(default_factory=dict)
    decisions: list[bool] = field(default_factory=list)
    met: dict[int, bool] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)

    def add(self, name: str, *given: Any) -> int:
        """The number of an operation."""
        key = (name, *given)
        number = self.known.get(key)
        if number is None:
            if len(self.operations) >= MOST_OPERATIONS:
                raise UntraceableError("too many operations")
            number = self.known[key] = len(self.operations)
            self.operations.append(key)
        return number

    def literal(self, value: float) -> int:
        return self.add("lit", value.hex())

    def constant(self, value: Any) -> int:
        """A number that is not of the state."""
        if isinstance(value, bool | np.bool_):
            return self.add("true" if value else "false")
        if isinstance(value, int | np.integer):
            exact = float(value)
            if int(exact) != value:
                raise UntraceableError("a whole number that is too large")
            return self.literal(exact)
        if isinstance(value, float | np.float64 | np.float32 | np.float16):
            if self.frozen or not math.isfinite(value):
                return self.literal(float(value))
            self.constants.append(float(value))
            return self.add("p", len(self.constants) - 1)
        raise UntraceableError(f"a {type(value).__name__}")

    def is_logical(self, number: int) -> bool:
        name = self.operations[number][0]
        if name == "select":
            return self.is_logical(self.operations[number][2])
        return name in LOGICAL or name in ("true", "false")

    def decide(self, condition: int) -> bool:
        """Which way a branch goes."""
        name = self.operations[condition][0]
        if name in ("true", "false"):
            return name == "true"
        if not self.branches:
            raise UntraceableError("a branch")
        if condition not in self.met:
            if len(self.order) == len(self.decisions):
                raise _OtherWayError
            self.met[condition] = self.decisions[len(self.order)]
            self.order.append(condition)
        return self.met[condition]


class Symbol:
    """A number of a state, or what was made of some."""

    __slots__ = ("graph", "number")

    def __init__(self, graph: Graph, number: int) -> None:
        self.graph, self.number = graph, number

    def __array_ufunc__(self, ufunc: Any, method: str, *given: Any, **options: Any) -> Any:
        return _ufunc(self.graph, ufunc, method, given, options)

    def __array_function__(self, function: Any, types: Any, given: Any, options: Any) -> Any:
        return _function(self.graph, function, given, options)

    def __pow__(self, other: Any) -> Any:
        return _power_of_scalars(self.graph, self, other)

    def __rpow__(self, other: Any) -> Any:
        return _power_of_scalars(self.graph, other, self)

    def __bool__(self) -> bool:
        if not self.graph.is_logical(self.number):
            return bool(self != 0)
        return self.graph.decide(self.number)

    def __abs__(self) -> Any:
        return _operation(self.graph, "abs", self)

    def __neg__(self) -> Any:
        return _operation(self.graph, "neg", self)

    def __pos__(self) -> Any:
        return self

    def __invert__(self) -> Any:
        return _operation(self.graph, "not", self)

    def item(self) -> Any:
        return self

    def copy(self) -> Any:
        return self

    def _lost(self, *_: Any, **__: Any) -> Any:
        raise UntraceableError("a value that is needed")

    __float__ = __int__ = __index__ = __complex__ = __round__ = __floor__ = __ceil__ = __trunc__ = _lost
    __repr__ = __str__ = __format__ = __hash__ = _lost
    __divmod__ = __rdivmod__ = __matmul__ = _lost


def _two(name: str, turned: bool = False) -> Callable[[Symbol, Any], Any]:
    def operator(self: Symbol, other: Any) -> Any:
        if isinstance(other, np.ndarray) or not isinstance(other, Symbol | int | float | np.number | bool | np.bool_):
            return NotImplemented
        pair = (other, self) if turned else (self, other)
        return _operation(self.graph, name, *pair)

    return operator


for _dunder, _name in {
    "add": "add", "sub": "sub", "mul": "mul", "truediv": "div", "mod": "remainder", "floordiv": "floor_divide",
    "and": "and", "or": "or",
}.items():  # fmt: skip
    setattr(Symbol, f"__{_dunder}__", _two(_name))
    setattr(Symbol, f"__r{_dunder}__", _two(_name, turned=True))
for _dunder in ("lt", "le", "gt", "ge", "eq", "ne"):
    setattr(Symbol, f"__{_dunder}__", _two(_dunder))


class Symbols(np.ndarray):
    """An array of symbols and numbers."""

    graph: Graph

    def __array_finalize__(self, made_from: Any) -> None:
        self.graph = getattr(made_from, "graph", None)  # type: ignore[assignment]

    def __array_ufunc__(self, ufunc: Any, method: str, *given: Any, **options: Any) -> Any:
        return _ufunc(self.graph, ufunc, method, given, options)

    def __array_function__(self, function: Any, types: Any, given: Any, options: Any) -> Any:
        return _function(self.graph, function, given, options)

    def __pow__(self, other: Any, modulo: Any = None) -> Any:
        return _power_of_arrays(self, other)

    def __ipow__(self, other: Any) -> Any:  # type: ignore[misc,override]
        self[...] = _power_of_arrays(self, other)
        return self

    def astype(self, dtype: Any, *_: Any, **__: Any) -> Any:
        if np.dtype(dtype) != np.float64 or any(_logical(value) for value in self.ravel().view(np.ndarray)):
            raise UntraceableError(f"as {dtype}")
        return self.copy()

    def round(self, *_: Any, **__: Any) -> Any:
        raise UntraceableError("round")

    @property
    def dtype(self) -> Any:
        return np.dtype(np.float64)


def _logical(value: Any) -> bool:
    return isinstance(value, bool | np.bool_) or (isinstance(value, Symbol) and value.graph.is_logical(value.number))


def symbols(graph: Graph, values: Any) -> Symbols:
    """An array of objects as one that writes down what is done to it."""
    made = np.asarray(values, object).view(Symbols)
    made.graph = graph
    return made


def _number(graph: Graph, value: Any, logical: bool = False) -> int:
    """The number of what an element stands for."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    number = value.number if isinstance(value, Symbol) else graph.constant(value)
    if isinstance(value, Symbol) and value.graph is not graph:
        raise UntraceableError("a value of another call")
    if logical and not graph.is_logical(number):
        raise UntraceableError("a number where true or false is meant")
    if not logical and graph.is_logical(number):
        return graph.add("select", number, graph.literal(1.0), graph.literal(0.0))
    return number


def _operation(graph: Graph, name: str, *given: Any) -> Any:
    """An operation on numbers; on those that are no symbols it is left to Python where that is the same."""
    if name == "same":
        return given[0]
    if name in ("and", "or", "not"):
        return Symbol(graph, graph.add(name, *(_number(graph, value, logical=True) for value in given)))
    if name in ("add", "sub", "mul", "div", "remainder", "floor_divide") and all(_logical(value) for value in given):
        raise UntraceableError("arithmetic of true and false")
    if name in ("eq", "ne") and all(_logical(value) for value in given):
        raise UntraceableError("true and false compared")
    numbers = [_number(graph, value) for value in given]
    if name == "square":
        return Symbol(graph, graph.add("mul", numbers[0], numbers[0]))
    if name == "reciprocal":
        return Symbol(graph, graph.add("div", graph.literal(1.0), numbers[0]))
    return Symbol(graph, graph.add(name, *numbers))


def _power_of_scalars(graph: Graph, base: Any, exponent: Any) -> Any:
    if isinstance(base, np.ndarray) or isinstance(exponent, np.ndarray):
        return NotImplemented
    if graph.frozen and isinstance(exponent, int) and not isinstance(exponent, bool):
        return Symbol(graph, graph.add("ipow", _number(graph, base), int(exponent)))
    return _operation(graph, "math.pow", base, exponent)


def _power_of_arrays(base: Symbols, exponent: Any) -> Any:
    """As NumPy's arrays take powers: a few have ways of their own."""
    graph = base.graph
    if isinstance(exponent, int | float | np.floating | np.integer) and not isinstance(exponent, bool):
        if graph.frozen and isinstance(exponent, int):
            return _elementwise(graph, "ipow", [base], exponent)
        own = {1: "same", 2: "square", -1: "reciprocal", 0.5: "sqrt"}.get(float(exponent))
        if own is not None:
            return _elementwise(graph, own, [base])
        if float(exponent) == 0:
            raise UntraceableError("power 0")
    return _elementwise(graph, "power", [base, exponent])


def _elementwise(graph: Graph, name: str, given: Sequence[Any], power: int | None = None) -> Any:
    def scalar(*values: Any) -> Any:
        if power is not None:
            return Symbol(graph, graph.add("ipow", _number(graph, values[0]), power))
        return _operation(graph, name, *values)

    made = np.frompyfunc(scalar, len(given), 1)(*(_plain(value) for value in given))
    return made if isinstance(made, Symbol) else symbols(graph, made)


def _plain(value: Any) -> Any:
    """As an ordinary array of objects."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "fiubO":
            raise UntraceableError(f"{value.dtype}")
        return np.asarray(value).view(np.ndarray) if isinstance(value, Symbols) else value.astype(object)
    if isinstance(value, Symbol):
        made = np.empty((), object)
        made[()] = value
        return made
    if isinstance(value, list | tuple):
        return np.array(value, dtype=object)
    return value


def _ufunc(graph: Graph, ufunc: Any, method: str, given: Sequence[Any], options: dict[str, Any]) -> Any:
    options = dict(options)
    out = options.pop("out", (None,))[0]
    if options.pop("dtype", None) not in (None, float, np.float64) or options.pop("where", True) is not True:
        raise UntraceableError(f"{ufunc.__name__} with options")
    options.pop("casting", None), options.pop("subok", None), options.pop("order", None)
    name = ufunc.__name__
    own = EXACT.get(name, name if name in EXTERNAL else None)
    if method == "__call__" and not options:
        if name == "matmul":
            result: Any = _matmul(graph, *given)
        elif name == "clip":
            result = _elementwise(graph, "min", [_elementwise(graph, "max", given[:2]), given[2]])
        elif name == "power" and graph.frozen and isinstance(given[1], int):
            result = _elementwise(graph, "ipow", given[:1], given[1])
        elif own is None:
            raise UntraceableError(name)
        else:
            result = _elementwise(graph, own, given)
    elif method in ("reduce", "accumulate") and own in ("add", "mul", "max", "min", "and", "or"):
        result = _reduced(graph, own, method, given, options)
    else:
        raise UntraceableError(f"{name}.{method}")
    if out is None:
        return result
    if not isinstance(out, Symbols):
        raise UntraceableError("writing into an array of numbers")
    out[...] = result
    return out


def _reduced(graph: Graph, own: str, method: str, given: Sequence[Any], options: dict[str, Any]) -> Any:
    array = _plain(given[0])
    axis = options.pop("axis", given[1] if len(given) > 1 else 0)
    keepdims = bool(options.pop("keepdims", False))
    if options or len(given) > 2 or isinstance(axis, tuple):
        raise UntraceableError(f"{own}.{method} with options")
    shape = array.shape
    if axis is None:
        array, axis = array.ravel(), 0
    two = np.frompyfunc(lambda a, b: _operation(graph, own, a, b), 2, 1)
    if method == "accumulate":
        return symbols(graph, two.accumulate(array, axis))
    if array.shape[axis] == 0:
        raise UntraceableError("a sum of nothing")
    made = two.reduce(array, axis)
    if keepdims:
        kept = [1] * len(shape) if array.ndim == 1 != len(shape) else [*shape[:axis], 1, *shape[axis:][1:]]
        return symbols(graph, np.reshape(np.asarray(made, object), kept))
    return made if isinstance(made, Symbol) else symbols(graph, made)


def _matmul(graph: Graph, a: Any, b: Any) -> Any:
    made = np.matmul(_plain(a), _plain(b))
    return symbols(graph, made) if isinstance(made, np.ndarray) else made


_SHAPES = frozenset({
    "stack", "concatenate", "hstack", "vstack", "column_stack", "dstack", "roll", "reshape", "ravel", "transpose",
    "moveaxis", "swapaxes", "squeeze", "expand_dims", "flip", "fliplr", "flipud", "tile", "repeat", "take", "split",
    "array_split", "diagonal", "diag", "copy", "broadcast_to", "atleast_1d", "atleast_2d", "sum", "prod", "mean",
    "cumsum", "diff", "trace", "shape", "ndim", "size", "zeros_like", "ones_like", "empty_like", "full_like", "amax",
    "amin", "max", "min", "any", "all", "dot", "inner", "vdot", "outer", "append", "insert", "delete", "rot90",
    "hsplit", "vsplit",
})  # fmt: skip
"""Functions of NumPy that do to objects what they do to numbers, or consist of ufuncs."""


def _function(graph: Graph, function: Any, given: Any, options: Any) -> Any:
    name = function.__name__
    if not function.__module__.startswith("numpy") or function.__module__.startswith(("numpy.linalg", "numpy.fft")):
        raise UntraceableError(name)
    if name == "where" and len(given) == 3 and not options:
        condition, first, second = given

        def select(c: Any, a: Any, b: Any) -> Any:
            return Symbol(graph, graph.add("select", _number(graph, c, True), _number(graph, a), _number(graph, b)))

        made = np.frompyfunc(select, 3, 1)(_plain(condition), _plain(first), _plain(second))
        return made if isinstance(made, Symbol) else symbols(graph, made)
    if name == "clip" and len(given) == 3 and not options:
        return _elementwise(graph, "min", [_elementwise(graph, "max", given[:2]), given[2]])
    if name in ("asarray", "array"):
        return symbols(graph, given[0])
    if name not in _SHAPES:
        raise UntraceableError(name)
    wrapped = [_seen(graph, value) for value in given]
    return function._implementation(*wrapped, **{key: _seen(graph, value) for key, value in options.items()})


def _seen(graph: Graph, value: Any) -> Any:
    if isinstance(value, Symbol):
        made = np.empty((), object)
        made[()] = value
        return symbols(graph, made)
    if isinstance(value, list | tuple) and any(isinstance(part, Symbol | Symbols) for part in value):
        return type(value)(_seen(graph, part) for part in value)
    return value


class _Numpy(NumpyStandIn):
    """NumPy, whose new arrays of real numbers take symbols."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def __getattr__(self, name: str) -> Any:
        if name in ("random", "save", "load", "savetxt", "vectorize", "frompyfunc", "nditer", "memmap"):
            raise UntraceableError(f"np.{name}")
        return super().__getattr__(name)

    def _taking(self, array: Any) -> Any:
        kind = np.asarray(array).dtype.kind
        if kind in "cSUV":
            raise UntraceableError(f"an array of {np.asarray(array).dtype}")
        return symbols(self._graph, array) if kind in "fO" else array

    def full(self, shape: Any, value: Any, *given: Any, **options: Any) -> Any:
        made = self.zeros(shape)
        made[...] = value
        return made

    def array(self, value: Any, dtype: Any = None, **options: Any) -> Any:
        if dtype not in (None, float, np.float64) or options.keys() - {"copy"}:
            raise UntraceableError("np.array with options")
        return self._taking(joined(value) if dtype is None else np.asarray(joined(value)).astype(object))

    asarray = asanyarray = ascontiguousarray = array

    def float64(self, value: Any) -> Any:
        return value if isinstance(value, Symbol | Symbols) else np.float64(value)


def joined(value: Any) -> Any:
    """A nested list as an array: of objects where there is a symbol in it."""
    if isinstance(value, np.ndarray | Symbol):
        return np.array(value, copy=True, subok=True) if isinstance(value, np.ndarray) else _plain(value)
    flat = [value]
    while any(isinstance(part, list | tuple) for part in flat):
        flat = [item for part in flat for item in (part if isinstance(part, list | tuple) else (part,))]
    if any(isinstance(part, Symbol) or (isinstance(part, np.ndarray) and part.dtype == object) or
           isinstance(part, Symbols) for part in flat):  # fmt: skip
        return np.array(_listed(value), dtype=object)
    return np.array(value)


def _listed(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_listed(part) for part in value]
    return _plain(value).tolist() if isinstance(value, np.ndarray) and value.ndim else value


class _Math:
    """`math`, whose functions take symbols too."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def __getattr__(self, name: str) -> Any:
        return _of_math(self._graph, getattr(math, name))


def _of_math(graph: Graph, function: Any) -> Any:
    if not callable(function) or function.__name__ not in _MATH_NAMES:
        return function
    name = _MATH.get(function.__name__, function.__name__)

    def either(*given: Any) -> Any:
        if not any(isinstance(value, Symbol) for value in given):
            return function(*given)
        if name in ("abs", "sqrt"):
            return _operation(graph, name, *given)
        if len(given) > 1 and name == "log":
            raise UntraceableError("math.log with a base")
        return _operation(graph, "math.pow" if name == "power" else f"math.{name}", *given)

    return either


def fitted(graph: Graph, function: Any, depth: int = DEPTH) -> Any:
    """A copy of a Python function that sees modules for symbols; made for every call, so that it sees values of now."""
    function = getattr(function, "py_func", function)
    if not isinstance(function, FunctionType) or depth == 0 or function.__module__.startswith("numpy"):
        return function

    def seen(value: Any) -> Any:
        if value is np:
            return _Numpy(graph)
        if value is math:
            return _Math(graph)
        if getattr(value, "__module__", None) == "math" and callable(value):
            return _of_math(graph, value)
        if value in (np.array, np.asarray, np.zeros, np.empty, np.ones, np.full) if callable(value) else False:
            return getattr(_Numpy(graph), value.__name__)
        value = getattr(value, "py_func", value)
        return fitted(graph, value, depth - 1) if isinstance(value, FunctionType) and value is not function else value

    return copy_of(function, seen, seen)


@dataclass(frozen=True)
class Program:
    """What a function does to one state.

    Attributes
    ----------
    operations : tuple
        See `Graph`.
    ends : tuple
        What comes out: numbers of operations for n values, or (condition, ends if true, ends if false).
    constants : tuple of float
    n : int
    """

    operations: tuple[Operation, ...]
    ends: Any
    constants: tuple[float, ...]
    n: int


def traced(
    function: Callable[[Any, Any], Any], n: int, *, size: int = 0, frozen: bool = False, branches: bool = False
) -> Program:
    """What a function of an array of n symbols does.

    Parameters
    ----------
    function : callable
        Takes (graph, symbols (n,)) and gives n values.
    n : int
    size : int
        Of what is given, where it is not n: n values and a Jacobian (n, n).
    frozen : bool
        Whether constants belong to the program.
    branches : bool
        Whether values may decide which way to go.

    Raises
    ------
    UntraceableError
    """
    graph = Graph(frozen=frozen, branches=branches)
    ways = [0]

    def explore(decisions: list[bool]) -> Any:
        graph.decisions, graph.met, graph.order = decisions, {}, []
        given = symbols(graph, [Symbol(graph, graph.add("x", i)) for i in range(n)])
        try:
            with np.errstate(all="ignore"):
                outputs = function(graph, given)
        except _OtherWayError:
            condition = None
        except (UntraceableError, KeyboardInterrupt):
            raise
        except Exception as error:
            raise UntraceableError(f"{type(error).__name__}: {error}") from None
        else:
            ways[0] += 1
            if ways[0] > MOST_WAYS:
                raise UntraceableError("too many ways")
            values = np.asarray(joined(outputs), object).view(np.ndarray).ravel()
            if values.size != (size or n):
                raise UntraceableError(f"{values.size} values")
            return tuple(_number(graph, value) for value in values)
        del condition
        if len(decisions) > MOST_WAYS:
            raise UntraceableError("too many ways")
        first = explore([*decisions, True])
        condition = graph.order[len(decisions)]
        return condition, first, explore([*decisions, False])

    ends = explore([])
    return Program(tuple(graph.operations), ends, tuple(graph.constants), n)
