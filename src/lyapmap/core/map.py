"""What a map is: the contract that every analysis stands on.

States are rows, flat: (b, n) for b trajectories of an n-dimensional map. Tangents are columns:
(b, n, k) for k directions at each state.

What a map may do is said three times here, and nowhere else: with its default (`TangentMap`), as it is read off a
user's object (`ForeignMap`), and as a map hands it on that stands on another (`WrappedMap`, `SameTangents`). That is
why this file is long: whoever adds a member changes all three.
"""

from __future__ import annotations

# mypy: disable-error-code="override"
# What can be set on a map in general is, of a map that stands on another, what that one says.
import abc
import copy
import math
import sys
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.errors import LyapmapError, MapError, PrecisionError, ShapeError, guard
from lyapmap.core.ops import Array, ArrayOps, NumpyOps, quiet
from lyapmap.core.points import refuse_masked
from lyapmap.core.qr_loop import Recording, qr_loop, recorded
from lyapmap.core.structure import Structure, as_numpy

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


Blocks = tuple[Any, Any, Any]
"""States, frames and log growth after each of several blocks of steps: lists or arrays of them."""


class TangentMap(abc.ABC):
    """A map that carries tangents without ever making an n x n matrix: what every analysis sees.

    A subclass gives `state_shape`, `ops`, `apply` and `jvp`, and whatever else it can do better than the
    defaults, which are the definitions. `conformance.as_tangent_map` completes an object of another kind.

    Attributes
    ----------
    state_shape : tuple of int
        Shape of one state; its product is n.
    ops : ArrayOps
        Its arrays, dtype and device.
    derivative : str
        The way in which the derivative is computed.
    provenance : dict
        Plain values that results record.
    structure : Structure or None
        How a state made of several arrays lies in a row (see `lyapmap.core.structure`).
    time_per_step : float
        Of the time-tau map of a flow, by which exponents are divided to be per unit time.
    is_flow : bool
        Whether steps take time, rather than being counted.
    field : TangentMap or None
        The vector field, of the time-tau map of a flow that does not depend on time.
    scheme : object or None
        The way in which it is integrated (see `lyapmap.core.flows.schemes`).
    periods : (n,) NumPy or None
        Those of coordinates that come round, infinite for the others; None where none does.
    depends_on_step : bool
        Whether `at` gives another map for another step (noise, input, a clock). True of a class that
        has an `at` of its own.
    compiled : bool
        Whether `propagate` is quicker than `apply` step by step, even where tangents are not wanted.
    orthonormalizes_within : bool
        Whether `propagate` orthonormalizes within a step, so that rounding hides no exponent.
    mean_log_abs_det : float or None
        log|det J|, where it is the same everywhere.
    log_abs_det_is_independent : bool
        Whether `log_abs_det` knows nothing of the tangents (the divergence of a flow's field), so that
        both do not share a fault.
    log_abs_det_in_blocks : bool
        Whether it takes whole blocks of steps at no more than their cost; else it is asked along stretches.
    log_abs_det_tolerance : float
        Accuracy per step to which it agrees with the growth of a full frame (0.0: to rounding).
    known : object or None
        With `exponents`, `standard_error` and `kind`: what is known of the exponents.
    region : (low, high) or None
        A box of initial states, two arrays (n,).
    roundoff : float
        Rounding of the coarsest precision that was seen inside; 0.0 where nothing was.
    steps_inside : bool
        Whether there may be rounding, comparisons or whole numbers inside.
    cost : int
        Calls of a function that one step takes, about: searches take fewer guesses where there are many.
    row_work : float
        Floating-point operations that one evaluation takes for each state, about, where states may be
        carried apart in threads; 0.0 where they may not. The same on every machine.
    row_bytes : float
        Bytes that one evaluation holds within for each state or tangent, about; 0.0 where nobody knows.
    rows_at_once : int
        States and tangents that are evaluated at once: as many as `memory_limit` lets.
    """

    state_shape: tuple[int, ...]
    ops: ArrayOps
    derivative: str = "given"
    provenance: dict[str, Any] = {}  # noqa: RUF012  (nobody writes into this one)
    structure: Structure | None = None
    time_per_step: float = 1.0
    is_flow: bool = False
    field: Any = None
    scheme: Any = None
    periods: Any = None
    depends_on_step: bool = False
    compiled: bool = False
    orthonormalizes_within: bool = False
    mean_log_abs_det: float | None = None
    log_abs_det_is_independent: bool = False
    log_abs_det_in_blocks: bool = False
    log_abs_det_tolerance: float = 0.0
    known: Any = None
    region: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
    roundoff: float = 0.0
    steps_inside: bool = True
    cost: int = 1
    row_work: float = 0.0
    row_bytes: float = 0.0
    rows_at_once: int = sys.maxsize

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        # What changes from step to step and does not say so would be taken for one and the same map.
        if "at" in vars(cls) and "depends_on_step" not in vars(cls) and cls.depends_on_step is False:
            cls.depends_on_step = True
        if "time_per_step" in vars(cls) and "is_flow" not in vars(cls) and cls.is_flow is False:
            cls.is_flow = True
        guard(cls)

    def __repr__(self) -> str:
        name = f" of {self.provenance['map']}" if "map" in self.provenance else ""
        where = f"{self.ops.dtype} on {self.ops.device}"
        complexes = 0 if self.structure is None else self.structure.n_complex
        parts = f" (real and imaginary parts of {complexes} complex number{'s' * (complexes > 1)})" if complexes else ""
        return f"{type(self).__name__}{name}, n = {dimension(self.state_shape)}{parts}, {where}, {self.derivative}"

    @abc.abstractmethod
    def apply(self, x: Array) -> Array:
        """Images of states, (b, n) -> (b, n)."""

    @abc.abstractmethod
    def jvp(self, x: Array, v: Array) -> tuple[Array, Array]:
        """Images and directional derivatives, (b, n), (b, n, k) -> (b, n), (b, n, k), in one pass."""

    def jacobian(self, x: Array) -> Array:
        """Derivatives, (b, n) -> (b, n, n); entry [t, i, j] is d f_i / d x_j at state t."""
        return jacobian_from_jvp(self, x)

    def at(self, step: int) -> TangentMap:
        """The map of one step."""
        return self

    @property
    def n_tangents(self) -> int:
        """Directions in which a state can move: n, or fewer where states are held to a surface."""
        return dimension(self.state_shape)

    def tangent_frame(self, x: Array, frame: Array) -> Array:
        """Frames (b, n, k) in which states can move: as they are, or, on a surface, brought to its tangents."""
        return frame

    def on_surface(self, x: Array) -> Array:
        """States (b, n) brought to where states lie: as they are, if that is anywhere."""
        return x

    def propagate(
        self,
        x: Array,
        frame: Array,
        n_steps: int,
        qr_every: int = 1,
        *,
        frame_dtype: str | None = None,
        first_step: int = 0,
    ) -> tuple[Array, Array, NDArray[np.float64]]:
        """States (b, n), frames (b, n, k) and log growth (b, k) after a block of steps.

        `lyapmap.core.qr_loop` is the definition. A map that carries blocks itself must agree with it, and
        leaves frames of another dtype to it.
        """
        return qr_loop(self, x, frame, n_steps, qr_every, frame_dtype, first_step)

    def propagate_blocks(
        self,
        x: Array,
        frame: Array,
        n_blocks: int,
        n_steps: int,
        qr_every: int = 1,
        *,
        frame_dtype: str | None = None,
        first_step: int = 0,
    ) -> Blocks:
        """What `propagate` gives after each of m blocks: m of each.

        Compiled code that does all of them at once spares short blocks the time that calls take.
        """
        states, frames, totals = [], [], []
        for i in range(n_blocks):
            x, frame, total = self.propagate(
                x, frame, n_steps, qr_every, frame_dtype=frame_dtype, first_step=first_step + i * n_steps
            )
            states.append(x)
            frames.append(frame)
            totals.append(total)
        return states, frames, totals

    def record(
        self, x: Array, frame: Array, n_steps: int, wanted: NDArray[np.bool_], *, first_step: int = 0
    ) -> Recording:
        """Carry states and frames with a QR decomposition after every step, and keep R of each.

        States and frames before the steps that are `wanted` (n_steps,) are kept as well. The same block
        gives the same bits whatever is wanted, so that it can be taken again from where it began.
        """
        return recorded(self, x, frame, n_steps, wanted, first_step)

    def log_abs_det(self, x: Array, n_steps: int, *, first_step: int = 0) -> NDArray[np.float64]:
        """Sum of log|det J| along the orbits over a block of steps, (b,).

        What the growth of a full frame over the same steps adds up to.
        """
        total = np.zeros(x.shape[0])
        with quiet():
            for step in range(first_step, first_step + n_steps):
                now = self.at(step)
                if now is self:
                    total += np.linalg.slogdet(self.ops.to_numpy(self.jacobian(x)).astype(np.float64))[1]
                else:
                    total += now.log_abs_det(x, 1)
                if step + 1 < first_step + n_steps:
                    x = now.apply(x)
        return total

    def along(self, tau: float, scheme: Any) -> TangentMap | None:
        """The compiled map of the flow along this map's images as velocities, where there is one; see `FlowMap`."""
        return None

    def over(self, tau: float) -> TangentMap | None:
        """The same flow over another time; None where this is no flow, or one that is made for its time alone."""
        return None

    def for_run(self, x: Array, k: int, n_steps: int) -> TangentMap:
        """The same map for a run of k tangents over so many steps from states (b, n): compiled, where that pays."""
        return self

    def carries(self, frame_dtype: str | None) -> bool:
        """Whether frames of this dtype, at whatever step, may be left to code that knows nothing of either."""
        return frame_dtype in (None, self.ops.dtype) and not self.depends_on_step

    def restore(self, flat: Array) -> Any:
        """Rows (..., n) as states: in their structure, or in the state's shape."""
        if self.structure is not None:
            return self.structure.restore(flat)
        return np.reshape(flat, (*flat.shape[:-1], *self.state_shape))

    def initial_states(self, b: int, rng: np.random.Generator | int = 0) -> NDArray[np.float64] | None:
        """Random states (b, n) from which to start; None where the map knows of none."""
        return None

    def other_derivative(self, reason: str) -> bool:
        """Turn to the next exact way to tangents, because of a reason; False where none is left."""
        return False

    def pull(self, x: Array, u: Array) -> Array | None:
        """The transposed Jacobian applied to one cotangent at each state, (b, n); None where only `jvp` is there."""
        return None

    def jacobian_by_tangents(self) -> None:  # noqa: B027  (there is no other way, in general)
        """From now on take Jacobians by `jvp`: the other way gives something else."""

    def in_float64(self) -> TangentMap | None:
        """The same map in double precision, where there is one."""
        return None

    @property
    def low_tangent_dtype(self) -> str | None:
        """A precision lower than its own in which this machine carries its tangents much faster."""
        return None

    def with_tangents(self, dtype: str) -> TangentMap:
        """The same map, of the same states to the last bit, with tangents carried in another precision.

        Raises
        ------
        PrecisionError
            If it has no way to do so.
        """
        if dtype == self.ops.dtype:
            return self
        raise PrecisionError(
            f"tangent_dtype: expected 'auto' or {self.ops.dtype!r} for this map ({self.ops.library.split()[0]}), "
            f"got {dtype!r}; only networks of torch whose layers are all known take others"
        )


def dimension(state_shape: tuple[int, ...]) -> int:
    """Number of values in one state.

    >>> dimension((1, 28, 28))
    784
    """
    return math.prod(state_shape)


def time_per_step(tangent_map: TangentMap) -> float:
    """Time that one step takes: 1 for a map, tau for the time-tau map of a flow."""
    return float(tangent_map.time_per_step)


def rate_unit(tangent_map: TangentMap) -> str:
    """What exponents of a map are measured in besides nats: "per step" or "per unit time"."""
    return "per unit time" if tangent_map.is_flow or tangent_map.time_per_step != 1 else "per step"


def is_tangent_map(candidate: object) -> bool:
    """Whether an object has all that a `TangentMap` must have, be it one or not."""
    return isinstance(candidate, TangentMap) or _has(candidate, "state_shape", "ops", "apply", "jvp")


def resembles_map(candidate: object) -> bool:
    """Whether an object is meant as a map, rather than as a function or a network to make one of."""
    return _has(candidate, "apply") and (_has(candidate, "jacobian") or _has(candidate, "jvp"))


def unchecked(candidate: Any) -> TangentMap:
    """The same without a look at it."""
    if isinstance(candidate, TangentMap):
        return candidate
    if is_tangent_map(candidate):
        return ForeignMap(candidate)
    if _has(candidate, "state_shape", "apply", "jacobian"):
        return CompletedMap(candidate)
    if _has(candidate, "input_shape", "output_shape"):
        raise MapError(
            f"map: goes from {tuple(candidate.input_shape)} to {tuple(candidate.output_shape)}, and only a map of a "
            "space to itself can be iterated; lyapmap.jacobian_spectrum takes it"
        )
    raise MapError(
        f"map: expected an object with state_shape, apply and jacobian, got {type(candidate).__name__}; "
        "lyapmap.wrap(...) makes one of a function or a network"
    )


def _has(candidate: object, *names: str) -> bool:
    """Whether a user's object has members. They are asked for by name here, where it is completed, and nowhere else."""
    return all(hasattr(candidate, name) for name in names)


_VALUES = (
    "structure",
    "time_per_step",
    "mean_log_abs_det",
    "orthonormalizes_within",
    "log_abs_det_in_blocks",
    "known",
    "region",
    "roundoff",
    "steps_inside",
    "row_bytes",
    "rows_at_once",
)


class ForeignMap(TangentMap):
    """An object that has all that a `TangentMap` must have without being one: a user's, or another package's.

    Whatever else of a `TangentMap` it has is used, and its own attributes can be reached as before.

    Notes
    -----
    Its `propagate(x, frame, n_steps, qr_every)`, `propagate_blocks` likewise, and `log_abs_det(x, n_steps)`
    need take no more than that. With a `time_per_step` it is a flow, whatever that is.
    """

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.state_shape = tuple(inner.state_shape)
        if _has(inner, "ops"):
            self.ops = inner.ops
        self._provenance: dict[str, Any] | None = None
        self.depends_on_step = _has(inner, "at")
        self.is_flow = _has(inner, "time_per_step")
        self.compiled = _has(inner, "propagate")
        self.log_abs_det_is_independent = self.log_abs_det_in_blocks = _has(inner, "log_abs_det")
        for name in _VALUES:
            if hasattr(inner, name):
                setattr(self, name, getattr(inner, name))

    def __getattr__(self, name: str) -> Any:
        if name == "inner":  # a copy is not filled yet
            raise AttributeError(name)
        return getattr(self.inner, name)

    def __repr__(self) -> str:
        return repr(self.inner)

    # What follows may change while the object is used.

    @property
    def derivative(self) -> str:
        return str(getattr(self.inner, "derivative", "given"))

    @property
    def provenance(self) -> dict[str, Any]:
        return dict(getattr(self.inner, "provenance", {})) if self._provenance is None else self._provenance

    @provenance.setter
    def provenance(self, described: dict[str, Any]) -> None:
        self._provenance = described

    @property
    def log_abs_det_tolerance(self) -> float:
        return float(getattr(self.inner, "log_abs_det_tolerance", 0.0))

    def apply(self, x: Array) -> Array:
        return self.inner.apply(x)

    def jvp(self, x: Array, v: Array) -> tuple[Array, Array]:
        y, tangents = self.inner.jvp(x, v)
        return y, tangents

    def jacobian(self, x: Array) -> Array:
        return self.inner.jacobian(x) if _has(self.inner, "jacobian") else super().jacobian(x)

    def at(self, step: int) -> TangentMap:
        return unchecked(self.inner.at(step)) if self.depends_on_step else self

    def propagate(
        self,
        x: Array,
        frame: Array,
        n_steps: int,
        qr_every: int = 1,
        *,
        frame_dtype: str | None = None,
        first_step: int = 0,
    ) -> tuple[Array, Array, NDArray[np.float64]]:
        if self.compiled and self.carries(frame_dtype):
            x, frame, total = self.inner.propagate(x, frame, n_steps, qr_every)
            return x, frame, total
        return super().propagate(x, frame, n_steps, qr_every, frame_dtype=frame_dtype, first_step=first_step)

    def propagate_blocks(
        self,
        x: Array,
        frame: Array,
        n_blocks: int,
        n_steps: int,
        qr_every: int = 1,
        *,
        frame_dtype: str | None = None,
        first_step: int = 0,
    ) -> Blocks:
        if _has(self.inner, "propagate_blocks") and self.carries(frame_dtype):
            states, frames, totals = self.inner.propagate_blocks(x, frame, n_blocks, n_steps, qr_every)
            return states, frames, totals
        return super().propagate_blocks(
            x, frame, n_blocks, n_steps, qr_every, frame_dtype=frame_dtype, first_step=first_step
        )

    def log_abs_det(self, x: Array, n_steps: int, *, first_step: int = 0) -> NDArray[np.float64]:
        if self.log_abs_det_is_independent and not self.depends_on_step:
            return np.asarray(self.inner.log_abs_det(x, n_steps))
        return super().log_abs_det(x, n_steps, first_step=first_step)

    def restore(self, flat: Array) -> Any:
        return self.inner.restore(flat) if _has(self.inner, "restore") else super().restore(flat)

    def initial_states(self, b: int, rng: np.random.Generator | int = 0) -> NDArray[np.float64] | None:
        return np.asarray(self.inner.initial_states(b, rng)) if _has(self.inner, "initial_states") else None

    def other_derivative(self, reason: str) -> bool:
        return _has(self.inner, "other_derivative") and bool(self.inner.other_derivative(reason))

    def pull(self, x: Array, u: Array) -> Array | None:
        return self.inner.pull(x, u) if _has(self.inner, "pull") else None

    def jacobian_by_tangents(self) -> None:
        if _has(self.inner, "jacobian_by_tangents"):
            self.inner.jacobian_by_tangents()

    def in_float64(self) -> TangentMap | None:
        made = self.inner.in_float64() if _has(self.inner, "in_float64") else None
        return None if made is None else unchecked(made)


class CompletedMap(ForeignMap):
    """A `Map` of NumPy arrays, given the `jvp` that its Jacobian implies."""

    def __init__(self, inner: Map, dtype: str = "float64") -> None:
        super().__init__(inner)
        self.ops = NumpyOps(dtype)
        self.provenance = {"map": type(inner).__name__} | self.provenance

    @property
    def derivative(self) -> str:
        return str(getattr(self.inner, "derivative", "jacobian given"))

    def apply(self, x: Array) -> Array:
        y = self.inner.apply(x)
        dtype = getattr(y, "dtype", type(y).__name__)
        if dtype != self.ops.dtype:
            raise PrecisionError(f"map: expected apply to give {self.ops.dtype}, got {dtype}")
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
    structure = tangent_map.structure
    if structure is not None and structure.is_like(x0):
        x0 = structure.flatten(x0)
    rows, single = as_rows("x0", x0, tuple(tangent_map.state_shape), tangent_map.ops)
    return tangent_map.on_surface(rows), single


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


class WrappedMap(TangentMap):
    """A map that stands on another one: of its states, arrays, time and steps.

    What it does to volumes and frames, and what is known of it, is not taken from there.
    """

    depends_on_step = False  # unless the map within does, or a subclass says so

    def __init__(self, inner: TangentMap) -> None:
        self.inner = inner
        self.state_shape = tuple(inner.state_shape)
        self.ops = inner.ops
        self.depends_on_step = type(self).depends_on_step or inner.depends_on_step

    @property
    def derivative(self) -> str:
        return self.inner.derivative

    @property
    def provenance(self) -> dict[str, Any]:
        return dict(self.inner.provenance)

    @property
    def structure(self) -> Structure | None:
        return self.inner.structure

    @property
    def time_per_step(self) -> float:
        return self.inner.time_per_step

    @property
    def is_flow(self) -> bool:
        return self.inner.is_flow

    @property
    def row_bytes(self) -> float:
        return self.inner.row_bytes

    @property
    def rows_at_once(self) -> int:
        return self.inner.rows_at_once

    @property
    def n_tangents(self) -> int:
        return self.inner.n_tangents

    def tangent_frame(self, x: Array, frame: Array) -> Array:
        return self.inner.tangent_frame(x, frame)

    def on_surface(self, x: Array) -> Array:
        return self.inner.on_surface(x)

    def at(self, step: int) -> TangentMap:
        if not self.depends_on_step:
            return self
        now = copy.copy(self)
        now.inner = self.inner.at(step)
        now.depends_on_step = False
        return now

    def apply(self, x: Array) -> Array:
        return self.inner.apply(x)

    def jvp(self, x: Array, v: Array) -> tuple[Array, Array]:
        return self.inner.jvp(x, v)

    def jacobian(self, x: Array) -> Array:
        return self.inner.jacobian(x)

    def restore(self, flat: Array) -> Any:
        return self.inner.restore(flat)


class SameTangents(WrappedMap):
    """A wrapped map with the tangents of the one within, which therefore does the same to frames and volumes."""

    @property
    def field(self) -> Any:
        return self.inner.field

    @property
    def scheme(self) -> Any:
        return self.inner.scheme

    def over(self, tau: float) -> TangentMap | None:
        within = self.inner.over(tau)
        if within is None:
            return None
        now = copy.copy(self)
        now.inner = within
        return now

    @property
    def compiled(self) -> bool:
        return self.inner.compiled

    @property
    def orthonormalizes_within(self) -> bool:
        return self.inner.orthonormalizes_within

    @property
    def mean_log_abs_det(self) -> float | None:
        return self.inner.mean_log_abs_det

    @property
    def log_abs_det_is_independent(self) -> bool:
        return self.inner.log_abs_det_is_independent

    @property
    def log_abs_det_in_blocks(self) -> bool:
        return self.inner.log_abs_det_in_blocks

    @property
    def log_abs_det_tolerance(self) -> float:
        return self.inner.log_abs_det_tolerance

    def for_run(self, x: Array, k: int, n_steps: int) -> TangentMap:
        within = self.inner.for_run(x, k, n_steps)
        if within is self.inner:
            return self
        now = copy.copy(self)
        now.inner = within
        return now

    @property
    def cost(self) -> int:
        return self.inner.cost

    @property
    def row_work(self) -> float:
        return self.inner.row_work

    @property
    def low_tangent_dtype(self) -> str | None:
        return self.inner.low_tangent_dtype

    def with_tangents(self, dtype: str) -> TangentMap:
        inner = self.inner.with_tangents(dtype)
        if inner is self.inner:
            return self
        low = copy.copy(self)
        low.inner = inner
        return low

    def propagate(
        self,
        x: Array,
        frame: Array,
        n_steps: int,
        qr_every: int = 1,
        *,
        frame_dtype: str | None = None,
        first_step: int = 0,
    ) -> tuple[Array, Array, NDArray[np.float64]]:
        return self.inner.propagate(x, frame, n_steps, qr_every, frame_dtype=frame_dtype, first_step=first_step)

    def propagate_blocks(
        self,
        x: Array,
        frame: Array,
        n_blocks: int,
        n_steps: int,
        qr_every: int = 1,
        *,
        frame_dtype: str | None = None,
        first_step: int = 0,
    ) -> Blocks:
        return self.inner.propagate_blocks(
            x, frame, n_blocks, n_steps, qr_every, frame_dtype=frame_dtype, first_step=first_step
        )

    def record(
        self, x: Array, frame: Array, n_steps: int, wanted: NDArray[np.bool_], *, first_step: int = 0
    ) -> Recording:
        return self.inner.record(x, frame, n_steps, wanted, first_step=first_step)

    def log_abs_det(self, x: Array, n_steps: int, *, first_step: int = 0) -> NDArray[np.float64]:
        return self.inner.log_abs_det(x, n_steps, first_step=first_step)


class InBlocks(TangentMap):
    """A map with code of its own for blocks of steps."""

    @abc.abstractmethod
    def carry_blocks(
        self, x: Array, frame: Array, n_blocks: int, n_steps: int, qr_every: int, frame_dtype: str | None
    ) -> Blocks | None:
        """What `propagate_blocks` gives; None where that is left to the definition."""

    def propagate(
        self,
        x: Array,
        frame: Array,
        n_steps: int,
        qr_every: int = 1,
        *,
        frame_dtype: str | None = None,
        first_step: int = 0,
    ) -> tuple[Array, Array, NDArray[np.float64]]:
        blocks = self.carry_blocks(x, frame, 1, n_steps, qr_every, frame_dtype)
        if blocks is None:
            return super().propagate(x, frame, n_steps, qr_every, frame_dtype=frame_dtype, first_step=first_step)
        states, frames, totals = blocks
        return states[0], frames[0], totals[0]

    def propagate_blocks(
        self,
        x: Array,
        frame: Array,
        n_blocks: int,
        n_steps: int,
        qr_every: int = 1,
        *,
        frame_dtype: str | None = None,
        first_step: int = 0,
    ) -> Blocks:
        blocks = self.carry_blocks(x, frame, n_blocks, n_steps, qr_every, frame_dtype)
        if blocks is not None:
            return blocks
        return super().propagate_blocks(
            x, frame, n_blocks, n_steps, qr_every, frame_dtype=frame_dtype, first_step=first_step
        )


class StepMap(TangentMap):
    """A map that depends on the step, and is that of step 0 where no step is named."""

    depends_on_step = True

    @abc.abstractmethod
    def at(self, step: int) -> TangentMap:
        """The map of one step."""

    def apply(self, x: Array) -> Array:
        return self.at(0).apply(x)

    def jvp(self, x: Array, v: Array) -> tuple[Array, Array]:
        return self.at(0).jvp(x, v)

    def jacobian(self, x: Array) -> Array:
        return self.at(0).jacobian(x)
