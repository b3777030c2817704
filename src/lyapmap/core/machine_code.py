"""Plain Python loops compiled by Numba for one signature, and kept on disk."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any


def machine_code(
    function: Callable[..., None], signature: Any, *, kept: bool = True, **options: Any
) -> Callable[..., None]:
    """A function compiled for one signature, which lets go of Python's lock.

    Parameters
    ----------
    function : callable
        Plain Python for Numba, with compiled functions among its globals if it calls any.
    signature : str or tuple
        "void(float64[:, ::1], int64)", or Numba's types of the arguments.
    kept : bool
        On disk, where that is possible, for other processes.
    **options
        Of `numba.njit`.
    """
    import numba

    options |= {"error_model": "numpy", "nogil": True, "no_cfunc_wrapper": True}
    if kept:
        # No folder to write to, a full disk, a damaged file: then the code is for this process alone.
        with suppress(Exception):
            filed: Any = numba.njit(cache=True, **options)(function)
            filed.compile(signature)
            return filed  # type: ignore[no-any-return]
    fresh: Any = numba.njit(**options)(function)
    fresh.compile(signature)
    return fresh  # type: ignore[no-any-return]
