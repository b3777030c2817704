"""The child process: what happens to it is an error here, and the next file is read all the same."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from lyapmap.core.errors import DataError, LyapmapError
from lyapmap.core.reading import apart as child
from lyapmap.core.reading.apart import apart, each_apart
from lyapmap.core.reading.hdf5 import hdf5_tree

HERE = "reading_child"
FUNCTIONS = """
import os, time
import numpy as np
from lyapmap.core.errors import DataError


def length(path, *, room, start=0):
    print("libraries may print")
    data = open(path, "rb").read()
    return len(data) + start, {"bytes": np.frombuffer(data, np.uint8), "none": np.zeros((0, 3))}

def crash(path, *, room): os.kill(os.getpid(), 11)
def refuse(path, *, room): raise DataError(f"{path}: no good")
def fail(path, *, room): raise RecursionError("deep")
def much(path, *, room): return 0, {"a": np.ones(20 * room, np.uint8)}
def spin(path, *, room):
    while True: pass
def odd(path, *, room): return 0, {"a": np.array([None])}
def by_name(path, *, room):
    run = {"crash.bin": crash, "refuse.bin": refuse}.get(os.path.basename(path), length)
    return run(path, room=room)
"""


@pytest.fixture(scope="module", autouse=True)
def functions(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A module of functions that the child finds as it finds all others."""
    folder = tmp_path_factory.mktemp("functions")
    (folder / f"{HERE}.py").write_text(FUNCTIONS)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        child._end()
        child._child = None
        yield
    child._end()
    child._child = None


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.bin"
    path.write_bytes(b"12345")
    return path


def test_a_value_and_arrays_come_back(file: Path) -> None:
    value, arrays = apart(f"{HERE}:length", file, "bad", start=2)
    assert value == 7
    assert arrays["bytes"].tobytes() == b"12345"
    assert arrays["none"].shape == (0, 3)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("crash", "bad .the parser crashed, or took too much time"),
        ("refuse", "a.bin: no good"),
        ("fail", "bad .RecursionError: deep"),
        ("much", "bad .*Unable to allocate"),
        ("odd", "bad .TypeError: arrays of object"),
    ],
)
def test_whatever_happens_is_one_error_and_the_next_file_is_read(file: Path, name: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        apart(f"{HERE}:{name}", file, "bad", DataError)
    assert apart(f"{HERE}:length", file, "bad")[0] == 5


def test_a_parser_that_never_ends_is_ended(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "SECONDS", 1)
    begin = time.perf_counter()
    with pytest.raises(LyapmapError, match="took too much time"):
        apart(f"{HERE}:spin", file, "bad")
    assert time.perf_counter() - begin < 60


def test_many_files_at_once_in_their_order(tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.bin" for i in range(150)]
    for i, path in enumerate(paths):
        path.write_bytes(bytes(i))
    assert [value for value, _ in each_apart(f"{HERE}:by_name", paths, "bad")] == list(range(150))


@pytest.mark.parametrize("name", ["crash.bin", "refuse.bin"])
def test_the_file_that_is_bad_among_many_is_named(name: str, tmp_path: Path) -> None:
    paths = [tmp_path / other for other in ("a.bin", "b.bin", name, "d.bin")]
    for path in paths:
        path.write_bytes(b"1")
    with pytest.raises(LyapmapError, match=name):
        list(each_apart(f"{HERE}:by_name", paths, "bad"))
    assert apart(f"{HERE}:by_name", paths[0], "bad")[0] == 1


def test_threads_wait_for_each_other(tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.bin" for i in range(8)]
    for i, path in enumerate(paths):
        path.write_bytes(bytes(i))
    found: dict[int, int] = {}

    def read(i: int) -> None:
        found[i] = apart(f"{HERE}:length", paths[i], "bad")[0]

    threads = [threading.Thread(target=read, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {i: i for i in range(8)}


def test_modules_of_the_current_folder_are_not_imported(tmp_path: Path, file: Path) -> None:
    (tmp_path / "h5py.py").write_text("raise SystemExit('code beside the data was run')")
    with h5py.File(tmp_path / "a.h5", "w") as made:
        made["x"] = np.arange(3)
    program = "from lyapmap.core.reading.hdf5 import hdf5_tree; print(hdf5_tree('a.h5').array('x').sum())"
    source = str(Path(child.__file__).parents[3])
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": source},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "3"), done.stderr


def test_what_an_hdf5_file_holds(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.attrs.update({"words": "ä", "list": ["a", "b"], "number": 3, "bytes": np.array([b"x", b"y"])})
        file["deep/er/x"] = np.arange(6.0).reshape(2, 3)
        file["flags"] = np.array([True, False])
        file["text"] = "hello"
        file["complex"] = np.array([1 + 2j])
        file.create_group("empty").attrs["nothing"] = h5py.Empty("f")
    tree = hdf5_tree(path)
    assert tree.attributes[""]["words"] == "ä"
    assert tree.attributes[""]["list"] == ["a", "b"] == list(map(str, tree.attributes[""]["list"]))
    assert tree.attributes[""]["bytes"] == ["x", "y"]
    assert tree.array("deep/er/x").tolist() == [[0, 1, 2], [3, 4, 5]]
    assert tree.array("flags").tolist() == [True, False]
    assert tree.array("complex").tolist() == [1 + 2j]
    assert tree.arrays["text"] == "hello"
    assert tree.attributes["empty"] == {}
    assert hdf5_tree(path, only="deep/er/x").arrays.keys() == {"deep/er/x"}
    with pytest.raises(LyapmapError, match=r"has no 'deep/lost'; it holds complex, deep"):
        hdf5_tree(path, only="deep/lost")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        tree.write(file)
    again = hdf5_tree(tmp_path / "b.h5")
    assert again.arrays.keys() == tree.arrays.keys()
    assert again.attributes.keys() == tree.attributes.keys()


def elsewhere(file: h5py.File) -> None:
    file["link"] = h5py.ExternalLink("other.h5", "/secret")


def soft(file: h5py.File) -> None:
    file["link"] = h5py.SoftLink("/x")


def outside(file: h5py.File) -> None:
    file.create_dataset("raw", (4,), "u1", external=[("other.h5", 0, 4)])


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((3,), "f8")
    layout[:] = h5py.VirtualSource("other.h5", "secret", (3,))
    file.create_virtual_dataset("virtual", layout)


def huge(file: h5py.File) -> None:
    file.create_dataset("huge", (2**40,), "u1", chunks=True)


def circle(file: h5py.File) -> None:
    file.create_group("a")["b"] = file["/"]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (elsewhere, "is a link to another file"),
        (soft, "is a link to another file or place"),
        (outside, "lies in another file"),
        (virtual, "lies in another file"),
        (huge, "asks for more memory than a file of this size may"),
        (circle, "hold themselves"),
    ],
)
def test_files_that_point_elsewhere_or_ask_for_too_much(spoil: Any, said: str, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["secret"] = np.arange(3.0)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = 1.0
        spoil(file)
    with pytest.raises(LyapmapError, match=said):
        hdf5_tree(tmp_path / "a.h5")
