"""Networks from one kind of file to another, checked by running the same images through both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lyapmap.core.errors import CheckpointError, LyapmapError
from lyapmap.files import checkpoint as checkpoints
from lyapmap.files import zoo
from lyapmap.files.model import Saved
from lyapmap.models.cycle.network import CycleConfig, Generator

TORCH, KERAS = checkpoints.SUFFIXES, (".keras",)
IMAGES = 16
"""Random images that are run through both, besides up to as many sample states."""
TOLERANCE = 1e-4
"""Largest difference of a pixel between both that counts as rounding in float32."""


@dataclass(frozen=True)
class Conversion:
    """What `convert` did.

    Attributes
    ----------
    source, target : str
    architecture : str
    config : dict
    sample_states : int
        How many went along.
    images : int
        How many were run through both networks.
    difference : float
        The largest of a pixel.
    """

    source: str
    target: str
    architecture: str
    config: dict[str, Any]
    sample_states: int
    images: int
    difference: float


def convert(
    source: str | Path, target: str | Path, *, part: str | None = None, replace: bool = False, seed: int = 0
) -> Conversion:
    """Write a cycle generator of one framework as a file of another.

    Weights, config, sample states and what is known of the training go along; the state from which
    a training run resumes does not. The file appears only if the same images come out of both.

    Parameters
    ----------
    source : str or path
        Whatever `lyapmap.load_model` reads without trust.
    target : path
        `.keras`, `.pt` or `.safetensors`.
    part : str, optional
        Which network of a TensorFlow checkpoint.
    replace : bool
        Write over a target that is there already.
    seed : int
        Of the random images.

    Returns
    -------
    Conversion

    Raises
    ------
    CheckpointError
        If the source is no cycle generator, or both networks differ.
    LyapmapError
        If the target's name does not say what it shall be, or the file is there already.
    """
    path = Path(target)
    if path.suffix not in TORCH + KERAS:
        raise LyapmapError(f"target: expected a file that ends in {', '.join(KERAS + TORCH)}, got {path.name!r}")
    if path.exists() and not replace:
        raise LyapmapError(f"target: {path} is there already; replace it with --force (replace=True)")
    given, _ = zoo.load_saved(source, part=part)
    content = _content(given, source)
    beside = path.with_name(f".{path.stem}.converted{path.suffix}")
    try:
        _write(content, beside)
        made, _ = zoo.load_saved(beside)
        images, difference = _difference(given, made, content, seed)
        if not difference <= TOLERANCE:
            raise CheckpointError(
                f"{source}: the networks give images that differ by up to {difference:.2g}; it is not built like a "
                "cycle generator, though its weights have the same shapes"
            )
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    count = len(content.sample_states)
    return Conversion(str(source), str(path), content.model, content.config, count, images, difference)


def _content(given: Saved, source: str | Path) -> checkpoints.Checkpoint:
    """A model of any framework as a checkpoint."""
    training = {key: value for key, value in given.training.items() if key != "state"}
    if isinstance(given.module, Generator):
        states = torch.from_numpy(np.array(given.sample_states))
        return checkpoints.Checkpoint("cycle", given.config, dict(given.module.state_dict()), states, training)
    if not hasattr(given.module, "weights"):
        raise CheckpointError(f"{source}: no generator of a cycle model, and only those can be converted")
    from lyapmap.models.cycle.keras_checkpoint import arrays, cycle_config, to_torch

    sizes = cycle_config(given.module, source)
    config = CycleConfig(**given.config) if given.config else sizes
    if config.state_shape != sizes.state_shape or config.width != sizes.width:
        raise CheckpointError(f"{source}: its record tells of other sizes than the network has")
    layers = arrays(given.module)
    dtypes = sorted({str(array.dtype) for array in layers})
    if dtypes != ["float32"]:
        raise CheckpointError(f"{source}: its weights are {' and '.join(dtypes)}, checkpoints hold float32")
    names = list(Generator(config).state_dict())
    weights = {name: torch.from_numpy(to_torch(array).copy()) for name, array in zip(names, layers, strict=True)}
    samples = np.zeros((0, *config.state_shape), np.float32)
    if given.sample_states is not None:
        samples = np.ascontiguousarray(np.moveaxis(given.sample_states, -1, 1))
    return checkpoints.Checkpoint("cycle", config.to_dict(), weights, torch.from_numpy(samples), training)


def _write(content: checkpoints.Checkpoint, path: Path) -> None:
    if path.suffix in TORCH:
        checkpoints.save(content, path)
        return
    from lyapmap.files import keras_networks as keras_files
    from lyapmap.models.cycle.keras_checkpoint import keras_generator, to_keras

    weights = [(name, to_keras(weight.numpy())) for name, weight in content.state_dict.items()]
    network = keras_generator(CycleConfig(**content.config), weights, path)
    keras_files.write(
        network,
        path,
        model=content.model,
        config=content.config,
        training=content.training,
        sample_states=np.moveaxis(content.sample_states.numpy(), 1, -1),
    )


def _difference(given: Saved, made: Saved, content: checkpoints.Checkpoint, seed: int) -> tuple[int, float]:
    """How many images were run through both, and the largest difference of a pixel."""
    shape = CycleConfig(**content.config).state_shape
    drawn = np.random.default_rng(seed).uniform(-1, 1, (IMAGES, *shape))
    images = np.concatenate([content.sample_states.numpy()[:IMAGES], drawn]).astype(np.float32)
    ours, theirs = (_through(saved.module, images) for saved in (given, made))
    return len(images), float(np.abs(ours - theirs).max())


def _through(network: Any, images: NDArray[Any]) -> NDArray[Any]:
    """What a network of either framework makes of images (m, c, h, w)."""
    if isinstance(network, Generator):
        with torch.no_grad():
            return network(torch.from_numpy(images)).numpy()
    from lyapmap.backends.keras.start import keras

    made = network(np.moveaxis(images, 1, -1), training=False)
    return np.moveaxis(keras().ops.convert_to_numpy(made), -1, 1)
