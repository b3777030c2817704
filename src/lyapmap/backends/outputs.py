"""What a network is given beside its state, and which of the things that it returns is the next state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from lyapmap.backends.structured import array_library, library_of, name_of
from lyapmap.core.errors import MapError

SHOWN = 6
"""Entries of an answer that a message names."""


class Selected:
    """x -> one array of f(x, inputs), for functions that take or return more than a state.

    Parameters
    ----------
    function : callable
    inputs : tuple, dict, or one value, optional
        Given after the state at every step, by place or by name. Arrays are those of one state, without a batch axis,
        and are repeated for every row; numbers and anything else are given as they are.
    output : str, int or callable, optional
        Which part of the answer: a name, an index, or a function of the answer. By default the only array in it.
    """

    def __init__(self, function: Callable[..., Any], inputs: Any = None, output: Any = None) -> None:
        self.function = function
        self.inputs = inputs
        self.output = output
        self.__name__ = name_of(function)

    def __call__(self, x: Any) -> Any:
        return selected(self.function, x, self.inputs, self.output)


def selected(function: Callable[..., Any], x: Any, inputs: Any, output: Any) -> Any:
    """One array of what a function returns for a batch of states with inputs beside them."""
    if isinstance(inputs, Mapping):
        answer = function(x, **{name: _repeated(value, x) for name, value in inputs.items()})
    elif inputs is None:
        answer = function(x)
    else:
        answer = function(x, *(_repeated(v, x) for v in (inputs if isinstance(inputs, tuple | list) else (inputs,))))
    return array_in(answer, output)


def _repeated(value: Any, x: Any) -> Any:
    """An input of one state for each row of x, in the library of x; numbers and words as they are."""
    if not is_array(value) or not len(value.shape):
        return value
    if library_of(x) == "numpy":
        return np.broadcast_to(np.asarray(value), (x.shape[0], *value.shape))
    library = array_library(x)
    if library.repeated is None:
        raise MapError(f"inputs: arrays cannot be repeated for {type(x).__name__}; give the function its inputs itself")
    return library.repeated(value, x)


def array_in(answer: Any, output: Any = None) -> Any:
    """The array that is the next state.

    Raises
    ------
    MapError
        If there is no such part, or several arrays and nobody said which.

    Examples
    --------
    >>> array_in({"sample": np.zeros(2), "scale": 3})
    array([0., 0.])
    >>> array_in((np.zeros(2), np.ones(2)))
    Traceback (most recent call last):
    ...
    lyapmap.core.errors.MapError: function: it returns several arrays; say which is the next state: output=0 or 1
    """
    if output is None:
        if is_array(answer):
            return answer
        arrays = [name for name, part in _parts(answer) if is_array(part)]
        if len(arrays) == 1:
            return dict(_parts(answer))[arrays[0]]
        if not arrays:
            raise MapError(f"function: expected it to return a tensor, got {type(answer).__name__}")
        names = " or ".join(map(repr, arrays[:SHOWN]))
        raise MapError(f"function: it returns several arrays; say which is the next state: output={names}")
    if callable(output):
        part = output(answer)
    else:
        parts = dict(_parts(answer))
        if output not in parts and not (isinstance(output, str) and hasattr(answer, output)):
            names = ", ".join(map(repr, list(parts)[:SHOWN])) or f"one {type(answer).__name__}"
            raise MapError(f"output: the function returns {names}, got {output!r}")
        part = parts[output] if output in parts else getattr(answer, output)
    if not is_array(part):
        raise MapError(f"output: expected a tensor in {output!r}, got {type(part).__name__}")
    return part


def is_array(value: Any) -> bool:
    """Whether this is an array of any library."""
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _parts(answer: Any) -> Iterator[tuple[Any, Any]]:
    """Names or indices of an answer's parts, and the parts; parts that are None are left out."""
    if isinstance(answer, Mapping):
        pairs: Any = answer.items()
    elif isinstance(answer, tuple | list):
        pairs = getattr(answer, "_asdict", lambda: dict(enumerate(answer)))().items()
    elif is_dataclass(answer) and not isinstance(answer, type):
        pairs = ((field.name, getattr(answer, field.name)) for field in fields(answer))
    else:
        pairs = ()
    return ((name, part) for name, part in pairs if part is not None)
