"""Maps of states that are held to a surface: unit vectors, and shares that add up to one.

Of a map of the sphere in n dimensions n - 1 exponents say something; the radial direction is none of the system. Here
tangents are those of the surface, and there are no more exponents than it has dimensions.
"""

from __future__ import annotations

import abc
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.errors import LyapmapError, MapError
from lyapmap.core.map import TangentMap, WrappedMap, dimension
from lyapmap.core.ops import Array, ArrayOps, quiet
from lyapmap.core.structure import dtype_name

WITHIN = {"float32": 1e-3, "float64": 1e-6}
"""Part of its size by which an image may be off the surface."""


class Surface(abc.ABC):
    """Where vectors of d values lie.

    Attributes
    ----------
    name : str
    """

    name: str

    @abc.abstractmethod
    def size(self, ops: ArrayOps, x: Array) -> Array:
        """What is one, or the radius, on the surface: (m, d) -> (m, 1)."""

    @abc.abstractmethod
    def held(self, ops: ArrayOps, x: Array, v: Array | None) -> tuple[Array, Array | None]:
        """Vectors (m, d) brought to the surface, and tangents (m, d, k) of that."""


@final
class Sphere(Surface):
    """Vectors of one length."""

    name = "sphere"

    def __init__(self, radius: float = 1.0) -> None:
        self.radius = radius

    def size(self, ops: ArrayOps, x: Array) -> Array:
        return ops.from_numpy(ops.norm(x)[:, None])

    def held(self, ops: ArrayOps, x: Array, v: Array | None) -> tuple[Array, Array | None]:
        size = self.size(ops, x)
        unit = x / size
        if v is None:
            return unit * self.radius, None
        column = unit[:, :, None]
        sideways = v - ops.matmul(column, ops.matmul(ops.transpose(column), v))
        return unit * self.radius, sideways * (self.radius / size)[:, :, None]


@final
class Simplex(Surface):
    """Vectors of numbers that are not negative and add up to one."""

    name = "simplex"

    def size(self, ops: ArrayOps, x: Array) -> Array:
        host = np.asarray(ops.to_numpy(x), np.float64)
        return ops.from_numpy(np.abs(host).sum(axis=1, keepdims=True))

    def held(self, ops: ArrayOps, x: Array, v: Array | None) -> tuple[Array, Array | None]:
        signs = ops.from_numpy(np.where(np.asarray(ops.to_numpy(x)) < 0, -1.0, 1.0))
        size = self.size(ops, x)
        shares = x * signs / size
        if v is None:
            return shares, None
        moved = v * signs[:, :, None]
        ones = ops.from_numpy(np.ones((x.shape[0], 1, x.shape[1])))
        return shares, (moved - ops.matmul(shares[:, :, None], ops.matmul(ones, moved))) / size[:, :, None]


@final
class Constrained(WrappedMap):
    """A map whose states, one or several vectors of them, lie on a surface: x -> N(f(N(x))), with N the way to it.

    N is taken before and after each step: on the surface it changes nothing but rounding, and it leaves tangents of the
    surface alone. `constrained` makes it.
    """

    def __init__(self, inner: TangentMap, surface: Surface, size: int) -> None:
        super().__init__(inner)
        self.surface = surface
        self.d = size
        self.n = dimension(self.state_shape)
        self.roundoff, self.steps_inside = inner.roundoff, inner.steps_inside

    @property
    def n_tangents(self) -> int:
        return self.n - self.n // self.d

    def tangent_frame(self, x: Array, frame: Array) -> Array:
        tangents = self._carried(x, self.ops.cast(frame, self.ops.dtype))[1]
        return self.ops.cast(self.ops.qr(tangents)[0], dtype_name(frame.dtype))

    @property
    def provenance(self) -> dict[str, Any]:  # type: ignore[override]
        described: dict[str, Any] = {"constraint": self.surface.name}
        if isinstance(self.surface, Sphere) and self.surface.radius != 1:
            described["radius"] = self.surface.radius
        return super().provenance | described

    def __repr__(self) -> str:
        several = f"each of {self.n // self.d} vectors " if self.d < self.n else ""
        dimensions = f"{self.n_tangents} dimension{'s' * (self.n_tangents > 1)}"
        return f"{self.inner!r}, {several}on a {self.surface.name}: {dimensions}"

    def apply(self, x: Array) -> Array:
        return self.on_surface(self.inner.apply(self.on_surface(x)))

    def jvp(self, x: Array, v: Array) -> tuple[Array, Array]:
        return self._carried(*self.inner.jvp(*self._carried(x, v)))

    def jacobian(self, x: Array) -> Array:
        return TangentMap.jacobian(self, x)

    def log_abs_det(self, x: Array, n_steps: int, *, first_step: int = 0) -> NDArray[np.float64]:
        """What the step does to volumes of the surface."""
        total = np.zeros(x.shape[0])
        with quiet():
            for step in range(first_step, first_step + n_steps):
                basis = self._basis(x)
                x, moved = self.at(step).jvp(x, basis)
                total += self.ops.log_abs_diagonal(self.ops.qr(moved)[1]).sum(axis=1)
        return total

    def other_derivative(self, reason: str) -> bool:
        return self.inner.other_derivative(reason)

    def in_float64(self) -> Constrained | None:
        inner = self.inner.in_float64()
        return None if inner is None else Constrained(inner, self.surface, self.d)

    def on_surface(self, x: Array) -> Array:
        with self.ops.session():
            rows = self.ops.reshape(x, (-1, self.d))
            return self.ops.reshape(self.surface.held(self.ops, rows, None)[0], (-1, self.n))

    def _carried(self, x: Array, v: Array) -> tuple[Array, Array]:
        k = v.shape[2]
        with self.ops.session():
            rows, tangents = self.ops.reshape(x, (-1, self.d)), self.ops.reshape(v, (-1, self.d, k))
            y, moved = self.surface.held(self.ops, rows, tangents)
            return self.ops.reshape(y, (-1, self.n)), self.ops.reshape(moved, (-1, self.n, k))

    def _basis(self, x: Array) -> Array:
        """Orthonormal tangents of the surface, (b, n, n_tangents)."""
        unit = np.broadcast_to(np.eye(self.n), (x.shape[0], self.n, self.n))
        ways = np.asarray(self.ops.to_numpy(self._carried(x, self.ops.from_numpy(unit))[1]), np.float64)
        return self.ops.from_numpy(np.linalg.svd(ways)[0][:, :, : self.n_tangents])


def constrained(inner: TangentMap, constraint: str, shape: tuple[int, ...]) -> Constrained:
    """A map of states of a shape, each vector along whose last axis lies on a surface.

    Parameters
    ----------
    inner : TangentMap
    constraint : "sphere" or "simplex"
    shape : tuple of int
        Its last size is that of a vector.

    Raises
    ------
    LyapmapError
        If there is no such surface, or vectors have one value.
    MapError
        If images of states on the surface are not on it. Of a sphere the radius is found out.
    """
    d = shape[-1]
    if constraint not in ("sphere", "simplex"):
        raise LyapmapError(f"constraint: expected 'sphere' or 'simplex', got {constraint!r}")
    if d < 2:
        raise LyapmapError(
            f"constraint: expected vectors along the last axis of a state, of 2 values at least, got {shape}"
        )
    surface: Surface = Sphere() if constraint == "sphere" else Simplex()
    sizes = _sizes_of_images(inner, surface, d)
    if isinstance(surface, Sphere) and np.ptp(sizes) <= WITHIN[inner.ops.dtype] * abs(sizes.mean()):
        surface.radius = float(sizes.mean()) if abs(sizes.mean() - 1) > WITHIN[inner.ops.dtype] else 1.0
        sizes = _sizes_of_images(inner, surface, d) / surface.radius
    off = np.abs(sizes - 1).max()
    if not off <= WITHIN[inner.ops.dtype]:
        words = "length 1" if constraint == "sphere" else "a sum of 1 and no negative values"
        raise MapError(
            f"function: images of states on the {constraint} are not on it (off by {off:.1g}); let it return vectors "
            f"of {words}, or leave constraint out"
        )
    return Constrained(inner, surface, d)


def _sizes_of_images(inner: TangentMap, surface: Surface, d: int) -> NDArray[np.float64]:
    """Sizes of the vectors of images of a few random states on the surface."""
    draws = np.random.default_rng(0).normal(size=(4, dimension(inner.state_shape)))
    held = Constrained(inner, surface, d).on_surface(inner.ops.from_numpy(np.abs(draws)))
    host = np.asarray(inner.ops.to_numpy(inner.at(0).apply(held)), np.float64).reshape(-1, d)
    if surface.name == "simplex":
        return np.asarray(np.where(host.min(axis=1) < -1e-6, np.inf, host.sum(axis=1)))
    return np.asarray(np.linalg.norm(host, axis=1))
