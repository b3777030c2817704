"""How the kaleidoscopic network is trained: to give back what it is shown (paper, Eq. 1), by Adam."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lyapmap.core.arguments import positive
from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.core.points import rescaled
from lyapmap.data import ImageSet
from lyapmap.files.checkpoint import Checkpoint
from lyapmap.models.kaleidoscope.network import Kaleidoscope, KaleidoscopeConfig, manifold_loss
from lyapmap.models.kaleidoscope.sampling import noise_states
from lyapmap.training.distributed import OneProcess, Workers

SAMPLE_STATES = 32
SHEET_ROWS, SHEET_STEPS = 8, (0, 1, 2, 3, 5, 8, 13, 20, 30, 50, 100)
LAST_RATE = 0.01
"""Learning rate at the end of its decay, relative to that at the start."""
BATCH = 100
INITIAL = ("default", "he", "xavier")


class KaleidoscopeRecipe:
    """Trains a `Kaleidoscope` on images or points.

    What is saved is the best model: the weights at the end of the epoch whose mean loss was smallest.
    Its sample states are uniform noise in the range of the output, where kaleidoscopic sampling starts.

    Parameters
    ----------
    config : KaleidoscopeConfig
    train : ImageSet or (m, *state_shape)
        What to learn, with values in the range of the output.
    batch_size : int, optional
        Samples in a step; 100, or all where there are fewer.
    learning_rate : float
        Learning rate of Adam (1e-3 in the paper).
    decay_epochs : int
        Epochs over which the learning rate falls as a cosine to a hundredth; 0 keeps it constant, as
        in the paper.
    initial : "default", "he" or "xavier"
        Distribution of the first weights: torch's own, normal, or uniform. Normal ones after K. He et al. (2015),
        uniform ones after X. Glorot and Y. Bengio (2010), both with biases of zero.
    seed : int
        Of the weights, the order of the samples, and the sample states.
    device : str
        Where to train.

    Examples
    --------
    >>> points = np.array([[0.2], [0.8]], np.float32)
    >>> config = KaleidoscopeConfig(state_shape=(1,), depth=2, width=5, output="sigmoid")
    >>> recipe = KaleidoscopeRecipe(config, points)
    >>> recipe.start_epoch(0)
    >>> 0 < recipe.step(0)["manifold"] < 1
    True
    """

    def __init__(
        self,
        config: KaleidoscopeConfig,
        train: ImageSet | NDArray[Any],
        *,
        batch_size: int | None = None,
        learning_rate: float = 1e-3,
        decay_epochs: int = 0,
        initial: str = "xavier",
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        states = _states(config, train)
        if batch_size is None:
            batch_size = min(BATCH, len(states))
        if not 1 <= batch_size <= len(states):
            raise LyapmapError(f"batch_size: expected 1 to {len(states)} (the samples at hand), got {batch_size}")
        learning_rate = positive("learning_rate", learning_rate, finite=True)
        if decay_epochs < 0:
            raise LyapmapError(f"decay_epochs: expected at least 0, got {decay_epochs}")
        if initial not in INITIAL:
            raise LyapmapError(f"initial: expected one of {', '.join(INITIAL)}, got {initial!r}")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = Kaleidoscope(config)
            _draw_weights(model, initial)
        self.model = model.to(device)
        self.steps_per_epoch = len(states) // batch_size
        self.images_per_step = self.rows_per_step = batch_size
        self._workers: Workers = OneProcess(device)
        self.best: dict[str, Tensor] | None = None
        self.best_epoch, self.best_loss = 0, math.inf
        self._states = torch.from_numpy(states).to(device)
        self._order = torch.empty(0, dtype=torch.int64)
        self._epoch, self._sum = 0, 0.0
        self._seed, self._rate, self._decay = seed, learning_rate, decay_epochs
        # Fused: a step of 3 million weights at batch 100 takes 53 ms instead of 89 on one core.
        self._adam = torch.optim.Adam(self.model.parameters(), learning_rate, fused=True)
        noise = noise_states(config.state_shape, SAMPLE_STATES, value_range=config.value_range, seed=seed)
        self._sample_states = torch.from_numpy(noise.astype(np.float32)).reshape(-1, *config.state_shape)
        self._settings: dict[str, Any] = {
            "data": train.name if isinstance(train, ImageSet) else "points",
            "samples": len(states),
            "batch_size": int(batch_size),
            "learning_rate": float(learning_rate),
            "decay_epochs": int(decay_epochs),
            "initial": initial,
            "seed": int(seed),
        }
        if isinstance(train, ImageSet):
            self._settings["classes"] = sorted(int(c) for c in train.class_names)

    def start_epoch(self, epoch: int) -> None:
        rng = np.random.default_rng([self._seed, epoch])
        used = self.steps_per_epoch * self.images_per_step
        self._order = torch.from_numpy(rng.permutation(len(self._states))[:used]).to(self._states.device)
        self._epoch = epoch

    def share(self, workers: Workers) -> None:
        self._workers = workers

    def step(self, index: int) -> dict[str, float]:
        if index == 0:
            self._sum = 0.0
        rows = self._order[index * self.rows_per_step : (index + 1) * self.rows_per_step]
        batch = self._states[rows[self._workers.rows(self.rows_per_step)]]
        for group in self._adam.param_groups:
            group["lr"] = self._rate_at(self._epoch + index / self.steps_per_epoch)
        loss = manifold_loss(self.model.train()(batch), batch)
        self._adam.zero_grad()
        loss.backward()
        self._workers.average_gradients(self._adam)
        self._adam.step()
        # The mean over all processes, which must agree on the best epoch.
        value = self._workers.mean({"manifold": loss.item()})["manifold"]
        self._sum += value
        if index == self.steps_per_epoch - 1:
            self._keep_best(self._sum / self.steps_per_epoch)
        return {"manifold": value}

    def _rate_at(self, epochs: float) -> float:
        """Learning rate after so many epochs, a part of one included."""
        if not self._decay:
            return self._rate
        done = min(epochs / self._decay, 1.0)
        return self._rate * (LAST_RATE + (1 - LAST_RATE) * 0.5 * (1 + math.cos(math.pi * done)))

    def _keep_best(self, loss: float) -> None:
        if loss < self.best_loss:
            self.best_loss, self.best_epoch = loss, self._epoch + 1
            self.best = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}

    def state(self) -> dict[str, Any]:
        best = {"weights": self.best, "epoch": self.best_epoch, "loss": self.best_loss}
        return {"model": self.model.state_dict(), "adam": self._adam.state_dict(), "best": best, "sum": self._sum}

    def load_state(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self._adam.load_state_dict(state["adam"])
        best = state["best"]
        self.best_epoch, self.best_loss = best["epoch"], best["loss"]
        device = self._states.device
        weights = best["weights"]
        self.best = None if weights is None else {name: tensor.to(device) for name, tensor in weights.items()}
        self._sum = state["sum"]

    def checkpoint(self) -> Checkpoint:
        kept = self.model.state_dict() if self.best is None else self.best
        weights = {name: tensor.detach().cpu().clone() for name, tensor in kept.items()}
        training: dict[str, Any] = {"settings": self._settings}
        if self.best is not None:
            training["best"] = {"epoch": self.best_epoch, "loss": self.best_loss}
        return Checkpoint("kaleidoscope", self.model.config.to_dict(), weights, self._sample_states, training)

    @torch.no_grad()
    def sample_sheet(self) -> NDArray[np.float32]:
        """Iterates of noise; states that are no images are drawn as rows of pixels."""
        x = self._sample_states[:SHEET_ROWS].to(self._states.device)
        columns = []
        for step in range(SHEET_STEPS[-1] + 1):
            if step in SHEET_STEPS:
                columns.append(x)
            x = self.model(x)
        states = torch.stack(columns, dim=1).cpu().numpy()
        if states.ndim != 5 or states.shape[2] not in (1, 3):
            states = states.reshape(*states.shape[:2], 1, 1, -1)
        return rescaled(states, self.model.config.value_range).astype(np.float32)


def _states(config: KaleidoscopeConfig, train: ImageSet | NDArray[Any]) -> NDArray[np.float32]:
    """What to learn, (m, *state_shape), after it was held against the config."""
    given = np.asarray(train.images if isinstance(train, ImageSet) else train)
    if given.shape[1:] != config.state_shape or len(given) == 0:
        raise ShapeError(f"train: expected samples of shape {config.state_shape}, (m, ...), got {given.shape}")
    if given.dtype.kind not in "fiub":
        raise LyapmapError(f"train: expected real numbers, got dtype {given.dtype}")
    low, high = config.value_range
    if not (np.isfinite(given).all() and given.min() >= low and given.max() <= high):
        raise LyapmapError(
            f"train: values in [{given.min():.4g}, {given.max():.4g}], expected all in [{low:g}, {high:g}], "
            f"the range of a {config.output} output"
        )
    return np.ascontiguousarray(given, np.float32)


def _draw_weights(model: nn.Module, initial: str) -> None:
    """Replace torch's own first weights of layers, unless they are wanted."""
    if initial == "default":
        return
    for layer in model.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            if initial == "he":
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            else:
                nn.init.xavier_uniform_(layer.weight)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)


def train_first(
    folder: Path,
    *,
    data: str,
    classes: Sequence[int] | None,
    epochs: int,
    depth: int,
    width: int,
    seed: int,
    device: str | None = None,
    on_step: Any = None,
) -> Path:
    """Train a perceptron in `folder`, or go on there; its last checkpoint."""
    from lyapmap.data import load
    from lyapmap.models.kaleidoscope.network import KaleidoscopeConfig
    from lyapmap.training.loop import train

    images = load(data, classes=classes)
    recipe = KaleidoscopeRecipe(
        KaleidoscopeConfig(images.state_shape, depth, width), images, seed=seed, device=device or "cpu"
    )
    train(recipe, folder, epochs=epochs, seed=seed, checkpoint_every=max(1, epochs // 10), on_step=on_step)
    return folder / "last.pt"
