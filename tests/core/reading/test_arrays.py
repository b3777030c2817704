"""NumPy's files: the same arrays as NumPy reads, and nothing allocated for what a header only says."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from lyapmap.core.errors import LyapmapError
from lyapmap.core.reading.arrays import Archive, Arrays, npy, one_array

TYPES = st.one_of(
    arrays_of.scalar_dtypes().filter(lambda dtype: dtype.itemsize > 0),
    st.just(np.dtype([("a", "<f8"), ("b", "i2", 3)])),
)


@given(array=arrays_of.arrays(TYPES, arrays_of.array_shapes(min_dims=0, min_side=0, max_side=4)), fortran=st.booleans())
def test_arrays_as_numpy_reads_them(array: Any, fortran: bool, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "array.npy"
    array = np.asfortranarray(array) if fortran else array
    np.save(path, array)
    wanted = np.load(path)
    for back in (one_array(path), npy(path.read_bytes())):
        assert (back.dtype, back.shape, back.flags.writeable) == (wanted.dtype, wanted.shape, True)
        assert back.tobytes() == wanted.tobytes()


def header(shape: str, descr: str = "'<f8'") -> bytes:
    words = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + len(words).to_bytes(2, "little") + words


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (header("(10**15,)"), "malformed|shape"),
        (header("(1000000000000,)"), "asks for shape"),
        (header("(1000000000000, 0)"), "an axis is longer than memory"),
        (header("(-1,)"), "its shape is"),
        (header("(True,)"), "its shape is"),
        (header("(1,)") + bytes(7), "7 bytes follow"),
        (header("(1,)") + bytes(9), "9 bytes follow"),
        (header("(2,)", "'|O'") + bytes(16), "objects of Python"),
        (header("(2,)", "[('a', '|O')]") + bytes(16), "objects of Python"),
        (header("(9999999,)", "'<U0'"), "asks for shape"),
        (header("(" * 3000), "is not a readable file"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff", "version or length"),
        (b"\x93NUMPY\x09\x00\x01\x00 ", "version or length"),
        (b"\x80\x04K\x01.", "pickles are not read"),
        (b"", "does not begin"),
    ],
)
def test_headers_that_lie(data: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(data)
    with pytest.raises(LyapmapError, match=said):
        one_array(path)


def test_an_array_of_python_2(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(header("(2L, 1L)") + np.array([[1.0], [2.0]]).tobytes())
    assert one_array(path).tolist() == [[1.0], [2.0]]


def bomb(path: Path, size: int = 2**27, **options: Any) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        archive.writestr("a.npy", header(f"({size // 8},)") + bytes(size))
    return path


def test_a_zip_bomb_is_refused_by_its_directory(tmp_path: Path) -> None:
    with pytest.raises(LyapmapError, match=r"would unpack to \d+ bytes, which a file of \d+ bytes may not"):
        Arrays(bomb(tmp_path / "a.npz")).__enter__()


def test_a_member_that_unpacks_to_more_than_it_says(tmp_path: Path) -> None:
    path = bomb(tmp_path / "a.npz")
    data, size = path.read_bytes(), (2**27 + len(header(f"({2**24},)"))).to_bytes(4, "little")
    path.write_bytes(data.replace(size, (1000).to_bytes(4, "little")))
    with Arrays(path) as stored, pytest.raises(LyapmapError, match="is not a readable file of arrays"):
        stored["a"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_archives_that_are_odd(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", b"1")
        archive.writestr("a", b"2")
    with pytest.raises(LyapmapError, match="two members have the same name"), Archive(path):
        pass
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a", b"1")
    with pytest.raises(LyapmapError, match="a method other than deflate"), Archive(path):
        pass
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", b"12")
    with Archive(path) as opened, pytest.raises(LyapmapError, match="its a has 2 bytes, more than 1"):
        opened.read("a", most=1)
