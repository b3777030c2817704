"""What torch saved, read without torch: the same values, no code, no memory for numbers that only stand in a pickle."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lyapmap.core.errors import CheckpointError
from lyapmap.files import zoo
from lyapmap.files.checkpoint import Checkpoint, build_module, load, save
from lyapmap.files.tensors import read_torch
from lyapmap.models.kaleidoscope.network import Kaleidoscope, KaleidoscopeConfig

GRID = torch.arange(12.0).reshape(3, 4)
VALUES: dict[Any, Any] = {
    "views": {"transposed": GRID.t(), "rows": GRID[1:], "scalar": torch.tensor(3), "none": torch.zeros(0, 3)},
    "types": {
        str(dtype): torch.tensor([0, 1, 1]).to(dtype)
        for dtype in (
            torch.float64,
            torch.float16,
            torch.bfloat16,
            torch.int8,
            torch.uint8,
            torch.bool,
            torch.complex64,
        )
    },
    "parameter": torch.nn.Parameter(GRID),
    "plain": [1, 2.5, "é", None, True, (1, (2,)), -(2**70)],
    "size": GRID.shape,
    7: OrderedDict(a=1),
}


def same(ours: Any, theirs: Any) -> None:
    if isinstance(theirs, torch.Tensor):
        assert ours.dtype == theirs.dtype
        assert ours.stride() == theirs.stride()
        assert torch.equal(ours, theirs)
    elif isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        for key, value in theirs.items():
            same(ours[key], value)
    else:
        assert ours == theirs


@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}, {"pickle_protocol": 4}])
def test_values_as_torch_reads_them(options: dict[str, Any], tmp_path: Path) -> None:
    torch.save(VALUES, tmp_path / "a.pt", **options)
    same(read_torch(tmp_path / "a.pt"), VALUES)


def test_a_state_dict_with_its_attributes(tmp_path: Path) -> None:
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    torch.save(net.state_dict(), tmp_path / "a.pt")
    same(read_torch(tmp_path / "a.pt"), dict(net.state_dict()))


class Evil:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("call", [(os.system, "touch pwned"), (eval, "open('pwned', 'w')"), (getattr, "a", "upper")])
@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}, {"pickle_protocol": 4}])
def test_no_code_is_run(
    call: tuple[Any, ...], options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"a": Evil(*call)}, tmp_path / "a.pt", **options)
    with pytest.raises(CheckpointError, match=r"refused, because it holds .* and would run code when loaded"):
        read_torch(tmp_path / "a.pt")
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.sparse_coo_tensor([[0]], [1.0], (2,)),
        lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
        lambda: torch.empty(3, device="meta"),
    ],
    ids=["sparse", "quantized", "meta"],
)
@pytest.mark.filterwarnings("ignore")
def test_tensors_without_plain_numbers_are_refused(make: Callable[[], torch.Tensor], tmp_path: Path) -> None:
    torch.save({"a": make()}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="refused, because it holds torch"):
        read_torch(tmp_path / "a.pt")


def rewritten(path: Path, change: Any) -> None:
    """A file of torch with another pickle in it."""
    with zipfile.ZipFile(path) as given:
        members = {name: given.read(name) for name in given.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, change(content) if name.endswith("data.pkl") else content)


def test_a_tensor_beyond_its_storage_is_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(5)}, tmp_path / "a.pt")
    # K\x05 is the number 5: of the storage, and of the shape.
    rewritten(tmp_path / "a.pt", lambda content: content.replace(b"K\x05\x85", b"K\x06\x85"))
    with pytest.raises(CheckpointError, match=r"shape \(6,\) lies beyond its storage of 5 values"):
        read_torch(tmp_path / "a.pt")
    torch.save({"a": torch.zeros(5)}, tmp_path / "a.pt")
    rewritten(tmp_path / "a.pt", lambda content: content.replace(b"K\x05", b"K\xff"))
    with pytest.raises(CheckpointError, match="a storage of 255 values has 20 bytes"):
        read_torch(tmp_path / "a.pt")


def laughs() -> Any:
    value: Any = ["ha"] * 10
    for _ in range(12):
        value = [value] * 10
    return value


def circle() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "value",
    [torch.zeros(1).expand(2**40), [torch.zeros(1).expand(2**24)] * 100, laughs(), circle()],
    ids=["expanded", "many times", "laughs", "circle"],
)
def test_values_that_would_fill_memory_are_refused(value: Any, tmp_path: Path) -> None:
    torch.save({"a": value}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="would take more memory than its size warrants"):
        read_torch(tmp_path / "a.pt")


@pytest.mark.parametrize("operation", [b"r\xff\xff\xff\x7f", b"\x96\xff\xff\xff\xff\x00\x00\x00\x00", b"\x82\x01"])
def test_operations_that_take_memory_by_a_number(operation: bytes, tmp_path: Path) -> None:
    torch.save([], tmp_path / "a.pt")
    rewritten(tmp_path / "a.pt", lambda _: b"\x80\x02]" + operation + b".")
    with pytest.raises(CheckpointError, match="damaged"):
        read_torch(tmp_path / "a.pt")


def test_a_compressed_storage_is_no_bomb(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(5)}, tmp_path / "a.pt")
    with zipfile.ZipFile(tmp_path / "a.pt") as given:
        members = {name: given.read(name) for name in given.namelist()}
    with zipfile.ZipFile(tmp_path / "a.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, bytes(2**27) if name.endswith("/0") else content)
    with pytest.raises(CheckpointError, match="would unpack to"):
        read_torch(tmp_path / "a.pt")


CONFIG = KaleidoscopeConfig((2,), depth=2, width=3)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize(
    "change",
    [
        {"depth": 10**7},
        {"depth": 10**12},
        {"depth": 1000},
        {"width": 10**9},
        {"width": 1000},
        {"width": 1.5},
        {"width": "3"},
        {"width": None},
        {"state_shape": [10**6, 10**6]},
        {"state_shape": 2},
        {"state_shape": []},
        {"output": []},
        {"more": 1},
    ],
    ids=str,
)
def test_a_config_that_asks_for_another_network_than_the_weights(
    change: dict[str, Any], suffix: str, tmp_path: Path
) -> None:
    config = CONFIG.to_dict() | change
    path = tmp_path / f"a{suffix}"
    save(Checkpoint("kaleidoscope", config, Kaleidoscope(CONFIG).state_dict(), torch.zeros(1, 2)), path)
    with pytest.raises(CheckpointError, match=f"a{suffix}"):
        zoo.load_saved(path)


def test_networks_of_other_threads_are_not_counted(tmp_path: Path) -> None:
    path = save(
        Checkpoint("kaleidoscope", CONFIG.to_dict(), Kaleidoscope(CONFIG).state_dict(), torch.zeros(1, 2)),
        tmp_path / "a.pt",
    )
    module, shape = build_module(load(path), path)
    assert shape == (2,)
    assert all(not parameter.is_meta for parameter in module.parameters())
    torch.nn.Sequential(*[torch.nn.Linear(1, 1) for _ in range(20)])  # the count has ended


def test_a_pickle_by_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(CheckpointError, match=r"not a file that torch\.save wrote"):
        read_torch(tmp_path / "a.pt")
