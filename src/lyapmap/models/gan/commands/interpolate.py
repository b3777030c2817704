"""`lyapmap gan interpolate`: images on the way from noise to noise."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lyapmap.cli import common, show
from lyapmap.models.gan.commands import sample as gan_sample

EPILOG = """Examples:

lyapmap gan interpolate --model runs/dcgan/last.pt --pairs 6 --steps 12"""


@common.command
def interpolate(
    model: gan_sample.ModelOption,
    pairs: Annotated[int, typer.Option("--pairs", min=1, help="Ways, one in each row.")] = 8,
    steps: Annotated[int, typer.Option("--steps", "-n", min=2, help="Images on each, both ends included.")] = 10,
    device: common.DeviceOption = None,
    seed: common.SeedOption = 0,
    out: gan_sample.FolderOption = Path("interpolation"),
    as_json: common.JsonOption = False,
) -> None:
    """Draw images along arcs between pieces of noise.

    Writes samples.npz and interpolation.png. The noise turns from one end to the other on a sphere, where normal noise
    lies.
    """
    from lyapmap.cli.source import require_torch

    require_torch("sampling")
    from lyapmap.models.gan.pair import interpolate_gan, load_gan

    folder = common.output_folder(out)
    assert folder is not None
    gan = load_gan(model, device=device)
    result, interrupted = common.completed(
        lambda: interpolate_gan(gan, pairs, steps=steps, seed=seed, progress=not as_json, throw=False)
    )
    gan_sample.tell(result, folder, f"{gan.name}: {pairs} ways of {steps} images", as_json=as_json)
    show.leave(result, interrupted)
