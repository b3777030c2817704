"""`lyapmap gan sample`: images of noise."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lyapmap.cli import common, show

if TYPE_CHECKING:
    from lyapmap.models.gan.pair import GanSamples

EPILOG = """Examples:

lyapmap gan sample --model runs/dcgan/last.pt --samples 100

lyapmap gan sample --model runs/gran3/last.pt --canvas-steps 9 --out nine"""

ModelOption = Annotated[
    str, typer.Option("--model", metavar="NAME|FILE", help="A shipped DCGAN or GRAN, or a checkpoint.")
]
FolderOption = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the files.")]


@common.command
def sample(
    model: ModelOption,
    samples: Annotated[int, typer.Option("--samples", min=1, help="How many.")] = 64,
    canvas_steps: Annotated[
        int | None,
        typer.Option("--canvas-steps", min=1, help="Updates of a GRAN's canvas.", show_default="as trained"),
    ] = None,
    device: common.DeviceOption = None,
    seed: common.SeedOption = 0,
    out: FolderOption = Path("samples"),
    as_json: common.JsonOption = False,
) -> None:
    """Draw images of random noise with a DCGAN or GRAN.

    Writes samples.npz (opens with NumPy), grid.png and, of a canvas in several steps, strip.png and canvas.gif. The
    same seed gives the same samples, however many.
    """
    from lyapmap.cli.source import require_torch

    require_torch("sampling")
    from lyapmap.models.gan.pair import load_gan, sample_gan

    folder = common.output_folder(out)
    assert folder is not None
    gan = load_gan(model, device=device)
    result, interrupted = common.completed(
        lambda: sample_gan(gan, samples, canvas_steps=canvas_steps, seed=seed, progress=not as_json, throw=False)
    )
    steps = result.canvases.shape[1]
    words = f"{gan.name}: {len(result.canvases)} samples"
    if result.trained_steps > 1 or steps > 1:
        words += f" in {steps} steps; trained with {result.trained_steps}"
    tell(result, folder, words, as_json=as_json)
    show.leave(result, interrupted)


def tell(result: GanSamples, folder: Path, words: str, *, as_json: bool) -> None:
    """Write samples and pictures, and name the files."""
    from lyapmap.models.gan.pictures import save_gan_samples

    files = [result.save(folder / "samples.npz"), *save_gan_samples(folder, result)]
    if as_json:
        record = {k: v for k, v in result.to_dict().items() if k not in ("canvases", "latents")}
        common.echo_json(record | {"files": [str(file) for file in files]})
        return
    typer.echo(words)
    for file in files:
        typer.echo(f"  {file}")
    if result.message:
        typer.echo(f"status {result.status}: {result.message}; {result.remedy}", err=True)
