"""Maps of Keras models and layers: a copy in inference, of the precision asked for, and whether it is a map at all."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.backends.keras.functions import wrap_tensorflow
from lyapmap.backends.keras.graph_map import DEFAULT_MEMORY_LIMIT, TensorFlowMap, checked_options, dtype_name
from lyapmap.backends.keras.ops import lossy_layer, require_float64, resolved_device
from lyapmap.backends.keras.start import keras
from lyapmap.core.errors import LyapmapError, MapError, PrecisionError, ShapeError
from lyapmap.core.map import TangentMap

FLOATS = ("float16", "bfloat16", "float32", "float64", "mixed_float16", "mixed_bfloat16")


def read_shape(model: Any) -> tuple[int, ...]:
    """Shape of one state, which is that of the model's only input.

    Raises
    ------
    ShapeError
        If the model has several inputs, does not say what it takes, or leaves sizes open.
    """
    try:
        shape = model.input_shape
    except (AttributeError, ValueError):
        shape = None
    if shape is None:
        raise ShapeError(
            f"state_shape: {type(model).__name__} does not say what it takes; give the shape of one state, "
            "e.g. state_shape=(28, 28, 1)"
        )
    if isinstance(shape, dict | list) or not all(s is None or isinstance(s, int) for s in shape):
        raise ShapeError(f"model: expected one input, got {len(shape)}; {ONE_STATE}")
    if None in shape[1:]:
        raise ShapeError(f"state_shape: the model takes {shape}, which leaves sizes open; give the shape of one state")
    return tuple(shape[1:])


ONE_STATE = "wrap a function of one state that calls it"


def dtypes_of(model: Any) -> set[str]:
    """Precisions in which the layers of a model compute."""
    dtypes = set()
    for layer in model._flatten_layers(include_self=True):
        parts = list(layer._flatten_layers(include_self=False))
        # What a container declares is not what its layers do, but an input's dtype cuts what comes in.
        if parts:
            continue
        dtype = layer.dtype if type(layer).__name__ == "InputLayer" else layer.compute_dtype
        if dtype not in FLOATS:
            raise PrecisionError(
                f"model: {layer.name} takes {dtype}; a map of a continuous space has floating-point states"
            )
        dtypes.add(str(dtype))
    return dtypes


def frozen(model: Any) -> Callable[[Any], Any]:
    """The model in inference, with the weights that it has now: later training does not change the function."""
    ops = keras().ops
    trainable = [ops.stop_gradient(ops.copy(v.value)) for v in model.trainable_variables]
    others = [ops.stop_gradient(ops.copy(v.value)) for v in model.non_trainable_variables]

    mode = in_inference(model)

    def function(x: Any) -> Any:
        # What the call would do to moving averages and the like is handed back, and dropped.
        out = model.stateless_call(trainable, others, x, **mode)[0]
        if isinstance(out, dict | list | tuple):
            raise MapError(f"model: expected one output, got {len(out)}; {ONE_STATE}")
        return out

    return function


def require_no_memory(model: Any, shape: tuple[int, ...], dtype: str) -> None:
    """Refuse a model whose variables change while it is called in inference, and its image with them.

    Raises
    ------
    MapError
    """
    ops, mode = keras().ops, in_inference(model)
    trainable = [v.value for v in model.trainable_variables]
    before = [v.value for v in model.non_trainable_variables]
    if not before:
        return
    x = ops.full((2, *shape), 0.5, dtype)
    try:
        first, after = model.stateless_call(trainable, before, x, **mode)
        changed = [bool(ops.any(a != b)) for a, b in zip(before, after, strict=True)]
        if not any(changed):
            return
        second = model.stateless_call(trainable, after, x, **mode)[0]
    except Exception:  # whatever it is, the map's own way of calling shows it to its author
        return
    first, second = (ops.convert_to_numpy(ops.stop_gradient(y)) for y in (first, second))
    if not np.array_equal(first, second, equal_nan=True):
        name = model.non_trainable_variables[changed.index(True)].name
        raise MapError(
            f"function: two calls with the same states differ: {model.name} remembers or counts in its variable "
            f"{name!r}; make that a part of the state (state_example)"
        )


def in_inference(model: Any) -> dict[str, bool]:
    """Arguments that call a model in inference, which is also the default of those that take none."""
    accepted = inspect.signature(model.call).parameters.values()
    takes = any(p.name == "training" or p.kind is inspect.Parameter.VAR_KEYWORD for p in accepted)
    return {"training": False} if takes else {}


def in_dtype(model: Any, dtype: str) -> Any:
    """A copy of a model whose layers all compute in `dtype`, with the same weights.

    Raises
    ------
    PrecisionError
        If the model's class cannot be rebuilt from its configuration.
    """
    module = keras()
    layers = list(model._flatten_layers(include_self=True))
    known = {type(layer).__name__: type(layer) for layer in layers if not type(layer).__module__.startswith("keras.")}
    try:
        with _building(module, dtype, known):
            copy = type(model).from_config(_with_dtype(model.get_config(), dtype))
            if not copy.built:
                copy.build((None, *read_shape(model)))
        pairs = list(zip(layers, copy._flatten_layers(include_self=True), strict=True))
        for old, new in pairs:
            if isinstance(old, module.layers.Lambda):
                new.function = old.function  # the very function: what a configuration keeps of it is less
        copy.set_weights([module.ops.convert_to_numpy(w) for w in model.weights])
    except Exception as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise PrecisionError(
            f"dtype: {type(model).__name__} cannot be rebuilt in {dtype} ({line}); give its class a get_config, or "
            f"build it under keras.config.set_dtype_policy('{dtype}') and copy the weights"
        ) from error
    return copy


@contextmanager
def _building(module: Any, dtype: str, known: dict[str, type]) -> Iterator[None]:
    """Settings under which layers are made in `dtype`, also those that a layer makes itself."""
    policy, floats = module.config.dtype_policy(), module.config.floatx()
    # It is the user's own model, already in memory: nothing is loaded that could be unsafe.
    safe = module.src.saving.serialization_lib.SafeModeScope(safe_mode=False)
    module.config.set_dtype_policy(dtype)
    module.config.set_floatx(dtype)
    try:
        with safe, module.saving.custom_object_scope(known):
            yield
    finally:
        module.config.set_dtype_policy(policy)
        module.config.set_floatx(floats)


def _with_dtype(config: Any, dtype: str) -> Any:
    """A configuration with every precision named in it replaced."""
    if isinstance(config, list | tuple):
        return type(config)(_with_dtype(part, dtype) for part in config)
    if not isinstance(config, dict):
        return config
    return {
        key: dtype if key == "dtype" and _is_precision(value) else _with_dtype(value, dtype)
        for key, value in config.items()
    }


def _is_precision(value: Any) -> bool:
    if isinstance(value, dict):
        if value.get("class_name") != "DTypePolicy":
            raise PrecisionError(f"its layers have a {value.get('class_name')}")
        value = value["config"]["name"]
    return value in FLOATS


def model_of(function: Callable[[Any], Any], layer: Any, shape: tuple[int, ...]) -> Any:
    """A function that calls a model or layer, as a model that is checked, copied and converted like any."""
    module = keras()
    x = module.Input(shape, dtype=layer.compute_dtype)
    return module.Model(x, function(x), name=layer.name)


def several_inputs(model: Any) -> Any:
    """A model as a function of the state and what comes beside it: one of several inputs takes them in a list."""
    names = [tensor.name for tensor in getattr(model, "inputs", None) or ()]
    if len(names) < 2:
        return model

    def call(x: Any, *inputs: Any, **by_name: Any) -> Any:
        left = [name for name in names if name not in by_name]
        if by_name.keys() - set(names) or len(left) != 1 + len(inputs):
            raise MapError(f"inputs: {model.name} takes {', '.join(names)}; give all but the state, by these names")
        given = by_name | dict(zip(left, (x, *inputs), strict=True))
        return model([given[name] for name in names])

    return call


REDUCED = "Keras reduces float64 off TensorFlow: start with KERAS_BACKEND=tensorflow, or take dtype='float32'"

__all__ = ["wrap_keras", "wrap_tensorflow"]


def wrap_keras(
    model: Any,
    *,
    state_shape: tuple[int, ...] | None = None,
    dtype: Any = None,
    device: str | None = None,
    xla: bool = False,
    memory_limit: int = DEFAULT_MEMORY_LIMIT,
    provenance: dict[str, Any] | None = None,
    compile: bool | None = None,  # noqa: A002  (what users will look for)
) -> TangentMap:
    """Make a map of a Keras model or layer.

    Parameters
    ----------
    model : keras.Model or keras.Layer
        With one input and one output of the same shape. It is called in inference, with the weights
        that it has now: later training does not change the map, and the map never changes it.
    state_shape : tuple of int, optional
        Shape of one state; the model's own input shape by default, channels last or first as it
        stands, e.g. (28, 28, 1).
    dtype : "float32" or "float64", optional
        The model's own by default; for another one it is rebuilt from its configuration, with the
        same weights. Whether it really computes in float64 is found out.
    device : str, optional
        "cpu", "gpu:0"; a GPU by default if there is one. On torch: where the weights are.
    xla : bool
        Compile with XLA: faster steps, seconds more to begin with. TensorFlow only.
    memory_limit : int
        Bytes that one pass of tangents may take, about.
    compile : bool, optional
        Whether long runs are carried by compiled code, where the function can be followed (see
        docs/frameworks.md): by default where that pays, with True for runs of any length.
    provenance : dict, optional
        Plain values that results will record.

    Returns
    -------
    TangentMap
        A `TensorFlowMap`, or a map of torch or JAX with its arrays.

    Raises
    ------
    LyapmapError
        If the model has several inputs or outputs, maps to another space, draws random numbers,
        mixes precisions, or loses the precision asked for.

    Examples
    --------
    >>> import keras, numpy as np
    >>> net = keras.Sequential([keras.Input((3,)), keras.layers.Activation("tanh")])
    >>> m = wrap_keras(net, dtype="float64")
    >>> m.state_shape, m.derivative
    ((3,), 'forward mode')
    >>> m.ops.to_numpy(m.jacobian(m.ops.from_numpy(np.zeros((1, 3)))))[0].diagonal()
    array([1., 1., 1.])
    """
    module = keras()
    if not isinstance(model, module.Layer):
        raise MapError(f"model: expected a Keras model or layer, got {type(model).__name__}")
    if not model.built:
        raise MapError(f"model: {model.name} has no weights yet; call it once, or give it a keras.Input")
    # Whatever precisions its layers mix, it has a wrong input or output first.
    shape = tuple(int(s) for s in state_shape) if state_shape is not None else read_shape(model)
    checked_options(shape, memory_limit)
    wanted = dtype_name(dtype)
    dtypes = dtypes_of(model)
    if wanted is None:
        wanted = _only_precision(model, dtypes)
    described = {"map": type(model).__name__, "keras": module.__version__ + "", **(provenance or {})}
    backend = module.backend.backend()
    if backend == "jax" and wanted == "float64":
        raise PrecisionError(f"dtype: Keras has no float64 on jax: {REDUCED}")
    copy = model if dtypes == {wanted} else in_dtype(model, wanted)
    require_no_memory(copy, shape, wanted)
    if backend == "tensorflow":
        tensorflow_map = TensorFlowMap(
            frozen(copy),
            shape,
            wanted,
            resolved_device(device),
            xla=xla,
            memory_limit=memory_limit,
            provenance=described,
        )
        tensorflow_map.twin.wanted = compile
        return _precise(
            tensorflow_map, copy, lambda a: tensorflow_map.ops.from_numpy(a), "mend it there, or take dtype='float32'"
        )
    if xla:
        raise LyapmapError(f"xla: is for Keras on TensorFlow, and this model runs on {backend}")
    if backend == "torch":
        from lyapmap.backends.torch.rows import rows_map

        weights = [str(w.value.device) for w in copy.weights[:1]]
        where = device or next(iter(weights), None)
        try:
            torch_map = rows_map(frozen(copy), shape, wanted, where, memory_limit, described)
        except PrecisionError as error:
            raise PrecisionError(f"{error}: {REDUCED}") from None
        return _precise(torch_map, copy, lambda a: torch_map.ops.from_numpy(a), REDUCED)
    if backend == "jax":
        from lyapmap.backends.jax_map import wrap_jax

        return wrap_jax(
            frozen(copy),
            state_shape=shape,
            dtype=wanted,
            device=device,
            memory_limit=memory_limit,
            provenance=described,
        )
    raise LyapmapError(
        f"model: runs on the {backend} backend of Keras; maps are made on tensorflow, torch and jax "
        "(set KERAS_BACKEND before Keras is imported)"
    )


def _only_precision(model: Any, dtypes: set[str]) -> str:
    if len(dtypes) > 1:
        raise PrecisionError(f"model: computes in {', '.join(sorted(dtypes))}; give the dtype to rebuild it in")
    name = next(iter(dtypes), str(model.compute_dtype))
    if name not in ("float32", "float64"):
        raise PrecisionError(f"model: computes in {name}; give dtype='float32' or 'float64' to rebuild it in")
    return name


def _first_array(out: Any) -> NDArray[Any]:
    """What a layer returns, or the first part of it, as NumPy."""
    module = keras()
    first: NDArray[Any] = module.ops.convert_to_numpy(module.ops.stop_gradient(module.tree.flatten(out)[0]))
    return first


def _precise(made: TangentMap, model: Any, to_tensor: Any, mend: str) -> TangentMap:
    """The map itself, if it computes in the precision that it declares."""
    if made.ops.dtype == "float64":

        def suspect(x: NDArray[np.float64]) -> str:
            given = to_tensor(x.reshape(-1, *made.state_shape))
            return lossy_layer(model, lambda: model(given, **in_inference(model)), _first_array, to_tensor)

        require_float64(made, suspect, mend)
    return made
