"""torch's recurrent cells as modules of their hidden state.

Requires torch >= 2.6.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lyapmap.backends.bare_cell import RecurrentCell, over_sequences
from lyapmap.backends.torch.ops import DTYPES

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


def torch_cell(function: Any) -> RecurrentCell | None:
    """See `lyapmap.backends.recurrent.recurrent_cell`."""
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
    )
