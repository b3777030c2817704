"""Plain Python loops compiled by Numba for one signature, and kept on disk."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FunctionType
from typing import Any

MOST_FILES = 400
"""Files of code that are kept of each module, some 30 MB."""


def machine_code(
    function: Callable[..., None],
    signature: Any,
    *,
    helpers: tuple[Callable[..., Any], ...] = (),
    kept: bool = True,
    **options: Any,
) -> Callable[..., None]:
    """A function compiled for one signature, which lets go of Python's lock.

    Parameters
    ----------
    function : callable
        Plain Python for Numba.
    signature : str or tuple
        "void(float64[:, ::1], int64)", or Numba's types of the arguments.
    helpers : functions
        Plain Python too, of the same file: what it calls, each after those that it calls itself.
    kept : bool
        On disk, where that is possible, for other processes.
    **options
        Of `numba.njit`.
    """
    import numba

    options |= {"error_model": "numpy", "nogil": True, "no_cfunc_wrapper": True}
    if helpers:
        namespace = dict(function.__globals__)
        within = options | {"no_cpython_wrapper": True}
        for helper in helpers:
            inner = FunctionType(helper.__code__, namespace, helper.__name__)
            namespace[helper.__name__] = numba.njit(**within)(inner)
        function = FunctionType(function.__code__, namespace, function.__name__)
    made: Any = None
    if kept:
        # No folder to write to, a full disk, a damaged file: then the code is for this process alone.
        with suppress(Exception):
            made = numba.njit(cache=True, **options)(function)
            made.compile(signature)
            if not made.stats.cache_hits:
                _forget_oldest(Path(made.stats.cache_path), Path(function.__code__.co_filename).stem)
    if made is None or not made.signatures:
        made = numba.njit(**options)(function)
        made.compile(signature)
    compiled: Callable[..., None] = made
    return compiled


def _forget_oldest(folder: Path, module: str) -> None:
    """Delete the oldest files of code that belong to a module: programs of users are ever others."""
    files = sorted(folder.glob(f"{module}.*.nb?"), key=lambda file: file.stat().st_mtime)
    for file in files[:-MOST_FILES]:
        file.unlink(missing_ok=True)
