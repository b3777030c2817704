"""Checkpoints of torch networks as models, and how they become maps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from lyapmap.backends.torch.map import TorchMap, wrap_torch
from lyapmap.core.errors import CheckpointError
from lyapmap.files import checkpoint as checkpoints
from lyapmap.files import papers
from lyapmap.files.model import Saved


def _built(name: str, config: dict[str, Any]) -> tuple[nn.Module, tuple[int, ...]]:
    paper, network = papers.networks()[name]
    kind = papers.loaded(paper, network.module)
    module = kind(papers.loaded(paper, network.config)(**config) if network.config else config)
    return module, _state_shape(name, module)


def _state_shape(name: str, module: Any) -> tuple[int, ...]:
    _, network = papers.networks()[name]
    return tuple((module.config if network.config else module).state_shape)


def build_module(checkpoint: checkpoints.Checkpoint, source: str | Path) -> tuple[nn.Module, tuple[int, ...]]:
    """The network of a checkpoint in evaluation mode, and the shape of its states.

    `source` names the checkpoint in errors.
    """
    known = papers.networks()
    if checkpoint.model not in known:
        raise CheckpointError(f"{source}: model {checkpoint.model!r} is not one of {', '.join(known)}")
    try:
        with torch.random.fork_rng(devices=[]):  # the weights drawn here are replaced at once
            module, state_shape = _built(checkpoint.model, checkpoint.config)
    except TypeError as error:
        raise CheckpointError(f"{source}: the config does not fit a {checkpoint.model} model ({error})") from None
    checkpoints.load_weights(module, checkpoint, source)
    return module.eval(), state_shape


def read(path: Path, label: str, part: str | None, trust: bool) -> Saved:
    """The network of a `.pt` or `.safetensors` checkpoint."""
    checkpoint = checkpoints.load(path)
    known = papers.networks()
    if checkpoint.model in known and known[checkpoint.model][1].no_map:
        raise CheckpointError(f"model: {label} is a {checkpoint.model}, {known[checkpoint.model][1].no_map}")
    module, _ = build_module(checkpoint, path)
    origin = {"model": label, "sha256": checkpoint.sha256}
    states = checkpoint.sample_states.numpy()
    return Saved(module, origin, states, checkpoint.model, checkpoint.config, checkpoint.training)


def as_map(saved: Saved, **options: Any) -> TorchMap:
    """A checkpoint's network as a map."""
    shape = _state_shape(saved.architecture, saved.module)
    return wrap_torch(saved.module, state_shape=shape, provenance=saved.origin, **options)


def record(path: Path) -> dict[str, Any]:
    """How the network was trained."""
    return checkpoints.load(path).training
