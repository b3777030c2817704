"""Functions from one space to another with their derivatives, such as a generator from noise to images.

Inputs are rows (b, m), outputs rows (b, n). They cannot be iterated; what their Jacobians do to directions
can be measured all the same.
"""

from __future__ import annotations

import abc
from typing import Any

import numpy as np

from lyapmap.core.conformance import as_tangent_map
from lyapmap.core.errors import MapError, ShapeError, guard
from lyapmap.core.map import JACOBIAN_CHUNK, TangentMap, dimension
from lyapmap.core.ops import Array, ArrayOps


class TangentFunction(abc.ABC):
    """A function R^m -> R^n that carries tangents.

    Attributes
    ----------
    input_shape, output_shape : tuple of int
        Shapes of one input and of one output; their products are m and n.
    ops : ArrayOps
        Its arrays, dtype and device.
    provenance, derivative
        As of a `TangentMap`.
    has_vjp : bool
        Whether `vjp` makes no matrix; true of a class that has one of its own.
    """

    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    ops: ArrayOps
    derivative: str = "given"
    provenance: dict[str, Any] = {}  # noqa: RUF012  (nobody writes into this one)
    has_vjp: bool = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "vjp" in vars(cls) and "has_vjp" not in vars(cls):
            cls.has_vjp = True
        guard(cls)

    @abc.abstractmethod
    def apply(self, z: Array) -> Array:
        """Outputs, (b, m) -> (b, n)."""

    @abc.abstractmethod
    def jvp(self, z: Array, v: Array) -> tuple[Array, Array]:
        """Outputs and directional derivatives, (b, m), (b, m, k) -> (b, n), (b, n, k)."""

    def vjp(self, z: Array, u: Array) -> Array:
        """The transposed Jacobian applied to k cotangents, (b, m), (b, n, k) -> (b, m, k)."""
        return self.ops.matmul(self.ops.transpose(jacobian_of(self, z)[1]), u)


class ForeignFunction(TangentFunction):
    """An object that has all that a `TangentFunction` must have without being one."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.input_shape, self.output_shape = tuple(inner.input_shape), tuple(inner.output_shape)
        self.ops = inner.ops
        self.derivative = getattr(inner, "derivative", "given")
        self.provenance = getattr(inner, "provenance", {})
        self.has_vjp = hasattr(inner, "vjp")

    @staticmethod
    def fits(candidate: object) -> bool:
        """Whether an object has what it takes."""
        return all(hasattr(candidate, name) for name in ("input_shape", "output_shape", "ops", "apply", "jvp"))

    def apply(self, z: Array) -> Array:
        return self.inner.apply(z)

    def jvp(self, z: Array, v: Array) -> tuple[Array, Array]:
        y, tangents = self.inner.jvp(z, v)
        return y, tangents

    def vjp(self, z: Array, u: Array) -> Array:
        return self.inner.vjp(z, u) if self.has_vjp else super().vjp(z, u)


class MapAsFunction(TangentFunction):
    """A map seen as a function from its space to itself."""

    def __init__(self, tangent_map: TangentMap) -> None:
        self.inner = tangent_map
        self.input_shape = self.output_shape = tuple(tangent_map.state_shape)
        self.ops = tangent_map.ops
        self.provenance = tangent_map.provenance
        self.derivative = tangent_map.derivative

    def apply(self, z: Array) -> Array:
        return self.inner.apply(z)

    def jvp(self, z: Array, v: Array) -> tuple[Array, Array]:
        return self.inner.jvp(z, v)


class PaddedFunction(TangentFunction):
    """A function made of a map of the larger of its two spaces, with zeros in the place of what the smaller lacks."""

    def __init__(self, padded: TangentMap, input_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> None:
        self.padded = padded
        self.input_shape, self.output_shape = input_shape, output_shape
        self.ops = padded.ops
        self.derivative = padded.derivative
        self.provenance = padded.provenance
        self._m, self._n = dimension(input_shape), dimension(output_shape)
        self._size = dimension(tuple(padded.state_shape))

    def apply(self, z: Array) -> Array:
        self._require(z, 2, "z")
        return self.padded.apply(self._filled(z))[:, : self._n]

    def jvp(self, z: Array, v: Array) -> tuple[Array, Array]:
        self._require(z, 2, "z")
        self._require(v, 3, "v")
        y, tangents = self.padded.jvp(self._filled(z), self._filled(v))
        return y[:, : self._n], tangents[:, : self._n]

    def _filled(self, array: Array) -> Array:
        missing = self._size - self._m
        if not missing:
            return array
        b, *rest = (int(size) for size in array.shape)
        zeros = self.ops.from_numpy(np.zeros((b, missing, *rest[1:])))
        return self.ops.concatenate([array, zeros], 1)

    def _require(self, array: Array, axes: int, name: str) -> None:
        if len(array.shape) != axes or array.shape[1] != self._m:
            shape = tuple(array.shape)
            raise ShapeError(f"{name}: expected {self._m} values per row for {self.input_shape}, got shape {shape}")


def as_tangent_function(candidate: Any) -> TangentFunction:
    """The object itself if it is a `TangentFunction`; a map, seen as one.

    Raises
    ------
    MapError
        If it is neither.
    """
    if isinstance(candidate, TangentFunction):
        return candidate
    if ForeignFunction.fits(candidate):
        return ForeignFunction(candidate)
    try:
        return MapAsFunction(as_tangent_map(candidate))
    except MapError:
        raise MapError(
            "function: expected an object with input_shape, output_shape, ops, apply and jvp, or a map, got "
            f"{type(candidate).__name__}; lyapmap.wrap_function(...) makes one of a function or a network"
        ) from None


def jacobian_of(function: TangentFunction, z: Array, *, chunk: int = JACOBIAN_CHUNK) -> tuple[Array, Array]:
    """Outputs (b, n) and Jacobians (b, n, m), of `chunk` tangents at a time.

    Examples
    --------
    >>> from lyapmap.core.map import CompletedMap
    >>> class Doubling:
    ...     state_shape = (2,)
    ...     def apply(self, x):
    ...         return 2 * x
    ...     def jacobian(self, x):
    ...         return np.tile(2 * np.eye(2), (len(x), 1, 1))
    >>> jacobian_of(as_tangent_function(CompletedMap(Doubling())), np.ones((1, 2)))[1].tolist()
    [[[2.0, 0.0], [0.0, 2.0]]]
    """
    ops = function.ops
    m, b = dimension(function.input_shape), z.shape[0]
    columns = []
    for start in range(0, m, chunk):
        width = min(chunk, m - start)
        unit = np.zeros((b, m, width))
        unit[:, np.arange(start, start + width), np.arange(width)] = 1
        output, tangents = function.jvp(z, ops.from_numpy(unit))
        columns.append(tangents)
    return output, ops.concatenate(columns, 2)
