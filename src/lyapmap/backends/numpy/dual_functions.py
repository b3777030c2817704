"""What NumPy's functions do to dual numbers: (kind of dual numbers, *arguments) to values and tangents."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.backends.numpy.dual_arrays import Dual
from lyapmap.backends.numpy.dual_values import OpaqueError, apply_ufunc, as_dual, directions, refuse, value_of, written

_Array = NDArray[Any]
_Rule = Callable[..., Any]


def _joined(function: Any) -> _Rule:
    """For functions that join arrays, whose axis is counted without that of the directions."""

    def rule(kind: type[Dual], arrays: Any, axis: int | None = 0, **options: Any) -> Any:
        if options or axis is None:
            raise OpaqueError(f"no derivative of {function.__name__} so")
        duals = arrays
        if {type(part) for part in arrays} != {kind}:
            k = directions(*arrays)
            duals = [as_dual(kind, part, k) for part in arrays]
        value = function([part.value for part in duals], axis=axis)
        tangent = function([part.tangent for part in duals], axis=axis + 1 if axis >= 0 else axis)
        return kind(value, tangent)

    return rule


def _where(kind: type[Dual], condition: Any, *choices: Any) -> Any:
    if not choices:
        return np.where(value_of(condition))
    k = directions(condition, *choices)
    a, b = (as_dual(kind, part, k) for part in choices)
    mask = np.asarray(value_of(condition), bool)
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
        refuse("sum so")
    along = tuple(i + 1 for i in _axes(axis, a.ndim))
    keep = keepdims is True
    return kind(a.value.sum(axis=axis, keepdims=keep), a.tangent.sum(axis=along, keepdims=keep))


def _mean(kind: type[Dual], a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    if out is not None or dtype is not None or not isinstance(a, Dual):
        refuse("mean so")
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
            refuse("max so")
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
    return value_of(part)


def _filled(value: float | None) -> _Rule:
    def rule(kind: type[Dual], a: Any, *given: Any, dtype: Any = None, shape: Any = None, **_: Any) -> Any:
        if value is None:
            fill, given = given[0], given[1:]
        else:
            fill = value
        dtype = given[0] if given else dtype
        made = np.full(a.shape if shape is None else shape, 0, dtype or a.dtype)
        if made.dtype.kind not in "fc":
            made[...] = value_of(fill)
            return made
        result = as_dual(kind, made, len(a.tangent) if isinstance(a, Dual) else directions(fill))
        result[...] = fill
        return result

    return rule


def _clip(kind: type[Dual], a: Any, low: Any = None, high: Any = None, out: Any = None, **options: Any) -> Any:
    low, high = options.pop("a_min", options.pop("min", low)), options.pop("a_max", options.pop("max", high))
    result = a
    if low is not None:
        result = apply_ufunc(kind, np.maximum, (result, low))
    if high is not None:
        result = apply_ufunc(kind, np.minimum, (result, high))
    if out is not None:
        out[...] = result
        return out
    return result


def _round(kind: type[Dual], a: Any, decimals: int = 0, out: Any = None) -> Any:
    return as_dual(kind, np.round(a.value, decimals), len(a.tangent))


def _interp(kind: type[Dual], x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    if isinstance(xp, Dual) or isinstance(fp, Dual) or not isinstance(x, Dual):
        refuse("interp by what depends on the state")
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
        refuse(f"norm of order {ord}")
    value = np.linalg.norm(x.value, axis=axis, keepdims=keepdims)
    along = tuple(i + 1 for i in _axes(axis, x.ndim))
    size = np.linalg.norm(x.value, axis=axis, keepdims=True)
    unit = np.conj(x.value) / np.where(size == 0, 1.0, size)
    return kind(value, (unit * x.tangent).real.sum(axis=along, keepdims=keepdims))


def _inverse(kind: type[Dual], a: Any) -> Any:
    value = np.linalg.inv(a.value)
    return kind(value, -value @ a.tangent @ value)


def _solve(kind: type[Dual], a: Any, b: Any) -> Any:
    k = directions(a, b)
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
        refuse("copyto into plain numbers")
    source = as_dual(kind, source, len(target.tangent))
    shape = target.shape
    written(target, np.broadcast_to(source.value, shape), _broadcast(kind, source, shape).tangent, where)


def _broadcast(kind: type[Dual], a: Any, shape: Any, subok: bool = False) -> Dual:
    value = np.broadcast_to(a.value, shape)
    k = len(a.tangent)
    lifted = a.tangent.reshape(k, *(1,) * (value.ndim - a.ndim), *a.shape)
    return kind(value.copy(), np.broadcast_to(lifted, (k, *value.shape)).copy())


def _pad(kind: type[Dual], a: Any, width: Any, mode: str = "constant", constant_values: Any = 0) -> Any:
    if mode not in ("constant", "wrap", "edge", "reflect", "symmetric"):
        refuse(f"pad with {mode}")
    options = {"constant_values": constant_values} if mode == "constant" else {}
    value = np.pad(a.value, width, mode, **options)  # type: ignore[call-overload]
    parts = [np.pad(tangent, width, mode) for tangent in a.tangent]  # type: ignore[call-overload]
    return kind(value, np.stack(parts) if parts else np.zeros((0, *value.shape)))


def _gradient(kind: type[Dual], a: Any, *spacing: Any, **options: Any) -> Any:
    if not all(isinstance(part, (int, float)) for part in spacing):
        refuse("gradient on uneven points")
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


def by_direction(kind: type[Dual], function: Any, given: Any, options: Any) -> Any:
    """Functions that are linear in the arrays they take, all at once or each by itself."""
    k = directions(*given, *options.values())
    value = function(*(_values(part) for part in given), **options)
    if any(isinstance(part, Dual) for part in options.values()):
        refuse(f"{function.__name__} with arrays by name")
    for whole in value if isinstance(value, (list, tuple)) else (value,):
        # A view of the values only: what is written there would not reach the tangents.
        if any(np.may_share_memory(whole, part.value) for part in given if isinstance(part, Dual)):
            whole.flags.writeable = False
    parts = []
    for direction in range(k):
        if function in LINEAR:
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
    if isinstance(part, (list, tuple)) and directions(part) >= 0:
        return type(part)(_direction(inner, direction) for inner in part)
    if isinstance(part, np.ndarray) and part.dtype.kind in "fc":
        return np.zeros_like(part)
    return part


FUNCTIONS: dict[Any, _Rule] = {
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
    np.fix: lambda kind, x: apply_ufunc(kind, np.trunc, (x,)),
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

LINEAR = frozenset({
    np.hstack, np.vstack, np.dstack, np.column_stack, np.cumsum, np.diff, np.roll, np.flip, np.flipud, np.fliplr,
    np.rot90, np.tile, np.repeat, np.take, np.squeeze, np.expand_dims, np.moveaxis, np.swapaxes, np.trace, np.diagonal,
    np.diag, np.tril, np.triu, np.split, np.array_split, np.hsplit, np.vsplit, np.atleast_1d, np.atleast_2d,
    np.delete, np.take_along_axis, *((np.unstack,) if hasattr(np, "unstack") else ()),
    *(
        getattr(np.fft, way + kind)
        for way in ("", "i")
        for kind in ("fft", "fft2", "fftn", "fftshift", "rfft", "rfft2", "rfftn")
    ),
})  # fmt: skip
"""Functions linear in all arrays that they take together."""

MULTILINEAR = frozenset({
    np.dot, np.inner, np.outer, np.vdot, np.tensordot, np.einsum, np.kron, np.convolve, np.correlate, np.cross,
    np.trapezoid,
})  # fmt: skip
"""Functions linear in each array by itself."""
