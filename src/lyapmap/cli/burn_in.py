"""`lyapmap burn-in`: after how many steps an ensemble keeps its distribution."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import typer

from lyapmap.cli import common, show

if TYPE_CHECKING:
    from lyapmap.cli.source import Source

EPILOG = """Examples:

lyapmap burn-in --map logistic --trajectories 400

lyapmap burn-in --model kaleidoscope-mnist --trajectories 32 --steps 300 --out burn"""


@common.command
@common.about_a_map(trajectories=200)
def burn_in(
    source: Source,
    steps: Annotated[int, typer.Option("--steps", "-n", min=4, help="Twice the burn-in at least.")] = 300,
    every: Annotated[int, typer.Option("--every", min=1, help="Look at every so many-th step.")] = 1,
    tolerance: Annotated[
        float, typer.Option("--tolerance", help="Distance, relative to the first, that does not matter.")
    ] = 1e-3,
    out: common.OutOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """After how many steps the states of an ensemble can no longer be told from those at the end.

    With --out DIR: burn-in.nc, burn-in.json, burn-in.png and report.html.
    """
    from lyapmap.analysis.orbits.burn_in import burn_in as measure

    result, interrupted = common.completed(
        lambda: measure(
            source.map,
            source.x0,
            n_steps=steps,
            every=every,
            tolerance=tolerance,
            seed=source.seed,
            progress=not as_json,
            throw=False,
        )
    )
    words = "-"
    if math.isfinite(result.burn_in):
        first, last = result.burn_in_interval
        words = f"{result.burn_in:.0f} steps ({first:.0f} to {'no end' if math.isinf(last) else f'{last:.0f}'})"
    facts = [
        ("burn-in", words),
        ("threshold", f"{result.threshold:.4g}"),
        ("trajectories", str(result.settings["n_trajectories"])),
    ]
    show.conclude(
        result,
        title=f"Burn-in of {source.name}",
        facts=facts,
        name="burn-in",
        out=out,
        as_json=as_json,
        source=source,
        interrupted=interrupted,
    )
