"""What recipes that learn from labelled images share: batches in an order of each epoch, and the mean of weights."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.data import ImageSet

WARM_UP = 10
"""Steps over which the mean of the weights forgets the first ones, about."""


class Batches:
    """Images of an order that is a function of seed and epoch, with the places of their labels among `classes`.

    Raises
    ------
    LyapmapError
        If the images do not have the shape, have values beyond [-1, 1], or some class has none; or if there are fewer
        than `batch_size`.
    """

    def __init__(
        self,
        images: ImageSet,
        classes: Sequence[int],
        state_shape: tuple[int, ...],
        *,
        batch_size: int,
        seed: int,
        device: str,
    ) -> None:
        if images.state_shape != state_shape:
            raise ShapeError(f"train: images have shape {images.state_shape}, the model takes {state_shape}")
        if images.value_range != (-1.0, 1.0):
            raise LyapmapError(f"train: values in {images.value_range}, the model works in (-1.0, 1.0)")
        if not np.isfinite(images.images).all():
            raise LyapmapError("train: some pixels are not finite")
        for label in classes:
            if label not in images.labels:
                raise LyapmapError(f"train: there is no image of class {label}")
        unknown = sorted(set(images.labels.tolist()) - set(classes))
        if unknown:
            raise LyapmapError(f"train: images of class {unknown[0]}, the classes are {', '.join(map(str, classes))}")
        if not 2 <= batch_size <= len(images):
            raise LyapmapError(f"batch_size: expected 2 to {len(images)} (the images at hand), got {batch_size}")
        places = np.searchsorted(np.sort(classes), images.labels)
        self.batch_size = batch_size
        self.steps = len(images) // batch_size
        self.images = torch.from_numpy(images.images).to(device)
        self.places = torch.from_numpy(np.argsort(classes)[places].astype(np.int64)).to(device)
        self._order = torch.empty(0, dtype=torch.int64)
        self._seed = seed

    def start_epoch(self, epoch: int) -> None:
        order = np.random.default_rng([self._seed, epoch]).permutation(len(self.images))
        self._order = torch.from_numpy(order).to(self.images.device)

    def batch(self, index: int) -> tuple[Tensor, Tensor]:
        """Images and the places of their labels, of one step."""
        rows = self._order[index * self.batch_size : (index + 1) * self.batch_size]
        return self.images[rows], self.places[rows]


class WeightMean:
    """The exponential mean of a network's weights; buffers are those of the network when it began.

    Attributes
    ----------
    network : nn.Module
        A copy that carries the means.
    """

    def __init__(self, network: nn.Module, past: float) -> None:
        if not 0 <= past < 1:
            raise LyapmapError(f"average: expected a number in [0, 1), got {past}")
        self.network = copy.deepcopy(network).requires_grad_(False)
        self.steps = 0
        self._past = past

    @torch.no_grad()
    def take(self, network: nn.Module) -> None:
        """One step further."""
        self.steps += 1
        past = min(self._past, self.steps / (self.steps + WARM_UP))
        for mean, now in zip(self.network.parameters(), network.parameters(), strict=True):
            mean.lerp_(now, 1 - past)


def require_weights(**numbers: float) -> None:
    """Raise for an option that is not a number of at least 0."""
    for name, value in numbers.items():
        if not 0 <= value < math.inf:
            raise LyapmapError(f"{name}: expected a number of at least 0, got {value}")
