"""Files that appear whole or not at all: written beside their place, flushed, and moved there."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from lyapmap.core.errors import LyapmapError

_numbers = count()
LEFT_OVER = re.compile(r"\.\d+-\d+\.part(\.\w+)?$")
"""How names end of what is being written."""


class WriteError(LyapmapError, OSError):
    """A file cannot be written: a full disk, no permission, no such folder. What was there before still is.

    Attributes
    ----------
    reason : str
        In the words of the system.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __str__(self) -> str:
        return str(self.args[0])

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (str(self), self.reason)


@contextmanager
def written_whole(path: str | Path, *, flush: bool = True) -> Iterator[Path]:
    """A name to write to, which is moved to `path` where the block ends well, and removed where it does not.

    It has the same suffix, by which many libraries choose a format. A link is followed; what is no regular file, such
    as a pipe, is written to directly. Without `flush` a crash of the machine, though none of the process, may leave
    a damaged file.

    Raises
    ------
    WriteError
        If the system refuses. The error of the block itself, where it is another one.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with written_whole(Path(folder, "numbers.txt")) as beside:
    ...         _ = beside.write_text("1 2 3")
    ...     sorted(os.listdir(folder)), Path(folder, "numbers.txt").read_text()
    (['numbers.txt'], '1 2 3')
    """
    place = Path(os.path.realpath(path))
    if place.exists() and not place.is_file():
        yield place
        return
    # Process and number are part of the name: two that write the same file at once must not meet, nor two threads.
    beside = place.with_name(f"{place.stem}.{os.getpid()}-{next(_numbers)}.part{place.suffix}")
    try:
        yield beside
        if flush:
            with beside.open("rb") as file:
                os.fsync(file.fileno())  # else a crash of the machine may leave the new name on an empty file
        os.replace(beside, place)
        if flush:
            _flush_names(place.parent)
    except OSError as error:
        if isinstance(error, WriteError):
            raise
        reason = error.strerror or " ".join(str(error).split())
        raise WriteError(f"{path}: cannot be written ({reason})", reason) from error
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def remove_leftovers(folder: Path, stem: str = "") -> None:
    """Remove what killed processes were writing: files of `written_whole` that never got to their place.

    Only where no other process writes: to a folder that is locked, or of names that are one's own.
    """
    with suppress(OSError):
        for path in folder.iterdir():
            if LEFT_OVER.search(path.name) and path.name.startswith(f"{stem}." if stem else ""):
                path.unlink(missing_ok=True)


def _flush_names(folder: Path) -> None:
    """Let a new name outlive a crash of the machine, on systems that can be asked for it."""
    with suppress(OSError):
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def write_text(path: str | Path, text: str) -> Path:
    """Write a text in UTF-8, whole or not at all; what has no UTF-8, as in some names of files, by its number."""
    with written_whole(path) as beside:
        beside.write_text(text, encoding="utf-8", errors="backslashreplace")
    return Path(path)


def append_line(path: str | Path, line: str) -> None:
    """Add a line to a text, whole or not at all: where the system refuses the rest of it, what was added is taken away.

    Raises
    ------
    WriteError
    """
    try:
        with open(path, "ab", buffering=0) as file:
            before = file.seek(0, os.SEEK_END)
            left = memoryview(f"{line}\n".encode())
            try:
                while left:
                    left = left[file.write(left) :]
            except OSError:
                file.truncate(before)
                raise
    except OSError as error:
        reason = error.strerror or " ".join(str(error).split())
        raise WriteError(f"{path}: cannot be written ({reason})", reason) from error
