"""Trained models by name or file: the shipped ones, and anybody's checkpoints."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lyapmap.backends.torch_map import DEFAULT_MEMORY_LIMIT, wrap_torch
from lyapmap.core.errors import CheckpointError
from lyapmap.core.map import TangentMap
from lyapmap.models.classifier import Classifier, ClassifierConfig
from lyapmap.models.cycle import CycleConfig, Generator
from lyapmap.training import checkpoint as checkpoints


@dataclass(frozen=True)
class Model:
    """A trained network, ready to be iterated.

    Attributes
    ----------
    name : str
        Name, or file it came from.
    map : TangentMap
    module : torch.nn.Module
        In evaluation mode, on the CPU, as it was saved.
    sample_states : (m, *state_shape)
        States to start from.
    checkpoint : Checkpoint
        With its config and training record.
    """

    name: str
    map: TangentMap
    module: nn.Module
    sample_states: NDArray[Any]
    checkpoint: checkpoints.Checkpoint


def _cycle(config: dict[str, Any]) -> tuple[nn.Module, tuple[int, ...]]:
    sizes = CycleConfig(**config)
    return Generator(sizes), sizes.state_shape


def _classifier(config: dict[str, Any]) -> tuple[nn.Module, tuple[int, ...]]:
    sizes = ClassifierConfig(**config)
    return Classifier(sizes), sizes.state_shape


ARCHITECTURES: dict[str, Callable[[dict[str, Any]], tuple[nn.Module, tuple[int, ...]]]] = {
    "cycle": _cycle,
    "classifier": _classifier,
}
NO_MAPS = ("classifier",)
"""Networks that do not make states of states; `lyapmap.training.features` loads them."""


def shipped() -> dict[str, Path]:
    """Names and files of the models that come with the package."""
    folder = Path(str(files("lyapmap.models"))) / "shipped"
    return {path.stem: path for path in sorted(folder.glob("*.pt"))}


def card(name: str) -> str:
    """The model card of a shipped model, in Markdown."""
    return shipped()[name].with_suffix(".md").read_text()


def build_module(checkpoint: checkpoints.Checkpoint, source: str | Path) -> tuple[nn.Module, tuple[int, ...]]:
    """The network of a checkpoint in evaluation mode, and the shape of its states.

    `source` names the checkpoint in errors.
    """
    build = ARCHITECTURES.get(checkpoint.model)
    if build is None:
        raise CheckpointError(f"{source}: model {checkpoint.model!r} is not one of {', '.join(ARCHITECTURES)}")
    try:
        with torch.random.fork_rng(devices=[]):  # the weights drawn here are replaced at once
            module, state_shape = build(checkpoint.config)
    except TypeError as error:
        raise CheckpointError(f"{source}: the config does not fit a {checkpoint.model} model ({error})") from None
    checkpoints.load_weights(module, checkpoint, source)
    return module.eval(), state_shape


def load_model(
    name: str | Path,
    *,
    dtype: str | None = None,
    device: str | None = None,
    memory_limit: int = DEFAULT_MEMORY_LIMIT,
) -> Model:
    """Load a trained network by name or from a checkpoint, as a map.

    Parameters
    ----------
    name : str or path
        Name of a shipped model, or a `.pt` or `.safetensors` checkpoint.
    dtype : "float32" or "float64", optional
        Of the map; as saved by default.
    device : str, optional
        Where the map computes; the CPU by default.
    memory_limit : int
        Bytes that one pass of tangents may take, about.

    Returns
    -------
    Model

    Raises
    ------
    CheckpointError
        If there is no such model or file, or the file cannot be used.

    Examples
    --------
    >>> model = load_model("cycle-digits-012")
    >>> model.map.state_shape
    (1, 8, 8)
    """
    path = shipped().get(str(name), Path(name))
    if path.suffix not in checkpoints.SUFFIXES and not path.exists():
        close = difflib.get_close_matches(str(name), shipped(), n=1, cutoff=0.5)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise CheckpointError(
            f"model: {str(name)!r} is neither a file nor one of {', '.join(shipped()) or 'no shipped models'}{hint}"
        )
    checkpoint = checkpoints.load(path)
    if checkpoint.model in NO_MAPS:
        raise CheckpointError(f"model: {name} is a {checkpoint.model}, which cannot be iterated; see --features")
    module, state_shape = build_module(checkpoint, path)
    states = checkpoint.sample_states.numpy()
    if states.ndim != 1 + len(state_shape) or states.shape[1:] != state_shape or not np.isfinite(states).all():
        wanted = ", ".join(map(str, state_shape))
        raise CheckpointError(f"{path}: sample_states have shape {states.shape}, expected (m, {wanted}), all finite")
    label = str(name) if str(name) in shipped() else path.name
    origin = {"model": label, "sha256": checkpoint.sha256}
    tangent_map = wrap_torch(
        module, state_shape=state_shape, dtype=dtype, device=device, memory_limit=memory_limit, provenance=origin
    )
    return Model(label, tangent_map, module, states, checkpoint)
