"""Vector fields as people write them: f(x), f(t, x), f(x, t); for a batch or for one state."""

from __future__ import annotations

import copy
import inspect
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.backends.numpy.dual_arrays import Dual
from lyapmap.backends.numpy.dual_values import as_dual
from lyapmap.backends.numpy.program import fitted, joined, symbols
from lyapmap.backends.structured import array_library, library_named, library_of
from lyapmap.core.errors import MapError
from lyapmap.core.ops import ArrayLibrary
from lyapmap.core.structure import as_numpy

ORDERS = ("x", "t, x", "x, t")
TIMES = ("t", "time", "_t", "t_")
"""Names by which a time is known in the second place; in the first any name will do."""
FAILURES = (TypeError, ValueError, IndexError, AttributeError, RuntimeError)


def arguments_of(rhs: Any) -> str:
    """How a function takes the state and the time, read from its signature; "x" where that tells nothing."""
    function = getattr(rhs, "py_func", rhs)
    forward = getattr(function, "forward", None)
    if forward is not None and hasattr(function, "parameters"):
        function = forward
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return "x"
    places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [p.name for p in parameters if p.kind in places and p.default is inspect.Parameter.empty]
    if len(needed) == 3 and needed[2] == "args":  # diffrax's f(t, y, args)
        needed = needed[:2]
    if len(needed) != 2:
        return "x"
    return "x, t" if needed[1].lower() in TIMES and needed[0].lower() not in TIMES else "t, x"


class TimedField:
    """A field f(t, x) as a function of states (x, t), n + 1 values in a row: (f(t, x), 1).

    Parameters
    ----------
    rhs : callable
    order : "t, x" or "x, t"
    state_shape : tuple of int
        Of x.
    time : float, optional
        Given for a field that does not depend on it: states are x alone.
    vectorized : bool, optional
        Whether `rhs` takes a batch; found out by default.
    """

    def __init__(
        self,
        rhs: Callable[..., Any],
        order: str,
        state_shape: tuple[int, ...],
        time: float | None = None,
        vectorized: bool | None = None,
    ) -> None:
        self.rhs = rhs
        self.order = order
        self.state_shape = state_shape
        self.n = int(np.prod(state_shape))
        self.time = time
        self.vectorized = vectorized
        self.third = self._takes_args()
        self.__name__ = str(getattr(rhs, "__name__", type(rhs).__name__))

    def __call__(self, z: Any) -> Any:
        if isinstance(z, Dual):
            return self._of_dual(z)
        if library_of(z) == "numpy":
            return self._of_numpy(z)
        library = array_library(z)
        if library.over_rows is None:
            raise MapError(
                f"function: a field of {library_of(z)} cannot take the time; make the phase one more coordinate of "
                "the state"
            )
        return self._of_rows(z, library.over_rows(self._row(library)), library)

    def as_function(self) -> Callable[[Any], Any]:
        """The same as a plain function that holds `rhs`, which dual numbers can then be fitted to."""
        rhs = self.rhs

        def field(z: Any) -> Any:
            fitted = self
            if rhs is not self.rhs:
                fitted = copy.copy(self)
                fitted.rhs = rhs
            return fitted(z)

        return field

    def of_symbols(self, graph: Any, z: Any) -> Any:
        """One state (x, t), or x, as `lyapmap.backends.numpy.program` takes it."""
        fit = copy.copy(self)
        fit.rhs = fitted(graph, self.rhs)
        shape = (1, *self.state_shape) if self.vectorized else self.state_shape
        slopes = fit.value(z[self.n] if self.time is None else self.time, z[: self.n].reshape(shape))
        values = list(symbols(graph, joined(slopes)).ravel())
        return values if self.time is not None else [*values, 1.0]

    def value(self, t: Any, x: Any) -> Any:
        """The field as it was written."""
        more = (None,) if self.third else ()
        return self.rhs(x, t, *more) if self.order == "x, t" else self.rhs(t, x, *more)

    def _takes_args(self) -> bool:
        try:
            names = list(inspect.signature(getattr(self.rhs, "py_func", self.rhs)).parameters)
        except (TypeError, ValueError):
            return False
        return len(names) == 3 and names[2] == "args"

    def _split(self, z: Any) -> tuple[Any, Any]:
        """Times (b,), or None where there is one for all, and states (b, *state_shape)."""
        if self.time is not None:
            return None, z.reshape(-1, *self.state_shape)
        return z[:, self.n], z[:, : self.n].reshape(-1, *self.state_shape)

    def _of_numpy(self, z: NDArray[Any]) -> NDArray[Any]:
        times, x = self._split(z)
        if self.vectorized is None:
            self.vectorized = self._takes_a_batch(z)
        if times is None:
            times = np.full(len(x), self.time)
        elif np.iscomplexobj(times) and not times.imag.any():
            times = times.real
        parts = np.empty((len(x), self.n), z.dtype)
        for t in np.unique(times):
            rows = np.flatnonzero(times == t)
            if self.vectorized:
                parts[rows] = np.asarray(self.value(t, x[rows])).reshape(len(rows), self.n)
            else:
                for i in rows:
                    parts[i] = np.asarray(self.value(t, x[i])).reshape(self.n)
        if self.time is not None:
            return parts.reshape(z.shape)
        return np.concatenate([parts, np.ones((len(x), 1), z.dtype)], axis=1)

    def _of_dual(self, z: Dual) -> Dual:
        """With tangents: exact by x; by t too, where the function takes a time with a tangent."""
        kind, k = type(z), len(z.tangent)
        times, x = self._split(z)
        clock = np.full(len(x), self.time) if times is None else times.value
        value, tangent = np.empty((len(x), self.n), z.dtype), np.empty((k, len(x), self.n), z.dtype)
        for t in np.unique(clock):
            same = np.flatnonzero(clock == t)
            for rows in [same] if self.vectorized else same[:, None]:
                at = x[rows] if self.vectorized else x[rows[0]]
                velocity = as_dual(kind, self.value(t, at), k)
                value[rows] = velocity.value.reshape(len(rows), self.n)
                tangent[:, rows] = velocity.tangent.reshape(k, len(rows), self.n)
                if times is not None and times.tangent[:, rows].any():
                    by_time = self._by_time(kind, t, at.value).reshape(len(rows), self.n)
                    tangent[:, rows] += times.tangent[:, rows, None] * by_time
        if self.time is not None:
            return kind(value.reshape(z.shape), tangent.reshape(k, *z.shape))
        value = np.concatenate([value, np.ones((len(x), 1), z.dtype)], axis=1)
        return kind(value, np.concatenate([tangent, np.zeros((k, len(x), 1), z.dtype)], axis=2))

    def _by_time(self, kind: type[Dual], t: Any, x: NDArray[Any]) -> NDArray[Any]:
        """The derivative by the time alone, which only the length of steps depends on."""
        try:
            slope: NDArray[Any] = as_dual(kind, self.value(kind(t, np.ones(1)), x), 1).tangent[0]
        except Exception:  # the time may go where numbers with tangents cannot, as into math.cos
            h = float(np.finfo(x.dtype).eps) ** (1 / 3) * max(abs(float(t)), 1.0)
            ahead, behind = (np.asarray(self.value(t + step, x)) for step in (h, -h))
            slope = (ahead - behind) / (2 * h)
        return slope

    def _takes_a_batch(self, z: NDArray[Any]) -> bool:
        """Whether the field gives for a batch what it gives for each state alone."""
        draws = np.random.default_rng(0).uniform(0.1, 0.9, (self.n + 3, *self.state_shape)).astype(z.real.dtype)
        t = 0.25 if self.time is None else self.time
        return takes_a_batch(lambda x: self.value(t, x), draws)

    def _row(self, library: ArrayLibrary) -> Callable[[Any, Any], Any]:
        """The field at one time and one state, so that under a framework's own map over rows each has its own time."""

        def velocity(t: Any, x: Any) -> Any:
            try:
                value = self.value(t, x[None])
                if tuple(value.shape) != (1, *self.state_shape):
                    raise ValueError("not for a batch")
                value = value[0]
            except FAILURES:
                value = self.value(t, x)
            if isinstance(value, (tuple, list)):
                value = library.stack(list(value))
            return value.reshape(-1)

        return velocity

    def _of_rows(self, z: Any, velocities: Callable[[Any, Any], Any], library: ArrayLibrary) -> Any:
        times, x = self._split(z)
        if times is None:
            return velocities(0 * z[:, 0] + self.time, x).reshape(z.shape)
        return library.concatenate([velocities(times, x), 0 * z[:, :1] + 1], 1)


def takes_a_batch(function: Callable[[Any], Any], x: NDArray[Any]) -> bool:
    """Whether a NumPy function gives rows for rows of states, as far as trying tells; True where both fail."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            together = np.asarray(function(x.copy()))
            if together.shape == x.shape:
                return True
        except FAILURES:
            together = None
        try:
            alone = np.asarray(function(x[0].copy()))
        except FAILURES:
            return True
    return alone.size != x[0].size


def depends_on_time(field: TimedField, tau: float, library: str) -> bool:
    """Whether a field is seen to change with time, at sixteen times and three states."""
    x: Any = np.random.default_rng(0).uniform(0.1, 0.9, (3, *field.state_shape))
    make = None if library == "numpy" else library_named(library).from_numpy
    if make is not None:
        x = make(x, next(iter(field.rhs.parameters()), None) if hasattr(field.rhs, "parameters") else None)
    rows = x.reshape(len(x), -1)
    concatenate = array_library(x).concatenate
    values: list[NDArray[Any]] = [
        as_numpy(field(concatenate([rows, 0 * rows[:, :1] + float(t)], 1)))
        for t in (0.0, *(tau * np.geomspace(1e-2, 1e4, 15)))
    ]
    return any(not np.array_equal(value, values[0], equal_nan=True) for value in values[1:])


def library_for(rhs: Any, order: str, shape: tuple[int, ...], backend: str | None) -> str:
    """Which backend a field of time belongs to: "numpy", "numba", "torch" or "jax"."""
    if backend is not None:
        return backend
    numba = sys.modules.get("numba")
    if numba is not None and isinstance(rhs, numba.core.dispatcher.Dispatcher):
        return "numba"
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(rhs, torch.nn.Module):
        return "torch"
    if library_of(rhs) in ("jax", "jaxlib"):
        return "jax"
    field = TimedField(rhs, order, shape)
    for state in (np.full((len(shape) + 4, *shape), 0.5), np.full(shape, 0.5)):
        try:
            with np.errstate(all="ignore"):
                answer = field.value(0.5, state)
        except (TypeError, AttributeError):
            continue
        except Exception:  # its author will see the error where it is called in earnest
            continue
        first = answer[0] if isinstance(answer, (tuple, list)) and len(answer) else answer
        return {"torch": "torch", "jax": "jax", "jaxlib": "jax"}.get(library_of(first), "numpy")
    return "torch" if torch is not None else "numpy"


def timed_jacobian(jacobian: Callable[..., Any], field: TimedField) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """The derivative of (f(t, x), 1) by (x, t), from a given one by x; that by t by central differences."""
    given = TimedField(jacobian, field.order, field.state_shape, vectorized=field.vectorized)
    n = field.n

    def matrices(z: NDArray[Any]) -> NDArray[Any]:
        out = np.zeros((len(z), n + 1, n + 1), z.dtype)
        h = 1e-6 * np.maximum(np.abs(z[:, n]), 1.0)
        moved = np.zeros_like(z)
        moved[:, n] = h
        out[:, :, n] = (field(z + moved) - field(z - moved)) / (2 * h[:, None])
        for i, row in enumerate(z):
            x = row[:n].reshape(field.state_shape)
            matrix = given.value(row[n], x[None] if field.vectorized else x)
            out[i, :n, :n] = np.asarray(matrix).reshape(n, n)
        return out

    return matrices
