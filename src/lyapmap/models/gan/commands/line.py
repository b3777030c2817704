"""`lyapmap gan line`: the theory of generative adversarial networks, on numbers."""

from __future__ import annotations

import math
from typing import Annotated

import typer

from lyapmap.cli import common, show

EPILOG = """Examples:

lyapmap gan line --out line

lyapmap gan line --data two --loss minimax --steps 1000 --seed 3 --out line

lyapmap gan line --discriminator-steps 1 --json"""


@common.command
def line(
    data: Annotated[str, typer.Option("--data", help="Distribution to learn: one or two (normal ones).")] = "one",
    loss: Annotated[str, typer.Option("--loss", help="Of the generator: non-saturating or minimax.")] = (
        "non-saturating"
    ),
    steps: Annotated[int, typer.Option("--steps", "-n", min=1, help="Of the generator.")] = 400,
    discriminator_steps: Annotated[
        int, typer.Option("--discriminator-steps", min=1, help="Of the discriminator for each of them.")
    ] = 5,
    frames: Annotated[int, typer.Option("--frames", min=2, help="Times that are recorded and filmed.")] = 60,
    seed: common.SeedOption = 0,
    out: common.OutOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Train a GAN on a line: p_g moves to p_data, the discriminator to p_data / (p_data + p_g).

    The folder receives line.png, line.gif (the film of it), line.nc and line.json.
    """
    from lyapmap.cli.source import require_torch

    require_torch("training")
    from lyapmap.models.gan.line import gan_line
    from lyapmap.models.gan.pictures import save_gan_line_gif

    folder = common.output_folder(out)
    found, interrupted = common.completed(
        lambda: gan_line(
            data,
            loss=loss,
            steps=steps,
            n_discriminator=discriminator_steps,
            frames=frames,
            seed=seed,
            progress=not as_json,
            throw=False,
        )
    )
    pictures = [] if folder is None else [("The training as a film", save_gan_line_gif(folder / "line.gif", found))]
    show.conclude(
        found,
        title="A GAN on a line",
        facts=[
            ("value", f"{found.value[0]:.4f} at first, {found.value[-1]:.4f} at last; -log 4 = {-math.log(4):.4f}"),
            ("best possible", f"{found.best_value[0]:.4f} at first, {found.best_value[-1]:.4f} at last"),
            ("D against its best", f"mean difference {found.error[0]:.3f} at first, {found.error[-1]:.3f} at last"),
            ("divergence", f"{found.divergence[-1]:.4g} nats between p_g and p_data (Jensen-Shannon)"),
        ],
        name="line",
        out=folder,
        as_json=as_json,
        interrupted=interrupted,
        pictures=pictures,
    )
