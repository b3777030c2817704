"""Derivatives of programs: for every operation a few more, by the rules of differentiation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lyapmap.backends.numpy.program import Operation, Program, UntraceableError

MOST_DERIVED = 6000
"""Operations, those of the derivatives among them, beyond which compiling takes too long."""
_BEGINNINGS = ("x", "p", "lit", "true", "false")


class Derived:
    """Operations of a program and of its derivatives."""

    def __init__(self, program: Program) -> None:
        self.operations: list[Operation] = list(program.operations)
        self.known = {operation: i for i, operation in enumerate(self.operations)}
        self.slopes: dict[int, dict[int, int]] = {}

    def add(self, name: str, *given: Any) -> int:
        if name == "mul" and self.unit in given:
            return given[1] if given[0] == self.unit else given[0]
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
    def unit(self) -> int:
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

    def slopes_of(self, leaf: Sequence[int], n: int) -> list[dict[int, int]]:
        """Rows of the Jacobian: of what comes out after n values, or the derivatives of these."""
        if len(leaf) == n:
            return [self.derivative(end) for end in leaf]
        rows = [leaf[n * (i + 1) : n * (i + 2)] for i in range(n)]
        return [{j: entry for j, entry in enumerate(row) if entry != self.zero} for row in rows]

    def _derivative(self, number: int) -> dict[int, int]:
        name, *given = self.operations[number]
        if name == "x":
            return {given[0]: self.unit}
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

        unit = self.unit
        square = add("mul", a, a)
        match name:
            case "add":
                return [unit, unit]
            case "float32":
                return [unit]
            case "sub":
                return [unit, -1]
            case "mul":
                return [b, a]
            case "div":
                return [add("div", unit, b), add("neg", add("div", y, b)) if self.slopes[b] else None]
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
                return [add("add", unit, add("mul", y, y))]
            case "sinh":
                return [of("cosh", a)]
            case "cosh":
                return [of("sinh", a)]
            case "tanh":
                return [add("sub", unit, add("mul", y, y))]
            case "exp":
                return [y]
            case "exp2":
                return [add("mul", y, lit(float(np.log(2.0))))]
            case "expm1":
                return [add("add", y, unit)]
            case "erf":
                return [add("mul", lit(float(2 / np.sqrt(np.pi))), of("exp", add("neg", square)))]
            case "log":
                return [add("div", unit, a)]
            case "log2" | "log10":
                return [add("div", lit(float(1 / np.log(2.0 if name == "log2" else 10.0))), a)]
            case "log1p":
                return [add("div", unit, add("add", unit, a))]
            case "arcsin" | "arccos":
                slope = add("div", unit, add("sqrt", add("sub", unit, square)))
                return [slope if name == "arcsin" else add("neg", slope)]
            case "arctan":
                return [add("div", unit, add("add", unit, square))]
            case "arcsinh":
                return [add("div", unit, add("sqrt", add("add", square, unit)))]
            case "arccosh":
                return [add("div", unit, add("sqrt", add("sub", square, unit)))]
            case "arctanh":
                return [add("div", unit, add("sub", unit, square))]
            case "arctan2":
                size = add("add", square, add("mul", b, b))
                return [add("div", b, size), add("neg", add("div", a, size))]
            case "hypot":
                return [add("div", a, y), add("div", b, y)]
            case "remainder":
                return [unit, add("neg", of("floor_divide", a, b)) if self.slopes[b] else None]
            case "fmod":
                return [unit, add("neg", add("trunc", add("div", a, b))) if self.slopes[b] else None]
            case "ipow":
                n = given[1]
                if n == 0:
                    return [None]
                return [unit if n == 1 else add("mul", lit(float(n)), a if n == 2 else add("ipow", a, n - 1))]
            case "power" | "float_power" | "pow":
                less = of(name, a, add("sub", b, unit))
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
            if name not in _BEGINNINGS:
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
                if name not in _BEGINNINGS:
                    stack += [(part, False) for part in (given[:1] if name == "ipow" else given) if part not in done]

        for number in sorted(numbers):
            put(number)
        return list(done)


def arguments(operation: Operation) -> tuple[int, ...]:
    """Operations of which one is made."""
    name, *given = operation
    return () if name in _BEGINNINGS else tuple(given[:1] if name == "ipow" else given)
