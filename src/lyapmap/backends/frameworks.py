"""Which framework a function, a module or an array belongs to, and what imports that framework's backend.

Nothing is imported to find out: what is an object of a framework has brought it in itself.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from lyapmap.backends.plugins import claimed, load, plugins_by_name
from lyapmap.backends.structured import library_of
from lyapmap.core.errors import MissingExtraError


def is_module(candidate: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(candidate, torch.nn.Module)


def is_keras(candidate: Any) -> bool:
    layer = getattr(sys.modules.get("keras"), "Layer", None)
    return layer is not None and isinstance(candidate, layer)


def is_numba(candidate: Any) -> bool:
    """Whether this is a function that Numba compiles."""
    numba = sys.modules.get("numba")
    return numba is not None and isinstance(candidate, numba.core.dispatcher.Dispatcher)


def tells_shape(candidate: Any) -> bool:
    """Whether `wrap` can do without the shape of a state, because what it is given knows it."""
    return is_keras(candidate)


def is_tensorflow(candidate: Any) -> bool:
    """Whether an object's class is TensorFlow's, or derived from one: modules, compiled functions, SavedModels."""
    return "tensorflow" in sys.modules and any(
        kind.__module__.partition(".")[0] == "tensorflow" for kind in type(candidate).__mro__
    )


def _numpy() -> Callable[..., Any]:
    from lyapmap.backends.numpy.map import wrap_numpy

    return wrap_numpy


def _numba() -> Callable[..., Any]:
    from lyapmap.backends.numba.map import wrap_numba

    return wrap_numba


def _torch() -> Callable[..., Any]:
    try:
        from lyapmap.backends.torch.map import wrap_torch
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingExtraError("torch", "torch", "wrapping a torch function") from None
    return wrap_torch


def _jax() -> Callable[..., Any]:
    try:
        from lyapmap.backends.jax_map import wrap_jax
    except ModuleNotFoundError as error:
        if error.name != "jax":
            raise
        raise MissingExtraError("jax", "jax", "wrapping a JAX function") from None
    return wrap_jax


def _tensorflow() -> Callable[..., Any]:
    from lyapmap.backends.keras.functions import wrap_tensorflow

    return wrap_tensorflow


def _keras() -> Callable[..., Any]:
    from lyapmap.backends.keras.map import wrap_keras

    return wrap_keras


OURS: dict[str, Callable[[], Callable[..., Any]]] = {
    "numpy": _numpy,
    "numba": _numba,
    "torch": _torch,
    "tensorflow": _tensorflow,
    "keras": _keras,
    "jax": _jax,
}
"""Functions that import a backend and return its `wrap_...`."""

READ_SHAPES = ("keras", "tensorflow")
"""Backends that can read the shape of a state from what they are given."""

BY_ARRAY = {"torch": "torch", "jax": "jax", "jaxlib": "jax", "tensorflow": "tensorflow"}
"""Backends by the package that the type of their arrays comes from. NumPy's arrays serve all."""


def builders() -> dict[str, Callable[[], Callable[..., Any]]]:
    """Ours, and those of other packages; ours win where names clash."""
    return {name: partial(load, points) for name, points in plugins_by_name(OURS).items()} | OURS


def detect(function: Any, shape: tuple[int, ...] | None, options: dict[str, Any]) -> str:
    """Which backend a callable belongs to, without importing a framework."""
    if is_keras(function):  # on the torch backend of Keras a module as well
        return "keras"
    if is_module(function):
        return "torch"
    if is_numba(function):
        return "numba"
    if library_of(function) in ("jax", "jaxlib"):
        return "jax"
    if is_tensorflow(function) or "xla" in options:
        return "tensorflow"
    claimant = claimed(function, plugins_by_name(OURS))
    if claimant is not None:
        return claimant
    if shape is None or not BY_ARRAY.keys() & sys.modules.keys():
        return "numpy"
    named = BY_ARRAY.get(library_of(options.get("dtype")))
    if named is not None:
        return named
    if {"jacobian", "vectorized"} & options.keys():
        return "numpy"
    library = _answers(function, shape)
    # 1 - x is anybody's, but NumPy has no such option.
    ours = library == "numpy" and "torch" in sys.modules and "device" in options
    return "torch" if ours else library


def _answers(function: Callable[..., Any], shape: tuple[int, ...]) -> str:
    """Which backend a plain function belongs to: one of torch raises when given NumPy, or returns tensors."""
    unknown = "torch" if "torch" in sys.modules else "numpy"
    try:
        with np.errstate(all="ignore"):
            answer = function(np.full((2, *shape), 0.5))
    except (TypeError, AttributeError):  # of torch.tanh(x) and x.tanh()
        return unknown
    except Exception:  # its author will want to see this error, which the NumPy backend shows
        return "tensorflow" if _takes_tensorflow(function, shape) else "numpy"
    parts = answer.values() if isinstance(answer, Mapping) else answer if isinstance(answer, tuple) else (answer,)
    if any(isinstance(part, np.ndarray) for part in parts):
        return "numpy"
    return next((BY_ARRAY[name] for name in map(library_of, parts) if name in BY_ARRAY), unknown)


def _takes_tensorflow(function: Callable[..., Any], shape: tuple[int, ...]) -> bool:
    """Whether a function that does not take NumPy's float64 takes TensorFlow's usual tensors."""
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None:
        return False
    try:
        return bool(tensorflow.is_tensor(function(tensorflow.fill((2, *shape), 0.5))))
    except Exception:  # whatever it is, the NumPy backend shows it to its author
        return False
