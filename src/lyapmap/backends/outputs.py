"""What a network is given beside its state, and which of the things that it returns is the next state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np

from lyapmap.backends.structured import array_library, library_of, name_of
from lyapmap.core.combined.driven import StepInputs, step_inputs
from lyapmap.core.errors import MapError, ShapeError
from lyapmap.core.structure import Leaf, Structure

SHOWN = 6
"""Entries of an answer that a message names."""


@dataclass(frozen=True)
class Given:
    """How a function is called, and what of its answer is the next state.

    Attributes
    ----------
    inputs : tuple, dict, or one value, optional
        Given after the state at every step, by place or by name. Arrays are those of one state, without a batch axis,
        and are repeated for every row; numbers and anything else are given as they are.
    output : str, int or callable, optional
        Which part of the answer: a name, an index, or a function of the answer. By default the only array in it.
    window : int, optional
        Elements of a state that follow one another, oldest first; what is returned is the next one.
    axis : int
        Of one state, along which they do.
    batched : bool
        Whether it takes many states at once.
    several : bool
        Whether a state is several arrays, and so is what comes back.
    """

    inputs: Any = None
    output: Any = None
    window: int | None = None
    axis: int = 0
    batched: bool = True
    several: bool = False

    def for_states(self, shape: tuple[int, ...] | None) -> Given:
        """The same for states of a shape, along whose first axis of the window's length its elements lie.

        Raises
        ------
        ShapeError
            If there is no such axis.
        """
        if self.window is None or shape is None:
            return self
        if self.window not in shape:
            raise ShapeError(
                f"window: state_shape is that of the whole window, with an axis of {self.window}, got {shape}; "
                f"e.g. {(self.window, *shape)}"
            )
        return replace(self, axis=shape.index(self.window))

    @property
    def asks(self) -> bool:
        """Whether there is anything to do but to call the function."""
        return self.inputs is not None or self.output is not None or self.window is not None

    @property
    def named(self) -> list[tuple[Any, Any]]:
        """Inputs by name, or by place."""
        return _items(self.inputs)

    @property
    def changing(self) -> dict[Any, StepInputs]:
        """Those of the inputs that have another value at each step, by name or place."""
        pairs = ((key, step_inputs(value)) for key, value in _items(self.inputs))
        return {key: value for key, value in pairs if value is not None}

    def call(self, function: Callable[..., Any], state: Any) -> Any:
        """One array of what a function returns.

        Where inputs change from step to step, they come beside the state and are handed on: (x, values) -> (y, values).
        """
        changing = self.changing
        if not changing:
            return self._called(function, state, {})
        x, values = state
        now = {
            key: _whole(value) if given.whole_numbers else value
            for (key, given), value in zip(changing.items(), values, strict=True)
        }
        return self._called(function, x, now), values

    def _called(self, function: Callable[..., Any], x: Any, now: dict[Any, Any]) -> Any:
        inputs = {key: now[key] if key in now else self._held(value, x) for key, value in _items(self.inputs)}
        answer = function(x, **inputs) if isinstance(self.inputs, Mapping) else function(x, *inputs.values())
        if self.several:
            return part_of(answer, self.output)
        answer = array_in(answer, self.output)
        return answer if self.window is None else self._moved_on(x, answer)

    def _moved_on(self, x: Any, answer: Any) -> Any:
        """The window without its oldest element and with the next one, or the last of those that were answered."""
        before = ("b",) * self.batched
        shape = (*before, *x.shape[self.batched :])
        answered = (*before, *answer.shape[self.batched :])
        axis = self.axis + self.batched
        element = (*shape[:axis], *shape[axis + 1 :])
        along = (slice(None),) * axis
        library = array_library(x if library_of(answer) == "numpy" else answer)
        if answered == element:
            sizes = (*shape[:axis], 1, *shape[axis + 1 :])
            newest = library.reshape(answer, tuple(-1 if size == "b" else size for size in sizes))
        elif answered in (shape, (*shape[:axis], 1, *shape[axis + 1 :])):
            newest = answer[(*along, slice(-1, None))]
        else:
            raise ShapeError(
                f"window: expected the next element back, ({', '.join(map(str, element))}), got {answered}"
            )
        return library.concatenate([x[(*along, slice(1, None))], newest], axis)

    def _held(self, value: Any, x: Any) -> Any:
        """An input of one state for each row of x, in the library of x; numbers and words as they are."""
        if not is_array(value) or not len(value.shape) or not self.batched:
            return value
        x = next(iter(_arrays_in(x)))
        if library_of(x) == "numpy":
            return np.broadcast_to(np.asarray(value), (x.shape[0], *value.shape))
        library = array_library(x)
        if library.repeated is None:
            raise MapError(
                f"inputs: arrays cannot be repeated for {type(x).__name__}; give the function its inputs itself"
            )
        return library.repeated(value, x)


class Selected:
    """x -> one array of f(x, inputs), for functions that take or return more than a state."""

    def __init__(self, function: Callable[..., Any], given: Given) -> None:
        self.function = function
        self.given = given
        self.__name__ = name_of(function)

    def __call__(self, state: Any) -> Any:
        return self.given.call(self.function, state)


def beside(state: Structure, changing: Iterable[StepInputs]) -> Structure:
    """How a state and its inputs of one step lie in a row, one after the other."""
    leaves, start = [], state.n
    for i, given in enumerate(changing):
        leaves.append(Leaf(f"inputs[{i}]", given.shape, start))
        start = leaves[-1].stop
    return Structure((state.template, tuple(leaves)), (*state.leaves, *leaves), state.dtype)


def _items(inputs: Any) -> list[tuple[Any, Any]]:
    """Inputs by name, or by place."""
    if isinstance(inputs, Mapping):
        return list(inputs.items())
    if inputs is None:
        return []
    return list(enumerate(inputs if isinstance(inputs, tuple | list) else (inputs,)))


def _arrays_in(state: Any) -> Iterator[Any]:
    """The arrays of a state."""
    if is_array(state):
        yield state
    else:
        for part in state.values() if isinstance(state, Mapping) else state:
            yield from _arrays_in(part)


def _whole(values: Any) -> Any:
    """Whole numbers that came as floating-point ones, in their library."""
    if library_of(values) == "numpy" or hasattr(values, "value"):
        return np.rint(np.real(getattr(values, "value", values))).astype(np.int64)
    library = array_library(values)
    if library.whole is None:
        raise MapError(f"inputs: whole numbers cannot be made of {type(values).__name__}; take floating-point ones")
    return library.whole(values)


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
    part = part_of(answer, output)
    if not is_array(part):
        raise MapError(f"output: expected a tensor in {output!r}, got {type(part).__name__}")
    return part


def part_of(answer: Any, output: Any) -> Any:
    """What is asked for of an answer; all of it where nothing is."""
    if output is None:
        return answer
    if callable(output):
        return output(answer)
    parts = dict(_parts(answer))
    if output in parts:
        return parts[output]
    if not (isinstance(output, str) and hasattr(answer, output)):
        names = ", ".join(map(repr, list(parts)[:SHOWN])) or f"one {type(answer).__name__}"
        raise MapError(f"output: the function returns {names}, got {output!r}")
    return getattr(answer, output)


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
