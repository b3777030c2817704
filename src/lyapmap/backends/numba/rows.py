"""A function compiled by Numba for one state, called from Python for each row: to look at it without compiling more."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.backends.numba.compile import FunctionRule
from lyapmap.core.map import TangentMap, dimension
from lyapmap.core.ops import ArrayOps


class NumbaRows(TangentMap):
    """The map of a `FunctionRule`, row by row."""

    def __init__(self, made: Any) -> None:
        self.state_shape: tuple[int, ...] = made.state_shape
        self.ops: ArrayOps = made.ops
        self.derivative: str = made.derivative
        self._rule: FunctionRule = made.rule
        self._n = dimension(self.state_shape)

    def apply(self, x: NDArray[Any]) -> NDArray[Any]:
        return self._rows(self._rule.function, self._rule.scalar, x).reshape(len(x), self._n)

    def jacobian(self, x: NDArray[Any]) -> NDArray[Any]:
        return self._rows(self._rule.jacobian, self._rule.scalar_jacobian, x).reshape(len(x), self._n, self._n)

    def jvp(self, x: NDArray[Any], v: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        return self.apply(x), self.jacobian(x) @ v

    @staticmethod
    def _rows(function: Any, scalar: bool, x: NDArray[Any]) -> NDArray[Any]:
        return np.array([function(float(row[0]) if scalar else row.copy()) for row in x], np.float64)
