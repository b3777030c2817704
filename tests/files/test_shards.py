"""Weights in several files: found by their index or by their folder, and no file taken from elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

import lyapmap as lm
from lyapmap.core.errors import CheckpointError


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)).eval()


def saved(folder: Path, kind: str = "safetensors") -> Path:
    """Two shards and their index, as large models are published."""
    from safetensors.torch import save_file

    folder.mkdir(exist_ok=True)
    weights = net().state_dict()
    places = {name: f"model-0000{1 + name.startswith('2')}-of-00002.{kind}" for name in weights}
    for file in set(places.values()):
        part = {name: tensor for name, tensor in weights.items() if places[name] == file}
        if kind == "safetensors":
            save_file(part, folder / file)
        else:
            torch.save(part, folder / file)
    index = folder / f"model.{kind}.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return index


def agrees(model: lm.Model) -> bool:
    x = torch.tensor([[0.1, -0.4, 0.7]])
    with torch.no_grad():
        return torch.allclose(model.map.apply(x), net()(x))


@pytest.mark.parametrize("kind", ["safetensors", "bin"])
def test_an_index_or_its_folder_stands_for_all_files(tmp_path: Path, kind: str) -> None:
    index = saved(tmp_path / "large", kind)
    by_index = lm.load_model(index, network=net, state_shape=3)
    by_folder = lm.load_model(index.parent, network=net, state_shape=3)
    assert agrees(by_index)
    assert agrees(by_folder)
    assert by_index.map.provenance["sha256"] == by_folder.map.provenance["sha256"]


def test_a_folder_with_one_file_of_weights(tmp_path: Path) -> None:
    torch.save(net().state_dict(), tmp_path / "pytorch_model.bin")
    torch.save({"lr": 0.1}, tmp_path / "optimizer.bin")
    assert agrees(lm.load_model(tmp_path, network=net, state_shape=3))


def test_two_networks_in_one_folder_are_not_mixed(tmp_path: Path) -> None:
    for name in ("one.pt", "two.pt"):
        torch.save(net().state_dict(), tmp_path / name)
    with pytest.raises(CheckpointError, match=r"0\.bias stands in two of its files; give one of them, e\.g\. two\.pt"):
        lm.load_model(tmp_path, network=net, state_shape=3)


def test_one_shard_alone_says_what_it_is(tmp_path: Path) -> None:
    index = saved(tmp_path)
    with pytest.raises(CheckpointError, match=r"lacks 2\.weight.*one of several files of weights; give their folder"):
        lm.load_model(index.parent / "model-00001-of-00002.safetensors", network=net, state_shape=3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"weight_map": {"0.weight": "../other.safetensors"}}, "outside the folder"),
        ({"weight_map": {"0.weight": "missing.safetensors"}}, "names missing.safetensors, which is not beside it"),
        ({"weight_map": {"0.weight": 3}}, "no weight_map"),
        ({"weight_map": {}}, "no weight_map"),
        ([1], "no weight_map"),
    ],
)
def test_an_index_that_cannot_be_followed(tmp_path: Path, change: object, words: str) -> None:
    index = saved(tmp_path / "large")
    index.write_text(json.dumps(change))
    with pytest.raises(CheckpointError, match=words) as refusal:
        lm.load_model(index, network=net, state_shape=3)
    assert "\n" not in str(refusal.value)


def test_shards_do_not_run_code(tmp_path: Path) -> None:
    torch.save(net(), tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"^trust: pytorch_model\.bin is refused"):
        lm.load_model(tmp_path, network=net, state_shape=3)
