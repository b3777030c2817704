"""Folders of SavedModels: programs, which are loaded only by somebody who trusts them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from lyapmap.core.errors import CheckpointError
from lyapmap.files.model import Saved

SIGNATURE = "serving_default"


def read(path: Path, label: str, part: str | None, trust: bool) -> Saved:
    """What a SavedModel serves."""
    if not trust:
        raise CheckpointError(
            f"{path}: refused, because a SavedModel is a program, which may read and write files when it runs; "
            "load it with --trust (trust=True) if you know where it comes from, or save the model as .keras"
        )
    from lyapmap.backends.keras.start import tensorflow

    tf = tensorflow()
    try:
        loaded = tf.saved_model.load(str(path))
    except Exception as error:  # readers of graphs and variables raise many kinds
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"{path}: TensorFlow cannot load it ({line})") from None
    digest = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        digest.update(file.read_bytes())
    return Saved(loaded, {"model": label, "map": "SavedModel", "sha256": digest.hexdigest()})


def as_map(saved: Saved, **options: Any) -> Any:
    """What a SavedModel serves as a map."""
    from lyapmap.backends.keras.map import wrap_tensorflow

    function, spec = _served(saved.module, saved.origin["model"])
    dtype = options.pop("dtype", None) or spec.dtype.name
    if dtype != spec.dtype.name:
        raise CheckpointError(f"dtype: {saved.origin['model']} computes in {spec.dtype.name} only, got {dtype}")
    shape = tuple(spec.shape[1:])
    return wrap_tensorflow(function, state_shape=shape, dtype=dtype, provenance=saved.origin, **options)


def record(path: Path) -> dict[str, Any]:
    """Nothing: a SavedModel does not say how it was trained."""
    return {}


def _served(loaded: Any, path: str) -> tuple[Any, Any]:
    """The function of a SavedModel's signature with one input and one output, and what it takes."""
    signatures = dict(loaded.signatures)
    name = SIGNATURE if SIGNATURE in signatures else next(iter(signatures), None)
    if name is None:
        raise CheckpointError(f"{path}: has no signature; load it yourself and give it to lyapmap.wrap")
    signature = signatures[name]
    inputs, outputs = signature.structured_input_signature[1], signature.structured_outputs
    if len(inputs) != 1 or len(outputs) != 1:
        raise CheckpointError(
            f"{path}: {name} has {len(inputs)} inputs and {len(outputs)} outputs, expected one of each"
        )
    ((argument, spec),) = inputs.items()
    if spec.shape.rank is None or spec.shape.rank < 2 or None in tuple(spec.shape[1:]):
        raise CheckpointError(f"{path}: {name} takes {spec.shape}, expected a batch of states of known shape")

    def serve(x: Any) -> Any:
        (y,) = signature(**{argument: x}).values()
        return y

    return serve, spec
