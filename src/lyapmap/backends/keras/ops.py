"""The array primitives for TensorFlow's tensors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.backends.keras.start import keras, tensorflow
from lyapmap.core.errors import LyapmapError, MapError, PrecisionError
from lyapmap.core.map import TangentMap, dimension
from lyapmap.core.ops import ArrayLibrary, ArrayOps

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

    def reshape(self, array: Tensor, shape: tuple[int, ...]) -> Tensor:
        return self._tf.reshape(array, shape)


def library_named(name: str) -> ArrayLibrary:
    """Functions of tensors of "tensorflow", or of those that stand for any of Keras' backends."""
    if name == "tensorflow":
        tf = tensorflow()

        def repeated(array: Any, rows: Any) -> Any:
            tensor = tf.convert_to_tensor(array)
            tensor = tf.cast(tensor, rows.dtype) if tensor.dtype.is_floating else tensor
            return tf.broadcast_to(tensor, tf.concat([tf.shape(rows)[:1], tf.shape(tensor)], 0))

        def whole(array: Any) -> Any:
            return tf.cast(tf.round(array), tf.int64)

        def parts_of(array: Any) -> tuple[Any, Any]:
            return tf.math.real(array), tf.math.imag(array)

        return ArrayLibrary(
            tf.reshape, tf.concat, tf.stack, repeated=repeated, whole=whole, complex_of=tf.complex, parts_of=parts_of
        )
    ops = keras().ops

    def repeated_by_keras(array: Any, rows: Any) -> Any:
        tensor = ops.convert_to_tensor(array)
        dtype = rows.dtype if "float" in str(tensor.dtype) else tensor.dtype
        # The number of rows may not be known yet.
        first = ops.reshape(rows, (-1, math.prod(rows.shape[1:])))[:, :1]
        column = ops.reshape(ops.zeros_like(first), (-1, *(1 for _ in tensor.shape)))
        return ops.cast(column, dtype) + ops.cast(tensor, dtype)

    def whole_by_keras(array: Any) -> Any:
        return ops.cast(ops.round(array), "int32")

    return ArrayLibrary(ops.reshape, ops.concatenate, ops.stack, repeated=repeated_by_keras, whole=whole_by_keras)


def resolved_device(device: str | None) -> str:
    """Name of a device that is there: the one asked for, else the first GPU, else the CPU.

    Raises
    ------
    LyapmapError
        If there is no such device.
    """
    tf = tensorflow()
    devices = [d.name.removeprefix("/device:").lower() for d in tf.config.list_logical_devices()]
    devices = ["cpu" if name == "cpu:0" else name for name in devices if name.startswith(("cpu", "gpu", "tpu"))]
    if device is None:
        return next((name for name in devices if name.startswith("gpu")), "cpu")
    name = str(device).lower().removeprefix("/").removeprefix("device:")
    name = {"cpu:0": "cpu", "gpu": "gpu:0", "cuda": "gpu:0"}.get(name, name.replace("cuda:", "gpu:"))
    if name not in devices:
        raise LyapmapError(f"device: expected one of {', '.join(devices)}, got {device!r}")
    return name


CHANGES = (1e-12, 1e-11, 1e-10)
"""Changes of a state that float64 resolves and float32 does not."""
VISIBLE = 0.02
"""Relative error up to which such a change must appear in the image as the derivative says."""


def require_float64(
    tangent_map: TangentMap,
    suspect: Callable[[NDArray[np.float64]], str] | None = None,
    mend: str = "mend it there, or take dtype='float32'",
) -> None:
    """Refuse a map of float64 in whose images changes of a state by 1e-12 are lost.

    `suspect` is asked, with states, which part of the map it is.

    Raises
    ------
    PrecisionError
    """
    ops, n = tangent_map.ops, dimension(tangent_map.state_shape)
    rng = np.random.default_rng(0)
    x, v = rng.uniform(0.25, 0.75, (2, n)), rng.standard_normal((2, n))

    def images(states: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(ops.to_numpy(tangent_map.apply(ops.from_numpy(states))), np.float64)

    # By differences where there is no derivative, or a wrong one: that is not what is looked at here.
    slope = (images(x + 1e-5 * v) - images(x - 1e-5 * v)) / 2e-5
    try:
        tangents = ops.to_numpy(tangent_map.jvp(ops.from_numpy(x), ops.from_numpy(v[:, :, None]))[1])[:, :, 0]
    except MapError:
        tangents = slope
    if np.isfinite(tangents).all() and not any(_seen(images, x, v, moved, VISIBLE) for moved in (tangents, slope)):
        named = suspect(x) if suspect is not None else ""
        raise PrecisionError(
            f"dtype: {named or 'the function'} computes in float32 although float64 is asked for "
            f"(a change of 1e-12 is lost): {mend}"
        )


def lossy_layer(
    model: Any, call_model: Callable[[], Any], to_numpy: Callable[[Any], Any], to_tensor: Callable[[Any], Any]
) -> str:
    """The layer of a float64 model that computes in float32, by name and type; "" if none is found alone.

    `call_model` calls the model once; every layer is then called by itself on what it was given.
    """
    calls: list[tuple[Any, Callable[..., Any], Any, tuple[Any, ...], dict[str, Any]]] = []
    layers = list(model._flatten_layers(include_self=False))
    kept = [(layer, layer.call) for layer in layers]

    def recording(layer: Any, call: Callable[..., Any]) -> Callable[..., Any]:
        def recorded(inputs: Any, *args: Any, **kwargs: Any) -> Any:
            calls.append((layer, call, inputs, args, kwargs))
            return call(inputs, *args, **kwargs)

        return recorded

    try:
        for layer, call in kept:
            object.__setattr__(layer, "call", recording(layer, call))
        call_model()
    finally:
        for layer, _ in kept:
            object.__delattr__(layer, "call")
    culprit = ""
    for layer, call, inputs, args, kwargs in calls:
        if isinstance(inputs, list | tuple | dict):
            continue

        def alone(states: Any, call: Any = call, args: Any = args, kwargs: Any = kwargs) -> Any:
            return np.asarray(to_numpy(call(to_tensor(states), *args, **kwargs)), np.float64)

        given = np.asarray(to_numpy(inputs), np.float64)
        v = np.random.default_rng(1).standard_normal(given.shape)
        slope = (alone(given + 1e-5 * v) - alone(given - 1e-5 * v)) / 2e-5
        if not _seen(alone, given, v, slope, 0.2):
            culprit = f"layer {layer.name} ({type(layer).__name__})"
            if not list(layer._flatten_layers(include_self=False)):
                break
    return culprit


def _seen(
    images: Callable[[Any], NDArray[np.float64]], x: Any, v: Any, tangents: NDArray[np.float64], tolerance: float
) -> bool:
    size = np.linalg.norm(tangents)
    for change in CHANGES:
        slope = (images(x + change * v) - images(x - change * v)) / (2 * change)
        if np.linalg.norm(slope - tangents) <= tolerance * size:
            return True
    return False
