"""Weights of one generator in two frameworks: torch's and Keras's.

Both list them in the same order. Kernels of convolutions are (out, in, h, w) in torch, those of
transposed ones (in, out, h, w); Keras has (h, w, in, out) and (h, w, out, in). The same
permutation serves both.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.errors import CheckpointError, LyapmapError
from lyapmap.models.cycle.config import CycleConfig


def to_keras(weight: Any) -> NDArray[Any]:
    """A weight of torch as Keras has it.

    >>> to_keras(np.zeros((8, 4, 3, 5))).shape
    (3, 5, 4, 8)
    """
    found = np.asarray(weight)
    return np.ascontiguousarray(found.transpose(2, 3, 1, 0)) if found.ndim == 4 else found


def to_torch(weight: Any) -> NDArray[Any]:
    """A weight of Keras as torch has it.

    >>> to_torch(np.zeros((3, 5, 4, 8))).shape
    (8, 4, 3, 5)
    """
    found = np.asarray(weight)
    return np.ascontiguousarray(found.transpose(3, 2, 0, 1)) if found.ndim == 4 else found


def keras_generator(config: CycleConfig, weights: Sequence[tuple[str, Any]], source: str | Path) -> Any:
    """A Keras generator with given weights.

    Parameters
    ----------
    config : CycleConfig
    weights : pairs of (name, array)
        In Keras's layout, in the order of the model.
    source : str or path
        Names them in errors.

    Returns
    -------
    keras.Model

    Raises
    ------
    CheckpointError
        Naming the first weight that does not fit.
    """
    from lyapmap.backends.keras.start import keras

    keras()  # sets threads and silence before anything else imports it
    from lyapmap.models.cycle.keras_network import build_generator

    model = build_generator(config)
    if len(weights) != len(model.weights):
        raise CheckpointError(f"{source}: expected {len(model.weights)} weights, got {len(weights)}")
    for variable, (name, array) in zip(model.weights, weights, strict=True):
        if tuple(array.shape) != tuple(variable.shape):
            wanted = f"{tuple(variable.shape)} for {variable.path}"
            raise CheckpointError(f"{source}: {name} has shape {tuple(array.shape)}, expected {wanted}")
        variable.assign(array)
    return model


def cycle_config(model: Any, source: str | Path) -> CycleConfig:
    """The sizes of a Keras model that is a cycle generator; its number of categories is not in it.

    Raises
    ------
    CheckpointError
        If it is none, naming what does not fit.
    """
    from lyapmap.models.cycle.keras_network import build_generator

    refused = f"{source}: no generator of a cycle model"
    shape = getattr(model, "input_shape", None)
    if not isinstance(shape, tuple) or len(shape) != 4 or shape[1] != shape[2] or None in shape[1:]:
        raise CheckpointError(f"{refused}: expected square images (None, h, w, c), its input is {shape}")
    kernels = [w for w in model.weights if len(w.shape) == 4]
    if not kernels:
        raise CheckpointError(f"{refused}: it has no convolution")
    rates = [float(layer.rate) for layer in model.layers if type(layer).__name__ == "Dropout"]
    sizes: dict[str, Any] = {"image_size": int(shape[1]), "channels": int(shape[3]), "width": int(kernels[0].shape[-1])}
    try:
        config = CycleConfig(**sizes | ({"dropout": rates[0]} if rates else {}))
    except LyapmapError as error:
        raise CheckpointError(f"{refused}: {error}") from None
    wanted = build_generator(config).weights
    if len(wanted) != len(model.weights):
        raise CheckpointError(f"{refused}: expected {len(wanted)} weights, it has {len(model.weights)}")
    for ours, theirs in zip(wanted, model.weights, strict=True):
        if tuple(ours.shape) != tuple(theirs.shape):
            raise CheckpointError(
                f"{refused}: {theirs.path} has shape {tuple(theirs.shape)}, "
                f"expected {tuple(ours.shape)} for {ours.path}"
            )
    return config


def arrays(model: Any) -> list[NDArray[Any]]:
    """The weights of a Keras model on any of its backends."""
    return [np.array(variable.numpy()) for variable in model.weights]
