"""`lyapmap train classifier`: the classifiers whose features images are compared by."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lyapmap.cli import common, training_run

EPILOG = """Examples:

lyapmap train classifier --data mnist --out runs/classifier-mnist

lyapmap train classifier --data digits --epochs 30 --out runs/classifier-digits"""


@common.command
def classifier(
    data: training_run.DataOption,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder that receives classifier.pt.")],
    classes: Annotated[
        str | None, typer.Option("--classes", metavar="N,N[,N...]", help="Categories.", show_default="all")
    ] = None,
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Epochs.")] = 6,
    width: Annotated[int, typer.Option("--width", min=1, help="Channels of the first stage.")] = 16,
    image_size: training_run.ImageSizeOption = None,
    batch_size: Annotated[int, typer.Option("--batch-size", min=2, help="Images in a step.")] = 128,
    learning_rate: Annotated[float, typer.Option("--learning-rate", help="Largest, of AdamW.")] = 4e-3,
    device: common.DeviceOption = None,
    seed: common.SeedOption = 0,
    threads: training_run.ThreadsOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Train a small classifier, whose features `lyapmap manifold` compares images by."""
    training_run.begin(threads)
    from lyapmap.files import checkpoint
    from lyapmap.models.classifier.network import ClassifierConfig
    from lyapmap.models.classifier.training import train_classifier

    chosen = common.integers(classes, "--classes")
    folder = training_run.folder_of(out)
    train, test = training_run.images_of(data, chosen, image_size)
    channels, height, _ = train.state_shape
    labels = chosen or tuple(sorted(train.class_names))
    trained = train_classifier(
        ClassifierConfig(categories=len(labels), image_size=height, channels=channels, width=width),
        train,
        test,
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
