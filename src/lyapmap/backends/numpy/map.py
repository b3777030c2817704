"""Maps made of NumPy functions, with the Jacobian given, or derivatives taken on the way."""

from __future__ import annotations

import tracemalloc
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.backends.numpy.compiled import CompiledRun, Twin, call_of, own_function
from lyapmap.backends.numpy.dual import ANALYTIC, DualArray, noting, tangents_of
from lyapmap.backends.numpy.dual_arrays import Dual
from lyapmap.backends.numpy.dual_modules import fit_for
from lyapmap.backends.numpy.dual_values import as_dual
from lyapmap.backends.outputs import array_in, is_array
from lyapmap.core.arguments import whole
from lyapmap.core.demand import PASSING
from lyapmap.core.differences import (
    CENTRAL_DIFFERENCES,
    UncertainDifferences,
    sizes,
    slopes_along,
    tangents_by_differences,
)
from lyapmap.core.errors import LyapmapError, MapError, PrecisionError, ShapeError
from lyapmap.core.flows.stiff import Rodas4
from lyapmap.core.map import TangentMap, dimension
from lyapmap.core.ops import ArrayOps, NumpyOps

Function = Callable[[NDArray[Any]], NDArray[Any]]

DUAL_NUMBERS = "dual numbers"
COMPLEX_STEP = "complex step"
GIVEN = "jacobian given"

_IMAGINARY_STEP = 1e-100  # nothing is subtracted, so any step that does not underflow will do
_SMALLEST_TANGENT = 1e-150  # below, imaginary parts come near to underflow
_ADVICE = "write it for a batch of states (rows), or pass vectorized=False"
_ROWS = 4096
"""States that go through the function at once when tangents are taken numerically."""
DEFAULT_MEMORY_LIMIT = 2 * 2**30
MEASURED_VALUES, MEASURED_ROWS = 2**12, 64
"""Most values, and most states, with which it is seen what the function holds of each: they show beside what Python
holds itself, and take no time."""


class NumpyMap(TangentMap):
    """A NumPy function of a batch of states. Built by `wrap_numpy`."""

    def __init__(
        self,
        function: Function,
        state_shape: tuple[int, ...],
        jacobian: Function | None,
        dtype: str,
        provenance: dict[str, Any],
        twin: Twin,
        memory_limit: int = DEFAULT_MEMORY_LIMIT,
    ) -> None:
        self.twin = twin
        self._memory_limit = memory_limit
        self.state_shape = state_shape
        self.ops: ArrayOps = NumpyOps(dtype)
        self.provenance = provenance
        self._function = function
        self._jacobian = jacobian
        self._n = dimension(state_shape)
        self._fitted = False  # whether dual numbers need a copy of the function that sees modules made for them
        self._uncertain = UncertainDifferences()
        probe = self._probe_states()
        self._check_function(probe)
        if jacobian is not None:
            self.derivative = GIVEN
            self._check_jacobian(probe)
        else:
            self.derivative = self._way(probe)
        self.row_bytes = self._bytes_of_row()
        self.rows_at_once = max(1, int(memory_limit / self.row_bytes))

    def apply(self, x: NDArray[Any]) -> NDArray[Any]:
        self._require(x)
        if len(x) <= self.rows_at_once:
            return self._call(x)
        rows = self.rows_at_once
        return np.concatenate([self._call(x[i : i + rows]) for i in range(0, len(x), rows)])

    def jvp(self, x: NDArray[Any], v: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        self._require(x)
        self._require(v, "v")
        row = self.row_bytes * (1 + v.shape[2])
        if self._jacobian is not None:
            row += x.itemsize * self._n**2
        rows = max(1, int(self._memory_limit / row))
        if len(x) <= rows:
            return self._carried(x, v)
        parts = [self._carried(x[i : i + rows], v[i : i + rows]) for i in range(0, len(x), rows)]
        return np.concatenate([image for image, _ in parts]), np.concatenate([tangents for _, tangents in parts])

    def _carried(self, x: NDArray[Any], v: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        if self._jacobian is not None:
            return self._call(x), self.jacobian(x) @ v
        k = v.shape[2]
        if k == 0:
            return self._call(x), np.empty(v.shape, x.dtype)
        if self.derivative == COMPLEX_STEP:
            return self._call(x), self._by_complex_step(x, v)
        if self.derivative == DUAL_NUMBERS:
            rows = max(1, _ROWS // k)
            parts = [self._by_dual_numbers(x[i : i + rows], v[i : i + rows]) for i in range(0, len(x), rows)]
            if len(parts) == 1:
                return parts[0]
            if parts:
                return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
        return self._call(x), self._by_differences(x, v)

    def jacobian(self, x: NDArray[Any]) -> NDArray[Any]:
        if self._jacobian is None:
            return super().jacobian(x)
        matrices = np.asarray(self._jacobian(x.reshape(-1, *self.state_shape)))
        return matrices.reshape(len(x), self._n, self._n)

    def _bytes_of_row(self) -> float:
        """Bytes that one state takes within the function, from what two numbers of states do."""
        least = float(self.ops.from_numpy(np.zeros(1)).itemsize * self._n * PASSING)
        if tracemalloc.is_tracing():  # somebody else is looking
            return least
        few, many = 1, 1 + max(1, min(MEASURED_ROWS, MEASURED_VALUES // self._n))
        peaks = []
        with suppress(Exception), np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for rows in (few, many):
                states = self._probe_states()[:1].repeat(rows, axis=0)
                tracemalloc.start()
                try:
                    self._call(states)
                    peaks.append(tracemalloc.get_traced_memory()[1])
                finally:
                    tracemalloc.stop()
        return max(least, (peaks[1] - peaks[0]) / (many - few)) if len(peaks) == 2 else least

    def along(self, tau: float, scheme: Any) -> TangentMap | None:
        if isinstance(scheme, Rodas4) or self.twin.wanted is False or self.ops.dtype != "float64":
            return None
        from lyapmap.backends.numpy.flow import NumpyFlow  # which stands on this file

        return NumpyFlow(self, self.twin, tau, scheme)

    def for_run(self, x: NDArray[Any], k: int, n_steps: int) -> TangentMap:
        if self.ops.dtype != "float64" or not self.twin.pays(n_steps):
            return self
        made = self.twin.now(x, k, self._call, lambda states, v: self.jvp(states, v)[1])
        if made is not None:
            return CompiledRun(self, made)
        self.provenance["compiled"] = f"no: {self.twin.reason}"
        return self

    def other_derivative(self, reason: str) -> bool:
        if self.derivative not in (COMPLEX_STEP, DUAL_NUMBERS):
            return False
        self.derivative = f"{CENTRAL_DIFFERENCES} ({reason})"
        return True

    def _call(self, x: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(self._function(x.reshape(-1, *self.state_shape))).reshape(len(x), self._n)

    def _by_complex_step(self, x: NDArray[Any], v: NDArray[Any]) -> NDArray[Any]:
        """Exact to rounding for analytic functions (W. Squire and G. Trapp 1998)."""
        # Every direction is one more row for the function; rows go through it in bounded numbers.
        b, n, k = v.shape
        states = x.repeat(k, axis=0) + (1j * _IMAGINARY_STEP) * v.transpose(0, 2, 1).reshape(b * k, n)
        parts = [self._call(states[i : i + _ROWS]).imag for i in range(0, b * k, _ROWS)] or [np.empty((0, n))]
        imaginary = parts[0] if len(parts) == 1 else np.concatenate(parts)
        tangents = np.ascontiguousarray((imaginary / _IMAGINARY_STEP).reshape(b, k, n).transpose(0, 2, 1))
        size = np.abs(tangents).max(axis=1)
        if size.size and not (size.min() > _SMALLEST_TANGENT and size.max() < np.inf):
            # Out of the range of the step, or zero indeed.
            rows = np.flatnonzero(~((size > _SMALLEST_TANGENT) & (size < np.inf)).all(axis=1))
            tangents[rows] = self._by_dual_numbers(x[rows], v[rows])[1]
        return tangents

    def _by_dual_numbers(self, x: NDArray[Any], v: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Images and tangents in one pass, exact to rounding for any function that dual numbers go through."""
        try:
            image, tangents = self._dual(x, v)
        except Exception:  # a branch that was not seen before may hold anything
            return self._call(x), self._by_differences(x, v)
        finite = np.isfinite(tangents)
        if not finite.all():  # infinity times zero, as of 1 / (1 + exp(800))
            rows = np.flatnonzero(~finite.all(axis=(1, 2)) & np.isfinite(image).all(axis=1))
            if rows.size:
                tangents[rows] = self._by_differences(x[rows], v[rows])
        return image, tangents

    def _dual(
        self, x: NDArray[Any], v: NDArray[Any], kind: type[Dual] = DualArray
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        b, n, k = v.shape
        batch = (b, *self.state_shape)
        directions = np.ascontiguousarray(v.transpose(2, 0, 1)).reshape(k, *batch)
        with np.errstate(all="ignore"):
            function = fit_for(kind, k, self._function) if self._fitted else self._function
            image, tangents = tangents_of(function, x.reshape(batch), directions, kind)
        if image.size != x.size or len(image) != b:
            raise ShapeError(f"function: expected {batch} back, got {image.shape}")
        ordered = np.ascontiguousarray(tangents.reshape(k, b, n).transpose(1, 2, 0), dtype=x.dtype)
        return image.reshape(b, n).astype(x.dtype, copy=False), ordered

    def _by_differences(self, x: NDArray[Any], v: NDArray[Any]) -> NDArray[Any]:
        """Differences that stay on one side of jumps; those that cannot tell are counted."""
        slopes, sure = tangents_by_differences(self._call, x, v)
        self._uncertain.add(slopes, sure, self.provenance)
        return slopes

    def _probe_states(self) -> NDArray[Any]:
        """A few states, their number never n, so that a function of columns shows itself."""
        b = 3 if self._n != 3 else 4
        draws = np.random.default_rng(0).uniform(0.1, 0.9, (b, self._n))
        return draws.astype(self.ops.dtype)

    def _check_function(self, probe: NDArray[Any]) -> None:
        states = probe.reshape(-1, *self.state_shape)
        for batch in (states, states[:1]):
            image = self._tried(batch)
            if image.shape != batch.shape:
                expected = f"{batch.shape} for {len(batch)} state{'s' * (len(batch) > 1)}"
                raise ShapeError(f"function: expected {expected}, got {image.shape}; {_ADVICE}")
            if image.dtype != probe.dtype:
                raise PrecisionError(f"function: expected {probe.dtype} back, got {image.dtype}")

    def _tried(self, batch: NDArray[Any]) -> NDArray[Any]:
        try:
            answer = self._function(batch.copy())
            if isinstance(answer, Mapping) or (
                isinstance(answer, tuple) and any(np.shape(part) == batch.shape for part in answer if is_array(part))
            ):
                array_in(answer)  # says which parts there are, if several could be the next state
                raise MapError(
                    f"function: it returns a {type(answer).__name__}; say which part of it is the next state, "
                    f"such as output={next(iter(answer if isinstance(answer, Mapping) else range(len(answer))), 0)!r}"
                )
            image = np.asarray(answer)
        except LyapmapError:
            raise
        except Exception as error:  # whatever a user's code raises is told in one line
            reason = " ".join(str(error).split()) or type(error).__name__
            raise MapError(f"function: failed on states of shape {batch.shape} ({reason}); {_ADVICE}") from error
        return image

    def _check_jacobian(self, probe: NDArray[Any]) -> None:
        matrices = np.asarray(self._jacobian(probe.reshape(-1, *self.state_shape)))  # type: ignore[misc]
        wanted = (len(probe), self._n, self._n)
        if matrices.shape not in (wanted, (len(probe), *self.state_shape, *self.state_shape)):
            raise ShapeError(f"jacobian: expected {wanted} for {len(probe)} states, got {matrices.shape}")
        if np.result_type(matrices, probe) != probe.dtype:
            raise PrecisionError(f"jacobian: expected {probe.dtype} back, got {matrices.dtype}")

    def _way(self, probe: NDArray[Any]) -> str:
        """How tangents are taken: by the quickest way that is exact at every state, held against differences."""
        rng = np.random.default_rng(1)
        # Also far out, where another branch of the function may rule.
        states = np.concatenate([probe, rng.uniform(-1, 1, probe.shape), rng.normal(0, 3, probe.shape)])
        states = states.astype(probe.dtype)
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                image = self._call(states)
            except Exception:  # it need not have a value far out
                states = probe
                image = self._call(states)
            v = rng.standard_normal((*states.shape, 1)).astype(states.dtype)
            kind, notes = noting()
            for self._fitted in (False, True):
                with suppress(Exception):  # anything at all may go wrong in a function not made for such numbers
                    primal, exact = self._dual(states, v, kind)
                    break
            else:
                return CENTRAL_DIFFERENCES
            eps = float(np.finfo(states.dtype).eps)
            if not np.allclose(primal, image, rtol=1e4 * eps, atol=1e3 * eps, equal_nan=True):
                return CENTRAL_DIFFERENCES
            longest = np.abs(v[:, :, 0] / sizes(states)).max(axis=1, keepdims=True)
            try:
                rough, sure = slopes_along(self._call, states, v[:, :, 0] / longest)
            except Exception:  # nor need it take so many states: `wrap` looks at that
                return CENTRAL_DIFFERENCES
            if not _agree(exact[:, :, 0], rough * longest, sure, 0.02 if eps > 1e-10 else 1e-4):
                return CENTRAL_DIFFERENCES
            if self.ops.dtype != "float64" or self._fitted or not notes <= ANALYTIC:
                return DUAL_NUMBERS
            try:
                stepped = self._call(states + 1j * _IMAGINARY_STEP * v[:, :, 0]).imag / _IMAGINARY_STEP
            except Exception:  # nor need it take complex numbers
                return DUAL_NUMBERS
        finite = np.isfinite(exact).all(axis=(1, 2)) & np.isfinite(image).all(axis=1)
        close = np.allclose(stepped[finite], exact[finite, :, 0], rtol=1e-10, atol=1e-120)
        return COMPLEX_STEP if close else DUAL_NUMBERS

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
    compile: bool | None = None,  # noqa: A002  (what users will look for)
    memory_limit: int = DEFAULT_MEMORY_LIMIT,
) -> NumpyMap:
    """Make a map of a NumPy function.

    Parameters
    ----------
    function : callable
        Takes states (b, *state_shape) and returns their images; with `vectorized=False` takes one.
    state_shape : tuple of int
    jacobian : callable, optional
        Takes the same and returns (b, n, n), or (n, n) with `vectorized=False`. Without it
        tangents are exact to rounding: by complex steps where the function is arithmetic and
        analytic functions alone, else by dual numbers, which know `%`, `floor`, `where`,
        comparisons and branches. Where neither goes through (values copied into arrays of plain
        numbers, `math`, compiled code), central differences are taken, and those of one side
        beside a jump; `derivative` says which.
    dtype : "float64" or "float32"
    vectorized : bool
        Whether the functions take a batch.
    provenance : dict, optional
    compile : bool, optional
        Whether long runs are carried by a compiled twin of the function, where it has one (see
        docs/frameworks.md): by default where they are long enough to pay for the compilation,
        never with False, always with True.
    memory_limit : int
        Bytes for one evaluation with tangents; states are taken in parts that stay within it.

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
    twin = Twin(
        own_function(function),
        call_of(function, shape, vectorized=vectorized),
        dimension(shape),
        branches=not vectorized,
        wanted=compile,
    )
    if not vectorized:
        function = _over_rows(function)
        jacobian = None if jacobian is None else _over_rows(jacobian)
    limit = whole("memory_limit", memory_limit, 1)
    return NumpyMap(function, shape, jacobian, dtype, described, twin, limit)


def _over_rows(function: Function) -> Function:
    def rows(x: NDArray[Any]) -> Any:
        if isinstance(x, Dual):
            return np.stack([as_dual(type(x), function(row), len(x.tangent)) for row in x])
        return np.stack([np.asarray(function(row)) for row in x])

    return rows


def _agree(exact: NDArray[Any], rough: NDArray[Any], sure: NDArray[np.bool_], tolerance: float) -> bool:
    """Whether derivatives are those of differences, at most of the states where these can tell."""
    comparable = sure & np.isfinite(rough).all(axis=1)
    # An image that does not move at all, as that of 1e300 x % 1, has lost what moves it to rounding.
    comparable &= rough.any(axis=1)
    size = np.maximum(np.abs(rough).max(axis=1, keepdims=True), 1e-3)
    close = (np.abs(exact - rough) <= tolerance * size).all(axis=1)
    return not comparable.any() or bool(close[comparable].mean() > 0.5)
