"""Copies of torch modules in another precision keep imaginary parts, plain tensors and whole numbers."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import lyapmap as lm
from lyapmap.backends.torch.copies import copied

X = torch.rand(4, 16) - 0.5


class Spectral(nn.Module):
    """Complex numbers wherever a module may keep them."""

    table: Tensor
    order: Tensor

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.weight = nn.Parameter(2 * torch.randn(9, dtype=torch.cfloat))
        self.gain = nn.Parameter(torch.tensor(1.5))
        self.register_buffer("table", torch.exp(1j * torch.arange(9.0)))
        self.register_buffer("order", torch.arange(15, -1, -1))
        self.phase = torch.exp(2j * torch.arange(9.0))
        self.scale = torch.linspace(0.5, 1, 16)
        self.several: dict[str, Any] = {"a": [torch.ones(16)], "b": (torch.tensor(0.1),), "name": "x"}

    def forward(self, x: Tensor) -> Tensor:
        z = torch.fft.irfft(torch.fft.rfft(x) * self.weight * self.table * self.phase, n=16)
        return torch.tanh(self.gain * z * self.scale * self.several["a"][0] + self.several["b"][0])[:, self.order]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_imaginary_parts_are_kept(dtype: str) -> None:
    network = Spectral().eval()
    before = copy.deepcopy(network.state_dict())
    m = lm.wrap(network, state_shape=16, dtype=dtype)
    assert torch.allclose(m.apply(X.to(getattr(torch, dtype))).float(), network(X), atol=1e-5)
    assert lm.check_map(m, X.numpy())
    assert all(torch.equal(network.state_dict()[name], tensor) for name, tensor in before.items())
    assert network.phase.dtype == torch.complex64


def test_the_copy_has_matching_precisions_throughout() -> None:
    made: Any = copied(Spectral().eval(), torch.float64, None)[0]
    assert made.weight.dtype == made.table.dtype == made.phase.dtype == torch.complex128
    assert made.gain.dtype == made.scale.dtype == made.several["a"][0].dtype == torch.float64
    assert made.order.dtype == torch.int64
    assert made.several["name"] == "x"


def test_weights_that_are_all_complex_tell_the_precision() -> None:
    class Only(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.exp(1j * torch.arange(9.0)).to(torch.cdouble))

        def forward(self, x: Tensor) -> Tensor:
            return torch.fft.irfft(torch.fft.rfft(x) * self.weight, n=16)

    assert lm.wrap(Only().eval(), state_shape=16).ops.dtype == "float64"


def test_plain_tensors_of_another_precision_follow_the_weights() -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(16, 16)
            self.scale = torch.linspace(0.5, 1, 16, dtype=torch.float64)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x) * self.scale

    network = Mixed().eval()
    m = lm.wrap(network, state_shape=16)
    assert torch.allclose(m.apply(X), network(X).float(), atol=1e-6)
    assert network.scale.dtype == torch.float64
