"""Dual numbers in NumPy: arrays that carry tangents through operators, ufuncs and indices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lyapmap.backends.numpy.dual_values import DualValues, OpaqueError, apply_ufunc, as_dual, objects

_METHODS = frozenset(
    [
        "sum",
        "mean",
        "prod",
        "min",
        "max",
        "argmin",
        "argmax",
        "argsort",
        "any",
        "all",
        "std",
        "var",
        "round",
        "cumsum",
        "cumprod",
        "repeat",
        "squeeze",
        "swapaxes",
        "take",
        "trace",
        "diagonal",
        "ptp",
        "nonzero",
        "searchsorted",
    ]
)
_REDUCTIONS: dict[np.ufunc, Any] = {np.add: np.sum, np.maximum: np.max, np.minimum: np.min}


def _operators(ufunc: np.ufunc) -> tuple[Any, Any, Any]:
    """An operator, that with the arguments exchanged, and that in place."""

    def forward(self: Dual, other: Any) -> Any:
        return apply_ufunc(type(self), ufunc, (self, other))

    def backward(self: Dual, other: Any) -> Any:
        return apply_ufunc(type(self), ufunc, (other, self))

    def in_place(self: Dual, other: Any) -> Any:
        if not isinstance(self.value, np.ndarray):  # numbers are not changed in place
            return forward(self, other)
        return apply_ufunc(type(self), ufunc, (self, other), out=(self,))

    return forward, backward, in_place


class Dual(DualValues):
    """An array of values with tangents, which does what NumPy's arrays do."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]
    __array_priority__ = 1000.0

    # What NumPy asks for.

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if method == "__call__":
            return apply_ufunc(type(self), ufunc, inputs, **options)
        if method == "reduce" and ufunc in _REDUCTIONS:
            given = {name: value for name, value in options.items() if value is not None and name != "dtype"}
            return _REDUCTIONS[ufunc](inputs[0], **{"axis": 0, **given})
        if method == "at":
            raise OpaqueError(f"no derivative of {ufunc.__name__}.{method}")
        self.note(ufunc.__name__)
        return getattr(ufunc, method)(*(objects(value) for value in inputs), **options)

    def __array_namespace__(self, api_version: str | None = None) -> Any:
        return np

    # What Python asks for.

    __add__, __radd__, __iadd__ = _operators(np.add)
    __sub__, __rsub__, __isub__ = _operators(np.subtract)
    __mul__, __rmul__, __imul__ = _operators(np.multiply)
    __truediv__, __rtruediv__, __itruediv__ = _operators(np.divide)
    __floordiv__, __rfloordiv__, __ifloordiv__ = _operators(np.floor_divide)
    __mod__, __rmod__, __imod__ = _operators(np.remainder)
    __pow__, __rpow__, __ipow__ = _operators(np.power)
    __matmul__, __rmatmul__, __imatmul__ = _operators(np.matmul)
    __lt__, __le__, __gt__, __ge__, __eq__, __ne__ = (
        _operators(ufunc)[0] for ufunc in (np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal)
    )

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> Any:
        return other // self, other % self

    def __neg__(self) -> Any:
        return apply_ufunc(type(self), np.negative, (self,))

    def __pos__(self) -> Any:
        return self.copy()

    def __abs__(self) -> Any:
        return apply_ufunc(type(self), np.absolute, (self,))

    def __bool__(self) -> bool:
        self.note("bool")
        return bool(self.value)

    def __int__(self) -> int:
        self.note("int")
        return int(self.value)

    def __trunc__(self) -> int:
        return int(self)

    def __floor__(self) -> int:
        self.note("floor")
        return math.floor(self.value)

    def __ceil__(self) -> int:
        self.note("ceil")
        return math.ceil(self.value)

    def __round__(self, digits: int | None = None) -> Any:
        self.note("round")
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
        self.note("setitem")
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
    def size(self) -> int:
        return int(np.size(self.value))

    @property
    def T(self) -> Dual:  # NumPy's name
        return self.transpose()

    @property
    def real(self) -> Any:
        self.note("real")
        return type(self)(self.value.real, self.tangent.real)

    @property
    def imag(self) -> Any:
        self.note("imag")
        return type(self)(self.value.imag, self.tangent.imag)

    def conj(self) -> Any:
        return apply_ufunc(type(self), np.conjugate, (self,))

    conjugate = conj

    def copy(self, order: str = "C") -> Dual:
        return type(self)(self.value.copy(), self.tangent.copy())

    def astype(self, dtype: Any, **_: Any) -> Any:
        kind = np.dtype(dtype).kind
        self.note("copy" if np.dtype(dtype) == self.dtype else "astype")
        if kind in "fc":
            if kind == "f" and self.dtype.kind == "c":
                return type(self)(self.value.real.astype(dtype), self.tangent.real.astype(dtype))
            return type(self)(self.value.astype(dtype), self.tangent.astype(dtype))
        if kind == "O":
            return objects(self)
        return self.value.astype(dtype)

    def reshape(self, *shape: Any, **_: Any) -> Dual:
        sizes = shape[0] if len(shape) == 1 and not isinstance(shape[0], (int, np.integer)) else shape
        self.note("reshape")
        value = np.reshape(self.value, sizes)
        return type(self)(value, self.tangent.reshape(len(self.tangent), *value.shape))

    def ravel(self, *_: Any) -> Dual:
        return self.reshape(-1)

    def flatten(self, *_: Any) -> Dual:
        return self.reshape(-1).copy()

    def transpose(self, *axes: Any) -> Dual:
        order: Any = axes[0] if len(axes) == 1 and isinstance(axes[0], (tuple, list)) else axes
        order = tuple(int(i) % self.ndim for i in order) if order and order != (None,) else range(self.ndim)[::-1]
        self.note("transpose")
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
            return lambda *given: apply_ufunc(type(self), function, (self, *given))
        raise AttributeError(f"no {name} of dual numbers")


def _parts(key: Any) -> tuple[Any, ...]:
    return key if isinstance(key, tuple) else (key,)


_SIMPLE = frozenset({int, slice, type(None), type(Ellipsis), np.int64})


def _basic(key: Any) -> bool:
    """An index by integers and slices, which gives a view."""
    if type(key) is not tuple:
        return type(key) in _SIMPLE
    return _SIMPLE.issuperset(map(type, key))


def _key(key: Any) -> Any:
    if isinstance(key, tuple):
        return tuple(part.value if isinstance(part, Dual) else part for part in key)
    return key.value if isinstance(key, Dual) else key


def _with_last(key: Any) -> tuple[Any, ...]:
    """A key for an array with one axis more at the end."""
    parts = _parts(_key(key))
    return (*parts, slice(None)) if any(part is Ellipsis for part in parts) else parts
