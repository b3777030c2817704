"""Maps made of JAX functions, linearized once per step; whole blocks of steps are compiled (`jax_blocks`).

Requires jax >= 0.5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from lyapmap.backends.jax_blocks import (
    MOST_TOGETHER,
    SHORTEST_BATCH,
    TOGETHER,
    WRITTEN_OUT,
    Product,
    compiled_along,
    compiled_blocks,
    filled_up,
    largest_batch,
    times_determinant,
)
from lyapmap.backends.jax_precision import in_double, in_session, x64
from lyapmap.backends.recurrent import RecurrentCell
from lyapmap.core.errors import LyapmapError, MapError, PrecisionError, ShapeError
from lyapmap.core.flows.schemes import Scheme
from lyapmap.core.flows.stiff import Rodas4
from lyapmap.core.map import JACOBIAN_CHUNK, Blocks, InBlocks, TangentMap, dimension
from lyapmap.core.ops import ArrayLibrary, ArrayOps

DEFAULT_MEMORY_LIMIT = 2 * 2**30
STEPS = ("round", "floor", "ceil", "sign", "rem", "pure_callback", "io_callback")
"""Operations whose values move in steps, or whose inside is not seen; those that give whole numbers do too."""
LIVE_ARRAYS = 8
"""Arrays of the largest size that are alive at once while tangents pass through, about."""


def _repeated(array: Any, rows: jax.Array) -> jax.Array:
    values = jnp.asarray(array)
    values = values.astype(rows.dtype) if jnp.issubdtype(values.dtype, jnp.floating) else values
    return jnp.broadcast_to(values, (rows.shape[0], *values.shape))


LIBRARY = ArrayLibrary(
    jnp.reshape,
    jnp.concatenate,
    jnp.stack,
    jax.vmap,
    lambda array, like: jnp.asarray(array),
    _repeated,
    lambda array: jnp.rint(array).astype(int),
)


class JaxOps(ArrayOps):
    """`ArrayOps` of JAX arrays.

    Every method computes in the precision of the arrays that it is given, also where JAX has float64 switched off;
    so does whatever else is done within a `session`.
    """

    def __init__(self, dtype: str, device: Any) -> None:
        self.dtype = _known(dtype)
        self._device = device
        self.device = "cpu" if device.platform == "cpu" else f"{device.platform}:{device.id}"
        self.library = f"jax {jax.__version__}"

    def __getstate__(self) -> dict[str, Any]:
        # A device is no part of what travels to another process, only which one it is.
        return vars(self) | {"_device": (self._device.platform, self._device.id)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        platform, number = state["_device"]
        vars(self).update(state | {"_device": jax.devices(platform)[number]})

    def session(self, n: int = 1) -> AbstractContextManager[Any]:
        return x64() if self.dtype == "float64" else nullcontext()

    @in_double
    def from_numpy(self, array: NDArray[Any], dtype: str | None = None) -> jax.Array:
        # A copy: on a CPU, JAX may otherwise look into the caller's memory.
        copy = np.array(array, dtype=_known(dtype or self.dtype))
        return jax.device_put(copy, self._device)

    def to_numpy(self, array: jax.Array) -> NDArray[Any]:
        return np.array(array)

    @in_double
    def cast(self, array: jax.Array, dtype: str) -> jax.Array:
        return array if array.dtype == dtype else array.astype(_known(dtype))

    @in_double
    def qr(self, frame: jax.Array) -> tuple[jax.Array, jax.Array]:
        q, r = jnp.linalg.qr(frame)
        return q, r

    @in_double
    def log_abs_diagonal(self, r: jax.Array) -> NDArray[np.float64]:
        diagonal = np.asarray(jnp.diagonal(r, axis1=-2, axis2=-1), np.float64)
        with np.errstate(divide="ignore"):
            return np.log(np.abs(diagonal))

    @in_double
    def matmul(self, a: jax.Array, b: jax.Array) -> jax.Array:
        return a @ b

    @in_double
    def transpose(self, a: jax.Array) -> jax.Array:
        return jnp.swapaxes(a, -1, -2)

    @in_double
    def concatenate(self, arrays: list[jax.Array], axis: int) -> jax.Array:
        if self._on_host(*arrays):
            return self._moved(np.concatenate([np.asarray(array) for array in arrays], axis=axis))
        return jnp.concatenate(arrays, axis=axis)

    @in_double
    def take(self, array: jax.Array, rows: NDArray[np.int64]) -> jax.Array:
        return self._moved(np.asarray(array)[rows]) if self._on_host(array) else array[rows]

    def norm(self, array: jax.Array) -> NDArray[np.float64]:
        flat = np.asarray(array, np.float64).reshape(len(array), -1)
        return np.sqrt(np.einsum("bi,bi->b", flat, flat))

    @in_double
    def all_finite(self, array: jax.Array) -> NDArray[np.bool_]:
        if self._on_host(array):
            return np.array(np.isfinite(np.asarray(array)).reshape(len(array), -1).all(axis=1))
        return np.array(jnp.isfinite(array).reshape(len(array), -1).all(axis=1))

    @in_double
    def rows_equal(self, a: jax.Array, b: jax.Array) -> NDArray[np.bool_]:
        if self._on_host(a, b):
            return np.array((np.asarray(a) == np.asarray(b)).reshape(len(a), -1).all(axis=1))
        return np.array((a == b).reshape(len(a), -1).all(axis=1))

    def copy(self, array: jax.Array) -> jax.Array:
        return array  # nobody can write into it

    @in_double
    def clip(self, array: jax.Array, low: float, high: float) -> jax.Array:
        return jnp.clip(array, low, high)

    def _on_host(self, *arrays: jax.Array) -> bool:
        """Whether NumPy can look into arrays where they are: it moves rows faster, and compiles nothing."""
        return self.device == "cpu" and not any(isinstance(array, jax.core.Tracer) for array in arrays)

    def _moved(self, array: NDArray[Any]) -> jax.Array:
        """A new array that nobody else looks into."""
        return jax.device_put(array, self._device)

    @in_double
    def zeroed(self, array: jax.Array, where: jax.Array) -> jax.Array:
        return jnp.where(where, 0, array)


class JaxMap(InBlocks):
    """A JAX function of a batch of states. Built by `wrap_jax`.

    A step is compiled once for every number of states and tangents. States and directions are
    chunked so that a pass stays within `memory_limit`.
    """

    derivative = "forward mode"
    roundoff = 0.0
    """Rounding of the coarsest precision that was seen inside."""
    steps_inside = False
    """Whether rounding, comparisons or whole numbers were seen inside."""

    def __init__(
        self,
        function: Callable[[jax.Array], jax.Array],
        state_shape: tuple[int, ...],
        ops: ArrayOps,
        memory_limit: int,
        provenance: dict[str, Any],
    ) -> None:
        self.state_shape = state_shape
        self.ops = ops
        self.provenance = provenance
        self._n = dimension(state_shape)
        self._function = function
        self._reverse, self._twice, self._jacobian_by_tangents = False, False, False
        self._first_reason = ""
        with ops.session():
            self.rows_at_once = self._most_rows(memory_limit)
        self._compile()
        self.log_abs_det_in_blocks = self._n <= WRITTEN_OUT

    def _compile(self) -> None:
        """Compile anew, at the next call: what was traced has the derivative of before."""
        self._apply = jax.jit(self.image)
        self._jvp = jax.jit(lambda x, v: self.carry(x, v))  # equal methods would share a trace
        self._jacobian = jax.jit(self._pull, static_argnums=2)
        self._blocks = compiled_blocks(lambda x, v: (*self.carry(x, v), None))
        self._volumes = compiled_along(
            lambda x, volume: (self.image(x), times_determinant(volume, self.matrices(x))),
            lambda x: Product.unit((len(x),), x.dtype),
        )

    @in_session
    def apply(self, x: jax.Array) -> jax.Array:
        self._require(x, "x")
        return _joined([self._apply(rows) for rows in _split(x, self.rows_at_once)], 0)

    @in_session
    def jvp(self, x: jax.Array, v: jax.Array) -> tuple[jax.Array, jax.Array]:
        self._require(x, "x")
        self._require(v, "v")
        k = v.shape[2]
        if k == 0:
            return self.apply(x), v
        if self._reverse:
            return self.apply(x), self._by_cotangents(x) @ v
        directions = min(k, self.rows_at_once)
        states = max(1, self.rows_at_once // directions)
        images, tangents = [], []
        for rows, moved in zip(_split(x, states), _split(v, states), strict=True):
            passes = [self._jvp(rows, part) for part in _split(moved, directions, axis=2)]
            images.append(passes[0][0])
            tangents.append(_joined([t for _, t in passes], 2))
        return _joined(images, 0), _joined(tangents, 0)

    @in_session
    def carry_blocks(
        self, x: jax.Array, frame: jax.Array, n_blocks: int, n_steps: int, qr_every: int, frame_dtype: str | None
    ) -> Blocks | None:
        together = self._together(frame)
        if n_blocks > together or not self._carries_blocks(frame, frame_dtype):
            return None
        self._require(x, "x")
        self._require(frame, "v")
        if together > 1:
            states, frames, growth, _ = self._blocks(x, frame, n_blocks, n_steps, qr_every, together)
            return states[:n_blocks], frames[:n_blocks], growth.log()[:n_blocks]
        rows = max(1, self.rows_at_once // frame.shape[2])
        parts = [
            self._blocks(some, vectors, 1, n_steps, qr_every, 1)
            for some, vectors in zip(_split(x, rows), _split(frame, rows), strict=True)
        ]
        images, moved, growths, _ = zip(*parts, strict=True)
        growth = np.concatenate([growth.log()[0] for growth in growths])
        return [_joined([y for (y,) in images], 0)], [_joined([q for (q,) in moved], 0)], [growth]

    def _together(self, frame: jax.Array) -> int:
        """Blocks to be done in one call: many where they are small."""
        small = TOGETHER * frame.size <= MOST_TOGETHER and len(frame) * frame.shape[2] <= self.rows_at_once
        return TOGETHER if small else 1

    def _carries_blocks(self, frame: jax.Array, frame_dtype: str | None) -> bool:
        most = min(self._n, self.rows_at_once)
        return not self._reverse and self.carries(frame_dtype) and 0 < frame.shape[2] <= most

    @in_session
    def log_abs_det(self, x: jax.Array, n_steps: int, *, first_step: int = 0) -> NDArray[np.float64]:
        if not self.log_abs_det_in_blocks or self._jacobian_by_tangents or self.rows_at_once < SHORTEST_BATCH * self._n:
            return super().log_abs_det(x, n_steps)
        self._require(x, "x")
        try:
            sums = []
            for rows in _split(x, largest_batch(self.rows_at_once // self._n)):
                whole = self.ops.from_numpy(filled_up(np.asarray(rows)))
                sums.append(self._volumes(whole, n_steps).log()[: len(rows)])
            return np.concatenate(sums)
        except (TypeError, ValueError, NotImplementedError):  # there is no reverse mode
            self.jacobian(x)
            return super().log_abs_det(x, n_steps)

    @in_session
    def jacobian(self, x: jax.Array) -> jax.Array:
        """By reverse mode, independent of `jvp`; by `jvp` where JAX has no reverse mode (loops of unknown length)."""
        self._require(x, "x")
        if not self._jacobian_by_tangents:
            try:
                return self._by_cotangents(x)
            except (TypeError, ValueError, NotImplementedError):
                if self._reverse:
                    raise
                self._jacobian_by_tangents = True
        return super().jacobian(x)

    def other_derivative(self, reason: str) -> bool:
        """Turn to reverse mode twice, which makes no n x n matrix, then to reverse mode; False where none is left."""
        if self._reverse:
            return False
        self._first_reason = self._first_reason or reason
        self._twice, self._reverse = not self._twice, self._twice
        way = "reverse mode twice" if self._twice else "reverse mode"
        cost = "1 to 2 evaluations a tangent" if self._twice else f"{self._n} cotangents a state and step"
        self.derivative = f"{way} ({self._first_reason}; {cost})"
        self._compile()
        return True

    def _by_cotangents(self, x: jax.Array) -> jax.Array:
        n, parts = self._n, []
        for rows in _split(x, max(1, self.rows_at_once // min(n, JACOBIAN_CHUNK))):
            starts = range(0, n, JACOBIAN_CHUNK)
            parts.append(_joined([self._jacobian(rows, i, min(JACOBIAN_CHUNK, n - i)) for i in starts], 1))
        return _joined(parts, 0)

    def image(self, x: jax.Array) -> jax.Array:
        """Images of states (b, n), for code that is being compiled."""
        return self._function(x.reshape(-1, *self.state_shape)).reshape(x.shape)

    def carry(self, x: jax.Array, v: Any) -> tuple[jax.Array, Any]:
        """Images and tangents (b, n, k), for code that is being compiled."""
        if v is None:
            return self.image(x), None
        if self._twice:  # a pull is linear in its cotangent, and the pull of that pull carries tangents
            image, back = jax.vjp(self.image, x)
            push = jax.vjp(lambda u: back(u)[0], jnp.zeros_like(image))[1]
            return image, jax.vmap(lambda tangent: push(tangent)[0], in_axes=2, out_axes=2)(v)
        image, linear = jax.linearize(self.image, x)
        return image, jax.vmap(linear, in_axes=2, out_axes=2)(v)

    def matrices(self, x: jax.Array) -> jax.Array:
        """Jacobians (b, n, n), for code that is being compiled."""
        if self._jacobian_by_tangents:
            unit = jnp.broadcast_to(jnp.eye(self._n, dtype=x.dtype), (len(x), self._n, self._n))
            return cast(jax.Array, self.carry(x, unit)[1])
        return self._pull(x, 0, self._n)

    def along(self, tau: float, scheme: Scheme) -> TangentMap | None:
        if self._reverse or isinstance(scheme, Rodas4):
            return None
        from lyapmap.backends.jax_flow import JaxFlow  # which stands on this file

        return JaxFlow(self, tau, scheme)

    def required(self, array: Any, name: str) -> jax.Array:
        """States, or tangents, that are what they must be."""
        self._require(array, name)
        return cast(jax.Array, array)

    def _pull(self, x: jax.Array, start: int, width: int) -> jax.Array:
        """Some rows of the Jacobians: states are independent, so one cotangent serves all of them."""
        back = jax.vjp(self.image, x)[1]
        rows = jax.nn.one_hot(start + jnp.arange(width), self._n, dtype=x.dtype)
        return jax.vmap(lambda u: back(jnp.broadcast_to(u, x.shape))[0], out_axes=1)(rows)

    def _require(self, array: Any, name: str) -> None:
        if not isinstance(array, jax.Array):
            raise PrecisionError(f"{name}: expected a JAX array, got {type(array).__name__}")
        if array.dtype != self.ops.dtype:
            raise PrecisionError(f"{name}: expected {self.ops.dtype}, got {array.dtype}")
        if array.ndim != (2 if name == "x" else 3) or array.shape[1] != self._n:
            shape = array.shape
            raise ShapeError(f"{name}: expected {self._n} values per row for {self.state_shape}, got shape {shape}")

    def _most_rows(self, memory_limit: int) -> int:
        """Traces the function once, checks what comes back, and measures its largest array."""
        batch = (2, *self.state_shape)
        probe = jax.ShapeDtypeStruct(batch, self.ops.dtype)
        try:
            traced, answer = jax.make_jaxpr(self._function, return_shape=True)(probe)
        except (TypeError, ValueError, IndexError, jax.errors.JAXTypeError) as error:
            if isinstance(error, LyapmapError):
                raise
            raise MapError(f"function: JAX cannot trace it on states of shape {batch}: {_reason(error)}") from error
        if not isinstance(answer, jax.ShapeDtypeStruct):
            raise MapError(f"function: expected it to return one array, got {type(answer).__name__}")
        if answer.shape != batch:
            raise ShapeError(
                f"function: expected {batch} for two states of shape {self.state_shape}, got {answer.shape}; "
                "only a map of a space to itself can be iterated"
            )
        if answer.dtype != self.ops.dtype:
            raise PrecisionError(f"function: expected {self.ops.dtype} back, got {answer.dtype}")
        made = list(_made(traced.jaxpr))
        largest = max([probe.size * probe.dtype.itemsize, *(size for size, _, _ in made)])
        floats = [dtype for _, dtype, _ in made if jnp.issubdtype(dtype, jnp.floating)]
        self.roundoff = max((float(jnp.finfo(dtype).eps) for dtype in floats), default=0.0)
        self.steps_inside = any(name in STEPS or dtype.kind in "iub" for _, dtype, name in made)
        self.row_bytes = LIVE_ARRAYS * largest / 2
        return max(1, int(memory_limit / self.row_bytes))


def _split(array: jax.Array, length: int, axis: int = 0) -> list[jax.Array]:
    whole = array.shape[axis]
    if whole <= length:
        return [array]
    return [jax.lax.slice_in_dim(array, i, min(i + length, whole), axis=axis) for i in range(0, whole, length)]


def _joined(arrays: list[jax.Array], axis: int) -> jax.Array:
    return arrays[0] if len(arrays) == 1 else jnp.concatenate(arrays, axis=axis)


def _made(jaxpr: Any) -> Iterator[tuple[int, Any, str]]:
    """Bytes, dtype and operation of every array that a traced function makes, also in the functions that it calls."""
    for equation in jaxpr.eqns:
        for made in equation.outvars:
            shaped = made.aval
            # Keys of random numbers have a dtype that is JAX's own.
            if hasattr(shaped, "size") and isinstance(shaped.dtype, np.dtype):
                yield shaped.size * shaped.dtype.itemsize, np.dtype(shaped.dtype), equation.primitive.name
        for value in equation.params.values():
            for inner in value if isinstance(value, tuple | list) else (value,):
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns"):
                    yield from _made(inner)


def _reason(error: Exception) -> str:
    """What JAX complains about, in one line."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _known(dtype: str) -> str:
    if dtype not in ("float32", "float64"):
        raise PrecisionError(f"dtype: expected 'float32' or 'float64', got {dtype!r}")
    return dtype


def wrap_jax(
    function: Callable[[jax.Array], jax.Array],
    *,
    state_shape: tuple[int, ...],
    dtype: Any = None,
    device: Any = None,
    memory_limit: int = DEFAULT_MEMORY_LIMIT,
    provenance: dict[str, Any] | None = None,
) -> JaxMap:
    """Make a map of a JAX function.

    Parameters
    ----------
    function : callable
        Takes a batch (b, *state_shape) and returns one of the same shape; `jax.vmap` makes one of
        a function of one state. It must be one that JAX can trace. The arrays that it closes over
        are those of now: assigning others to its variables later does not change the map.
    state_shape : tuple of int
        Shape of one state.
    dtype : str, optional
        "float32" or "float64", which needs no `jax_enable_x64`: it is switched on for as long as the map
        computes. JAX's default by default.
    device : str or jax.Device, optional
        E.g. "cpu" or "cuda:1"; JAX's default by default.
    memory_limit : int
        Bytes that one pass of tangents may take, about.
    provenance : dict, optional
        Plain values that results will record.

    Returns
    -------
    JaxMap

    Raises
    ------
    LyapmapError
        If JAX cannot trace the function, or what comes back has another shape or dtype.
    """
    if not callable(function):
        raise MapError(f"function: expected a JAX function, got {type(function).__name__}")
    shape = tuple(int(s) for s in state_shape)
    if not shape or min(shape) < 1:
        raise ShapeError(f"state_shape: expected positive sizes, got {state_shape}")
    if memory_limit < 1:
        raise LyapmapError(f"memory_limit: expected a positive number of bytes, got {memory_limit}")
    name = jnp.zeros(()).dtype.name if dtype is None else getattr(dtype, "name", str(dtype))
    described = {"map": getattr(function, "__name__", type(function).__name__)} | (provenance or {})
    return JaxMap(function, shape, JaxOps(name, _resolved(device)), memory_limit, described)


def _resolved(device: Any) -> Any:
    """The device that is meant by a name such as "cuda:1"."""
    if device is None:
        return next(iter(jnp.zeros(()).devices()))
    if isinstance(device, jax.Device):
        return device
    platform, _, index = str(device).partition(":")
    try:
        return jax.devices(platform)[int(index or 0)]
    except (RuntimeError, ValueError, IndexError) as error:
        raise LyapmapError(f"device: {device} cannot be used ({_reason(error)})") from None


def flax_cell(cell: Any) -> RecurrentCell:
    """What is known of a cell of flax."""
    hidden = getattr(cell, "hidden_features", None) or getattr(cell, "features", None)
    if not isinstance(hidden, int):
        raise MapError(f"function: {type(cell).__name__} does not say the size of its state; wrap a function of it")
    parts = 2 if "LSTM" in type(cell).__name__ else 1

    import jax.numpy as arrays

    def held(inputs: Any) -> Callable[[Any], Any]:
        def step(state: Any) -> Any:
            first = state[0] if parts == 2 else state
            u = arrays.broadcast_to(arrays.asarray(inputs, first.dtype), (first.shape[0], len(inputs)))
            return cell(state, u)[0]

        return step

    n_inputs = getattr(cell, "in_features", None)
    return RecurrentCell(
        type(cell).__name__, "jax", n_inputs, hidden, parts, "float32", held, lambda state, u: cell(state, u)[0]
    )
