"""Every row of docs/models.md is typed on the command line, with small files of each kind."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from command_line import run
from lyapmap.files import zoo

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
ROWS = dict(re.findall(r"^\| (.+?) \| `(lyapmap .+)` \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
SHORT = ("-n", 4, "--transient", 0, "-b", 1, "-k", 1, "--json")

MYNET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, width=2):
        super().__init__()
        self.inner = nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.Tanh(), nn.Conv2d(width, 3, 3, padding=1))

    def forward(self, x):
        return torch.tanh(self.inner(x))

def small():
    return Net(2)

torch.manual_seed(0)
network = Net().eval()
"""
JAXNET = """
import equinox, jax
from flax import linen

class Flax(linen.Module):
    @linen.compact
    def __call__(self, x):
        return linen.tanh(linen.Dense(3)(x))

class Equinox(equinox.Module):
    layer: equinox.nn.Linear

    def __init__(self, key):
        self.layer = equinox.nn.Linear(3, 3, key=key)

    def __call__(self, x):
        return jax.numpy.tanh(self.layer(x))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The current folder of a user, who has written two modules."""
    place = tmp_path_factory.mktemp("user")
    (place / "mynet.py").write_text(MYNET)
    (place / "jaxnet.py").write_text(JAXNET)
    path = list(sys.path)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        yield place
    sys.path[:] = path
    for name in ("mynet", "jaxnet"):
        sys.modules.pop(name, None)


def net(width: int = 2):
    sys.path.append("")
    from mynet import Net

    torch.manual_seed(width)
    return Net(width).eval()


def save_safetensors(path: Path) -> None:
    from safetensors.torch import save_file

    save_file(net().state_dict(), path)


def save_training(path: Path) -> None:
    weights = net().state_dict()
    averaged = {f"module.{name}": tensor / 2 for name, tensor in weights.items()}
    torch.save({"epoch": 3, "model_state_dict": weights, "ema": averaged, "optimizer": {"state": {}}}, path)


def save_lightning(path: Path) -> None:
    weights = {f"model.{name}": tensor for name, tensor in net(3).state_dict().items()}
    torch.save({"state_dict": weights, "hyper_parameters": {"width": 3, "rate": 0.1}, "epoch": 1}, path)


def save_script(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(net()).save(path)


def save_program(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(net(), (torch.zeros(2, 3, 32, 32),)), path)


def onnx_file(path: Path, batch: int | str = "n", *, timed: bool = False, operator: str = "Tanh") -> None:
    """x -> tanh(x W), or tanh(x W t) with a time step for every state."""
    onnx = pytest.importorskip("onnx")
    if find_spec("onnx2pytorch") is None:
        pytest.skip("needs onnx2pytorch")
    helper, kinds = onnx.helper, onnx.TensorProto
    inputs = [helper.make_tensor_value_info("x", kinds.FLOAT, [batch, 3])]
    weight = onnx.numpy_helper.from_array(np.float32([[0, 2, 0], [0, 0, 1], [3, 0, 0]]) / (10 if timed else 1), "w")
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"])]
    weights = [weight]
    if timed:
        inputs.append(helper.make_tensor_value_info("timestep", kinds.INT64, [batch]))
        weights.append(onnx.numpy_helper.from_array(np.int64([1]), "axis"))
        nodes += [
            helper.make_node("Cast", ["timestep"], ["t"], to=kinds.FLOAT),
            helper.make_node("Unsqueeze", ["t", "axis"], ["column"]),
            helper.make_node("Mul", ["h", "column"], ["timed"]),
        ]
    nodes.append(helper.make_node(operator, [nodes[-1].output[0]], ["y"]))
    output = helper.make_tensor_value_info("y", kinds.FLOAT, [batch, 3])
    graph = helper.make_graph(nodes, "net", inputs, [output], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)


def save_keras(path: Path) -> None:
    keras = pytest.importorskip("keras")
    pytest.importorskip("tensorflow")
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, "tanh")]).save(path)


def save_flax(path: Path) -> None:
    pytest.importorskip("flax")
    pytest.importorskip("equinox")
    sys.path.append("")
    import jax
    from flax import serialization
    from jaxnet import Flax

    path.write_bytes(serialization.to_bytes(Flax().init(jax.random.key(0), np.zeros((1, 3), np.float32))))


def save_equinox(path: Path) -> None:
    pytest.importorskip("flax")
    equinox = pytest.importorskip("equinox")
    sys.path.append("")
    import jax
    from jaxnet import Equinox

    equinox.tree_serialise_leaves(path, Equinox(jax.random.key(0)))


def save_diffusers(path: Path) -> None:
    diffusers = pytest.importorskip("diffusers")
    diffusers.UNet2DModel(
        sample_size=8,
        in_channels=1,
        out_channels=1,
        block_out_channels=(8, 8),
        norm_num_groups=4,
        layers_per_block=1,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
    ).save_pretrained(path)


def save_transformers(path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=11, n_positions=8)
    transformers.GPT2Model(config).save_pretrained(path)


def save_shards(folder: Path) -> None:
    from safetensors.torch import save_file

    folder.mkdir()
    places = {name: f"model-0000{1 + (i % 2)}-of-00002.safetensors" for i, name in enumerate(net().state_dict())}
    for file in set(places.values()):
        save_file({name: t for name, t in net().state_dict().items() if places[name] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))


MAKERS: dict[str, Callable[[Path], object]] = {
    "ours.pt": lambda path: shutil.copy(zoo.shipped()["cycle-digits-012"], path),
    "ckpt.pt": lambda path: torch.save(net().state_dict(), path),
    "wide.pth": lambda path: torch.save(net(5).state_dict(), path),
    "ckpt.safetensors": save_safetensors,
    "large": save_shards,
    "training.pt": save_training,
    "epoch.ckpt": save_lightning,
    "whole.pt": lambda path: torch.save(net(), path),
    "script.pt": save_script,
    "program.pt2": save_program,
    "net.onnx": onnx_file,
    "denoiser.onnx": lambda path: onnx_file(path, timed=True),
    "net.keras": save_keras,
    "net.msgpack": save_flax,
    "net.eqx": save_equinox,
    "unet": save_diffusers,
    "language": save_transformers,
}
SLOW = {"net.keras", "unet", "language"}
"""Whose libraries take seconds to import."""


def cases() -> Iterator[object]:
    for words, command in ROWS.items():
        name = shlex.split(command)[3]
        yield pytest.param(command, name, id=words[:50], marks=[pytest.mark.slow] if name in SLOW else [])


def test_the_page_has_its_rows() -> None:
    assert len(ROWS) >= 20
    assert set(MAKERS) <= {shlex.split(command)[3] for command in ROWS.values()}


@pytest.mark.parametrize(("command", "name"), list(cases()))
def test_a_row_does_what_it_says(folder: Path, command: str, name: str) -> None:
    if name in MAKERS and not (folder / name).exists():
        MAKERS[name](folder / name)
    done = run(*shlex.split(command)[1:], *SHORT)
    assert done.stdout, done.stderr
    record = json.loads(done.stdout)  # of a run too short for error bars, which the exit code says
    assert np.isfinite(record["exponents"]).all(), record
    assert "Loading" not in done.stderr
