"""Everything that an HDF5 file holds, read in a child process: groups, arrays and attributes by their paths.

Links to other files, storage in other files and virtual arrays are refused; what is linked twice is read once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.errors import LyapmapError
from lyapmap.core.reading.apart import Answer, apart

DEEPEST = 100
"""Groups within groups."""
READER = f"{__name__}:read"
Words = str | list[str]


@dataclass
class Tree:
    """What stands in a file.

    Attributes
    ----------
    groups : list of str
        Paths such as "layers/dense"; the root is "".
    arrays : dict of str to array or text
        Datasets by their paths.
    attributes : dict of str to dict
        Of groups and arrays, by their paths: arrays, or text.
    """

    groups: list[str] = field(default_factory=list)
    arrays: dict[str, NDArray[Any] | Words] = field(default_factory=dict)
    attributes: dict[str, dict[str, NDArray[Any] | Words]] = field(default_factory=dict)

    def array(self, path: str) -> NDArray[Any]:
        """A dataset of numbers; KeyError if there is none."""
        array = self.arrays[path]
        if not isinstance(array, np.ndarray):
            raise KeyError(path)
        return array

    def write(self, file: Any) -> None:
        """Put all into an empty file of h5py."""
        for path in self.groups:
            file.require_group(f"/{path}")
        for path, value in self.arrays.items():
            file[f"/{path}"] = value
        for path, values in self.attributes.items():
            for name, value in values.items():
                file[f"/{path}"].attrs[name] = value


def hdf5_tree(
    path: str | Path,
    refusal: str = "truncated, damaged or not an HDF5 file",
    error: type[LyapmapError] = LyapmapError,
    *,
    only: str = "",
) -> Tree:
    """What stands in an HDF5 file, or only the dataset or group of one path.

    Raises
    ------
    LyapmapError
        If it cannot be read, or points to other files.
    """
    about, arrays = apart(READER, path, refusal, error, only=only)
    tree = Tree(groups=about["groups"])
    for place, name, value in about["texts"]:
        _put(tree, place, name, value)
    for key, (place, name) in zip(arrays, about["places"], strict=True):
        _put(tree, place, name, arrays[key])
    for place in [*tree.groups, *tree.arrays]:
        tree.attributes.setdefault(place, {})
    return tree


def _put(tree: Tree, place: str, name: str | None, value: NDArray[Any] | Words) -> None:
    if name is None:
        tree.arrays[place] = value
    else:
        tree.attributes.setdefault(place, {})[name] = value


def read(path: str, *, room: int, only: str = "") -> Answer:
    """The reader itself, which runs in the child."""
    import h5py

    walk = _Walk(room)
    with h5py.File(path, "r") as file:
        start = file
        for part in filter(None, only.split("/")):
            start = walk.member(start, part)
            if start is None:
                raise LyapmapError(f"{path} has no {only!r}; it holds {', '.join(list(file)[:10]) or 'nothing'}")
        walk.visit(start, only.strip("/"), 0)
    arrays = {str(i): array for i, array in enumerate(walk.arrays)}
    return {"groups": walk.groups, "texts": walk.texts, "places": walk.places}, arrays


class _Walk:
    def __init__(self, room: int) -> None:
        self._room = room
        self._seen: set[Any] = set()
        self.groups: list[str] = []
        self.texts: list[tuple[str, str | None, Words]] = []
        self.places: list[tuple[str, str | None]] = []
        self.arrays: list[NDArray[Any]] = []

    def member(self, group: Any, name: str) -> Any:
        """What a name of a group stands for, if it is there; links that are no plain ones are refused."""
        import h5py

        link = group.get(name, getlink=True)
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise TypeError(f"{name[:60]!r} is a link to another file or place")
        return group[name]

    def visit(self, item: Any, place: str, depth: int) -> None:
        import h5py

        address = h5py.h5o.get_info(item.id).addr
        if address in self._seen or depth > DEEPEST:
            raise ValueError("its groups hold themselves")
        self._seen.add(address)
        for key, value in self._attributes(item):
            self._keep(place, key, value)
        if isinstance(item, h5py.Group):
            self.groups.append(place)
            for name in item:
                self.visit(self.member(item, name), f"{place}/{name}".lstrip("/"), depth + 1)
        elif isinstance(item, h5py.Dataset):
            if item.external or item.is_virtual:
                raise ValueError(f"{place[:60]!r} lies in another file")
            self._take(math.prod(item.shape or (0,)) * item.dtype.itemsize, item.dtype, place)
            self._keep(place, None, item[()])

    def _attributes(self, item: Any) -> Iterator[tuple[str, Any]]:
        for name in item.attrs:
            known = item.attrs.get_id(name)
            if known.dtype.kind == "O" and known.dtype.metadata and "vlen" not in known.dtype.metadata:
                continue  # references, by which netCDF binds axes to arrays
            if known.dtype.names is not None or (known.dtype.metadata or {}).get("vlen") not in (None, str, bytes):
                continue
            self._take(math.prod(known.shape or (0,)) * known.dtype.itemsize, known.dtype, name)
            yield name, item.attrs[name]

    def _take(self, size: int, dtype: Any, name: str) -> None:
        self._room -= size
        if self._room < 0:
            raise ValueError(f"{name[:60]!r} asks for more memory than a file of this size may")

    def _keep(self, place: str, name: str | None, value: Any) -> None:
        import h5py

        if isinstance(value, h5py.Empty):
            return
        if isinstance(value, bytes):
            value = value.decode("utf-8")
        if isinstance(value, str):
            self.texts.append((place, name, value))
            return
        array = np.asarray(value)
        if array.dtype.kind in "OSU":
            words = [w.decode("utf-8") if isinstance(w, bytes) else w for w in array.ravel().tolist()]
            if array.ndim > 1 or not all(isinstance(word, str) for word in words):
                raise ValueError(f"{place[:60]!r} holds neither numbers nor text")
            self.texts.append((place, name, words if array.ndim else words[0]))
            return
        self.places.append((place, name))
        self.arrays.append(array)
