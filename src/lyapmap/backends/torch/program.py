"""What a torch function does to one state, as a list of operations on numbers.

The function is called with one state while torch tells of every operation on tensors that it comes to. Each is done
once more on arrays of symbols, which share memory where the tensors do, so that what is written in place goes where
it belongs. What has no place in such a list raises `UntraceableError` (see `numpy.program`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary

from lyapmap.backends.numpy.program import Graph, Program, Symbols, UntraceableError, symbols, traced
from lyapmap.backends.symbolic import FUNCTIONS, LARGEST_ARRAY, entered, power, rounded, softmax

Rule = Callable[..., Any]


def program_of(function: Callable[[Tensor], Tensor], state_shape: tuple[int, ...], dtype: torch.dtype) -> Program:
    """What a function of a batch does to one state.

    Raises
    ------
    UntraceableError
    """

    def call(graph: Graph, x: Symbols) -> Symbols:
        state = torch.full((1, *state_shape), 0.5, dtype=dtype)
        shown = _Shown(graph, state, symbols(graph, x.reshape(1, *state_shape)), dtype)
        with torch.no_grad(), shown:
            image = function(state)
        return shown.of(image)

    return traced(call, math.prod(state_shape))


class _Shown(TorchDispatchMode):
    """Does to symbols what is done to tensors."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # torch's compiler would be loaded to be told that there is nothing to do

    def __init__(self, graph: Graph, state: Tensor, x: Symbols, dtype: torch.dtype) -> None:
        super().__init__()
        self.graph, self.dtype = graph, dtype
        # Not kept alive: torch makes other objects of tensors that somebody holds while it works on them.
        self.own: WeakIdKeyDictionary = WeakIdKeyDictionary()
        """Symbols of tensors that were made while the function ran."""
        self.own[state] = x
        self.others: WeakIdKeyDictionary = WeakIdKeyDictionary()

    def of(self, value: Any) -> Any:
        """The symbols of a tensor, or of several; other values as they are."""
        if isinstance(value, list | tuple):
            return type(value)(self.of(part) for part in value)
        if isinstance(value, float) and self.dtype == torch.float32:
            return float(np.float32(value))
        if not isinstance(value, Tensor):
            return value
        if value in self.own:
            return self.own[value]
        if value not in self.others:
            self.others[value] = self._entered(value)
        return self.others[value]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name, written = func.overloadpacket.__name__, func._schema.is_mutable
        if torch.Tag.nondeterministic_seeded in func.tags:
            raise UntraceableError("random numbers")
        tensors = [part for part in _flat([args, list(kwargs.values())]) if isinstance(part, Tensor)]
        if written and not (name.endswith("_") and args[0] in self.own):
            raise UntraceableError("it writes into what is not its own")
        follows = any(self._follows(tensor) for tensor in tensors)
        in_sight = written or (name in VIEWS and args[0] in self.own)
        if not follows and not in_sight:
            out = func(*args, **kwargs)
            places = {_place(tensor) for tensor in tensors}
            for tensor in _flat([out]):
                if isinstance(tensor, Tensor) and _place(tensor) not in places and tensor.numel() <= LARGEST_ARRAY:
                    self.own[tensor] = self._entered(torch.zeros_like(tensor) if "empty" in name else tensor)
            return out
        # Symbols of the arguments first: an operation may write into them.
        given, named = self.of(list(args)), {key: self.of(value) for key, value in kwargs.items()}
        out = func(*args, **kwargs)
        outs = [part for part in _flat([out]) if isinstance(part, Tensor)]
        made = self._made(name, given, named, out, outs)
        if name not in VIEWS:
            made = [rounded(part) if outs[0].dtype == torch.float32 else part for part in made]
        if written:
            given[0][...] = made[0]
        for tensor, symbol in zip(outs, [] if written else made, strict=not written):
            if symbol.shape != tuple(tensor.shape):
                raise UntraceableError(f"{name}: other shapes")
            self.own[tensor] = symbol
        return out

    def _made(self, name: str, given: list[Any], named: dict[str, Any], out: Any, outs: list[Tensor]) -> list[Symbols]:
        own = name if name.startswith("_") else name.removesuffix("_")
        for tensor in outs:
            if tensor.is_floating_point() and tensor.dtype != self.dtype:
                raise UntraceableError(f"{tensor.dtype} inside")
        if own in CONSTANT:
            return [self._entered(torch.zeros_like(out) if "empty" in own else out)]
        rule = VIEWS.get(own) or RULES.get(own) or FUNCTIONS.get(own)
        if rule is None or not outs:
            raise UntraceableError(f"{own.strip('_')} of a state")
        made = rule(*given, **{key: value for key, value in named.items() if key not in SETTINGS})
        parts = list(made) if isinstance(made, tuple | list) else [made]
        return [part if isinstance(part, Symbols) else symbols(self.graph, part) for part in parts]

    def _entered(self, tensor: Tensor) -> Symbols:
        if tensor.numel() > LARGEST_ARRAY:
            raise UntraceableError("large arrays")
        if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_complex():
            raise UntraceableError("tensors of another kind")
        values = np.array(tensor.tolist()).reshape(tensor.shape)
        single = self.dtype == torch.float32 and values.dtype == np.float64
        return entered(self.graph, values.astype(np.float32) if single else values)

    def _follows(self, tensor: Tensor) -> bool:
        """Whether something in a tensor comes from the state."""
        if tensor not in self.own:
            return False
        operations = self.graph.operations
        return any(operations[value.number][0] not in BEGINNINGS for value in np.asarray(self.own[tensor]).flat)


BEGINNINGS = ("p", "lit", "true", "false")


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr() if tensor.layout == torch.strided else id(tensor)


SETTINGS = ("dtype", "layout", "device", "pin_memory", "non_blocking", "memory_format")
CONSTANT = frozenset({"zeros_like", "ones_like", "full_like", "empty_like", "new_zeros", "new_ones", "new_full",
                      "new_empty", "zero", "new_empty_strided"})  # fmt: skip
"""Operations that take no more than the shape of their tensors."""


def _flat(values: list[Any]) -> list[Any]:
    return [item for part in values for item in (_flat(list(part)) if isinstance(part, list | tuple) else [part])]


def _slice(a: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Any:
    where = [slice(None)] * a.ndim
    where[dim] = slice(start, end, step)
    return a[tuple(where)]


def _select(a: Any, dim: int, index: int) -> Any:
    where: list[Any] = [slice(None)] * a.ndim
    where[dim] = slice(index, index + 1 or None)
    return a[tuple(where)].squeeze(dim)  # an array, also where one number is left


def _squeeze(a: Any, dim: Any = None) -> Any:
    dims = range(a.ndim) if dim is None else [d % a.ndim for d in (dim if isinstance(dim, list | tuple) else [dim])]
    return a.squeeze(tuple(d for d in dims if a.shape[d] == 1))


def _expand(a: Any, sizes: Any, implicit: bool = False) -> Any:
    more = len(sizes) - a.ndim
    wanted = tuple(a.shape[i - more] if size < 0 else size for i, size in enumerate(sizes))
    return np.broadcast_to(a, wanted)


def _split(a: Any, size: Any, dim: int = 0) -> list[Any]:
    whole = a.shape[dim]
    sizes = size if isinstance(size, list | tuple) else [min(size, whole - i) for i in range(0, whole, size)]
    starts = np.cumsum([0, *sizes])
    return [_slice(a, dim, int(first), int(last)) for first, last in pairwise(starts)]


def _view(a: Any, shape: Any) -> Any:
    made = a.reshape(tuple(shape))
    if not np.shares_memory(np.asarray(made), np.asarray(a)):
        made.flags.writeable = False  # what is written here would not arrive there
    return made


VIEWS: dict[str, Rule] = {
    "view": _view,
    "_unsafe_view": _view,
    "t": lambda a: a.T,
    "transpose": lambda a, first, second: a.swapaxes(first, second),
    "permute": lambda a, dims: a.transpose(tuple(dims)),
    "select": _select,
    "slice": _slice,
    "unsqueeze": lambda a, dim: np.expand_dims(a, dim % (a.ndim + 1)),
    "squeeze": _squeeze,
    "expand": _expand,
    "unbind": lambda a, dim=0: [_select(a, dim, i) for i in range(a.shape[dim])],
    "split": _split,
    "split_with_sizes": _split,
    "unsafe_split": _split,
    "unsafe_chunk": lambda a, chunks, dim=0: _split(a, -(-a.shape[dim] // chunks), dim),
    "alias": lambda a: a[...],
    "diagonal": lambda a, offset=0, dim1=0, dim2=1: a.diagonal(offset, dim1, dim2),
}
"""Operations whose results share the memory of their first argument."""


def _sum_of(function: Any) -> Rule:
    def rule(a: Any, dims: Any = None, keepdim: bool = False, **_: Any) -> Any:
        dims = range(a.ndim) if dims is None or dims == [] else dims if isinstance(dims, list | tuple) else [dims]
        for dim in sorted((d % max(a.ndim, 1) for d in dims), reverse=True):
            a = function.reduce(a, axis=dim, keepdims=keepdim)
        return a

    return rule


def _mean(a: Any, dims: Any = None, keepdim: bool = False, **_: Any) -> Any:
    total = RULES["sum"](a, dims, keepdim)
    return total / float(a.size // max(total.size, 1))


def _norm(a: Any, order: Any = 2, dims: Any = None, keepdim: bool = False) -> Any:
    if order == 1:
        return RULES["sum"](np.abs(a), dims, keepdim)
    if order != 2:
        raise UntraceableError("another norm")
    return np.sqrt(RULES["sum"](a * a, dims, keepdim))


def _scaled(alpha: Any, value: Any) -> Any:
    return value if alpha == 1 else alpha * value


def _division(a: Any, b: Any, rounding_mode: str | None = None) -> Any:
    if rounding_mode == "floor":
        return np.floor_divide(a, b)
    return np.trunc(a / b) if rounding_mode == "trunc" else a / b


def _clamp(a: Any, low: Any = None, high: Any = None, **named: Any) -> Any:
    low, high = named.get("min", low), named.get("max", high)
    a = a if low is None else np.maximum(a, low)
    return a if high is None else np.minimum(a, high)


def _at(a: Any, indices: Any) -> Any:
    where = [slice(None)] * a.ndim
    for i, index in enumerate(indices):
        if index is not None:
            where[i] = _whole(index)
    return a[tuple(where)]


def _put(a: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    if accumulate:
        raise UntraceableError("index_put with sums")
    copy = a.copy()
    copy[tuple(slice(None) if index is None else _whole(index) for index in indices)] = values
    return copy


def _whole(index: Any) -> Any:
    """An index that does not come from the state."""
    values = [value.graph.operations[value.number] for value in np.asarray(index, object).ravel()]
    if any(name not in ("lit", "true", "false") for name, *_ in values):
        raise UntraceableError("an index that depends on the state")
    if values and values[0][0] != "lit":
        return np.array([name == "true" for name, *_ in values]).reshape(index.shape)
    return np.array([int(float.fromhex(value)) for _, value in values], int).reshape(index.shape)


def _constant_pad(a: Any, widths: Any, value: float = 0.0) -> Any:
    if min(widths) < 0:
        raise UntraceableError("negative padding")
    around = [(0, 0)] * (a.ndim - len(widths) // 2) + list(zip(widths[::2], widths[1::2], strict=True))[::-1]
    made = entered(a.graph, np.full([size + sum(more) for size, more in zip(a.shape, around, strict=True)], value))
    made[tuple(slice(low, low + size) for size, (low, _) in zip(a.shape, around, strict=True))] = a
    return made


def _roll(a: Any, shifts: Any, dims: Any = ()) -> Any:
    return np.roll(a, tuple(shifts), tuple(dims)) if len(dims) else np.roll(a, shifts[0])


def _layer_norm(a: Any, shape: Any, weight: Any, bias: Any, eps: float) -> Any:
    dims = list(range(a.ndim - len(shape), a.ndim))
    centred = a - _mean(a, dims, True)
    inverse = 1.0 / np.sqrt(_mean(centred * centred, dims, True) + eps)
    normal = centred * inverse
    scaled = normal if weight is None else normal * weight
    return [scaled if bias is None else scaled + bias, _mean(a, dims, True), inverse]


RULES: dict[str, Rule] = {
    "add": lambda a, b, alpha=1: a + _scaled(alpha, b),
    "sub": lambda a, b, alpha=1: a - _scaled(alpha, b),
    "rsub": lambda a, b, alpha=1: b - _scaled(alpha, a),
    "mul": lambda a, b: a * b,
    "div": _division,
    "pow": power,
    "clamp": _clamp,
    "clamp_min": lambda a, low: np.maximum(a, low),
    "clamp_max": lambda a, high: np.minimum(a, high),
    "where": np.where,
    "masked_fill": lambda a, mask, value: np.where(mask, value, a),
    "clone": lambda a: a.copy(),
    "_to_copy": lambda a: a.copy(),
    "lift_fresh": lambda a: a,
    "copy": lambda a, b, *_: np.broadcast_to(b, a.shape),
    "fill": lambda a, value: np.broadcast_to(np.asarray(value, object), a.shape),
    "addcmul": lambda a, b, c, value=1: a + _scaled(value, b * c),
    "addcdiv": lambda a, b, c, value=1: a + _scaled(value, b / c),
    "lerp": lambda a, b, weight: a + weight * (b - a),
    "mm": np.matmul,
    "bmm": np.matmul,
    "mv": np.matmul,
    "dot": np.matmul,
    "addmm": lambda a, b, c, beta=1, alpha=1: _scaled(beta, a) + _scaled(alpha, np.matmul(b, c)),
    "baddbmm": lambda a, b, c, beta=1, alpha=1: _scaled(beta, a) + _scaled(alpha, np.matmul(b, c)),
    "addmv": lambda a, b, c, beta=1, alpha=1: _scaled(beta, a) + _scaled(alpha, np.matmul(b, c)),
    "sum": _sum_of(np.add),
    "prod": _sum_of(np.multiply),
    "amax": _sum_of(np.maximum),
    "amin": _sum_of(np.minimum),
    "mean": _mean,
    "cumsum": lambda a, dim: np.cumsum(a, dim),
    "linalg_vector_norm": _norm,
    "_softmax": lambda a, dim, half: softmax(a, dim),
    "_log_softmax": lambda a, dim, half: np.log(softmax(a, dim)),
    "cat": lambda parts, dim=0: np.concatenate(parts, dim),
    "stack": lambda parts, dim=0: np.stack(parts, dim),
    "roll": _roll,
    "flip": lambda a, dims: np.flip(a, tuple(dims)),
    "repeat": np.tile,
    "constant_pad_nd": _constant_pad,
    "index_select": lambda a, dim, index: np.take(a, _whole(index), dim),
    "index": _at,
    "index_put": _put,
    "native_layer_norm": _layer_norm,
}
"""Operations of torch whose arguments are its own; `symbolic.FUNCTIONS` are those of numbers."""
