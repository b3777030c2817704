"""Arrays of HDF5, NetCDF, Parquet and zarr, read in the child process by the libraries that own these formats."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.errors import LyapmapError, MissingExtraError
from lyapmap.core.reading.apart import Answer, apart, folder_apart
from lyapmap.core.reading.bounded import inside, opened
from lyapmap.core.reading.hdf5 import hdf5_tree

HDF5 = (".h5", ".hdf5", ".he5")
SUFFIXES = (*HDF5, ".nc", ".parquet", ".zarr")
"""How names of such files end; zarr's is a folder."""
REFUSED = "is not a readable file of numbers"
HERE = "lyapmap.data.stores"
DIMENSION_ALONE = "This is a netCDF dimension but not a netCDF variable"

PACKING = ("_FillValue", "missing_value", "scale_factor", "add_offset")

Arrays = dict[str, NDArray[Any]]


def parted(path: str | Path) -> tuple[Path, str]:
    """A file and, behind a colon, the path of an array within it.

    >>> file, inner = parted("run.h5:/states/x")
    >>> file.name, inner
    ('run.h5', 'states/x')
    """
    named = re.fullmatch(rf"(.*(?:{'|'.join(map(re.escape, SUFFIXES))})):/?(.*)", str(path), re.DOTALL)
    return (Path(named[1]), named[2].strip("/")) if named else (Path(path), "")


def read_store(path: Path, inner: str) -> Arrays:
    """Arrays of a file by name, or the one that a path within it names.

    Raises
    ------
    LyapmapError
        If it cannot be read, or there is no such array.
    MissingExtraError
        If the library is not installed.
    """
    suffix = path.suffix.lower()
    if suffix in HDF5 or suffix == ".nc":
        with opened(path) as file:
            classic = file.read(3) == b"CDF"
        arrays = _arrays_of(apart(f"{HERE}:classic_netcdf", path, REFUSED)) if classic else _of_hdf5(path, inner)
    elif suffix == ".parquet":
        _require("pyarrow", "reading Parquet")
        arrays = _arrays_of(apart(f"{HERE}:parquet", path, REFUSED))
    else:
        _require("zarr", "reading zarr")
        if not path.is_dir():
            raise LyapmapError(f"{path}: expected a folder, as zarr writes it")
        files = [inside(path, file.relative_to(path).as_posix()) for file in path.rglob("*") if not file.is_dir()]
        size = sum(file.stat().st_size for file in files)
        arrays = _arrays_of(folder_apart(f"{HERE}:zarr_arrays", path, size, REFUSED, only=inner))
    if inner and inner not in arrays:
        raise LyapmapError(f"{path} has no array {inner!r}; it holds {', '.join(arrays) or 'none'}")
    return {inner: arrays[inner]} if inner else arrays


def _require(package: str, purpose: str) -> None:
    if find_spec(package) is None:
        raise MissingExtraError(package, "files", purpose)


def _arrays_of(answer: Answer) -> Arrays:
    about, arrays = answer
    return {name: decoded(array, about.get(name, {})) for name, array in arrays.items()}


def _of_hdf5(path: Path, inner: str) -> Arrays:
    tree = hdf5_tree(path, REFUSED, only=inner)
    arrays = {}
    for name, array in tree.arrays.items():
        about = tree.attributes[name]
        if isinstance(array, np.ndarray) and not str(about.get("NAME", "")).startswith(DIMENSION_ALONE):
            arrays[name] = decoded(array, about)
    return arrays


def decoded(array: NDArray[Any], about: Mapping[str, Any]) -> NDArray[Any]:
    """Numbers of an array that NetCDF's conventions pack: scaled, shifted, and NaN where they say that there is none.

    >>> decoded(np.array([1, 2, -1]), {"scale_factor": 0.5, "add_offset": 10.0, "_FillValue": -1}).tolist()
    [10.5, 11.0, nan]
    """
    gaps = [np.ravel(about[name]) for name in ("_FillValue", "missing_value") if name in about]
    packed = {name: float(np.ravel(about[name])[0]) for name in ("scale_factor", "add_offset") if name in about}
    missing = np.isin(array, np.concatenate(gaps)) if gaps else np.zeros(array.shape, bool)
    if not packed and not missing.any():
        return array
    values = array.astype(np.float64) * packed.get("scale_factor", 1.0) + packed.get("add_offset", 0.0)
    values[missing] = np.nan
    return values


def classic_netcdf(path: str, *, room: int) -> Answer:
    """NetCDF 3, in the child."""
    from scipy.io import netcdf_file

    with netcdf_file(path, "r", mmap=False) as file:
        about, arrays = {}, {}
        for name, variable in file.variables.items():
            array = np.array(variable[...])
            if array.dtype.kind in "iuf":
                arrays[name] = array.astype(array.dtype.newbyteorder("="))
                said = {key: getattr(variable, key, None) for key in PACKING}
                about[name] = {key: np.ravel(value).tolist() for key, value in said.items() if value is not None}
    return about, arrays


def parquet(path: str, *, room: int) -> Answer:
    """Columns of numbers and of times (seconds), in the child."""
    import pyarrow
    import pyarrow.parquet

    pyarrow.set_cpu_count(1)
    file = pyarrow.parquet.ParquetFile(path)
    about = file.metadata
    asked = (
        sum(about.row_group(i).total_byte_size for i in range(about.num_row_groups))
        + 8 * about.num_rows * about.num_columns
    )
    if asked > room:
        raise ValueError(f"it asks for {asked} bytes, more than a file of its size may")
    arrays = {}
    for name, column in zip(file.schema_arrow.names, file.read(use_threads=False).columns, strict=True):
        if name.startswith("__index_level_"):  # numbers of rows, by which pandas finds them again
            continue
        if pyarrow.types.is_timestamp(column.type):
            stamps = column.cast(pyarrow.timestamp("us")).to_numpy().astype("datetime64[us]")
            arrays[name] = np.where(np.isnat(stamps), np.nan, stamps.astype(np.int64) / 1e6)
        elif pyarrow.types.is_boolean(column.type) or pyarrow.types.is_integer(column.type):
            whole = column.null_count == 0
            arrays[name] = column.to_numpy() if whole else column.cast(pyarrow.float64()).to_numpy()
        elif pyarrow.types.is_floating(column.type):
            arrays[name] = column.to_numpy()
    return {}, arrays


def zarr_arrays(path: str, *, room: int, only: str = "") -> Answer:
    """The arrays of a group and of those below it, or one, in the child."""
    import zarr

    start: Any = zarr.open(path, mode="r")
    start = start[only] if only else start
    arrays: Arrays = {}
    left = room

    def take(item: Any, name: str) -> None:
        nonlocal left
        if isinstance(item, zarr.Array):
            left -= item.nbytes
            if left < 0:
                raise ValueError(f"{name[:60]!r} asks for more memory than files of this size may")
            arrays[name] = np.asarray(item[...])
            return
        for key, member in item.members():
            take(member, f"{name}/{key}".lstrip("/"))

    take(start, only)
    return {}, arrays
