"""The training loop: epochs, log, checkpoints, resuming, Ctrl-C, one process or many. It knows no model."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lyapmap.core.errors import LyapmapError
from lyapmap.files import checkpoint as checkpoints
from lyapmap.training.distributed import OneProcess, Workers
from lyapmap.training.logbook import Logbook
from lyapmap.training.recipe import Recipe, SharedRecipe
from lyapmap.training.run import LAST, Monitor, Run

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
    checkpoint_steps : int
        Steps between further checkpoints, within epochs as well; 0 for none.
    keep_every : int
        Epochs between checkpoints kept as `epoch-EPOCH.pt` (weights only); 0 keeps none.
    monitor : callable, optional
        Takes the current `Checkpoint`, returns values for the log under "monitor". One that raises
        a `LyapmapError` does not end the training; the log holds {"error": message} instead.
    monitor_every : int
        Epochs between calls of `monitor`.
    on_step : callable, optional
        Takes a `Progress` after every step.
    on_epoch : callable, optional
        Takes the entry of the log after every epoch.
    tensorboard : bool
        Write event files beside the log.
    workers : Workers, optional
        The processes that train together, from `launch`; by default this one alone.
    resume : bool
        False refuses to touch a folder that already holds a run.

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
    _check(epochs=(epochs, 1), checkpoint_every=(checkpoint_every, 1), monitor_every=(monitor_every, 1))
    _check(keep_every=(keep_every, 0), checkpoint_steps=(checkpoint_steps, 0))
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

    with closing(logbook), torch.random.fork_rng(devices=team.generators), interrupts_held() as let_through:
        run.begin(resume)
        try:
            while run.epoch < epochs:
                run.one_epoch(after_step)
                last = run.epoch == epochs
                due = last or run.epoch % monitor_every == 0
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
