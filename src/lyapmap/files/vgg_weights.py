"""VGG16's ImageNet weights, from torchvision's or Keras's file, checked before they are used."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lyapmap.core.errors import CheckpointError
from lyapmap.files.vgg import VGG, VGGConfig

KNOWN = {
    ".pth": ("sha256", "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0"),
    ".h5": ("md5", "64373286793e3c8b2b4e3219cbf3544b"),
}
"""Of `vgg16-397923af.pth` (torchvision) and `vgg16_weights_tf_dim_ordering_tf_kernels.h5` (Keras)."""


def load_vgg(path: str | Path, *, config: VGGConfig | None = None, checksum: str | None = None) -> VGG:
    """A VGG with the weights of a file, in evaluation mode.

    Parameters
    ----------
    path : path
        A `.pth` state dict with torchvision's names, or Keras's `.h5` with the dense layers.
    config : VGGConfig, optional
        Sizes; VGG16 by default. The way pixels are prepared follows from the file.
    checksum : str, optional
        That the file must have: SHA256 of a `.pth`, MD5 of a `.h5`. By default, of VGG16, that of
        the published file; of other sizes none is asked for.

    Returns
    -------
    VGG

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, another than the published one, or does not fit.
    """
    path = Path(path)
    if path.suffix not in KNOWN:
        raise CheckpointError(f"{path}: expected torchvision's .pth or Keras's .h5")
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    kind, published = KNOWN[path.suffix]
    wanted = checksum or (published if config is None else None)
    if wanted is not None:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, kind).hexdigest()
        if found != wanted.lower():
            raise CheckpointError(f"{path}: its {kind} is {found}, expected {wanted}; fetch the file again")
    preprocess = "torchvision" if path.suffix == ".pth" else "keras"
    with torch.device("meta"):  # random weights of 138 million would take seconds
        net = VGG(replace(config or VGGConfig(), preprocess=preprocess))
    weights = _torchvision(path) if path.suffix == ".pth" else _keras(path, net)
    for name, tensor in net.state_dict().items():
        given = weights.get(name)
        if not isinstance(given, Tensor) or given.shape != tensor.shape or not given.is_floating_point():
            shape = tuple(given.shape) if isinstance(given, Tensor) else "nothing"
            raise CheckpointError(f"{path}: {name!r} has shape {shape}, the network {tuple(tensor.shape)}")
    net.load_state_dict({name: weights[name].float() for name in net.state_dict()}, assign=True)
    return net.eval()


def _torchvision(path: Path) -> Mapping[str, Any]:
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise CheckpointError(f"{path}: damaged, or holds more than tensors ({type(error).__name__})") from None
    if not isinstance(found, Mapping):
        raise CheckpointError(f"{path}: holds a {type(found).__name__}, expected a state dict")
    return found


def _keras(path: Path, net: VGG) -> dict[str, Tensor]:
    """Keras's arrays under torchvision's names, axes in torch's order."""
    import h5py

    found: dict[str, Any] = {}
    try:
        with h5py.File(path, "r") as file:
            file.visititems(
                lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
            )
    except OSError as error:
        raise CheckpointError(f"{path}: damaged ({error})") from None
    layers: dict[str, dict[str, np.ndarray]] = {}
    for name, array in found.items():
        layer = next((part for part in name.split("/") if part.startswith(("block", "fc", "predictions"))), None)
        if layer is not None:
            layers.setdefault(layer, {})["bias" if array.ndim == 1 else "weight"] = array
    names = [f"block{b}_conv{c}" for b, widths in enumerate(net.config.blocks, 1) for c in range(1, len(widths) + 1)]
    convolutions = [n for n, module in net.features.named_children() if isinstance(module, nn.Conv2d)]
    places = [f"features.{n}" for n in convolutions] + ["classifier.0", "classifier.3", "classifier.6"]
    weights: dict[str, Tensor] = {}
    for layer, place in zip([*names, "fc1", "fc2", "predictions"], places, strict=True):
        parts = layers.get(layer, {})
        if set(parts) != {"weight", "bias"}:
            raise CheckpointError(f"{path}: there is no weight and bias of {layer!r}")
        weights[f"{place}.bias"] = torch.from_numpy(parts["bias"])
        weights[f"{place}.weight"] = _transposed(parts["weight"], layer, net.config)
    return weights


def _transposed(kernel: np.ndarray, layer: str, config: VGGConfig) -> Tensor:
    if kernel.ndim == 4:  # (h, w, in, out) -> (out, in, h, w)
        return torch.from_numpy(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)))
    if layer == "fc1":  # Keras flattens (h, w, c), torch (c, h, w)
        channels, size = config.blocks[-1][-1], config.pooled
        if kernel.shape[0] == channels * size * size:
            kernel = kernel.reshape(size, size, channels, -1).transpose(2, 0, 1, 3).reshape(kernel.shape)
    return torch.from_numpy(np.ascontiguousarray(kernel.T))
