"""How the encoder of latent spectral decomposition is trained: a VAE whose decoder is a finished generator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from lyapmap.core.arguments import positive
from lyapmap.core.errors import LyapmapError
from lyapmap.data import ImageSet
from lyapmap.files.checkpoint import Checkpoint
from lyapmap.models.gan.recipe import SETTLING_BATCH, SETTLING_BATCHES, settled
from lyapmap.models.latent_spectral.labelled import Batches, WeightMean, require_weights
from lyapmap.models.latent_spectral.network import LatentSpectral, sampled

RECONSTRUCTIONS = ("hinge", "squared")
SAMPLE_STATES = 32
SHEET_ROWS, SHEET_PAIRS = 8, 4


class EncoderRecipe:
    """Trains the encoder of a `LatentSpectral`; its generator and its classifier stay as they are.

    Of a batch of images x with labels y, and z drawn from the encoder's normal distribution, the loss is the mean of

        reconstruction * R(G(z), x) + kl * KL(q(z|x) | N(0, 1)) + label * CE(C(G(z)), y),

    the divergence summed over the values of z, and R the mean over pixels of max(0, 1 - G(z) x) ("hinge", the paper's)
    or of (G(z) - x)^2 ("squared"). The paper's weights are 1, 1 and 100.

    Parameters
    ----------
    model : LatentSpectral
        With a trained generator and classifier; its encoder is trained in place.
    train : ImageSet
        Images in [-1, 1].
    classes : sequence of int
        Labels in the order of the classifier's logits.
    origin : dict
        Plain values that tell which generator and classifier these are: a run goes on only with the same ones.
    kind : "hinge" or "squared"
        What R is.
    reconstruction, kl, label : float
        Weights of the three terms.
    batch_size : int
        25 in the paper.
    learning_rate : float
        Of Adam.
    average : float
        Weight of the past in the exponential mean of the weights, which is saved.
    seed : int
        Of the order of the images. The encoder comes with its first weights.
    device : str
    """

    def __init__(
        self,
        model: LatentSpectral,
        train: ImageSet,
        *,
        classes: tuple[int, ...],
        origin: dict[str, Any],
        config: dict[str, Any],
        kind: str = "hinge",
        reconstruction: float = 1.0,
        kl: float = 1.0,
        label: float = 100.0,
        batch_size: int = 100,
        learning_rate: float = 1e-3,
        average: float = 0.999,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        if len(set(classes)) != len(classes) or len(classes) != model.categories:
            raise LyapmapError(f"classes: expected {model.categories} different ones, got {list(classes)}")
        if kind not in RECONSTRUCTIONS:
            raise LyapmapError(f"kind: expected one of {', '.join(RECONSTRUCTIONS)}, got {kind!r}")
        learning_rate = positive("learning_rate", learning_rate, finite=True)
        require_weights(reconstruction=reconstruction, kl=kl, label=label)
        self._batches = Batches(train, classes, model.state_shape, batch_size=batch_size, seed=seed, device=device)
        self.model = model.to(device)
        for part in (model.generator, model.classifier):
            part.eval().requires_grad_(False)
        self._mean = WeightMean(model.encoder, average)
        self._adam = torch.optim.Adam(model.encoder.parameters(), learning_rate, fused=True)
        self._kind, self._weights = kind, {"reconstruction": reconstruction, "kl": kl, "label": label}
        self._config = config
        self.steps_per_epoch, self.images_per_step = self._batches.steps, batch_size
        self._settings: dict[str, Any] = {
            "data": train.name,
            "classes": [int(c) for c in classes],
            "images": len(train),
            "kind": kind,
            **{name: float(weight) for name, weight in self._weights.items()},
            "batch_size": int(batch_size),
            "learning_rate": float(learning_rate),
            "average": float(average),
            "seed": int(seed),
            **origin,
        }

    def start_epoch(self, epoch: int) -> None:
        self._batches.start_epoch(epoch)

    def step(self, index: int) -> dict[str, float]:
        x, y = self._batches.batch(index)
        mean, log_deviation = self.model.encoder.train()(x)
        drawn = self.model.generator(sampled(mean, log_deviation))
        losses = {
            "reconstruction": _difference(drawn.float(), x, self._kind),
            "kl": 0.5 * (mean.square() + (2 * log_deviation).exp() - 1 - 2 * log_deviation).sum(1).mean(),
            "label": F.cross_entropy(self.model.classifier(drawn).float(), y),
        }
        total = sum(self._weights[name] * loss for name, loss in losses.items())
        assert isinstance(total, Tensor)
        self._adam.zero_grad()
        total.backward()
        self._adam.step()
        self._mean.take(self.model.encoder)
        return {name: loss.item() for name, loss in losses.items()}

    @property
    def encoder(self) -> nn.Module:
        """The encoder with averaged weights, in evaluation mode; its batch norm knows the training images."""
        return settled(self._mean.network, self._some())

    def _some(self) -> Iterator[Tensor]:
        """Images, always the same, so that nothing depends on when running means are taken."""
        images = self._batches.images
        rows = np.random.default_rng(0).permutation(len(images))[: SETTLING_BATCHES * SETTLING_BATCH]
        for part in torch.from_numpy(rows).to(images.device).split(SETTLING_BATCH):
            if len(part) > 1:
                yield images[part]

    def state(self) -> dict[str, Any]:
        return {
            "encoder": self.model.encoder.state_dict(),
            "mean": self._mean.network.state_dict(),
            "adam": self._adam.state_dict(),
            "steps": self._mean.steps,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        self.model.encoder.load_state_dict(state["encoder"])
        self._mean.network.load_state_dict(state["mean"])
        self._adam.load_state_dict(state["adam"])
        self._mean.steps = state["steps"]

    def checkpoint(self) -> Checkpoint:
        parts = {"generator": self.model.generator, "encoder": self.encoder, "classifier": self.model.classifier}
        weights = {
            f"{part}.{name}": tensor.detach().cpu().clone()
            for part, network in parts.items()
            for name, tensor in network.state_dict().items()
        }
        samples = self._batches.images[:SAMPLE_STATES].cpu().clone()
        return Checkpoint("lsd", self._config, weights, samples, {"settings": self._settings})

    @torch.no_grad()
    def sample_sheet(self) -> NDArray[np.float32]:
        """Images, each with what is drawn from the mean of its latent vector beside it."""
        x = self._batches.images[: SHEET_ROWS * SHEET_PAIRS]
        drawn = self.model.generator(self.encoder(x)[0])
        pairs = torch.stack([x, drawn], 1).cpu().numpy()
        whole = np.full((SHEET_ROWS * SHEET_PAIRS, *pairs.shape[1:]), -1, np.float32)
        whole[: len(pairs)] = pairs
        return whole.reshape(SHEET_ROWS, 2 * SHEET_PAIRS, *x.shape[1:])


def _difference(drawn: Tensor, x: Tensor, kind: str) -> Tensor:
    if kind == "hinge":
        return F.relu(1 - drawn * x).mean()
    return F.mse_loss(drawn, x)
