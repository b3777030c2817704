"""Recurrent cells given bare: which framework knows a cell. None is imported here."""

from __future__ import annotations

import sys
from typing import Any

from lyapmap.backends.bare_cell import RecurrentCell


def recurrent_cell(function: Any) -> RecurrentCell | None:
    """What is known of a bare cell of torch, Keras or flax; None for anything else.

    Raises
    ------
    MapError
        For a recurrent layer, which goes over sequences.
    """
    kind = type(function)
    library = {base.__module__.partition(".")[0] for base in kind.__mro__}
    if "keras" in library and "keras" in sys.modules:
        from lyapmap.backends.keras.functions import keras_cell

        return keras_cell(function)
    if "torch" in library and "torch" in sys.modules:
        from lyapmap.backends.torch.recurrent import torch_cell

        return torch_cell(function)
    if "flax" in library and kind.__name__.endswith("Cell"):
        from lyapmap.backends.jax_map import flax_cell

        return flax_cell(function)
    return None
