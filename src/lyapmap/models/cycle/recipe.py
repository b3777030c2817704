"""How the cycle model is trained: Adam, batches of one image from each category, losses of the paper.

The paper trains G on images of the data alone, yet iterates it on its own images. A pool of states is
carried on beside the training, as persistent chains are for energy-based models (T. Tieleman 2008), so that a
loss of one step reaches states after many, at the cost of one.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lyapmap.core.arguments import whole
from lyapmap.core.errors import CheckpointError, LyapmapError
from lyapmap.data import ImageSet
from lyapmap.files.checkpoint import Checkpoint
from lyapmap.models.cycle.network import CycleConfig, CycleModel
from lyapmap.models.cycle.subject import checked_classes
from lyapmap.models.cycle.terms import ExponentTerm, Wishes, iterate_losses, unrolled
from lyapmap.training.distributed import OneProcess, Workers


class ReplayPool:
    """States of every category, each some steps of G away from the data it came from.

    Parameters
    ----------
    images : sequence of Tensor (m_i, c, h, w)
        The data by category, to start from.
    size : int
        States of each category.
    renewal : float
        Chance with which a state starts anew from the data each time it was used: a state lives for
        1 / renewal uses in the mean.

    Examples
    --------
    >>> torch.manual_seed(0)  # doctest: +ELLIPSIS
    <torch._C.Generator object at ...>
    >>> pool = ReplayPool([torch.zeros(4, 1, 2, 2), torch.ones(4, 1, 2, 2)], size=6, renewal=0.0)
    >>> rows, states = pool.draw(3)
    >>> states.shape
    torch.Size([2, 3, 1, 2, 2])
    >>> pool.put(rows, states + 5)
    >>> int((pool.states >= 5).flatten(2).all(2).sum())
    6
    """

    def __init__(self, images: Sequence[Tensor], *, size: int, renewal: float) -> None:
        if size < 1:
            raise LyapmapError(f"size: expected at least 1 state, got {size}")
        if not 0 <= renewal <= 1:
            raise LyapmapError(f"renewal: expected a chance in [0, 1], got {renewal}")
        self._images = images
        self._renewal = renewal
        first = torch.arange(size)
        self.states = torch.stack([some[first % len(some)] for some in images])
        self.ages = torch.zeros(len(images), size, dtype=torch.long)

    def draw(self, b: int) -> tuple[Tensor, Tensor]:
        """Places and states of b different rows, the same places in each category: (b,), (n, b, c, h, w)."""
        size = self.states.shape[1]
        if not 1 <= b <= size:
            raise LyapmapError(f"b: expected 1 to {size} states (the size of the pool), got {b}")
        rows = torch.randperm(size)[:b]
        return rows, self.states[:, rows]

    @torch.no_grad()
    def put(self, rows: Tensor, moved: Tensor) -> None:
        """Put back images (n, b, c, h, w) of the states drawn, each filed under its new category."""
        anew = torch.rand(moved.shape[:2]) < self._renewal
        ages = self.ages[:, rows].roll(1, dims=0) + 1
        kept = moved.detach().to(self.states, copy=True)  # mixed precision hands on bfloat16
        for i, images in enumerate(self._images):
            places = torch.nonzero(anew[i]).flatten()
            kept[i, places] = images[torch.randint(len(images), (len(places),))]
        self.states[:, rows] = kept
        self.ages[:, rows] = torch.where(anew, 0, ages)

    def state(self) -> dict[str, Any]:
        """What resuming needs."""
        return {"states": self.states, "ages": self.ages}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over what `state` gave."""
        self.states, self.ages = state["states"].to(self.states), state["ages"].clone()


SAMPLE_STATES = 64
POOL_BATCHES = 4
"""States of each category in the pool of replayed ones, in batches: few enough to grow old."""
SHEET_ROWS, SHEET_STEPS = 8, 12


class CycleRecipe:
    """Trains a `CycleModel` on an image set.

    Parameters
    ----------
    config : CycleConfig
        Sizes; `categories` must be the number of classes given.
    train : ImageSet
        Images to train on, with values in (-1, 1).
    test : ImageSet
        Images, likewise, of which the first of class `classes[0]` become sample states.
    classes : sequence of int
        Labels in the order of the cycle.
    batch_size : int
        Images of each category in a step (100 in the paper).
    learning_rate, beta1 : float
        Of Adam (2e-4 and 0.5 in the paper).
    cycle_weight : float
        Weight of the cycle loss (10 in the paper).
    seed : int
        Of the weights and of the order of the images.
    wishes : Wishes, optional
        Terms beyond the paper's losses.
    device : str
        Where to train.
    """

    def __init__(
        self,
        config: CycleConfig,
        train: ImageSet,
        test: ImageSet,
        *,
        classes: Sequence[int],
        batch_size: int = 100,
        learning_rate: float = 2e-4,
        beta1: float = 0.5,
        cycle_weight: float = 10.0,
        seed: int = 0,
        wishes: Wishes | None = None,
        epochs: int = 0,
        paper_epochs: int = 0,
        decay_epochs: int = 0,
        device: str = "cpu",
    ) -> None:
        if len(classes) != config.categories:
            raise LyapmapError(f"classes: expected {config.categories} of them, got {len(classes)}")
        for name, given in {"train": train, "test": test}.items():
            if given.state_shape != config.state_shape:
                raise LyapmapError(
                    f"{name}: images have shape {given.state_shape}, the model takes {config.state_shape}"
                )
            if given.value_range != (-1.0, 1.0):
                raise LyapmapError(f"{name}: values in {given.value_range}, the model works in (-1.0, 1.0)")
        empty = [c for c in classes if c not in train.labels]
        if empty or classes[0] not in test.labels:
            raise LyapmapError(f"classes: there is no image of class {empty[0] if empty else classes[0]}")
        self._images = [torch.from_numpy(train.of_class(c)).to(device) for c in classes]
        smallest = min(len(images) for images in self._images)
        if not 1 <= batch_size <= smallest:
            raise LyapmapError(f"batch_size: expected 1 to {smallest} (the smallest category), got {batch_size}")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model = CycleModel(config).to(device)
        self.steps_per_epoch = smallest // batch_size
        self.images_per_step = batch_size * config.categories
        self.rows_per_step = batch_size
        self._workers: Workers = OneProcess(device)
        self._batch_size = batch_size
        self._cycle_weight = cycle_weight
        self._seed = seed
        self._order: list[torch.Tensor] = []
        starts = test.of_class(classes[0])[:SAMPLE_STATES]
        self._sample_states = torch.from_numpy(starts.copy())
        self._settings: dict[str, Any] = {
            "data": train.name,
            "classes": list(map(int, classes)),
            "batch_size": int(batch_size),
            "learning_rate": float(learning_rate),
            "beta1": float(beta1),
            "cycle_weight": float(cycle_weight),
            "seed": int(seed),
        }
        self._epochs, self._paper_epochs, self._decay_epochs = epochs, paper_epochs, decay_epochs
        self._learning_rate = learning_rate
        self._epoch = 0
        self._bias = 0.0
        self._wishes = wishes or Wishes()
        if self._wishes.to_dict():
            self._settings["wishes"] = self._wishes.to_dict()
        self._exponent: ExponentTerm | None = None
        if self._wishes.exponent is not None:
            self._exponent = ExponentTerm(self._sample_states.to(device), self._wishes.exponent)
            self._shipped_exponent = ExponentTerm(self._sample_states.to(device), self._wishes.exponent)
        self._pool: ReplayPool | None = None
        if self._wishes.replay:
            size = POOL_BATCHES * batch_size
            self._pool = ReplayPool(self._images, size=size, renewal=self._wishes.renewal)
        # The mean of the weights is what is saved and iterated; the discriminators meet the weights themselves.
        self._mean = copy.deepcopy(self.model.G).requires_grad_(True) if self._wishes.average else None
        model = self.model
        betas = (beta1, 0.999)
        self._adam_generators = torch.optim.Adam([*model.G.parameters(), *model.F.parameters()], learning_rate, betas)
        self._adam_discriminators = torch.optim.Adam(model.D.parameters(), learning_rate, betas)

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
            self._mean.load_state_dict(earlier.get("mean") or self.model.G.state_dict())
        self._settings["start"] = {"sha256": saved.sha256, "epoch": int(state["epoch"])}

    def start_epoch(self, epoch: int) -> None:
        self._epoch = epoch
        if self._decay_epochs:
            rate = self._learning_rate * min(1.0, (self._epochs - epoch) / (self._decay_epochs + 1))
            for adam in (self._adam_generators, self._adam_discriminators):
                for group in adam.param_groups:
                    group["lr"] = rate
        rng = np.random.default_rng([self._seed, epoch])
        used = self.steps_per_epoch * self._batch_size
        self._order = [torch.from_numpy(rng.permutation(len(images))[:used]) for images in self._images]

    def share(self, workers: Workers) -> None:
        if self._pool is not None:
            raise LyapmapError(f"replay: the pool of states is kept by one process, got {workers.size}")
        self._workers = workers

    def step(self, index: int) -> dict[str, float]:
        rows = slice(index * self._batch_size, (index + 1) * self._batch_size)
        own = self._workers.rows(self._batch_size)
        batch = torch.stack([images[order[rows][own]] for images, order in zip(self._images, self._order, strict=True)])
        model = self.model.train()
        # The discriminators judge here but do not learn: no gradients for their weights.
        model.D.requires_grad_(False)
        losses, by_g, by_f = model.generator_losses(batch, cycle_weight=self._cycle_weight)
        later = self._epoch >= self._paper_epochs
        wishes = self._wishes if later else Wishes()
        steps = unrolled(model, by_g, wishes.unroll)
        total = losses["total"]
        if self._pool is not None and later:
            places, states = self._pool.draw(max(2, round(self._wishes.replay * self._batch_size)))
            steps.append(model.advance(states))
            if self._wishes.replay_cycle:
                kept = model.cycle_loss(states, steps[-1])
                total = total + self._wishes.replay_cycle * self._cycle_weight * kept
        more = iterate_losses(model, batch, steps, wishes, self._workers.gathered)
        total = total + more.get("iterates", 0.0) + wishes.diversity * more.get("diversity", 0.0)
        extra = None
        if self._exponent is not None and later:
            of = self._wishes.exponent_of
            if of == "shipped" and self._mean is not None:
                more["exponent"] = self._exponent.loss(self._mean)
                extra = torch.autograd.grad(more["exponent"], list(self._mean.parameters()))
            else:
                if of == "corrected":
                    with torch.no_grad():
                        self._shipped_exponent.loss(self._mean)
                    gap = self._shipped_exponent.exponent - self._exponent.exponent
                    self._bias = 0.98 * self._bias + 0.02 * gap
                more["exponent"] = self._exponent.loss(model.G, self._bias)
                total = total + self._wishes.exponent_weight * more["exponent"]
            more["exponent"] = torch.tensor(self._exponent.exponent)
        self._adam_generators.zero_grad()
        total.backward()
        if extra is not None:
            for p, g in zip(model.G.parameters(), extra, strict=True):
                p.grad.add_(g, alpha=self._wishes.exponent_weight)
        self._workers.average_gradients(self._adam_generators)
        self._adam_generators.step()
        self._average()
        model.D.requires_grad_(True)
        judged = model.discriminator_losses(batch, by_g, by_f, steps[1:])
        self._adam_discriminators.zero_grad()
        judged.sum().backward()
        self._workers.average_gradients(self._adam_discriminators)
        self._adam_discriminators.step()
        if self._pool is not None and later:
            self._pool.put(places, steps[-1])
        losses |= more | {"total": total, "D": judged.sum()}
        return {name: loss.item() for name, loss in losses.items()}

    @torch.no_grad()
    def _average(self) -> None:
        if self._mean is not None:
            for mean, now in zip(self._mean.parameters(), self.model.G.parameters(), strict=True):
                mean.lerp_(now, 1 - self._wishes.average)

    @property
    def generator(self) -> nn.Module:
        """The network that is saved and iterated."""
        return self.model.G if self._mean is None else self._mean

    def state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "adam_generators": self._adam_generators.state_dict(),
            "adam_discriminators": self._adam_discriminators.state_dict(),
            "exponent": None if self._exponent is None else self._exponent.state(),
            "mean": None if self._mean is None else self._mean.state_dict(),
            "pool": None if self._pool is None else self._pool.state(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self._adam_generators.load_state_dict(state["adam_generators"])
        self._adam_discriminators.load_state_dict(state["adam_discriminators"])
        if self._exponent is not None:
            self._exponent.load_state(state["exponent"])
        if self._mean is not None:
            self._mean.load_state_dict(state["mean"])
        if self._pool is not None:
            self._pool.load_state(state["pool"])

    def checkpoint(self) -> Checkpoint:
        weights = {name: tensor.detach().cpu().clone() for name, tensor in self.generator.state_dict().items()}
        config = self.model.config.to_dict()
        return Checkpoint("cycle", config, weights, self._sample_states, {"settings": self._settings})

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
