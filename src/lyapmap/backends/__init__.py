"""`wrap`: anything that can be iterated becomes a map of the project.

Each framework has one file, the only place that imports it, at first use. Other packages can add
theirs through the entry point group `lyapmap.backends`.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

import numpy as np

from lyapmap.core.errors import LyapmapError, MapError, MissingExtraError, ShapeError
from lyapmap.core.map import TangentMap, as_tangent_map, is_tangent_map

ENTRY_POINTS = "lyapmap.backends"


def wrap(function: Any, *, state_shape: Any = None, backend: str | None = None, **options: Any) -> TangentMap:
    """Make a map of a function or a network.

    Parameters
    ----------
    function : callable, torch.nn.Module, Numba function, or an object with apply and jacobian
        What is to be iterated. NumPy and torch functions take a batch (b, *state_shape), Numba
        functions one state.
    state_shape : tuple of int or int
        Shape of one state; an object that is a map already needs none.
    backend : "numpy", "numba", "torch" or the name of an entry point, optional
        Which framework `function` belongs to; found out by default.
    **options
        For the backend: `jacobian` (NumPy, Numba), `vectorized` (NumPy), `dtype`, `device`,
        `memory_limit` (torch), `provenance`.

    Returns
    -------
    TangentMap

    Raises
    ------
    LyapmapError
        If the function does not map states of this shape to themselves, or an option is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> def henon(s):
    ...     x, y = s[:, 0], s[:, 1]
    ...     return np.stack([1 - 1.4 * x**2 + y, 0.3 * x], axis=1)
    >>> m = wrap(henon, state_shape=2)
    >>> m.derivative
    'complex step'
    """
    shape = _shape(state_shape)
    if is_tangent_map(function) or (_resembles_map(function) and not _is_module(function)):
        if options or backend:
            raise LyapmapError(
                f"{next(iter(options), 'backend')}: {type(function).__name__} is a map already and takes no options"
            )
        ready = as_tangent_map(function)
        if shape not in (None, tuple(ready.state_shape)):
            raise ShapeError(f"state_shape: {type(function).__name__} is a map of {ready.state_shape}, got {shape}")
        return ready
    if not callable(function):
        raise MapError(f"function: expected a function, a module or a map, got {type(function).__name__}")
    name = backend or _detect(function, shape, options)
    builder = _builders().get(name)
    if builder is None:
        raise LyapmapError(f"backend: expected one of {', '.join(sorted(_builders()))}, got {name!r}")
    if shape is None:
        raise LyapmapError("state_shape: expected the shape of one state, e.g. (2,) or (1, 28, 28), got None")
    try:
        return builder()(function, state_shape=shape, **options)
    except TypeError as error:
        if "unexpected keyword argument" in str(error):
            raise LyapmapError(f"options: the {name} backend does not take them ({error})") from None
        raise


def _resembles_map(candidate: Any) -> bool:
    return hasattr(candidate, "apply") and hasattr(candidate, "jacobian")


def _is_module(candidate: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(candidate, torch.nn.Module)


def _shape(state_shape: Any) -> tuple[int, ...] | None:
    if state_shape is None:
        return None
    try:
        sizes = tuple(operator.index(s) for s in (state_shape if np.iterable(state_shape) else (state_shape,)))
    except TypeError:
        raise ShapeError(f"state_shape: expected an integer or a tuple of them, got {state_shape!r}") from None
    if not sizes or min(sizes) < 1:
        raise ShapeError(f"state_shape: expected positive sizes, got {state_shape!r}")
    return sizes


def _numpy() -> Callable[..., Any]:
    from lyapmap.backends.numpy_map import wrap_numpy

    return wrap_numpy


def _numba() -> Callable[..., Any]:
    from lyapmap.backends.numba_map import wrap_numba

    return wrap_numba


def _torch() -> Callable[..., Any]:
    try:
        from lyapmap.backends.torch_map import wrap_torch
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingExtraError("torch", "torch", "wrapping a torch function") from None
    return wrap_torch


def _builders() -> dict[str, Callable[[], Callable[..., Any]]]:
    """Functions that import a backend and return its `wrap_...`."""
    ours = {"numpy": _numpy, "numba": _numba, "torch": _torch}
    return {point.name: point.load for point in entry_points(group=ENTRY_POINTS)} | ours


def _detect(function: Any, shape: tuple[int, ...] | None, options: dict[str, Any]) -> str:
    """Which backend a callable belongs to, without importing a framework."""
    if _is_module(function):
        return "torch"
    numba = sys.modules.get("numba")
    if numba is not None and isinstance(function, numba.core.dispatcher.Dispatcher):
        return "numba"
    torch = sys.modules.get("torch")
    if torch is None or shape is None:
        return "numpy"
    if {"device", "memory_limit"} & options.keys() or isinstance(options.get("dtype"), torch.dtype):
        return "torch"
    if {"jacobian", "vectorized"} & options.keys():
        return "numpy"
    return "numpy" if _takes_numpy(function, shape) else "torch"


def _takes_numpy(function: Callable[..., Any], shape: tuple[int, ...]) -> bool:
    """Whether a plain function answers NumPy with NumPy; torch functions raise, or return tensors."""
    try:
        with np.errstate(all="ignore"):
            return isinstance(function(np.full((2, *shape), 0.5)), np.ndarray)
    except (TypeError, AttributeError):  # of torch.tanh(x) and x.tanh()
        return False
    except Exception:  # its author will want to see this error, which the NumPy backend shows
        return True
