"""Networks of torch as honest people bring them: none may be refused, whatever their kinks, gains or precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

IMAGE, SEQUENCE, VECTOR = (3, 8, 8), (5, 8), (8,)
ACTIVATIONS = (
    *("ReLU", "LeakyReLU", "ELU", "SELU", "CELU", "GELU", "SiLU", "Mish", "Softplus", "Softsign", "Tanh", "Sigmoid"),
    *("Hardtanh", "Hardswish", "Hardsigmoid", "ReLU6", "LogSigmoid", "Tanhshrink", "Softshrink", "Hardshrink", "PReLU"),
)


class Step(nn.Module):
    """A function of the state and of some modules."""

    def __init__(self, function: Callable[..., Tensor], *parts: nn.Module) -> None:
        super().__init__()
        self.function, self.parts = function, nn.ModuleList(parts)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, *self.parts)


def dense(n: int, depth: int, gain: float, activation: Any = nn.Tanh) -> nn.Sequential:
    """Layers with weights of variance gain² / n."""
    layers: list[nn.Module] = []
    for _ in range(depth):
        layer = nn.Linear(n, n)
        nn.init.normal_(layer.weight, 0, gain / n**0.5)
        layers += [layer, activation()]
    return nn.Sequential(*layers)


def _residual(x: Tensor, convolution: nn.Module, norm: nn.Module) -> Tensor:
    return x + 0.5 * F.relu(norm(convolution(x)))


def _autocast(x: Tensor, layer: nn.Module) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return torch.tanh(layer(x)).float()


def networks() -> dict[str, tuple[nn.Module, tuple[int, ...]]]:
    """Modules in evaluation mode with the shapes of their states."""
    torch.manual_seed(0)
    up, down = nn.Upsample(scale_factor=2), nn.AvgPool2d(2)
    attention = nn.MultiheadAttention(8, 2, batch_first=True)
    mask = nn.Transformer.generate_square_subsequent_mask(5)
    phases = torch.exp(1j * torch.arange(5.0))
    weights = nn.utils.parametrizations
    made: dict[str, tuple[nn.Module, tuple[int, ...]]] = {name: (getattr(nn, name)(), VECTOR) for name in ACTIVATIONS}
    made |= {
        "threshold": (nn.Threshold(0.1, 0.0), VECTOR),
        "softmax": (nn.Softmax(-1), VECTOR),
        "log softmax": (nn.LogSoftmax(-1), VECTOR),
        "linear": (nn.Linear(8, 8), VECTOR),
        "gated": (nn.Sequential(nn.Linear(8, 16), nn.GLU()), VECTOR),
        "bilinear form": (Step(lambda x, b: b(x, x), nn.Bilinear(8, 8, 8)), VECTOR),
        "layer norm": (nn.LayerNorm(8), VECTOR),
        "rms norm": (nn.RMSNorm(8), VECTOR),
        "group norm": (nn.GroupNorm(3, 3), IMAGE),
        "instance norm": (nn.InstanceNorm2d(3), IMAGE),
        "batch norm": (nn.BatchNorm2d(3), IMAGE),
        "local response norm": (nn.LocalResponseNorm(2), IMAGE),
        "convolution of a line": (nn.Conv1d(5, 5, 3, padding=1), SEQUENCE),
        "circular convolution": (nn.Conv2d(3, 3, 3, padding=1, padding_mode="circular"), IMAGE),
        "reflecting convolution": (nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect"), IMAGE),
        "dilated convolution": (nn.Conv2d(3, 3, 3, padding=2, dilation=2), IMAGE),
        "grouped convolution": (nn.Conv2d(3, 3, 3, padding=1, groups=3), IMAGE),
        "convolution of a volume": (nn.Conv3d(1, 1, 3, padding=1), (1, 4, 4, 4)),
        "transposed convolution": (
            nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ConvTranspose2d(4, 3, 3, 2, 1, output_padding=1)),
            IMAGE,
        ),
        "max pooling": (nn.Sequential(nn.MaxPool2d(2), up), IMAGE),
        "adaptive max pooling": (nn.Sequential(nn.AdaptiveMaxPool2d(4), up), IMAGE),
        "lp pooling": (nn.Sequential(nn.LPPool2d(2, 2), up), IMAGE),
        "bilinear up-sampling": (nn.Sequential(down, nn.Upsample(scale_factor=2, mode="bilinear")), IMAGE),
        "bicubic up-sampling": (nn.Sequential(down, nn.Upsample(scale_factor=2, mode="bicubic")), IMAGE),
        "pixel shuffle": (nn.Sequential(nn.Conv2d(3, 12, 3, 2, 1), nn.PixelShuffle(2)), IMAGE),
        "channel shuffle": (nn.Sequential(nn.Conv2d(3, 6, 1), nn.ChannelShuffle(2), nn.Conv2d(6, 3, 1)), IMAGE),
        "replication padding": (nn.Sequential(nn.ReplicationPad2d(1), nn.Conv2d(3, 3, 3)), IMAGE),
        "patches": (nn.Sequential(nn.Unfold(2, stride=2), nn.Fold((8, 8), 2, stride=2)), IMAGE),
        "dropout": (nn.Sequential(nn.Dropout(0.5), nn.Tanh()), VECTOR),
        "spectral norm": (weights.spectral_norm(nn.Linear(8, 8)), VECTOR),
        "weight norm": (weights.weight_norm(nn.Linear(8, 8)), VECTOR),
        "orthogonal": (weights.orthogonal(nn.Linear(8, 8)), VECTOR),
        "attention": (Step(lambda x, a: a(x, x, x, need_weights=False)[0], attention), SEQUENCE),
        "causal attention": (
            Step(lambda x, a: a(x, x, x, need_weights=False, attn_mask=mask.to(x.dtype))[0], attention),
            SEQUENCE,
        ),
        "transformer layer": (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), SEQUENCE),
        "dot-product attention": (Step(lambda x: F.scaled_dot_product_attention(x, x, x)), SEQUENCE),
        "gru": (Step(lambda x, g: g(x)[0], nn.GRU(8, 8, batch_first=True)), SEQUENCE),
        "lstm": (Step(lambda x, g: g(x)[0], nn.LSTM(8, 8, batch_first=True)), SEQUENCE),
        "both directions": (Step(lambda x, g: g(x)[0], nn.GRU(8, 4, batch_first=True, bidirectional=True)), SEQUENCE),
        "gru cell, called": (Step(lambda x, g: g(torch.zeros_like(x), x), nn.GRUCell(8, 8)), VECTOR),
        "fourier": (
            Step(lambda x: torch.fft.irfft(torch.fft.rfft(x) * phases, n=8)),
            VECTOR,
        ),
        "normalized": (Step(lambda x: F.normalize(x, dim=-1)), VECTOR),
        "log-sum-exp": (Step(lambda x: x - torch.logsumexp(x, -1, keepdim=True)), VECTOR),
        "sorted": (Step(lambda x: x.sort(-1).values), VECTOR),
        "top three": (Step(lambda x: x * (x >= x.topk(3, -1).values[:, -1:])), VECTOR),
        "over the largest": (Step(lambda x: x / x.abs().max(-1, keepdim=True).values), VECTOR),
        "cumulative": (Step(lambda x: x.cumsum(-1)), VECTOR),
        "branches": (Step(lambda x: torch.where(x > 0, 2 * x, 0.1 * x)), VECTOR),
        "modulo": (Step(lambda x: (2.1 * x) % 1), VECTOR),
        "less its floor": (Step(lambda x: x - 0.5 * torch.floor(x)), VECTOR),
        "less its rounding": (Step(lambda x: x - torch.round(x)), VECTOR),
        "signs": (Step(lambda x: x * torch.sign(x.roll(1, -1))), VECTOR),
        "tent": (Step(lambda x: 1 - 1.7 * x.abs()), VECTOR),
        "clamped": (Step(lambda x: (3 * x).clamp(0, 1)), VECTOR),
        "less the largest": (Step(lambda x: x - x.gather(1, x.argmax(1, keepdim=True))), VECTOR),
        "logarithm": (Step(torch.log), VECTOR),
        "square root": (Step(torch.sqrt), VECTOR),
        "bell": (Step(lambda x: torch.exp(-x * x)), VECTOR),
        "many waves": (Step(lambda x: torch.sin(1000 * x)), VECTOR),
        "constant": (Step(lambda x: 0 * x + 1), VECTOR),
        "linear solver": (
            Step(lambda x: torch.linalg.solve(3 * torch.eye(8, dtype=x.dtype) + x[:, :, None] * x[:, None, :], x)),
            VECTOR,
        ),
        "bfloat16 inside": (Step(lambda x, f: torch.tanh(f(x).bfloat16()).float(), nn.Linear(8, 8)), VECTOR),
        "float16 inside": (Step(lambda x, f: torch.tanh(f(x).half()).float(), nn.Linear(8, 8)), VECTOR),
        "autocast": (Step(_autocast, nn.Linear(8, 8)), VECTOR),
        "drowned": (Step(lambda x: 1 + 1e-9 * x), VECTOR),
        "shifted there and back": (Step(lambda x: (x + 1e4) - 1e4), VECTOR),
        "normalized image": (Step(lambda x: torch.tanh((255 * x - 127) / 58)), IMAGE),
        "image network": (
            nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), up, nn.Conv2d(8, 3, 1), nn.Tanh()),
            (3, 16, 16),
        ),
        "one value": (nn.Sequential(nn.Linear(1, 4), nn.ReLU(), nn.Linear(4, 1)), (1,)),
        "many values": (Step(lambda x: torch.tanh(1.5 * x.roll(1, -1) - x)), (20000,)),
        "residual": (
            nn.Sequential(*[Step(_residual, nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)) for _ in range(8)]),
            IMAGE,
        ),
    }
    for gain in (1e-6, 1e-3, 1.0, 10.0, 1e3, 1e6):
        for activation in (nn.Tanh, nn.ReLU, nn.Hardtanh):
            made[f"{activation.__name__}, gain {gain:g}"] = dense(16, 3, gain, activation), (16,)
    for gain in (1.0, 1.5, 3.0):
        made[f"50 layers, gain {gain:g}"] = dense(32, 50, gain), (32,)
        made[f"50 layers of ReLU, gain {gain:g}"] = dense(32, 50, gain, nn.ReLU), (32,)
    return {name: (network.eval(), shape) for name, (network, shape) in made.items()}
