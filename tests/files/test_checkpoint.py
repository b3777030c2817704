"""Checkpoints: what is written comes back; what is damaged, unsafe or foreign is refused in one line."""

from __future__ import annotations

import json
import os
import pickle
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from lyapmap.core.errors import CheckpointError
from lyapmap.files.checkpoint import Checkpoint, load, load_weights, save

FORMATS = [".pt", ".safetensors"]


def trained() -> tuple[nn.Module, dict[Any, Any]]:
    """A small network and the state of its optimizer after a step."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    adam = torch.optim.Adam(network.parameters(), 1e-3, (0.5, 0.999))
    network(torch.randn(5, 3)).square().sum().backward()
    adam.step()
    return network, adam.state_dict()


@pytest.fixture
def checkpoint() -> Checkpoint:
    with torch.random.fork_rng():
        network, adam = trained()
        state = {"adam": adam, "rng": torch.get_rng_state(), "epoch": 3, "none": None, "seconds": 0.1 + 0.2}
        return Checkpoint(
            "cycle",
            {"width": 4, "dropout": 0.1, "name": "ünïcode\n", "flag": True},
            dict(network.state_dict()),
            torch.randn(2, 1, 8, 8),
            {"settings": {"classes": [0, 1, 2]}, "history": [{"epoch": 1, "losses": {"G": 1.5}}], "state": state},
        )


def same(a: Any, b: Any) -> None:
    if isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            same(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            same(x, y)
    else:
        assert type(a) is type(b)
        assert a == b


@pytest.mark.parametrize("suffix", FORMATS)
def test_round_trip(checkpoint: Checkpoint, suffix: str, tmp_path: Path) -> None:
    path = save(checkpoint, tmp_path / "new" / f"model{suffix}")
    found = load(path)
    for name in ("model", "config", "state_dict", "sample_states", "training"):
        same(getattr(checkpoint, name), getattr(found, name))
    assert len(found.sha256) == 64
    assert list(path.parent.iterdir()) == [path], "nothing is left beside it"


@pytest.mark.parametrize("suffix", FORMATS)
def test_optimizers_go_on_from_what_was_stored(checkpoint: Checkpoint, suffix: str, tmp_path: Path) -> None:
    stored = load(save(checkpoint, tmp_path / f"model{suffix}")).training["state"]["adam"]
    assert list(stored["state"]) == [0, 1, 2, 3], "integers, not text"

    def one_more_step(state: dict[Any, Any]) -> list[torch.Tensor]:
        network, _ = trained()
        adam = torch.optim.Adam(network.parameters(), 1.0)
        adam.load_state_dict(state)
        network(torch.ones(5, 3)).square().sum().backward()
        adam.step()
        return list(network.parameters())

    with torch.random.fork_rng():
        same(one_more_step(checkpoint.training["state"]["adam"]), one_more_step(stored))


def test_both_formats_hold_the_same(checkpoint: Checkpoint, tmp_path: Path) -> None:
    first = load(save(checkpoint, tmp_path / "a.pt"))
    second = load(save(first, tmp_path / "b.safetensors"))
    third = load(save(second, tmp_path / "c.pt"))
    same(first.training, third.training)
    same(first.state_dict, third.state_dict)
    assert len({first.sha256, second.sha256}) == 2


def test_tensors_whose_paths_look_alike_stay_apart(checkpoint: Checkpoint, tmp_path: Path) -> None:
    state = {"a": {"b": torch.zeros(1)}, "a.b": torch.ones(1), 0: torch.full((1,), 2.0), "0": torch.full((1,), 3.0)}
    found = load(save(replace(checkpoint, training=state), tmp_path / "m.safetensors"))
    same(state, found.training)


def test_shared_and_sliced_tensors(checkpoint: Checkpoint, tmp_path: Path) -> None:
    whole = torch.arange(12.0).reshape(3, 4)
    state = {"whole": whole, "again": whole, "columns": whole[:, 1:3], "turned": whole.T}
    for suffix in FORMATS:
        same(state, load(save(replace(checkpoint, training=state), tmp_path / f"m{suffix}")).training)


class Planted:
    """Runs a command when it is unpickled."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.proof}",)


def content_of(checkpoint: Checkpoint) -> dict[str, Any]:
    keys = ("model", "config", "state_dict", "sample_states", "training")
    return {"format": "lyapmap/1"} | {key: getattr(checkpoint, key) for key in keys}


def refused(path: Path) -> str:
    with pytest.raises(CheckpointError) as error:
        load(path)
    said = str(error.value)
    assert "\n" not in said
    assert said.startswith(str(path))
    assert len(said) < len(str(path)) + 200
    return said.removeprefix(str(path))


@pytest.mark.parametrize("where", ["training", "model", "state_dict", "extra"])
def test_a_planted_command_does_not_run(checkpoint: Checkpoint, where: str, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    bomb = Planted(proof)
    content = content_of(checkpoint)
    content[where] = {"weight": bomb} if where == "state_dict" else bomb
    torch.save(content, tmp_path / "m.pt")
    assert "would run code when loaded" in refused(tmp_path / "m.pt")
    assert "system" in refused(tmp_path / "m.pt"), "the culprit is named"
    # The bare pickle, and the same inside an archive of torch.
    (tmp_path / "bare.pt").write_bytes(pickle.dumps(bomb))
    assert "not a file that torch.save wrote" in refused(tmp_path / "bare.pt")
    torch.save(bomb, tmp_path / "legacy.pt", _use_new_zipfile_serialization=False)
    refused(tmp_path / "legacy.pt")
    assert not proof.exists()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.load(tmp_path / "m.pt", weights_only=False)
    assert proof.exists(), "the bomb is a real one"


def write_text(path: Path, _: Checkpoint) -> None:
    path.write_text("these are no weights")


def write_state_dict(path: Path, _: Checkpoint) -> None:
    torch.save(nn.Linear(2, 2).state_dict(), path)


def write_module(path: Path, _: Checkpoint) -> None:
    torch.save(nn.Linear(2, 2), path)


def write_array(path: Path, _: Checkpoint) -> None:
    torch.save({"format": "lyapmap/1", "loss": np.float64(1.0)}, path)


def write_list(path: Path, _: Checkpoint) -> None:
    torch.save([1, 2], path)


def write_script(path: Path, _: Checkpoint) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(nn.Linear(2, 2)), path)


def write_zip(path: Path, _: Checkpoint) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("paper/readme.txt", "a zip archive")


def write_zip_with_garbage(path: Path, _: Checkpoint) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/data.pkl", b"garbage")
        archive.writestr("m/version", "3\n")
        archive.writestr("m/byteorder", "little")


def write_truncated(path: Path, checkpoint: Checkpoint) -> None:
    save(checkpoint, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def write_damaged(path: Path, checkpoint: Checkpoint) -> None:
    save(checkpoint, path)
    content = bytearray(path.read_bytes())
    for i in range(100, len(content) // 2):
        content[i] ^= 0x55
    path.write_bytes(content)


def write_empty(path: Path, _: Checkpoint) -> None:
    path.touch()


def write_other_format(path: Path, checkpoint: Checkpoint) -> None:
    torch.save(content_of(checkpoint) | {"format": "lyapmap/2"}, path)


def write_odd_format(path: Path, checkpoint: Checkpoint) -> None:
    torch.save(content_of(checkpoint) | {"format": torch.zeros(9, 9)}, path)


def write_without_config(path: Path, checkpoint: Checkpoint) -> None:
    content = content_of(checkpoint)
    del content["config"]
    torch.save(content, path)


def write_states_as_list(path: Path, checkpoint: Checkpoint) -> None:
    torch.save(content_of(checkpoint) | {"sample_states": [0.0]}, path)


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (write_text, ": not a file that torch.save wrote"),
        (write_state_dict, ": not a lyapmap checkpoint (a dict with keys 'weight', 'bias')"),
        (write_module, ": refused, because it holds torch.nn.modules.linear.Linear and would run code"),
        (write_array, ": refused, because it holds numpy"),
        (write_list, ": not a lyapmap checkpoint (it holds a list)"),
        (write_script, ": refused, because it is a TorchScript program"),
        (write_zip, ": a zip archive, but not one that torch.save wrote"),
        (write_zip_with_garbage, ": truncated or damaged ("),
        (write_truncated, ": truncated or damaged"),
        (write_damaged, ": truncated or damaged ("),
        (write_empty, ": empty"),
        (write_other_format, ": format 'lyapmap/2', this version reads 'lyapmap/1'"),
        (write_odd_format, ": format of type Tensor"),
        (write_without_config, ": the checkpoint has no 'config'"),
        (write_states_as_list, ": 'sample_states' is of type list, expected Tensor"),
    ],
)
def test_what_pt_files_are_refused_for(
    write: Callable[[Path, Checkpoint], None], said: str, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    write(tmp_path / "m.pt", checkpoint)
    assert refused(tmp_path / "m.pt").startswith(said)


def test_every_cut_is_noticed(checkpoint: Checkpoint, tmp_path: Path) -> None:
    for suffix in FORMATS:
        whole = save(checkpoint, tmp_path / f"whole{suffix}").read_bytes()
        for part in np.linspace(0, len(whole) - 1, 25).astype(int):
            (tmp_path / f"cut{suffix}").write_bytes(whole[:part])
            refused(tmp_path / f"cut{suffix}")


def with_header(checkpoint: Checkpoint, path: Path, change: dict[str, str]) -> None:
    """Write the checkpoint as safetensors with some of its metadata changed."""
    from safetensors import safe_open

    with safe_open(save(checkpoint, path), framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        header = dict(file.metadata())
    save_file(tensors, path, metadata=header | change)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": json.dumps("other/1")}, ": format 'other/1', this version reads 'lyapmap/1'"),
        ({"format": "pt"}, ": format 'pt'"),
        ({"config": "{"}, ": damaged header"),
        ({"config": '{"pairs": 3}'}, ": damaged header"),
        ({"config": '{"pairs": [[[1], 2]]}'}, ": damaged header"),
        ({"config": "{}"}, ": damaged header"),
        ({"config": "[" * 100_000}, ": damaged header"),
        ({"sample_states": '{"__tensor__": "not there"}'}, ": damaged header"),
        ({"config": "3"}, ": 'config' is of type int, expected dict"),
    ],
)
def test_what_safetensors_files_are_refused_for(
    change: dict[str, str], said: str, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    with_header(checkpoint, tmp_path / "m.safetensors", change)
    assert refused(tmp_path / "m.safetensors").startswith(said)


def test_safetensors_of_another_program(tmp_path: Path) -> None:
    for metadata in (None, {"framework": "elsewhere"}):
        save_file({"weight": torch.zeros(2)}, tmp_path / "m.safetensors", metadata=metadata)
        assert refused(tmp_path / "m.safetensors") == ": not a lyapmap checkpoint (it has no header of ours)"


@pytest.mark.parametrize("write", [write_text, write_empty, write_state_dict, write_truncated])
def test_what_is_no_safetensors_file(
    write: Callable[[Path, Checkpoint], None], checkpoint: Checkpoint, tmp_path: Path
) -> None:
    write(tmp_path / "m.safetensors", checkpoint)
    assert refused(tmp_path / "m.safetensors").startswith(": truncated or not a safetensors file")


def test_wrong_suffix_and_missing_file(checkpoint: Checkpoint, tmp_path: Path) -> None:
    assert refused(tmp_path / "m.pth") == ": expected a file that ends in .pt or .safetensors"
    assert refused(tmp_path / "m.pt") == ": no such file"
    (tmp_path / "folder.pt").mkdir()
    assert refused(tmp_path / "folder.pt") == ": no such file"
    with pytest.raises(CheckpointError, match="expected a file that ends in"):
        save(checkpoint, tmp_path / "m.bin")


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(
    ("training", "said"),
    [
        ({"loss": np.float64(1.0)}, "training.loss is a float64, expected a tensor or a plain value"),
        ({"history": [{"x": np.zeros(2)}]}, "training.history.0.x is a ndarray"),
        ({"path": Path("x")}, "training.path is a PosixPath"),
        ({("a", 1): 2}, r"training has the key \('a', 1\), expected text or an integer"),
        ({"set": {1}}, "training.set is a set"),
    ],
)
def test_what_could_not_be_read_back_is_not_written(
    suffix: str, training: dict, said: str, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    path = save(checkpoint, tmp_path / f"m{suffix}")
    with pytest.raises(CheckpointError, match=said):
        save(replace(checkpoint, training=training), path)
    same(load(path).training, checkpoint.training)
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(checkpoint, tmp_path / "m.pt")

    def fail(_: object, file: Path) -> None:
        Path(file).write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        save(checkpoint, path)
    monkeypatch.undo()
    load(path)
    assert list(tmp_path.iterdir()) == [path]


def weights(**changes: Any) -> dict[str, Any]:
    return {"weight": torch.ones(2, 3), "bias": torch.ones(2)} | changes


def test_weights_are_put_in(checkpoint: Checkpoint) -> None:
    module = nn.Linear(3, 2)
    load_weights(module, replace(checkpoint, state_dict=weights()), "m.pt")
    assert (module.weight == 1).all()
    assert (module.bias == 1).all()


@pytest.mark.parametrize(
    ("state_dict", "said"),
    [
        ({"weight": torch.ones(2, 3)}, "m.pt: the state dict has no 'bias'"),
        (weights(extra=torch.ones(1)), "m.pt: the state dict holds 'extra', which the model does not have"),
        (weights(weight=torch.ones(2, 4)), r"m.pt: 'weight' has shape \(2, 4\), the config asks for \(2, 3\)"),
        (weights(bias=1.0), "m.pt: 'bias' has shape float"),
        (weights(bias=torch.ones(2).double()), "m.pt: 'bias' is torch.float64, the model has torch.float32"),
    ],
)
def test_weights_that_do_not_fit(checkpoint: Checkpoint, state_dict: dict[str, Any], said: str) -> None:
    module = nn.Linear(3, 2)
    before = module.weight.clone()
    with pytest.raises(CheckpointError, match=said):
        load_weights(module, replace(checkpoint, state_dict=state_dict), "m.pt")
    assert torch.equal(module.weight, before)
