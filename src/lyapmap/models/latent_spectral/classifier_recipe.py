"""How the classifier of latent spectral decomposition is trained: cross entropy on images with a little noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from lyapmap.core.arguments import positive
from lyapmap.core.errors import LyapmapError
from lyapmap.data import ImageSet
from lyapmap.files.checkpoint import Checkpoint
from lyapmap.models.latent_spectral.labelled import Batches, WeightMean, require_weights
from lyapmap.models.latent_spectral.network import Classifier, PooledConfig

CLASSIFIED_STATES = 16
SHEET = 4


class PooledRecipe:
    """Trains the paper's classifier. What is saved is the exponential mean of its weights.

    Parameters
    ----------
    config : PooledConfig
    train : ImageSet
        Images of the config's shape in [-1, 1].
    classes : sequence of int, optional
        Labels in the order of the logits; by default all that the set has names for, sorted.
    noise : float
        Standard deviation of the normal noise that is added to every pixel (0.1 in the paper).
    batch_size : int
    learning_rate : float
        Of Adam. (The paper has 3e-5, batches of 25 and 500 epochs.)
    average : float
        Weight of the past in the mean of the weights.
    seed : int
        Of the weights and the order of the images.
    device : str

    Examples
    --------
    >>> from lyapmap import data
    >>> recipe = PooledRecipe(PooledConfig(image_size=8, width=4), data.load("digits"), batch_size=20)
    >>> recipe.start_epoch(0)
    >>> 0 < recipe.step(0)["label"] < 5
    True
    """

    def __init__(
        self,
        config: PooledConfig,
        train: ImageSet,
        *,
        classes: Sequence[int] | None = None,
        noise: float = 0.1,
        batch_size: int = 100,
        learning_rate: float = 1e-3,
        average: float = 0.999,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        chosen = sorted(train.class_names) if classes is None else [int(c) for c in classes]
        if len(set(chosen)) != len(chosen) or len(chosen) != config.categories:
            raise LyapmapError(f"classes: expected {config.categories} different ones, got {chosen}")
        learning_rate = positive("learning_rate", learning_rate, finite=True)
        require_weights(noise=noise)
        self._batches = Batches(train, chosen, config.state_shape, batch_size=batch_size, seed=seed, device=device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model = Classifier(config).to(device)
        self._mean = WeightMean(self.model, average)
        self._adam = torch.optim.Adam(self.model.parameters(), learning_rate, fused=True)
        self._noise = noise
        self.steps_per_epoch, self.images_per_step = self._batches.steps, batch_size
        self._settings: dict[str, Any] = {
            "data": train.name,
            "classes": chosen,
            "images": len(train),
            "noise": float(noise),
            "batch_size": int(batch_size),
            "learning_rate": float(learning_rate),
            "average": float(average),
            "seed": int(seed),
        }

    def start_epoch(self, epoch: int) -> None:
        self._batches.start_epoch(epoch)

    def step(self, index: int) -> dict[str, float]:
        x, y = self._batches.batch(index)
        x = x + self._noise * torch.randn(x.shape).to(x.device)
        loss = F.cross_entropy(self.model.train()(x).float(), y)
        self._adam.zero_grad()
        loss.backward()
        self._adam.step()
        self._mean.take(self.model)
        return {"label": loss.item()}

    def state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "mean": self._mean.network.state_dict(),
            "adam": self._adam.state_dict(),
            "steps": self._mean.steps,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self._mean.network.load_state_dict(state["mean"])
        self._adam.load_state_dict(state["adam"])
        self._mean.steps = state["steps"]

    def checkpoint(self) -> Checkpoint:
        weights = {name: tensor.detach().cpu().clone() for name, tensor in self._mean.network.state_dict().items()}
        samples = self._batches.images[:CLASSIFIED_STATES].cpu().clone()
        return Checkpoint("lsd-classifier", self.model.config.to_dict(), weights, samples, {"settings": self._settings})

    def sample_sheet(self) -> NDArray[np.float32]:
        """The first images, with the noise that it sees."""
        x = self._batches.images[: SHEET**2].cpu()
        rng = torch.Generator().manual_seed(0)
        noisy = (x + self._noise * torch.randn(x.shape, generator=rng)).clamp(-1, 1).numpy()
        whole: NDArray[np.float32] = np.full((SHEET**2, *x.shape[1:]), -1, np.float32)
        whole[: len(noisy)] = noisy
        return whole.reshape(SHEET, SHEET, *x.shape[1:])
