"""The state of one training run: where it stands, how it is saved, and how it goes on."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import torch

from lyapmap.core.errors import CheckpointError, LyapmapError
from lyapmap.files import checkpoint as checkpoints
from lyapmap.training.distributed import Workers
from lyapmap.training.logbook import Logbook, plain
from lyapmap.training.recipe import Recipe

LAST = "last.pt"

logger = logging.getLogger(__name__)

Monitor = Callable[[checkpoints.Checkpoint], dict[str, Any]]


class Run:
    """One training run, seen from one of its processes; the first of them writes.

    Attributes
    ----------
    epoch, step : int
        Epochs finished, and steps finished within the next.
    whole : bool
        No step has begun that is not finished.
    history : list of dict
        What is logged of each epoch.
    images_per_second : float
        Since this object was made, monitoring and saving left out.
    """

    def __init__(self, recipe: Recipe, out: Path, seed: int, workers: Workers, logbook: Logbook) -> None:
        self.recipe = recipe
        self.out = out
        self.seed = seed
        self.workers = workers
        self.logbook = logbook
        self.epoch = 0
        self.step = 0
        self.whole = True
        self.seconds = 0.0
        self.sums: dict[str, float] = {}
        self.history: list[dict[str, Any]] = []
        self._rows = getattr(recipe, "rows_per_step", recipe.images_per_step)
        self._here_steps = 0
        self._here_seconds = 0.0

    @property
    def steps(self) -> int:
        """Steps finished in all."""
        return self.epoch * self.recipe.steps_per_epoch + self.step

    @property
    def images_per_second(self) -> float:
        return self._here_steps * self.recipe.images_per_step / self._here_seconds

    def begin(self, resume: bool) -> None:
        """Take over what an earlier call in this folder left, if there is something."""
        saved = self.workers.first(lambda: self._earlier(resume))
        if saved is None:
            torch.manual_seed(self.seed)
            checkpoints.require_plain(self.checkpoint(resumable=True))
            return
        state = saved.training["state"]
        self.recipe.load_state(state["recipe"])
        self.epoch, self.step = state["epoch"], state["step"]
        self.seconds, self.sums = state["seconds"], dict(state["sums"])
        self.history = list(saved.training["history"])
        torch.set_rng_state(state["rng"])
        for device, generator in zip(self.workers.generators, state.get("cuda_rng", []), strict=False):
            torch.cuda.set_rng_state(generator, device)
        logger.info("resumed %s at epoch %d, step %d", self.out / LAST, self.epoch, self.step)

    def _earlier(self, resume: bool) -> checkpoints.Checkpoint | None:
        """The checkpoint to go on from, if there is one; the log is cut to its epochs."""
        self.out.mkdir(parents=True, exist_ok=True)
        path = self.out / LAST
        if not path.exists():
            self.logbook.restart([])
            return None
        if not resume:
            raise LyapmapError(f"out: {self.out} already holds a run; choose another folder or resume it")
        saved = checkpoints.load(path)
        state = saved.training.get("state")
        ours = self.recipe.checkpoint()
        if state is None:
            raise CheckpointError(f"{path}: holds weights only, nothing to resume from")
        precision = state.get("precision", self.workers.precision)
        theirs = (saved.model, saved.config, saved.training.get("settings"), state["seed"], precision)
        if theirs != (ours.model, ours.config, ours.training.get("settings"), self.seed, self.workers.precision):
            raise LyapmapError(f"out: {self.out} holds a run with other settings; choose another folder")
        self.logbook.restart(saved.training["history"])
        return saved

    def one_epoch(self, after_step: Callable[[dict[str, float]], None]) -> None:
        """Train to the end of the epoch; `after_step` takes the losses of each step."""
        recipe = self.recipe
        recipe.start_epoch(self.epoch)
        while self.step < recipe.steps_per_epoch:
            self.whole = False
            begin = time.perf_counter()
            with self.workers.computing(self._rows):
                losses = recipe.step(self.step)
            losses = self.workers.mean(losses)
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
            after_step(losses)
        self.epoch += 1
        self.step = 0

    def end_epoch(self, monitor: Monitor | None) -> dict[str, Any]:
        """Log the epoch that just ended, with what the monitor sees, if there is one."""
        steps = self.recipe.steps_per_epoch
        losses = {name: total / steps for name, total in self.sums.items()}
        self.sums = {}
        entry: dict[str, Any] = {"epoch": self.epoch, "seconds": round(self.seconds, 3), "losses": losses}
        self.history.append(entry)

        def log() -> dict[str, Any]:
            try:
                if monitor is not None:
                    entry["monitor"] = self._seen(monitor)
            finally:
                self.logbook.add(entry)
            return entry

        self.history[-1] = self.workers.first(log)
        return self.history[-1]

    def _seen(self, monitor: Monitor) -> Any:
        with torch.random.fork_rng(devices=self.workers.generators):
            try:
                return plain(monitor(self.recipe.checkpoint()))
            except LyapmapError as error:
                logger.warning("epoch %d: the monitor failed: %s", self.epoch, error)
                return {"error": str(error)}

    def checkpoint(self, *, resumable: bool) -> checkpoints.Checkpoint:
        """Where the run stands now; `resumable` with all that going on needs."""
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
                "precision": self.workers.precision,
                # The same in every process: all of them draw the numbers of the whole batch.
                "rng": torch.get_rng_state(),
            }
            if self.workers.generators:
                training["state"]["cuda_rng"] = [torch.cuda.get_rng_state(i) for i in self.workers.generators]
        return replace(bare, training=training)

    def save(self) -> None:
        """Write `last.pt`."""
        now = self.checkpoint(resumable=True)
        # A step may have a finite loss and leave weights that have none.
        broken = [name for name, tensor in now.state_dict.items() if not tensor.isfinite().all()]
        if broken:
            self._diverged(f"{broken[0]} is no longer finite")
        self.workers.require_same(now.state_dict)
        self._write(now, LAST)

    def keep(self) -> None:
        """Write the weights of this epoch to a file of its own."""
        self._write(self.checkpoint(resumable=False), f"epoch-{self.epoch:04d}.pt")

    def _write(self, now: checkpoints.Checkpoint, name: str) -> None:
        self.workers.first(lambda: checkpoints.save(now, self.out / name))

    def save_samples(self) -> None:
        """Write a sheet of samples."""
        self.workers.first(self._draw_samples)

    def _draw_samples(self) -> None:
        from lyapmap.report.images import save_sheet

        save_sheet(self.recipe.sample_sheet(), self.out / f"samples-{self.epoch:04d}.png")

    def _diverged(self, how: str) -> NoReturn:
        kept = f"the last good checkpoint is {self.out / LAST}" if (self.out / LAST).exists() else "none is saved yet"
        raise LyapmapError(f"training diverged in epoch {self.epoch + 1} ({how}); {kept}")
