"""VGG networks as sources of features: of random weights, or those learned from ImageNet.

K. Simonyan and A. Zisserman, "Very deep convolutional networks for large-scale image recognition"
(2015). The modules have torchvision's names, so that its files fit as they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lyapmap.core.errors import CheckpointError, LyapmapError
from lyapmap.core.reading.hdf5 import hdf5_tree
from lyapmap.files.tensors import read_torch

# Mean and spread of ImageNet's channels; pixels in [0, 1], red first.
TORCHVISION = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
# Keras subtracts means of pixels in [0, 255], blue first, and does not scale.
KERAS = ((103.939, 116.779, 123.68), (1.0, 1.0, 1.0))


@dataclass(frozen=True)
class VGGConfig:
    """Sizes of a VGG network; the defaults are VGG16.

    Parameters
    ----------
    blocks : tuple of tuples of int
        Channels of the convolutions of each block; a block ends with max pooling by 2.
    pooled : int
        Height and width after averaging, before the dense layers.
    hidden : (int, int)
        Units of the two hidden layers; the second gives the features.
    categories : int
        Units of the last layer.
    image_size : int
        To which images are resized.
    preprocess : "torchvision", "keras" or "none"
        How pixels in [-1, 1] are brought to what the weights expect.
    rectified : bool
        Whether features are taken after the ReLU.
    """

    blocks: tuple[tuple[int, ...], ...] = ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3)
    pooled: int = 7
    hidden: tuple[int, int] = (4096, 4096)
    categories: int = 1000
    image_size: int = 224
    preprocess: str = "torchvision"
    rectified: bool = True

    def __post_init__(self) -> None:
        if not self.blocks or not all(self.blocks):
            raise LyapmapError(f"blocks: expected the channels of at least one block, got {self.blocks}")
        if self.image_size < 2 ** len(self.blocks):
            raise LyapmapError(f"image_size: {len(self.blocks)} blocks need {2 ** len(self.blocks)} pixels or more")
        if self.preprocess not in ("torchvision", "keras", "none"):
            raise LyapmapError(f"preprocess: expected 'torchvision', 'keras' or 'none', got {self.preprocess!r}")

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values."""
        return asdict(self)


RANDOM = VGGConfig(
    blocks=((16, 16), (32, 32), (64,) * 3, (128,) * 3, (128,) * 3),
    pooled=1,
    hidden=(512, 64),
    categories=10,
    image_size=32,
    preprocess="none",
    rectified=False,
)
"""A quarter of VGG16's channels for images of about 32 pixels, with 64 features."""


class VGG(nn.Module):
    """Image to logits, (b, c, h, w) -> (b, categories); pixels in [-1, 1], grey or colour, of any size.

    Examples
    --------
    >>> import torch
    >>> net = VGG(VGGConfig(blocks=((4,), (8,)), pooled=2, hidden=(16, 6), categories=5, image_size=16)).eval()
    >>> net(torch.zeros(2, 1, 28, 28)).shape, net.embed(torch.zeros(2, 1, 28, 28)).shape
    (torch.Size([2, 5]), torch.Size([2, 6]))
    """

    def __init__(self, config: VGGConfig) -> None:
        super().__init__()
        self.config = config
        layers: list[nn.Module] = []
        channels = 3
        for block in config.blocks:
            for width in block:
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
                channels = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(config.pooled)
        first, second = config.hidden
        self.classifier = nn.Sequential(
            nn.Linear(channels * config.pooled**2, first),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Linear(first, second),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Linear(second, config.categories),
        )

    def embed(self, x: Tensor) -> Tensor:
        """Activations of the second hidden layer, (b, c, h, w) -> (b, hidden[1])."""
        x = self.avgpool(self.features(self._prepared(x)))
        x = self.classifier[:4](x.flatten(1))
        return F.relu(x) if self.config.rectified else x

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier[6](F.relu(self.embed(x)))

    def _prepared(self, x: Tensor) -> Tensor:  # (b, c, h, w) -> (b, 3, image_size, image_size)
        size = self.config.image_size
        if tuple(x.shape[2:]) != (size, size):
            x = F.interpolate(x, size=(size, size), mode="bilinear", align_corners=False, antialias=True)
        x = x.expand(-1, 3, -1, -1)  # grey in all three channels
        if self.config.preprocess == "none":
            return x
        keras = self.config.preprocess == "keras"
        mean, spread = (
            torch.tensor(v, dtype=x.dtype, device=x.device).view(3, 1, 1) for v in (KERAS if keras else TORCHVISION)
        )
        x = (x + 1) / 2
        return ((x.flip(1) * 255 if keras else x) - mean) / spread


def random_vgg(seed: int = 0, config: VGGConfig = RANDOM) -> VGG:
    """A VGG of random weights (He et al. 2015), the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = VGG(config)
        for module in net.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
    return net.eval()


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
            digest = hashlib.file_digest(file, kind).hexdigest()
        if digest != wanted.lower():
            raise CheckpointError(f"{path}: its {kind} is {digest}, expected {wanted}; fetch the file again")
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
    weights = read_torch(path)
    if not isinstance(weights, Mapping):
        raise CheckpointError(f"{path}: holds a {type(weights).__name__}, expected a state dict")
    return weights


def _keras(path: Path, net: VGG) -> dict[str, Tensor]:
    """Keras's arrays under torchvision's names, axes in torch's order."""
    tree = hdf5_tree(path, error=CheckpointError)
    layers: dict[str, dict[str, np.ndarray]] = {}
    for name in tree.arrays:
        array = tree.array(name)
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
