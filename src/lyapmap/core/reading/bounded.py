"""How much a file may ask for, where it may point, and what becomes of everything that a parser raises.

What a file unpacks to is at most `FACTOR` times its own size, or `FLOOR` where it is small; sizes are compared with
that before memory is taken.
"""

from __future__ import annotations

import json
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from lyapmap.core.errors import LyapmapError

FLOOR = 2**26
"""Bytes that any file may unpack to, however small it is."""
FACTOR = 100
"""Times its own size that a larger one may unpack to: pictures of one colour and runs of equal numbers do."""
LONGEST = 160
"""Letters of another library's message that are shown."""


def room(size: int) -> int:
    """Bytes that the content of a file of so many bytes may take.

    >>> room(1000) == FLOOR, room(10**7) == FACTOR * 10**7
    (True, True)
    """
    return max(FLOOR, FACTOR * size)


def first_line(fault: BaseException) -> str:
    """What another library says, in one short line without control characters."""
    line = next((line.strip() for line in str(fault).splitlines() if line.strip()), type(fault).__name__)
    line = "".join(letter if letter.isprintable() else "?" for letter in line)
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 3]}..."


@contextmanager
def parsing(path: str | Path, refusal: str, error: type[LyapmapError] = LyapmapError) -> Iterator[None]:
    """Whatever is raised over the content of a file becomes one error of ours, which begins with path and refusal.

    Parsers of damaged files raise of everything: RecursionError, MemoryError, AttributeError.

    >>> with parsing("a.json", "not JSON"):
    ...     json.loads("{")
    Traceback (most recent call last):
    lyapmap.core.errors.LyapmapError: a.json: not JSON (Expecting property name enclosed in double quotes: ...)
    """
    try:
        yield
    except LyapmapError:
        raise
    except Exception as fault:
        raise error(f"{path}: {refusal} ({first_line(fault)})") from None


@contextmanager
def opened(path: str | Path, error: type[LyapmapError] = LyapmapError) -> Iterator[BinaryIO]:
    """A regular file for reading in binary; a pipe or a device, which could block for ever, is refused."""
    try:
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        raise error(f"{path}: no such file") from None
    except (OSError, ValueError) as fault:
        raise error(f"{path}: cannot be read ({first_line(fault)})") from None
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise error(f"{path}: is no regular file")
    with os.fdopen(number, "rb") as file:
        yield file


def size_of(file: BinaryIO) -> int:
    """Bytes of an open file."""
    return os.fstat(file.fileno()).st_size


def content(path: str | Path, error: type[LyapmapError] = LyapmapError) -> bytes:
    """All of a regular file."""
    with opened(path, error) as file, parsing(path, "cannot be read", error):
        return file.read()


def text(path: str | Path, error: type[LyapmapError] = LyapmapError) -> str:
    """All of a regular file as text in UTF-8."""
    with parsing(path, "not a text in UTF-8", error):
        return content(path, error).decode("utf-8")


def json_in(data: str | bytes, source: str | Path, error: type[LyapmapError] = LyapmapError) -> Any:
    """The value that JSON stands for."""
    with parsing(source, "not JSON", error):
        return json.loads(data)


def inside(folder: str | Path, name: str, error: type[LyapmapError] = LyapmapError) -> Path:
    """A file of a folder, by a name that stands in one of the folder's files.

    Raises
    ------
    LyapmapError
        If the name, or a link that it goes over, leads out of the folder.

    Examples
    --------
    >>> inside("run", "figures/a.png").as_posix()
    'run/figures/a.png'
    >>> inside("run", "../secret.png")
    Traceback (most recent call last):
    lyapmap.core.errors.LyapmapError: run: names '../secret.png', which lies outside the folder
    """
    path = Path(folder, name)
    with parsing(folder, f"names {name[:LONGEST]!r}, which is no name of a file", error):
        if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
            raise error(f"{folder}: names {name[:LONGEST]!r}, which lies outside the folder")
    return path


def gunzipped(packed: bytes, path: str | Path, refusal: str, error: type[LyapmapError] = LyapmapError) -> bytes:
    """What the content of a gzip file of one or more members holds, if it has room for it."""
    most, parts, rest = room(len(packed)), [], packed
    with parsing(path, refusal, error):
        if not rest:
            raise EOFError("it is empty")
        while rest:
            unpacker = zlib.decompressobj(wbits=31)
            parts.append(unpacker.decompress(rest, most + 1))
            most -= len(parts[-1])
            if most < 0:
                raise error(f"{path}: would unpack to more than {room(len(packed))} bytes")
            if not unpacker.eof:
                raise EOFError("it ends in the middle")
            rest = unpacker.unused_data.lstrip(b"\0")
    return b"".join(parts)
