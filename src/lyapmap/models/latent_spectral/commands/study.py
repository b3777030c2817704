"""`lyapmap study lsd`: latent spectral decomposition, its figures, denoising, and its dynamics."""

from __future__ import annotations

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
from lyapmap.models.latent_spectral.protocol import PROTOCOLS, protocol

EPILOG = """Examples:

lyapmap study lsd --model runs/lsd/last.pt --data mnist --out study

lyapmap study lsd --model runs/lsd/last.pt --data mnist --against cycle-mnist-012 --cycle 0,1,2 --out study

lyapmap study lsd --model runs/lsd/last.pt --data mnist --protocol paper --only denoising --out study

The same command goes on where it was stopped; changed sizes run only the stages that depend on them."""


@common.command
@with_sizes(PROTOCOLS)
def lsd(
    model: Annotated[
        str, typer.Option("--model", metavar="NAME|FILE", help="Networks of train lsd, with or without a basis.")
    ],
    data: Annotated[
        str, typer.Option("--data", metavar="NAME|FOLDER", help="Data set that the networks were trained on.")
    ],
    out: FolderOption,
    against: Annotated[
        list[str] | None,
        typer.Option(
            "--against",
            metavar="NAME|FILE",
            help="A cycle generator to set the rotation of images beside; repeatable.",
            show_default="cycle-mnist-012 for MNIST",
        ),
    ] = None,
    cycle: Annotated[
        str | None,
        typer.Option(
            "--cycle",
            metavar="N,N[,N...]",
            help="Categories that the rotation of images goes through.",
            show_default="0,1,2, or the first three",
        ),
    ] = None,
    preset: Annotated[str, typer.Option("--protocol", metavar="quick|paper", help="Sizes of all stages.")] = "quick",
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
    """Every figure of "Using deep LSD to build operators in GANs latent space", denoising measured, and dynamics.

    DIR receives index.html, study.json, figures/, results/ (each opens with lyapmap and xarray) and stages/.
    """
    from lyapmap.cli.source import require_torch

    require_torch("the study")
    from lyapmap.models.latent_spectral.study import check_names, lsd_study
    from lyapmap.models.latent_spectral.subject import load_subject

    chosen = protocol(preset, **sizes)
    check_names(only or ())
    folder = common.made_folder(out)
    with told(as_json) as teller:
        subject = load_subject(
            model,
            data=data,
            against=against,
            cycle=common.integers(cycle, "--cycle"),
            features=features,
            classifier=classifier,
            weights=weights,
            device=device,
            seed=seed,
        )
        found = lsd_study(subject, folder, protocol=chosen, only=only or (), progress=not as_json, told=teller.stage)
    conclude(found, as_json)
