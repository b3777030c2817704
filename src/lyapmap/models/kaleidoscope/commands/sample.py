"""`lyapmap kaleidoscope sample`: noise, iterated until it looks like the training data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lyapmap.cli import common, show

EPILOG = """Examples:

lyapmap kaleidoscope sample --model kaleidoscope-mnist --out samples

lyapmap kaleidoscope sample --model runs/kaleidoscope/last.pt --samples 100 --steps 300 --eps 0.1 --noise normal

lyapmap kaleidoscope sample --model kaleidoscope-mnist --eps 0 --start normal --seed 1 --json"""


@common.command
def sample(
    model: Annotated[str, typer.Option("--model", metavar="NAME|FILE", help="A shipped model, or a checkpoint.")],
    samples: Annotated[int, typer.Option("--samples", min=1, help="How many.")] = 64,
    steps: Annotated[int, typer.Option("--steps", "-n", min=0, help="Applications of the network.")] = 300,
    eps: Annotated[
        float, typer.Option("--eps", min=0, help="Half width of uniform noise, deviation of normal noise.")
    ] = 0.01,
    noise: Annotated[str, typer.Option("--noise", help="Noise after each step: uniform or normal.")] = "uniform",
    start: Annotated[str, typer.Option("--start", help="Noise to start from: uniform or normal.")] = "uniform",
    gif: Annotated[bool, typer.Option("--gif/--no-gif", help="Write a film over the steps.")] = True,
    device: common.DeviceOption = None,
    seed: common.SeedOption = 0,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the files.")] = Path("samples"),
    as_json: common.JsonOption = False,
) -> None:
    """Sample a kaleidoscopic network: iterate it from noise, with a little noise after each step.

    Writes samples.npz (opens with NumPy) and, of images, strip.png (states over the steps), grid.png
    (after the last one) and kaleidoscope.gif; of points, samples.png. The same seed gives the same
    samples, however many.
    """
    from lyapmap.cli.source import require_torch

    require_torch("sampling")
    from lyapmap.core.points import image_shape
    from lyapmap.files.zoo import load_model
    from lyapmap.models.kaleidoscope.pictures import save_kaleidoscope_samples
    from lyapmap.models.kaleidoscope.sampling import film_steps, usual_steps
    from lyapmap.models.kaleidoscope.sampling import sample as run

    folder = common.output_folder(out)
    assert folder is not None
    loaded = load_model(model, device=device)
    pictures = image_shape(tuple(loaded.map.state_shape)) is not None
    film, interrupted = common.completed(
        lambda: run(
            loaded,
            samples,
            steps=steps,
            eps=eps,
            noise=noise,
            start=start,
            keep=sorted({*film_steps(steps), *usual_steps(steps)}) if gif and pictures else None,
            seed=seed,
            progress=not as_json,
            throw=False,
        )
    )
    result = film.only([step for step in usual_steps(steps) if step <= film.steps[-1]])
    files = [result.save(folder / "samples.npz")]
    if pictures:
        files += save_kaleidoscope_samples(folder, result, film if gif else None)
    else:
        files.append(folder / "samples.png")
        result.plot().savefig(files[-1])
    if as_json:
        record = {k: v for k, v in result.to_dict().items() if k != "states"}
        common.echo_json(record | {"files": [str(file) for file in files]})
    else:
        shaken = f"{noise} noise of {eps:g} after each" if eps else "no noise between them"
        typer.echo(f"{loaded.name}: {samples} samples, {int(film.steps[-1])} steps from {start} noise, {shaken}")
        for file in files:
            typer.echo(f"  {file}")
        if result.message:
            typer.echo(f"status {result.status}: {result.message}; {result.remedy}", err=True)
    show.leave(result, interrupted)
