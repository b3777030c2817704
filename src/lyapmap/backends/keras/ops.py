"""The array primitives for TensorFlow's tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.backends.keras.start import tensorflow
from lyapmap.core.errors import LyapmapError, PrecisionError
from lyapmap.core.ops import ArrayOps

Tensor = Any
"""A tensor of TensorFlow."""


class TensorFlowOps(ArrayOps):
    """`ArrayOps` of TensorFlow's eager tensors.

    Parameters
    ----------
    dtype : "float32" or "float64"
    device : str
        "cpu", "gpu:0" ...
    """

    def __init__(self, dtype: str, device: str) -> None:
        if dtype not in ("float32", "float64"):
            raise PrecisionError(f"dtype: expected 'float32' or 'float64', got {dtype!r}")
        self._tf = tensorflow()
        self.dtype = dtype
        self.device = device
        self.library = f"tensorflow {self._tf.__version__}"

    def from_numpy(self, array: NDArray[Any], dtype: str | None = None) -> Tensor:
        with self._tf.device(self.device):
            return self._tf.constant(np.ascontiguousarray(array, dtype=dtype or self.dtype))

    def to_numpy(self, array: Tensor) -> NDArray[Any]:
        host: NDArray[Any] = array.numpy()
        return host

    def cast(self, array: Tensor, dtype: str) -> Tensor:
        return self._tf.cast(array, dtype)

    def qr(self, frame: Tensor) -> tuple[Tensor, Tensor]:
        if self.device != "cpu":
            q, r = self._tf.linalg.qr(frame)
            return q, r
        # LAPACK through NumPy: TensorFlow's own takes six times as long on a CPU.
        host_q, host_r = np.linalg.qr(frame.numpy())
        return self._tf.constant(host_q), self._tf.constant(host_r)

    def log_abs_diagonal(self, r: Tensor) -> NDArray[np.float64]:
        diagonal = np.abs(np.diagonal(r.numpy(), axis1=-2, axis2=-1)).astype(np.float64)
        with np.errstate(divide="ignore"):
            logs: NDArray[np.float64] = np.log(diagonal)
        return logs

    def matmul(self, a: Tensor, b: Tensor) -> Tensor:
        return self._tf.matmul(a, b)

    def transpose(self, a: Tensor) -> Tensor:
        return self._tf.linalg.matrix_transpose(a)

    def concatenate(self, arrays: list[Tensor], axis: int) -> Tensor:
        return self._tf.concat(arrays, axis)

    def take(self, array: Tensor, rows: NDArray[np.int64]) -> Tensor:
        return self._tf.gather(array, rows)

    def norm(self, array: Tensor) -> NDArray[np.float64]:
        flat = array.numpy().reshape(len(array), -1).astype(np.float64)
        norms: NDArray[np.float64] = np.sqrt(np.einsum("bi,bi->b", flat, flat))
        return norms

    def all_finite(self, array: Tensor) -> NDArray[np.bool_]:
        finite: NDArray[np.bool_] = np.isfinite(array.numpy()).reshape(len(array), -1).all(axis=1)
        return finite

    def rows_equal(self, a: Tensor, b: Tensor) -> NDArray[np.bool_]:
        equal: NDArray[np.bool_] = (a.numpy() == b.numpy()).reshape(len(a), -1).all(axis=1)
        return equal

    def copy(self, array: Tensor) -> Tensor:
        return self._tf.identity(array)

    def clip(self, array: Tensor, low: float, high: float) -> Tensor:
        return self._tf.clip_by_value(array, low, high)

    def zeroed(self, array: Tensor, where: Tensor) -> Tensor:
        return self._tf.where(where, self._tf.zeros((), array.dtype), array)


def resolved_device(device: str | None) -> str:
    """Name of a device that is there: the one asked for, else the first GPU, else the CPU.

    Raises
    ------
    LyapmapError
        If there is no such device.
    """
    tf = tensorflow()
    found = [d.name.removeprefix("/device:").lower() for d in tf.config.list_logical_devices()]
    found = ["cpu" if name == "cpu:0" else name for name in found if name.startswith(("cpu", "gpu", "tpu"))]
    if device is None:
        return next((name for name in found if name.startswith("gpu")), "cpu")
    name = str(device).lower().removeprefix("/").removeprefix("device:")
    name = {"cpu:0": "cpu", "gpu": "gpu:0", "cuda": "gpu:0"}.get(name, name.replace("cuda:", "gpu:"))
    if name not in found:
        raise LyapmapError(f"device: expected one of {', '.join(found)}, got {device!r}")
    return name
