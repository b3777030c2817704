"""What a TensorFlow function does to one state, as a list of operations on numbers: read from its graph.

Operations are done by NumPy, on numbers where they do not depend on the state, else on symbols (see `numpy.program`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lyapmap.backends.keras.start import tensorflow
from lyapmap.backends.numpy.program import Graph, Program, Symbols, UntraceableError, symbols, traced
from lyapmap.backends.symbolic import FUNCTIONS, LARGEST_ARRAY, elu, entered, power, rounded, sigmoid, softmax, softplus

Rule = Callable[..., Any]
DEPTH = 8
"""Of functions within functions."""


def program_of(traced_function: Any, n: int, dtype: str) -> Program:
    """What a concrete function of flat states (b, n) does to one state, with its variables of now.

    Raises
    ------
    UntraceableError
    """
    tf = tensorflow()

    def call(graph: Graph, x: Symbols) -> Any:
        inside = traced_function.graph
        values: dict[str, Any] = {inside.inputs[0].name: symbols(graph, x.reshape(1, n))}
        for outer, placeholder in inside.captures:
            values[placeholder.name] = outer if outer.dtype == tf.resource else outer.numpy()
        return _Followed(graph, tf, dtype).outputs(inside, values)[0]

    return traced(call, n)


class _Followed:
    """A graph of TensorFlow, done by NumPy."""

    def __init__(self, graph: Graph, tf: Any, dtype: str) -> None:
        self.graph, self.tf, self.dtype = graph, tf, dtype

    def outputs(self, inside: Any, values: dict[str, Any], depth: int = DEPTH) -> list[Any]:
        """What comes out of a graph; `values` holds what goes in, by the names of its tensors."""
        for operation in inside.get_operations():
            wanted = [tensor.name for tensor in operation.outputs]
            if not wanted or all(name in values for name in wanted):
                continue
            given = [values[tensor.name] for tensor in operation.inputs]
            made = self._made(inside, operation, given, depth)
            for name, tensor, value in zip(wanted, operation.outputs, made, strict=True):
                if isinstance(value, Symbols) and tensor.dtype.is_floating:
                    if tensor.dtype.name != self.dtype:
                        raise UntraceableError(f"{tensor.dtype.name} inside")
                    if tensor.dtype.name == "float32" and operation.type not in SHAPING:
                        value = rounded(value)
                values[name] = value
        return [values[tensor.name] for tensor in inside.outputs]

    def _made(self, inside: Any, operation: Any, given: list[Any], depth: int) -> list[Any]:
        kind = operation.type
        if kind == "Const":
            return [self.tf.make_ndarray(operation.get_attr("value"))]
        if kind == "ReadVariableOp":
            return [self.tf.raw_ops.ReadVariableOp(resource=given[0], dtype=operation.get_attr("dtype")).numpy()]
        if kind in ("PartitionedCall", "StatefulPartitionedCall"):
            if depth == 0:
                raise UntraceableError("functions within functions")
            body = inside._get_function(operation.get_attr("f").name).graph
            within = dict(zip([tensor.name for tensor in body.inputs], given, strict=True))
            # What gradients want of it besides comes after.
            return self.outputs(body, within, depth - 1)[: len(operation.outputs)]
        rule = RULES.get(kind)
        if rule is None:
            raise UntraceableError(f"{kind} of a state")
        settings = {name: operation.get_attr(name) for name in rule[1:]}
        with np.errstate(all="ignore"):
            if any(isinstance(part, Symbols) for part in given) and kind not in INDEXED:
                given = [self._symbols(part) for part in given]
            made = rule[0](*given, **settings)
        return list(made) if isinstance(made, list | tuple) else [self._fine(made)]

    def _symbols(self, value: Any) -> Any:
        """Numbers of floating point as symbols; whole numbers are shapes and axes."""
        if isinstance(value, Symbols) or np.asarray(value).dtype.kind not in "fb":
            return value
        if np.size(value) > LARGEST_ARRAY:
            raise UntraceableError("large arrays")
        return entered(self.graph, np.asarray(value))

    def _fine(self, made: Any) -> Any:
        if isinstance(made, np.ndarray) and made.dtype == object and not isinstance(made, Symbols):
            return symbols(self.graph, made)
        return made if isinstance(made, Symbols | np.ndarray) else np.asarray(made)


def _strided(a: Any, begin: Any, end: Any, strides: Any, **masks: int) -> Any:
    where: list[Any] = []
    for i, (first, last, step) in enumerate(zip(begin.tolist(), end.tolist(), strides.tolist(), strict=True)):
        on = {name: bool(mask >> i & 1) for name, mask in masks.items()}
        if on["ellipsis_mask"]:
            where.append(Ellipsis)
        elif on["new_axis_mask"]:
            where.append(None)
        elif on["shrink_axis_mask"]:
            where.append(first)
        else:
            where.append(slice(None if on["begin_mask"] else first, None if on["end_mask"] else last, step))
    return a[(*where, ...)] if Ellipsis not in where else a[tuple(where)]


def _squeezed(a: Any, squeeze_dims: Any) -> Any:
    dims = squeeze_dims or [i for i, size in enumerate(a.shape) if size == 1]
    return a.reshape([size for i, size in enumerate(a.shape) if i not in {d % a.ndim for d in dims}])


def _product(a: Any, b: Any, *turned: bool) -> Any:
    first, second = turned
    return np.matmul(a.swapaxes(-1, -2) if first else a, b.swapaxes(-1, -2) if second else b)


def _einsum(*given: Any, equation: str) -> Any:
    equation = equation.decode() if isinstance(equation, bytes) else equation
    return np.einsum(equation, *(np.asarray(part).view(np.ndarray) for part in given))


def _reduced(function: Any) -> Rule:
    def rule(a: Any, axes: Any, keep_dims: bool) -> Any:
        for axis in sorted({int(i) % a.ndim for i in np.ravel(axes)}, reverse=True):
            a = function.reduce(a, axis=axis, keepdims=keep_dims)
        return a

    return rule


def _mean(a: Any, axes: Any, keep_dims: bool) -> Any:
    total = _reduced(np.add)(a, axes, keep_dims)
    return total / float(np.size(a) // max(np.size(total), 1))


def _padded(a: Any, widths: Any, value: Any = 0.0) -> Any:
    shape = [size + int(sum(more)) for size, more in zip(a.shape, widths, strict=True)]
    made: Any = np.full(shape, float(np.asarray(value)) if not isinstance(value, Symbols) else np.nan)
    made = entered(a.graph, made) if isinstance(a, Symbols) else made
    if isinstance(value, Symbols):
        made[...] = value
    made[tuple(slice(int(low), int(low) + size) for size, (low, _) in zip(a.shape, widths, strict=True))] = a
    return made


def _gathered(a: Any, indices: Any, axis: Any, batch_dims: int) -> Any:
    if batch_dims or isinstance(indices, Symbols):
        raise UntraceableError("an index that depends on the state")
    return np.take(a, indices, int(axis))


def _cast(a: Any, DstT: Any) -> Any:  # TensorFlow's name
    if not isinstance(a, Symbols):
        return np.asarray(a).astype(DstT.as_numpy_dtype)
    if not DstT.is_floating:
        raise UntraceableError("whole numbers of a state")
    return np.where(a, 1.0, 0.0) if a.graph.is_logical(a.ravel()[0].number) else a


def _rolled(a: Any, shift: Any, axis: Any) -> Any:
    return np.roll(a, tuple(np.ravel(shift).tolist()), tuple(np.ravel(axis).tolist()))


def _sliced(a: Any, begin: Any, size: Any) -> Any:
    ends = [None if s < 0 else b + s for b, s in zip(begin.tolist(), size.tolist(), strict=True)]
    return a[tuple(slice(b, end) for b, end in zip(begin.tolist(), ends, strict=True))]


def _axis(axis: Any) -> int:
    return int(np.ravel(axis)[0])


_MASKS = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
SHAPING: dict[str, tuple[Any, ...]] = {
    "Identity": (lambda a: a,),
    "PlaceholderWithDefault": (lambda a: a,),
    # Where it changes a derivative, that of the program is found to be another one.
    "StopGradient": (lambda a: a,),
    "Shape": (lambda a: np.array(a.shape),),
    "StridedSlice": (_strided, *_MASKS),
    "Slice": (_sliced,),
    "Pack": (lambda *parts, axis: np.stack(parts, axis), "axis"),
    "Unpack": (lambda a, axis, num: [np.take(a, i, axis) for i in range(num)], "axis", "num"),
    "ConcatV2": (lambda *parts: np.concatenate(parts[:-1], _axis(parts[-1])),),
    "Split": (lambda axis, a, num_split: np.split(a, num_split, _axis(axis)), "num_split"),
    "SplitV": (lambda a, sizes, axis, num_split: np.split(a, np.cumsum(sizes)[:-1], _axis(axis)), "num_split"),
    "Reshape": (lambda a, shape: a.reshape([int(size) for size in shape]),),
    "Transpose": (lambda a, order: a.transpose([int(i) for i in order]),),
    "ExpandDims": (lambda a, axis: np.expand_dims(a, _axis(axis)),),
    "Squeeze": (_squeezed, "squeeze_dims"),
    "Tile": (lambda a, times: np.tile(a, [int(i) for i in times]),),
    "BroadcastTo": (lambda a, shape: np.broadcast_to(a, [int(size) for size in shape]),),
    "GatherV2": (_gathered, "batch_dims"),
    "Roll": (_rolled,),
    "ReverseV2": (lambda a, axes: np.flip(a, tuple(int(i) for i in axes)),),
    "Pad": (_padded,),
    "PadV2": (_padded,),
    "Fill": (lambda shape, value: np.full([int(size) for size in shape], value),),
    "ZerosLike": (lambda a: np.zeros(a.shape),),
    "OnesLike": (lambda a: np.ones(a.shape),),
    "Range": (lambda *given: np.arange(*(part.item() for part in given)),),
    "Prod": (_reduced(np.multiply), "keep_dims"),
    "Cast": (_cast, "DstT"),
}
"""Operations that compute nothing, with the settings that they take; products are mostly of sizes."""
INDEXED = ("Pack", "Fill")

_ALIKE = {
    "AddV2": np.add, "Add": np.add, "BiasAdd": np.add, "Sub": np.subtract, "Mul": np.multiply, "RealDiv": np.divide,
    "Div": np.divide, "Neg": np.negative, "Square": np.square, "Sqrt": np.sqrt, "Exp": np.exp, "Log": np.log,
    "Log1p": np.log1p, "Expm1": np.expm1, "Sin": np.sin, "Cos": np.cos, "Tan": np.tan, "Asin": np.arcsin,
    "Acos": np.arccos, "Atan": np.arctan, "Atan2": np.arctan2, "Sinh": np.sinh, "Cosh": np.cosh, "Tanh": np.tanh,
    "Asinh": np.arcsinh, "Acosh": np.arccosh, "Atanh": np.arctanh, "Maximum": np.maximum, "Minimum": np.minimum,
    "Abs": np.abs, "Sign": np.sign, "Floor": np.floor, "Ceil": np.ceil, "Rint": np.rint, "Round": np.rint,
    "FloorMod": np.remainder, "FloorDiv": np.floor_divide, "Mod": np.fmod, "Less": np.less,
    "LessEqual": np.less_equal, "Greater": np.greater, "GreaterEqual": np.greater_equal, "Equal": np.equal,
    "NotEqual": np.not_equal, "LogicalAnd": np.logical_and, "LogicalOr": np.logical_or, "LogicalNot": np.logical_not,
    "IsNan": np.isnan, "IsFinite": np.isfinite, "Reciprocal": np.reciprocal, "Inv": np.reciprocal,
    "SelectV2": np.where, "Select": np.where,
}  # fmt: skip
RULES: dict[str, tuple[Any, ...]] = (
    SHAPING
    | {name: (function,) for name, function in _ALIKE.items()}
    | {
        "Pow": (power,),
        "AddN": (lambda *parts: sum(parts[1:], parts[0]),),
        "SquaredDifference": (lambda a, b: (a - b) * (a - b),),
        "Rsqrt": (FUNCTIONS["rsqrt"],),
        "Erf": (FUNCTIONS["erf"],),
        "Erfc": (lambda a: 1.0 - FUNCTIONS["erf"](a),),
        "Sigmoid": (sigmoid,),
        "Relu": (FUNCTIONS["relu"],),
        "Relu6": (lambda a: np.minimum(np.maximum(a, 0.0), 6.0),),
        "LeakyRelu": (lambda a, alpha: np.where(a > 0, a, a * alpha), "alpha"),
        "Elu": (elu,),
        "Softplus": (softplus,),
        "Softmax": (lambda a: softmax(a, -1),),
        "ClipByValue": (lambda a, low, high: np.minimum(np.maximum(a, low), high),),
        "MatMul": (lambda a, b, transpose_a, transpose_b: _product(a, b, transpose_a, transpose_b),
                   "transpose_a", "transpose_b"),
        "BatchMatMulV2": (lambda a, b, adj_x, adj_y: _product(a, b, adj_x, adj_y), "adj_x", "adj_y"),
        "Einsum": (_einsum, "equation"),
        "Sum": (_reduced(np.add), "keep_dims"),
        "Max": (_reduced(np.maximum), "keep_dims"),
        "Min": (_reduced(np.minimum), "keep_dims"),
        "Mean": (_mean, "keep_dims"),
    }
)  # fmt: skip
"""Operations by TensorFlow's names: what NumPy does, and the settings that it is given."""
