"""What `torch.save` wrote, read without torch's own readers: tensors and plain values, and nothing else.

Both formats are read, the zip archive and the older stream of pickles. A pickle is looked through before it is run: it
may call nothing but what puts a tensor together. Tensors lie within their storages, and storages within the file, so
that neither a number in the pickle nor a value that stands in many places takes more memory than the file has room for.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

from lyapmap.core.errors import CheckpointError
from lyapmap.core.reading.arrays import Archive
from lyapmap.core.reading.bounded import content, first_line, opened, parsing, room, size_of

DAMAGED = "truncated or damaged"
DEEPEST = 100
"""Values within values."""
SPARE = 1000
"""Values that a file may hold however small it is."""
OPERATIONS = re.compile(
    "PROTO|FRAME|STOP|MARK|GLOBAL|STACK_GLOBAL|REDUCE|BUILD|BINPERSID|MEMOIZE|(LONG_)?BIN(PUT|GET)|NONE|NEWTRUE|NEWFALSE|"
    "BININT[12]?|LONG1|BINFLOAT|(SHORT_)?BINUNICODE|SHORT_BINSTRING|(EMPTY_)?TUPLE|TUPLE[123]|EMPTY_LIST|APPENDS?|"
    "EMPTY_DICT|SETITEMS?"
)
"""Of pickles, without those that make objects by class, take memory by a number, or read beyond the stream."""
STORAGES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
}
OLD_MAGIC = 0x1950A86A20F9469CFC6C
"""The first value of the older format."""


def read_torch(path: Path) -> Any:
    """Dicts, lists, tuples, tensors and plain values of a file.

    Raises
    ------
    CheckpointError
        If it is damaged, would run code, or asks for more memory than a file of its size may.
    """
    with opened(path, CheckpointError) as file:
        head, size = file.read(4), size_of(file)
    if not head.startswith(b"PK"):
        return plain_tree(_old(path), path, size)
    with Archive(path, DAMAGED, CheckpointError) as archive:
        inner = {name.rpartition("/")[2]: name for name in archive.names}
        if "constants.pkl" in inner:
            raise CheckpointError(
                f"{path}: refused, because it is a TorchScript program; store a state dict of tensors"
            )
        if "data.pkl" not in inner:
            raise CheckpointError(f"{path}: a zip archive, but not one that torch.save wrote")
        root = inner["data.pkl"].removesuffix("data.pkl")
        if "byteorder" in inner and archive.read(f"{root}byteorder") == b"big":
            raise CheckpointError(f"{path}: was written on a big-endian machine; save it again on a common one")
        storages: dict[str, Tensor] = {}

        def storage(key: str, dtype: torch.dtype, count: int) -> Tensor:
            if key not in storages:
                storages[key] = _numbers(archive.read(f"{root}data/{key}"), torch.uint8)
            return _typed(storages[key], dtype, count)

        data = archive.read(f"{root}data.pkl", most=size)
        value = _unpickled(io.BytesIO(data), path, storage)
    return plain_tree(value, path, size)


def _old(path: Path) -> Any:
    """The older format: pickles of a number, a version, the system, the value and the keys, then the storages."""
    data = content(path, CheckpointError)
    stream = io.BytesIO(data)
    if not data:
        raise CheckpointError(f"{path}: empty")
    refusal = "not a file that torch.save wrote"
    parts: dict[str, Tensor] = {}
    left = len(data)

    def storage(key: str, dtype: torch.dtype, count: int) -> Tensor:
        nonlocal left
        if key not in parts:
            left -= count * dtype.itemsize
            if left < 0:
                raise EOFError("its storages are larger than the file")
            parts[key] = torch.zeros(count * dtype.itemsize, dtype=torch.uint8)
        return _typed(parts[key], dtype, count)

    if not data.startswith(b"\x80\x02\x8a\x0a" + OLD_MAGIC.to_bytes(10, "little")):
        raise CheckpointError(f"{path}: {refusal}")
    for _ in range(3):
        _unpickled(stream, path, storage)
    value = _unpickled(stream, path, storage)
    keys = _unpickled(stream, path, storage)
    with parsing(path, DAMAGED, CheckpointError):
        for key in keys:
            count = int.from_bytes(stream.read(8), "little")
            part = parts[key]
            raw = stream.read(part.numel())
            if len(raw) != part.numel() or part.numel() % max(count, 1):
                raise EOFError("a storage ends early")
            part.copy_(_numbers(raw, torch.uint8))
    return value


def _numbers(raw: bytes, dtype: torch.dtype) -> Tensor:
    return torch.frombuffer(bytearray(raw), dtype=dtype) if raw else torch.zeros(0, dtype=dtype)


def _typed(raw: Tensor, dtype: torch.dtype, count: int) -> Tensor:
    if type(count) is not int or count < 0 or count * dtype.itemsize > raw.numel():
        raise ValueError(f"a storage of {count} values has {raw.numel()} bytes")
    return raw[: count * dtype.itemsize].view(dtype)


def _tensor(
    storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any = False, hooks: Any = None, about: Any = None
) -> Tensor:
    """In the place of `torch._utils._rebuild_tensor_v2`."""
    sizes = (*size, *stride, offset)
    if not isinstance(storage, Tensor) or any(type(n) is not int or n < 0 for n in sizes) or len(size) != len(stride):
        raise ValueError("a tensor of no shape")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if math.prod(size) and last >= storage.numel():
        raise ValueError(f"a tensor of shape {tuple(size)} lies beyond its storage of {storage.numel()} values")
    return torch.as_strided(storage, tuple(size), tuple(stride), offset if math.prod(size) else 0)


def _parameter(data: Any, *about: Any) -> Any:
    return data


def _size(values: Any) -> tuple[Any, ...]:
    return tuple(values)


CALLED: dict[tuple[str, str], Callable[..., Any]] = {
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch", "Size"): _size,
    ("collections", "OrderedDict"): OrderedDict,
}
"""What a pickle may call, and what is called for it."""


class WouldRunCodeError(CheckpointError):
    """A pickle that calls more than what puts a tensor together.

    Attributes
    ----------
    names : list of str
        What it would call.
    """

    def __init__(self, path: str | Path, names: list[str]) -> None:
        super().__init__(
            f"{path}: refused, because it holds {', '.join(names[:3])} and would run code when loaded; "
            "store a state dict of tensors instead"
        )
        self.names = names
        self._path = path

    def __reduce__(self) -> tuple[type, tuple[str | Path, list[str]]]:
        return type(self), (self._path, self.names)


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: io.BytesIO, path: Path, storage: Callable[..., Tensor]) -> None:
        super().__init__(stream)
        self._path, self._storage = path, storage

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        if (module, name) not in CALLED:
            _refuse(self._path, [f"{module}.{name}"])
        return CALLED[module, name]

    def persistent_load(self, about: Any) -> Tensor:
        kind, dtype, key, _, count, *_ = about
        if kind != "storage" or not isinstance(dtype, torch.dtype) or type(key) is not str:
            raise ValueError("a storage of no kind")
        return self._storage(key, dtype, count)


def _refuse(path: Path, names: list[str]) -> NoReturn:
    raise WouldRunCodeError(path, names)


def _unpickled(stream: io.BytesIO, path: Path, storage: Callable[..., Tensor]) -> Any:
    """The value of one pickle, once everything in it has been looked at."""
    begin, size = stream.tell(), len(stream.getbuffer())
    with parsing(path, DAMAGED, CheckpointError):
        strange, wrong = [], ""
        for operation, argument, _ in pickletools.genops(stream):
            if operation.name == "GLOBAL":
                module, _, name = str(argument).partition(" ")
                if (module, name) not in CALLED and not (module == "torch" and name in STORAGES):
                    strange.append(f"{module}.{name}")
            elif not OPERATIONS.fullmatch(operation.name):
                wrong = operation.name
            elif operation.name.endswith("PUT") and int(argument or 0) > size:  # memory is taken up to this number
                wrong = f"{operation.name} {argument}"
        if strange:
            _refuse(path, sorted({name for name in strange if not name.startswith("_")} or set(strange)))
        if wrong:
            raise CheckpointError(
                f"{path}: refused, because it is damaged or holds more than tensors and plain values ({wrong}); "
                "store a state dict of tensors instead"
            )
        stream.seek(begin)
        try:
            return _Unpickler(stream, path, storage).load()
        except pickle.UnpicklingError as fault:
            raise CheckpointError(
                f"{path}: refused, because it is damaged or holds more than tensors and plain values "
                f"({first_line(fault)}); store a state dict of tensors instead"
            ) from None


def plain_tree(value: Any, path: str | Path, size: int) -> Any:
    """The value with dicts, lists and tuples made anew, if it is a tree that fits into a file of so many bytes.

    Raises
    ------
    CheckpointError
        If a value holds itself, or stands in so many places that it would not fit.
    """
    values, left = size + SPARE, room(size)

    def copied(part: Any, depth: int) -> Any:
        nonlocal values, left
        values -= 1
        if isinstance(part, Tensor):
            left -= part.numel() * part.element_size()
        elif isinstance(part, str):
            left -= len(part)
        if values < 0 or left < 0 or depth > DEEPEST:
            raise CheckpointError(f"{path}: refused, because its values would take more memory than its size warrants")
        if isinstance(part, dict):
            return {_key(key): copied(item, depth + 1) for key, item in dict.items(part)}
        if isinstance(part, list | tuple):
            items = [copied(item, depth + 1) for item in part]
            return tuple(items) if isinstance(part, tuple) else items
        if part is None or type(part) in (Tensor, bool, int, float, str):
            return part
        raise CheckpointError(f"{path}: refused, because it holds a {type(part).__name__}; store tensors instead")

    with parsing(path, DAMAGED, CheckpointError):
        return copied(value, 0)


def _key(key: Any) -> str | int:
    if type(key) not in (str, int):
        raise TypeError(f"a dict has the key {key!r}"[:100])
    return key
