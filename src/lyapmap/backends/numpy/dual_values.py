"""Arrays of values with tangents, and how NumPy's ufuncs act on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lyapmap.backends.numpy.dual_slopes import LOGICAL, REAL, SLOPES

_Array = NDArray[Any]


class OpaqueError(TypeError):
    """The tangents would be lost here."""


def refuse(what: str) -> Any:
    raise OpaqueError(f"no derivative of {what}")


class DualValues:
    """Values and tangents; `dual_arrays` makes an array of them.

    Parameters
    ----------
    value : array of any shape
    tangent : (k, *shape)
        Derivative of the values in k directions.
    """

    __slots__ = ("tangent", "value")

    notes: ClassVar[set[str] | None] = None
    """What was done, where anybody asks; see `dual_functions.noting`."""

    value: Any
    tangent: _Array

    def __init__(self, value: Any, tangent: _Array) -> None:
        self.value = value
        self.tangent = tangent

    def note(self, name: str) -> None:
        if self.notes is not None:
            self.notes.add(name)

    @property
    def shape(self) -> tuple[int, ...]:
        return np.shape(self.value)

    @property
    def ndim(self) -> int:
        return np.ndim(self.value)

    @property
    def dtype(self) -> Any:
        return self.value.dtype


Kind = type[DualValues]


def as_dual(kind: Kind, value: Any, k: int) -> Any:
    """Dual numbers of an array, number or nested list of them; what is plain has no tangents."""
    if isinstance(value, DualValues):
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
    return objects(value)


def objects(value: Any) -> Any:
    """Dual arrays as arrays of objects, each a dual number; others as they are."""
    if not isinstance(value, DualValues):
        return value
    dual: Any = value
    array = np.empty(dual.shape, object)
    for index in np.ndindex(*dual.shape):
        array[index] = dual[index]
    return array if array.ndim else array[()]


def _gathered(kind: Kind, array: _Array, k: int) -> Any:
    """An array of objects as one of dual numbers."""
    flat = array.ravel()
    values = np.array([_number(part.value if isinstance(part, DualValues) else part) for part in flat])
    if values.dtype.kind not in "fciub":
        raise OpaqueError(f"an array of {values.dtype}")
    if values.dtype.kind not in "fc":
        values = values.astype(float)
    tangents = np.zeros((k, len(flat)), values.dtype)
    for i, part in enumerate(flat):
        if isinstance(part, DualValues):
            tangents[:, i] = part.tangent.reshape(k)
    return kind(values.reshape(array.shape), tangents.reshape(k, *array.shape))


def _number(value: Any) -> Any:
    return value[()] if isinstance(value, np.ndarray) else value


def value_of(part: Any) -> Any:
    return part.value if isinstance(part, DualValues) else part


def directions(*parts: Any) -> int:
    for part in parts:
        if isinstance(part, DualValues):
            return len(part.tangent)
        if isinstance(part, (list, tuple)):
            k = directions(*part)
            if k >= 0:
                return k
    return -1


def apply_ufunc(
    kind: Kind, ufunc: np.ufunc, inputs: Sequence[Any], out: Any = None, where: Any = True, **options: Any
) -> Any:
    """The image of a ufunc and its tangents."""
    name = ufunc.__name__
    if kind.notes is not None:
        kind.notes.add(name if name != "power" or _small_power(inputs[1]) else "power of any exponent")
    if options and (options.get("casting", "same_kind") != "same_kind" or options.get("dtype") is not None):
        raise OpaqueError(f"no derivative of {name} with {', '.join(options)}")
    operands, values, k = inputs, [], -1
    for part in inputs:
        if isinstance(part, DualValues):
            k = len(part.tangent)
            values.append(part.value)
        elif isinstance(part, (list, tuple)) or (isinstance(part, np.ndarray) and part.dtype == object):
            k = -1
            break
        else:
            values.append(part)
    if k < 0:
        k = directions(*inputs, *(out or ()))
        operands = [as_dual(kind, part, k) if not np.isscalar(part) else part for part in inputs]
        values = [value_of(part) for part in operands]
    if name in ("divmod", "modf"):
        if out is not None:
            raise OpaqueError(f"no derivative of {name} with out")
        if name == "divmod":
            return operands[0] // operands[1], operands[0] % operands[1]
        whole = apply_ufunc(kind, np.trunc, operands)
        return operands[0] - whole, whole
    # The operator squares where it can.
    squares = name == "power" and isinstance(values[1], (int, float))
    y = values[0] ** values[1] if squares else ufunc(*values)
    if name in LOGICAL:
        if out is not None or where is not True:
            raise OpaqueError(f"no derivative of {name} with out")
        return y
    rule = SLOPES.get(name)
    if rule is None:
        tangent = _special(name, operands, values, y)
    elif y.dtype.kind == "c" and name in REAL:
        raise OpaqueError(f"no derivative of {name} of complex numbers")
    else:
        tangent = _chained(operands, rule(*values, y), y, k)
    if out is not None:
        return written(out, y, tangent, where)
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
        if not isinstance(part, DualValues) or slope is None:
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
        (a, lambda t: np.matmul(t, b.value if isinstance(b, DualValues) else b)),
        (b, lambda t: np.matmul(a.value if isinstance(a, DualValues) else a, t)),
    ):
        if isinstance(part, DualValues):
            term = np.stack([product(t) for t in part.tangent]) if len(part.tangent) else np.zeros((0, *np.shape(y)))
            total = term if total is None else total + term
    return np.asarray(total)


def written(out: Any, y: Any, tangent: _Array, where: Any) -> Any:
    """The result written where a ufunc was told to."""
    target = out[0] if isinstance(out, tuple) else out
    if not isinstance(target, DualValues):
        raise OpaqueError("an array of plain numbers takes no tangents")
    mask = where.value if isinstance(where, DualValues) else where
    np.copyto(target.value, y, where=mask, casting="same_kind")
    np.copyto(target.tangent, tangent, where=mask, casting="same_kind")
    return target
