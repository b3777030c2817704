"""`wrap`: anything that can be iterated becomes a map of the project.

Each framework has one file, the only place that imports it, at first use. Other packages can add
theirs through the entry point group `lyapmap.backends`.
"""

from __future__ import annotations

import operator
import sys
from typing import Any

import numpy as np

from lyapmap.backends.frameworks import (
    BY_ARRAY,
    OURS,
    READ_SHAPES,
    builders,
    detect,
    is_keras,
    is_module,
    is_tensorflow,
)
from lyapmap.backends.outputs import Selected
from lyapmap.backends.recurrent import RecurrentCell
from lyapmap.backends.reservoirs import closed_loop
from lyapmap.backends.structured import FlatFunction, FlatJacobian, library_of, name_of
from lyapmap.core.conformance import vouched
from lyapmap.core.errors import LyapmapError, MapError, PrecisionError, ShapeError, in_one_line
from lyapmap.core.map import TangentMap, is_tangent_map, resembles_map, unchecked
from lyapmap.core.periodic import PeriodicStates
from lyapmap.core.structure import keep_structure, structure_of


@in_one_line
def wrap(
    function: Any,
    *,
    state_shape: Any = None,
    state_example: Any = None,
    periods: Any = None,
    backend: str | None = None,
    inputs: Any = None,
    output: Any = None,
    derivative: str | None = None,
    verify: bool = True,
    **options: Any,
) -> TangentMap:
    """Make a map of a function or a network.

    Parameters
    ----------
    function : callable, torch.nn.Module, Keras model, tf.Module, or an object with apply and jacobian
        What is to be iterated. Functions take a batch (b, *state_shape), those of Numba one state.
    state_shape : tuple of int or int
        Shape of one state; an object that is a map already, or a Keras model, needs none.
    state_example : tuple, list or dict of arrays, optional
        Instead of `state_shape`, where a state is not one array, e.g. (h, c) of an LSTM cell: an
        example of one state, without a batch axis; only shapes, dtype and device count. The function
        takes and returns states like it, with a batch axis in front of every array. The map's states
        are rows of n values, the arrays one after the other (a dict's in the order of its keys);
        `map.restore` makes structures of them, and initial states may be given as structures.
    periods : dict of int to float, or n floats and None, optional
        Coordinates that come round, such as angles, with their periods: images keep them in
        [0, period), so that they have a dimension. Tangents are untouched.
    backend : "numpy", "numba", "torch", "tensorflow", "keras", "jax" or the name of an entry point, optional
        Which framework `function` belongs to; found out by default.
    inputs : tuple, dict or one value, optional
        What the function takes beside the state, the same at every step: by place, or by name. Arrays are those of one
        state, without a batch axis, and are repeated for each state; anything else is given as it is. Of a
        recurrent cell (`GRUCell`, `LSTMCell`, `RNNCell` of torch, Keras or flax), whose hidden state is the map's, the
        input (m,), zeros by default. For inputs that change from step to step see `lyapmap.driven`.
    output : str, int or callable, optional
        Which part of what the function returns is the next state: a name, an index, or a function of it. By default
        the only array there is, in whatever it comes.
    derivative : "differences", optional
        Take the derivative by central differences, whatever the framework has to offer.
    verify : bool
        Whether to look at the map before it is trusted (see `lyapmap.core.conformance.vouched`): images
        that repeat, rows that do not depend on each other, a derivative that is what differences
        show. Takes about as long as fifty evaluations; False is for those who know.
    **options
        For the backend: `jacobian` (NumPy, Numba), `vectorized` (NumPy), `dtype` and `device` (torch,
        TensorFlow, Keras, JAX), `memory_limit` (all but Numba, whose loops hold one state), `xla` (TensorFlow,
        Keras), `provenance`.

    Returns
    -------
    TangentMap

    Raises
    ------
    LyapmapError
        If the function does not map states of this shape to themselves, or an option is unknown; if
        two calls differ, rows depend on each other, or the derivative is wrong; if a backend of
        another package cannot be loaded.

    Notes
    -----
    A function that has no derivative in its framework (it passes through NumPy, say) gets one by
    differences; `map.derivative` and every result's provenance say so.

    Examples
    --------
    >>> import numpy as np
    >>> def henon(s):
    ...     x, y = s[:, 0], s[:, 1]
    ...     return np.stack([1 - 1.4 * x**2 + y, 0.3 * x], axis=1)
    >>> m = wrap(henon, state_shape=2)
    >>> m.derivative
    'complex step'

    A state of two arrays:

    >>> def pendulum(s):
    ...     p = s["momentum"] + 1.2 * np.sin(s["angle"])
    ...     return {"angle": s["angle"] + p, "momentum": p}
    >>> m = wrap(pendulum, state_example={"angle": np.zeros(1), "momentum": np.zeros(1)})
    >>> m.restore(m.apply(np.array([[0.0, 0.5]])))
    {'angle': array([[0.5]]), 'momentum': array([[0.5]])}
    """
    if periods is not None:
        whole = wrap(
            function,
            state_shape=state_shape,
            state_example=state_example,
            backend=backend,
            inputs=inputs,
            output=output,
            derivative=derivative,
            verify=verify,
            **options,
        )
        return PeriodicStates(whole, periods)
    if derivative not in (None, "differences"):
        raise LyapmapError(f"derivative: expected 'differences' or None, got {derivative!r}")
    shape = _shape(state_shape)
    loop = closed_loop(function)
    if loop is not None:
        options = {"vectorized": False, "provenance": {"map": f"closed loop of {name_of(function)}"}} | options
        function, n = loop
        backend, shape = "numpy", shape or (n,)
    cell = recurrent_cell(function)
    if cell is not None:
        function, backend = cell.map_of_state(inputs), cell.backend
        shape, state_example = None, cell.state_example(shape, state_example)
        options["provenance"] = cell.described(inputs) | (options.get("provenance") or {})
    elif inputs is not None or output is not None:
        if resembles_map(function) and not is_module(function):
            option = "inputs" if output is None else "output"
            raise LyapmapError(f"{option}: {type(function).__name__} is a map already; see lyapmap.driven")
        options["provenance"] = {"map": name_of(function)} | (options.get("provenance") or {})
        if is_module(function) and not is_keras(function):
            from lyapmap.backends.torch.map import with_selection

            function = with_selection(function, inputs, output)
        else:
            function = Selected(function, inputs, output)
    if is_tangent_map(function) or (resembles_map(function) and not is_module(function)):
        if options or backend or state_example is not None:
            extra = next(iter(options), "backend" if backend else "state_example")
            raise LyapmapError(f"{extra}: {type(function).__name__} is a map already and takes no options")
        made = unchecked(function)
        if shape not in (None, tuple(made.state_shape)):
            raise ShapeError(f"state_shape: {type(function).__name__} is a map of {made.state_shape}, got {shape}")
        # Ours have been looked at where they were made, and noise differs from step to step.
        verify = verify and not made.depends_on_step and not type(function).__module__.startswith("lyapmap.")
    else:
        if not callable(function) and not is_tensorflow(function):  # a SavedModel may have signatures only
            raise MapError(f"function: expected a function, a module or a map, got {type(function).__name__}")
        if state_example is None:
            made = _unstructured(function, shape, backend, options)
        elif shape is not None:
            raise LyapmapError("state_example: give either this or state_shape, not both")
        else:
            made = _structured(function, state_example, backend, options)
    structure = made.structure
    example = (
        None if state_example is None else state_example if structure is None else structure.flatten(state_example)
    )
    if verify and type(made).__name__ == "NumbaMap":
        from lyapmap.backends.numba.compile import NumbaRows

        vouched(NumbaRows(made), example=example)
        verify = False
    return vouched(made, example=example, differences=derivative is not None, verify=verify)


def _unstructured(
    function: Any, shape: tuple[int, ...] | None, backend: str | None, options: dict[str, Any]
) -> TangentMap:
    """A map of states that are one array, not looked at yet."""
    makers = builders()
    name = backend or detect(function, shape, options)
    builder = makers.get(name)
    if builder is None:
        raise LyapmapError(f"backend: expected one of {', '.join(sorted(makers))}, got {name!r}")
    if shape is None and name not in READ_SHAPES:
        raise LyapmapError("state_shape: expected the shape of one state, e.g. (2,) or (1, 28, 28), got None")
    try:
        return unchecked(builder()(function, state_shape=shape, **options))
    except TypeError as error:
        if "unexpected keyword argument" in str(error):
            raise LyapmapError(f"options: the {name} backend does not take them ({error})") from None
        raise


def _structured(function: Any, example: Any, backend: str | None, options: dict[str, Any]) -> TangentMap:
    """A map of states like an example, carried as flat rows."""
    structure = structure_of(example)
    first = structure.arrays(example)[0]
    one_array = first is example
    flat: Any = function if one_array else FlatFunction(function, structure)
    shape = structure.leaves[0].shape if one_array else (structure.n,)
    network = "keras" if is_keras(function) else "torch" if is_module(function) else None
    name = backend or network or BY_ARRAY.get(library_of(first)) or detect(flat, shape, options)
    given = dict(options)
    if network is None and name in OURS:
        given = {"dtype": structure.dtype} | given
        if library_of(first) == name == "torch":
            given = {"device": first.device} | given
    if one_array:
        return _unstructured(function, shape, name, given)
    if name == "numba":
        raise LyapmapError("state_example: Numba functions take one array; give state_shape, or backend='numpy'")
    if network == "keras":
        from lyapmap.backends.keras.map import flat_model

        flat = flat_model(function, structure)
    elif network == "torch":
        from lyapmap.backends.torch.map import FlatModule

        flat = FlatModule(function, structure)
    if network is not None:
        given["provenance"] = {"map": name_of(function)} | (given.get("provenance") or {})
    if given.get("jacobian") is not None:
        given["jacobian"] = FlatJacobian(given["jacobian"], structure)
    made = _unstructured(flat, shape, name, given)
    if made.ops.dtype != structure.dtype and "dtype" not in given:
        raise PrecisionError(
            f"state_example: holds {structure.dtype}, and the map computes in {made.ops.dtype}; "
            f"give dtype='{made.ops.dtype}' to have it so"
        )
    keep_structure(made, structure)
    made.provenance = made.provenance | {"state": structure.described()}
    return made


def recurrent_cell(function: Any) -> RecurrentCell | None:
    """What is known of a bare cell of torch, Keras or flax; None for anything else.

    Raises
    ------
    MapError
        For a recurrent layer, which runs over sequences.
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


def _shape(state_shape: Any) -> tuple[int, ...] | None:
    if state_shape is None:
        return None
    try:
        sizes = tuple(operator.index(s) for s in (state_shape if np.iterable(state_shape) else (state_shape,)))
    except TypeError:
        raise ShapeError(f"state_shape: expected an integer or a tuple of them, got {state_shape!r}") from None
    if not sizes or min(sizes) < 1:
        raise ShapeError(f"state_shape: expected positive sizes, got {state_shape!r}")
    return sizes
