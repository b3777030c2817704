"""`wrap_function`: a function from one space to another, with its derivative, of NumPy or torch.

It stands on the maps of both backends: inputs or outputs, whichever are fewer, are filled up with zeros, which makes
a map of the larger space to itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.backends import _shape, wrap
from lyapmap.backends.frameworks import detect
from lyapmap.backends.structured import name_of
from lyapmap.core.errors import LyapmapError, MapError, PrecisionError, ShapeError, in_one_line
from lyapmap.core.function import PaddedFunction, TangentFunction
from lyapmap.core.map import dimension

BACKENDS = ("numpy", "torch")


class NumpyFunction(PaddedFunction):
    """One of NumPy whose Jacobian is given, and can be transposed."""

    def vjp(self, z: NDArray[Any], u: NDArray[Any]) -> NDArray[Any]:
        jacobian: NDArray[Any] = self.padded.jacobian(self._filled(z))[:, : self._n, : self._m]
        product: NDArray[Any] = jacobian.swapaxes(1, 2) @ u
        return product


@in_one_line
def wrap_function(function: Any, *, input_shape: Any, backend: str | None = None, **options: Any) -> TangentFunction:
    """Make a function with its derivative, from one space to another, of a NumPy or torch function or a module.

    Parameters
    ----------
    function : callable or torch.nn.Module
        Takes a batch (b, *input_shape) and returns one, (b, *output_shape). A module must be in evaluation mode; it is
        copied.
    input_shape : int or tuple of int
        Shape of one input, e.g. 100 for the noise of a generator.
    backend : "numpy" or "torch", optional
        Found out by default.
    **options
        As `wrap` takes them: `jacobian` (NumPy, (b, n, m)), `dtype`, `device` and `memory_limit` (torch), `provenance`.

    Returns
    -------
    TangentFunction
        For `jacobian_spectrum`. Those of torch, and of NumPy with a Jacobian, offer `vjp` too.

    Raises
    ------
    LyapmapError
        If the function fails on such inputs, or an option is unknown.

    Examples
    --------
    A circle in space:

    >>> f = wrap_function(lambda t: np.concatenate([np.cos(t), np.sin(t), 0 * t], axis=1), input_shape=1)
    >>> f.output_shape, f.derivative
    ((3,), 'complex step')
    >>> f.jvp(np.array([[0.0]]), np.ones((1, 1, 1)))[1].ravel().round(6).tolist()[1:]
    [1.0, 0.0]
    """
    shape = _shape(input_shape)
    if shape is None:
        raise LyapmapError("input_shape: expected the shape of one input, e.g. 100, got None")
    if not callable(function):
        raise MapError(f"function: expected a function or a torch module, got {type(function).__name__}")
    name = backend or detect(function, shape, options)
    if name not in BACKENDS:
        raise LyapmapError(f"backend: expected one of {', '.join(BACKENDS)}, got {name!r}")
    options["provenance"] = {"map": name_of(function)} | (options.get("provenance") or {})
    if name == "torch":
        from lyapmap.backends.torch.function import torch_function

        return torch_function(function, shape, **options)
    return _numpy(function, shape, options)


def _numpy(function: Callable[..., Any], shape: tuple[int, ...], options: dict[str, Any]) -> PaddedFunction:
    if not options.pop("vectorized", True):
        raise LyapmapError("vectorized: expected a function of a batch (b, *input_shape)")
    dtype = options.get("dtype", "float64")
    probe = np.full((2, *shape), 0.5, dtype)
    try:
        y = np.asarray(function(probe))
    except (TypeError, ValueError, IndexError) as error:
        raise MapError(f"function: failed on inputs of shape {probe.shape} ({' '.join(str(error).split())})") from error
    if y.ndim < 2 or len(y) != 2:
        raise ShapeError(f"function: expected (2, *output_shape) for two inputs, got {y.shape}")
    if y.dtype != probe.dtype:
        raise PrecisionError(f"function: expected {probe.dtype} back, got {y.dtype}")
    m, n = dimension(shape), dimension(y.shape[1:])
    size = max(m, n)

    def padded(x: NDArray[Any]) -> NDArray[Any]:
        inner = np.asarray(function(x[:, :m].reshape(-1, *shape))).reshape(len(x), n)
        return np.pad(inner, ((0, 0), (0, size - n)))

    given = options.pop("jacobian", None)
    if given is not None:

        def jacobian(x: NDArray[Any]) -> NDArray[Any]:
            matrices = np.asarray(given(x[:, :m].reshape(-1, *shape)))
            if matrices.shape not in ((len(x), n, m), (len(x), *y.shape[1:], *shape)):
                raise ShapeError(f"jacobian: expected {(len(x), n, m)} for {len(x)} inputs, got {matrices.shape}")
            return np.pad(matrices.reshape(len(x), n, m), ((0, 0), (0, size - n), (0, size - m)))

        options["jacobian"] = jacobian
    made = wrap(padded, state_shape=size, backend="numpy", **options)
    return (PaddedFunction if given is None else NumpyFunction)(made, shape, tuple(y.shape[1:]))
