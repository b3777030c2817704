"""Maps made of NumPy functions, with the Jacobian given or differentiated numerically."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.errors import LyapmapError, MapError, PrecisionError, ShapeError
from lyapmap.core.map import dimension, jacobian_from_jvp
from lyapmap.core.ops import ArrayOps, NumpyOps

Function = Callable[[NDArray[Any]], NDArray[Any]]

COMPLEX_STEP = "complex step"
CENTRAL_DIFFERENCES = "central differences"
GIVEN = "jacobian given"

_IMAGINARY_STEP = 1e-100  # nothing is subtracted, so any step that does not underflow will do
_ADVICE = "write it for a batch of states (rows), or pass vectorized=False"
_ROWS = 4096
"""States that go through the function at once when tangents are taken numerically."""


class NumpyMap:
    """A NumPy function of a batch of states. Built by `wrap_numpy`."""

    def __init__(
        self,
        function: Function,
        state_shape: tuple[int, ...],
        jacobian: Function | None,
        dtype: str,
        provenance: dict[str, Any],
    ) -> None:
        self.state_shape = state_shape
        self.ops: ArrayOps = NumpyOps(dtype)
        self.provenance = provenance
        self._function = function
        self._jacobian = jacobian
        self._n = dimension(state_shape)
        probe = self._probe_states()
        self._check_function(probe)
        if jacobian is not None:
            self.derivative = GIVEN
            self._check_jacobian(probe)
        else:
            self.derivative = COMPLEX_STEP if self._takes_complex_step(probe) else CENTRAL_DIFFERENCES

    def apply(self, x: NDArray[Any]) -> NDArray[Any]:
        self._require(x)
        image: NDArray[Any] = self._call(x)
        return image

    def jvp(self, x: NDArray[Any], v: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        self._require(x)
        self._require(v, "v")
        if self._jacobian is not None:
            return self._call(x), self.jacobian(x) @ v
        rule = self._complex_step if self.derivative == COMPLEX_STEP else self._differences
        # Every direction is one more row for the function; rows go through it in bounded numbers.
        b, n, k = v.shape
        rows = np.repeat(x, k, axis=0)
        directions = np.moveaxis(v, 2, 1).reshape(b * k, n)
        parts = [rule(rows[i : i + _ROWS], directions[i : i + _ROWS]) for i in range(0, b * k, _ROWS)] or [
            np.empty((0, n), x.dtype)
        ]
        tangents = np.concatenate(parts).reshape(b, k, n)
        return self._call(x), np.ascontiguousarray(np.moveaxis(tangents, 1, 2), dtype=x.dtype)

    def jacobian(self, x: NDArray[Any]) -> NDArray[Any]:
        if self._jacobian is None:
            return jacobian_from_jvp(self, x)
        matrices = np.asarray(self._jacobian(x.reshape(-1, *self.state_shape)))
        return matrices.reshape(len(x), self._n, self._n)

    def _call(self, x: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(self._function(x.reshape(-1, *self.state_shape))).reshape(len(x), self._n)

    def _complex_step(self, x: NDArray[Any], v: NDArray[Any]) -> NDArray[Any]:
        """Exact to rounding for analytic functions (W. Squire and G. Trapp 1998)."""
        return self._call(x + 1j * _IMAGINARY_STEP * v).imag / _IMAGINARY_STEP

    def _differences(self, x: NDArray[Any], v: NDArray[Any]) -> NDArray[Any]:
        """Central differences with the step that balances truncation and rounding."""
        size = np.maximum(np.abs(x).max(axis=1, keepdims=True), 1e-3)
        length = np.maximum(np.abs(v).max(axis=1, keepdims=True), np.finfo(x.dtype).tiny)
        h = (np.finfo(x.dtype).eps ** (1 / 3) * size / length).astype(x.dtype)
        ahead, behind = x + h * v, x - h * v
        return (self._call(ahead) - self._call(behind)) / (2 * h)

    def _probe_states(self) -> NDArray[Any]:
        """A few states, their number never n, so that a function of columns shows itself."""
        b = 3 if self._n != 3 else 4
        draws = np.random.default_rng(0).uniform(0.1, 0.9, (b, self._n))
        return draws.astype(self.ops.dtype)

    def _check_function(self, probe: NDArray[Any]) -> None:
        batch = probe.reshape(-1, *self.state_shape)
        image = self._tried(batch)
        if image.shape != batch.shape:
            raise ShapeError(f"function: expected {batch.shape} for {len(batch)} states, got {image.shape}; {_ADVICE}")
        if image.dtype != probe.dtype:
            raise PrecisionError(f"function: expected {probe.dtype} back, got {image.dtype}")
        alone = np.stack([self._tried(batch[i : i + 1]) for i in range(len(batch))])[:, 0]
        if alone.shape != image.shape or not np.allclose(alone, image, rtol=1e-4, atol=1e-6, equal_nan=True):
            raise MapError(f"function: the image of a state depends on the others of its batch; {_ADVICE}")

    def _tried(self, batch: NDArray[Any]) -> NDArray[Any]:
        given = batch.copy()
        try:
            image = np.asarray(self._function(given))
        except LyapmapError:
            raise
        except (TypeError, ValueError, IndexError) as error:
            reason = " ".join(str(error).split())
            raise MapError(f"function: failed on states of shape {batch.shape} ({reason}); {_ADVICE}") from error
        if not np.array_equal(given, batch):
            raise MapError("function: it changes the states it is given; let it work on x.copy()")
        return image

    def _check_jacobian(self, probe: NDArray[Any]) -> None:
        found = np.asarray(self._jacobian(probe.reshape(-1, *self.state_shape)))  # type: ignore[misc]
        wanted = (len(probe), self._n, self._n)
        if found.shape not in (wanted, (len(probe), *self.state_shape, *self.state_shape)):
            raise ShapeError(f"jacobian: expected {wanted} for {len(probe)} states, got {found.shape}")
        if np.result_type(found, probe) != probe.dtype:
            raise PrecisionError(f"jacobian: expected {probe.dtype} back, got {found.dtype}")

    def _takes_complex_step(self, probe: NDArray[Any]) -> bool:
        """Whether the function is analytic as written, judged against central differences."""
        if self.ops.dtype != "float64":
            return False
        rng = np.random.default_rng(1)
        # Also far out, where another branch of the function may rule.
        states = np.concatenate([probe, rng.normal(0, 3, probe.shape)])
        v = rng.standard_normal(states.shape)
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", np.exceptions.ComplexWarning)
            try:
                exact = self._complex_step(states, v)
            except Exception:  # anything at all may go wrong in a function that is not made for complex numbers
                return False
            rough = self._differences(states, v)
        defined = np.isfinite(rough).all(axis=1)  # far out the function may have no value
        exact, size = exact[defined], np.abs(rough[defined])
        close = np.abs(exact - rough[defined]) <= 1e-5 * size + 1e-7 * np.maximum(size.max(axis=1, keepdims=True), 1)
        return bool(defined[: len(probe)].all() and close.all())

    def _require(self, array: NDArray[Any], name: str = "x") -> None:
        if array.ndim != (2 if name == "x" else 3) or array.shape[1] != self._n:
            shape = array.shape
            raise ShapeError(f"{name}: expected {self._n} values per row for {self.state_shape}, got shape {shape}")
        if array.dtype != self.ops.dtype:
            raise PrecisionError(f"{name}: expected {self.ops.dtype}, got {array.dtype}")


def wrap_numpy(
    function: Function,
    *,
    state_shape: tuple[int, ...],
    jacobian: Function | None = None,
    dtype: str = "float64",
    vectorized: bool = True,
    provenance: dict[str, Any] | None = None,
) -> NumpyMap:
    """Make a map of a NumPy function.

    Parameters
    ----------
    function : callable
        Takes states (b, *state_shape) and returns their images; with `vectorized=False` takes one.
    state_shape : tuple of int
    jacobian : callable, optional
        Takes the same and returns (b, n, n), or (n, n) with `vectorized=False`. Without it
        tangents are taken by complex step where the function is analytic as written (exact to
        rounding), else by central differences (about 1e-10); `derivative` says which.
    dtype : "float64" or "float32"
    vectorized : bool
        Whether the functions take a batch.
    provenance : dict, optional

    Returns
    -------
    NumpyMap

    Examples
    --------
    >>> m = wrap_numpy(lambda x: 4 * x * (1 - x), state_shape=(1,))
    >>> m.derivative
    'complex step'
    >>> m.jacobian(np.array([[0.25]]))
    array([[[2.]]])
    """
    shape = tuple(int(s) for s in state_shape)
    if not shape or min(shape) < 1:
        raise ShapeError(f"state_shape: expected positive sizes, got {state_shape}")
    if not callable(function):
        raise MapError(f"function: expected a function, got {type(function).__name__}")
    described = {"map": getattr(function, "__name__", type(function).__name__)} | (provenance or {})
    if not vectorized:
        function = _over_rows(function)
        jacobian = None if jacobian is None else _over_rows(jacobian)
    return NumpyMap(function, shape, jacobian, dtype, described)


def _over_rows(function: Function) -> Function:
    def rows(x: NDArray[Any]) -> NDArray[Any]:
        return np.stack([np.asarray(function(row)) for row in x])

    return rows
