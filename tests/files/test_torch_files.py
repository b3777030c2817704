"""Torch files as people hold them: they compute what the network did, or say what would do."""

from __future__ import annotations

import copy
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import lyapmap as lm
from lyapmap.core.errors import LyapmapError
from lyapmap.files.torch_files import Batches, load_weights

STATE = (3, 4, 4)


class Net(nn.Module):
    def __init__(self, width: int = 2) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.last = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.last(torch.tanh(self.norm(self.first(x)))))


def net(width: int = 2) -> Net:
    torch.manual_seed(3)
    made = Net(width)
    with torch.no_grad():
        made(torch.randn(16, *STATE))  # running statistics of its own
    return made.eval()


def images_agree(model: lm.Model, network: nn.Module, tolerance: float = 1e-6) -> bool:
    x = torch.linspace(-1, 1, 96).reshape(2, *STATE)
    with torch.no_grad():
        wanted = network(x).reshape(2, -1).numpy()
    got = model.map.ops.to_numpy(model.map.apply(model.map.ops.from_numpy(x.reshape(2, -1).numpy())))
    return bool(np.allclose(got, wanted, rtol=0, atol=tolerance))


def saved(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


prefixes = st.lists(st.sampled_from(["module", "_orig_mod", "model", "net", "first"]), max_size=3)
places = st.lists(st.sampled_from(["state_dict", "model_state_dict", "model", "generator"]), max_size=2)


@settings(max_examples=12)
@given(prefixes, places)
def test_whatever_stands_around_the_weights(
    tmp_path_factory: pytest.TempPathFactory, prefix: list[str], nesting: list[str]
) -> None:
    network = net()
    content: Any = {".".join([*prefix, name]): tensor for name, tensor in network.state_dict().items()}
    for place in nesting:
        content = {place: content, "epoch": 4, "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]}}
    path = saved(tmp_path_factory.mktemp("any") / "ckpt.pt", content)
    assert images_agree(lm.load_model(path, network=Net, state_shape=STATE), network)


def test_an_instance_serves_as_the_network_and_is_not_changed(tmp_path: Path) -> None:
    path, other = saved(tmp_path / "ckpt.pth", net().state_dict()), Net().eval()
    before = copy.deepcopy(other.state_dict())
    assert images_agree(lm.load_model(path, network=other, state_shape=STATE), net())
    assert all(torch.equal(tensor, before[name]) for name, tensor in other.state_dict().items())


def test_hyper_parameters_make_the_network_and_arguments_go_before_them(tmp_path: Path) -> None:
    network = net(5)
    content = {"state_dict": network.state_dict(), "hyper_parameters": {"width": 5, "rate": 0.1}}
    path = saved(tmp_path / "a.ckpt", content)
    assert images_agree(lm.load_model(path, network=Net, state_shape=STATE), network)
    path = saved(tmp_path / "b.ckpt", content | {"hyper_parameters": {"width": 9}})
    given_arguments = {"width": 5}
    assert images_agree(lm.load_model(path, network=Net, network_args=given_arguments, state_shape=STATE), network)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_computes_in_float32_and_says_so(tmp_path: Path, dtype: torch.dtype) -> None:
    path = saved(tmp_path / "half.pt", {k: v.to(dtype) for k, v in net().state_dict().items() if v.is_floating_point()})
    model = lm.load_model(path, network=Net, state_shape=STATE)
    assert model.map.ops.dtype == "float32"
    assert model.map.provenance["stored"] == str(dtype).removeprefix("torch.")
    assert images_agree(model, net(), 2e-2)
    assert lm.wrap(nn.Linear(2, 2).to(dtype).eval(), state_shape=2).ops.dtype == "float32"


def normed(kind: Any) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, of the old way
        made = nn.Sequential(kind(nn.Linear(3, 3)), nn.Tanh())
    made(torch.randn(4, 3)).sum().backward()
    return made.eval()


class Cached(nn.Module):
    """Keeps what it computed in training, which torch's `deepcopy` refuses."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)
        self.features: Any = {}

    def forward(self, x: Tensor) -> Tensor:
        h = self.layer(x)
        if self.training:
            self.features = {"last": [h]}
        return torch.tanh(h)


@pytest.mark.parametrize("kind", [nn.utils.weight_norm, nn.utils.spectral_norm, nn.utils.parametrizations.weight_norm])
def test_trained_norms_of_weights_are_copied(kind: Any) -> None:
    network = normed(kind)
    x = torch.linspace(-1, 1, 6).reshape(2, 3)
    with torch.no_grad():
        assert torch.allclose(lm.wrap(network, state_shape=3).apply(x), network(x))


def test_cached_activations_are_copied() -> None:
    network = Cached()
    network(torch.ones(2, 3))
    with pytest.raises(RuntimeError, match="deepcopy"):
        copy.deepcopy(network)
    x = torch.linspace(-1, 1, 6).reshape(2, 3)
    assert torch.equal(lm.wrap(network.eval(), state_shape=3).apply(x), network(x).detach())
    assert network.features["last"][0].grad_fn is not None


class Fixed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[0] == 4
        return 2 * x


def test_batches_of_one_size_make_any_number_of_states() -> None:
    x = torch.arange(10.0).reshape(5, 2)
    assert torch.equal(Batches(Fixed().eval(), 4)(x), 2 * x)


def test_weights_beside_a_prefix_that_is_a_name_too() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    weights = {f"0.{name}": tensor for name, tensor in network.state_dict().items()}
    assert load_weights(network, weights, "file") == "0."


MORE = {f"more.{i}": torch.zeros(1) for i in range(5)}


def quantised() -> dict[str, Tensor]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {"first.weight": torch.quantize_per_tensor(torch.ones(2, 3), 0.1, 0, torch.qint8)}


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        (lambda: net().state_dict(), {}, "network: ckpt.pt holds weights"),
        (lambda: net().state_dict(), {"network": Net}, "state_shape: ckpt.pt needs the shape of one state"),
        (lambda: net(4).state_dict(), {"network": Net}, r"has shape .* and \d more are wrong; give the network_args"),
        (lambda: net().state_dict() | MORE, {"network": Net}, "more.0, more.1, more.2, and 2 more"),
        (lambda: {"first.weight": torch.zeros(2, 3, 3, 3)}, {"network": Net}, r"lacks first.bias, .*and \d+ more"),
        (lambda: net().state_dict(), {"network": "nowhere:Net"}, "network: no module named 'nowhere'"),
        (lambda: net().state_dict(), {"network": "torch.nn:Nothing"}, "network: torch.nn has no 'Nothing'"),
        (
            lambda: net().state_dict(),
            {"network": "torch"},
            "network: expected pkg.module:NAME, e.g. mynet:Net .*, got 'torch'",
        ),
        (lambda: net().state_dict(), {"network": nn.Conv2d}, "network: Conv2d cannot be made: .*network_args"),
        (lambda: net().state_dict(), {"network": dict}, "network: dict gave a dict, expected a torch module"),
        (
            lambda: {"a": net().state_dict(), "b": net().state_dict()},
            {"network": Net},
            "holds several networks, a, b; .*part",
        ),
        (lambda: {"a": net().state_dict()}, {"network": Net, "part": "c"}, "part: ckpt.pt holds 'a', got 'c'"),
        (lambda: {"epoch": 3}, {"network": Net}, "holds no weights"),
        (net, {}, "trust: ckpt.pt is refused"),
        (quantised, {"network": Net}, "quantised"),
        (lambda: {"first.weight": torch.eye(3).to_sparse()}, {"network": Net}, "sparse"),
        (lambda: {"first.weight": torch.zeros(2, 3, 3, 3, device="meta")}, {"network": Net}, "meta device"),
    ],
)
def test_what_cannot_be_used_says_what_would_do(tmp_path: Path, content: Any, options: Any, words: str) -> None:
    path = saved(tmp_path / "ckpt.pt", content())
    with pytest.raises(LyapmapError, match=words) as refusal:
        lm.load_model(path, **options)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [("net.pkl", "it is a pickle"), ("net.npz", "it holds arrays"), ("net.xyz", "expected a .pt")],
)
def test_files_of_other_kinds(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / name).write_bytes(json.dumps(name).encode())
    with pytest.raises(LyapmapError, match=words):
        lm.load_model(tmp_path / name)


class Failing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise KeyError("no such layer")


def test_what_a_network_raises_is_one_line_with_its_place(tmp_path: Path) -> None:
    path = saved(tmp_path / "whole.pt", Failing().eval())
    with pytest.raises(LyapmapError, match=r"^whole.pt: .*no such layer.*test_torch_files.py, line \d+"):
        lm.load_model(path, trust=True, state_shape=2)


class Timed(nn.Module):
    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return torch.tanh(x * t[:, None])


def test_a_program_that_takes_more_than_a_state(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(Timed().eval(), (torch.zeros(2, 3), torch.ones(2)))
        torch.export.save(program, tmp_path / "timed.pt2")
    for inputs in ({"t": 2}, [2.0], 2.0):
        model = lm.load_model(tmp_path / "timed.pt2", trust=True, inputs=inputs)
        x = np.array([[0.1, -0.2, 0.3]], np.float32)
        image = model.map.ops.to_numpy(model.map.apply(model.map.ops.from_numpy(x)))
        np.testing.assert_allclose(image, np.tanh(2 * x), rtol=1e-6)
    with pytest.raises(LyapmapError, match=r"^inputs: timed\.pt2 takes t beside the state, got 0 values"):
        lm.load_model(tmp_path / "timed.pt2", trust=True)
    with pytest.raises(LyapmapError, match="takes t beside the state, got time"):
        lm.load_model(tmp_path / "timed.pt2", trust=True, inputs={"time": 2})
