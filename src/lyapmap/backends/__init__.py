"""`wrap`: anything that can be iterated becomes a map of the project.

Each framework has one file, the only place that imports it, at first use. Other packages can add
theirs through the entry point group `lyapmap.backends`.
"""

from __future__ import annotations

import operator
import sys
from dataclasses import replace
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
    is_numba,
    is_tensorflow,
)
from lyapmap.backends.outputs import Given, Selected, beside
from lyapmap.backends.recurrent import RecurrentCell
from lyapmap.backends.reservoirs import closed_loop
from lyapmap.backends.structured import FlatFunction, FlatJacobian, library_of, name_of
from lyapmap.core.arguments import whole
from lyapmap.core.combined.constraints import constrained
from lyapmap.core.combined.driven import DrivenMap, JoinedInputs
from lyapmap.core.combined.periodic import PeriodicStates
from lyapmap.core.conformance import vouched
from lyapmap.core.errors import LyapmapError, MapError, PrecisionError, ShapeError, in_one_line
from lyapmap.core.map import TangentMap, is_tangent_map, resembles_map, unchecked
from lyapmap.core.structure import COMPLEX, Leaf, Structure, dtype_name, structure_of


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
    window: int | None = None,
    constraint: str | None = None,
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
        What the function takes beside the state: by place, or by name. Arrays are those of one state, without a batch
        axis, the same at every step, and are repeated for each state; anything else is given as it is. What
        `lyapmap.each_step(series)` or `lyapmap.random_inputs(shape)` gives has another value at each step, known
        beforehand or drawn anew. Of a recurrent cell (`GRUCell`, `LSTMCell`, `RNNCell` of torch, Keras or flax),
        whose hidden state is the map's, the input (m,), zeros by default.
    output : str, int or callable, optional
        Which part of what the function returns is the next state: a name, an index, or a function of it. By default
        the only array there is, in whatever it comes.
    window : int, optional
        The number of elements (values, tokens, frames) of a sequence, oldest first, that are a state together, along
        the first axis of `state_shape` of this length: the function gives the next element, or as many as it takes, of
        which the last counts, and the state moves on by one.
    constraint : "sphere" or "simplex", optional
        Where states lie: vectors along the last axis of a state have one length (of complex ones all of it), or are not
        negative and add up to one. States are brought there, tangents are those of the surface, and there are as many
        exponents as it has dimensions.
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
    if periods is not None and constraint is not None:
        raise LyapmapError("periods: states that are held to a constraint do not come round")
    if periods is not None:
        whole = wrap(
            function,
            state_shape=state_shape,
            state_example=state_example,
            backend=backend,
            inputs=inputs,
            output=output,
            window=window,
            derivative=derivative,
            verify=verify,
            **options,
        )
        return PeriodicStates(whole, periods)
    if derivative not in (None, "differences"):
        raise LyapmapError(f"derivative: expected 'differences' or None, got {derivative!r}")
    shape = _shape(state_shape)
    dtype = dtype_name(options["dtype"]) if options.get("dtype") is not None else ""
    if dtype in COMPLEX and shape is not None:
        state_example, shape = np.zeros(shape, dtype), None
    if dtype in COMPLEX:
        backend = backend or BY_ARRAY.get(library_of(options["dtype"]))
        options = options | {"dtype": COMPLEX[dtype]}
    loop = closed_loop(function)
    if loop is not None:
        options = {"vectorized": False, "provenance": {"map": f"closed loop of {name_of(function)}"}} | options
        function, n = loop
        backend, shape = "numpy", shape or (n,)
    cell = None if window is not None else recurrent_cell(function)  # a layer may well give the next of a sequence
    given = Given(inputs, output, _window(window), batched=options.get("vectorized", True))
    if cell is not None:
        if given.output is not None or given.window is not None:
            raise LyapmapError(
                f"{'output' if window is None else 'window'}: the state of {cell.name} is its hidden state"
            )
        shape, state_example = None, cell.state_example(shape, state_example)
        backend = cell.backend
        if not given.changing:
            options["provenance"] = cell.described(inputs) | (options.get("provenance") or {})
            function, given = cell.map_of_state(inputs), Given()
        elif len(given.changing) > 1 or given.changing.keys() != dict(given.named).keys():
            raise LyapmapError(f"inputs: expected one input of {cell.name}, that of each step, got {len(given.named)}")
        else:
            options["provenance"] = cell.driven_by(*given.changing.values()) | (options.get("provenance") or {})
            function, given = cell.step, Given(tuple(given.changing.values()))
    elif given.asks:
        if resembles_map(function) and not is_module(function):
            option = "inputs" if inputs is not None else "output" if output is not None else "window"
            raise LyapmapError(f"{option}: {type(function).__name__} is a map already; see lyapmap.driven")
        options["provenance"] = {"map": name_of(function)} | (options.get("provenance") or {})
        if given.window is not None:
            options["provenance"] |= {"window": given.window}
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
        made = _built(function, shape, state_example, backend, given, options)
    structure = made.structure
    example = (
        None if state_example is None else state_example if structure is None else structure.flatten(state_example)
    )
    if isinstance(made, DrivenMap):
        made = made.vouched(example=example, differences=derivative is not None, verify=verify)
        return made if constraint is None else _on_surface(made, constraint)
    if verify and type(made).__name__ == "NumbaMap":
        from lyapmap.backends.numba.compile import NumbaRows

        vouched(NumbaRows(made), example=example)
        verify = False
    if constraint is not None:
        made = _on_surface(made, constraint)
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
        _required(shape)
    try:
        return unchecked(builder()(function, state_shape=shape, **options))
    except (MapError, ShapeError) as error:
        if shape is not None and len(shape) > 1 and _fits(builder(), function, shape[1:], options):
            raise ShapeError(
                f"state_shape: the function takes states of shape {shape[1:]}, got {shape}; leave the batch axis out"
            ) from error
        raise
    except TypeError as error:
        if "unexpected keyword argument" in str(error):
            raise LyapmapError(f"options: the {name} backend does not take them ({error})") from None
        raise


def _fits(make: Any, function: Any, shape: tuple[int, ...], options: dict[str, Any]) -> bool:
    """Whether the function maps states of this shape to themselves."""
    try:
        make(function, state_shape=shape, **options)
    except (LyapmapError, TypeError):
        return False
    return True


def _built(
    function: Any,
    shape: tuple[int, ...] | None,
    example: Any,
    backend: str | None,
    given: Given,
    options: dict[str, Any],
) -> TangentMap:
    """A map of a function or network, not looked at yet; states that are no single array are carried as flat rows."""
    if example is not None and shape is not None:
        raise LyapmapError("state_example: give either this or state_shape, not both")
    structure = None if example is None else structure_of(example)
    first = None if structure is None else structure.arrays(example)[0]
    one_array = structure is None or first is example
    if structure is not None and one_array:
        shape = structure.leaves[0].shape
    is_complex = structure is not None and structure.is_complex
    layer = getattr(function, "cell", function)
    if given.changing and is_numba(function):  # compiled code knows of no steps
        function, given, options = function.py_func, replace(given, batched=False), {"vectorized": False} | options
    network = "keras" if is_keras(layer) else "torch" if is_module(function) else None
    if given.asks and shape is None and one_array:
        shape = _shape_of(layer) if network == "keras" else _required(shape)
    if given.window is not None and not one_array:
        raise LyapmapError(
            "window: expected states of one array, whose shape is state_shape, got a state_example of several"
        )
    given = replace(given.for_states(shape), several=not one_array)
    called = _selected(function, given, network) if given.asks else function
    rows = structure if is_complex or not one_array else None
    if given.changing:
        state = structure or Structure(Leaf("", _required(shape), 0), (Leaf("", _required(shape), 0),), "")
        rows = beside(state, given.changing.values())
    if rows is not None:
        called = _flat(called, rows, network)
    flat_shape = shape if rows is None else (rows.n,)
    if network == "keras" and called is not function:
        from lyapmap.backends.keras.map import model_of

        called = model_of(called, layer, _required(flat_shape))
    name = backend or network or BY_ARRAY.get(library_of(first)) or detect(called, flat_shape, options)
    details = dict(options)
    if structure is not None and network is None and name in OURS:
        details = {"dtype": structure.dtype} | details
        if first is not None and library_of(first) == name == "torch":
            details = {"device": first.device} | details
    if rows is None:
        return _unstructured(called, flat_shape, name, details)
    if name == "numba":
        raise LyapmapError("state_example: Numba functions take one array; give state_shape, or backend='numpy'")
    if network is not None:
        details["provenance"] = {"map": name_of(function)} | (details.get("provenance") or {})
    if details.get("jacobian") is not None:
        if given.changing:
            raise LyapmapError("jacobian: leave it out where inputs change from step to step")
        details["jacobian"] = FlatJacobian(details["jacobian"], rows)
    made = _unstructured(called, flat_shape, name, details)
    if structure is not None and made.ops.dtype != structure.dtype and "dtype" not in details:
        raise PrecisionError(
            f"state_example: holds {structure.dtype}, and the map computes in {made.ops.dtype}; "
            f"give dtype='{made.ops.dtype}' to have it so"
        )
    if given.changing:
        parts = list(given.changing.values())
        made = DrivenMap(made, JoinedInputs(parts) if len(parts) > 1 else parts[0].source, rows.n - state.n, 0)
        if not is_complex and shape is not None:
            made.state_shape = shape
    if structure is not None and (is_complex or not one_array):
        made.structure = structure
        made.provenance = made.provenance | {"state": structure.described()}
    return made


def _on_surface(made: TangentMap, constraint: str) -> TangentMap:
    """The map of states that are held to a surface."""
    structure, shape = made.structure, tuple(made.state_shape)
    if structure is not None and not (structure.is_complex and len(structure.leaves[0].shape) == 1):
        raise LyapmapError(f"constraint: expected states of one array, or of one complex vector, got {structure}")
    return constrained(made, constraint, shape)


def _selected(function: Any, given: Given, network: str | None) -> Any:
    """A function or network with inputs beside the state, of whose answer one array is taken."""
    if is_numba(function):
        from lyapmap.backends.numba.map import with_selection

        return with_selection(function, given)
    if network == "torch":
        from lyapmap.backends.torch.map import SelectedModule

        return SelectedModule(function, given)
    if network == "keras":
        from lyapmap.backends.keras.map import several_inputs

        function = several_inputs(function)
    return Selected(function, given)


def _flat(function: Any, rows: Structure, network: str | None) -> Any:
    """A function or network of structured states as one of rows."""
    if network == "torch":
        from lyapmap.backends.torch.map import FlatModule

        return FlatModule(function, rows)
    return FlatFunction(function, rows)


def _shape_of(model: Any) -> tuple[int, ...]:
    from lyapmap.backends.keras.map import read_shape

    return read_shape(model)


def _required(shape: tuple[int, ...] | None) -> tuple[int, ...]:
    if shape is None:
        raise LyapmapError("state_shape: expected the shape of one state, e.g. (2,) or (1, 28, 28), got None")
    return shape


def _window(window: Any) -> int | None:
    return None if window is None else whole("window", window, 1)


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
