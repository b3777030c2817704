"""`lyapmap study`: whole protocols of papers, stage by stage."""

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
from lyapmap.models.cycle.protocol import PROTOCOLS, protocol
from lyapmap.models.gan.commands.study import EPILOG as GAN_EPILOG
from lyapmap.models.gan.commands.study import gan
from lyapmap.models.kaleidoscope.commands.study import EPILOG as KALEIDOSCOPE_EPILOG
from lyapmap.models.kaleidoscope.commands.study import kaleidoscope
from lyapmap.models.latent_spectral.commands.study import EPILOG as LSD_EPILOG
from lyapmap.models.latent_spectral.commands.study import lsd

app = typer.Typer(
    help="Whole protocols of papers, stage by stage; what is done is kept.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)

CYCLE_EPILOG = """Examples:

lyapmap study cycle --data mnist --classes 0,1,2 --model cycle-mnist-012 --out study

lyapmap study cycle --data mnist --classes 0,1,2 --train-epochs 10 --width 32 --out study

lyapmap study cycle --data mnist --classes 0,1,2 --model ckpt.pt --protocol paper --only spectrum --out study

The same command goes on where it was stopped; changed sizes run only the stages that depend on them."""

SEEDS_EPILOG = """Examples:

lyapmap study cycle-seeds runs/1 runs/2 runs/3 --data mnist --classes 0,1,2 --out spread

lyapmap study cycle-seeds runs/* --data mnist --classes 0,1,2 --epochs 5 --epoch-steps 500 --out spread

The runs are folders of `lyapmap train cycle --keep-every 1`. The same command goes on where it was stopped."""

DataOption = Annotated[
    str, typer.Option("--data", metavar="NAME|FOLDER", help="Data set that the generator was trained on.")
]
ClassesOption = Annotated[
    str, typer.Option("--classes", metavar="N,N[,N...]", help="Its categories in the order of the cycle.")
]
ProtocolOption = Annotated[str, typer.Option("--protocol", metavar="quick|paper", help="Sizes of all stages.")]


@app.callback()
def study() -> None:
    """Whole protocols of papers, stage by stage."""


@app.command("cycle", epilog=CYCLE_EPILOG)
@common.command
@with_sizes(PROTOCOLS)
def cycle(
    data: DataOption,
    classes: ClassesOption,
    out: FolderOption,
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
    preset: ProtocolOption = "quick",
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
    """Every result of "Cyclic image generation using chaotic dynamics", as figure and number.

    DIR receives index.html, study.json, figures/, results/ (each opens with lyapmap and xarray) and stages/.
    """
    from lyapmap.cli.source import require_torch
    from lyapmap.models.cycle.study import check_names, cycle_study
    from lyapmap.models.cycle.subject import load_subject
    from lyapmap.models.cycle.train_first import train_first

    require_torch("the study")
    if model is not None and (train_epochs is not None or width is not None):
        raise LyapmapError("--train-epochs and --width: only without --model, where a generator is trained first")
    chosen = protocol(preset, **sizes)
    check_names(only or ())
    numbers = common.integers(classes, "--classes") or ()
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
                    width=width or 64,
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
            features=features,
            classifier=classifier,
            weights=weights,
            device=device,
            seed=seed,
        )
        found = cycle_study(subject, folder, protocol=chosen, only=only or (), progress=not as_json, told=teller.stage)
    conclude(found, as_json)


@app.command("cycle-seeds", epilog=SEEDS_EPILOG)
@common.command
@with_sizes(PROTOCOLS, lambda name: name.startswith("epoch") or name == "k")
def cycle_seeds(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of training runs with epoch-*.pt.")],
    data: DataOption,
    classes: ClassesOption,
    out: FolderOption,
    preset: ProtocolOption = "quick",
    features: FeaturesOption = None,
    weights: common.WeightsOption = None,
    device: common.DeviceOption = None,
    seed: common.SeedOption = 0,
    as_json: common.JsonOption = False,
    *,
    sizes: dict[str, Any],
) -> None:
    """How much exponents, dimension, precision and recall depend on the seed and the epoch of the training."""
    from lyapmap.cli.source import require_torch
    from lyapmap.models.cycle.seeds import cycle_seeds as measure
    from lyapmap.models.cycle.seeds import load_runs

    require_torch("the study")
    # All epochs by default: they are what this is about.
    chosen = protocol(preset, **({"epochs": None} | sizes))
    folder = common.made_folder(out)
    numbers = common.integers(classes, "--classes") or ()
    with told(as_json) as teller:
        named, subject = load_runs(
            runs, data=data, classes=numbers, features=features, weights=weights, device=device, seed=seed
        )
        found = measure(named, subject, folder, protocol=chosen, progress=not as_json, told=teller.stage)
    conclude(found, as_json)


app.command("kaleidoscope", epilog=KALEIDOSCOPE_EPILOG)(kaleidoscope)
app.command("gan", epilog=GAN_EPILOG)(gan)
app.command("lsd", epilog=LSD_EPILOG)(lsd)
