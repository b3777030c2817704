"""`lyapmap train`: train the networks of the papers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lyapmap.cli import common

if TYPE_CHECKING:
    from lyapmap.training.loop import Progress

app = typer.Typer(
    help="Train the networks of the papers.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)

EPILOG = """Examples:

lyapmap train cycle --data digits --classes 0,1,2 --epochs 100 --out runs/digits

lyapmap train cycle --data mnist --classes 0,1,2 --width 32 --epochs 30 --monitor-every 2 --out runs/mnist

lyapmap train cycle --data digits --classes 0,1,2 --epochs 300 --exponent 0.1 --out runs/chaos-0.1

The same command goes on where it was stopped."""

CLASSIFIER_EPILOG = """Examples:

lyapmap train classifier --data mnist --out runs/classifier-mnist

lyapmap train classifier --data digits --epochs 30 --out runs/classifier-digits"""


@app.callback()
def train() -> None:
    """Train the networks of the papers."""


@app.command("cycle", epilog=EPILOG)
@common.command
def cycle(
    data: Annotated[
        str, typer.Option("--data", metavar="NAME|FOLDER", help="digits, mnist, fashion_mnist or a folder.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the run; an earlier run there goes on.")],
    classes: Annotated[
        str | None,
        typer.Option(
            "--classes", metavar="N,N[,N...]", help="Categories in the order of the cycle.", show_default="0,1,2"
        ),
    ] = None,
    epochs: Annotated[
        int, typer.Option("--epochs", min=1, help="Epochs in all, those of earlier calls included.")
    ] = 30,
    width: Annotated[int, typer.Option("--width", min=1, help="Channels of the first stage; 64 in the paper.")] = 64,
    image_size: Annotated[
        int | None, typer.Option("--image-size", help="Resize images.", show_default="as they are")
    ] = None,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Images of each category in a step.")] = 100,
    learning_rate: Annotated[float, typer.Option("--learning-rate", help="Of Adam.")] = 2e-4,
    cycle_weight: Annotated[float, typer.Option("--cycle-weight", help="Weight of the cycle loss.")] = 10.0,
    unroll: Annotated[
        int, typer.Option("--unroll", min=1, help="Steps of G that the discriminators judge; 1 in the paper.")
    ] = 1,
    diversity: Annotated[
        float, typer.Option("--diversity", help="Weight of the energy distance of these steps to the data.")
    ] = 0.0,
    exponent: Annotated[
        float | None,
        typer.Option("--exponent", help="Largest exponent to train to, nats per step.", show_default="left free"),
    ] = None,
    exponent_weight: Annotated[float, typer.Option("--exponent-weight", help="Weight of its squared error.")] = 1.0,
    average: Annotated[
        float, typer.Option("--average", help="Save the exponential mean of G's weights; weight of the past.")
    ] = 0.0,
    monitor_every: Annotated[
        int, typer.Option("--monitor-every", min=0, help="Epochs between measurements of the exponents; 0 for none.")
    ] = 2,
    checkpoint_every: Annotated[int, typer.Option("--checkpoint-every", min=1, help="Epochs between checkpoints.")] = 5,
    keep_every: Annotated[
        int, typer.Option("--keep-every", min=0, help="Keep weights of every so many epochs; 0: none.")
    ] = 0,
    device: common.DeviceOption = None,
    seed: common.SeedOption = 0,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="Threads of torch.", show_default="all cores")
    ] = None,
    as_json: common.JsonOption = False,
) -> None:
    """Train the cycle model: images of each category become images of the next.

    The folder receives last.pt (usable as --model), log.jsonl, samples-EPOCH.png and training.png.
    Ctrl-C saves; the same command goes on.
    """
    from lyapmap import data as data_sets
    from lyapmap.cli.source import require_torch
    from lyapmap.core.errors import LyapmapError

    require_torch("training")
    import torch

    from lyapmap.models.cycle import CycleConfig
    from lyapmap.training.cycle import CycleRecipe
    from lyapmap.training.cycle_terms import Wishes
    from lyapmap.training.loop import train as run
    from lyapmap.training.monitor import exponent_monitor

    if threads:
        torch.set_num_threads(threads)
    chosen = common.integers(classes or "0,1,2", "--classes") or ()
    if len(set(chosen)) != len(chosen):
        raise LyapmapError(f"--classes: expected different classes, got {classes}")
    folder = common.output_folder(out)
    assert folder is not None
    images = {s: data_sets.load(data, split=s, classes=chosen, image_size=image_size) for s in ("train", "test")}
    channels, height, breadth = images["train"].state_shape
    if height != breadth:
        raise LyapmapError(f"--image-size: {data} has images of {height} x {breadth}; give a size to make them square")
    config = CycleConfig(categories=len(chosen), image_size=height, channels=channels, width=width)
    recipe = CycleRecipe(
        config,
        images["train"],
        images["test"],
        classes=chosen,
        batch_size=batch_size,
        learning_rate=learning_rate,
        cycle_weight=cycle_weight,
        seed=seed,
        wishes=Wishes(unroll, diversity, exponent, exponent_weight, average),
        device=device or "cpu",
    )
    monitor = exponent_monitor(device=device or "cpu", seed=seed) if monitor_every else None
    with _progress(as_json) as on_step:
        last = run(
            recipe,
            folder,
            epochs=epochs,
            seed=seed,
            checkpoint_every=checkpoint_every,
            keep_every=keep_every,
            monitor=monitor,
            monitor_every=monitor_every or 1,
            on_step=on_step,
        )
    _draw(last.training["history"], folder)
    entry = last.training["history"][-1]
    if as_json:
        common.echo_json(entry | {"checkpoint": str(folder / "last.pt"), "sha256": last.sha256})
    else:
        _tell(entry, folder)


@app.command("classifier", epilog=CLASSIFIER_EPILOG)
@common.command
def classifier(
    data: Annotated[
        str, typer.Option("--data", metavar="NAME|FOLDER", help="digits, mnist, fashion_mnist or a folder.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder that receives classifier.pt.")],
    classes: Annotated[
        str | None, typer.Option("--classes", metavar="N,N[,N...]", help="Categories.", show_default="all")
    ] = None,
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Epochs.")] = 6,
    width: Annotated[int, typer.Option("--width", min=1, help="Channels of the first stage.")] = 16,
    image_size: Annotated[
        int | None, typer.Option("--image-size", help="Resize images.", show_default="as they are")
    ] = None,
    batch_size: Annotated[int, typer.Option("--batch-size", min=2, help="Images in a step.")] = 128,
    learning_rate: Annotated[float, typer.Option("--learning-rate", help="Largest, of AdamW.")] = 4e-3,
    device: common.DeviceOption = None,
    seed: common.SeedOption = 0,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="Threads of torch.", show_default="all cores")
    ] = None,
    as_json: common.JsonOption = False,
) -> None:
    """Train a small classifier, whose features `lyapmap manifold` compares images by."""
    from lyapmap import data as data_sets
    from lyapmap.cli.source import require_torch

    require_torch("training")
    import torch

    from lyapmap.models.classifier import ClassifierConfig
    from lyapmap.training import checkpoint
    from lyapmap.training.classify import train_classifier

    if threads:
        torch.set_num_threads(threads)
    chosen = common.integers(classes, "--classes")
    folder = common.output_folder(out)
    assert folder is not None
    images = {s: data_sets.load(data, split=s, classes=chosen, image_size=image_size) for s in ("train", "test")}
    channels, height, _ = images["train"].state_shape
    labels = chosen or tuple(sorted(images["train"].class_names))
    trained = train_classifier(
        ClassifierConfig(categories=len(labels), image_size=height, channels=channels, width=width),
        images["train"],
        images["test"],
        classes=labels,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
        device=device or "cpu",
        on_epoch=None if as_json else _tell_epoch,
    )
    path = checkpoint.save(trained, folder / "classifier.pt")
    if as_json:
        common.echo_json(trained.training | {"checkpoint": str(path)})
    else:
        typer.echo(f"accuracy {trained.training['accuracy']:.4f} on test images; next: --features {path}")


def _tell_epoch(entry: dict[str, Any]) -> None:
    typer.echo(
        f"epoch {entry['epoch']}, {entry['seconds']:.0f} s: loss {entry['loss']:.4f}, accuracy {entry['accuracy']:.4f}"
    )


def _tell(entry: dict[str, object], folder: Path) -> None:
    losses = ", ".join(f"{name} {value:.3f}" for name, value in dict(entry["losses"]).items())  # type: ignore[call-overload]
    typer.echo(f"epoch {entry['epoch']}, {entry['seconds']:.0f} s of training: {losses}")
    watched = entry.get("monitor")
    if isinstance(watched, dict) and watched.get("error"):
        typer.echo(f"the exponents could not be measured: {watched['error']}")
    elif isinstance(watched, dict) and watched["exponents"][0] is not None:
        error = watched["stderr"][0] or 0.0
        typer.echo(f"largest exponent {watched['exponents'][0]:.3f} ± {error:.3f} ({watched['attractor']})")
    typer.echo(f"next: lyapmap spectrum --model {folder / 'last.pt'}")


def _draw(history: list[dict[str, object]], folder: Path) -> None:
    from lyapmap.views.training import draw_training

    draw_training(history).savefig(folder / "training.png", dpi=150)


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[Progress], None] | None]:
    """A bar with losses, images per second and the time left, where there is a terminal."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
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
            losses = " ".join(f"{name} {value:.2f}" for name, value in at.losses.items() if name != "total")
            bar.update(
                task,
                completed=at.step,
                total=at.steps,
                epoch=f"{at.epoch + 1}/{at.epochs}",
                losses=losses,
                rate=at.images_per_second,
            )

        yield show
