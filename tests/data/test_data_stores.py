"""Arrays of HDF5, NetCDF, Parquet and zarr: as their own libraries write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas
import pytest
import scipy.io
import xarray

from command_line import run
from lyapmap.core.errors import LyapmapError
from lyapmap.data.tables import read_table

VALUES = np.random.default_rng(0).normal(size=(40, 2))


def hdf5(path: Path, **arrays: Any) -> Path:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return path


def test_an_array_of_an_hdf5_file(tmp_path: Path) -> None:
    path = hdf5(tmp_path / "a.h5", states=VALUES)
    np.testing.assert_array_equal(read_table(path).values, VALUES)
    np.testing.assert_array_equal(read_table(path, column=1).values, VALUES[:, 1])
    path = hdf5(tmp_path / "b.hdf5", **{"deep/x": VALUES, "deep/y": VALUES[:, 0]})
    np.testing.assert_array_equal(read_table(Path(f"{path}:/deep/x")).values, VALUES)
    np.testing.assert_array_equal(read_table(Path(f"{path}:deep/y")).values, VALUES[:, 0])
    with pytest.raises(LyapmapError, match=r"arrays deep/x, deep/y; name one behind a colon, as in b.hdf5:/d"):
        read_table(path)
    with pytest.raises(LyapmapError, match="has no 'deep/z'"):
        read_table(Path(f"{path}:/deep/z"))


@pytest.mark.parametrize("engine", ["h5netcdf", "scipy"])
def test_packed_numbers_of_netcdf_are_unpacked(engine: Any, tmp_path: Path) -> None:
    wanted = np.array([1.5, np.nan, -2.0, 0.25])
    packing = {"t": {"dtype": "i2", "scale_factor": 0.25, "add_offset": 1.0, "_FillValue": -999}}
    path = tmp_path / "a.nc"
    xarray.Dataset({"t": ("row", wanted)}).to_netcdf(path, engine=engine, encoding=packing)
    np.testing.assert_array_equal(read_table(path).values, wanted)


def test_a_variable_of_classic_netcdf(tmp_path: Path) -> None:
    with scipy.io.netcdf_file(tmp_path / "a.nc", "w") as file:
        file.createDimension("row", 3)
        for name in ("u", "v"):
            file.createVariable(name, "d", ("row",))[:] = [1.0, 2.0, 3.0]
    assert read_table(Path(f"{tmp_path / 'a.nc'}:/v")).values.tolist() == [1, 2, 3]


def test_columns_of_parquet(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "a.parquet"
    hours = pandas.date_range("2024-01-01", periods=40, freq="h")
    frame = pandas.DataFrame({"time": hours, "x": VALUES[:, 0], "n": np.arange(40), "word": "a"})
    frame.drop(index=7).to_parquet(path)
    table = read_table(path, in_time=True)
    assert (table.names, table.step) == (("x", "n"), 3600.0)
    assert np.isnan(table.values[7]).all()
    np.testing.assert_array_equal(table.values[8], [VALUES[8, 0], 8])
    assert read_table(path, column="n", in_time=True).values[0] == 0
    assert read_table(path, column="x").values.shape == (39,)
    with pytest.raises(LyapmapError, match=r"expected a column of .*, time, x, n, got y"):
        read_table(path, column="y")


def test_an_array_of_zarr(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    group.create_array("states", data=VALUES)
    np.testing.assert_array_equal(read_table(tmp_path / "a.zarr").values, VALUES)
    group.create_group("deep").create_array("x", data=VALUES[:, 0])
    np.testing.assert_array_equal(read_table(Path(f"{tmp_path / 'a.zarr'}:/deep/x")).values, VALUES[:, 0])
    with pytest.raises(LyapmapError, match="holds the arrays"):
        read_table(tmp_path / "a.zarr")


def test_zarr_that_asks_for_too_much_or_points_elsewhere(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    group.create_array("states", shape=(2**40,), dtype="u1", chunks=(2**20,))
    with pytest.raises(LyapmapError, match="asks for more memory"):
        read_table(tmp_path / "a.zarr")
    (tmp_path / "a.zarr" / "link").symlink_to("/etc/passwd")
    with pytest.raises(LyapmapError, match="lies outside the folder"):
        read_table(tmp_path / "a.zarr")


@pytest.mark.parametrize("name", ["a.h5", "a.nc", "a.parquet"])
def test_files_that_are_damaged(name: str, tmp_path: Path) -> None:
    for content in (b"", b"junk" * 100, b"PAR1", b"CDF\x01junk", b"\x89HDF\r\n\x1a\n" + bytes(100)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(LyapmapError, match="is not a readable file of numbers"):
            read_table(tmp_path / name)


def test_on_the_command_line(tmp_path: Path) -> None:
    path = hdf5(tmp_path / "a.h5", x=np.sin(np.arange(2000.0) ** 2), y=np.zeros(3))
    done = run("zero-one", "--series", f"{path}:/x", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["n_values"] == 2000
    done = run("zero-one", "--series", path)
    assert done.exit_code == 2
    assert "holds the arrays x, y; name one behind a colon" in " ".join(done.stderr.split())
