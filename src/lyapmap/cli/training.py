"""What the commands that train share: data, the processes, the loop, and what is said of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lyapmap.cli.command import Run
from lyapmap.cli.options import TrainingRun
from lyapmap.cli.show import print_json
from lyapmap.core.errors import LyapmapError

if TYPE_CHECKING:
    from lyapmap.data import ImageSet
    from lyapmap.training.distributed import Workers
    from lyapmap.training.loop import Progress, Recipe

Entry = dict[str, Any]
LOOP, LAUNCH = "lyapmap.training.loop:train", "lyapmap.training.distributed:launch"
"""Functions whose parameters are options of commands that train."""


def begin(run: Run, about: TrainingRun, **fixed: Any) -> Workers:
    """Make sure of torch and of how many threads it takes; the processes that train.

    `fixed` are arguments of `launch` that are no options of the command, or come from elsewhere.
    """
    from lyapmap.cli.source import require_torch

    require_torch("training")
    import torch

    from lyapmap.training.distributed import launch

    given = run.options("launch") if LAUNCH in run.command.calls else {}
    workers = launch(device=about.device, **given | fixed)
    if about.threads is not None:
        torch.set_num_threads(about.threads)
    return workers


def images_of(about: TrainingRun, *, square: bool = False, split: str = "train", **options: Any) -> ImageSet:
    """Images of `--data`, with values in [-1, 1] unless `options` of `lyapmap.data.load` say otherwise."""
    from lyapmap.cli.source import with_notes
    from lyapmap.data import load

    images = with_notes(load(about.data, **{"split": split, "image_size": about.image_size} | options))
    _, height, width = images.state_shape
    if square and height != width:
        raise LyapmapError(
            f"--image-size: {about.data} has images of {height} x {width}; give a size to make them square"
        )
    return images


def train(run: Run, recipe: Recipe, workers: Workers, *, then: str = "spectrum", **fixed: Any) -> int:
    """Train, draw the log, and tell how it went; `then` is the command that is named as the next one.

    `fixed` are arguments of `lyapmap.training.loop.train` that come from elsewhere than its options.
    """
    from lyapmap.training.exponents import exponent_monitor
    from lyapmap.training.loop import train

    options = run.options("train") | fixed
    monitor = exponent_monitor(device=workers.device, seed=run.seed) if options.get("monitor_every") else None
    with _silent(workers.rank > 0), progress(run.as_json or workers.rank > 0) as (on_step, on_epoch):
        last = train(
            recipe,
            run.folder,
            seed=run.seed,
            monitor=monitor,
            on_step=on_step,
            on_epoch=on_epoch,
            workers=workers,
            **options,
        )
    workers.leave()
    if workers.rank > 0:
        return 0
    draw(last.training["history"], run.folder)
    entry = last.training["history"][-1]
    best = {"best": last.training["best"]} if "best" in last.training else {}
    if run.as_json:
        print_json(entry | best | {"checkpoint": str(run.folder / "last.pt"), "sha256": last.sha256})
    else:
        _tell(entry, best.get("best"), run.folder, then)
    return 0


def _tell(entry: dict[str, Any], best: dict[str, Any] | None, folder: Path, then: str) -> None:
    losses = ", ".join(f"{name} {_loss(value, 3)}" for name, value in entry["losses"].items())
    print(f"epoch {entry['epoch']}, {entry['seconds']:.0f} s of training: {losses}")
    if best is not None:
        print(f"kept: the weights of epoch {best['epoch']}, loss {_loss(best['loss'], 4)}")
    watched = entry.get("monitor")
    if isinstance(watched, dict) and watched.get("error"):
        print(f"the exponents could not be measured: {watched['error']}")
    elif isinstance(watched, dict) and watched["exponents"][0] is not None:
        error = watched["stderr"][0] or 0.0
        print(f"largest exponent {watched['exponents'][0]:.3f} ± {error:.3f} ({watched['attractor']})")
    print(f"next: lyapmap {then} --model {folder / 'last.pt'}")


def _loss(value: float, decimals: int) -> str:
    return f"{value:.{decimals}f}" if abs(value) >= 10.0**-decimals else f"{value:.1e}"


def draw(history: list[dict[str, object]], folder: Path) -> None:
    """Draw the losses to `training.png`."""
    from lyapmap.report.style import save_figure
    from lyapmap.training.pictures import draw_training

    save_figure(draw_training(history), folder / "training.png")


@contextmanager
def _silent(others: bool) -> Iterator[None]:
    """Let the first process alone tell how the training ended; the others leave without a word."""
    try:
        yield
    except (LyapmapError, KeyboardInterrupt):
        if not others:
            raise
        # With a code of failure the launcher would stop the first before it has told.
        raise SystemExit(0) from None


@contextmanager
def progress(quiet: bool) -> Iterator[tuple[Callable[[Progress], None] | None, Callable[[Entry], None] | None]]:
    """A bar on a terminal, else a line for each epoch: losses, images per second and the time left."""
    if quiet:
        yield None, None
    elif sys.stderr.isatty():
        with _bar() as show:
            yield show, None
    else:
        latest: Progress | None = None

        def keep(at: Progress) -> None:
            nonlocal latest
            latest = at

        yield keep, lambda entry: print(_line(entry, latest), file=sys.stderr)


def _line(entry: Entry, at: Progress | None) -> str:
    """An epoch in words; without progress, where a run goes on from the last step of an epoch."""
    parts = [", ".join(f"{name} {_loss(value, 3)}" for name, value in entry["losses"].items())]
    if at is not None:
        parts.append(f"{at.images_per_second:.0f} images/s")
    watched = entry.get("monitor") or {}
    if watched.get("exponents", [None])[0] is not None:
        parts.insert(1, f"largest exponent {watched['exponents'][0]:.3f}")
    if at is None:
        return f"epoch {entry['epoch']}: {'; '.join(parts)}"
    if entry["epoch"] < at.epochs:
        minutes, seconds = divmod(round(at.seconds_left), 60)
        hours, minutes = divmod(minutes, 60)
        parts.append(f"{hours}:{minutes:02}:{seconds:02} left")
    return f"epoch {entry['epoch']}/{at.epochs}: {'; '.join(parts)}"


@contextmanager
def _bar() -> Iterator[Callable[[Progress], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("epoch {task.fields[epoch]}"),
        BarColumn(bar_width=10),
        TextColumn("{task.fields[losses]}"),
        TextColumn("{task.fields[rate]:.0f} images/s"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("train", total=None, epoch="-", losses="", rate=0.0)

        def show(at: Progress) -> None:
            losses = " ".join(f"{name} {_loss(value, 2)}" for name, value in at.losses.items() if name != "total")
            bar.update(
                task,
                completed=at.step,
                total=at.steps,
                epoch=f"{at.epoch + 1}/{at.epochs}",
                losses=losses,
                rate=at.images_per_second,
            )

        yield show
