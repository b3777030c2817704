"""`lyapmap study gan`: adversarial networks measured and set against each other."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lyapmap.cli import common
from lyapmap.cli.study_options import study_command
from lyapmap.models.gan.protocol import PROTOCOLS

EPILOG = """Examples:

lyapmap study gan runs/gran1/last.pt runs/gran3/last.pt runs/gran5/last.pt --data mnist --out study

lyapmap study gan dcgan-mnist gran3-mnist --data mnist --protocol full --out study

lyapmap study gan runs/gran3-*/last.pt --data mnist --only quality --only battles --out study

The same command goes on where it was stopped; a further model runs its own stages and the battles."""


@study_command("lyapmap.models.gan.study", PROTOCOLS)
def gan(
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL...", help="Checkpoints of DCGANs and GRANs, or shipped ones by name.")
    ],
    data: Annotated[str, typer.Option("--data", metavar="NAME|FOLDER|FILE", help="What they were trained on.")],
    classes: Annotated[
        str | None,
        typer.Option("--classes", metavar="N[,N...]", help="Categories.", show_default="those of the training"),
    ] = None,
    *,
    options: dict[str, Any],
) -> Any:
    """Precision, recall, coverage, nearest images, Jacobian, canvas and battles of adversarial networks.

    Models that differ only in their seed are of one kind, and are put together in the tables. DIR receives
    index.html, study.json, figures/, results/ (each opens with lyapmap and xarray) and stages/.
    """
    from lyapmap.models.gan.stages import load_gans

    return load_gans(models, data=data, classes=common.integers(classes, "--classes"), **options)
