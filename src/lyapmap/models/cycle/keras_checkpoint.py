"""Cycle generators in checkpoints of `tf.train.Checkpoint`, as programs of the Keras 2 era wrote them.

Such a checkpoint holds variables and the graph of the objects that they belong to, and no code.
Names differ (`layer_with_weights-4/conv1/kernel` of Keras 2, `_functional/_operations/7/conv1/_kernel`
of Keras 3; behind an optimizer the same variables may have its names), but the graph has the layers
in their order: convolutions and norms are taken in that order, and their shapes must fit.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.errors import CheckpointError, LyapmapError
from lyapmap.core.reading.bounded import content, inside, parsing, text
from lyapmap.files.keras_networks import as_map
from lyapmap.files.model import Saved, Wanted
from lyapmap.models.cycle.config import CycleConfig


def to_keras(weight: Any) -> NDArray[Any]:
    """A weight of torch as Keras has it.

    >>> to_keras(np.zeros((8, 4, 3, 5))).shape
    (3, 5, 4, 8)
    """
    values = np.asarray(weight)
    return np.ascontiguousarray(values.transpose(2, 3, 1, 0)) if values.ndim == 4 else values


def to_torch(weight: Any) -> NDArray[Any]:
    """A weight of Keras as torch has it.

    >>> to_torch(np.zeros((3, 5, 4, 8))).shape
    (8, 4, 3, 5)
    """
    values = np.asarray(weight)
    return np.ascontiguousarray(values.transpose(3, 2, 0, 1)) if values.ndim == 4 else values


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


GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
__all__ = ["as_map", "generator", "read", "record"]

VALUE = "VARIABLE_VALUE"
ROLES = {
    "kernel": "kernel",
    "bias": "bias",
    "gamma": "gain",
    "scale": "gain",
    "beta": "offset",
    "offset": "offset",
}
"""What variables of layers are called, and what they are."""
A_MODEL = re.compile(r"layer(_with_weights)?-\d+|_?layers|_operations|_functional")
"""Children by which the object at the root is seen to be a model itself."""
CONVOLUTIONS, NORMS, IN_RESIDUAL = 7, 6, (2, 3)
"""Of a generator in the order of its layers; which of both belong to the residual block."""


@dataclass
class Unit:
    """A layer with variables.

    Attributes
    ----------
    name : str
        Its place below the part.
    keys : dict of role to key of the variable
    """

    name: str
    keys: dict[str, str] = field(default_factory=dict)


def read(path: Path, label: str, wanted: Wanted) -> Saved:
    """A generator of a TensorFlow checkpoint; it has no sample states."""
    prefix = _prefix(path)
    network, config, name = generator(prefix, wanted.part)
    digest = hashlib.sha256()
    for file in _files(prefix):
        digest.update(content(file, CheckpointError))
    origin = {"model": f"{label} {name}".strip(), "sha256": digest.hexdigest()}
    return Saved(network, origin, None, "cycle", config.to_dict())


def record(path: Path) -> dict[str, Any]:
    """Nothing: these checkpoints do not say how they were trained."""
    return {}


def generator(prefix: Path, part: str | None) -> tuple[Any, CycleConfig, str]:
    """The Keras generator that one part of a checkpoint holds, its sizes, and the name of the part.

    An even number of pixels is assumed; the checkpoint holds only half of it.

    Raises
    ------
    CheckpointError
        If the part is not there, or is no generator of a cycle model; naming what does not fit.
    """
    reader, nodes = _opened(prefix)
    with parsing(prefix, DAMAGED, CheckpointError):
        parts = _parts(nodes)
    if not parts:
        raise CheckpointError(f"{prefix}: holds no network with convolutions")
    if part is None and len(parts) > 1:
        raise CheckpointError(f"part: {prefix.name} holds {', '.join(parts)}; choose one with --part (part=...)")
    if part is not None and part not in parts:
        raise CheckpointError(
            f"part: {prefix.name} holds {', '.join(filter(None, parts)) or 'one network'}, got {part!r}"
        )
    name = next(iter(parts)) if part is None else part
    source = f"{prefix}{f' {name}' if name else ''}"
    units = parts[name]
    with parsing(source, DAMAGED, CheckpointError):
        values = {key: reader.get_tensor(key) for unit in units for key in unit.keys.values()}
    convolutions = [unit for unit in units if "kernel" in unit.keys]
    norms = [unit for unit in units if "gain" in unit.keys]
    counted = f"{len(convolutions)} convolutions and {len(norms)} norms"
    if (len(convolutions), len(norms)) != (CONVOLUTIONS, NORMS):
        raise CheckpointError(
            f"{source}: a cycle generator has {CONVOLUTIONS} convolutions and {NORMS} norms, not {counted}"
        )
    kernel, gain = values[convolutions[0].keys["kernel"]], values[norms[0].keys["gain"]]
    if kernel.ndim != 4 or gain.ndim != 2:
        raise CheckpointError(
            f"{source}: {convolutions[0].name} has a kernel of shape {kernel.shape} and {norms[0].name} a gain of "
            f"shape {gain.shape}; expected (3, 3, channels, width) and (height, width)"
        )
    try:
        config = CycleConfig(image_size=2 * len(gain), channels=kernel.shape[2], width=kernel.shape[3])
    except LyapmapError as error:
        raise CheckpointError(f"{source}: {error}") from None
    return keras_generator(config, _ordered(convolutions, norms, values, source), source), config, name


def _ordered(
    convolutions: list[Unit], norms: list[Unit], values: dict[str, NDArray[Any]], source: str
) -> list[tuple[str, NDArray[Any]]]:
    """Weights in the order of our generator: each stage its convolution and norm, the block norm and convolution."""
    order: list[tuple[Unit, tuple[str, ...]]] = []
    for place, convolution in enumerate(convolutions):
        inside = place in IN_RESIDUAL
        stage: list[tuple[Unit, tuple[str, ...]]] = [(convolution, ("kernel", "bias") if inside else ("kernel",))]
        norm: list[tuple[Unit, tuple[str, ...]]] = [(unit, ("gain", "offset")) for unit in norms[place : place + 1]]
        order += norm + stage if inside else stage + norm
    weights = []
    for unit, roles in order:
        missing = [role for role in roles if role not in unit.keys]
        surplus = [role for role in unit.keys if role not in roles]
        if missing or surplus:
            what = f"has no {missing[0]}" if missing else f"has a {surplus[0]} that a cycle generator has not"
            raise CheckpointError(f"{source}: {unit.name} {what}")
        weights += [(f"{unit.name}/{role}", values[unit.keys[role]]) for role in roles]
    return weights


def _prefix(path: Path) -> Path:
    """The name with which a checkpoint's files begin: given, by its index, or the latest in a folder."""
    if path.suffix == ".index":
        if not path.is_file():
            raise CheckpointError(f"{path}: no such file")
        return path.with_suffix("")
    if not path.is_dir():
        return path
    # TensorFlow's own reader of this file follows paths to anywhere.
    named = re.search(r'^model_checkpoint_path: "([^"\\]*)"', text(path / "checkpoint", CheckpointError), re.MULTILINE)
    prefix = inside(path, named[1] if named else "", CheckpointError)
    if named is None or not prefix.with_name(f"{prefix.name}.index").is_file():
        raise CheckpointError(f"{path}: its file 'checkpoint' names no checkpoint that is there")
    return prefix


DAMAGED = "truncated, damaged or not a TensorFlow checkpoint"


def _files(prefix: Path) -> list[Path]:
    """Index and data of a checkpoint."""
    files = sorted(file for file in prefix.parent.iterdir() if file.name.startswith(f"{prefix.name}."))
    return [inside(prefix.parent, file.name, CheckpointError) for file in files]


def _opened(prefix: Path) -> tuple[Any, Any]:
    """A reader of the variables, and the nodes of the graph of objects."""
    from lyapmap.backends.keras.start import tensorflow

    tf = tensorflow()
    from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

    files = _files(prefix)
    with parsing(prefix, DAMAGED, CheckpointError):
        reader = tf.train.load_checkpoint(str(prefix))
        if not reader.has_tensor(GRAPH):
            raise CheckpointError(f"{prefix}: a checkpoint of names, not of tf.train.Checkpoint")
        # Its reader takes memory for what the index says, and reads afterwards.
        asked = sum(math.prod(shape) for shape in reader.get_variable_to_shape_map().values())
        if asked > sum(file.stat().st_size for file in files):
            raise ValueError(f"its index names {asked} values, which its files do not hold")
        return reader, TrackableObjectGraph.FromString(reader.get_tensor(GRAPH)).nodes


def _parts(nodes: Any) -> dict[str, list[Unit]]:
    """Networks by the name that the program gave them; a single one without a name."""
    children = [(child.local_name, child.node_id) for child in nodes[0].children]
    if any(A_MODEL.fullmatch(name) for name, _ in children):
        children = [("", 0)]
    parts = {name: _units(nodes, number) for name, number in children}
    return {name: units for name, units in parts.items() if any("kernel" in unit.keys for unit in units)}


def _units(nodes: Any, root: int) -> list[Unit]:
    """Layers with variables below a node, in the order of the layers."""
    units: list[Unit] = []
    seen: set[int] = set()

    def visit(number: int, path: str) -> None:
        if number in seen:
            return
        seen.add(number)
        here = Unit(path)
        deeper = []
        for name, child in _in_order(nodes[number].children):
            keys = [a.checkpoint_key for a in nodes[child].attributes if a.name == VALUE]
            role = ROLES.get(name.lstrip("_"))
            if keys and role:
                here.keys.setdefault(role, keys[0])
            elif not keys:
                deeper.append((child, f"{path}/{name}" if path else name))
        if here.keys:
            units.append(here)
        for child, name in deeper:
            visit(child, name)

    visit(root, "")
    return units


def _in_order(children: Any) -> list[tuple[str, int]]:
    """Children in the order in which they were made, those that are numbered by their number."""
    stems: dict[str, int] = {}
    keyed = []
    for child in children:
        stem, digits = re.fullmatch(r"(.*?)(\d*)", child.local_name).groups()  # type: ignore[union-attr]
        keyed.append((stems.setdefault(stem, len(stems)), int(digits or 0), child.local_name, child.node_id))
    return [(name, number) for _, _, name, number in sorted(keyed, key=lambda item: item[:2])]
