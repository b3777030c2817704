"""Programs of NumPy functions as rules of compiled maps, with exact derivatives.

Every operation of a program has a derivative that is a few operations more; both become source, in which equal
operations stand once. Operations that have one result only are written as such. Those that every library computes in
its own way are left to the loops of NumPy's own ufuncs, called from compiled code, so that states are those of the
function to the last bit.
"""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from types import FunctionType
from typing import Any

import numpy as np

from lyapmap.backends.numba.compile import LaneRule, RowRule
from lyapmap.backends.numpy.program import EXTERNAL, Operation, Program, UntraceableError

MOST_DERIVED = 6000
"""Operations, those of the derivatives among them, beyond which compiling takes too long."""

_INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==",
          "ne": "!=", "and": "&", "or": "|"}  # fmt: skip


class _Code:
    """Operations of a program and of its derivatives."""

    def __init__(self, program: Program) -> None:
        self.operations: list[Operation] = list(program.operations)
        self.known = {operation: i for i, operation in enumerate(self.operations)}
        self.slopes: dict[int, dict[int, int]] = {}

    def add(self, name: str, *given: Any) -> int:
        if name == "mul" and self.one in given:
            return given[1] if given[0] == self.one else given[0]
        if name == "neg" and self.operations[given[0]][0] == "neg":
            return int(self.operations[given[0]][1])
        key = (name, *given)
        if key not in self.known:
            if len(self.operations) >= MOST_DERIVED:
                raise UntraceableError("too many operations")
            self.known[key] = len(self.operations)
            self.operations.append(key)
        return self.known[key]

    def literal(self, value: float) -> int:
        key = ("lit", value.hex())
        if key not in self.known:
            self.known[key] = len(self.operations)
            self.operations.append(key)
        return self.known[key]

    @property
    def one(self) -> int:
        return self.literal(1.0)

    @property
    def zero(self) -> int:
        return self.literal(0.0)

    def derivative(self, number: int) -> dict[int, int]:
        """Derivatives by those coordinates on which an operation depends."""
        for i in range(number + 1):
            if i not in self.slopes:
                self.slopes[i] = self._derivative(i)
        return self.slopes[number]

    def _derivative(self, number: int) -> dict[int, int]:
        name, *given = self.operations[number]
        if name == "x":
            return {given[0]: self.one}
        if name in ("p", "lit", "true", "false", "sign", "floor", "ceil", "trunc", "rint", "floor_divide") or name in (
            "lt", "le", "gt", "ge", "eq", "ne", "and", "or", "not", "isnan", "isfinite"
        ):  # fmt: skip
            return {}
        if name == "select":
            condition, *ways = given
            return self._either(condition, *ways)
        if name in ("max", "min"):
            a, b = given
            return self._either(self.add("gt" if name == "max" else "lt", a, b), a, b)
        parts = given[:1] if name == "ipow" else given
        if not any(self.slopes.get(part) for part in parts):
            return {}
        total: dict[int, int] = {}
        for part, by in zip(parts, self._partial(number, name, given), strict=True):
            for j, slope in self.slopes[part].items():
                if by is None:
                    continue
                term = self.add("neg", slope) if by == -1 else self.add("mul", by, slope)
                total[j] = self.add("add", total[j], term) if j in total else term
        return total

    def _either(self, condition: int, a: int, b: int) -> dict[int, int]:
        first, second = self.slopes[a], self.slopes[b]
        return {
            j: first[j]
            if first.get(j) == second.get(j)
            else self.add("select", condition, first.get(j, self.zero), second.get(j, self.zero))
            for j in sorted({*first, *second})
        }

    def _partial(self, y: int, name: str, given: Sequence[int]) -> list[int | None]:
        """The derivative by each argument; -1 stands for minus one, None for zero."""
        add, lit = self.add, self.literal
        a = given[0]
        b = given[1] if len(given) > 1 else a
        name = name.removeprefix("math.")
        prefix = "math." if self.operations[y][0].startswith("math.") else ""

        def of(function: str, *values: int) -> int:
            return add(prefix + function, *values)

        one = self.one
        square = add("mul", a, a)
        match name:
            case "add":
                return [one, one]
            case "sub":
                return [one, -1]
            case "mul":
                return [b, a]
            case "div":
                return [add("div", one, b), add("neg", add("div", y, b)) if self.slopes[b] else None]
            case "neg":
                return [-1]
            case "abs":
                return [add("sign", a)]
            case "sqrt":
                return [add("div", lit(0.5), y)]
            case "cbrt":
                return [add("div", y, add("mul", lit(3.0), a))]
            case "sin":
                return [of("cos", a)]
            case "cos":
                return [add("neg", of("sin", a))]
            case "tan":
                return [add("add", one, add("mul", y, y))]
            case "sinh":
                return [of("cosh", a)]
            case "cosh":
                return [of("sinh", a)]
            case "tanh":
                return [add("sub", one, add("mul", y, y))]
            case "exp":
                return [y]
            case "exp2":
                return [add("mul", y, lit(float(np.log(2.0))))]
            case "expm1":
                return [add("add", y, one)]
            case "log":
                return [add("div", one, a)]
            case "log2" | "log10":
                return [add("div", lit(float(1 / np.log(2.0 if name == "log2" else 10.0))), a)]
            case "log1p":
                return [add("div", one, add("add", one, a))]
            case "arcsin" | "arccos":
                slope = add("div", one, add("sqrt", add("sub", one, square)))
                return [slope if name == "arcsin" else add("neg", slope)]
            case "arctan":
                return [add("div", one, add("add", one, square))]
            case "arcsinh":
                return [add("div", one, add("sqrt", add("add", square, one)))]
            case "arccosh":
                return [add("div", one, add("sqrt", add("sub", square, one)))]
            case "arctanh":
                return [add("div", one, add("sub", one, square))]
            case "arctan2":
                size = add("add", square, add("mul", b, b))
                return [add("div", b, size), add("neg", add("div", a, size))]
            case "hypot":
                return [add("div", a, y), add("div", b, y)]
            case "remainder":
                return [one, add("neg", of("floor_divide", a, b)) if self.slopes[b] else None]
            case "fmod":
                return [one, add("neg", add("trunc", add("div", a, b))) if self.slopes[b] else None]
            case "ipow":
                n = given[1]
                if n == 0:
                    return [None]
                return [one if n == 1 else add("mul", lit(float(n)), a if n == 2 else add("ipow", a, n - 1))]
            case "power" | "float_power" | "pow":
                less = of(name, a, add("sub", b, one))
                return [add("mul", b, less), add("mul", y, of("log", a)) if self.slopes[b] else None]
            case "logaddexp":
                first, second = (add("exp", add("sub", part, y)) for part in (a, b))
                return [first, second]
            case _:
                raise UntraceableError(f"no derivative of {name}")

    def needed(self, ends: Sequence[int]) -> list[int]:
        """Operations on which some ends depend, in their order."""
        wanted, left = set(), list(ends)
        while left:
            number = left.pop()
            if number in wanted:
                continue
            wanted.add(number)
            name, *given = self.operations[number]
            if name not in ("x", "p", "lit", "true", "false"):
                left += given[:1] if name == "ipow" else given
        return self.sorted(wanted)

    def sorted(self, numbers: set[int]) -> list[int]:
        # Derivatives are written down when they are asked for: what an operation needs may have a higher number.
        done: dict[int, None] = {}

        def put(number: int) -> None:
            stack = [(number, False)]
            while stack:
                at, ready = stack.pop()
                if at in done:
                    continue
                if ready:
                    done[at] = None
                    continue
                stack.append((at, True))
                name, *given = self.operations[at]
                if name not in ("x", "p", "lit", "true", "false"):
                    stack += [(part, False) for part in (given[:1] if name == "ipow" else given) if part not in done]

        for number in sorted(numbers):
            put(number)
        return list(done)

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
                return f"1.0 if {args[0]} > 0.0 else (-1.0 if {args[0]} < 0.0 else (0.0 if {args[0]} == 0.0 else {args[0]}))"
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


def _lines(code: _Code, ends: Any, frozen: bool, finish: Callable[[tuple[int, ...]], list[str]]) -> list[str]:
    """Source of a program: `finish` gives the last lines of each way."""

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
        needed, last = finish(ends)
        write(code.needed(needed), written)
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
        for i, end in enumerate(leaf):
            marked[i, list(code.derivative(end))] = True
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
        entries = [code.derivative(leaf[i]).get(j, code.zero) for i, j in marked]
        image = "".join(f"{code.name(end)}, " for end in leaf)
        slopes = "".join(f"{code.name(entry)}, " for entry in entries)
        return [*leaf, *entries], [f"return ({image}), ({slopes})"]

    lines = [f"def step(p, {', '.join(f'x{i}' for i in range(n))}):", *_lines(code, ends, frozen, finish)]
    return LaneRule(_function("\n".join(lines), "step", code, frozen), pattern)


@lru_cache(maxsize=64)
def row_rule(operations: tuple[Operation, ...], ends: Any, n: int, frozen: bool) -> RowRule:
    """The rule of a map of any size; as `lane_rule`."""
    program = Program(operations, ends, (), n)
    code = _Code(program)
    pattern = pattern_of(code, program)
    load = [f"    x{i} = x[{i}]" for i in range(n)]

    def image(leaf: tuple[int, ...]) -> tuple[list[int], list[str]]:
        return list(leaf), [f"y[{i}] = {code.name(end)}" for i, end in enumerate(leaf)]

    def tangents(leaf: tuple[int, ...]) -> tuple[list[int], list[str]]:
        entries = [code.derivative(end) for end in leaf]
        lines = ["for c in range(v.shape[0]):"]
        for i, entry in enumerate(entries):
            terms = [f"{code.name(slope)} * v[c, {j}]" for j, slope in entry.items()]
            lines.append(f"    u[c, {i}] = {' + '.join(terms) or '0.0'}")
        return [slope for entry in entries for slope in entry.values()], lines

    sources = (
        "\n".join(["def image(p, x, y):", *load, *_lines(code, ends, frozen, image)]),
        "\n".join(["def tangents(p, x, v, u):", *load, *_lines(code, ends, frozen, tangents)]),
    )
    del pattern
    made = [_function(text, name, code, frozen) for text, name in zip(sources, ("image", "tangents"), strict=True)]
    return RowRule(*made)


def _function(text: str, name: str, code: _Code, frozen: bool) -> Any:
    import math

    used = {operation[0] for operation in code.operations} & set(EXTERNAL) if not frozen else set()
    namespace: dict[str, Any] = {"np": np, "math": math}
    namespace |= {f"loop_{function}": loop_of(function) for function in sorted(used)}
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    exec(compile(text, f"<lyapmap {digest}>", "exec"), namespace)
    function: FunctionType = namespace[name]
    return function


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
    """NumPy's own loop for float64, to be called from compiled code for one number, or a pair."""
    import sys

    from llvmlite import ir
    from numba import types
    from numba.core import cgutils
    from numba.extending import intrinsic

    ufunc = getattr(np, name)
    inner = _UfuncObject.from_address(id(ufunc))
    seen = (inner.nin, inner.nout, inner.nargs, inner.ntypes)
    if sys.implementation.name != "cpython" or seen != (ufunc.nin, 1, ufunc.nin + 1, ufunc.ntypes):
        raise UntraceableError(f"np.{name} cannot be looked into")
    place = ufunc.types.index("d" * ufunc.nin + "->d")
    address, data = inner.functions[place], (inner.data[place] if inner.data else None) or 0
    count = ufunc.nin

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
        function = builder.inttoptr(ir.Constant(word, address), kind.as_pointer())
        builder.call(
            function,
            [
                builder.bitcast(pointers, byte.as_pointer()),
                length,
                builder.bitcast(strides, word.as_pointer()),
                builder.inttoptr(ir.Constant(word, data), byte),
            ],
        )
        return builder.load(slots[count])

    if count == 1:

        def one(typing: Any, a: Any) -> Any:
            return types.float64(types.float64), generate

        return intrinsic(one)

    def two(typing: Any, a: Any, b: Any) -> Any:
        return types.float64(types.float64, types.float64), generate

    return intrinsic(two)
