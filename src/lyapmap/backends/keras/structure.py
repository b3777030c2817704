"""Keras models whose state is a tuple, list or dict of tensors, as models of flat rows."""

from __future__ import annotations

from typing import Any

from lyapmap.backends.keras.start import keras
from lyapmap.backends.structured import FlatFunction
from lyapmap.core.structure import Structure


def flat_model(model: Any, structure: Structure) -> Any:
    """A model that holds another one, so that it is checked, copied and converted like any model."""
    module = keras()
    x = module.Input((structure.n,), dtype=model.compute_dtype)
    return module.Model(x, FlatFunction(model, structure)(x), name=model.name)
