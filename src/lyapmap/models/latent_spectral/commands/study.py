"""`lyapmap study lsd`: latent spectral decomposition, its figures, denoising, and its dynamics."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lyapmap.cli import common
from lyapmap.cli.study_options import study_command
from lyapmap.models.latent_spectral.protocol import PROTOCOLS

EPILOG = """Examples:

lyapmap study lsd --model runs/lsd/last.pt --data mnist --out study

lyapmap study lsd --model runs/lsd/last.pt --data mnist --against cycle-mnist-012 --cycle 0,1,2 --out study

lyapmap study lsd --model runs/lsd/last.pt --data mnist --protocol paper --only denoising --out study

The same command goes on where it was stopped; changed sizes run only the stages that depend on them."""


@study_command("lyapmap.models.latent_spectral.study", PROTOCOLS)
def lsd(
    model: Annotated[
        str, typer.Option("--model", metavar="NAME|FILE", help="Networks of train lsd, with or without a basis.")
    ],
    data: Annotated[
        str, typer.Option("--data", metavar="NAME|FOLDER", help="Data set that the networks were trained on.")
    ],
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
    *,
    options: dict[str, Any],
) -> Any:
    """Every figure of "Using deep LSD to build operators in GANs latent space", denoising measured, and dynamics.

    DIR receives index.html, study.json, figures/, results/ (each opens with lyapmap and xarray) and stages/.
    """
    from lyapmap.models.latent_spectral.subject import load_subject

    return load_subject(model, data=data, against=against, cycle=common.integers(cycle, "--cycle"), **options)
