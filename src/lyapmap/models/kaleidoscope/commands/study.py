"""`lyapmap study kaleidoscope`: samples of a kaleidoscopic network and the dynamics behind them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lyapmap.cli import common
from lyapmap.cli.study_options import (
    ClassifierOption,
    FeaturesOption,
    FolderOption,
    OnlyOption,
    conclude,
    told,
    with_sizes,
)
from lyapmap.core.errors import LyapmapError
from lyapmap.models.kaleidoscope.protocol import PROTOCOLS, protocol

EPILOG = """Examples:

lyapmap study kaleidoscope --data mnist --model kaleidoscope-mnist --out study

lyapmap study kaleidoscope --data digits --train-epochs 200 --depth 6 --width 100 --out study

lyapmap study kaleidoscope --data mnist --model mlp.pt --against conv.pt --against unet.pt --out study

The same command goes on where it was stopped; changed sizes run only the stages that depend on them."""


@common.command
@with_sizes(PROTOCOLS)
def kaleidoscope(
    data: Annotated[
        str, typer.Option("--data", metavar="NAME|FOLDER", help="Data set that the network was trained on.")
    ],
    out: FolderOption,
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
    preset: Annotated[str, typer.Option("--protocol", metavar="quick|full", help="Sizes of all stages.")] = "quick",
    only: OnlyOption = None,
    features: FeaturesOption = None,
    classifier: ClassifierOption = None,
    weights: common.WeightsOption = None,
    device: common.DeviceOption = None,
    seed: common.SeedOption = 0,
    as_json: common.JsonOption = False,
    *,
    sizes: dict[str, Any],
) -> None:
    """Samples, burn-in, fixed points, exponents under noise, categories, dimension and quality of a network.

    DIR receives index.html, study.json, figures/, results/ (each opens with lyapmap and xarray) and stages/.
    """
    from lyapmap.cli.source import require_torch
    from lyapmap.models.kaleidoscope.study import check_names, kaleidoscope_study
    from lyapmap.models.kaleidoscope.subject import load_subject
    from lyapmap.models.kaleidoscope.train_first import train_first

    require_torch("the study")
    if model is not None and any(given is not None for given in (train_epochs, depth, width)):
        raise LyapmapError(
            "--train-epochs, --depth and --width: only without --model, where a network is trained first"
        )
    chosen = protocol(preset, **sizes)
    check_names(only or ())
    numbers = common.integers(classes, "--classes")
    folder = common.made_folder(out)
    with told(as_json) as teller:
        network: str | Path
        if model is None:
            with teller.training() as on_step:
                network = train_first(
                    folder / "training",
                    data=data,
                    classes=numbers,
                    epochs=train_epochs or 30,
                    depth=depth or 10,
                    width=width or 500,
                    seed=seed,
                    device=device,
                    on_step=on_step,
                )
        else:
            network = model
        subject = load_subject(
            network,
            data=data,
            classes=numbers,
            against=against or (),
            features=features,
            classifier=classifier,
            weights=weights,
            device=device,
            seed=seed,
        )
        found = kaleidoscope_study(
            subject, folder, protocol=chosen, only=only or (), progress=not as_json, told=teller.stage
        )
    conclude(found, as_json)
