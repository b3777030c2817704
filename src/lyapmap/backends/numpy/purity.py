"""Whether a Python function does nothing but compute: read from its code and from all that it can reach.

In doubt it does not: a function that prints, remembers, reads a clock or uses objects that nothing is known of is
left to Python.
"""

from __future__ import annotations

import dis
import math
from functools import partial
from types import FunctionType, MappingProxyType, MethodType, ModuleType, SimpleNamespace
from typing import Any

import numpy as np

BUILTINS = frozenset({
    "abs", "bool", "dict", "divmod", "enumerate", "float", "int", "isinstance", "len", "list", "max", "min", "pow",
    "range", "reversed", "round", "sorted", "sum", "tuple", "zip", "map", "all", "any", "None", "True", "False",
    "ValueError", "TypeError", "IndexError", "RuntimeError", "AssertionError", "ZeroDivisionError", "Exception",
})  # fmt: skip
WRITING = frozenset({
    "STORE_GLOBAL", "DELETE_GLOBAL", "STORE_ATTR", "DELETE_ATTR", "IMPORT_NAME", "IMPORT_FROM", "IMPORT_STAR",
    "YIELD_VALUE", "GET_AWAITABLE", "SEND", "LOAD_BUILD_CLASS",
})  # fmt: skip
"""Instructions that reach beyond the function, or do something else than compute."""
DEPTH = 6


def impurity(function: Any) -> str | None:
    """What speaks against taking a function for its values; None where nothing does."""
    try:
        _look(function, set(), DEPTH)
    except _ImpureError as error:
        return str(error)
    return None


class _ImpureError(Exception):
    pass


def _look(value: Any, seen: set[int], depth: int) -> None:
    if id(value) in seen:
        return
    seen.add(id(value))
    if depth == 0:
        raise _ImpureError("it goes too deep")
    if value is None or isinstance(value, bool | int | float | complex | str | np.number | np.bool_ | np.dtype | slice):
        return
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "fiub" or type(value) is not np.ndarray:
            raise _ImpureError(f"it uses an array of {value.dtype}")
        return
    if isinstance(value, ModuleType):
        if value is np or value is math:
            return
        raise _ImpureError(f"it uses the module {value.__name__}")
    dispatcher = getattr(value, "py_func", None)
    if isinstance(dispatcher, FunctionType):
        value = dispatcher
    if isinstance(value, FunctionType):
        if not (value.__module__ or "").startswith("numpy"):
            _look_at_function(value, seen, depth)
        return
    if isinstance(value, np.ufunc) or getattr(value, "__module__", None) in ("numpy", "math"):
        return
    if isinstance(value, type):
        if value.__module__ in ("builtins", "numpy"):
            return
        raise _ImpureError(f"it uses the class {value.__name__}")
    if isinstance(value, partial):
        for part in (value.func, *value.args, *value.keywords.values()):
            _look(part, seen, depth - 1)
        return
    if isinstance(value, MethodType):
        _look(value.__func__, seen, depth - 1)
        _look(value.__self__, seen, depth - 1)
        return
    if type(value) in (list, tuple, dict, set, frozenset, MappingProxyType):
        for part in [*value.keys(), *value.values()] if isinstance(value, dict | MappingProxyType) else value:
            _look(part, seen, depth - 1)
        return
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        for part in value:
            _look(part, seen, depth - 1)
        return
    if type(value) is SimpleNamespace or _is_plain(value):
        for part in vars(value).values():
            _look(part, seen, depth - 1)
        for kind in type(value).__mro__ if type(value) is not SimpleNamespace else ():
            for name, member in vars(kind).items():
                if kind is not object and isinstance(member, FunctionType) and name != "__init__":
                    _look(member, seen, depth - 1)
                elif isinstance(member, property):
                    _look(member.fget, seen, depth - 1)
        return
    raise _ImpureError(f"it uses a {type(value).__name__}")


def _is_plain(value: Any) -> bool:
    """Whether an object is of a user's class that keeps its attributes in the usual way."""
    kind = type(value)
    if not hasattr(value, "__dict__") or kind.__module__.partition(".")[0] in ("builtins", "numpy", "lyapmap"):
        return False
    if any(base.__module__ == "builtins" and base is not object for base in kind.__mro__):
        return False
    return not any(
        name in vars(base)
        for base in kind.__mro__
        for name in ("__getattr__", "__getattribute__")
        if base is not object
    )


def _look_at_function(function: FunctionType, seen: set[int], depth: int) -> None:
    _look_at_code(function.__code__, function.__globals__, seen, depth)
    for cell in function.__closure__ or ():
        try:
            _look(cell.cell_contents, seen, depth - 1)
        except ValueError:  # nothing is in it yet
            raise _ImpureError("it uses a variable that is not there yet") from None
    for value in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
        if isinstance(value, list | dict | set):
            raise _ImpureError("a default of it can be changed")
        _look(value, seen, depth - 1)


def _look_at_code(code: Any, names: dict[str, Any], seen: set[int], depth: int) -> None:
    outer = set(code.co_freevars)
    for instruction in dis.get_instructions(code):
        name, what = instruction.opname, instruction.argval
        if name in WRITING or (name in ("STORE_DEREF", "DELETE_DEREF") and what in outer):
            raise _ImpureError(f"it changes or imports {what}")
        if name in ("LOAD_GLOBAL", "LOAD_NAME"):
            if what in names:
                _look(names[what], seen, depth - 1)
            elif what not in BUILTINS:
                raise _ImpureError(f"it uses {what}")
    for constant in code.co_consts:
        if hasattr(constant, "co_code"):
            _look_at_code(constant, names, seen, depth)


def reachable(function: Any) -> list[Any]:
    """Lists, dicts, sets and arrays that a pure-looking function might still write into, in a fixed order."""
    gathered: list[Any] = []
    seen: set[int] = set()

    def gather(value: Any, depth: int) -> None:
        if id(value) in seen or depth == 0:
            return
        seen.add(id(value))
        value = getattr(value, "py_func", value)
        if isinstance(value, np.ndarray):
            gathered.append((value.dtype.str, value.shape, value.tobytes()))
        elif isinstance(value, FunctionType) and not (value.__module__ or "").startswith("numpy"):
            for name in value.__code__.co_names:
                if name in value.__globals__:
                    gather(value.__globals__[name], depth - 1)
            for cell in value.__closure__ or ():
                gather(cell.cell_contents, depth - 1)
        elif isinstance(value, partial):
            gather([value.func, *value.args, *value.keywords.values()], depth - 1)
        elif isinstance(value, MethodType):
            gather([value.__func__, value.__self__], depth - 1)
        elif isinstance(value, dict):
            gathered.append(list(map(repr, value)))
            gather(list(value.values()), depth - 1)
        elif isinstance(value, list | tuple | set | frozenset):
            gathered.append(len(value))
            for part in value:
                gather(part, depth - 1)
        elif isinstance(value, bool | int | float | complex | str | np.number):
            gathered.append(value)
        elif hasattr(value, "__dict__") and not isinstance(value, type | ModuleType | np.ufunc | FunctionType):
            gather(vars(value), depth - 1)

    gather(function, 2 * DEPTH)
    return gathered
