"""`lyapmap trajectory`: states along trajectories, as numbers and as pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lyapmap.cli import common, show

if TYPE_CHECKING:
    from lyapmap.cli.source import Source

STEPS = {"map": 1_000, "callable": 1_000, "model": 30}

EPILOG = """Examples:

lyapmap trajectory --model cycle-mnist-012 --steps 30 --out pictures

lyapmap trajectory --map ikeda --trajectories 1 --steps 5000 --out ikeda

lyapmap trajectory --model cycle-digits-012 --data digits --classes 0 --json"""


@common.command
@common.about_a_map()
def trajectory(
    source: Source,
    steps: Annotated[
        int | None, typer.Option("--steps", "-n", min=1, help="Steps to record.", show_default="by kind of map")
    ] = None,
    transient: Annotated[int, typer.Option("--transient", min=0, help="Steps before that.")] = 0,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the files.")] = Path("trajectory"),
    as_json: common.JsonOption = False,
) -> None:
    """Iterate a network or map; write the states and a picture of them.

    Writes trajectory.npz (opens with NumPy or lyapmap.Trajectory.load) and trajectory.png; for
    images, a film strip, and trajectory.gif.
    """
    from lyapmap.analysis.orbits.pictures_orbits import save_trajectory
    from lyapmap.analysis.orbits.trajectory import trajectory as iterate
    from lyapmap.core.points import channels_first
    from lyapmap.report.images import save_gif

    n_steps = STEPS[source.kind] if steps is None else steps
    result, interrupted = common.completed(
        lambda: iterate(source.map, source.x0, n_steps=n_steps, transient=transient, progress=not as_json, throw=False)
    )
    files = [result.save(out / "trajectory.npz"), save_trajectory(result, out / "trajectory.png")]
    if source.shows_images:
        files.append(save_gif(out / "trajectory.gif", channels_first(result.images())))
    if as_json:
        record = {k: v for k, v in result.to_dict().items() if k != "states"}
        common.echo_json(record | {"files": [str(file) for file in files]})
    else:
        b, recorded, _ = result.states.shape
        typer.echo(f"{source.name}: {b} trajectories of {recorded - 1} steps, started from {source.started_from}")
        for file in files:
            typer.echo(f"  {file}")
        if result.message:
            typer.echo(f"status {result.status}: {result.message}; {result.remedy}", err=True)
    show.leave(result, interrupted)
