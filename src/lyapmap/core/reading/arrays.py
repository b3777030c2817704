"""Arrays of NumPy's files, and members of zip archives, with sizes compared before memory is taken.

Format: NumPy Enhancement Proposal 1, "A simple file format for NumPy arrays".
"""

from __future__ import annotations

import ast
import math
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.errors import LyapmapError
from lyapmap.core.reading.bounded import opened, parsing, room, size_of

MAGIC = b"\x93NUMPY"
ZIP = b"PK"
LONGEST_HEADER = 10_000
LONGEST_AXIS = 2**31
"""Of an array that holds nothing, and so says nothing by its size."""
REFUSAL = "is not a readable file of arrays"


class Archive:
    """A zip archive whose members fit into its room; a context.

    Parameters
    ----------
    path : path
    refusal : str
        What an error says after the path.
    error : type of LyapmapError

    Attributes
    ----------
    names : list of str
    """

    def __init__(self, path: str | Path, refusal: str = REFUSAL, error: type[LyapmapError] = LyapmapError) -> None:
        self.path, self._refusal, self._error = path, refusal, error

    def __enter__(self) -> Self:
        self._opened = opened(self.path, self._error)
        file = self._opened.__enter__()
        try:
            with parsing(self.path, self._refusal, self._error):
                self._zip = zipfile.ZipFile(file)
                self._members = {info.filename: info for info in self._zip.infolist()}
                self._require_room(size_of(file))
        except BaseException:
            file.close()
            raise
        return self

    def __exit__(self, *fault: Any) -> None:
        self._zip.close()
        self._opened.__exit__(*fault)

    @property
    def names(self) -> list[str]:
        return list(self._members)

    def _require_room(self, size: int) -> None:
        members = self._zip.infolist()
        if len(members) != len(self._members):
            raise ValueError("two members have the same name")
        if any(info.flag_bits & 1 or info.compress_type not in METHODS for info in members):
            raise ValueError("encrypted, or compressed by a method other than deflate")
        total = sum(info.file_size for info in members)
        if total > room(size):
            raise self._error(f"{self.path}: would unpack to {total} bytes, which a file of {size} bytes may not")

    def is_stored(self, name: str) -> bool:
        """Whether a member is not compressed."""
        return self._members[name].compress_type == zipfile.ZIP_STORED

    def size(self, name: str) -> int:
        """Bytes of a member."""
        return self._members[name].file_size

    def read(self, name: str, most: int | None = None) -> bytes:
        """A member, of so many bytes at most.

        Raises
        ------
        LyapmapError
            If it is not there, damaged or larger.
        """
        if name not in self._members:
            raise self._error(f"{self.path}: {self._refusal} (it holds no {name})")
        if most is not None and self.size(name) > most:
            raise self._error(f"{self.path}: its {name} has {self.size(name)} bytes, more than {most}")
        with parsing(self.path, self._refusal, self._error), self._zip.open(name) as member:
            data = member.read(self.size(name))
            if len(data) != self.size(name):
                raise EOFError(f"{name} ends early")
            return data


METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class Arrays:
    """The arrays of an `.npz` file by name, each read when it is asked for; a context.

    Attributes
    ----------
    names : list of str
    """

    def __init__(self, path: str | Path, refusal: str = REFUSAL, error: type[LyapmapError] = LyapmapError) -> None:
        self._archive, self._refusal, self._error = Archive(path, refusal, error), refusal, error

    def __enter__(self) -> Self:
        self._archive.__enter__()
        self.names = [name.removesuffix(".npy") for name in self._archive.names]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._archive.__exit__(kind, fault, trace)

    def __getitem__(self, name: str) -> NDArray[Any]:
        data = self._archive.read(f"{name}.npy" if f"{name}.npy" in self._archive.names else name)
        with parsing(self._archive.path, self._refusal, self._error):
            return npy(data)


def npy(data: bytes) -> NDArray[Any]:
    """The array of the content of an `.npy` file, to be called within `parsing`.

    Raises
    ------
    ValueError, SyntaxError, TypeError
        If it is none, or not all of one.
    """
    dtype, shape, fortran, begin = _header(data, len(data))
    flat = np.frombuffer(bytearray(data[begin:]), dtype)
    return flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)


def _header(head: bytes, size: int) -> tuple[np.dtype[Any], tuple[int, ...], bool, int]:
    """dtype, shape, whether columns come first, and where the numbers begin, of a file of so many bytes."""
    if head[:6] != MAGIC:
        raise ValueError("it does not begin as an array of NumPy does; pickles are not read")
    version, width = head[6], 2 if head[6] == 1 else 4
    begin = 8 + width
    length = int.from_bytes(head[8:begin], "little")
    if version not in (1, 2, 3) or length > LONGEST_HEADER or len(head) < begin + length:
        raise ValueError("its header is of a version or length that is not known")
    words = head[begin : begin + length].decode("utf-8" if version == 3 else "latin1")
    about = ast.literal_eval(re.sub(r"\b(\d+)L\b", r"\1", words).strip())
    if not isinstance(about, dict) or set(about) != {"descr", "fortran_order", "shape"}:
        raise ValueError("its header does not name descr, fortran_order and shape")
    dtype, shape = np.lib.format.descr_to_dtype(about["descr"]), about["shape"]
    if type(shape) is not tuple or any(type(axis) is not int or axis < 0 for axis in shape):
        raise ValueError(f"its shape is {shape!r}"[:100])
    if dtype.hasobject:
        raise ValueError("it holds objects of Python, which would run code when loaded")
    begin += length
    if dtype.itemsize == 0 or math.prod(shape) * dtype.itemsize != size - begin:
        raise ValueError(f"its header asks for shape {shape} of {dtype}, and {size - begin} bytes follow"[:150])
    if max(shape, default=0) > max(LONGEST_AXIS, size):
        raise ValueError("an axis is longer than memory")
    return dtype, shape, about["fortran_order"] is True, begin


@contextmanager
def numpy_file(
    path: str | Path, refusal: str = REFUSAL, error: type[LyapmapError] = LyapmapError
) -> Iterator[NDArray[Any] | Arrays]:
    """What a file of NumPy holds, told by its content: one array, or several by name."""
    with opened(path, error) as file, parsing(path, refusal, error):
        head = file.read(8)
        array = None if head.startswith(ZIP) else _from_file(file)
    if array is not None:
        yield array
        return
    with Arrays(path, refusal, error) as arrays:
        yield arrays


def _from_file(file: BinaryIO) -> NDArray[Any]:
    file.seek(0)
    dtype, shape, fortran, begin = _header(file.read(LONGEST_HEADER + 12), size_of(file))
    file.seek(begin)
    flat = np.fromfile(file, dtype, math.prod(shape))
    if flat.size != math.prod(shape):
        raise EOFError("it changed while it was read")
    return flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)


def one_array(path: str | Path, refusal: str = REFUSAL, *, option: str = "") -> NDArray[Any]:
    """The array of an `.npy` file; `option` stands before the path in errors.

    Raises
    ------
    LyapmapError
        If it is none, or holds several.
    """
    try:
        with numpy_file(path, refusal) as stored:
            if isinstance(stored, Arrays):
                raise LyapmapError(f"{path}: holds several arrays, expected one .npy array")
            return stored
    except LyapmapError as fault:
        raise LyapmapError(f"{option}{fault}") from None
