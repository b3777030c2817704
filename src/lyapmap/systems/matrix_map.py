"""Maps that end in a matrix product, x' = M x or x' = M tanh(x), in NumPy or torch."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.errors import LyapmapError, MissingExtraError, PrecisionError, ShapeError
from lyapmap.core.map import TangentMap
from lyapmap.core.ops import ArrayOps, NumpyOps


def matrix_map(
    matrix: NDArray[np.float64], *, tanh: bool, framework: str, dtype: str, device: str | None
) -> TangentMap:
    """A map of the framework asked for."""
    if framework == "numpy":
        if device not in (None, "cpu"):
            raise LyapmapError(f"device: expected 'cpu' with framework='numpy', got {device!r}")
        return MatrixMap(matrix, tanh, dtype)
    if framework == "torch":
        return _torch_map(matrix, tanh, dtype, device)
    raise LyapmapError(f"framework: expected 'numpy' or 'torch', got {framework!r}")


@final
class MatrixMap(TangentMap):
    """x' = M x or M tanh(x) of NumPy arrays; tangents take one matrix product for all trajectories."""

    def __init__(self, matrix: NDArray[np.float64], tanh: bool, dtype: str) -> None:
        self.derivative = "analytic"
        self.ops: ArrayOps = NumpyOps(dtype)
        self.state_shape: tuple[int, ...] = (len(matrix),)
        self.provenance: dict[str, Any] = {}
        self._matrix = matrix.astype(dtype)
        self._tanh = tanh

    def apply(self, x: NDArray[Any]) -> NDArray[Any]:
        self._require(x)
        image: NDArray[Any] = (np.tanh(x) if self._tanh else x) @ self._matrix.T
        return image

    def jvp(self, x: NDArray[Any], v: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        self._require(x)
        b, n, k = v.shape
        if self._tanh:
            active = np.tanh(x)
            v = (1 - active**2)[:, :, None] * v
        else:
            active = x
        # (n, b k): the tangents of all trajectories side by side.
        product = self._matrix @ v.transpose(1, 0, 2).reshape(n, b * k)
        tangents = np.ascontiguousarray(product.reshape(n, b, k).transpose(1, 0, 2))
        return active @ self._matrix.T, tangents

    def jacobian(self, x: NDArray[Any]) -> NDArray[Any]:
        self._require(x)
        slope = 1 - np.tanh(x) ** 2 if self._tanh else np.ones_like(x)
        matrices: NDArray[Any] = self._matrix * slope[:, None, :]
        return matrices

    def _require(self, x: NDArray[Any]) -> None:
        n = self.state_shape[0]
        if x.ndim != 2 or x.shape[1] != n:
            raise ShapeError(f"x: expected {n} values per row for {self.state_shape}, got shape {x.shape}")
        if x.dtype != self.ops.dtype:
            raise PrecisionError(f"x: expected {self.ops.dtype}, got {x.dtype}")


def _torch_map(matrix: NDArray[np.float64], tanh: bool, dtype: str, device: str | None) -> TangentMap:
    try:
        from lyapmap.backends.torch import map as torch_map
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingExtraError("torch", "torch", "framework='torch'") from None
    nn = torch_map.nn
    n = len(matrix)
    layer = nn.Linear(n, n, bias=False, dtype=torch_map.torch.float64).requires_grad_(False)
    layer.weight.copy_(torch_map.torch.from_numpy(matrix))
    network = nn.Sequential(nn.Tanh(), layer) if tanh else nn.Sequential(layer)
    wrapped: TangentMap = torch_map.wrap_torch(network.eval(), state_shape=(n,), dtype=dtype, device=device)
    return wrapped
