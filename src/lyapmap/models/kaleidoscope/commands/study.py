"""`lyapmap study kaleidoscope`: samples of a kaleidoscopic network and the dynamics behind them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lyapmap.cli import common
from lyapmap.cli.study_options import Trained, study_command
from lyapmap.core.errors import LyapmapError
from lyapmap.models.kaleidoscope.protocol import PROTOCOLS

EPILOG = """Examples:

lyapmap study kaleidoscope --data mnist --model kaleidoscope-mnist --out study

lyapmap study kaleidoscope --data digits --train-epochs 200 --depth 6 --width 100 --out study

lyapmap study kaleidoscope --data mnist --model mlp.pt --against conv.pt --against unet.pt --out study

The same command goes on where it was stopped; changed sizes run only the stages that depend on them."""


@study_command("lyapmap.models.kaleidoscope.study", PROTOCOLS)
def kaleidoscope(
    data: Annotated[
        str, typer.Option("--data", metavar="NAME|FOLDER", help="Data set that the network was trained on.")
    ],
    model: Annotated[
        str | None,
        typer.Option(
            "--model", metavar="NAME|FILE", help="A trained network.", show_default="trained first, in DIR/training"
        ),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option("--against", metavar="NAME|FILE", help="A further network to set beside it; repeatable."),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option("--classes", metavar="N[,N...]", help="Categories.", show_default="those of the training"),
    ] = None,
    train_epochs: Annotated[
        int | None, typer.Option("--train-epochs", min=1, help="Epochs of the training.", show_default="30")
    ] = None,
    depth: Annotated[int | None, typer.Option("--depth", min=1, help="Its hidden layers.", show_default="10")] = None,
    width: Annotated[int | None, typer.Option("--width", min=1, help="Units of each.", show_default="500")] = None,
    *,
    train: Trained,
    options: dict[str, Any],
) -> Any:
    """Samples, burn-in, fixed points, exponents under noise, categories, dimension and quality of a network.

    DIR receives index.html, study.json, figures/, results/ (each opens with lyapmap and xarray) and stages/.
    """
    from lyapmap.models.kaleidoscope.recipe import train_first
    from lyapmap.models.kaleidoscope.subject import load_subject

    if model is not None and any(given is not None for given in (train_epochs, depth, width)):
        raise LyapmapError(
            "--train-epochs, --depth and --width: only without --model, where a network is trained first"
        )
    numbers = common.integers(classes, "--classes")
    network = model or train(
        train_first, data=data, classes=numbers, epochs=train_epochs or 30, depth=depth or 10, width=width or 500
    )
    return load_subject(network, data=data, classes=numbers, against=against or (), **options)
