"""Torch modules and functions as maps: their tangents against torch's own reverse mode."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import jvp, vmap

import lyapmap as lm
from lyapmap.backends.torch.dual import Dual, NoRule, carry
from lyapmap.backends.torch.map import wrap_torch
from lyapmap.core.errors import LyapmapError, MapError, PrecisionError, ShapeError
from lyapmap.core.map import TangentMap
from lyapmap.models.cycle.network import CycleConfig, Generator

DTYPES = {"float32": torch.float32, "float64": torch.float64}
IMAGE = (4, 6, 6)


def attention(size: int) -> Callable[[Tensor], Tensor]:
    layer = nn.MultiheadAttention(size, 2, batch_first=True).eval().requires_grad_(False)
    return lambda x: layer(x, x, x, need_weights=False)[0]


class ByName(nn.Module):
    """Layers called with keyword arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel, self.shift = nn.Parameter(torch.randn(4, 4, 3, 3)), nn.Parameter(torch.randn(4))
        self.gain = nn.Parameter(torch.randn(6))

    def forward(self, x: Tensor) -> Tensor:
        x = F.conv2d(input=x, weight=self.kernel, bias=self.shift, stride=1, padding="same")
        return F.layer_norm(input=x, normalized_shape=(6,), weight=self.gain, bias=None, eps=1e-3)


LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "Linear": (lambda: nn.Linear(5, 5), (5,)),
    "Linear without bias": (lambda: nn.Linear(5, 5, bias=False), (5,)),
    "Conv1d": (lambda: nn.Conv1d(3, 3, 3, padding=1), (3, 7)),
    "Conv2d": (lambda: nn.Conv2d(4, 4, 3, padding=1), IMAGE),
    "Conv2d, stride": (
        lambda: nn.Sequential(nn.Conv2d(4, 16, 2, stride=2), nn.PixelShuffle(2)),
        IMAGE,
    ),
    "Conv2d, groups and dilation": (lambda: nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=2, bias=False), IMAGE),
    "Conv2d, circular": (lambda: nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"), IMAGE),
    "Conv3d": (lambda: nn.Conv3d(2, 2, 3, padding=1), (2, 3, 3, 3)),
    "ConvTranspose1d": (lambda: nn.ConvTranspose1d(3, 3, 3, padding=1), (3, 7)),
    "ConvTranspose2d": (
        lambda: nn.Sequential(nn.Conv2d(4, 8, 3, 2, 1), nn.ConvTranspose2d(8, 4, 3, 2, 1, output_padding=1)),
        IMAGE,
    ),
    "LayerNorm, one axis": (lambda: nn.LayerNorm(6), IMAGE),
    "LayerNorm, two axes": (lambda: nn.LayerNorm((6, 6)), IMAGE),
    "LayerNorm, three axes": (lambda: nn.LayerNorm(IMAGE), IMAGE),
    "LayerNorm without affine": (lambda: nn.LayerNorm(IMAGE, elementwise_affine=False), IMAGE),
    "LayerNorm without bias": (lambda: nn.LayerNorm((6, 6), bias=False), IMAGE),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4), IMAGE),
    "InstanceNorm2d": (lambda: nn.InstanceNorm2d(4, affine=True), IMAGE),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(4), IMAGE),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(5), (5,)),
    "AvgPool2d, Upsample nearest": (lambda: nn.Sequential(nn.AvgPool2d(2), nn.Upsample(scale_factor=2)), IMAGE),
    "MaxPool2d, Upsample bilinear": (
        lambda: nn.Sequential(nn.MaxPool2d(2), nn.Upsample(scale_factor=2, mode="bilinear")),
        IMAGE,
    ),
    "PixelShuffle": (lambda: nn.Sequential(nn.PixelUnshuffle(2), nn.PixelShuffle(2)), IMAGE),
    "Dropout": (lambda: nn.Dropout(0.5), (5,)),
    "GELU": (lambda: nn.GELU(), (5,)),
    "SiLU": (lambda: nn.SiLU(), (5,)),
    "LeakyReLU": (lambda: nn.LeakyReLU(0.1), (5,)),
    "Tanh": (lambda: nn.Tanh(), (5,)),
    "Softmax": (lambda: nn.Softmax(-1), (3, 5)),
    "spectral norm": (lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(5, 5)), (5,)),
    "TransformerEncoderLayer": (lambda: nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), (3, 4)),
    "keyword arguments": (ByName, IMAGE),
    "cycle generator": (lambda: Generator(CycleConfig(image_size=8, width=4)), (1, 8, 8)),
}


def made(name: str, dtype: str = "float32") -> tuple[nn.Module, tuple[int, ...]]:
    """A layer in evaluation mode, with weights that leave nothing out."""
    torch.manual_seed(0)
    make, shape = LAYERS[name]
    module = make()
    for tensor in [*module.parameters(), *module.buffers()]:
        if tensor.is_floating_point() and tensor.ndim == 1:
            nn.init.uniform_(tensor, 0.5, 1.5)
    return module.to(DTYPES[dtype]).eval(), shape


def states(m: Any, b: int = 3, k: int = 4) -> tuple[Tensor, Tensor]:
    rng, n = np.random.default_rng(1), int(np.prod(m.state_shape))
    return m.ops.from_numpy(rng.standard_normal((b, n))), m.ops.from_numpy(rng.standard_normal((b, n, k)))


def by_reverse_mode(function: Callable[[Tensor], Tensor], m: Any, x: Tensor) -> Tensor:
    """Jacobians (b, n, n), one row of states at a time."""

    def flat(row: Tensor) -> Tensor:
        return function(row.reshape(1, *m.state_shape)).flatten()

    return torch.stack([torch.autograd.functional.jacobian(flat, row) for row in x])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LAYERS)
def test_tangents_are_those_of_reverse_mode(name: str, dtype: str) -> None:
    module, shape = made(name, dtype)
    m = wrap_torch(module, state_shape=shape, dtype=dtype)
    x, v = states(m)
    y, tangents = m.jvp(x, v)
    tolerance = {"atol": 1e-11, "rtol": 1e-10} if dtype == "float64" else {"atol": 2e-4, "rtol": 1e-3}
    torch.testing.assert_close(y, module(x.unflatten(1, shape)).flatten(1).detach(), **tolerance)
    torch.testing.assert_close(tangents, by_reverse_mode(module, m, x) @ v, **tolerance)
    assert m.ops.dtype == dtype


@pytest.mark.parametrize("name", ["LayerNorm, two axes", "Conv2d, groups and dilation", "cycle generator"])
def test_the_jacobian_is_that_of_reverse_mode(name: str) -> None:
    module, shape = made(name, "float64")
    m = wrap_torch(module, state_shape=shape)
    x, _ = states(m, b=2)
    torch.testing.assert_close(m.jacobian(x), by_reverse_mode(module, m, x), atol=1e-11, rtol=1e-10)


def both_ways(function: Callable[[Any], Any], shape: tuple[int, ...]) -> tuple[Any, Any]:
    """Images and tangents by our rules and by torch."""
    x, v = torch.randn(2, *shape, dtype=torch.float64), torch.randn(3, 2, *shape, dtype=torch.float64)
    with torch.no_grad():
        theirs = vmap(lambda t: jvp(function, (x,), (t,)), out_dims=(None, 0))(v)  # type: ignore[arg-type]
        return carry(function, x, v), theirs


RULES = ("Conv", "Linear", "LayerNorm", "LeakyReLU", "Tanh", "dropout", "cycle")
NO_RULES = ("circular", "stride")  # the one with a stride shuffles pixels


@pytest.mark.parametrize("name", [n for n in LAYERS if n.startswith(RULES) and not n.endswith(NO_RULES)])
def test_our_rules_give_what_torch_gives(name: str) -> None:
    module, shape = made(name, "float64")
    for mine, theirs in zip(*both_ways(module.requires_grad_(False), shape), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: torch.relu(x) + 2 * x - x / 3,
        lambda x: torch.sigmoid(x) * torch.tanh(x) + 1,
        lambda x: -(x * x).tanh(),
        lambda x: F.pad(x, (1, 0, 2, 1), value=3.0)[..., 1:-1, :3],
        lambda x: x.flatten(1).unflatten(1, (3, 4, 5)).movedim(1, -1),
        lambda x: F.leaky_relu(torch.flatten(x, 1), 0.3) - x.flatten(1),
    ],
)
def test_our_rules_for_functions_give_what_torch_gives(function: Callable[[Any], Any]) -> None:
    for mine, theirs in zip(*both_ways(function, (3, 4, 5)), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-13, rtol=1e-13)


@pytest.mark.parametrize(
    "function",
    [
        torch.lgamma,
        lambda x: x if x.mean() > 0 else -x,
        lambda x: F.dropout(x, 0.5),
        lambda x: F.conv1d(x, x),
        lambda x: x[torch.tensor([0])],
        lambda x: torch.zeros(2, 3, 4),
    ],
)
def test_what_has_no_rule_says_so(function: Callable[[Any], Any]) -> None:
    with pytest.raises(NoRule):
        carry(function, torch.randn(2, 3, 4), torch.randn(5, 2, 3, 4))


def test_rules_that_disagree_with_torch_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    from lyapmap.backends.torch import dual as torch_dual

    def wrong(func: Any, x: Any) -> Dual:
        return Dual(func(x.image), -x.tangents)

    monkeypatch.setitem(torch_dual._RULES, torch.tanh, wrong)
    m = wrap_torch(torch.tanh, state_shape=(3,), dtype="float64")
    x, v = states(m)
    torch.testing.assert_close(m.jvp(x, v)[1], (1 - torch.tanh(x) ** 2)[:, :, None] * v)


def test_a_branch_without_a_rule_falls_back_to_torch() -> None:
    """Seen only while it runs, for states outside those on which the map was tried."""
    calls = []

    def function(x: Any) -> Any:
        calls.append(type(x))
        return torch.sin(x) if len(calls) > 3 else torch.tanh(x)

    m = wrap_torch(function, state_shape=(3,), dtype="float64")
    x, v = states(m)
    torch.testing.assert_close(m.jvp(x, v)[1], torch.cos(x)[:, :, None] * v)


KERNEL, GAIN = torch.randn(4, 4, 3, 3, dtype=torch.float64), torch.rand(6, dtype=torch.float64)


def modulated(x: Tensor) -> Tensor:
    """A convolution whose weights depend on the state (T. Karras et al. 2020)."""
    b = len(x)
    style = torch.sigmoid(x.mean((2, 3)))
    weight = (KERNEL * style[:, None, :, None, None]).flatten(0, 1)
    return F.conv2d(x.reshape(1, -1, *x.shape[2:]), weight, padding=1, groups=b).reshape(x.shape)


FUNCTIONS: dict[str, tuple[Callable[[Tensor], Tensor], tuple[int, ...]]] = {
    "elementwise": (lambda x: torch.sin(x) * x, (5,)),
    "identity": (lambda x: x, (5,)),
    "constant": (lambda x: torch.zeros_like(x), (5,)),
    "in place on its own tensor": (lambda x: x.clone().mul_(2).sin_(), (5,)),
    "a kernel computed from the state": (modulated, IMAGE),
    "a bias computed from the state": (vmap(lambda x: F.conv2d(x, KERNEL, x.mean((1, 2)), padding=1)), IMAGE),
    "a norm conditioned on the state": (vmap(lambda x: F.layer_norm(x, (6,), torch.sigmoid(x), 2 * x)), (6,)),
    "vmap over layer norm": (vmap(lambda x: F.layer_norm(x, (6,), GAIN)), (6,)),
    "vmap over a convolution": (vmap(lambda x: F.conv2d(x, KERNEL, padding=1)), IMAGE),
    "convolution of one state": (lambda x: torch.stack([F.conv2d(row, KERNEL, padding=1) for row in x]), IMAGE),
    "attention": (lambda x: F.scaled_dot_product_attention(x, x, x), (3, 4)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_plain_functions_are_carried_too(name: str) -> None:
    function, shape = FUNCTIONS[name]
    m = wrap_torch(function, state_shape=shape, dtype="float64")
    x, v = states(m)
    y, tangents = m.jvp(x, v)
    torch.testing.assert_close(y, function(x.unflatten(1, shape)).flatten(1))
    torch.testing.assert_close(tangents, by_reverse_mode(function, m, x) @ v, atol=1e-12, rtol=1e-10)


def test_the_module_stays_as_it_was() -> None:
    module, shape = made("cycle generator")
    before = copy.deepcopy(module.state_dict())
    m = wrap_torch(module, state_shape=shape, dtype="float64")
    m.jacobian(states(m, b=1)[0])
    after = module.state_dict()
    assert list(after) == list(before)
    for name, tensor in before.items():
        assert after[name].dtype == tensor.dtype
        assert torch.equal(after[name], tensor)
    assert not module.training
    assert all(p.requires_grad and p.grad is None for p in module.parameters())


def test_later_training_of_the_module_does_not_change_the_map() -> None:
    module, shape = made("Linear")
    m = wrap_torch(module, state_shape=shape)
    x, _ = states(m)
    before = m.apply(x).clone()
    module.train()
    optimizer = torch.optim.SGD(module.parameters(), lr=1.0)
    module(x).square().sum().backward()
    optimizer.step()
    assert torch.equal(m.apply(x), before)


@pytest.mark.parametrize("memory_limit", [1, 10_000, 50_000, 2**30])
def test_chunks_of_any_size_give_the_same_numbers(memory_limit: int) -> None:
    module, shape = made("cycle generator", "float64")
    m = wrap_torch(module, state_shape=shape, memory_limit=memory_limit)
    one_go = wrap_torch(module, state_shape=shape)
    x, v = states(m, b=3, k=4)
    assert m.rows_at_once < one_go.rows_at_once or memory_limit == 2**30
    torch.testing.assert_close(m.apply(x), one_go.apply(x), atol=1e-13, rtol=1e-12)
    for mine, theirs in zip(m.jvp(x, v), one_go.jvp(x, v), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-13, rtol=1e-12)


def test_a_larger_memory_limit_carries_more_rows_at_once() -> None:
    module, shape = made("cycle generator")
    rows = [wrap_torch(module, state_shape=shape, memory_limit=limit).rows_at_once for limit in (1, 10**5, 10**6)]
    assert rows[0] == 1
    assert rows == sorted(set(rows))


def test_no_directions_are_allowed() -> None:
    m = wrap_torch(made("Tanh")[0], state_shape=(5,))
    x, v = states(m, k=0)
    y, tangents = m.jvp(x, v)
    assert torch.equal(y, torch.tanh(x))
    assert tangents.shape == (3, 5, 0)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.enable_grad, torch.inference_mode])
def test_the_mode_of_the_caller_does_not_matter(mode: Any) -> None:
    m = wrap_torch(made("LayerNorm, one axis", "float64")[0], state_shape=IMAGE)
    x, v = states(m)
    wanted = m.jvp(x, v)
    with mode():
        found = m.jvp(x, v)
        image = m.apply(x)
    assert not any(part.requires_grad for part in (*found, image))
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(found, wanted, strict=True))


def test_expanded_states_that_share_memory_are_carried() -> None:
    m = wrap_torch(made("Linear")[0], state_shape=(5,))
    x, v = states(m, b=1)
    twice = m.jvp(x.expand(2, 5), v.expand(2, 5, 4))[1]
    torch.testing.assert_close(twice[1], m.jvp(x, v)[1][0])


def test_weights_that_ask_for_gradients_do_no_harm_in_a_plain_function() -> None:
    layer = nn.Conv2d(4, 4, 3, padding=1).double()
    m = wrap_torch(lambda x: F.layer_norm(layer(x), (6,)), state_shape=IMAGE, dtype="float64")
    x, v = states(m)
    tangents = m.jvp(x, v)[1]
    assert not tangents.requires_grad
    assert layer.weight.grad is None


TWO = nn.Sequential(nn.Linear(5, 5), nn.Linear(5, 5).double())
ON_META = nn.Sequential(nn.Linear(5, 5), nn.Linear(5, 5, device="meta"))


@pytest.mark.parametrize(
    ("function", "options", "error", "message"),
    [
        (nn.Dropout(), {}, MapError, "module: the module itself is in training mode"),
        (nn.Sequential(nn.Dropout()).eval().append(nn.Dropout()), {}, MapError, "module: 1 is in training mode"),
        (
            lambda x: (x, x),
            {},
            MapError,
            "function: it returns several arrays; say which is the next state: output=0 or 1",
        ),
        (lambda x: None, {}, MapError, "function: expected it to return a tensor, got NoneType"),
        (lambda x: x[:, :2], {}, ShapeError, "function: expected (2, 5) for two states of shape (5,), got (2, 2)"),
        (lambda x: x.double(), {}, PrecisionError, "function: expected torch.float32 back, got torch.float64"),
        (lambda x: x.mul_(2), {}, MapError, "function: it changes the states it is given; let it work on x.clone()"),
        (lambda x: x > 0, {}, PrecisionError, "function: expected torch.float32 back, got torch.bool"),
        (nn.Linear(4, 5).eval(), {}, MapError, "function: failed on states of shape (2, 5): mat1 and mat2 shapes"),
        (nn.Tanh().eval(), {"dtype": "int64"}, PrecisionError, "dtype: expected 'float32' or 'float64', got 'int64'"),
        (TWO.eval(), {}, PrecisionError, "module: holds torch.float32, torch.float64; give the dtype"),
        (ON_META.eval(), {}, MapError, "module: 1.weight is on the meta device and holds no numbers"),
        (nn.Tanh().eval(), {"device": "cuda:99"}, LyapmapError, "device: cuda:99 cannot be used"),
        (nn.Tanh().eval(), {"device": "nowhere"}, LyapmapError, "device: nowhere cannot be used"),
        (nn.Tanh().eval(), {"memory_limit": 0}, LyapmapError, "memory_limit: expected a positive number of bytes"),
        (nn.Tanh().eval(), {"state_shape": ()}, ShapeError, "state_shape: expected positive sizes, got ()"),
        (3, {}, MapError, "function: expected a torch module or function, got int"),
    ],
)
def test_what_cannot_be_iterated_is_refused(
    function: Any, options: dict[str, Any], error: type[LyapmapError], message: str
) -> None:
    with pytest.raises(error) as raised:
        wrap_torch(function, **{"state_shape": (5,)} | options)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_mixed_precisions_are_brought_to_the_dtype_that_is_given() -> None:
    assert wrap_torch(TWO.eval(), state_shape=(5,), dtype=torch.float64).ops.dtype == "float64"
    assert [layer.weight.dtype for layer in TWO] == [torch.float32, torch.float64]


def test_a_function_that_draws_random_numbers_is_refused_with_the_mend() -> None:
    m = wrap_torch(lambda x: F.dropout(x, 0.5, training=True), state_shape=(5,))
    with pytest.raises(MapError, match="it draws random numbers; switch dropout and noise off"):
        m.jvp(*states(m))


def test_a_module_that_cannot_be_copied_is_refused() -> None:
    class Holding(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lock = threading.Lock()

    with pytest.raises(MapError, match=r"module: cannot be copied: cannot pickle"):
        wrap_torch(Holding().eval(), state_shape=(2,))


ROWS, COLUMNS = torch.zeros(3, 5), torch.zeros(3, 5, 2)


@pytest.mark.parametrize(
    ("x", "v", "error", "message"),
    [
        (ROWS.numpy(), COLUMNS, PrecisionError, "x: expected a torch tensor, got ndarray"),
        (ROWS.double(), COLUMNS, PrecisionError, "x: expected float32 on cpu, got float64 on cpu; wrap the map with"),
        (ROWS, COLUMNS.double(), PrecisionError, "v: expected float32 on cpu, got float64 on cpu"),
        (ROWS.to("meta"), COLUMNS, PrecisionError, "x: expected float32 on cpu, got float32 on meta"),
        (ROWS[:, :4], COLUMNS, ShapeError, "x: expected 5 values per row for (5,), got shape (3, 4)"),
        (ROWS, COLUMNS[:, :4], ShapeError, "v: expected 5 values per row for (5,), got shape (3, 4, 2)"),
        (ROWS[0], COLUMNS, ShapeError, "x: expected 5 values per row for (5,), got shape (5,)"),
        (COLUMNS, COLUMNS, ShapeError, "x: expected 5 values per row for (5,), got shape (3, 5, 2)"),
        (ROWS, ROWS, ShapeError, "v: expected 5 values per row for (5,), got shape (3, 5)"),
    ],
)
def test_nothing_is_cast_or_moved_in_silence(x: Any, v: Any, error: type[LyapmapError], message: str) -> None:
    m = wrap_torch(nn.Tanh().eval(), state_shape=(5,))
    with pytest.raises(error) as raised:
        m.jvp(x, v)
    assert message in str(raised.value)


def test_results_record_the_class_of_a_module_and_the_name_of_a_function() -> None:
    def doubled(x: Tensor) -> Tensor:
        return 2 * x

    assert wrap_torch(doubled, state_shape=(2,)).provenance == {"map": "doubled"}
    named = wrap_torch(nn.Tanh().eval(), state_shape=(2,), provenance={"epoch": 3})
    assert named.provenance == {"map": "Tanh", "epoch": 3}


def test_one_thread_per_process() -> None:
    assert torch.get_num_threads() == 1


def test_views_of_weights_do_not_count_as_layers_when_rows_are_chunked() -> None:
    wide, elementwise = (wrap_torch(net.eval(), state_shape=(784,)) for net in (nn.Linear(784, 784), nn.Tanh()))
    assert wide.rows_at_once == elementwise.rows_at_once


@pytest.mark.parametrize(
    "name", ["Linear", "Conv2d, circular", "cycle generator", "Conv2d, groups and dilation", "attention"]
)
def test_blocks_have_the_bits_of_the_generic_loop(name: str) -> None:
    torch.manual_seed(0)
    made, shape = LAYERS.get(name, (lambda: nn.Sequential(nn.SiLU(), nn.Linear(5, 5)), (5,)))  # the last by torch alone
    m = wrap_torch(made().eval(), state_shape=shape, dtype="float32")
    n, k = int(np.prod(shape)), 3
    x = m.ops.from_numpy(np.random.default_rng(0).uniform(-1, 1, (2, n)))
    frame = m.ops.from_numpy(np.linalg.qr(np.random.default_rng(1).standard_normal((2, n, k)))[0])
    for every in (1, 2, 7):
        ours, theirs = m.propagate(x, frame, 5, every), TangentMap.propagate(m, x, frame, 5, every)
        assert torch.equal(ours[0], theirs[0])
        assert torch.equal(ours[1], theirs[1])
        assert np.array_equal(ours[2], theirs[2])


class Warped(nn.Module):
    """Has no forward mode in torch."""

    def __init__(self) -> None:
        super().__init__()
        self.where = nn.Conv2d(1, 2, 3, padding=1)
        with torch.no_grad():  # not drawn: threads that build the network at once share one generator
            for p in self.where.parameters():
                p.copy_(0.3 * torch.arange(p.numel()).sin().reshape(p.shape))

    def forward(self, x: Tensor) -> Tensor:
        at = torch.tanh(self.where(x)).permute(0, 2, 3, 1)
        return torch.tanh(2 * nn.functional.grid_sample(x, at, align_corners=False))


def test_what_has_no_forward_mode_is_pulled_back_twice() -> None:
    m = lm.wrap(Warped().eval(), state_shape=(1, 4, 4), dtype="float64")
    assert m.derivative.startswith("reverse mode twice (forward mode fails")
    assert m.derivative.endswith("about 4 evaluations a tangent)")
    draws = torch.Generator().manual_seed(0)
    x = torch.rand(3, 16, generator=draws, dtype=torch.float64)
    v = torch.randn(3, 16, 5, generator=draws, dtype=torch.float64)
    y, moved = m.jvp(x, v)
    assert torch.allclose(y, m.apply(x))
    assert torch.allclose(moved, m.jacobian(x) @ v)


def test_threads_that_carry_tangents_at_once_get_the_same() -> None:
    def exponents(_: int) -> tuple[str, list[float]]:
        m = lm.wrap(Warped().eval(), state_shape=(1, 4, 4))
        layer = nn.Sequential(nn.Linear(6, 6), nn.Softsign(), nn.RMSNorm(6)).eval()
        with torch.no_grad():
            for p in layer.parameters():
                p.copy_(torch.linspace(-1, 1, p.numel()).sin().reshape(p.shape))
        s = [
            lm.lyapunov_spectrum(each, torch.full((1, n), 0.4), n_steps=5, n_exponents=2, seed=0, throw=False)
            for each, n in ((m, 16), (lm.wrap(layer, state_shape=6), 6))
        ]
        return m.derivative, [e for each in s for e in each.exponents]

    alone = exponents(0)
    with ThreadPoolExecutor(4) as pool:
        assert all(got == alone for got in pool.map(exponents, range(8)))
