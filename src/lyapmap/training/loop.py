"""The training loop: epochs, log, checkpoints, resuming, Ctrl-C. It knows no model."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from lyapmap.core.errors import CheckpointError, LyapmapError
from lyapmap.training import checkpoint as checkpoints
from lyapmap.training.recipe import Recipe

LAST = "last.pt"
LOG = "log.jsonl"

logger = logging.getLogger(__name__)

Monitor = Callable[[checkpoints.Checkpoint], dict[str, Any]]


@dataclass(frozen=True)
class Progress:
    """Where a training run stands, after each step.

    Attributes
    ----------
    epoch, epochs : int
        Epochs finished, and asked for.
    step, steps : int
        Steps finished in all, and asked for.
    losses : dict
        Of this step.
    images_per_second : float
        Since this call of `train` began, monitoring and saving left out.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    losses: dict[str, float]
    images_per_second: float


def train(
    recipe: Recipe,
    out: str | Path,
    *,
    epochs: int,
    seed: int = 0,
    checkpoint_every: int = 5,
    keep_every: int = 0,
    monitor: Monitor | None = None,
    monitor_every: int = 2,
    on_step: Callable[[Progress], None] | None = None,
    resume: bool = True,
) -> checkpoints.Checkpoint:
    """Train for a number of epochs, or go on where an earlier call in the same folder stopped.

    The folder receives `last.pt` (usable as a model, and for resuming), `log.jsonl` (one line for
    each epoch), and `samples-EPOCH.png`. Ctrl-C saves before it takes effect. A resumed run gives
    the same weights, bit for bit on the CPU, as an uninterrupted one.

    Parameters
    ----------
    recipe : Recipe
        The model with its data, losses and optimizers.
    out : path
        Folder for everything that is written.
    epochs : int
        Epochs in all, those of earlier calls included.
    seed : int
        Of dropout and whatever else is random within a step.
    checkpoint_every : int
        Epochs between checkpoints and sample sheets; the last epoch always gets them.
    keep_every : int
        Epochs between checkpoints kept as `epoch-EPOCH.pt` (weights only); 0 keeps none.
    monitor : callable, optional
        Takes the current `Checkpoint`, returns values for the log under "monitor".
    monitor_every : int
        Epochs between calls of `monitor`.
    on_step : callable, optional
        Takes a `Progress` after every step.
    resume : bool
        False refuses to touch a folder that already holds a run.

    Returns
    -------
    Checkpoint
        As last saved.

    Raises
    ------
    LyapmapError
        If a loss is no longer finite (the last good checkpoint stays), or `out` holds another run.
    """
    for name, value in {"epochs": epochs, "checkpoint_every": checkpoint_every, "monitor_every": monitor_every}.items():
        if value < 1:
            raise LyapmapError(f"{name}: expected at least 1, got {value}")
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    run = _Run(recipe, out, seed)
    with torch.random.fork_rng():
        run.begin(resume)
        try:
            while run.epoch < epochs:
                run.one_epoch(epochs, on_step)
                last = run.epoch == epochs
                entry = run.entry()
                if monitor is not None and (last or run.epoch % monitor_every == 0):
                    with torch.random.fork_rng():
                        entry["monitor"] = monitor(recipe.checkpoint())
                run.log(entry)
                if keep_every and run.epoch % keep_every == 0:
                    checkpoints.save(run.checkpoint(resumable=False), out / f"epoch-{run.epoch:04d}.pt")
                if last or run.epoch % checkpoint_every == 0:
                    run.save()
                    run.save_samples()
        except KeyboardInterrupt:
            run.save()
            raise
    return checkpoints.load(out / LAST)


class _Run:
    """The state of one training run: where it stands, and how to save it."""

    def __init__(self, recipe: Recipe, out: Path, seed: int) -> None:
        self.recipe = recipe
        self.out = out
        self.seed = seed
        self.epoch = 0
        self.step = 0  # finished steps within the epoch
        self.seconds = 0.0
        self.sums: dict[str, float] = {}
        self.history: list[dict[str, Any]] = []
        self._here_steps = 0
        self._here_seconds = 0.0

    def begin(self, resume: bool) -> None:
        path = self.out / LAST
        if not path.exists():
            torch.manual_seed(self.seed)
            return
        if not resume:
            raise LyapmapError(f"out: {self.out} already holds a run; choose another folder or resume it")
        saved = checkpoints.load(path)
        state = saved.training.get("state")
        ours = self.recipe.checkpoint()
        if state is None:
            raise CheckpointError(f"{path}: holds weights only, nothing to resume from")
        if (saved.config, saved.training["settings"], state["seed"]) != (
            ours.config,
            ours.training["settings"],
            self.seed,
        ):
            raise LyapmapError(f"out: {self.out} holds a run with other settings; choose another folder")
        self.recipe.load_state(state["recipe"])
        self.epoch, self.step = state["epoch"], state["step"]
        self.seconds, self.sums = state["seconds"], dict(state["sums"])
        self.history = list(saved.training["history"])
        torch.set_rng_state(state["rng"])
        if "cuda_rng" in state and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(state["cuda_rng"])
        # Lines that were logged after the checkpoint are trained, and logged, again.
        with (self.out / LOG).open("w") as file:
            file.writelines(json.dumps(entry) + "\n" for entry in self.history)
        logger.info("resumed %s at epoch %d, step %d", path, self.epoch, self.step)

    def one_epoch(self, epochs: int, on_step: Callable[[Progress], None] | None) -> None:
        recipe = self.recipe
        recipe.start_epoch(self.epoch)
        while self.step < recipe.steps_per_epoch:
            begin = time.perf_counter()
            losses = recipe.step(self.step)
            spent = time.perf_counter() - begin
            if not all(abs(loss) < float("inf") for loss in losses.values()):
                named = ", ".join(f"{k} {v:.3g}" for k, v in losses.items())
                raise LyapmapError(
                    f"training diverged in epoch {self.epoch + 1} ({named}); the last good checkpoint is in {self.out}"
                )
            self.step += 1
            self.seconds += spent
            self._here_seconds += spent
            self._here_steps += 1
            for name, loss in losses.items():
                self.sums[name] = self.sums.get(name, 0.0) + loss
            if on_step is not None:
                done = self.epoch * recipe.steps_per_epoch + self.step
                rate = self._here_steps * recipe.images_per_step / self._here_seconds
                on_step(Progress(self.epoch, epochs, done, epochs * recipe.steps_per_epoch, losses, rate))
        self.epoch += 1
        self.step = 0

    def entry(self) -> dict[str, Any]:
        """The log line of the epoch that just ended."""
        steps = self.recipe.steps_per_epoch
        losses = {name: total / steps for name, total in self.sums.items()}
        self.sums = {}
        return {"epoch": self.epoch, "seconds": round(self.seconds, 3), "losses": losses}

    def log(self, entry: dict[str, Any]) -> None:
        self.history.append(entry)
        with (self.out / LOG).open("a") as file:
            file.write(json.dumps(entry) + "\n")

    def checkpoint(self, *, resumable: bool) -> checkpoints.Checkpoint:
        bare = self.recipe.checkpoint()
        training = bare.training | {"epoch": self.epoch, "seconds": self.seconds, "history": self.history}
        if resumable:
            training["state"] = {
                "recipe": self.recipe.state(),
                "epoch": self.epoch,
                "step": self.step,
                "seconds": self.seconds,
                "sums": self.sums,
                "seed": self.seed,
                "rng": torch.get_rng_state(),
            }
            if torch.cuda.is_available():
                training["state"]["cuda_rng"] = torch.cuda.get_rng_state_all()
        return replace(bare, training=training)

    def save(self) -> None:
        checkpoints.save(self.checkpoint(resumable=True), self.out / LAST)

    def save_samples(self) -> None:
        from lyapmap.views.images import save_sheet

        save_sheet(self.recipe.sample_sheet(), self.out / f"samples-{self.epoch:04d}.png")
