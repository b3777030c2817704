"""Checkpoints of torch networks as models: the architectures by name, and how they become maps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lyapmap.backends.torch_map import TorchMap, wrap_torch
from lyapmap.core.errors import CheckpointError
from lyapmap.files import checkpoint as checkpoints
from lyapmap.files.model import Saved
from lyapmap.models.classifier.network import Classifier, ClassifierConfig
from lyapmap.models.cycle.network import CycleConfig, Generator
from lyapmap.models.gan.dcgan import Dcgan, DcganConfig
from lyapmap.models.gan.gran import Gran, GranConfig
from lyapmap.models.kaleidoscope.network import Kaleidoscope, KaleidoscopeConfig
from lyapmap.models.latent_spectral.network import Classifier as PooledClassifier
from lyapmap.models.latent_spectral.network import LatentSpectral, PooledConfig


def _cycle(config: dict[str, Any]) -> tuple[nn.Module, tuple[int, ...]]:
    sizes = CycleConfig(**config)
    return Generator(sizes), sizes.state_shape


def _classifier(config: dict[str, Any]) -> tuple[nn.Module, tuple[int, ...]]:
    sizes = ClassifierConfig(**config)
    return Classifier(sizes), sizes.state_shape


def _kaleidoscope(config: dict[str, Any]) -> tuple[nn.Module, tuple[int, ...]]:
    sizes = KaleidoscopeConfig(**config)
    return Kaleidoscope(sizes), sizes.state_shape


def _dcgan(config: dict[str, Any]) -> tuple[nn.Module, tuple[int, ...]]:
    sizes = DcganConfig(**config)
    return Dcgan(sizes), sizes.state_shape


def _gran(config: dict[str, Any]) -> tuple[nn.Module, tuple[int, ...]]:
    sizes = GranConfig(**config)
    return Gran(sizes), sizes.state_shape


def _pooled(config: dict[str, Any]) -> tuple[nn.Module, tuple[int, ...]]:
    sizes = PooledConfig(**config)
    return PooledClassifier(sizes), sizes.state_shape


def _lsd(config: dict[str, Any]) -> tuple[nn.Module, tuple[int, ...]]:
    module = LatentSpectral(config)
    return module, module.state_shape


ARCHITECTURES: dict[str, Callable[[dict[str, Any]], tuple[nn.Module, tuple[int, ...]]]] = {
    "cycle": _cycle,
    "classifier": _classifier,
    "kaleidoscope": _kaleidoscope,
    "dcgan": _dcgan,
    "gran": _gran,
    "lsd-classifier": _pooled,
    "lsd": _lsd,
}
NO_MAPS = {
    "classifier": "which cannot be iterated; see --features",
    "dcgan": "which draws images of noise and cannot be iterated; see lyapmap gan jacobian",
    "gran": "which draws images of noise and cannot be iterated; see lyapmap gan canvas and gan jacobian",
    "lsd-classifier": "which cannot be iterated; see --classifier",
}
"""Networks that do not make states of states, and what can be done with them."""


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


def read(path: Path, label: str, part: str | None, trust: bool) -> Saved:
    """The network of a `.pt` or `.safetensors` checkpoint."""
    checkpoint = checkpoints.load(path)
    if checkpoint.model in NO_MAPS:
        raise CheckpointError(f"model: {label} is a {checkpoint.model}, {NO_MAPS[checkpoint.model]}")
    module, _ = build_module(checkpoint, path)
    origin = {"model": label, "sha256": checkpoint.sha256}
    states = checkpoint.sample_states.numpy()
    return Saved(module, origin, states, checkpoint.model, checkpoint.config, checkpoint.training)


def as_map(saved: Saved, **options: Any) -> TorchMap:
    """A checkpoint's network as a map."""
    module = saved.module
    shape = module.state_shape if isinstance(module, LatentSpectral) else module.config.state_shape
    return wrap_torch(module, state_shape=shape, provenance=saved.origin, **options)


def record(path: Path) -> dict[str, Any]:
    """How the network was trained."""
    return checkpoints.load(path).training
