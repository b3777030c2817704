"""Every rule against torch's own forward mode, and what must be left to torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import lyapmap as lm
from lyapmap.backends.torch.dual import NoRule, Way, carry

B, K = 3, 4


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_torch(function: Callable[[Any], Any], x: Tensor, tangents: Tensor) -> tuple[Tensor, Tensor]:
    parts = [torch.func.jvp(function, (x,), (t,)) for t in tangents]
    return parts[0][0], torch.stack([moved for _, moved in parts])


def agree(function: Callable[[Any], Any], *shape: int, positive: bool = False) -> None:
    x, tangents = drawn(B, *shape), drawn(K, B, *shape, seed=1)
    x = x.abs() + 0.1 if positive else x
    with torch.no_grad():
        image, moved = carry(function, x.clone(), tangents.clone())
    with nn.attention.sdpa_kernel(nn.attention.SDPBackend.MATH):
        wanted, wanted_moved = by_torch(function, x, tangents)
    torch.testing.assert_close(image, wanted, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(moved, wanted_moved, rtol=1e-11, atol=1e-11)


W, C = drawn(6, 6, seed=2), drawn(6, seed=3)
VALUES = {
    **{name: getattr(F, name) for name in ("silu", "gelu", "elu", "celu", "selu", "softplus", "mish", "logsigmoid")},
    **{name: getattr(F, name) for name in ("hardtanh", "relu6", "leaky_relu", "relu", "softsign", "tanhshrink")},
    **{name: getattr(torch, name) for name in ("tanh", "sigmoid", "exp", "expm1", "sin", "cos", "tan", "sinh", "cosh")},
    **{name: getattr(torch, name) for name in ("atan", "erf", "square", "reciprocal", "abs", "neg")},
    "gelu by tanh": lambda x: F.gelu(x, approximate="tanh"),
    "elu with alpha": lambda x: F.elu(x, 0.7),
    "softplus with beta": lambda x: F.softplus(x, 2.0, 1.0),
    "clamp": lambda x: x.clamp(-0.5, 0.7),
    "clamp from below": lambda x: torch.clamp(x, min=-0.2),
    "power": lambda x: x**3 + x.pow(2),
    "in place": lambda x: F.relu(x + C, inplace=True) + x,
    "module in place": lambda x: nn.Sequential(nn.Tanh(), nn.SiLU(inplace=True))(x),
    "sums": lambda x: 2 - x + (1 + x) - x * C + C - x - (x - 3),
    "quotients": lambda x: x / (2 + x * x) + 1 / (3 + x * x) + x / C,
    "products of states": lambda x: x * torch.sin(x),
    "softmax": lambda x: torch.softmax(x, -1) + F.softmax(x, dim=1) + x.softmax(1),
    "log_softmax": lambda x: torch.log_softmax(x, -1) + F.log_softmax(x, dim=1),
    "matmul": lambda x: (x @ W + torch.matmul(x, W)) @ W.T,
    "a matrix on the left": lambda x: (W @ x[..., None])[..., 0],
    "einsum": lambda x: torch.einsum("ij,bj->bi", W, x) + torch.einsum("bi,bj,j->bi", x, x, C),
    "addmm": lambda x: torch.addmm(C, x, W) + torch.addmm(x, x, W, alpha=0.5) + torch.addcmul(x, x, C, value=0.3),
    "lerp": lambda x: torch.lerp(x, x * x, 0.3) + x.lerp(C, 0.2),
    "logsumexp": lambda x: x - x.logsumexp(-1, keepdim=True) + torch.logsumexp(x, 1)[:, None],
    "lengths": lambda x: x / x.norm(dim=-1, keepdim=True) + torch.linalg.vector_norm(x, dim=1)[:, None],
    "variance": lambda x: x / (x.var(-1, keepdim=True) + x.var(1, unbiased=False)[:, None]),
    "deviation": lambda x: x / (x.std(-1, keepdim=True) + torch.std(x, dim=1, correction=0, keepdim=True)),
    "roll": lambda x: x.roll(1, -1) - torch.roll(x, 2, 1),
    "flip": lambda x: x.flip(-1) + torch.flip(x, (1,)),
    "cumsum": lambda x: x.cumsum(1) + torch.cumsum(x, -1),
    "mean and deviation": lambda x: (x - x.mean(-1, keepdim=True)) / (x * x).mean(1, keepdim=True).sqrt(),
    "sum": lambda x: x + x.sum(1, keepdim=True) + torch.sum(x, -1)[:, None].expand(-1, 6),
    "where": lambda x: torch.where(x > 0.1, x * x, 0.3 * x) + torch.where(x < C, x, 1.0),
    "masked_fill": lambda x: x.masked_fill(C > 0, 0.5),
    "normalize": lambda x: F.normalize(x, dim=-1),
    "rms_norm": lambda x: F.rms_norm(x, (6,), C) + F.rms_norm(x, (6,)),
    "layer_norm": lambda x: F.layer_norm(x, (6,), C, C),
    "unbind": lambda x: torch.stack([p * p for p in x.unbind(1)], 1),
    "split in sizes": lambda x: torch.cat([torch.sin(p) for p in x.split([2, 4], 1)], dim=1),
    "views": lambda x: x.view(x.shape[0], 2, 3).transpose(1, 2).reshape(x.size(0), -1).contiguous().clone(),
    "axes": lambda x: x.unsqueeze(1).permute(0, 2, 1).squeeze(-1) + torch.permute(x[:, None], (0, 2, 1))[..., 0],
    "float": lambda x: x.to(torch.float64).double().type_as(x),
    "constants of its shape": lambda x: x + torch.ones_like(x) + x.new_zeros(6),
    "glu": lambda x: torch.cat([F.glu(x, -1), F.glu(x, 1)], 1),
    "an outer product": lambda x: (x[:, :, None] * x[:, None]).sum(-1),
    "fewer axes": lambda x: x[:, None] * drawn(2, 6, seed=7) @ W,
}


@pytest.mark.parametrize("name", VALUES)
def test_functions_of_rows(name: str) -> None:
    agree(VALUES[name], 6, positive=name in ("sqrt", "rsqrt", "log", "log1p"))


@pytest.mark.parametrize("name", ["sqrt", "rsqrt", "log", "log1p"])
def test_functions_of_positive_values(name: str) -> None:
    agree(getattr(torch, name), 6, positive=True)


def _norm(kind: Any, *options: Any) -> nn.Module:
    layer = kind(*options, affine=True).double().eval()
    with torch.no_grad():
        for i, part in enumerate((*layer.parameters(), *layer.buffers())):
            if part.is_floating_point():
                part.copy_(drawn(*part.shape, seed=i).abs() + 0.2)
    return layer


IMAGES: dict[str, Callable[[Any], Any]] = {
    "group_norm": _norm(nn.GroupNorm, 2, 4),
    "instance_norm": _norm(nn.InstanceNorm2d, 4),
    "batch_norm": _norm(nn.BatchNorm2d, 4),
    "norm and slope": nn.Sequential(_norm(nn.BatchNorm2d, 4), nn.SiLU(), _norm(nn.GroupNorm, 4, 4), nn.ReLU()),
    "norm of a padded image": nn.Sequential(nn.ZeroPad2d(1), _norm(nn.BatchNorm2d, 4), nn.Tanh()),
    "max_pool": lambda x: F.interpolate(F.max_pool2d(x, 2), scale_factor=2),
    "avg_pool": lambda x: F.interpolate(F.avg_pool2d(x, 2), scale_factor=2, mode="bilinear"),
    "adaptive_avg_pool": lambda x: x * torch.sigmoid(F.adaptive_avg_pool2d(x, 1)),
    "pixel_shuffle": lambda x: F.pixel_unshuffle(F.pixel_shuffle(x, 2), 2),
    "circular padding": lambda x: F.pad(x, (1, 1, 2, 2), mode="circular")[:, :, 2:-2, 1:-1],
    "reflected padding": lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect")[:, :, :-2, :-2],
    "scale by channel": lambda x: x * drawn(4, 1, 1, seed=4) + x.mean((2, 3), keepdim=True),
}


@pytest.mark.parametrize("name", IMAGES)
def test_functions_of_images(name: str) -> None:
    agree(IMAGES[name], 4, 6, 4)


def _heads(**options: Any) -> Callable[[Any], Any]:
    def attention(x: Any) -> Any:
        q, k, v = ((x @ drawn(8, 8, seed=i)).view(x.shape[0], 5, 2, 4).transpose(1, 2) for i in range(3))
        return F.scaled_dot_product_attention(q, k, v, **options).transpose(1, 2).reshape(x.shape[0], 5, 8)

    return attention


def _multi(**options: Any) -> Callable[[Any], Any]:
    torch_layer = nn.MultiheadAttention(8, 2, batch_first=True).double().eval()
    with torch.no_grad():
        for i, part in enumerate(torch_layer.parameters()):
            part.copy_(drawn(*part.shape, seed=i))
    return lambda x: torch_layer(x, x, x, need_weights=False, **options)[0]


MASK = torch.ones(5, 5, dtype=torch.bool).tril()
TOKENS: dict[str, Callable[[Any], Any]] = {
    "attention": _heads(),
    "causal": _heads(is_causal=True),
    "boolean mask": _heads(attn_mask=MASK),
    "added mask": _heads(attn_mask=drawn(5, 5, seed=9), scale=0.3),
    "multi-head": _multi(),
    "multi-head with a mask": _multi(attn_mask=~MASK),
    "to a context": lambda x: F.scaled_dot_product_attention(x, drawn(B, 7, 8, seed=5), drawn(B, 7, 8, seed=6)),
}


@pytest.mark.parametrize("name", TOKENS)
def test_attention(name: str) -> None:
    agree(TOKENS[name], 5, 8)


def test_attention_takes_many_directions_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lyapmap.backends.torch.layer_rules.SCORES", 100)
    agree(_heads(), 5, 8)


@pytest.mark.parametrize(
    "function",
    [
        nn.BatchNorm1d(6).double().train(),
        lambda x: F.dropout(x, 0.5, training=True),
        lambda x: x + x.sum(),
        lambda x: x + torch.randn_like(x),
        lambda x: x.float(),
        lambda x: x.detach(),
        lambda x: x[:, torch.tensor([0, 1, 2, 3, 4, 5])],
        lambda x: x if x.sum() > 0 else -x,
        lambda x: torch.where(x > 0, x, x).sort(-1).values,
    ],
)
def test_what_has_no_rule_is_left_to_torch(function: Any) -> None:
    with pytest.raises(NoRule):
        carry(function, drawn(B, 6), drawn(K, B, 6))


def test_networks_of_people_have_rules() -> None:
    """A transformer layer, a residual network with layers in place and a small U-Net, in float32."""

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
            self.end = nn.ReLU(inplace=True)

        def forward(self, x: Tensor) -> Tensor:
            out = self.body(x)
            out += x
            return self.end(out)

    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True, norm_first=True)
    for network, shape in ((layer, (5, 8)), (Residual(), (4, 6, 6))):
        wrapped = lm.wrap(network.eval(), state_shape=shape)
        assert wrapped._has_rules
        x, v = drawn(2, wrapped._n).float(), drawn(2, wrapped._n, 3, seed=1).float()
        _, moved = wrapped.jvp(x, v)
        torch.testing.assert_close(moved, wrapped.jacobian(x) @ v, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("order", ["torch", "rows", "slabs"])
def test_any_order_of_arrays(order: str) -> None:
    network = nn.Sequential(
        nn.Conv2d(4, 4, 3, padding=1), _norm(nn.GroupNorm, 2, 4), nn.SiLU(), nn.Conv2d(4, 8, 3, stride=2, padding=1),
        _norm(nn.BatchNorm2d, 8), nn.GELU(), nn.PixelShuffle(2), nn.Conv2d(2, 4, 3, padding=1), nn.Softsign(),
    ).double()  # fmt: skip
    x, tangents = drawn(B, 4, 6, 6), drawn(K, B, 4, 6, 6, seed=1)
    with torch.no_grad():
        image, moved = carry(network, x, tangents, Way(order))
    for ours, wanted in zip((image, moved), by_torch(network, x, tangents), strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-10, atol=1e-11)
