"""Keras models whose state is a tuple, list or dict of tensors, as models of flat rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.backends.keras.copies import dtypes_of, frozen, in_dtype, in_inference, read_shape, require_no_memory
from lyapmap.backends.keras.functions import wrap_tensorflow
from lyapmap.backends.keras.graph_map import DEFAULT_MEMORY_LIMIT, TensorFlowMap, checked_options, dtype_name
from lyapmap.backends.keras.ops import lossy_layer, require_float64, resolved_device
from lyapmap.backends.keras.start import keras
from lyapmap.backends.structured import FlatFunction
from lyapmap.core.errors import LyapmapError, MapError, PrecisionError
from lyapmap.core.map import TangentMap
from lyapmap.core.structure import Structure


def flat_model(model: Any, structure: Structure) -> Any:
    """A model that holds another one, so that it is checked, copied and converted like any model."""
    module = keras()
    x = module.Input((structure.n,), dtype=model.compute_dtype)
    return module.Model(x, FlatFunction(model, structure)(x), name=model.name)


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
    found = dtypes_of(model)
    if wanted is None:
        wanted = _only_precision(model, found)
    described = {"map": type(model).__name__, "keras": module.__version__ + "", **(provenance or {})}
    backend = module.backend.backend()
    if backend == "jax" and wanted == "float64":
        raise PrecisionError(f"dtype: float64 is not to be had on jax: {REDUCED}")
    copy = model if found == {wanted} else in_dtype(model, wanted)
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


def _only_precision(model: Any, found: set[str]) -> str:
    if len(found) > 1:
        raise PrecisionError(f"model: computes in {', '.join(sorted(found))}; give the dtype to rebuild it in")
    name = next(iter(found), str(model.compute_dtype))
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
