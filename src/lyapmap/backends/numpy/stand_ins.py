"""Copies of Python functions that see other modules than those they were written with.

`np.empty(x.shape)` knows nothing of x, and `math.sin` takes floats alone. A copy of such a function sees others in
the place of the modules `numpy` and `math`, whose arrays and functions take what stands for the numbers; the function
itself is not changed.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from types import CellType, FunctionType
from typing import Any

import numpy as np


def copy_of(
    function: FunctionType, seen: Callable[[Any], Any] | None, seen_in_cell: Callable[[Any], Any]
) -> FunctionType:
    """A copy of a function, with other values of the names that it uses.

    Parameters
    ----------
    function : function
    seen : function, optional
        Gives what stands for a variable of the function's module; they are left as they are without it.
    seen_in_cell : function
        The same of a variable of the functions around it.
    """
    names = function.__globals__
    if seen is not None:
        names = dict(names)
        for name in function.__code__.co_names:
            if name in names:
                names[name] = seen(names[name])
    cells = tuple(_cell(cell, seen_in_cell) for cell in function.__closure__ or ())
    copy = FunctionType(function.__code__, names, function.__name__, function.__defaults__, cells)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


def _cell(cell: CellType, seen: Callable[[Any], Any]) -> CellType:
    try:
        value = cell.cell_contents
    except ValueError:  # nothing is in it yet
        return cell
    replaced = seen(value)
    return cell if replaced is value else CellType(replaced)  # what is shared with other functions stays shared


class NumpyStandIn(abc.ABC):
    """NumPy, whose new arrays of real numbers take something else."""

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    @abc.abstractmethod
    def _taking(self, array: Any) -> Any:
        """An array that was made, as one that takes what stands for numbers."""

    def empty(self, *given: Any, **options: Any) -> Any:
        return self._taking(np.zeros(*given, **options))

    zeros = empty

    def ones(self, *given: Any, **options: Any) -> Any:
        return self._taking(np.ones(*given, **options))
