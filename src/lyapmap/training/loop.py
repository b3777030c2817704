"""The training loop: epochs, checkpoints, resuming, Ctrl-C, one process or many; it knows no model, only a `Recipe`."""

from __future__ import annotations

import logging
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

from lyapmap.core.demand import foretell, within_run
from lyapmap.core.errors import CheckpointError, LyapmapError
from lyapmap.core.plain import plain
from lyapmap.core.reading.bounded import inside, parsing
from lyapmap.files import checkpoint as checkpoints
from lyapmap.files.checkpoint import Checkpoint
from lyapmap.training.distributed import OneProcess, Workers
from lyapmap.training.logbook import Logbook


class Recipe(Protocol):
    """A model with its data, losses and optimizers.

    A recipe draws its randomness from torch's global generator, which the loop seeds and saves,
    and from nothing else, so that a resumed run equals an uninterrupted one.
    """

    images_per_step: int
    steps_per_epoch: int

    def start_epoch(self, epoch: int) -> None:
        """Put the data in the order of this epoch, a function of seed and epoch alone."""

    def step(self, index: int) -> dict[str, float]:
        """Train on one batch; the losses by name."""

    def state(self) -> dict[str, Any]:
        """Everything that resuming needs, as tensors and plain values."""

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over what `state` gave."""

    def checkpoint(self) -> Checkpoint:
        """The network that is iterated, with sample states, ready to be saved.

        What stands in its `training` under "settings" must be the same when a run is resumed.
        """

    def sample_sheet(self) -> NDArray[np.float32]:
        """Images to look at, (rows, columns, channels, height, width) in [-1, 1]."""


@runtime_checkable
class SharedRecipe(Protocol):
    """What a recipe offers besides, if several processes may train it together.

    Every process holds the whole model and the whole data and draws the same random numbers, those of the
    whole batch; from the batch it takes its own rows, `workers.rows(rows_per_step)`, and it calls
    `workers.average_gradients(optimizer)` between `backward` and `optimizer.step`. Losses that are means over rows
    come out right thereby; one that compares rows with each other must see all of them
    (`workers.gathered`), or be refused.
    """

    rows_per_step: int

    def share(self, workers: Workers) -> None:
        """Train together with others from now on; raise a `LyapmapError` for what cannot be shared."""


LAST = "last.pt"


Monitor = Callable[[Checkpoint], dict[str, Any]]


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
        return self._here_steps * self.recipe.images_per_step / self._here_seconds if self._here_steps else math.nan

    def begin(self, resume: bool) -> None:
        """Take over what an earlier call in this folder left, if there is something."""
        saved = self.workers.first(lambda: self._earlier(resume))
        if saved is None:
            torch.manual_seed(self.seed)
            checkpoints.require_plain(self.checkpoint(resumable=True))
            return
        with parsing(self.out / LAST, "holds nothing to resume from that fits this run", CheckpointError):
            self._take_over(saved)
        logger.info("resumed %s at epoch %d, step %d", self.out / LAST, self.epoch, self.step)

    def _take_over(self, saved: Checkpoint) -> None:
        state = saved.training["state"]
        self.epoch, self.step, self.seconds = state["epoch"], state["step"], float(state["seconds"])
        if type(self.epoch) is not int or self.step not in range(self.recipe.steps_per_epoch + 1):
            raise ValueError(f"epoch {self.epoch!r}, step {self.step!r}")
        self.sums = {str(name): float(total) for name, total in state["sums"].items()}
        self.history = list(saved.training["history"])
        self.recipe.load_state(state["recipe"])
        torch.set_rng_state(state["rng"])
        for device, generator in zip(self.workers.generators, state.get("cuda_rng", []), strict=False):
            torch.cuda.set_rng_state(generator, device)

    def _earlier(self, resume: bool) -> Checkpoint | None:
        """The checkpoint to go on from, if there is one; the log is cut to its epochs."""
        self.out.mkdir(parents=True, exist_ok=True)
        path = inside(self.out, LAST)
        if not path.exists():
            self.logbook.restart([])
            return None
        if not resume:
            raise LyapmapError(f"out: {self.out} already holds a run; choose another folder or resume it")
        saved = checkpoints.load(path)
        state, history = saved.training.get("state"), saved.training.get("history")
        ours = self.recipe.checkpoint()
        if not isinstance(state, dict) or not isinstance(history, list):
            raise CheckpointError(f"{path}: holds weights only, nothing to resume from")
        for place, entry in enumerate(history, 1):
            if not isinstance(entry, dict) or entry.get("epoch") != place or not isinstance(entry.get("losses"), dict):
                raise CheckpointError(f"{path}: the history of epoch {place} is damaged")
        precision = state.get("precision", self.workers.precision)
        theirs = (saved.model, saved.config, saved.training.get("settings"), state.get("seed"), precision)
        if theirs != (ours.model, ours.config, ours.training.get("settings"), self.seed, self.workers.precision):
            raise LyapmapError(f"out: {self.out} holds a run with other settings; choose another folder")
        self.logbook.restart([plain(entry) for entry in history])
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

    def checkpoint(self, *, resumable: bool) -> Checkpoint:
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

    def _write(self, now: Checkpoint, name: str) -> None:
        self.workers.first(lambda: checkpoints.save(now, inside(self.out, name)))

    def save_samples(self) -> None:
        """Write a sheet of samples."""
        self.workers.first(self._draw_samples)

    def _draw_samples(self) -> None:
        from lyapmap.report.images import save_sheet

        save_sheet(self.recipe.sample_sheet(), inside(self.out, f"samples-{self.epoch:04d}.png"))

    def _diverged(self, how: str) -> NoReturn:
        kept = f"the last good checkpoint is {self.out / LAST}" if (self.out / LAST).exists() else "none is saved yet"
        raise LyapmapError(f"training diverged in epoch {self.epoch + 1} ({how}); {kept}")


logger = logging.getLogger(__name__)


@contextmanager
def interrupts_held() -> Iterator[Callable[[], None]]:
    """Hold the first Ctrl-C back until the yielded function is called, which raises it.

    In the middle of a step some weights are updated and others are not: a run that was stopped
    there could not go on exactly.
    """
    held: list[int] = []

    def hold(number: int, frame: Any) -> None:
        if held:
            raise KeyboardInterrupt
        held.append(number)
        logger.warning("stopping after this step; Ctrl-C again stops at once")

    def let_through() -> None:
        if held:
            raise KeyboardInterrupt

    # Signals belong to the main thread, and a caller's own handler stays.
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield let_through
        return
    signal.signal(signal.SIGINT, hold)
    try:
        yield let_through
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    let_through()  # one that came after the last call


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
    seconds_left : float
        For the steps that are left, at this rate.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    losses: dict[str, float]
    images_per_second: float
    seconds_left: float


def train(
    recipe: Recipe,
    out: str | Path,
    *,
    epochs: int,
    seed: int = 0,
    checkpoint_every: int = 5,
    checkpoint_steps: int = 0,
    keep_every: int = 0,
    monitor: Monitor | None = None,
    monitor_every: int = 2,
    on_step: Callable[[Progress], None] | None = None,
    on_epoch: Callable[[dict[str, Any]], None] | None = None,
    tensorboard: bool = False,
    workers: Workers | None = None,
    resume: bool = True,
) -> Checkpoint:
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
    checkpoint_steps : int
        Steps between further checkpoints, within epochs as well; 0 for none.
    keep_every : int
        Epochs between checkpoints kept as `epoch-EPOCH.pt` (weights only); 0 keeps none.
    monitor : callable, optional
        Takes the current `Checkpoint`, returns values for the log under "monitor". One that raises
        a `LyapmapError` does not end the training; the log holds {"error": message} instead.
    monitor_every : int
        Epochs between measurements of the exponents (calls of `monitor`); 0 for none.
    on_step : callable, optional
        Takes a `Progress` after every step.
    on_epoch : callable, optional
        Takes the entry of the log after every epoch.
    tensorboard : bool
        Write event files beside the log.
    workers : Workers, optional
        The processes that train together, from `launch`; by default this one alone.
    resume : bool
        Go on where an earlier run in the folder stopped; else refuse a folder that holds one.

    Returns
    -------
    Checkpoint
        As last saved.

    Raises
    ------
    LyapmapError
        If a loss is no longer finite (the last good checkpoint stays), `out` holds another run, or
        the recipe cannot be shared by so many processes.
    MissingExtraError
        If event files are asked for and tensorboard is not installed.
    """
    _check(epochs=(epochs, 1), checkpoint_every=(checkpoint_every, 1))
    _check(keep_every=(keep_every, 0), checkpoint_steps=(checkpoint_steps, 0), monitor_every=(monitor_every, 0))
    team: Workers = workers or OneProcess()
    _share(recipe, team)
    out = Path(out)
    logbook = Logbook(out, tensorboard=tensorboard)
    run = Run(recipe, out, seed, team, logbook)
    leads = team.rank == 0

    def after_step(losses: dict[str, float]) -> None:
        stop = False
        try:
            let_through()
            if on_step is not None and leads:
                on_step(_progress(run, epochs, losses))
        except KeyboardInterrupt:
            stop = True
        # All processes stop after the same step, whichever of them was told to.
        if team.any(stop):
            raise KeyboardInterrupt
        if checkpoint_steps and run.steps % checkpoint_steps == 0:
            run.save()
        foretell("training", None, run.steps, epochs * recipe.steps_per_epoch)

    with (
        within_run(None),
        closing(logbook),
        torch.random.fork_rng(devices=team.generators),
        interrupts_held() as let_through,
    ):
        run.begin(resume)
        try:
            while run.epoch < epochs:
                run.one_epoch(after_step)
                last = run.epoch == epochs
                due = monitor_every and (last or run.epoch % monitor_every == 0)
                entry = run.end_epoch(monitor if due else None)
                if on_epoch is not None and leads:
                    on_epoch(entry)
                if keep_every and run.epoch % keep_every == 0:
                    run.keep()
                if last or run.epoch % checkpoint_every == 0:
                    run.save()
                    run.save_samples()
                _stop_together(team, let_through)
        except KeyboardInterrupt:
            if run.whole:
                run.save()
            raise
    return team.first(lambda: checkpoints.load(out / LAST))


def _check(**counts: tuple[int, int]) -> None:
    for name, (value, least) in counts.items():
        if value < least:
            raise LyapmapError(f"{name}: expected at least {least}, got {value}")


def _share(recipe: Recipe, workers: Workers) -> None:
    """Make the recipe one of several processes."""
    if workers.size == 1:
        return
    if not isinstance(recipe, SharedRecipe):
        raise LyapmapError(f"devices: a {type(recipe).__name__} is trained by one process, got {workers.size}")
    if recipe.rows_per_step % workers.size:
        raise LyapmapError(
            f"batch_size: expected a multiple of {workers.size}, the number of processes, got {recipe.rows_per_step}"
        )
    recipe.share(workers)


def _progress(run: Run, epochs: int, losses: dict[str, float]) -> Progress:
    steps = epochs * run.recipe.steps_per_epoch
    rate = run.images_per_second
    left = (steps - run.steps) * run.recipe.images_per_step / rate
    return Progress(run.epoch, epochs, run.steps, steps, losses, rate, left)


def _stop_together(workers: Workers, let_through: Callable[[], None]) -> None:
    stop = False
    try:
        let_through()
    except KeyboardInterrupt:
        stop = True
    if workers.any(stop):
        raise KeyboardInterrupt
