"""Programs of NumPy functions as rules of compiled maps, with exact derivatives.

Every operation of a program has a derivative that is a few operations more; both become source, in which equal
operations stand once. Operations that have one result only are written as such. Those that every library computes in
its own way are left to the loops of NumPy's own ufuncs, called from compiled code, so that states are those of the
function to the last bit.
"""

from __future__ import annotations

import ctypes
import hashlib
import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from lyapmap.backends.numba.compile import FunctionRule, LaneRule, RowRule
from lyapmap.backends.numpy.derivatives import Derived
from lyapmap.backends.numpy.program import (
    EXTERNAL,
    Graph,
    Operation,
    Program,
    Symbols,
    UntraceableError,
    fitted,
    joined,
    traced,
)
from lyapmap.backends.numpy.purity import impurity
from lyapmap.core.ops import quiet

SCALARS = 4
"""Dimension up to which several trajectories go in lockstep."""
LARGEST = 64
"""Dimension up to which functions are followed: numbers are written out one by one."""

_INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==",
          "ne": "!=", "and": "&", "or": "|"}  # fmt: skip


class _Code(Derived):
    """Operations of a program and of its derivatives, as source."""

    def text(self, number: int, frozen: bool) -> str | None:
        """How an operation is written; None for those that stand for themselves."""
        name, *given = self.operations[number]
        if name in ("x", "p", "lit", "true", "false"):
            return None
        args = [self.name(part) for part in (given[:1] if name == "ipow" else given)]
        if name in _INFIX:
            return f"{args[0]} {_INFIX[name]} {args[1]}"
        match name:
            case "neg":
                return f"-{args[0]}"
            case "float32":
                return f"np.float64(np.float32({args[0]}))"
            case "not":
                return f"not {args[0]}"
            case "abs":
                return f"abs({args[0]})"
            case "sqrt" | "floor" | "ceil" | "trunc" | "rint" | "isnan" | "isfinite":
                return f"np.{name}({args[0]})"
            case "select":
                return f"{args[1]} if {args[0]} else {args[2]}"
            case "max" | "min":
                relation = ">" if name == "max" else "<"
                return f"{args[0]} if ({args[0]} {relation} {args[1]} or {args[0]} != {args[0]}) else {args[1]}"
            case "sign":
                a = args[0]
                return f"1.0 if {a} > 0.0 else (-1.0 if {a} < 0.0 else (0.0 if {a} == 0.0 else {a}))"
            case "ipow":
                return f"{args[0]} ** {given[1]}"
            case "math.pow":
                return f"math.pow({args[0]}, {args[1]})" if not frozen else f"{args[0]} ** {args[1]}"
        if name.startswith("math."):
            short = {"arcsin": "asin", "arccos": "acos", "arctan": "atan", "arctan2": "atan2", "arcsinh": "asinh",
                     "arccosh": "acosh", "arctanh": "atanh"}.get(name[5:], name[5:])  # fmt: skip
            return f"math.{short}({', '.join(args)})"
        if frozen:
            if name in ("remainder", "floor_divide"):
                return f"{args[0]} {'%' if name == 'remainder' else '//'} {args[1]}"
            return f"np.{name}({', '.join(args)})"
        return f"loop_{name}({', '.join(args)})"

    def name(self, number: int) -> str:
        name, *given = self.operations[number]
        if name == "x":
            return f"x{given[0]}"
        if name == "p":
            return f"p[{given[0]}]"
        if name == "lit":
            value = float.fromhex(given[0])
            if not np.isfinite(value):
                return "np.nan" if np.isnan(value) else f"({'-' if value < 0 else ''}np.inf)"
            return f"({value!r})"
        return {"true": "True", "false": "False"}.get(name, f"v{number}")


Finish = Callable[[tuple[int, ...]], tuple[list[int], list[str]]]


def _lines(code: _Code, ends: Any, frozen: bool, finish: Finish) -> list[str]:
    """Source of a program: `finish` gives what the last lines of each way need, and these."""

    def way(ends: Any, written: frozenset[int], indent: str) -> list[str]:
        lines: list[str] = []

        def write(numbers: list[int], written: frozenset[int]) -> frozenset[int]:
            for number in numbers:
                if number in written:
                    continue
                text = code.text(number, frozen)
                if text is not None:
                    lines.append(f"{indent}v{number} = {text}")
            return written | set(numbers)

        if len(ends) == 3 and isinstance(ends[1], tuple):
            condition, first, second = ends
            written = write(code.needed([condition]), written)
            return [
                *lines,
                f"{indent}if {code.name(condition)}:",
                *way(first, written, indent + "    "),
                f"{indent}else:",
                *way(second, written, indent + "    "),
            ]
        wanted, last = finish(ends)
        write(code.needed(wanted), written)
        return [*lines, *(indent + line for line in last)]

    return way(ends, frozenset(), "    ")


def _leaves(ends: Any) -> list[tuple[int, ...]]:
    if len(ends) == 3 and isinstance(ends[1], tuple):
        return _leaves(ends[1]) + _leaves(ends[2])
    return [ends]


def pattern_of(code: _Code, program: Program) -> tuple[tuple[bool, ...], ...]:
    """Entries of the Jacobian that are not zero everywhere."""
    n = program.n
    marked = np.zeros((n, n), bool)
    for leaf in _leaves(program.ends):
        for i, entries in enumerate(code.slopes_of(leaf, n)):
            marked[i, list(entries)] = True
    return tuple(tuple(bool(entry) for entry in row) for row in marked)


@lru_cache(maxsize=256)
def lane_rule(operations: tuple[Operation, ...], ends: Any, n: int, frozen: bool) -> LaneRule:
    """The rule of a small map: the same object for the same program, so that code is compiled once.

    Parameters
    ----------
    operations, ends, n
        As of a `Program`.
    frozen : bool
        Whether Numba's own functions are used, rather than NumPy's.
    """
    program = Program(operations, ends, (), n)
    code = _Code(program)
    pattern = pattern_of(code, program)
    marked = [(i, j) for i in range(n) for j in range(n) if pattern[i][j]]

    def finish(leaf: tuple[int, ...]) -> tuple[list[int], list[str]]:
        rows = code.slopes_of(leaf, n)
        entries = [rows[i].get(j, code.zero) for i, j in marked]
        image = "".join(f"{code.name(end)}, " for end in leaf[:n])
        slopes = "".join(f"{code.name(entry)}, " for entry in entries)
        return [*leaf[:n], *entries], [f"return ({image}), ({slopes})"]

    lines = [f"def step(p, {', '.join(f'x{i}' for i in range(n))}):", *_lines(code, ends, frozen, finish)]
    made_of = operations, ends, n, frozen
    step = _function("\n".join(lines), "step", code, made_of)
    step.made_by = lane_rule, made_of
    return LaneRule(step, pattern)


@lru_cache(maxsize=64)
def row_rule(operations: tuple[Operation, ...], ends: Any, n: int, frozen: bool) -> RowRule:
    """The rule of a map of any size; as `lane_rule`."""
    code, made_of = _Code(Program(operations, ends, (), n)), (operations, ends, n, frozen)
    image = _function(_image_text(code, ends, n, frozen), "image", code, made_of)
    image.made_by = row_rule, made_of
    return RowRule(image, _function(_tangents_text(code, ends, n, frozen), "tangents", code, made_of))


def _image_text(code: _Code, ends: Any, n: int, frozen: bool) -> str:
    def image(leaf: tuple[int, ...]) -> tuple[list[int], list[str]]:
        return list(leaf[:n]), [f"y[{i}] = {code.name(end)}" for i, end in enumerate(leaf[:n])]

    load = [f"    x{i} = x[{i}]" for i in range(n)]
    return "\n".join(["def image(p, x, y):", *load, *_lines(code, ends, frozen, image)])


def _tangents_text(code: _Code, ends: Any, n: int, frozen: bool) -> str:
    def tangents(leaf: tuple[int, ...]) -> tuple[list[int], list[str]]:
        entries = code.slopes_of(leaf, n)
        lines = ["for c in range(v.shape[0]):"]
        for i, entry in enumerate(entries):
            terms = [f"{code.name(slope)} * v[c, {j}]" for j, slope in entry.items()]
            lines.append(f"    u[c, {i}] = {' + '.join(terms) or '0.0'}")
        return [slope for entry in entries for slope in entry.values()], lines

    load = [f"    x{i} = x[{i}]" for i in range(n)]
    return "\n".join(["def tangents(p, x, v, u):", *load, *_lines(code, ends, frozen, tangents)])


def plain_function(operations: tuple[Operation, ...], ends: Any, n: int, name: str) -> Any:
    """`row_kernels.image` or `tangents` of a program in Python, to be looked at without compiling."""
    code = _Code(Program(operations, ends, (), n))
    namespace: dict[str, Any] = {"np": np, "math": math}
    namespace |= {f"loop_{external}": getattr(np, external) for external in EXTERNAL}
    text = (_tangents_text if name == "tangents" else _image_text)(code, ends, n, False)
    exec(compile(text, "<lyapmap>", "exec"), namespace)
    return namespace[name]


def _function(text: str, name: str, code: _Code, made_of: tuple[Any, ...]) -> Any:
    """A function from its source, named after all that it is made of: Numba keeps its code on disk by that name."""
    used = set() if made_of[-1] else {operation[0] for operation in code.operations} & set(EXTERNAL)
    namespace: dict[str, Any] = {"np": np, "math": math}
    namespace |= {f"loop_{function}": loop_of(function) for function in sorted(used)}
    own = f"{name}_{hashlib.sha256(repr(made_of).encode()).hexdigest()[:24]}"
    # As if it stood in this file: what is kept on disk is stale when the file changes.
    exec(compile(text.replace(f"def {name}(", f"def {own}(", 1), __file__, "exec"), namespace)
    return namespace[own]


def exact_rules(own: FunctionRule, n: int) -> tuple[Any, RowRule, Callable[..., Any]] | None:
    """Rules with exact derivatives for functions that Numba has compiled, and their Jacobian in Python.

    A Jacobian that is given is followed too. None where a source cannot be followed, does more than compute, or
    gives other values than the function.
    """
    function, scalar = own.function, own.scalar
    given = [(function, scalar)] + ([] if own.jacobian is None else [(own.jacobian, own.scalar_jacobian)])
    sources = [(getattr(part, "py_func", None), alone) for part, alone in given]
    if n > LARGEST or any(source is None or impurity(source) is not None for source, _ in sources):
        return None

    def call(graph: Graph, x: Symbols) -> Any:
        outputs = [fitted(graph, source)(x[0] if alone else x) for source, alone in sources]
        return np.concatenate([np.asarray(joined(value), object).view(np.ndarray).ravel() for value in outputs])

    try:
        program = traced(call, n, size=n if len(given) == 1 else n + n * n, frozen=True, branches=True)
        rows = row_rule(program.operations, program.ends, n, True)
        rule = lane_rule(program.operations, program.ends, n, True) if n <= SCALARS else rows
        image, tangents = (plain_function(program.operations, program.ends, n, name) for name in ("image", "tangents"))
    except (UntraceableError, RecursionError):
        return None
    rng = np.random.default_rng(3)
    states = [rng.uniform(0.05, 0.95, (32, n)), rng.uniform(-1, 1, (32, n)), rng.normal(0, 3, (32, n))]
    with quiet():
        for x in np.concatenate(states):
            values = np.empty(n)
            try:
                wanted = np.ravel(function(float(x[0])) if scalar else function(x.copy()))
                image((), x, values)
                if own.jacobian is not None:
                    slopes = np.empty((n, n))
                    tangents((), x, np.eye(n), slopes)
                    wanted = np.append(wanted, own.jacobian(float(x[0])) if own.scalar_jacobian else own.jacobian(x))
                    values = np.append(values, slopes.T)
            except Exception:  # it need not have a value everywhere, but then its code says more than its operations
                return None
            if not np.allclose(values, wanted, rtol=1e-13, atol=1e-300, equal_nan=True):
                return None

    def matrix(x: Any) -> Any:
        columns = np.empty((n, n))
        with quiet():
            tangents((), np.atleast_1d(x), np.eye(n), columns)
        return columns.T

    return rule, rows, matrix


class _UfuncObject(ctypes.Structure):
    """The beginning of NumPy's `PyUFuncObject`, which its C headers make public."""

    _fields_ = (
        ("references", ctypes.c_ssize_t),
        ("kind", ctypes.c_void_p),
        ("nin", ctypes.c_int),
        ("nout", ctypes.c_int),
        ("nargs", ctypes.c_int),
        ("identity", ctypes.c_int),
        ("functions", ctypes.POINTER(ctypes.c_void_p)),
        ("data", ctypes.POINTER(ctypes.c_void_p)),
        ("ntypes", ctypes.c_int),
    )


@lru_cache(maxsize=64)
def loop_of(name: str) -> Any:
    """NumPy's own loop for float64, to be called from compiled code for one number, or a pair.

    It goes by a symbol, so that code that is kept on disk finds the loop of the process that loads it.
    """
    import sys

    from llvmlite import binding, ir  # type: ignore[import-untyped]
    from numba import types
    from numba.core import cgutils
    from numba.extending import intrinsic

    ufunc = getattr(np, name)
    inner = _UfuncObject.from_address(id(ufunc))
    seen = (inner.nin, inner.nout, inner.nargs, inner.ntypes)
    if sys.implementation.name != "cpython" or seen != (ufunc.nin, 1, ufunc.nin + 1, ufunc.ntypes):
        raise UntraceableError(f"np.{name} cannot be looked into")
    place = ufunc.types.index("d" * ufunc.nin + "->d")
    count, symbol = ufunc.nin, f"lyapmap_loop_{name}"
    binding.add_symbol(symbol, inner.functions[place])
    # A loop without data does not look at them.
    binding.add_symbol(f"{symbol}_data", (inner.data[place] if inner.data else None) or id(ufunc))

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        word, byte = ir.IntType(64), ir.IntType(8).as_pointer()
        real = ir.DoubleType()
        slots = [cgutils.alloca_once(builder, real) for _ in range(count + 1)]
        for slot, value in zip(slots, given, strict=False):
            builder.store(value, slot)
        pointers = cgutils.alloca_once(builder, ir.ArrayType(byte, count + 1))
        strides = cgutils.alloca_once(builder, ir.ArrayType(word, count + 1))
        length = cgutils.alloca_once(builder, word)
        zero = ir.Constant(ir.IntType(32), 0)
        for i, slot in enumerate(slots):
            at = ir.Constant(ir.IntType(32), i)
            builder.store(builder.bitcast(slot, byte), builder.gep(pointers, [zero, at]))
            builder.store(ir.Constant(word, 8), builder.gep(strides, [zero, at]))
        builder.store(ir.Constant(word, 1), length)
        kind = ir.FunctionType(ir.VoidType(), [byte.as_pointer(), word.as_pointer(), word.as_pointer(), byte])
        module = builder.module
        data = module.globals.get(f"{symbol}_data") or ir.GlobalVariable(module, ir.IntType(8), f"{symbol}_data")
        builder.call(
            cgutils.get_or_insert_function(module, kind, symbol),
            [
                builder.bitcast(pointers, byte.as_pointer()),
                length,
                builder.bitcast(strides, word.as_pointer()),
                data,
            ],
        )
        return builder.load(slots[count])

    if count == 1:

        def lowered(typing: Any, a: Any) -> Any:
            return types.float64(types.float64), generate

        return intrinsic(lowered)

    def two(typing: Any, a: Any, b: Any) -> Any:
        return types.float64(types.float64, types.float64), generate

    return intrinsic(two)
