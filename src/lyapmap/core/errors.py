"""The errors that lyapmap raises for a caller to catch."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path


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
    words = f"{type(error).__name__}: {lines[0][:LONGEST]}" if lines[0] else type(error).__name__
    place = ""
    for frame in traceback.extract_tb(error.__traceback__):
        path = Path(frame.filename)
        # Not the standard library's, an installed package's or ours.
        if path.is_file() and not LIBRARIES & set(path.parts) and OURS not in path.parents:
            place = f" ({path.name}, line {frame.lineno})"
    return words + place


LONGEST = 200
"""Letters of a message that are shown."""
LIBRARIES = {"site-packages", "dist-packages", f"python{sys.version_info.major}.{sys.version_info.minor}"}
OURS = Path(__file__).parents[1]


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

    def __init__(self, result: object) -> None:
        super().__init__("interrupted")
        self.result = result

    def __reduce__(self) -> tuple[type, tuple[object]]:
        return type(self), (self.result,)
