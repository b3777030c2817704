"""Trained networks of latent spectral decomposition by name or file, with their basis of latent space."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lyapmap.analysis.latent_basis import LatentBasis
from lyapmap.backends.torch.copies import resolved_device
from lyapmap.core.errors import CheckpointError
from lyapmap.core.latent import LatentTriple
from lyapmap.files import checkpoint as checkpoints
from lyapmap.files import zoo
from lyapmap.files.torch_networks import build_module
from lyapmap.models.latent_spectral.network import LatentSpectral

BASIS = "basis"
"""Where in a checkpoint's `training` the basis stands, whose arrays keep their precision."""


@dataclass(frozen=True)
class Lsd:
    """A generator, an encoder and a classifier in evaluation mode, and the basis that they give.

    Attributes
    ----------
    name : str
        Name, or file it came from.
    module : LatentSpectral
    classes : tuple of int
        Labels in the order of the classifier's logits.
    images : (m, c, h, w)
        Images of the data to begin with.
    basis : LatentBasis or None
    training : dict
        How it was trained.
    origin : dict
        Plain values that results record: name and SHA256.
    """

    name: str
    module: LatentSpectral
    classes: tuple[int, ...]
    images: NDArray[Any]
    basis: LatentBasis | None = None
    training: dict[str, Any] = field(default_factory=dict)
    origin: dict[str, Any] = field(default_factory=dict)

    @property
    def generator(self) -> nn.Module:
        """Latent vectors (b, M) to images (b, c, h, w)."""
        return self.module.generator

    @property
    def encoder(self) -> nn.Module:
        """Images to means and log standard deviations, each (b, M)."""
        return self.module.encoder

    @property
    def classifier(self) -> nn.Module:
        """Images to logits (b, L), in the order of `classes`."""
        return self.module.classifier

    def triple(self, *, batch: int = 500) -> LatentTriple:
        """The three as functions of NumPy arrays, as `lyapmap.LatentBasis.build` takes them."""
        return LatentTriple.of(
            self.generator,
            self.encoder,
            self.classifier,
            latent=self.module.latent,
            categories=self.module.categories,
            batch=batch,
        )

    def with_basis(self, basis: LatentBasis) -> Lsd:
        """The same networks with another basis."""
        return replace(self, basis=basis.with_triple(self.triple()))

    def save(self, path: str | Path, *, half: bool = False) -> Path:
        """Write networks and basis to one checkpoint; `half` rounds the weights, and never the basis."""
        weights = {name: tensor.detach().cpu().clone() for name, tensor in self.module.state_dict().items()}
        training = dict(self.training)
        if self.basis is not None:
            arrays = {name: torch.from_numpy(np.array(a)) for name, a in self.basis.as_arrays().items()}
            training[BASIS] = {"settings": dict(self.basis.settings), "arrays": arrays}
        whole = checkpoints.Checkpoint("lsd", self.module.config, weights, torch.from_numpy(self.images), training)
        return checkpoints.save(whole, path, half=half)


def load_lsd(name: str | Path, *, device: str | None = None) -> Lsd:
    """Load the networks of latent spectral decomposition, and their basis where the file has one.

    Parameters
    ----------
    name : str or path
        A shipped model, or a `.pt` or `.safetensors` file of `lyapmap train lsd`.
    device : str, optional
        The CPU by default.

    Raises
    ------
    CheckpointError
        If there is no such model or file, or it holds another network.
    """
    path, kind = zoo.kind_of(name)
    if kind is not zoo.KINDS["torch"]:
        raise CheckpointError(f"model: expected a .pt or .safetensors checkpoint of train lsd, got {path.name}")
    saved = checkpoints.load(path)
    label = str(name) if str(name) in zoo.shipped() else path.name
    if saved.model != "lsd":
        raise CheckpointError(f"model: {label} is a {saved.model} model, expected an lsd model")
    module, _ = build_module(saved, path)
    assert isinstance(module, LatentSpectral)
    classes = saved.training.get("settings", {}).get("classes")
    if not isinstance(classes, list | tuple) or len(classes) != module.categories:
        raise CheckpointError(f"{path}: expected {module.categories} classes in its settings, got {classes!r}")
    module.to(resolved_device(device or "cpu")).requires_grad_(False)
    training = {key: value for key, value in saved.training.items() if key not in ("state", BASIS)}
    lsd = Lsd(
        label,
        module,
        tuple(int(c) for c in classes),
        saved.sample_states.numpy(),
        None,
        training,
        {"model": label, "sha256": saved.sha256},
    )
    stored = saved.training.get(BASIS)
    if stored is None:
        return lsd
    try:
        basis = LatentBasis.from_arrays(stored["arrays"], settings=stored["settings"])
        return lsd.with_basis(basis)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: its basis is damaged ({error})") from None
