"""The training loop: epochs, log, checkpoints, resuming, Ctrl-C. It knows no model."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import torch

from lyapmap.core.errors import CheckpointError, LyapmapError
from lyapmap.training import checkpoint as checkpoints
from lyapmap.training.interrupts import interrupts_held
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
    each epoch), and `samples-EPOCH.png`. Ctrl-C takes effect when the current step, or call of the
    monitor, is finished, and saves; a second Ctrl-C at once, without saving half a step. A resumed
    run gives the same weights, bit for bit on the CPU, as an uninterrupted one.

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
        Takes the current `Checkpoint`, returns values for the log under "monitor". One that raises
        a `LyapmapError` does not end the training; the log holds {"error": message} instead.
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
    at_least = {"epochs": (epochs, 1), "checkpoint_every": (checkpoint_every, 1), "monitor_every": (monitor_every, 1)}
    for name, (value, least) in (at_least | {"keep_every": (keep_every, 0)}).items():
        if value < least:
            raise LyapmapError(f"{name}: expected at least {least}, got {value}")
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    run = _Run(recipe, out, seed)
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())), interrupts_held() as let_through:
        run.begin(resume)
        try:
            while run.epoch < epochs:
                run.one_epoch(epochs, on_step, let_through)
                last = run.epoch == epochs
                due = last or run.epoch % monitor_every == 0
                run.end_epoch(monitor if due else None)
                if keep_every and run.epoch % keep_every == 0:
                    checkpoints.save(run.checkpoint(resumable=False), out / f"epoch-{run.epoch:04d}.pt")
                if last or run.epoch % checkpoint_every == 0:
                    run.save()
                    run.save_samples()
                let_through()
        except KeyboardInterrupt:
            if run.whole:
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
        self.whole = True  # no step has begun that is not finished
        self.seconds = 0.0
        self.sums: dict[str, float] = {}
        self.history: list[dict[str, Any]] = []
        self._here_steps = 0
        self._here_seconds = 0.0

    def begin(self, resume: bool) -> None:
        path = self.out / LAST
        if not path.exists():
            torch.manual_seed(self.seed)
            checkpoints.require_plain(self.checkpoint(resumable=True))
            # Epochs of a run that ended before its first checkpoint are trained, and logged, again.
            (self.out / LOG).unlink(missing_ok=True)
            return
        if not resume:
            raise LyapmapError(f"out: {self.out} already holds a run; choose another folder or resume it")
        saved = checkpoints.load(path)
        state = saved.training.get("state")
        ours = self.recipe.checkpoint()
        if state is None:
            raise CheckpointError(f"{path}: holds weights only, nothing to resume from")
        theirs = (saved.model, saved.config, saved.training.get("settings"), state["seed"])
        if theirs != (ours.model, ours.config, ours.training.get("settings"), self.seed):
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

    def one_epoch(
        self, epochs: int, on_step: Callable[[Progress], None] | None, let_through: Callable[[], None]
    ) -> None:
        recipe = self.recipe
        recipe.start_epoch(self.epoch)
        while self.step < recipe.steps_per_epoch:
            self.whole = False
            begin = time.perf_counter()
            losses = recipe.step(self.step)
            spent = time.perf_counter() - begin
            if not all(map(math.isfinite, losses.values())):
                self._diverged(", ".join(f"{k} {v:.3g}" for k, v in losses.items()))
            self.step += 1
            self.seconds += spent
            self._here_seconds += spent
            self._here_steps += 1
            for name, loss in losses.items():
                self.sums[name] = self.sums.get(name, 0.0) + loss
            self.whole = True
            let_through()
            if on_step is not None:
                done = self.epoch * recipe.steps_per_epoch + self.step
                rate = self._here_steps * recipe.images_per_step / self._here_seconds
                on_step(Progress(self.epoch, epochs, done, epochs * recipe.steps_per_epoch, losses, rate))
        self.epoch += 1
        self.step = 0

    def end_epoch(self, monitor: Monitor | None) -> None:
        """Log the epoch that just ended, with what the monitor sees, if there is one."""
        steps = self.recipe.steps_per_epoch
        losses = {name: total / steps for name, total in self.sums.items()}
        self.sums = {}
        entry: dict[str, Any] = {"epoch": self.epoch, "seconds": round(self.seconds, 3), "losses": losses}
        try:
            if monitor is not None:
                entry["monitor"] = self._seen(monitor)
        finally:
            self.history.append(entry)
            with (self.out / LOG).open("a") as file:
                file.write(json.dumps(entry) + "\n")

    def _seen(self, monitor: Monitor) -> Any:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            try:
                return _plain(monitor(self.recipe.checkpoint()))
            except LyapmapError as error:
                logger.warning("epoch %d: the monitor failed: %s", self.epoch, error)
                return {"error": str(error)}

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
        now = self.checkpoint(resumable=True)
        # A step may have a finite loss and leave weights that have none.
        broken = [name for name, tensor in now.state_dict.items() if not tensor.isfinite().all()]
        if broken:
            self._diverged(f"{broken[0]} is no longer finite")
        checkpoints.save(now, self.out / LAST)

    def _diverged(self, how: str) -> NoReturn:
        kept = f"the last good checkpoint is {self.out / LAST}" if (self.out / LAST).exists() else "none is saved yet"
        raise LyapmapError(f"training diverged in epoch {self.epoch + 1} ({how}); {kept}")

    def save_samples(self) -> None:
        from lyapmap.views.images import save_sheet

        save_sheet(self.recipe.sample_sheet(), self.out / f"samples-{self.epoch:04d}.png")


def _plain(value: Any) -> Any:
    """A monitor's values as JSON and checkpoints take them: NumPy's become Python's, NaN becomes None."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if hasattr(value, "tolist"):  # an array, a scalar of NumPy, a tensor
        value = value.tolist()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value if value is None or type(value) in (str, int, bool) else str(value)
