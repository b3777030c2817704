"""`lyapmap study cycle`: every result of the paper of the cycle generator."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lyapmap.cli import common
from lyapmap.cli.study_options import Trained, study_command
from lyapmap.core.errors import LyapmapError
from lyapmap.models.cycle.protocol import PROTOCOLS

EPILOG = """Examples:

lyapmap study cycle --data mnist --classes 0,1,2 --model cycle-mnist-012 --out study

lyapmap study cycle --data mnist --classes 0,1,2 --train-epochs 10 --width 32 --out study

lyapmap study cycle --data mnist --classes 0,1,2 --model ckpt.pt --protocol paper --only spectrum --out study

The same command goes on where it was stopped; changed sizes run only the stages that depend on them."""

DataOption = Annotated[
    str, typer.Option("--data", metavar="NAME|FOLDER", help="Data set that the generator was trained on.")
]
ClassesOption = Annotated[
    str, typer.Option("--classes", metavar="N,N[,N...]", help="Its categories in the order of the cycle.")
]


@study_command("lyapmap.models.cycle.study", PROTOCOLS)
def cycle(
    data: DataOption,
    classes: ClassesOption,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", metavar="NAME|FILE", help="A trained generator.", show_default="trained first, in DIR/training"
        ),
    ] = None,
    train_epochs: Annotated[
        int | None, typer.Option("--train-epochs", min=1, help="Epochs of the training.", show_default="30")
    ] = None,
    width: Annotated[
        int | None, typer.Option("--width", min=1, help="Channels of its first stage.", show_default="64")
    ] = None,
    *,
    train: Trained,
    options: dict[str, Any],
) -> Any:
    """Every result of "Cyclic image generation using chaotic dynamics", as figure and number.

    DIR receives index.html, study.json, figures/, results/ (each opens with lyapmap and xarray) and stages/.
    """
    from lyapmap.models.cycle.recipe import train_first
    from lyapmap.models.cycle.subject import load_subject

    if model is not None and (train_epochs is not None or width is not None):
        raise LyapmapError("--train-epochs and --width: only without --model, where a generator is trained first")
    numbers = common.integers(classes, "--classes") or ()
    network = model or train(train_first, data=data, classes=numbers, epochs=train_epochs or 30, width=width or 64)
    return load_subject(network, data=data, classes=numbers, **options)
