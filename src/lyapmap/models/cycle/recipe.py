"""How the cycle model is trained: what is decided before a seed is drawn, and the steps by Adam that follow."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from lyapmap.core.arguments import whole
from lyapmap.core.errors import CheckpointError, LyapmapError
from lyapmap.data import ImageSet
from lyapmap.data.image_set import held_out
from lyapmap.files.checkpoint import Checkpoint
from lyapmap.models.cycle.extra_losses import ExponentTerm, ExtraTerms, ReplayPool, iterate_losses, unrolled
from lyapmap.models.cycle.network import CycleConfig, CycleModel
from lyapmap.models.cycle.subject import checked_classes
from lyapmap.training.distributed import OneProcess, Workers

SAMPLE_STATES = 64
POOL_BATCHES = 4
"""States of each category in the pool of replayed ones, in batches: few enough to grow old."""
SHEET_ROWS, SHEET_STEPS = 8, 12


@dataclass(frozen=True)
class CycleSettings:
    """All that a training is given beside data, size of the network and seed; the defaults are the paper's.

    Parameters
    ----------
    epochs : int
        Epochs in all (the paper trains 1000).
    decay_epochs : int
        The last epochs, in which the learning rate falls linearly to zero; 0 leaves it as it is.
    batch_size : int
        Images of each category in a step (100 in the paper).
    learning_rate : float
        Learning rate of Adam (2e-4 in the paper).
    beta1 : float
        Weight of the past in Adam's mean of gradients (0.5 in the paper).
    cycle_weight : float
        Weight of the cycle loss (10 in the paper).
    validation : float
        Part of the training images that is kept from the training, to choose by; sample states are then of those, and
        test images are not looked at.
    precision : "32", "tf32" or "bf16-mixed"
        Arithmetic of a training step.
    terms : ExtraTerms
        Beyond the paper's losses.
    """

    epochs: int = 30
    decay_epochs: int = 0
    batch_size: int = 100
    learning_rate: float = 2e-4
    beta1: float = 0.5
    cycle_weight: float = 10.0
    validation: float = 0.0
    precision: str = "32"
    terms: ExtraTerms = field(default_factory=ExtraTerms)

    def __post_init__(self) -> None:
        whole("epochs", self.epochs, 1)
        whole("decay_epochs", self.decay_epochs, 0)
        if self.decay_epochs > self.epochs:
            raise LyapmapError(f"decay_epochs: expected at most the {self.epochs} epochs, got {self.decay_epochs}")
        if not 0 <= self.validation < 1:
            raise LyapmapError(f"validation: expected a part in [0, 1), got {self.validation}")

    def rate(self, epoch: int) -> float:
        """Learning rate of an epoch, counted from 0.

        >>> [CycleSettings(epochs=4, decay_epochs=1, learning_rate=1.0).rate(epoch) for epoch in range(4)]
        [1.0, 1.0, 1.0, 0.5]
        """
        if not self.decay_epochs:
            return self.learning_rate
        return self.learning_rate * min(1.0, (self.epochs - epoch) / (self.decay_epochs + 1))

    def to_dict(self) -> dict[str, Any]:
        """What a resumed run must share, as checkpoints keep it; epochs only where the rate depends on them."""
        kept: dict[str, Any] = {
            "batch_size": int(self.batch_size),
            "learning_rate": float(self.learning_rate),
            "beta1": float(self.beta1),
            "cycle_weight": float(self.cycle_weight),
        }
        if self.decay_epochs:
            kept |= {"epochs": int(self.epochs), "decay_epochs": int(self.decay_epochs)}
        if self.validation:
            kept["validation"] = float(self.validation)
        if self.terms.to_dict():
            kept["wishes"] = self.terms.to_dict()
        return kept


_OWN = CycleSettings(
    epochs=60,
    decay_epochs=20,
    batch_size=50,
    validation=0.1,
    precision="bf16-mixed",
    terms=ExtraTerms(replay=0.5, replay_cycle=1.0, diversity=100.0, exponent=0.25, exponent_weight=30.0, average=0.99),
)
RECIPES = {
    "paper": CycleSettings(),
    "steady": _OWN,
    # The paper's losses with all else as in `steady`, and as many more epochs as their steps cost less (0.52, 0.73 s).
    "control": replace(_OWN, epochs=85, decay_epochs=28, terms=ExtraTerms(average=0.99)),
}
"""Settings by name; docs/studies/cycle.md tells how they were decided, and what they give."""


def settings_by_name(name: str, **changes: Any) -> CycleSettings:
    """Settings of `RECIPES`, some of them replaced: fields of `CycleSettings` or `ExtraTerms` that are not None.

    Raises
    ------
    LyapmapError
        If there is no such recipe.

    Examples
    --------
    >>> settings_by_name("paper", epochs=5, replay=0.5).terms.replay
    0.5
    """
    if name not in RECIPES:
        raise LyapmapError(f"recipe: expected {', '.join(RECIPES)}, got {name!r}")
    base = RECIPES[name]
    given = {key: value for key, value in changes.items() if value is not None}
    of_terms = {key: given.pop(key) for key in list(given) if hasattr(base.terms, key)}
    if "epochs" in given and base.decay_epochs and "decay_epochs" not in given:
        given["decay_epochs"] = round(base.decay_epochs * given["epochs"] / base.epochs)
    return replace(base, **given, terms=replace(base.terms, **of_terms))


class CycleRecipe:
    """Trains a `CycleModel` on an image set.

    Parameters
    ----------
    config : CycleConfig
        Sizes; `categories` must be the number of classes given.
    train : ImageSet
        Images to train on, with values in (-1, 1).
    test : ImageSet
        Images, likewise, of which the first of class `classes[0]` become sample states where no training
        images are kept for validation.
    classes : sequence of int
        Labels in the order of the cycle.
    settings : CycleSettings, optional
        By default the paper's.
    seed : int
        Of the weights and of the order of the images.
    device : str
        Where to train.
    **changes
        Fields of `settings` that shall have other values.
    """

    def __init__(
        self,
        config: CycleConfig,
        train: ImageSet,
        test: ImageSet,
        *,
        classes: Sequence[int],
        settings: CycleSettings | None = None,
        seed: int = 0,
        device: str = "cpu",
        **changes: Any,
    ) -> None:
        if "wishes" in changes:
            warnings.warn("wishes is now terms", DeprecationWarning, stacklevel=2)
            changes["terms"] = changes.pop("wishes") or ExtraTerms()
        self.settings = settings = replace(settings or CycleSettings(), **changes)
        if len(classes) != config.categories:
            raise LyapmapError(f"classes: expected {config.categories} of them, got {len(classes)}")
        for name, images in {"train": train, "test": test}.items():
            if images.state_shape != config.state_shape:
                raise LyapmapError(
                    f"{name}: images have shape {images.state_shape}, the model takes {config.state_shape}"
                )
            if images.value_range != (-1.0, 1.0):
                raise LyapmapError(f"{name}: values in {images.value_range}, the model works in (-1.0, 1.0)")
        empty = [c for c in classes if c not in train.labels]
        if empty or classes[0] not in test.labels:
            raise LyapmapError(f"classes: there is no image of class {empty[0] if empty else classes[0]}")
        held = test
        if settings.validation:
            train, held = held_out(train, settings.validation)
        self._images = [torch.from_numpy(train.of_class(c)).to(device) for c in classes]
        smallest = min(len(images) for images in self._images)
        batch_size = settings.batch_size
        if not 1 <= batch_size <= smallest:
            raise LyapmapError(f"batch_size: expected 1 to {smallest} (the smallest category), got {batch_size}")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model = CycleModel(config).to(device)
        self.steps_per_epoch = smallest // batch_size
        self.images_per_step = batch_size * config.categories
        self.rows_per_step = batch_size
        self._workers: Workers = OneProcess(device)
        self._seed = seed
        self._order: list[torch.Tensor] = []
        self._sample_states = torch.from_numpy(held.of_class(classes[0])[:SAMPLE_STATES].copy())
        self._record: dict[str, Any] = {"data": train.name, "classes": list(map(int, classes))}
        self._record |= settings.to_dict() | {"seed": int(seed)}
        terms = settings.terms
        self._exponent: ExponentTerm | None = None
        self._pull = 1.0
        if terms.exponent is not None:
            self._exponent = ExponentTerm(self._sample_states.to(device), terms.exponent)
        self._pool: ReplayPool | None = None
        if terms.replay:
            self._pool = ReplayPool(self._images, size=POOL_BATCHES * batch_size, renewal=terms.renewal)
        model = self.model
        # The mean of the weights is what is saved and iterated; the discriminators meet the weights themselves.
        self._mean: AveragedModel | None = None
        if terms.average:
            self._mean = AveragedModel(model.G, multi_avg_fn=get_ema_multi_avg_fn(terms.average))
            self._mean.update_parameters(model.G)  # the first call copies: it begins with the first weights
        betas = (settings.beta1, 0.999)
        rate = settings.learning_rate
        self._adam_generators = torch.optim.Adam([*model.G.parameters(), *model.F.parameters()], rate, betas)
        self._adam_discriminators = torch.optim.Adam(model.D.parameters(), rate, betas)

    def start_from(self, saved: Checkpoint) -> None:
        """Begin with the networks of another run, and what its optimizers know, instead of new ones.

        Raises
        ------
        CheckpointError
            If it holds the weights of G alone, or networks of other sizes.
        """
        state = saved.training.get("state")
        if saved.model != "cycle" or state is None:
            raise CheckpointError("start: holds no more than weights to iterate; expected the last.pt of a cycle run")
        if saved.config != self.model.config.to_dict():
            raise CheckpointError(f"start: expected a model of {self.model.config.to_dict()}, got {saved.config}")
        earlier = state["recipe"]
        self.model.load_state_dict(earlier["model"])
        for adam, name in ((self._adam_generators, "generators"), (self._adam_discriminators, "discriminators")):
            own = [{key: value for key, value in group.items() if key != "params"} for group in adam.param_groups]
            adam.load_state_dict(earlier[f"adam_{name}"])
            for group, settings in zip(adam.param_groups, own, strict=True):
                group.update(settings)
        if self._mean is not None:
            self._load_mean(earlier.get("mean") or self.model.G.state_dict())
        self._record["start"] = {"sha256": saved.sha256, "epoch": int(state["epoch"])}

    def start_epoch(self, epoch: int) -> None:
        rate = self.settings.rate(epoch)
        self._pull = self.settings.learning_rate / rate if rate else 1.0
        for adam in (self._adam_generators, self._adam_discriminators):
            for group in adam.param_groups:
                group["lr"] = rate
        rng = np.random.default_rng([self._seed, epoch])
        used = self.steps_per_epoch * self.rows_per_step
        self._order = [torch.from_numpy(rng.permutation(len(images))[:used]) for images in self._images]

    def share(self, workers: Workers) -> None:
        if self._pool is not None:
            raise LyapmapError(f"replay: the pool of states is kept by one process, got {workers.size}")
        self._workers = workers

    def step(self, index: int) -> dict[str, float]:
        size = self.rows_per_step
        rows = slice(index * size, (index + 1) * size)
        own = self._workers.rows(size)
        batch = torch.stack([images[order[rows][own]] for images, order in zip(self._images, self._order, strict=True)])
        terms, cycle_weight = self.settings.terms, self.settings.cycle_weight
        model = self.model.train()
        # The discriminators judge here but do not learn: no gradients for their weights.
        model.D.requires_grad_(False)
        losses, by_g, by_f = model.generator_losses(batch, cycle_weight=cycle_weight)
        steps = unrolled(model, by_g, terms.unroll)
        total = losses["total"]
        if self._pool is not None:
            places, states = self._pool.draw(max(2, round(terms.replay * size)))
            steps.append(model.advance(states))
            if terms.replay_cycle:
                total = total + terms.replay_cycle * cycle_weight * model.cycle_loss(states, steps[-1])
        more = iterate_losses(model, batch, steps, terms, self._workers.gathered)
        total = total + more.get("iterates", 0.0) + terms.diversity * more.get("diversity", 0.0)
        self._adam_generators.zero_grad()
        total.backward()
        if self._exponent is not None:
            more["exponent"] = self._hold_exponent(self._exponent)
            total = total + terms.exponent_weight * more["exponent"]
        self._workers.average_gradients(self._adam_generators)
        self._adam_generators.step()
        if self._mean is not None:
            self._mean.update_parameters(model.G)
        model.D.requires_grad_(True)
        judged = model.discriminator_losses(batch, by_g, by_f, steps[1:])
        self._adam_discriminators.zero_grad()
        judged.sum().backward()
        self._workers.average_gradients(self._adam_discriminators)
        self._adam_discriminators.step()
        if self._pool is not None:
            self._pool.put(places, steps[-1])
        losses |= more | {"total": total, "D": judged.sum()}
        return {name: loss.item() for name, loss in losses.items()}

    def _hold_exponent(self, term: ExponentTerm) -> Tensor:
        """Add the gradient of the squared error of the exponent of the network that is saved; the error.

        A mean of weights has another exponent than the weights of the moment, mostly a smaller one. So its own error is
        what counts, and the weights, which the mean follows, take its gradient. Where the learning rate falls, the
        weight rises: the pull on the exponent stays as strong, and as slow beside the lag of the mean, while the
        other losses lose theirs.
        """
        loss = term.loss(self.generator)
        gradients = torch.autograd.grad(loss, list(self.generator.parameters()))
        weight = self.settings.terms.exponent_weight * self._pull
        for parameter, gradient in zip(self.model.G.parameters(), gradients, strict=True):
            assert parameter.grad is not None
            parameter.grad.add_(gradient, alpha=weight)
        return loss.detach()

    @property
    def generator(self) -> nn.Module:
        """The network that is saved and iterated."""
        return self.model.G if self._mean is None else self._mean.module

    def state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "adam_generators": self._adam_generators.state_dict(),
            "adam_discriminators": self._adam_discriminators.state_dict(),
            "exponent": None if self._exponent is None else self._exponent.state(),
            "mean": None if self._mean is None else self._mean.module.state_dict(),
            "pool": None if self._pool is None else self._pool.state(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self._adam_generators.load_state_dict(state["adam_generators"])
        self._adam_discriminators.load_state_dict(state["adam_discriminators"])
        if self._exponent is not None:
            self._exponent.load_state(state["exponent"])
        if self._mean is not None:
            self._load_mean(state["mean"])
        if self._pool is not None:
            self._pool.load_state(state["pool"])

    def _load_mean(self, weights: dict[str, Tensor]) -> None:
        assert self._mean is not None
        self._mean.module.load_state_dict(weights)

    def checkpoint(self) -> Checkpoint:
        weights = {name: tensor.detach().cpu().clone() for name, tensor in self.generator.state_dict().items()}
        config = self.model.config.to_dict()
        return Checkpoint("cycle", config, weights, self._sample_states, {"settings": self._record})

    @torch.no_grad()
    def sample_sheet(self) -> NDArray[np.float32]:
        generator = self.generator
        was_training = generator.training
        generator.eval()
        x = self._sample_states[:SHEET_ROWS].to(next(generator.parameters()).device)
        columns = [x]
        for _ in range(SHEET_STEPS):
            columns.append(generator(columns[-1]))
        generator.train(was_training)
        return torch.stack(columns, dim=1).cpu().numpy()


def train_first(
    folder: Path,
    *,
    data: str,
    classes: Sequence[int],
    epochs: int,
    width: int,
    seed: int,
    device: str | None = None,
    on_step: Any = None,
) -> Path:
    """Train a generator in `folder`, or go on there; its last checkpoint.

    About ten epochs, evenly spread, are kept for the development along training.
    """
    from lyapmap.data import load
    from lyapmap.models.cycle.network import CycleConfig
    from lyapmap.training.loop import train

    whole("train_epochs", epochs, 1)
    whole("width", width, 1)
    classes = checked_classes(classes)
    images = {split: load(data, split=split, classes=classes) for split in ("train", "test")}
    channels, height, breadth = images["train"].state_shape
    if height != breadth:
        raise LyapmapError(f"data: {data} has images of {height} x {breadth}, expected square ones")
    config = CycleConfig(categories=len(classes), image_size=height, channels=channels, width=width)
    smallest = min(len(images["train"].of_class(c)) for c in classes)
    recipe = CycleRecipe(
        config,
        images["train"],
        images["test"],
        classes=classes,
        batch_size=min(100, smallest),
        seed=seed,
        device=device or "cpu",
    )
    keep = max(1, epochs // 10)
    train(recipe, folder, epochs=epochs, seed=seed, checkpoint_every=keep, keep_every=keep, on_step=on_step)
    return folder / "last.pt"
