"""Features and categories of images, by the name or file of a network that gives them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.core.points import channels_last, image_shape
from lyapmap.core.reading.arrays import one_array
from lyapmap.core.writing import written_whole
from lyapmap.data import cache_folder
from lyapmap.files import checkpoint as checkpoints
from lyapmap.files import papers, zoo
from lyapmap.files.checkpoint import build_module
from lyapmap.files.vgg import load_vgg, random_vgg

NAMES = ("pixels", "classifier", "random-vgg", "vgg16")
FORMAT = "1"
"""Of the files in the cache; another number leaves the old ones aside."""


class Features:
    """Takes images (n, c, h, w) or (n, h, w, c), values in [-1, 1], or rows of pixels; returns float32 rows (n, d).

    Attributes
    ----------
    name : str
    fingerprint : str
        Of the network and its weights.
    """

    def __init__(
        self,
        name: str,
        embed: Callable[[Tensor], Tensor],
        *,
        fingerprint: str,
        state_shape: tuple[int, ...] | None = None,
        device: str = "cpu",
        batch_size: int = 250,
        cache: str | Path | None = None,
    ) -> None:
        self.name, self.fingerprint = name, fingerprint
        self._embed, self._shape, self._device, self._batch_size = embed, state_shape, device, batch_size
        self._folder = cache_folder("features") if cache is None else Path(cache)

    def __call__(self, images: Any) -> NDArray[np.float32]:
        batches = self._images(images).split(self._batch_size)
        with torch.no_grad():
            rows = [self._embed(batch.to(self._device)).flatten(1).float().cpu().numpy() for batch in batches]
        return np.concatenate(rows)

    def cached(self, images: Any) -> NDArray[np.float32]:
        """The same, kept on disk under a hash of the images and the network."""
        given = self._images(images)
        digest = hashlib.sha256(f"{FORMAT} {self.fingerprint} {tuple(given.shape)}".encode())
        digest.update(given.numpy().tobytes())
        path = self._folder / f"{digest.hexdigest()}.npy"
        try:
            kept = one_array(path)
            if kept.ndim == 2 and len(kept) == len(given) and kept.dtype == np.float32:
                return kept
        except LyapmapError:
            pass  # not there, or damaged: made anew
        rows = self(images)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with written_whole(path) as beside:
                np.save(beside, rows)
        except OSError:
            pass  # a cache that cannot be written is no error
        return rows

    def _images(self, images: Any) -> Tensor:
        given = images.detach().cpu() if isinstance(images, Tensor) else torch.from_numpy(np.array(images))
        given = given.float()
        if given.ndim == 2 and self._shape is not None and given.shape[1] == int(np.prod(self._shape)):
            given = given.reshape(-1, *self._shape)
        elif given.ndim == 4 and channels_last(tuple(given.shape[1:])):
            given = given.movedim(-1, 1)
        if given.ndim != 4 or (self._shape is not None and tuple(given.shape[1:]) != tuple(self._shape)):
            wanted = "channels, height, width" if self._shape is None else ", ".join(map(str, self._shape))
            raise ShapeError(f"features: {self.name} takes images (n, {wanted}), got {tuple(given.shape)}")
        if len(given) == 0:
            raise ShapeError("features: expected at least one image, got none")
        return given.contiguous()


def features(
    name: str | Path,
    *,
    data: str | None = None,
    state_shape: tuple[int, ...] | None = None,
    weights: str | Path | None = None,
    checksum: str | None = None,
    device: str = "cpu",
    seed: int = 0,
    cache: str | Path | None = None,
) -> Features:
    """A function from images to features, by name.

    Parameters
    ----------
    name : str or path
        "pixels"; "classifier", the one shipped for `data`; "classifier-mnist" or another shipped
        one; a checkpoint of `lyapmap train classifier`; "random-vgg", of random weights with 64
        features (after Naeem et al. 2020); "vgg16", of ImageNet with 4096 features (Kynkäänniemi
        et al. 2019), from `weights`.
    data : str, optional
        Name of the data set, for "classifier".
    state_shape : tuple of int, optional
        Of one image, so that rows of pixels can be taken too.
    weights : path, optional
        Torchvision's `vgg16-397923af.pth` or Keras's `vgg16_weights_tf_dim_ordering_tf_kernels.h5`;
        looked for in torch's and Keras's cache folders by default.
    checksum : str, optional
        See `lyapmap.files.vgg.load_vgg`.
    device : str
    seed : int
        Of the random weights.
    cache : path, optional
        Folder of kept features; `LYAPMAP_CACHE` or the platform's cache folder by default.

    Returns
    -------
    Features

    Raises
    ------
    LyapmapError
        If there are no such features, or no weights for them.

    Examples
    --------
    >>> import numpy as np
    >>> features("random-vgg")(np.zeros((2, 1, 28, 28))).shape
    (2, 64)
    """
    shape = None if state_shape is None else image_shape(tuple(state_shape)) or tuple(state_shape)
    options: dict[str, Any] = {"state_shape": shape, "device": device, "cache": cache}
    text = str(name)
    if text == "pixels":
        return Features("pixels", lambda x: x, fingerprint="pixels", **options)
    if text == "random-vgg":
        net = random_vgg(seed).to(device)
        return Features("random-vgg", net.embed, fingerprint=f"random-vgg {_digest(net)}", **options)
    if text == "vgg16":
        path = _vgg16_file() if weights is None else Path(weights)
        net = load_vgg(path, checksum=checksum).to(device)
        mark = f"vgg16 {path.name} {path.stat().st_size} {checksum or 'published'}"
        return Features("vgg16", net.embed, fingerprint=mark, batch_size=32, **options)
    return _classifier(text, data, options)


def _classifier(text: str, data: str | None, options: dict[str, Any]) -> Features:
    known = [name for name in zoo.shipped() if name.startswith("classifier-")]
    if text == "classifier":
        if data is None:
            raise LyapmapError("features: 'classifier' needs the name of a data set it was trained on (data=...)")
        text = f"classifier-{str(data).replace('_', '-')}"
        if text not in known:
            raise LyapmapError(
                f"features: no classifier is shipped for {data}, only {', '.join(known)}; "
                f"train one with `lyapmap train classifier --data {data}` and give its file"
            )
    path = zoo.shipped().get(text, Path(text))
    if text not in known and path.suffix not in checkpoints.SUFFIXES:
        raise LyapmapError(f"features: expected {', '.join(NAMES)}, {', '.join(known)} or a checkpoint, got {text!r}")
    saved = checkpoints.load(path)
    net, shape = build_module(saved, path)
    if "features" not in papers.networks()[saved.model][1].uses:
        raise LyapmapError(f"features: {text} holds a {saved.model} model, expected a classifier")
    network: Any = net.to(options["device"])
    name = text if text in known else f"classifier {path.name}"
    return Features(
        name, network.features, fingerprint=f"classifier {_digest(network)}", **options | {"state_shape": shape}
    )


def _digest(net: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in net.state_dict().items():
        digest.update(name.encode() + tensor.cpu().numpy().tobytes())
    return digest.hexdigest()


def _vgg16_file() -> Path:
    places = [
        Path(torch.hub.get_dir()) / "checkpoints" / "vgg16-397923af.pth",
        Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
        / "models"
        / "vgg16_weights_tf_dim_ordering_tf_kernels.h5",
    ]
    for place in places:
        if place.is_file():
            return place
    raise LyapmapError(
        f"features: 'vgg16' needs weights, and there are none at {' or '.join(map(str, places))}; "
        "give torchvision's vgg16-397923af.pth or Keras's .h5 (weights=..., --weights)"
    )


class Labels:
    """Takes images (n, c, h, w) or (n, h, w, c), values in [-1, 1], or rows of pixels; returns categories (n,).

    Attributes
    ----------
    name : str
    state_shape : tuple of int
        Of one image.
    classes : tuple of int
        Labels that it tells apart.
    network : torch.nn.Module
        Images to logits, in the order of `classes`.
    training : dict
        How it was trained.
    """

    def __init__(
        self,
        name: str,
        network: Any,
        classes: tuple[int, ...],
        device: str,
        training: dict[str, Any] | None = None,
    ) -> None:
        self.name, self.state_shape, self.classes = name, network.config.state_shape, classes
        self.network = network.to(device)
        self.training = {key: value for key, value in (training or {}).items() if key != "state"}
        self._device = device

    def __call__(self, images: Any) -> NDArray[np.int64]:
        places = predict(self.network, self._images(images)).cpu().numpy()
        return np.array(self.classes, np.int64)[places]

    def probabilities(self, images: Any) -> NDArray[np.float64]:
        """How sure it is of each category, (n, categories); rows sum to one."""
        return probabilities(self.network, self._images(images)).cpu().numpy().astype(np.float64)

    def _images(self, images: Any) -> torch.Tensor:
        given = images.detach().cpu() if isinstance(images, torch.Tensor) else torch.from_numpy(np.array(images))
        wanted = self.state_shape
        if given.ndim == 2 and given.shape[1] == int(np.prod(wanted)):
            given = given.reshape(-1, *wanted)
        elif given.ndim == 4 and channels_last(tuple(given.shape[1:])):
            given = given.movedim(-1, 1)
        if tuple(given.shape[1:]) != wanted or len(given) == 0:
            raise ShapeError(f"classify: {self.name} takes images of shape {wanted}, got {tuple(given.shape)}")
        return given.float().to(self._device)


def predict(classifier: nn.Module, images: Tensor, *, batch_size: int = 500) -> Tensor:
    """The category of every image, (n, c, h, w) -> (n,); in evaluation mode, whatever mode it is in."""
    return torch.cat([logits.argmax(1) for logits in _logits(classifier, images, batch_size)])


def probabilities(classifier: nn.Module, images: Tensor, *, batch_size: int = 500) -> Tensor:
    """The probability of every category, (n, c, h, w) -> (n, categories); in evaluation mode."""
    return torch.cat([logits.softmax(1) for logits in _logits(classifier, images, batch_size)])


@torch.no_grad()
def _logits(classifier: nn.Module, images: Tensor, batch_size: int) -> list[Tensor]:
    was_training = classifier.training
    classifier.eval()
    logits = [classifier(batch) for batch in images.split(batch_size)]
    classifier.train(was_training)
    return logits


def classifier(name: str | Path, *, device: str = "cpu") -> Labels:
    """A function from images to categories.

    Parameters
    ----------
    name : str or path
        "classifier-mnist" or another shipped one, or a checkpoint of `lyapmap train classifier`.
    device : str

    Returns
    -------
    Labels

    Raises
    ------
    LyapmapError
        If there is no such classifier.

    Examples
    --------
    >>> import numpy as np
    >>> classifier("classifier-mnist")(np.zeros((2, 1, 28, 28))).shape
    (2,)
    """
    text = str(name)
    known = [shipped for shipped in zoo.shipped() if shipped.startswith("classifier-")]
    path = zoo.shipped()[text] if text in known else Path(text)
    if path.suffix not in checkpoints.SUFFIXES:
        raise LyapmapError(f"classifier: expected {', '.join(known)} or a checkpoint, got {text!r}")
    saved = checkpoints.load(path)
    net, _ = build_module(saved, path)
    if "labels" not in papers.networks()[saved.model][1].uses:
        raise LyapmapError(f"classifier: {text} holds a {saved.model} model, expected a classifier")
    network: Any = net
    classes = saved.training.get("settings", {}).get("classes") or range(network.config.categories)
    return Labels(text if text in known else path.name, network, tuple(int(c) for c in classes), device, saved.training)


def usual_classifier(model: str) -> str:
    """Name of the shipped classifier for the data that a model was trained on.

    Raises
    ------
    LyapmapError
        If none is shipped.

    Examples
    --------
    >>> usual_classifier("cycle-mnist-012")
    'classifier-mnist'
    """
    data = str(zoo.record(model).get("settings", {}).get("data", "unknown data"))
    name = f"classifier-{data.replace('_', '-')}"
    if name not in zoo.shipped():
        raise LyapmapError(
            f"classifier: none is shipped for {data}; train one with `lyapmap train classifier` and give its file"
        )
    return name
