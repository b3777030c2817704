"""Rules of `torch_dual` for recurrent cells, and for taking states apart and joining them.

Cells are written out in operations that have rules themselves. The argument that carries tangents
is known by its `tangents`; whoever passes something that fits no rule gets an error, upon which
`torch_dual` leaves the network to `torch.func`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lyapmap.backends.recurrent import RecurrentCell, over_sequences
from lyapmap.backends.torch.ops import DTYPES


def _reshape(func: Any, x: Any, *shape: Any) -> Any:
    image = torch.reshape(x.image, shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape)
    return x.like(image, x.tangents.reshape(len(x.tangents), *image.shape))


def _joined(func: Any, parts: Sequence[Any], dim: int = 0) -> Any:
    """cat and stack; what carries no tangents does not depend on the state."""
    carrier = next(part for part in parts if _carries(part))
    images = [part.image if _carries(part) else part for part in parts]
    k = len(carrier.tangents)
    tangents = [part.tangents if _carries(part) else part.new_zeros(k, *part.shape) for part in parts]
    if len({image.ndim for image in images}) > 1:
        raise ValueError("parts that differ in the number of axes")
    return carrier.like(func(images, dim=dim), func(tangents, dim=dim + 1 if dim >= 0 else dim))


def _parts(func: Any, x: Any, size: Any, dim: int = 0) -> tuple[Any, ...]:
    """chunk and split."""
    images = func(x.image, size, dim=dim)
    tangents = func(x.tangents, size, dim=dim + 1 if dim >= 0 else dim)
    return tuple(x.like(image, moved) for image, moved in zip(images, tangents, strict=True))


def _gru(func: Any, x: Any, h: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
    from_input = torch.chunk(F.linear(x, w_ih, b_ih), 3, dim=-1)
    from_state = torch.chunk(F.linear(h, w_hh, b_hh), 3, dim=-1)
    reset = torch.sigmoid(from_state[0] + from_input[0])
    update = torch.sigmoid(from_state[1] + from_input[1])
    candidate = torch.tanh(reset * from_state[2] + from_input[2])
    return candidate + update * (h - candidate)


def _lstm(func: Any, x: Any, state: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
    h, c = state
    enter, forget, candidate, leave = torch.chunk(F.linear(h, w_hh, b_hh) + F.linear(x, w_ih, b_ih), 4, dim=-1)
    c = torch.sigmoid(forget) * c + torch.sigmoid(enter) * torch.tanh(candidate)
    return torch.sigmoid(leave) * torch.tanh(c), c


def _simple(activation: Callable[[Any], Any]) -> Callable[..., Any]:
    def rule(func: Any, x: Any, h: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
        return activation(F.linear(h, w_hh, b_hh) + F.linear(x, w_ih, b_ih))

    return rule


def _carries(part: Any) -> bool:
    return not isinstance(part, torch.Tensor)


RULES: dict[Any, Callable[..., Any]] = {
    torch.reshape: _reshape,
    torch.Tensor.reshape: _reshape,
    torch.Tensor.view: _reshape,
    torch.cat: _joined,
    torch.stack: _joined,
    torch.chunk: _parts,
    torch.Tensor.chunk: _parts,
    torch.split: _parts,
    torch.Tensor.split: _parts,
    torch.Tensor.dim: lambda func, x: x.image.ndim,
    torch.gru_cell: _gru,
    torch.lstm_cell: _lstm,
    torch.rnn_tanh_cell: _simple(torch.tanh),
    torch.rnn_relu_cell: _simple(torch.relu),
}


CELLS = (nn.GRUCell, nn.LSTMCell, nn.RNNCell)


class HeldInput(nn.Module):
    """A cell whose input is the same at every step: h -> cell(u, h)."""

    u: Tensor

    def __init__(self, cell: nn.RNNCellBase, inputs: Any) -> None:
        super().__init__()
        self.cell = cell
        weight = cell.weight_hh
        self.register_buffer("u", torch.as_tensor(np.asarray(inputs), dtype=weight.dtype, device=weight.device))
        self.training = cell.training

    def forward(self, state: Any) -> Any:
        first = state[0] if isinstance(state, tuple | list) else state
        return self.cell(self.u.expand(first.shape[0], -1), state)


class CellStep(nn.Module):
    """A cell as a function of its state and one step's input: (h, u) -> cell(u, h)."""

    def __init__(self, cell: nn.RNNCellBase) -> None:
        super().__init__()
        self.cell = cell
        self.training = cell.training

    def forward(self, state: Any, u: Tensor) -> Any:
        return self.cell(u, state)


def torch_cell(function: Any) -> RecurrentCell | None:
    """See `lyapmap.backends.recurrent_cell`."""
    if isinstance(function, nn.RNNBase) and type(function).forward in (
        nn.GRU.forward,
        nn.LSTM.forward,
        nn.RNN.forward,
        nn.RNNBase.forward,
    ):
        name = type(function).__name__
        raise over_sequences(name, f"torch.nn.{name if name in ('GRU', 'LSTM') else 'RNN'}Cell")
    # A subclass with a `forward` of its own may well be a function of one state.
    if not isinstance(function, CELLS) or type(function).forward not in [cell.forward for cell in CELLS]:
        return None
    parts = 2 if isinstance(function, nn.LSTMCell) else 1
    dtype = str(function.weight_hh.dtype).removeprefix("torch.")
    return RecurrentCell(
        type(function).__name__,
        "torch",
        function.input_size,
        function.hidden_size,
        parts,
        dtype if dtype in DTYPES else "float32",
        lambda inputs: HeldInput(function, inputs),
        CellStep(function),
    )
