"""How adversarial networks are trained, DCGAN and GRAN alike: what differs is the generator."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from lyapmap.core.arguments import positive
from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.core.points import rescaled
from lyapmap.data import ImageSet
from lyapmap.files.checkpoint import Checkpoint
from lyapmap.models.gan.dcgan import Dcgan, DcganConfig, StepNorm
from lyapmap.models.gan.gran import Gran, GranConfig
from lyapmap.models.gan.pair import gan_latents
from lyapmap.report.images import in_rows

LOSSES = ("non-saturating", "minimax")
SHEET = 8
"""Rows and columns of the sheet of samples."""
SETTLING_BATCHES, SETTLING_BATCH = 8, 250
"""Noise by which the running means of the networks that are saved are taken anew."""
WARM_UP = 10
"""Steps over which the mean of the weights forgets the first ones, about."""


class GanRecipe:
    """Trains a `Dcgan` or a `Gran` on images.

    The discriminator always sees real and generated images in one batch: its batch norm then knows the same mixture
    in training as in evaluation mode, where it judges single images. What is saved are both networks with
    averaged weights, and running means of batch norm taken anew for these weights: the weights of the moment swing
    around, and a discriminator's threshold with them.

    Parameters
    ----------
    config : DcganConfig or GranConfig
    train : ImageSet
        Images of the config's shape, with values in the range of its output.
    loss : "non-saturating" or "minimax"
        Loss of the generator: -log D(G(z)), or log(1 - D(G(z))).
    batch_size : int
        Images in a step, at least 2 (100 in the GRAN paper).
    learning_rate_g : float
        Learning rate of the generator.
    learning_rate_d : float
        Learning rate of the discriminator.
    beta1 : float
        Memory of the mean gradient, of Adam.
    r1 : float
        Weight of the squared gradient of the discriminator at real images, halved (L. Mescheder et al. 2018);
        0 for none.
    average : float
        Weight of the past in the exponential mean of both networks' weights; 0 for none.
    seed : int
        Of the weights, the order of the images and the latents of the sample sheet.
    device : str
        Where to train.

    Examples
    --------
    >>> from lyapmap import data
    >>> config = DcganConfig(image_size=8, channels=1, kernels=(4,), latent=3)
    >>> recipe = GanRecipe(config, data.load("digits"), batch_size=10)
    >>> recipe.start_epoch(0)
    >>> sorted(recipe.step(0))
    ['D', 'G']
    """

    def __init__(
        self,
        config: DcganConfig,
        train: ImageSet,
        *,
        loss: str = "non-saturating",
        batch_size: int = 100,
        learning_rate_g: float = 2e-4,
        learning_rate_d: float = 2e-4,
        beta1: float = 0.5,
        r1: float = 0.0,
        average: float = 0.999,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        if train.state_shape != config.state_shape:
            raise ShapeError(f"train: images have shape {train.state_shape}, the model takes {config.state_shape}")
        if train.value_range != config.value_range:
            raise LyapmapError(f"train: values in {train.value_range}, the model draws in {config.value_range}")
        if not np.isfinite(train.images).all():
            raise LyapmapError("train: some pixels are not finite")
        if loss not in LOSSES:
            raise LyapmapError(f"loss: expected one of {', '.join(LOSSES)}, got {loss!r}")
        if not 2 <= batch_size <= len(train):
            raise LyapmapError(f"batch_size: expected 2 to {len(train)} (the images at hand), got {batch_size}")
        learning_rate_g = positive("learning_rate_g", learning_rate_g, finite=True)
        learning_rate_d = positive("learning_rate_d", learning_rate_d, finite=True)
        if not 0 <= r1 < math.inf:
            raise LyapmapError(f"r1: expected a number of at least 0, got {r1}")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model = (Gran(config) if isinstance(config, GranConfig) else Dcgan(config)).to(device)
        self.steps_per_epoch = len(train) // batch_size
        self.images_per_step = batch_size
        self._loss, self._r1, self._seed, self._device = loss, r1, seed, device
        self._images = torch.from_numpy(train.images).to(device)
        self._order = torch.empty(0, dtype=torch.int64)
        self._mean = mean_of_weights(self.model, average)
        betas = (beta1, 0.999)
        self._adam_g = torch.optim.Adam(self.model.generator.parameters(), learning_rate_g, betas, fused=True)
        self._adam_d = torch.optim.Adam(self.model.discriminator.parameters(), learning_rate_d, betas, fused=True)
        self._sample_states = torch.from_numpy(gan_latents(config.latent_shape, SHEET**2, seed=seed))
        self._settings: dict[str, Any] = {
            "data": train.name,
            "classes": sorted(int(c) for c in train.class_names),
            "images": len(train),
            "loss": loss,
            "batch_size": int(batch_size),
            "learning_rate_g": float(learning_rate_g),
            "learning_rate_d": float(learning_rate_d),
            "beta1": float(beta1),
            "r1": float(r1),
            "average": float(average),
            "seed": int(seed),
        }

    def start_epoch(self, epoch: int) -> None:
        rng = np.random.default_rng([self._seed, epoch])
        used = self.steps_per_epoch * self.images_per_step
        self._order = torch.from_numpy(rng.permutation(len(self._images))[:used]).to(self._device)

    def step(self, index: int) -> dict[str, float]:
        b = self.images_per_step
        real = self._images[self._order[index * b : (index + 1) * b]]
        # Drawn on the CPU, so that noise is the same on every device.
        z = torch.randn(b, *self.model.config.latent_shape).to(self._device)
        model = self.model.train()
        fake = model.generator(z)
        losses = self._teach_discriminator(real, fake.detach())
        model.discriminator.requires_grad_(False)
        judged = model.discriminator(torch.cat([real, fake]))[b:]
        # log(1 - D) and -log D, written so that no logarithm of 0 is ever taken.
        loss = -F.softplus(judged).mean() if self._loss == "minimax" else F.softplus(-judged).mean()
        self._adam_g.zero_grad()
        loss.backward()
        self._adam_g.step()
        model.discriminator.requires_grad_(True)
        self._mean.update_parameters(model)
        return {name: value.item() for name, value in ({"G": loss} | losses).items()}

    def _teach_discriminator(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        real = real.detach().requires_grad_(self._r1 > 0)
        judged = self.model.discriminator(torch.cat([real, fake]))
        of_real, of_fake = judged[: len(real)], judged[len(real) :]
        # The negative of the value function: 2 log 2 where it cannot tell both apart.
        losses = {"D": F.softplus(-of_real).mean() + F.softplus(of_fake).mean()}
        total = losses["D"]
        if self._r1:
            (gradient,) = torch.autograd.grad(of_real.sum(), real, create_graph=True)
            losses["R1"] = gradient.square().flatten(1).sum(1).mean()
            total = total + self._r1 / 2 * losses["R1"]
        self._adam_d.zero_grad()
        total.backward()
        self._adam_d.step()
        return losses

    @property
    def _averaged(self) -> Dcgan | Gran:
        networks = self._mean.module
        assert isinstance(networks, Dcgan | Gran)
        return networks

    @property
    def generator(self) -> nn.Module:
        """A copy of the generator as it is saved and sampled, in evaluation mode."""
        return settled(copy.deepcopy(self._averaged.generator), self._noises())

    @torch.no_grad()
    def discriminator(self, generator: nn.Module) -> nn.Module:
        """A copy of the discriminator as it is saved, in evaluation mode; it knows real and this generator's images."""
        rows = np.random.default_rng(self._seed).permutation(len(self._images))
        parts = torch.from_numpy(rows).to(self._device).split(SETTLING_BATCH)
        mixtures = (
            torch.cat([self._images[part], generator(z[: len(part)])])
            for part, z in zip(parts, self._noises(), strict=False)
        )
        return settled(copy.deepcopy(self._averaged.discriminator), mixtures)

    def _noises(self) -> Iterator[Tensor]:
        """Noise, always the same, so that nothing depends on when running means are taken."""
        for batch in range(SETTLING_BATCHES):
            z = gan_latents(self.model.config.latent_shape, SETTLING_BATCH, seed=0, first=batch * SETTLING_BATCH)
            yield torch.from_numpy(z).to(self._device)

    def state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "adam_g": self._adam_g.state_dict(),
            "adam_d": self._adam_d.state_dict(),
            "mean": self._mean.module.state_dict(),
            "steps": int(self._mean.n_averaged) - 1,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self._adam_g.load_state_dict(state["adam_g"])
        self._adam_d.load_state_dict(state["adam_d"])
        # Runs of earlier versions without a mean (average 0) have none in their state.
        self._mean.module.load_state_dict(state["mean"] or state["model"])
        self._mean.n_averaged.fill_(state["steps"] + 1)

    def checkpoint(self) -> Checkpoint:
        generator = self.generator
        parts = {"generator": generator, "discriminator": self.discriminator(generator)}
        weights = {
            f"{part}.{name}": tensor.detach().cpu().clone()
            for part, network in parts.items()
            for name, tensor in network.state_dict().items()
        }
        config = self.model.config
        name = "gran" if isinstance(config, GranConfig) else "dcgan"
        return Checkpoint(name, config.to_dict(), weights, self._sample_states, {"settings": self._settings})

    @torch.no_grad()
    def sample_sheet(self) -> NDArray[np.float32]:
        """Images of the same noise in every epoch."""
        images = self.generator(self._sample_states.to(self._device)).cpu().numpy()
        return in_rows(rescaled(images, self.model.config.value_range).astype(np.float32), SHEET)


def mean_of_weights(network: nn.Module, past: float) -> AveragedModel:
    """The exponential mean of a network's weights over the steps; its `module` carries it.

    Parameters
    ----------
    network : nn.Module
        As it is before the first step. `update_parameters` takes it after each.
    past : float
        Weight of the past, in [0, 1); 0 for none.
    """
    if not 0 <= past < 1:
        raise LyapmapError(f"average: expected a number in [0, 1), got {past}")

    def meet(means: Sequence[Tensor], weights: Sequence[Tensor], steps: Tensor | int) -> None:
        # Less weight of the past at first: the first weights are random, and would be remembered for long.
        number = int(steps)
        torch._foreach_lerp_(list(means), list(weights), 1 - min(past, number / (number + WARM_UP)))

    mean = AveragedModel(network, multi_avg_fn=meet)
    # torch's count begins with a copy of the weights, ours with a step: the first step is already a mean.
    mean.n_averaged.fill_(1)
    return mean.requires_grad_(False)


@torch.no_grad()
def settled(network: nn.Module, batches: Iterable[Tensor]) -> nn.Module:
    """The network in evaluation mode, the running means of its batch norm taken anew; it is changed in place.

    Running means of training lag behind the weights, and averaged weights have none of their own.
    """
    norms = [part for part in network.modules() if isinstance(part, StepNorm)]
    usual = [norm.momentum for norm in norms]
    network.train()
    for number, batch in enumerate(batches):
        for norm in norms:
            norm.momentum = 1 / (number + 1)  # the plain mean over the batches
        network(batch)
    for norm, momentum in zip(norms, usual, strict=True):
        norm.momentum = momentum
    return network.eval()
