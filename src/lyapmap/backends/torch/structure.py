"""torch modules whose state is a tuple, list or dict of tensors, as modules of flat rows."""

from __future__ import annotations

from torch import Tensor, nn

from lyapmap.backends.structured import FlatFunction
from lyapmap.core.structure import Structure


class FlatModule(nn.Module):
    """A module that holds another one, so that it is checked, copied and moved like any module."""

    def __init__(self, module: nn.Module, structure: Structure) -> None:
        super().__init__()
        self.module = module
        self.structure = structure
        self.training = module.training

    def forward(self, x: Tensor) -> Tensor:
        return FlatFunction(self.module, self.structure)(x)
