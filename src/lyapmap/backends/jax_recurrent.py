"""Recurrent cells of flax, whose calls take (carry, inputs) and give (carry, output)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lyapmap.backends.bare_cell import RecurrentCell
from lyapmap.core.errors import MapError


def flax_cell(cell: Any) -> RecurrentCell:
    """What is known of a cell of flax."""
    hidden = getattr(cell, "hidden_features", None) or getattr(cell, "features", None)
    if not isinstance(hidden, int):
        raise MapError(f"function: {type(cell).__name__} does not say the size of its state; wrap a function of it")
    parts = 2 if "LSTM" in type(cell).__name__ else 1

    import jax.numpy as arrays

    def held(inputs: Any) -> Callable[[Any], Any]:
        def step(state: Any) -> Any:
            first = state[0] if parts == 2 else state
            u = arrays.broadcast_to(arrays.asarray(inputs, first.dtype), (first.shape[0], len(inputs)))
            return cell(state, u)[0]

        return step

    n_inputs = getattr(cell, "in_features", None)
    return RecurrentCell(type(cell).__name__, "jax", n_inputs, hidden, parts, "float32", held)
