"""Maps made of TensorFlow functions, modules and loaded SavedModels.

Requires tensorflow >= 2.18.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lyapmap.backends.keras.graph_map import DEFAULT_MEMORY_LIMIT, TensorFlowMap, checked_options, dtype_name
from lyapmap.backends.keras.ops import require_float64, resolved_device
from lyapmap.backends.keras.start import keras, tensorflow
from lyapmap.backends.recurrent import RecurrentCell, over_sequences
from lyapmap.core.errors import MapError, ShapeError

SERVED = "serving_default"
"""The signature of a SavedModel that serving programs call."""


def wrap_tensorflow(
    function: Any,
    *,
    state_shape: tuple[int, ...] | None = None,
    dtype: Any = None,
    device: str | None = None,
    xla: bool = False,
    memory_limit: int = DEFAULT_MEMORY_LIMIT,
    provenance: dict[str, Any] | None = None,
    compile: bool | None = None,  # noqa: A002  (what users will look for)
) -> TensorFlowMap:
    """Make a map of a TensorFlow function, a `tf.Module` or a loaded SavedModel.

    Parameters
    ----------
    function : callable, tf.Module, tf.function, or what tf.saved_model.load gives
        Takes a batch (b, *state_shape) for any b and returns one of the same shape. It may use Python's
        control flow and have side effects, which happen when it is called and traced here, not in
        every step. Variables are read in every step: training them changes the map. Of a SavedModel that
        cannot be called, its signature "serving_default" (or the only one) is taken.
    state_shape : tuple of int
        Shape of one state; a signature of a SavedModel knows its own.
    dtype : "float32" or "float64", optional
        Of the states and of the function's arithmetic; float32 by default.
    device : str, optional
        "cpu", "gpu:0"; a GPU by default if there is one.
    xla : bool
        Compile with XLA: faster steps, seconds more to begin with, and for every new number of
        states or directions.
    memory_limit : int
        Bytes that one pass of tangents may take, about.
    compile : bool, optional
        Whether long runs are carried by compiled code, where the function can be followed (see
        docs/frameworks.md): by default where that pays, with True for runs of any length.
    provenance : dict, optional
        Plain values that results will record.

    Returns
    -------
    TensorFlowMap
        Its `derivative` says how tangents are carried; see there.

    Raises
    ------
    LyapmapError
        If what comes back has another shape or dtype or differs between two calls, if float64 is
        lost on the way, or no derivative comes out.

    Examples
    --------
    >>> import tensorflow as tf
    >>> m = wrap_tensorflow(lambda x: 3.9 * x * (1 - x), state_shape=(1,), dtype="float64")
    >>> y, tangents = m.jvp(tf.constant([[0.5]], tf.float64), tf.constant([[[1.0]]], tf.float64))
    >>> y.numpy().item(), tangents.numpy().item(), m.derivative
    (0.975, 0.0, 'forward mode')
    """
    tensorflow()
    name = getattr(function, "__name__", type(function).__name__)
    if not callable(function):
        function, name = _signature(function), "SavedModel"
    shape = tuple(int(s) for s in state_shape) if state_shape is not None else None
    function, known = _of_one_array(function)
    shape = shape or known
    if shape is None:
        raise ShapeError("state_shape: expected the shape of one state, e.g. (2,) or (28, 28, 1), got None")
    checked_options(shape, memory_limit)
    made = TensorFlowMap(
        function,
        shape,
        dtype_name(dtype) or "float32",
        resolved_device(device),
        xla=xla,
        memory_limit=memory_limit,
        provenance={"map": name} | (provenance or {}),
    )
    made.twin.wanted = compile
    if made.ops.dtype == "float64":
        require_float64(made)
    return made


def _signature(loaded: Any) -> Any:
    signatures = dict(getattr(loaded, "signatures", None) or {})
    if SERVED in signatures:
        return signatures[SERVED]
    if len(signatures) == 1:
        return next(iter(signatures.values()))
    names = ", ".join(sorted(signatures)) or "none"
    raise MapError(
        f"function: {type(loaded).__name__} cannot be called; of a SavedModel give the signature to use, "
        f"loaded.signatures[...] (it has {names})"
    )


def _of_one_array(function: Any) -> tuple[Callable[[Any], Any], tuple[int, ...] | None]:
    """A signature, which takes named arrays and returns a dict, as a function of one; its state shape."""
    arguments = getattr(function, "structured_input_signature", None)
    if not arguments or not arguments[1] or arguments[0]:
        return function, None
    outputs = function.structured_outputs
    for what, names in (("input", arguments[1]), ("output", outputs)):
        if len(names) != 1:
            raise MapError(
                f"function: expected a signature with one {what}, got {', '.join(sorted(names))}; "
                "wrap a function of one state that calls it"
            )
    (given, spec), (returned,) = next(iter(arguments[1].items())), outputs

    def called(x: Any) -> Any:
        return function(**{given: x})[returned]

    sizes = spec.shape.as_list()[1:] if spec.shape.rank else []
    return called, tuple(sizes) if sizes and None not in sizes else None


def keras_cell(function: Any) -> RecurrentCell | None:
    """See `lyapmap.backends.recurrent_cell`."""
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
        CellStep(function, parts),
    )


class CellStep:
    """A cell as a function of its state and one step's input: h -> cell(u, h), or [h, c] -> cell(u, [h, c])."""

    def __init__(self, cell: Any, parts: int) -> None:
        self.cell, self.parts = cell, parts

    def __call__(self, state: Any, u: Any) -> Any:
        states = list(state) if isinstance(state, list | tuple) else [state]
        after = self.cell(u, states)[1]
        return after if self.parts > 1 else after[0]


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
