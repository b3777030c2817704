"""The map that a TensorFlow function is, with tangents by forward accumulation or, where that fails, by Jacobians."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.backends.keras.ops import TensorFlowOps
from lyapmap.backends.keras.start import tensorflow
from lyapmap.backends.keras.tangents import (
    SUSPECTS,
    NoTangents,
    bytes_per_row,
    forward,
    precision_inside,
    pullbacks,
    pulled_back,
    reason,
    traced,
    unusable,
    without_forward,
)
from lyapmap.core.errors import LyapmapError, MapError, PrecisionError, ShapeError
from lyapmap.core.map import JACOBIAN_CHUNK, TangentMap, dimension
from lyapmap.core.ops import ArrayOps


AGREEMENT = 1e4
"""Roundings, relative to the largest value, within which forward and reverse mode must agree."""
CPU_LAYER_BYTES = 8 * 2**20
"""Size of a layer's tangents up to which a CPU carries rows at once: more fall out of its caches."""
DEFAULT_MEMORY_LIMIT = 2 * 2**30
FORWARD, NONE = "forward mode", "none"
XLA_DIRECTIONS = 16
"""Code compiled by XLA carries a multiple of so many directions; zeros fill up the rest."""
LIVE_TENSORS = 8
"""Tensors of the largest layer that are alive at once while tangents pass through it, about."""


class TensorFlowMap(TangentMap):
    """A TensorFlow function of a batch of states. Users get one from `wrap_tensorflow` or `wrap_keras`.

    Attributes
    ----------
    derivative : str
        "forward mode", or "batch Jacobian (forward mode fails at ...)" where TensorFlow carries no
        tangents, or wrong ones. That is found out when the map is made: u . (J v) of forward mode
        must be (Jᵀ u) . v of reverse mode at random states. "none" where TensorFlow has no
        derivative at all: then `jvp` and `jacobian` raise `MapError`.
    roundoff : float
        Rounding of the coarsest precision inside.
    steps_inside : bool
        Whether something inside rounds, compares, or is not seen by TensorFlow.
    """

    def __init__(
        self,
        function: Callable[[Tensor], Tensor],
        state_shape: tuple[int, ...],
        dtype: str,
        device: str,
        *,
        xla: bool,
        memory_limit: int,
        provenance: dict[str, Any],
    ) -> None:
        self._tf = tensorflow()
        self.state_shape = state_shape
        self.ops: ArrayOps = TensorFlowOps(dtype, device)
        self.provenance = provenance | ({"compiler": "XLA"} if xla else {})
        self.derivative = FORWARD
        self._function = function
        self._n = dimension(state_shape)
        self._xla = xla
        self._require_map_of_states()
        try:
            self._apply = self._traced(self._image, 2)
        except Exception as error:
            raise unusable(error, "trace it") from error
        self._require_same_when_traced()
        self._rows = self._rows_at_once(memory_limit)
        self.roundoff, self.steps_inside = precision_inside(self._apply.graph)
        self._pull: Any = None
        self._looped = False
        self._carry = self._checked_forward()

    def apply(self, x: Tensor) -> Tensor:
        self._require(x, "x")
        return self._joined([self._apply(rows) for rows in self._split(x, self._rows)])

    def jvp(self, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        self._require(x, "x")
        self._require(v, "v")
        k = int(v.shape[2])
        if k == 0:
            return self.apply(x), v
        if self._carry is None:
            return self.apply(x), self._by_jacobian(x, v)  # and its error, where there is no derivative
        if self._xla and k % XLA_DIRECTIONS:
            # Every shape is compiled anew, which takes seconds.
            more = self._tf.zeros((v.shape[0], self._n, -k % XLA_DIRECTIONS), self.ops.dtype)
            image, carried = self.jvp(x, self._tf.concat([v, more], 2))
            return image, carried[:, :, :k]
        directions = min(k, self._rows)
        states = max(1, self._rows // directions)
        images, tangents = [], []
        for first in range(0, int(x.shape[0]), states):
            rows = x[first : first + states]
            moved = v[first : first + states]
            passes = [self._carry(rows, moved[:, :, d : d + directions]) for d in range(0, k, directions)]
            images.append(passes[0][0])
            tangents.append(self._joined([t for _, t in passes], 2))
        image, carried = self._joined(images), self._joined(tangents)
        if not np.isfinite(float(self._tf.reduce_sum(carried))):
            carried = self._without_gaps(x, v, image, carried)
        return image, carried

    def _without_gaps(self, x: Tensor, v: Tensor, image: Tensor, tangents: Tensor) -> Tensor:
        """Tangents that are not finite where states, directions and images are, by reverse mode if that knows them."""
        ops = self.ops
        if (ops.all_finite(tangents) | ~ops.all_finite(image) | ~ops.all_finite(v)).all():
            return tangents
        found = self._by_jacobian(x, v)
        if not ops.all_finite(found)[ops.all_finite(image)].all():
            return tangents
        self._carry = None
        self.derivative = "batch Jacobian (forward mode fails at some states, where it is not finite)"
        return found

    def jacobian(self, x: Tensor) -> Tensor:
        """By reverse mode, independent of `jvp`."""
        self._require(x, "x")
        if self.derivative == NONE:
            raise MapError(
                "function: its image does not depend on the state as far as TensorFlow can see; it must not pass "
                "through NumPy, whole numbers or tf.stop_gradient"
            )
        found = self._jacobian(x)
        if not self._looped and self._has_gaps(found, x):
            self._looped, self._pull = True, None
            found = self._jacobian(x)
        return found

    def other_derivative(self, reason: str) -> bool:
        """Turn to Jacobians by reverse mode; False where that has been tried."""
        if self._carry is None:
            return False
        self._carry = None
        self.derivative = f"batch Jacobian ({reason})"
        return True

    def _jacobian(self, x: Tensor) -> Tensor:
        tf = self._tf
        if self._pull is None:
            self._pull = self._traced_pull()
        unit = tf.eye(self._n, dtype=self.ops.dtype)
        chunks = self._split(unit, JACOBIAN_CHUNK)
        states = self._split(x, max(1, self._rows // JACOBIAN_CHUNK))
        return self._joined([self._joined([self._pull(rows, u) for u in chunks], 1) for rows in states])

    def _traced_pull(self) -> Any:
        try:
            return self._traced(pullbacks(self._image, looped=self._looped), 2, 2)
        except Exception as error:
            if self._looped:
                raise unusable(error, "differentiate it") from error
            self._looped = True
            return self._traced_pull()

    def _has_gaps(self, jacobians: Tensor, x: Tensor) -> bool:
        """Whether derivatives are not finite where the images are."""
        fine = self.ops.all_finite(jacobians)
        return not fine.all() and bool((~fine & self.ops.all_finite(self.apply(x))).any())

    def _by_jacobian(self, x: Tensor, v: Tensor) -> Tensor:
        return self._tf.matmul(self.jacobian(x), v)

    def _checked_forward(self) -> Any:
        """The function that carries tangents, if what it gives is what reverse mode gives; else None."""
        name = without_forward(self._apply.graph, SUSPECTS)
        x, u, v, pulled = self._probe()
        if pulled is None:
            self.derivative = NONE
            return None
        try:
            if without_forward(self._apply.graph):
                raise NoTangents
            carry = self._traced(forward(self._image), 2, 3)
            if self._same(np.einsum("bi,bik->bk", u, self.ops.to_numpy(carry(x, self.ops.from_numpy(v))[1])), pulled):
                return carry
            name = name or "a layer whose tangents are not those of reverse mode"
        except NoTangents:
            name = name or "a layer that gives none"
        except (self._tf.errors.ResourceExhaustedError, MemoryError):
            raise
        except Exception as error:
            name = name or reason(error)
        self.derivative = f"batch Jacobian (forward mode fails at {name})"
        return None

    def _probe(self) -> tuple[Tensor, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64] | None]:
        """States where the function is defined, random u and v, and (Jᵀ u) . v by reverse mode if there is any."""
        rng, shape = np.random.default_rng(0), (2, self._n)
        for low, high in ((-1.0, 1.0), (0.0, 1.0), (0.25, 1.25), (1.0, 2.0), (-2.0, -1.0)):
            x = self.ops.from_numpy(rng.uniform(low, high, shape))
            if self.ops.all_finite(self._apply(x)).all():
                break
        else:
            raise MapError("function: gives no finite image of random states between -2 and 2, where it is checked")
        u, v = rng.standard_normal(shape), rng.standard_normal((*shape, 2))
        try:
            with self._tf.device(self.ops.device):
                pulled = pulled_back(self._image, x, self.ops.from_numpy(u))
        except Exception as error:
            raise unusable(error, "differentiate it") from error
        if pulled is None:
            return x, u, v, None
        return x, u, v, np.einsum("bi,bik->bk", self.ops.to_numpy(pulled).astype(np.float64), v)

    def _same(self, ours: Any, theirs: Any) -> bool:
        tolerance = AGREEMENT * np.finfo(self.ops.dtype).eps
        return bool(np.linalg.norm(ours - theirs) <= tolerance * np.linalg.norm(theirs))

    def _image(self, x: Tensor) -> Tensor:
        return self._tf.reshape(self._function(self._tf.reshape(x, (-1, *self.state_shape))), (-1, self._n))

    def _traced(self, function: Callable[..., Any], *axes: int) -> Any:
        return traced(function, self._n, self.ops.dtype, self.ops.device, axes=axes, xla=self._xla)

    def _split(self, array: Tensor, rows: int) -> list[Tensor]:
        count = int(array.shape[0])
        return [array] if count <= rows else [array[i : i + rows] for i in range(0, count, rows)]

    def _joined(self, parts: list[Tensor], axis: int = 0) -> Tensor:
        return parts[0] if len(parts) == 1 else self._tf.concat(parts, axis)

    def _require(self, array: Any, name: str) -> None:
        if not self._tf.is_tensor(array):
            raise PrecisionError(f"{name}: expected a TensorFlow tensor, got {type(array).__name__}")
        if array.dtype.name != self.ops.dtype:
            raise PrecisionError(
                f"{name}: expected {self.ops.dtype}, got {array.dtype.name}; wrap the map with the other dtype"
            )
        shape = tuple(array.shape)
        if len(shape) != (2 if name == "x" else 3) or shape[1] != self._n:
            raise ShapeError(f"{name}: expected {self._n} values per row for {self.state_shape}, got shape {shape}")

    def _require_map_of_states(self) -> None:
        """Calls the function twice on the same states, and looks at what comes back."""
        tf = self._tf
        with tf.device(self.ops.device):
            probe = tf.fill((2, *self.state_shape), tf.constant(0.5, self.ops.dtype))
            try:
                y, again = self._function(probe), self._function(probe)
            except tf.errors.ResourceExhaustedError:
                raise
            except LyapmapError:
                raise
            except Exception as error:
                raise MapError(
                    f"function: failed on {self.ops.dtype} states of shape {tuple(probe.shape)}: {reason(error)}"
                ) from error
        if not tf.is_tensor(y):
            raise MapError(f"function: expected it to return a tensor, got {type(y).__name__}")
        if tuple(y.shape) != tuple(probe.shape):
            raise ShapeError(
                f"function: expected {tuple(probe.shape)} for two states of shape {self.state_shape}, "
                f"got {tuple(y.shape)}; only a map of a space to itself can be iterated"
            )
        if y.dtype.name != self.ops.dtype:
            raise PrecisionError(f"function: expected {self.ops.dtype} back, got {y.dtype.name}")
        if not np.array_equal(y.numpy(), again.numpy(), equal_nan=True):
            raise MapError(
                "function: two calls with the same states differ; switch dropout and noise off "
                "(lyapmap.noisy adds noise that can be repeated)"
            )

    def _require_same_when_traced(self) -> None:
        """What a function does in Python is done once, when it is traced."""
        x = self.ops.from_numpy(np.full((2, self._n), 0.5))
        with self._tf.device(self.ops.device):
            eager, compiled = self.ops.to_numpy(self._image(x)), self.ops.to_numpy(self._apply(x))
        tolerance = AGREEMENT * float(np.finfo(self.ops.dtype).eps)
        size = np.abs(np.nan_to_num(eager)).max(initial=0)
        if not np.allclose(eager, compiled, rtol=tolerance, atol=tolerance * size, equal_nan=True):
            raise MapError(
                "function: its image does not depend on the state in the same way when TensorFlow traces it and when "
                "it is called; it must not pass through NumPy, or remember in Python"
            )

    def _rows_at_once(self, memory_limit: int) -> int:
        largest = bytes_per_row(self._apply.graph, np.dtype(self.ops.dtype).itemsize)
        rows = max(1, int(memory_limit / (largest * LIVE_TENSORS)))
        if self.ops.device == "cpu":
            rows = min(rows, max(32, int(2 * CPU_LAYER_BYTES / largest)))
        return rows


def checked_options(state_shape: tuple[int, ...], memory_limit: int) -> None:
    """Complain about sizes that cannot be."""
    if not state_shape or min(state_shape) < 1:
        raise ShapeError(f"state_shape: expected positive sizes, got {state_shape}")
    if memory_limit < 1:
        raise LyapmapError(f"memory_limit: expected a positive number of bytes, got {memory_limit}")


def dtype_name(dtype: Any) -> str | None:
    """ "float32" or "float64" for what names it in any framework; None for None."""
    if dtype is None:
        return None
    name = str(getattr(dtype, "name", dtype)).rpartition(".")[2]
    if name not in ("float32", "float64"):
        raise PrecisionError(f"dtype: expected 'float32' or 'float64', got {name!r}")
    return name
