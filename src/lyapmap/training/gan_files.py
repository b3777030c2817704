"""Trained adversarial networks by name or file: the generator and its discriminator."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lyapmap.analysis.battle import Contender
from lyapmap.backends.torch_copies import resolved_device
from lyapmap.backends.torch_ops import DTYPES
from lyapmap.core.errors import CheckpointError, PrecisionError
from lyapmap.models.dcgan import Dcgan, DcganConfig
from lyapmap.models.gran import Gran
from lyapmap.training import checkpoint as checkpoints
from lyapmap.training import zoo
from lyapmap.training.torch_files import build_module

MODELS = ("dcgan", "gran")
ROWS = 256
"""Images that are judged at once."""


@dataclass(frozen=True)
class Gan:
    """An adversarial pair, both in evaluation mode.

    Attributes
    ----------
    name : str
        Name, or file it came from.
    architecture : "dcgan" or "gran"
    config : DcganConfig or GranConfig
    generator : torch.nn.Module
        Noise (b, *config.latent_shape) to images (b, c, h, w).
    discriminator : torch.nn.Module
        Images to logits (b,), positive for those that it takes for real.
    latents : (m, *config.latent_shape)
        Noise of the sample sheets of its training.
    training : dict
        How it was trained.
    origin : dict
        Plain values that results record: name and SHA256.
    """

    name: str
    architecture: str
    config: DcganConfig
    generator: nn.Module
    discriminator: nn.Module
    latents: NDArray[Any]
    training: dict[str, Any] = field(default_factory=dict)
    origin: dict[str, Any] = field(default_factory=dict)

    def contender(self, *, canvas_steps: int | None = None) -> Contender:
        """The pair as `lyapmap.battle` takes it, with more updates of a GRAN's canvas than trained if asked for."""
        from lyapmap.training.gan_sampling import sample_gan

        def sampled(n: int, seed: int) -> NDArray[Any]:
            return sample_gan(self, n, canvas_steps=canvas_steps, seed=seed).images

        def judge(images: NDArray[Any]) -> NDArray[Any]:
            given = torch.from_numpy(np.ascontiguousarray(images)).to(self.device, self.dtype)
            with torch.no_grad():
                parts = [self.discriminator(rows) for rows in given.split(ROWS)]
            return torch.sigmoid(torch.cat(parts).double()).cpu().numpy()

        return Contender(self.name, sampled, judge)

    @property
    def device(self) -> torch.device:
        return next(self.generator.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.generator.parameters()).dtype


def load_gan(name: str | Path, *, dtype: str | None = None, device: str | None = None) -> Gan:
    """Load a DCGAN or GRAN by name or from a checkpoint.

    Parameters
    ----------
    name : str or path
        A shipped model, or a `.pt` or `.safetensors` file.
    dtype : "float32" or "float64", optional
        As saved by default.
    device : str, optional
        The CPU by default.

    Returns
    -------
    Gan

    Raises
    ------
    CheckpointError
        If there is no such model or file, or it holds another network.
    """
    path, kind = zoo.kind_of(name)
    if kind is not zoo.KINDS["torch"]:
        raise CheckpointError(f"model: expected a .pt or .safetensors checkpoint of a DCGAN or GRAN, got {path.name}")
    if dtype not in (None, *DTYPES):
        raise PrecisionError(f"dtype: expected 'float32' or 'float64', got {dtype!r}")
    saved = checkpoints.load(path)
    label = str(name) if str(name) in zoo.shipped() else path.name
    if saved.model not in MODELS:
        raise CheckpointError(f"model: {label} is a {saved.model} model, expected a dcgan or gran")
    pair, _ = build_module(saved, path)
    assert isinstance(pair, Dcgan | Gran)
    shape = pair.config.latent_shape
    if tuple(saved.sample_states.shape[1:]) != shape:
        found = tuple(saved.sample_states.shape)
        raise CheckpointError(f"{path}: sample_states have shape {found}, expected noise of shape (m, *{shape})")
    pair.to(resolved_device(device or "cpu"), DTYPES[dtype] if dtype else None).requires_grad_(False)
    return Gan(
        label,
        saved.model,
        pair.config,
        pair.generator,
        pair.discriminator,
        saved.sample_states.numpy(),
        {key: value for key, value in saved.training.items() if key != "state"},
        {"model": label, "sha256": saved.sha256},
    )
