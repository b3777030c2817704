"""A trained classifier by name, as a function from images to categories."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.core.points import channels_last
from lyapmap.files import checkpoint as checkpoints
from lyapmap.files import papers, zoo
from lyapmap.files.torch_networks import build_module


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
    found = [classifier(batch) for batch in images.split(batch_size)]
    classifier.train(was_training)
    return found


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
    found = f"classifier-{data.replace('_', '-')}"
    if found not in zoo.shipped():
        raise LyapmapError(
            f"classifier: none is shipped for {data}; train one with `lyapmap train classifier` and give its file"
        )
    return found
