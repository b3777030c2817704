"""How the classifier and the encoder of latent spectral decomposition are trained, both from labelled images."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from lyapmap.core.arguments import positive
from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.data import ImageSet
from lyapmap.files.checkpoint import Checkpoint
from lyapmap.models.gan.recipe import SETTLING_BATCH, SETTLING_BATCHES, mean_of_weights, settled
from lyapmap.models.latent_spectral.network import Classifier, LatentSpectral, PooledConfig, sampled
from lyapmap.report.images import in_rows


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


def require_weights(**numbers: float) -> None:
    """Raise for an option that is not a number of at least 0."""
    for name, value in numbers.items():
        if not 0 <= value < math.inf:
            raise LyapmapError(f"{name}: expected a number of at least 0, got {value}")


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
        labels = sorted(train.class_names) if classes is None else [int(c) for c in classes]
        if len(set(labels)) != len(labels) or len(labels) != config.categories:
            raise LyapmapError(f"classes: expected {config.categories} different ones, got {labels}")
        learning_rate = positive("learning_rate", learning_rate, finite=True)
        require_weights(noise=noise)
        self._batches = Batches(train, labels, config.state_shape, batch_size=batch_size, seed=seed, device=device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model = Classifier(config).to(device)
        self._mean = mean_of_weights(self.model, average)
        self._adam = torch.optim.Adam(self.model.parameters(), learning_rate, fused=True)
        self._noise = noise
        self.steps_per_epoch, self.images_per_step = self._batches.steps, batch_size
        self._settings: dict[str, Any] = {
            "data": train.name,
            "classes": labels,
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
        self._mean.update_parameters(self.model)
        return {"label": loss.item()}

    def state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "mean": self._mean.module.state_dict(),
            "adam": self._adam.state_dict(),
            "steps": int(self._mean.n_averaged) - 1,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self._mean.module.load_state_dict(state["mean"])
        self._adam.load_state_dict(state["adam"])
        self._mean.n_averaged.fill_(state["steps"] + 1)

    def checkpoint(self) -> Checkpoint:
        weights = {name: tensor.detach().cpu().clone() for name, tensor in self._mean.module.state_dict().items()}
        samples = self._batches.images[:CLASSIFIED_STATES].cpu().clone()
        return Checkpoint("lsd-classifier", self.model.config.to_dict(), weights, samples, {"settings": self._settings})

    def sample_sheet(self) -> NDArray[np.float32]:
        """The first images, with the noise that it sees."""
        x = self._batches.images[: SHEET**2].cpu()
        rng = torch.Generator().manual_seed(0)
        noisy = (x + self._noise * torch.randn(x.shape, generator=rng)).clamp(-1, 1).numpy()
        return in_rows(noisy, SHEET, empty=-1)


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
        What the encoder's images are compared by, R.
    reconstruction : float
        Weight of that, a mean over pixels.
    kl : float
        Weight of the divergence of the encoder from normal noise.
    label : float
        Weight of the label of what the encoder's vectors draw.
    batch_size : int
        25 in the paper.
    learning_rate : float
        Learning rate of the encoder.
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
        self._mean = mean_of_weights(model.encoder, average)
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
        self._mean.update_parameters(self.model.encoder)
        return {name: loss.item() for name, loss in losses.items()}

    @property
    def encoder(self) -> nn.Module:
        """The encoder with averaged weights, in evaluation mode; its batch norm knows the training images."""
        return settled(self._mean.module, self._some())

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
            "mean": self._mean.module.state_dict(),
            "adam": self._adam.state_dict(),
            "steps": int(self._mean.n_averaged) - 1,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        self.model.encoder.load_state_dict(state["encoder"])
        self._mean.module.load_state_dict(state["mean"])
        self._adam.load_state_dict(state["adam"])
        self._mean.n_averaged.fill_(state["steps"] + 1)

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
        return in_rows(torch.stack([x, drawn], 1).flatten(0, 1).cpu().numpy(), 2 * SHEET_PAIRS, empty=-1)


def _difference(drawn: Tensor, x: Tensor, kind: str) -> Tensor:
    if kind == "hinge":
        return F.relu(1 - drawn * x).mean()
    return F.mse_loss(drawn, x)
