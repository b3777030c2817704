"""Rules for recurrent cells, joining and taking apart: they give what torch's own way gives."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from lyapmap.backends.torch.dual import NoRule, carry
from lyapmap.backends.torch.map import wrap_torch

N = 4


class OfState(nn.Module):
    """A cell as a map of its flat state, with a constant input or with its state as input."""

    def __init__(self, cell: nn.Module, fed_back: bool) -> None:
        super().__init__()
        self.cell = cell
        self.fed_back = fed_back

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = x[:, :N]
        u = h if self.fed_back else torch.full((x.shape[0], N), 0.3, dtype=x.dtype)
        if isinstance(self.cell, nn.LSTMCell):
            return torch.cat(self.cell(u, (h, x[:, N:])), dim=1)
        return self.cell(u, h)


def by_torch(function: Any, x: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    tangents = [torch.func.jvp(function, (x,), (v[i],))[1] for i in range(len(v))]
    return torch.stack(tangents)


def draws(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


@pytest.mark.parametrize("fed_back", [False, True])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    "make", [nn.GRUCell, nn.LSTMCell, nn.RNNCell, lambda *a, **k: nn.RNNCell(*a, **k, nonlinearity="relu")]
)
def test_cells(make: Any, bias: bool, fed_back: bool) -> None:
    torch.manual_seed(0)
    cell = OfState(make(N, N, bias=bias).double(), fed_back).eval()
    n = 2 * N if isinstance(cell.cell, nn.LSTMCell) else N
    x, v = draws(3, n), draws(5, 3, n)
    with torch.no_grad():
        image, tangents = carry(cell, x, v)
        assert torch.allclose(image, cell(x), rtol=0, atol=1e-14)
        assert torch.allclose(tangents, by_torch(cell, x, v), rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: torch.cat([x[:, 2:], x[:, :2]], dim=1),
        lambda x: torch.cat((x[:, 2:], torch.zeros(3, 2, dtype=x.dtype)), -1),
        lambda x: torch.stack([x[:, 1], x[:, 0]], dim=-1),
        lambda x: torch.stack([x.tanh(), x]),
        lambda x: torch.chunk(x, 2, dim=1)[1].tanh(),
        lambda x: x.split([1, 3], dim=-1)[1],
        lambda x: x.split(2, 1)[0],
        lambda x: x.chunk(2, -1)[0],
        lambda x: x.reshape(3, 2, 2),
        lambda x: x.reshape((-1, 2)).tanh(),
        lambda x: torch.reshape(x, (12,)),
        lambda x: 1 - x.sigmoid(),
        lambda x: x @ torch.arange(12.0, dtype=torch.float64).reshape(4, 3),
        lambda x: torch.matmul(x, torch.ones(4, 4, dtype=torch.float64)).tanh(),
    ],
)
def test_joining_and_taking_apart(function: Any) -> None:
    x, v = draws(3, 4), draws(5, 3, 4)
    image, tangents = carry(function, x, v)
    assert torch.equal(image, function(x))
    assert torch.allclose(tangents, by_torch(function, x, v), rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x @ torch.ones(4, dtype=x.dtype),
        lambda x: torch.gru_cell(x, x, x.reshape(12, 1), x.reshape(12, 1)),
    ],
)
def test_what_no_rule_was_written_for_is_left_to_torch(function: Any) -> None:
    with pytest.raises(NoRule):
        carry(function, draws(3, 4), draws(5, 3, 4))


def test_cells_are_carried_by_rules_and_not_by_torch() -> None:
    torch.manual_seed(0)
    m = wrap_torch(OfState(nn.GRUCell(N, N), False).double().eval(), state_shape=(N,))
    assert m._has_rules
