"""What a map is: the contract that every analysis stands on.

States are rows, flat: (b, n) for b trajectories of an n-dimensional map. Tangents are columns:
(b, n, k) for k directions at each state.
"""

from __future__ import annotations

import math
from typing import Any, Protocol, TypeGuard

import numpy as np

from lyapmap.core.errors import LyapmapError, MapError, PrecisionError, ShapeError
from lyapmap.core.ops import Array, ArrayOps, NumpyOps
from lyapmap.core.points import refuse_masked
from lyapmap.core.structure import as_numpy

JACOBIAN_CHUNK = 128
"""Directions carried at once while a Jacobian is built from tangents."""


class Map(Protocol):
    """A map x -> f(x) with its derivative: all that a user must write.

    Attributes
    ----------
    state_shape : tuple of int
        Shape of one state, e.g. (2,) or (1, 28, 28); its product is n.
    """

    state_shape: tuple[int, ...]

    def apply(self, x: Array) -> Array:
        """Images of states, (b, n) -> (b, n)."""

    def jacobian(self, x: Array) -> Array:
        """Derivatives, (b, n) -> (b, n, n); entry [t, i, j] is d f_i / d x_j at state t."""


class TangentMap(Map, Protocol):
    """A map that carries tangents without ever making an n x n matrix.

    Attributes
    ----------
    ops : ArrayOps
        Its arrays, dtype and device.

    Notes
    -----
    Optional members that the project knows: `at(step) -> TangentMap` for a map that depends on
    the step; `propagate(x, frame, n_steps, qr_every)` for one that carries whole blocks of steps
    itself, and `log_abs_det(x, n_steps)` likewise (see `lyapmap.core.propagate`), with
    `log_abs_det_tolerance`, the accuracy per step to which that agrees with the growth of a full
    frame (0.0: to rounding), and `log_abs_det_in_blocks`, False where it is dear;
    `orthonormalizes_within`, True where `propagate` orthonormalizes within a step; `provenance`, a
    dict of plain values that results record; `derivative`, the way in which the derivative is
    computed; `time_per_step`, for the time-tau map of a flow, by which exponents are divided to be
    per unit time; `mean_log_abs_det`, where log|det J| is the same everywhere; `structure`, how a
    state made of several arrays lies in a row (see `lyapmap.core.structure`).
    """

    ops: ArrayOps

    def jvp(self, x: Array, v: Array) -> tuple[Array, Array]:
        """Images and directional derivatives, (b, n), (b, n, k) -> (b, n), (b, n, k), in one pass."""


def dimension(state_shape: tuple[int, ...]) -> int:
    """Number of values in one state.

    >>> dimension((1, 28, 28))
    784
    """
    return math.prod(state_shape)


def time_per_step(candidate: object) -> float:
    """Time that one step takes: 1 for a map, tau for the time-tau map of a flow."""
    return float(getattr(candidate, "time_per_step", 1.0))


def rate_unit(candidate: object) -> str:
    """What exponents of a map are measured in besides nats: "per step" or "per unit time"."""
    return "per unit time" if hasattr(candidate, "time_per_step") else "per step"


def is_tangent_map(candidate: object) -> TypeGuard[TangentMap]:
    """Whether an object has all the members of a `TangentMap`."""
    return _is_map(candidate) and all(hasattr(candidate, name) for name in ("ops", "jvp"))


def _is_map(candidate: object) -> bool:
    return all(hasattr(candidate, name) for name in ("state_shape", "apply", "jacobian"))


def as_tangent_map(candidate: Any) -> TangentMap:
    """The object itself if it is a `TangentMap`; a NumPy `Map`, completed and looked at as `wrap` does.

    Raises
    ------
    MapError
        If the object lacks members of `Map`, its rows depend on each other, or its `jacobian` is wrong.
    """
    if is_tangent_map(candidate):
        return candidate
    from lyapmap.core.vouching import vouched  # which stands on this file

    return vouched(unchecked(candidate))


def unchecked(candidate: Any) -> TangentMap:
    """The same without a look at it."""
    if is_tangent_map(candidate):
        return candidate
    if _is_map(candidate):
        return CompletedMap(candidate)
    if all(hasattr(candidate, name) for name in ("input_shape", "output_shape")):
        raise MapError(
            f"map: goes from {tuple(candidate.input_shape)} to {tuple(candidate.output_shape)}, and only a map of a "
            "space to itself can be iterated; lyapmap.jacobian_spectrum takes it"
        )
    raise MapError(
        f"map: expected an object with state_shape, apply and jacobian, got {type(candidate).__name__}; "
        "lyapmap.wrap(...) makes one of a function or a network"
    )


class CompletedMap:
    """A `Map` of NumPy arrays, given the `jvp` that its Jacobian implies."""

    def __init__(self, inner: Map, dtype: str = "float64") -> None:
        self.inner = inner
        self.state_shape = tuple(inner.state_shape)
        self.ops: ArrayOps = NumpyOps(dtype)
        self.derivative = "jacobian given"
        self.provenance = {"map": type(inner).__name__}

    def apply(self, x: Array) -> Array:
        y = self.inner.apply(x)
        found = getattr(y, "dtype", type(y).__name__)
        if found != self.ops.dtype:
            raise PrecisionError(f"map: expected apply to give {self.ops.dtype}, got {found}")
        return y

    def jacobian(self, x: Array) -> Array:
        return self.inner.jacobian(x)

    def jvp(self, x: Array, v: Array) -> tuple[Array, Array]:
        return self.apply(x), self.inner.jacobian(x) @ v


def jacobian_from_jvp(tangent_map: TangentMap, x: Array, *, chunk: int = JACOBIAN_CHUNK) -> Array:
    """Jacobians (b, n, n) from tangents, `chunk` columns at a time."""
    ops = tangent_map.ops
    n = dimension(tangent_map.state_shape)
    b = x.shape[0]
    columns = []
    for start in range(0, n, chunk):
        width = min(chunk, n - start)
        unit = np.zeros((b, n, width))
        unit[:, np.arange(start, start + width), np.arange(width)] = 1
        columns.append(tangent_map.jvp(x, ops.from_numpy(unit))[1])
    return ops.concatenate(columns, 2)


def as_states(x0: Any, tangent_map: TangentMap) -> tuple[Array, bool]:
    """Initial states as rows (b, n) of the map's own arrays, and whether a single one was given.

    One state may have the map's state shape or be flat; a batch has one axis more. Where a state is
    a tuple, list or dict of arrays, x0 may be one too.

    Raises
    ------
    ShapeError, PrecisionError, LyapmapError
        If the shape does not fit, the values are no real numbers, or some are not finite.
    """
    structure = getattr(tangent_map, "structure", None)
    if structure is not None and structure.is_like(x0):
        x0 = structure.flatten(x0)
    return as_rows("x0", x0, tuple(tangent_map.state_shape), tangent_map.ops)


def as_rows(name: str, values: Any, shape: tuple[int, ...], ops: ArrayOps) -> tuple[Array, bool]:
    """One state of a shape, or a batch of them, as rows (b, n); and whether a single one was given.

    `name` is what errors call the values.
    """
    n = dimension(shape)
    refuse_masked(values, name)
    given = as_numpy(values)
    if given.dtype.kind not in "fiub":
        raise PrecisionError(f"{name}: expected real numbers, got dtype {given.dtype}")
    if given.ndim == 0 and n == 1:
        given = given.reshape(1)
    single = given.shape in (shape, (n,))
    fits = single or (given.ndim >= 2 and given.shape[1:] in (shape, (n,)))
    if not fits:
        raise ShapeError(f"{name}: expected one state {shape} or a batch (b, {n}), got {given.shape}")
    rows = given.reshape(-1, n)
    if len(rows) == 0:
        raise ShapeError(f"{name}: expected at least one state, got none")
    bad = ~np.isfinite(rows).all(axis=1)
    if bad.any():
        raise LyapmapError(f"{name}: state {int(np.flatnonzero(bad)[0])} is not finite")
    return ops.from_numpy(rows), single
