"""Keras's recurrent cells as models of their hidden state."""

from __future__ import annotations

from typing import Any

from lyapmap.backends.bare_cell import RecurrentCell, over_sequences
from lyapmap.backends.keras.start import keras
from lyapmap.core.errors import MapError


def keras_cell(function: Any) -> RecurrentCell | None:
    """See `lyapmap.backends.recurrent.recurrent_cell`."""
    layers = keras().layers
    if isinstance(function, layers.RNN) and not function.return_sequences:
        raise over_sequences(type(function).__name__, "its cell (layer.cell)")
    cells = (layers.GRUCell, layers.LSTMCell, layers.SimpleRNNCell)
    if not isinstance(function, cells) or type(function).call not in [cell.call for cell in cells]:
        return None
    if not function.built:
        raise MapError(f"model: {function.name} has no weights yet; call it once, or build it")
    parts = 2 if isinstance(function, layers.LSTMCell) else 1
    return RecurrentCell(
        type(function).__name__,
        "keras",
        int(function.weights[0].shape[0]),
        int(function.units),
        parts,
        str(function.compute_dtype),
        lambda inputs: _held(function, inputs, parts),
    )


def _held(cell: Any, inputs: Any, parts: int) -> Any:
    """h -> cell(u, h), or [h, c] -> cell(u, [h, c]), as a model."""
    module = keras()

    class HeldInput(module.layers.Layer):  # type: ignore[name-defined]
        """A cell whose input is the same at every step."""

        def __init__(self, cell: Any, inputs: Any, **options: Any) -> None:
            super().__init__(**options)
            self.cell, self.inputs = cell, inputs
            self.built = True

        def call(self, state: Any) -> Any:
            states = list(state) if isinstance(state, list | tuple) else [state]
            ops = module.ops
            u = ops.convert_to_tensor(self.inputs, states[0].dtype)
            after = self.cell(ops.zeros_like(states[0][:, :1]) + u, states)[1]
            return after if parts > 1 else after[0]

        def compute_output_shape(self, shape: Any) -> Any:
            return shape

        def get_config(self) -> dict[str, Any]:
            described = module.saving.serialize_keras_object(self.cell)
            return super().get_config() | {"cell": described, "inputs": list(self.inputs)}

        @classmethod
        def from_config(cls, config: dict[str, Any]) -> Any:
            cell = module.saving.deserialize_keras_object(config["cell"])
            if not cell.built:
                cell.build((None, len(config["inputs"])))
            return cls(**(config | {"cell": cell}))

    state = [module.Input((cell.units,), dtype=cell.compute_dtype) for _ in range(parts)]
    held = HeldInput(cell, [float(value) for value in inputs], dtype=cell.dtype_policy)
    return module.Model(state if parts > 1 else state[0], held(state if parts > 1 else state[0]), name=cell.name)
