"""`lyapmap convert`: a generator of one framework as a file of another."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from lyapmap.cli import common, show

EPILOG = """Examples:

lyapmap convert cycle-mnist-012 generator.keras

lyapmap convert generator.keras generator.pt

lyapmap convert training_checkpoints/ckpt-10 generator.keras --part generator_g"""


@common.command
def convert(
    source: Annotated[
        str, typer.Argument(metavar="NAME|FILE", help="A shipped model, a .pt, .safetensors or .keras file, ...")
    ],
    target: Annotated[Path, typer.Argument(metavar="FILE", help="Ends in .keras, .pt or .safetensors.")],
    part: Annotated[
        str | None, typer.Option("--part", metavar="NAME", help="Which network of a TensorFlow checkpoint.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there already.")] = False,
    seed: common.SeedOption = 0,
    as_json: common.JsonOption = False,
) -> None:
    """Convert a cycle generator between torch and Keras; both must give the same images.

    Sample states, config and the record of the training go along.
    """
    from lyapmap.cli.source import require_torch

    require_torch("converting a model")
    from lyapmap.models.cycle.conversion import convert as run

    done = run(source, target, part=part, replace=force, seed=seed)
    if as_json:
        common.echo_json(asdict(done))
        return
    size = " x ".join(map(str, (done.config["image_size"],) * 2))
    states = f"{done.sample_states} sample states" if done.sample_states else "no sample states"
    console = show.make_console()
    console.print(f"[bold]{done.source} -> {done.target}[/bold]")
    show.print_facts(
        console,
        [
            ("model", f"{done.architecture}, width {done.config['width']}, images {size}"),
            ("along", states),
            ("largest difference", f"{done.difference:.1e} of a pixel in [-1, 1], {done.images} images through both"),
        ],
    )
