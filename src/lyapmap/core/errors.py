"""The errors that lyapmap raises for a caller to catch."""

from __future__ import annotations

import functools
import linecache
import re
import sysconfig
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

LONGEST = 200
"""Letters of a message that are shown."""
OURS = Path(__file__).parents[1]
LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
LAYERS = ("torch/nn/modules/", "keras/src/layers/", "flax/", "equinox/", "transformers/", "diffusers/", "reservoirpy/")
"""Where libraries keep what networks are made of."""
NOTEBOOKS = ("<stdin>", "<ipython-input")


def by_user(error: BaseException) -> str:
    """What went wrong in somebody's own code, in one line, with the file and line where that code was.

    Examples
    --------
    >>> try:
    ...     int("seven")
    ... except ValueError as error:
    ...     by_user(error)
    "ValueError: invalid literal for int() with base 10: 'seven'"
    """
    lines = [line.strip() for line in str(error).strip().splitlines()] or [""]
    # TensorFlow and programs that run elsewhere hand on a whole traceback, of which the last line says what is wrong.
    words = lines[-1] if lines[0].endswith(":") and re.search(r'File "|^in user code', str(error)) else lines[0]
    kind = type(error).__name__
    place = place_of(error)
    words = words[:LONGEST].removeprefix(f"{kind}: ")
    line = f"{kind}: {words}" if words else kind
    return f"{line} ({place})" if place else line


def place_of(error: BaseException) -> str:
    """File and line of the user's own code that is deepest in an error's traceback; "" where there is none."""
    place = ""
    cause: BaseException | None = error
    seen: set[int] = set()
    while cause is not None and not place and id(cause) not in seen:
        seen.add(id(cause))
        frames = [(frame.filename, frame.lineno or 0) for frame in traceback.extract_tb(cause.__traceback__)]
        frames += [(name, int(line)) for name, line in re.findall(r'File "([^"]+)", line (\d+)', str(cause))]
        place = next((f"{_shown(name)}, line {line}" for name, line in reversed(frames) if _is_users(name)), "")
        cause = cause.__cause__ or cause.__context__
    return place


def _is_users(name: str) -> bool:
    """Whether a file is neither the standard library's, nor an installed package's, nor ours."""
    path = Path(name)
    if not path.is_file():  # a cell of a notebook
        return name.startswith(NOTEBOOKS) or ("ipykernel_" in name and name in linecache.cache)
    if {"site-packages", "dist-packages"} & set(path.parts) or path.name.startswith("__autograph_generated"):
        return False
    return OURS not in path.parents and not name.startswith(LIBRARIES)


def _in_a_layer(error: BaseException) -> bool:
    """Whether a layer of a network raised it, one of a library with nothing of the user's around it."""
    files = [frame.filename.replace("\\", "/") for frame in traceback.extract_tb(error.__traceback__)]
    return any(f"-packages/{layers}" in file for file in files for layers in LAYERS)


def _shown(name: str) -> str:
    return name if name.startswith("<") else Path(name).name


def in_one_line(call: Callable[..., Any]) -> Callable[..., Any]:
    """A method that calls somebody's code: what that code raises becomes a `MapError` of one line.

    Where the caller stands does not count, only what lies beneath the call; lyapmap's own errors, faults of its own,
    and want of memory, with which others deal, are left as they are.
    """

    @functools.wraps(call)
    def guarded(*arguments: Any, **options: Any) -> Any:
        try:
            return call(*arguments, **options)
        except MapError as error:
            # A backend has said what is wrong, in its own words: where, it leaves to us.
            place = place_of(error.__context__) if isinstance(error.__context__, Exception) else ""
            if place and place not in str(error):
                error.args = (f"{error} ({place})",)
            raise
        except Exception as error:
            if isinstance(error, LyapmapError | MemoryError) or "OutOfMemory" in type(error).__name__:
                raise
            if "ResourceExhausted" in type(error).__name__ or not (place_of(error) or _in_a_layer(error)):
                raise
            raise MapError(f"function: {by_user(error)}") from error

    return guarded


CALLS_USERS_CODE = (
    "apply",
    "jvp",
    "vjp",
    "jacobian",
    "at",
    "propagate",
    "propagate_blocks",
    "record",
    "log_abs_det",
    "for_run",
)
"""Methods of maps and functions beneath which anything may be raised."""


def guard(kind: type) -> None:
    """Let the methods that a class of maps or functions defines raise errors of one line, as `in_one_line` does."""
    for name in CALLS_USERS_CODE:
        method = vars(kind).get(name)
        if callable(method):
            setattr(kind, name, in_one_line(method))


class LyapmapError(ValueError):
    """Something the caller gave cannot be used; the message names it and says what would do."""


class ShapeError(LyapmapError):
    """An array has the wrong shape."""


class PrecisionError(LyapmapError):
    """dtypes or devices are mixed, or a computation lost the precision that was asked for."""


class MapError(LyapmapError):
    """A map breaks its contract: rows that depend on each other, a jvp that disagrees, noise."""


class CheckpointError(LyapmapError):
    """A file of weights is damaged, unsafe, or of another program."""


class DataError(LyapmapError):
    """A data set is not at hand, damaged, or does not hold what was asked for."""


def install_command(extra: str) -> str:
    """What adds an extra, from the package index or from a clone.

    Examples
    --------
    >>> install_command("jax")
    "pip install 'lyapmap[jax]' (in a clone: pip install '.[jax]')"
    """
    return f"pip install 'lyapmap[{extra}]' (in a clone: pip install '.[{extra}]')"


class MissingExtraError(LyapmapError, ImportError):
    """An optional package is not installed; the message gives the pip command."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {package}, which is not installed: {install_command(extra)}")
        self._given = (package, extra, purpose)

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        return type(self), self._given


class RunError(LyapmapError):
    """An analysis ended in a status that is not usable as a number.

    Attributes
    ----------
    result : object
        The result with its status; pass ``throw=False`` to get it returned instead.
    """

    def __init__(self, message: str, result: object) -> None:
        super().__init__(message)
        self.result = result

    def __reduce__(self) -> tuple[type, tuple[str, object]]:
        return type(self), (str(self), self.result)  # so that it survives the way between processes


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during an analysis.

    Attributes
    ----------
    result : object
        What was computed until then, with a status that says so; None if nothing was.
    """

    def __init__(self, result: object, message: str = "interrupted") -> None:
        super().__init__(message)
        self.result = result

    def __reduce__(self) -> tuple[type, tuple[object, str]]:
        return type(self), (self.result, str(self))
