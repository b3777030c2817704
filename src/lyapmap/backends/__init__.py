"""`wrap`: anything that can be iterated becomes a map of the project.

Each framework has one file, the only place that imports it, at first use. Other packages can add
theirs through the entry point group `lyapmap.backends`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

import numpy as np

from lyapmap.core.errors import LyapmapError, MapError, MissingExtraError
from lyapmap.core.map import TangentMap, is_tangent_map

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
    from lyapmap.core.map import as_tangent_map

    if is_tangent_map(function) or (hasattr(function, "apply") and hasattr(function, "jacobian")):
        if options:
            raise LyapmapError(
                f"{next(iter(options))}: {type(function).__name__} is a map already and takes no options"
            )
        return as_tangent_map(function)
    if not callable(function):
        raise MapError(f"function: expected a function, a module or a map, got {type(function).__name__}")
    name = backend or _detect(function, _shape(state_shape), options)
    builder = _builders().get(name)
    if builder is None:
        raise LyapmapError(f"backend: expected one of {', '.join(sorted(_builders()))}, got {name!r}")
    shape = _shape(state_shape)
    if shape is None:
        raise LyapmapError("state_shape: expected the shape of one state, e.g. (2,) or (1, 28, 28), got None")
    try:
        return builder()(function, state_shape=shape, **options)
    except TypeError as error:
        if "unexpected keyword argument" in str(error):
            raise LyapmapError(f"options: the {name} backend does not take them ({error})") from None
        raise


def _shape(state_shape: Any) -> tuple[int, ...] | None:
    if state_shape is None:
        return None
    return (state_shape,) if isinstance(state_shape, int) else tuple(int(s) for s in state_shape)


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
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(function, torch.nn.Module):
        return "torch"
    numba = sys.modules.get("numba")
    if numba is not None and isinstance(function, numba.core.dispatcher.Dispatcher):
        return "numba"
    if torch is None or shape is None:
        return "numpy"
    if options.get("device") is not None or isinstance(options.get("dtype"), torch.dtype):
        return "torch"
    return "numpy" if _takes_numpy(function, shape) else "torch"


def _takes_numpy(function: Callable[..., Any], shape: tuple[int, ...]) -> bool:
    """Whether a plain function answers NumPy with NumPy; torch functions raise, or return tensors."""
    try:
        with np.errstate(all="ignore"):
            return isinstance(function(np.full((2, *shape), 0.5)), np.ndarray)
    except TypeError:
        return False
    except Exception:  # its author will want to see this error, which the NumPy backend shows
        return True
