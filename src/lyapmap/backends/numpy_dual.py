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

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

_Array = NDArray[Any]

ANALYTIC = frozenset(
    "add subtract multiply divide negative positive square reciprocal power exp sin cos sqrt log sinh cosh tanh "
    "matmul getitem setitem stack concatenate column_stack hstack vstack reshape ravel transpose copy pad sum mean "
    "zeros_like empty_like ones_like full_like moveaxis swapaxes squeeze expand_dims roll shape ndim size".split()
)
"""Operations that complex numbers with a tiny imaginary part go through exactly, wherever they are defined."""


class OpaqueError(TypeError):
    """The tangents would be lost here."""


class Dual:
    """An array with tangents.

    Parameters
    ----------
    value : array of any shape
    tangent : (k, *shape)
        Derivative of the values in k directions.
    """

    __slots__ = ("tangent", "value")
    __hash__ = None  # type: ignore[assignment]
    __array_priority__ = 1000.0

    notes: ClassVar[set[str] | None] = None
    """What was done, where anybody asks; see `noting`."""

    value: Any
    tangent: _Array

    def __init__(self, value: Any, tangent: _Array) -> None:
        self.value = value
        self.tangent = tangent

    # What NumPy asks for.

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if method == "__call__":
            return _ufunc(type(self), ufunc, inputs, **options)
        if method == "reduce" and ufunc in _REDUCTIONS:
            options = {name: value for name, value in options.items() if value is not None and name != "dtype"}
            axis = options.pop("axis", 0)
            return _REDUCTIONS[ufunc](type(self), inputs[0], axis=axis, **options)
        if method == "at":
            raise OpaqueError(f"no derivative of {ufunc.__name__}.{method}")
        self._note(ufunc.__name__)
        return getattr(ufunc, method)(*(_objects(value) for value in inputs), **options)

    def __array_function__(self, function: Any, types: Any, given: Any, options: Any) -> Any:
        name = function.__name__
        self._note(name)
        rule = _FUNCTIONS.get(function)
        if rule is not None:
            return rule(type(self), *given, **options)
        if function in _LINEAR or function in _MULTILINEAR:
            return _by_direction(type(self), function, given, options)
        if function.__module__.startswith(("numpy.fft", "numpy.linalg")):
            raise OpaqueError(f"no derivative of {name}")
        return function._implementation(*given, **options)

    def __array_namespace__(self, api_version: str | None = None) -> Any:
        return np

    def _note(self, name: str) -> None:
        if self.notes is not None:
            self.notes.add(name)

    # What Python asks for.

    def __add__(self, other: Any) -> Any:
        return _ufunc(type(self), np.add, (self, other))

    def __radd__(self, other: Any) -> Any:
        return _ufunc(type(self), np.add, (other, self))

    def __sub__(self, other: Any) -> Any:
        return _ufunc(type(self), np.subtract, (self, other))

    def __rsub__(self, other: Any) -> Any:
        return _ufunc(type(self), np.subtract, (other, self))

    def __mul__(self, other: Any) -> Any:
        return _ufunc(type(self), np.multiply, (self, other))

    def __rmul__(self, other: Any) -> Any:
        return _ufunc(type(self), np.multiply, (other, self))

    def __truediv__(self, other: Any) -> Any:
        return _ufunc(type(self), np.divide, (self, other))

    def __rtruediv__(self, other: Any) -> Any:
        return _ufunc(type(self), np.divide, (other, self))

    def __floordiv__(self, other: Any) -> Any:
        return _ufunc(type(self), np.floor_divide, (self, other))

    def __rfloordiv__(self, other: Any) -> Any:
        return _ufunc(type(self), np.floor_divide, (other, self))

    def __mod__(self, other: Any) -> Any:
        return _ufunc(type(self), np.remainder, (self, other))

    def __rmod__(self, other: Any) -> Any:
        return _ufunc(type(self), np.remainder, (other, self))

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> Any:
        return other // self, other % self

    def __pow__(self, other: Any) -> Any:
        return _ufunc(type(self), np.power, (self, other))

    def __rpow__(self, other: Any) -> Any:
        return _ufunc(type(self), np.power, (other, self))

    def __matmul__(self, other: Any) -> Any:
        return _ufunc(type(self), np.matmul, (self, other))

    def __rmatmul__(self, other: Any) -> Any:
        return _ufunc(type(self), np.matmul, (other, self))

    def __neg__(self) -> Any:
        return _ufunc(type(self), np.negative, (self,))

    def __pos__(self) -> Any:
        return self.copy()

    def __abs__(self) -> Any:
        return _ufunc(type(self), np.absolute, (self,))

    def __lt__(self, other: Any) -> Any:
        return _ufunc(type(self), np.less, (self, other))

    def __le__(self, other: Any) -> Any:
        return _ufunc(type(self), np.less_equal, (self, other))

    def __gt__(self, other: Any) -> Any:
        return _ufunc(type(self), np.greater, (self, other))

    def __ge__(self, other: Any) -> Any:
        return _ufunc(type(self), np.greater_equal, (self, other))

    def __eq__(self, other: object) -> Any:
        return _ufunc(type(self), np.equal, (self, other))

    def __ne__(self, other: object) -> Any:
        return _ufunc(type(self), np.not_equal, (self, other))

    def _changed(self, ufunc: np.ufunc, other: Any) -> Any:
        if np.ndim(self.value) == 0 and not isinstance(self.value, np.ndarray):
            return _ufunc(type(self), ufunc, (self, other))  # numbers are not changed in place
        return _ufunc(type(self), ufunc, (self, other), out=(self,))

    def __iadd__(self, other: Any) -> Any:
        return self._changed(np.add, other)

    def __isub__(self, other: Any) -> Any:
        return self._changed(np.subtract, other)

    def __imul__(self, other: Any) -> Any:
        return self._changed(np.multiply, other)

    def __itruediv__(self, other: Any) -> Any:
        return self._changed(np.divide, other)

    def __ifloordiv__(self, other: Any) -> Any:
        return self._changed(np.floor_divide, other)

    def __imod__(self, other: Any) -> Any:
        return self._changed(np.remainder, other)

    def __ipow__(self, other: Any) -> Any:
        return self._changed(np.power, other)

    def __bool__(self) -> bool:
        self._note("bool")
        return bool(self.value)

    def __int__(self) -> int:
        self._note("int")
        return int(self.value)

    def __trunc__(self) -> int:
        return int(self)

    def __floor__(self) -> int:
        self._note("floor")
        return math.floor(self.value)

    def __ceil__(self) -> int:
        self._note("ceil")
        return math.ceil(self.value)

    def __round__(self, digits: int | None = None) -> Any:
        self._note("round")
        return round(float(self.value), digits)

    def __float__(self) -> float:
        raise OpaqueError("float(x) has no tangent")

    def __complex__(self) -> complex:
        raise OpaqueError("complex(x) has no tangent")

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of unsized object")
        return int(self.shape[0])

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    def __contains__(self, item: Any) -> bool:
        return bool((self == item).any())

    def __getitem__(self, key: Any) -> Any:
        if self.notes is not None:
            self.notes.add("getitem")
        if type(key) is int:
            return type(self)(self.value[key], self.tangent[:, key])
        if _basic(key):
            return type(self)(self.value[key], self.tangent[(slice(None), *_parts(key))])
        value = self.value[_key(key)]
        last = np.moveaxis(self.tangent, 0, -1)[_with_last(key)]
        return type(self)(value, np.moveaxis(last, -1, 0))

    def __setitem__(self, key: Any, item: Any) -> None:
        self._note("setitem")
        item = as_dual(type(self), item, len(self.tangent))
        self.value[_key(key)] = item.value
        tangent = np.moveaxis(self.tangent, 0, -1)
        if not _basic(key) or isinstance(key, tuple):
            tangent[_with_last(key)] = np.moveaxis(item.tangent, 0, -1)
        else:
            tangent[key] = np.moveaxis(item.tangent, 0, -1)

    def __copy__(self) -> Dual:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> Dual:
        return self.copy()

    # What users of arrays ask for.

    @property
    def shape(self) -> tuple[int, ...]:
        return np.shape(self.value)

    @property
    def ndim(self) -> int:
        return np.ndim(self.value)

    @property
    def size(self) -> int:
        return int(np.size(self.value))

    @property
    def dtype(self) -> Any:
        return self.value.dtype

    @property
    def T(self) -> Dual:  # noqa: N802  # NumPy's name
        return self.transpose()

    @property
    def real(self) -> Any:
        self._note("real")
        return type(self)(self.value.real, self.tangent.real)

    @property
    def imag(self) -> Any:
        self._note("imag")
        return type(self)(self.value.imag, self.tangent.imag)

    def conj(self) -> Any:
        return _ufunc(type(self), np.conjugate, (self,))

    conjugate = conj

    def copy(self, order: str = "C") -> Dual:
        return type(self)(self.value.copy(), self.tangent.copy())

    def astype(self, dtype: Any, **_: Any) -> Any:
        kind = np.dtype(dtype).kind
        self._note("copy" if np.dtype(dtype) == self.dtype else "astype")
        if kind in "fc":
            if kind == "f" and self.dtype.kind == "c":
                return type(self)(self.value.real.astype(dtype), self.tangent.real.astype(dtype))
            return type(self)(self.value.astype(dtype), self.tangent.astype(dtype))
        if kind == "O":
            return _objects(self)
        return self.value.astype(dtype)

    def reshape(self, *shape: Any, **_: Any) -> Dual:
        sizes = shape[0] if len(shape) == 1 and not isinstance(shape[0], (int, np.integer)) else shape
        self._note("reshape")
        value = np.reshape(self.value, sizes)
        return type(self)(value, self.tangent.reshape(len(self.tangent), *value.shape))

    def ravel(self, *_: Any) -> Dual:
        return self.reshape(-1)

    def flatten(self, *_: Any) -> Dual:
        return self.reshape(-1).copy()

    def transpose(self, *axes: Any) -> Dual:
        order = axes[0] if len(axes) == 1 and isinstance(axes[0], (tuple, list)) else axes
        order = tuple(int(i) % self.ndim for i in order) if order and order != (None,) else range(self.ndim)[::-1]
        self._note("transpose")
        return type(self)(self.value.transpose(tuple(order)), self.tangent.transpose(0, *(i + 1 for i in order)))

    def item(self, *index: Any) -> Any:
        return self.reshape(-1)[0] if not index else self[index] if len(index) > 1 else self.reshape(-1)[index[0]]

    def tolist(self) -> Any:
        return self if self.ndim == 0 else [part.tolist() for part in self]

    def fill(self, value: Any) -> None:
        self[...] = value

    def dot(self, other: Any) -> Any:
        return np.dot(self, other)

    def clip(self, low: Any = None, high: Any = None, **options: Any) -> Any:
        return np.clip(self, options.get("min", low), options.get("max", high))

    def __getattr__(self, name: str) -> Any:
        # Methods of arrays, of which NumPy has a function of that name; and of the numbers in an array of
        # objects, which ufuncs ask for their own name.
        function = getattr(np, name, None) if name in _METHODS or not name.startswith("_") else None
        if name in _METHODS:
            return lambda *given, **options: function(self, *given, **options)  # type: ignore[misc]
        if isinstance(function, np.ufunc):
            return lambda *given: _ufunc(type(self), function, (self, *given))
        raise AttributeError(f"no {name} of dual numbers")


_METHODS = frozenset(
    "sum mean prod min max argmin argmax argsort any all std var round cumsum cumprod repeat squeeze swapaxes take "
    "trace diagonal ptp nonzero searchsorted".split()
)


def noting() -> tuple[type[Dual], set[str]]:
    """A kind of dual numbers that takes notes, and the notes."""
    notes: set[str] = set()
    return type("Noting", (Dual,), {"notes": notes, "__slots__": (), "__hash__": None}), notes


def tangents_of(function: Callable[[Any], Any], x: _Array, v: _Array, kind: type[Dual] = Dual) -> tuple[_Array, _Array]:
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


def as_dual(kind: type[Dual], value: Any, k: int) -> Dual:
    """Dual numbers of an array, number or nested list of them; what is plain has no tangents."""
    if isinstance(value, Dual):
        return value
    array = value
    if not isinstance(value, (np.ndarray, np.generic, float, int, complex)):
        array = _object_array(value)
    if isinstance(array, np.ndarray) and array.dtype == object:
        return _gathered(kind, array, k)
    array = np.asarray(array)
    return kind(array, np.zeros((k, *array.shape), array.dtype if array.dtype.kind in "fc" else float))


def _object_array(value: Any) -> Any:
    """Lists and tuples of dual numbers and others as an array."""
    if isinstance(value, (list, tuple)):
        return np.array([_object_array(part) for part in value], dtype=object)
    return _objects(value)


def _objects(value: Any) -> Any:
    """Dual arrays as arrays of objects, each a dual number; others as they are."""
    if not isinstance(value, Dual):
        return value
    array = np.empty(value.shape, object)
    for index in np.ndindex(*value.shape):
        array[index] = value[index]
    return array if array.ndim else array[()]


def _gathered(kind: type[Dual], array: _Array, k: int) -> Dual:
    """An array of objects as one of dual numbers."""
    flat = array.ravel()
    values = np.array([_number(part.value if isinstance(part, Dual) else part) for part in flat])
    if values.dtype.kind not in "fciub":
        raise OpaqueError(f"an array of {values.dtype}")
    if values.dtype.kind not in "fc":
        values = values.astype(float)
    tangents = np.zeros((k, len(flat)), values.dtype)
    for i, part in enumerate(flat):
        if isinstance(part, Dual):
            tangents[:, i] = part.tangent.reshape(k)
    return kind(values.reshape(array.shape), tangents.reshape(k, *array.shape))


def _number(value: Any) -> Any:
    return value[()] if isinstance(value, np.ndarray) else value


def _parts(key: Any) -> tuple[Any, ...]:
    return key if isinstance(key, tuple) else (key,)


_SIMPLE = frozenset({int, slice, type(None), type(Ellipsis), np.int64})


def _basic(key: Any) -> bool:
    """An index by integers and slices, which gives a view."""
    if type(key) is not tuple:
        return type(key) in _SIMPLE
    for part in key:  # quicker than all() of a generator, and in every step
        if type(part) not in _SIMPLE:
            return False
    return True


def _key(key: Any) -> Any:
    if isinstance(key, tuple):
        return tuple(part.value if isinstance(part, Dual) else part for part in key)
    return key.value if isinstance(key, Dual) else key


def _with_last(key: Any) -> tuple[Any, ...]:
    """A key for an array with one axis more at the end."""
    parts = _parts(_key(key))
    return (*parts, slice(None)) if any(part is Ellipsis for part in parts) else parts


# Rules of ufuncs: derivatives in the arguments, of (values, image); "+" and "-" for 1 and -1, None where there is none.

_Rule = Callable[..., Any]


def _constant(*_: Any) -> tuple[None, ...]:
    return (None, None)


def _power(a: Any, b: Any, y: Any) -> tuple[Any, Any]:
    below = np.where(np.equal(b, 0), 0.0, b * np.power(a, np.where(np.equal(b, 0), 1.0, np.subtract(b, 1.0))))
    return below, lambda: y * np.log(np.where(np.equal(a, 0), 1.0, a))


_CONSTANT = frozenset("floor ceil rint trunc sign heaviside floor_divide".split())
"""Functions with steps: their derivative is zero wherever there is one."""
_LOGICAL = frozenset(
    "less less_equal greater greater_equal equal not_equal isnan isinf isfinite signbit logical_and logical_or "
    "logical_not logical_xor bitwise_and bitwise_or invert".split()
)

_UFUNCS: dict[str, _Rule] = {
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
} | dict.fromkeys(_CONSTANT, _constant)

_REAL = frozenset("maximum minimum fmax fmin fabs arctan2 remainder fmod hypot cbrt copysign logaddexp".split())


def _square(a: Any) -> Any:
    return a * a


def _ufunc(
    kind: type[Dual], ufunc: np.ufunc, inputs: Sequence[Any], out: Any = None, where: Any = True, **options: Any
) -> Any:
    """The image of a ufunc and its tangents."""
    name = ufunc.__name__
    if kind.notes is not None:
        kind.notes.add(name if name != "power" or _small_power(inputs[1]) else "power of any exponent")
    if options and (options.get("casting", "same_kind") != "same_kind" or options.get("dtype") is not None):
        raise OpaqueError(f"no derivative of {name} with {', '.join(options)}")
    operands, values, k = inputs, [], -1
    for part in inputs:
        if isinstance(part, Dual):
            k = len(part.tangent)
            values.append(part.value)
        elif isinstance(part, (list, tuple)) or isinstance(part, np.ndarray) and part.dtype == object:
            k = -1
            break
        else:
            values.append(part)
    if k < 0:
        k = _count(*inputs, *(out or ()))
        operands = [as_dual(kind, part, k) if not np.isscalar(part) else part for part in inputs]
        values = [_value(part) for part in operands]
    if name in ("divmod", "modf"):
        if out is not None:
            raise OpaqueError(f"no derivative of {name} with out")
        if name == "divmod":
            return operands[0] // operands[1], operands[0] % operands[1]
        whole = _ufunc(kind, np.trunc, operands)
        return operands[0] - whole, whole
    if name == "power" and isinstance(values[1], (int, float)):
        y = values[0] ** values[1]  # as the operator has it, which squares
    else:
        y = ufunc(*values)
    if name in _LOGICAL:
        if out is not None or where is not True:
            raise OpaqueError(f"no derivative of {name} with out")
        return y
    rule = _UFUNCS.get(name)
    if rule is None:
        tangent = _special(name, operands, values, y)
    elif y.dtype.kind == "c" and name in _REAL:
        raise OpaqueError(f"no derivative of {name} of complex numbers")
    else:
        tangent = _chained(operands, rule(*values, y), y, k)
    if out is not None:
        return _written(out, y, tangent, where)
    if where is not True:
        raise OpaqueError(f"no derivative of {name} with where and without out")
    return kind(y, tangent)


def _small_power(exponent: Any) -> bool:
    """Whether complex numbers are raised to a power as exactly as real ones."""
    return isinstance(exponent, (int, float)) and (abs(exponent) < 100 or exponent != int(exponent))


def _special(name: str, operands: Sequence[Any], values: Sequence[Any], y: Any) -> _Array:
    """Tangents of ufuncs that are no functions of numbers, or not of real ones alone."""
    if name == "matmul":
        return _matmul(operands, y)
    turned: _Array = operands[0].tangent
    if name == "conjugate":
        return turned.conj()
    if name == "absolute":
        if values[0].dtype.kind == "c":
            return np.asarray((np.conj(values[0]) * turned).real / np.where(y == 0, 1.0, y))
        return np.asarray(np.where(values[0] < 0, -turned, turned))
    raise OpaqueError(f"no derivative of {name}")


def _chained(operands: Sequence[Any], slopes: Sequence[Any], y: Any, k: int) -> _Array:
    """The chain rule: the sum over the arguments of derivative times tangent."""
    total: Any = None
    shape = y.shape
    for part, slope in zip(operands, slopes, strict=False):
        if not isinstance(part, Dual) or slope is None:
            continue
        tangent = part.tangent
        missing = len(shape) + 1 - tangent.ndim
        if missing:
            tangent = tangent.reshape(k, *(1,) * missing, *tangent.shape[1:])
        if callable(slope):
            slope = slope()
        if type(slope) is not str:
            tangent = tangent * slope
            total = tangent if total is None else total + tangent
        elif slope == "-":
            total = -tangent if total is None else total - tangent
        else:
            total = tangent.copy() if total is None else total + tangent
    if total is None:
        return np.zeros((k, *shape), y.dtype if y.dtype.kind in "fc" else float)
    if total.shape[1:] != shape:
        total = np.broadcast_to(total, (k, *shape)).copy()
    return total if total.dtype == y.dtype or y.dtype.kind not in "fc" else total.astype(y.dtype)


def _matmul(operands: Sequence[Any], y: Any) -> _Array:
    a, b = operands
    total: Any = None
    for part, product in (
        (a, lambda t: np.matmul(t, b.value if isinstance(b, Dual) else b)),
        (b, lambda t: np.matmul(a.value if isinstance(a, Dual) else a, t)),
    ):
        if isinstance(part, Dual):
            term = np.stack([product(t) for t in part.tangent]) if len(part.tangent) else np.zeros((0, *np.shape(y)))
            total = term if total is None else total + term
    return np.asarray(total)


def _written(out: Any, y: Any, tangent: _Array, where: Any) -> Dual:
    """The result written where a ufunc was told to."""
    target = out[0] if isinstance(out, tuple) else out
    if not isinstance(target, Dual):
        raise OpaqueError("an array of plain numbers takes no tangents")
    mask = where.value if isinstance(where, Dual) else where
    np.copyto(target.value, y, where=mask, casting="same_kind")
    np.copyto(target.tangent, tangent, where=mask, casting="same_kind")
    return target


# Rules of NumPy's functions: (kind of dual numbers, *arguments).


def _value(part: Any) -> Any:
    return part.value if isinstance(part, Dual) else part


def _count(*parts: Any) -> int:
    for part in parts:
        if isinstance(part, Dual):
            return len(part.tangent)
        if isinstance(part, (list, tuple)):
            k = _count(*part)
            if k >= 0:
                return k
    return -1


def _joined(function: Any) -> _Rule:
    """For functions that join arrays, whose axis is counted without that of the directions."""

    def rule(kind: type[Dual], arrays: Any, axis: int | None = 0, **options: Any) -> Any:
        if options or axis is None:
            raise OpaqueError(f"no derivative of {function.__name__} so")
        duals = arrays
        if not all([type(part) is kind for part in arrays]):
            k = _count(*arrays)
            duals = [as_dual(kind, part, k) for part in arrays]
        value = function([part.value for part in duals], axis=axis)
        tangent = function([part.tangent for part in duals], axis=axis + 1 if axis >= 0 else axis)
        return kind(value, tangent)

    return rule


def _where(kind: type[Dual], condition: Any, *choices: Any) -> Any:
    if not choices:
        return np.where(_value(condition))
    k = _count(condition, *choices)
    a, b = (as_dual(kind, part, k) for part in choices)
    mask = np.asarray(_value(condition), bool)
    value = np.where(mask, a.value, b.value)
    lifted = [
        part.tangent.reshape(k, *(1,) * (value.ndim - np.ndim(part.value)), *part.tangent.shape[1:]) for part in (a, b)
    ]
    return kind(value, np.where(mask, *lifted).astype(value.dtype, copy=False))


def _axes(axis: Any, ndim: int) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(ndim))
    return tuple(int(i) % ndim for i in (axis if isinstance(axis, tuple) else (axis,)))


def _sum(kind: type[Dual], a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    if out is not None or dtype is not None or not isinstance(a, Dual):
        _refuse("sum so")
    along = tuple(i + 1 for i in _axes(axis, a.ndim))
    keep = keepdims is True
    return kind(a.value.sum(axis=axis, keepdims=keep), a.tangent.sum(axis=along, keepdims=keep))


def _refuse(what: str) -> Any:
    raise OpaqueError(f"no derivative of {what}")


def _mean(kind: type[Dual], a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    if out is not None or dtype is not None or not isinstance(a, Dual):
        _refuse("mean so")
    along = tuple(i + 1 for i in _axes(axis, a.ndim))
    keep = keepdims is True
    return kind(a.value.mean(axis=axis, keepdims=keep), a.tangent.mean(axis=along, keepdims=keep))


def _var(
    kind: type[Dual], a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: int = 0, keepdims: Any = False
) -> Any:
    count = math.prod(a.shape[i] for i in _axes(axis, a.ndim))
    off = a - _mean(kind, a, axis, keepdims=True)
    return _sum(kind, off * off, axis, keepdims=keepdims is True) / (count - ddof)


def _extreme(pick: Any) -> _Rule:
    def rule(kind: type[Dual], a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, **options: Any) -> Any:
        if out is not None or options or not isinstance(a, Dual):
            _refuse("max so")
        if axis is None or (isinstance(axis, tuple) and len(axis) == a.ndim):
            flat = a.reshape(-1)
            best = flat[int(pick(flat.value))]
            return best.reshape((1,) * a.ndim) if keepdims is True else best
        place = np.expand_dims(pick(a.value, axis=axis), axis)
        taken = _taken(kind, a, place, axis)
        if keepdims is True:
            return taken
        axis = axis % a.ndim
        return kind(taken.value.squeeze(axis), taken.tangent.squeeze(axis + 1))

    return rule


def _taken(kind: type[Dual], a: Dual, place: Any, axis: int) -> Dual:
    value = np.take_along_axis(a.value, place, axis)
    along = axis % a.ndim + 1
    return kind(value, np.take_along_axis(a.tangent, np.broadcast_to(place, (len(a.tangent), *place.shape)), along))


def _sort(kind: type[Dual], a: Any, axis: Any = -1, **_: Any) -> Any:
    if axis is None:
        a, axis = a.reshape(-1), 0
    return _taken(kind, a, np.argsort(a.value, axis=axis, kind="stable"), axis)


def _plain_result(function: Any) -> _Rule:
    """For functions that tell something of values, which does not change with them."""

    def rule(kind: type[Dual], *given: Any, **options: Any) -> Any:
        return function(*(_values(part) for part in given), **{name: _values(part) for name, part in options.items()})

    return rule


def _values(part: Any) -> Any:
    if isinstance(part, (list, tuple)):
        return type(part)(_values(inner) for inner in part)
    return _value(part)


def _filled(value: float | None) -> _Rule:
    def rule(kind: type[Dual], a: Any, *given: Any, dtype: Any = None, shape: Any = None, **_: Any) -> Any:
        if value is None:
            fill, given = given[0], given[1:]
        else:
            fill = value
        dtype = given[0] if given else dtype
        made = np.full(a.shape if shape is None else shape, 0, dtype or a.dtype)
        if made.dtype.kind not in "fc":
            made[...] = _value(fill)
            return made
        result = as_dual(kind, made, len(a.tangent) if isinstance(a, Dual) else _count(fill))
        result[...] = fill
        return result

    return rule


def _clip(kind: type[Dual], a: Any, low: Any = None, high: Any = None, out: Any = None, **options: Any) -> Any:
    low, high = options.pop("a_min", options.pop("min", low)), options.pop("a_max", options.pop("max", high))
    result = a
    if low is not None:
        result = _ufunc(kind, np.maximum, (result, low))
    if high is not None:
        result = _ufunc(kind, np.minimum, (result, high))
    if out is not None:
        out[...] = result
        return out
    return result


def _round(kind: type[Dual], a: Any, decimals: int = 0, out: Any = None) -> Any:
    return as_dual(kind, np.round(a.value, decimals), len(a.tangent))


def _interp(kind: type[Dual], x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    if isinstance(xp, Dual) or isinstance(fp, Dual) or not isinstance(x, Dual):
        _refuse("interp by what depends on the state")
    y = np.interp(x.value, xp, fp, left, right, period)
    xp, fp, at = np.asarray(xp, float), np.asarray(fp, float), x.value
    if period is not None:
        at, order = at % period, np.argsort(xp % period)
        xp, fp = (xp % period)[order], fp[order]
        xp = np.concatenate([xp[-1:] - period, xp, xp[:1] + period])
        fp = np.concatenate([fp[-1:], fp, fp[:1]])
    piece = np.clip(np.searchsorted(xp, at, side="right") - 1, 0, len(xp) - 2)
    slope = np.where((at < xp[0]) | (at >= xp[-1]), 0.0, (np.diff(fp) / np.diff(xp))[piece])
    return kind(y, x.tangent * slope)


def _norm(kind: type[Dual], x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:  # noqa: A002
    if ord not in (None, 2) or (ord == 2 and axis is None and x.ndim != 1):
        _refuse(f"norm of order {ord}")
    value = np.linalg.norm(x.value, axis=axis, keepdims=keepdims)
    along = tuple(i + 1 for i in _axes(axis, x.ndim))
    size = np.linalg.norm(x.value, axis=axis, keepdims=True)
    unit = np.conj(x.value) / np.where(size == 0, 1.0, size)
    return kind(value, (unit * x.tangent).real.sum(axis=along, keepdims=keepdims))


def _inverse(kind: type[Dual], a: Any) -> Any:
    value = np.linalg.inv(a.value)
    return kind(value, -value @ a.tangent @ value)


def _solve(kind: type[Dual], a: Any, b: Any) -> Any:
    k = _count(a, b)
    a, b = as_dual(kind, a, k), as_dual(kind, b, k)
    value = np.linalg.solve(a.value, b.value)
    changes = []
    for da, db in zip(a.tangent, b.tangent, strict=True):
        product = da @ value if b.ndim == 1 or a.ndim == b.ndim else (da @ value[..., None])[..., 0]
        changes.append(np.linalg.solve(a.value, db - product))
    return kind(value, np.stack(changes))


def _determinant(kind: type[Dual], a: Any) -> Any:
    value = np.linalg.det(a.value)
    return kind(value, value * np.trace(np.linalg.inv(a.value) @ a.tangent, axis1=-2, axis2=-1))


def _copied(kind: type[Dual], target: Any, source: Any, casting: str = "same_kind", where: Any = True) -> None:
    if not isinstance(target, Dual):
        _refuse("copyto into plain numbers")
    source = as_dual(kind, source, len(target.tangent))
    shape = target.shape
    _written(target, np.broadcast_to(source.value, shape), _broadcast(kind, source, shape).tangent, where)


def _broadcast(kind: type[Dual], a: Any, shape: Any, subok: bool = False) -> Dual:
    value = np.broadcast_to(a.value, shape)
    k = len(a.tangent)
    lifted = a.tangent.reshape(k, *(1,) * (value.ndim - a.ndim), *a.shape)
    return kind(value.copy(), np.broadcast_to(lifted, (k, *value.shape)).copy())


def _pad(kind: type[Dual], a: Any, width: Any, mode: str = "constant", constant_values: Any = 0) -> Any:
    if mode not in ("constant", "wrap", "edge", "reflect", "symmetric"):
        _refuse(f"pad with {mode}")
    options = {"constant_values": constant_values} if mode == "constant" else {}
    value = np.pad(a.value, width, mode, **options)  # type: ignore[call-overload]
    parts = [np.pad(tangent, width, mode) for tangent in a.tangent]  # type: ignore[call-overload]
    return kind(value, np.stack(parts) if parts else np.zeros((0, *value.shape)))


def _gradient(kind: type[Dual], a: Any, *spacing: Any, **options: Any) -> Any:
    if not all(isinstance(part, (int, float)) for part in spacing):
        _refuse("gradient on uneven points")
    value = np.gradient(a.value, *spacing, **options)
    parts = [np.gradient(tangent, *spacing, **options) for tangent in a.tangent]
    if isinstance(value, tuple):
        return tuple(kind(whole, np.stack([part[i] for part in parts])) for i, whole in enumerate(value))
    return kind(value, np.stack(parts))


def _nan_to_num(kind: type[Dual], x: Any, copy: bool = True, **options: Any) -> Any:
    value = np.nan_to_num(x.value, **options)
    return kind(value, np.where(np.isfinite(x.value), x.tangent, 0.0))


def _angle(kind: type[Dual], z: Any, deg: bool = False) -> Any:
    if z.dtype.kind != "c":
        return as_dual(kind, np.angle(z.value, deg), len(z.tangent))
    turn = (np.conj(z.value) * z.tangent).imag / np.abs(z.value) ** 2
    return kind(np.angle(z.value, deg), turn * (180 / math.pi if deg else 1.0))


def _by_direction(kind: type[Dual], function: Any, given: Any, options: Any) -> Any:
    """Functions that are linear in the arrays they take, all at once or each by itself."""
    k = _count(*given, *options.values())
    value = function(*(_values(part) for part in given), **options)
    if any(isinstance(part, Dual) for part in options.values()):
        _refuse(f"{function.__name__} with arrays by name")
    for whole in value if isinstance(value, (list, tuple)) else (value,):
        # A view of the values only: what is written there would not reach the tangents.
        if any(np.may_share_memory(whole, part.value) for part in given if isinstance(part, Dual)):
            whole.flags.writeable = False
    parts = []
    for direction in range(k):
        if function in _LINEAR:
            parts.append(function(*(_direction(part, direction) for part in given), **options))
            continue
        total: Any = 0
        for i, part in enumerate(given):
            if isinstance(part, Dual):
                at = [_values(other) for other in given]
                at[i] = part.tangent[direction]
                total = total + function(*at, **options)
        parts.append(total)
    if isinstance(value, (list, tuple)):
        return [kind(whole, np.stack([part[i] for part in parts])) for i, whole in enumerate(value)]
    return kind(value, np.stack(parts) if k else np.zeros((0, *np.shape(value))))


def _direction(part: Any, direction: int) -> Any:
    """The tangents in one direction in the place of values; what is constant has none."""
    if isinstance(part, Dual):
        return part.tangent[direction]
    if isinstance(part, (list, tuple)) and _count(part) >= 0:
        return type(part)(_direction(inner, direction) for inner in part)
    if isinstance(part, np.ndarray) and part.dtype.kind in "fc":
        return np.zeros_like(part)
    return part


_REDUCTIONS: dict[np.ufunc, _Rule] = {
    np.add: _sum,
    np.maximum: _extreme(np.argmax),
    np.minimum: _extreme(np.argmin),
}

_FUNCTIONS: dict[Any, _Rule] = {
    np.stack: _joined(np.stack),
    np.concatenate: _joined(np.concatenate),
    np.where: _where,
    np.sum: _sum,
    np.mean: _mean,
    np.average: lambda kind, a, axis=None: _mean(kind, a, axis),
    np.var: _var,
    np.std: lambda kind, a, *given, **options: np.sqrt(_var(kind, a, *given, **options)),
    np.max: _extreme(np.argmax),
    np.amax: _extreme(np.argmax),
    np.min: _extreme(np.argmin),
    np.amin: _extreme(np.argmin),
    np.sort: _sort,
    np.zeros_like: _filled(0.0),
    np.empty_like: _filled(0.0),
    np.ones_like: _filled(1.0),
    np.full_like: _filled(None),
    np.clip: _clip,
    np.round: _round,
    np.around: _round,
    np.fix: lambda kind, x: _ufunc(kind, np.trunc, (x,)),
    np.interp: _interp,
    np.copy: lambda kind, a, *_, **__: a.copy(),
    np.reshape: lambda kind, a, *shape, **options: a.reshape(*(shape or (options["shape"],))),
    np.ravel: lambda kind, a, *_: a.reshape(-1),
    np.transpose: lambda kind, a, axes=None: a.transpose(*(axes or ())),
    np.broadcast_to: _broadcast,
    np.copyto: _copied,
    np.nan_to_num: _nan_to_num,
    np.pad: _pad,
    np.gradient: _gradient,
    np.real: lambda kind, z: z.real,
    np.imag: lambda kind, z: z.imag,
    np.angle: _angle,
    np.linalg.norm: _norm,
    np.linalg.inv: _inverse,
    np.linalg.solve: _solve,
    np.linalg.det: _determinant,
} | {
    function: _plain_result(function)
    for function in (
        np.argmax, np.argmin, np.argsort, np.any, np.all, np.allclose, np.isclose, np.array_equal, np.nonzero,
        np.flatnonzero, np.argwhere, np.count_nonzero, np.searchsorted, np.digitize, np.shape, np.ndim, np.size,
        np.iscomplexobj, np.isrealobj, np.iscomplex, np.isreal, np.result_type, np.can_cast, np.may_share_memory,
        np.shares_memory, np.lexsort, np.isneginf, np.isposinf,
    )
}  # fmt: skip

_LINEAR = frozenset({
    np.hstack, np.vstack, np.dstack, np.column_stack, np.cumsum, np.diff, np.roll, np.flip, np.flipud, np.fliplr,
    np.rot90, np.tile, np.repeat, np.take, np.squeeze, np.expand_dims, np.moveaxis, np.swapaxes, np.trace, np.diagonal,
    np.diag, np.tril, np.triu, np.split, np.array_split, np.hsplit, np.vsplit, np.atleast_1d, np.atleast_2d,
    np.delete, np.take_along_axis, *((np.unstack,) if hasattr(np, "unstack") else ()),
    *(getattr(np.fft, name) for name in "fft ifft rfft irfft fft2 ifft2 rfft2 irfft2 fftn ifftn rfftn irfftn "
      "fftshift ifftshift".split()),
})  # fmt: skip
"""Functions linear in all arrays that they take together."""

_MULTILINEAR = frozenset({
    np.dot, np.inner, np.outer, np.vdot, np.tensordot, np.einsum, np.kron, np.convolve, np.correlate, np.cross,
    np.trapezoid,
})  # fmt: skip
"""Functions linear in each array by itself."""
