"""What the commands that train share: options, data, the call of the loop, what is told of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lyapmap.cli import common
from lyapmap.core.errors import LyapmapError

if TYPE_CHECKING:
    from lyapmap.data import ImageSet
    from lyapmap.training.distributed import Workers
    from lyapmap.training.loop import Progress, Recipe

Entry = dict[str, Any]

DataOption = Annotated[
    str,
    typer.Option(
        "--data", metavar="NAME|FOLDER|FILE", help="digits, mnist, fashion_mnist, cifar10, a folder or an .npz file."
    ),
]
RunOption = Annotated[
    Path, typer.Option("--out", metavar="DIR", help="Folder of the run; an earlier run there goes on.")
]
EpochsOption = Annotated[int, typer.Option("--epochs", min=1, help="Epochs in all, those of earlier calls included.")]
ImageSizeOption = Annotated[int | None, typer.Option("--image-size", help="Resize images.", show_default="as they are")]
MonitorOption = Annotated[
    int, typer.Option("--monitor-every", min=0, help="Epochs between measurements of the exponents; 0 for none.")
]
CheckpointOption = Annotated[int, typer.Option("--checkpoint-every", min=1, help="Epochs between checkpoints.")]
KeepOption = Annotated[int, typer.Option("--keep-every", min=0, help="Keep weights of every so many epochs; 0: none.")]
ThreadsOption = Annotated[
    int | None, typer.Option("--threads", min=1, help="Threads of torch.", show_default="all cores")
]
CheckpointStepsOption = Annotated[
    int, typer.Option("--checkpoint-steps", min=0, help="Steps between further checkpoints, in epochs too; 0: none.")
]
DevicesOption = Annotated[
    int | None,
    typer.Option(
        "--devices", min=1, help="Processes on this host, each with a device.", show_default="1, or torchrun's"
    ),
]
PrecisionOption = Annotated[
    str, typer.Option("--precision", metavar="32|tf32|bf16-mixed", help="Of the arithmetic of a training step.")
]
TensorboardOption = Annotated[bool, typer.Option("--tensorboard", help="Write event files beside the log.")]


def begin(threads: int | None, device: str | None = None, devices: int | None = None, precision: str = "32") -> Workers:
    """Make sure of torch and of how many threads it takes; the processes that train."""
    from lyapmap.cli.source import require_torch

    require_torch("training")
    import torch

    from lyapmap.training.distributed import launch

    workers = launch(device=device, devices=devices, precision=precision)
    if threads:
        torch.set_num_threads(threads)
    return workers


def folder_of(out: Path) -> Path:
    """The folder of `--out`, made if it does not exist."""
    folder = common.output_folder(out)
    assert folder is not None
    return folder


def images_of(data: str, classes: tuple[int, ...] | None, image_size: int | None) -> tuple[ImageSet, ImageSet]:
    """Training and test images of `--data`, with values in [-1, 1]."""
    from lyapmap.cli.image_data import told
    from lyapmap.data import load

    train, test = (told(load(data, split=split, classes=classes, image_size=image_size)) for split in ("train", "test"))
    return train, test


def run(
    recipe: Recipe,
    folder: Path,
    *,
    epochs: int,
    seed: int,
    workers: Workers,
    checkpoint_every: int,
    checkpoint_steps: int,
    keep_every: int,
    monitor_every: int,
    tensorboard: bool,
    as_json: bool,
    then: str = "spectrum",
) -> None:
    """Train, draw the log, and tell how it went; `then` is the command that is named as the next one."""
    from lyapmap.training.exponents import exponent_monitor
    from lyapmap.training.loop import train

    monitor = exponent_monitor(device=workers.device, seed=seed) if monitor_every else None
    with _silent(workers.rank > 0), progress(as_json or workers.rank > 0) as (on_step, on_epoch):
        last = train(
            recipe,
            folder,
            epochs=epochs,
            seed=seed,
            checkpoint_every=checkpoint_every,
            checkpoint_steps=checkpoint_steps,
            keep_every=keep_every,
            monitor=monitor,
            monitor_every=monitor_every or 1,
            on_step=on_step,
            on_epoch=on_epoch,
            tensorboard=tensorboard,
            workers=workers,
        )
    workers.leave()
    if workers.rank > 0:
        return
    draw(last.training["history"], folder)
    entry = last.training["history"][-1]
    best = {"best": last.training["best"]} if "best" in last.training else {}
    if as_json:
        common.echo_json(entry | best | {"checkpoint": str(folder / "last.pt"), "sha256": last.sha256})
    else:
        _tell(entry, best.get("best"), folder, then)


def _tell(entry: dict[str, Any], best: dict[str, Any] | None, folder: Path, then: str) -> None:
    losses = ", ".join(f"{name} {_loss(value, 3)}" for name, value in entry["losses"].items())
    typer.echo(f"epoch {entry['epoch']}, {entry['seconds']:.0f} s of training: {losses}")
    if best is not None:
        typer.echo(f"kept: the weights of epoch {best['epoch']}, loss {_loss(best['loss'], 4)}")
    watched = entry.get("monitor")
    if isinstance(watched, dict) and watched.get("error"):
        typer.echo(f"the exponents could not be measured: {watched['error']}")
    elif isinstance(watched, dict) and watched["exponents"][0] is not None:
        error = watched["stderr"][0] or 0.0
        typer.echo(f"largest exponent {watched['exponents'][0]:.3f} ± {error:.3f} ({watched['attractor']})")
    typer.echo(f"next: lyapmap {then} --model {folder / 'last.pt'}")


def _loss(value: float, decimals: int) -> str:
    return f"{value:.{decimals}f}" if abs(value) >= 10.0**-decimals else f"{value:.1e}"


def draw(history: list[dict[str, object]], folder: Path) -> None:
    """Draw the losses to `training.png`."""
    from lyapmap.training.pictures import draw_training

    draw_training(history).savefig(folder / "training.png", dpi=150)


@contextmanager
def _silent(others: bool) -> Iterator[None]:
    """Let the first process alone tell how the training ended; the others leave without a word."""
    try:
        yield
    except (LyapmapError, KeyboardInterrupt):
        if not others:
            raise
        # With a code of failure the launcher would stop the first before it has told.
        raise typer.Exit(0) from None


@contextmanager
def progress(quiet: bool) -> Iterator[tuple[Callable[[Progress], None] | None, Callable[[Entry], None] | None]]:
    """A bar on a terminal, else a line for each epoch: losses, images per second and the time left."""
    if quiet:
        yield None, None
    elif sys.stderr.isatty():
        with _bar() as show:
            yield show, None
    else:
        latest: list[Progress] = []

        def keep(at: Progress) -> None:
            latest[:] = [at]

        yield keep, lambda entry: typer.echo(_line(entry, latest[-1]), err=True)


def _line(entry: Entry, at: Progress) -> str:
    losses = ", ".join(f"{name} {_loss(value, 3)}" for name, value in entry["losses"].items())
    parts = [losses, f"{at.images_per_second:.0f} images/s"]
    watched = entry.get("monitor") or {}
    if watched.get("exponents", [None])[0] is not None:
        parts.insert(1, f"largest exponent {watched['exponents'][0]:.3f}")
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
