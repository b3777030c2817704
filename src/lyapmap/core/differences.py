"""Derivatives by central differences, for maps whose framework has none."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.map import TangentMap, dimension, jacobian_from_jvp
from lyapmap.core.ops import Array
from lyapmap.core.structure import keep_structure

CENTRAL_DIFFERENCES = "central differences"
ROWS = 4096
"""States that go through a map at once."""


class Differences:
    """A map with the images of another one and tangents by central differences.

    Parameters
    ----------
    inner : TangentMap
        If it has `in_float64()` and that gives a map, tangents are taken in double precision
        (good to about 1e-10, else, in float32, to about 1e-5).
    reason : str
        Why; `derivative` tells it.
    """

    def __init__(self, inner: TangentMap, reason: str) -> None:
        self.inner = inner
        self.state_shape = inner.state_shape
        self.ops = inner.ops
        self.provenance: dict[str, Any] = dict(getattr(inner, "provenance", {}))
        precise = inner.in_float64() if inner.ops.dtype == "float32" and hasattr(inner, "in_float64") else None
        self._precise: TangentMap = inner if precise is None else precise
        double = "" if precise is None else " in float64"
        self.derivative = f"{CENTRAL_DIFFERENCES}{double} ({reason})"
        keep_structure(self, getattr(inner, "structure", None))

    def apply(self, x: Array) -> Array:
        return self.inner.apply(x)

    def jvp(self, x: Array, v: Array) -> tuple[Array, Array]:
        states = np.asarray(self.ops.to_numpy(x), np.float64)
        directions = np.asarray(self.ops.to_numpy(v), np.float64)
        b, n, k = directions.shape
        rows = np.repeat(states, k, axis=0)
        moved = np.moveaxis(directions, 2, 1).reshape(b * k, n)
        parts = [self._slopes(rows[i : i + ROWS], moved[i : i + ROWS]) for i in range(0, b * k, ROWS)]
        tangents = np.concatenate(parts or [np.empty((0, n))]).reshape(b, k, n)
        return self.apply(x), self.ops.from_numpy(np.ascontiguousarray(np.moveaxis(tangents, 1, 2)))

    def jacobian(self, x: Array) -> Array:
        return jacobian_from_jvp(self, x)

    def _slopes(self, x: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
        """Central differences with the step that balances truncation and rounding."""
        eps = float(np.finfo(self._precise.ops.dtype).eps)
        size = np.maximum(np.abs(x).max(axis=1, keepdims=True), 1e-3)
        length = np.abs(v).max(axis=1, keepdims=True)
        h = eps ** (1 / 3) * size / np.where(length > 0, length, 1.0)
        slopes: NDArray[np.float64] = (self._images(x + h * v) - self._images(x - h * v)) / (2 * h)
        return slopes

    def _images(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        ops = self._precise.ops
        return np.asarray(ops.to_numpy(self._precise.apply(ops.from_numpy(x))), np.float64).reshape(
            -1, dimension(self.state_shape)
        )
