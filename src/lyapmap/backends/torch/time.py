"""A torch module that takes the time, as one of (x, t)."""

from __future__ import annotations

from typing import Any

import torch

from lyapmap.backends.timed_field import TimedField


class TimedModule(torch.nn.Module):
    """Keeps the module's parameters in sight, by which dtype and device are found."""

    def __init__(self, module: torch.nn.Module, field: TimedField) -> None:
        super().__init__()
        self.module = module
        self._field = TimedField(self.module, field.order, field.state_shape, field.time, field.vectorized)
        self._field.third = field.third
        self.train(module.training)

    def forward(self, z: torch.Tensor) -> Any:
        return self._field(z)
