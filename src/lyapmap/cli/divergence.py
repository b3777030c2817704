"""`lyapmap divergence`: the largest exponent from neighbouring trajectories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lyapmap.cli import common, show

if TYPE_CHECKING:
    from lyapmap.analysis.exponents.divergence import Divergence
    from lyapmap.cli.source import Source

TRANSIENT = {"map": 1_000, "callable": 1_000, "model": 300}

EPILOG = """Examples:

lyapmap divergence --map henon -b 200

lyapmap divergence --model cycle-digits-012 -b 27 --out parting

lyapmap divergence --map ikeda --method rescaled --direction random --steps 10000

lyapmap divergence --map henon --window 5,40 --json"""


@common.command
@common.about_a_map(trajectories=24)
def divergence(
    source: Source,
    steps: Annotated[
        int | None, typer.Option("--steps", "-n", min=1, help="Steps to follow pairs.", show_default="to saturation")
    ] = None,
    transient: Annotated[
        int | None, typer.Option("--transient", min=0, help="Steps before that.", show_default="by kind of map")
    ] = None,
    direction: Annotated[
        str, typer.Option("--direction", help="Where twins are placed: neighbour, random or tangent.")
    ] = "neighbour",
    size: Annotated[
        float | None, typer.Option("--size", help="Initial distance of twins.", show_default="by dtype")
    ] = None,
    window: Annotated[
        str | None, typer.Option("--window", metavar="FIRST,LAST", help="Steps to fit.", show_default="found")
    ] = None,
    method: Annotated[str, typer.Option("--method", help="fit, or rescaled (twins set back again and again).")] = "fit",
    every: Annotated[int, typer.Option("--renormalize-every", min=1, help="Steps between; rescaled only.")] = 1,
    out: common.OutOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Largest exponent from trajectories that start close together; no derivative needed.

    With --out DIR: divergence.nc, divergence.json, divergence.png and report.html.
    """
    from lyapmap.analysis.exponents.divergence import divergence as diverge

    chosen = common.integers(window, "--window")
    result, interrupted = common.completed(
        lambda: diverge(
            source.map,
            source.x0,
            n_steps="auto" if steps is None else steps,
            transient=TRANSIENT[source.kind] if transient is None else transient,
            direction=direction,
            size=size,
            window="auto" if chosen is None else chosen,  # type: ignore[arg-type]  # checked by the analysis
            method=method,
            renormalize_every=every,
            seed=source.seed,
            progress=not as_json,
            throw=False,
        )
    )
    show.conclude(
        result,
        title=f"Divergence of neighbouring trajectories of {source.name}",
        facts=_facts(result),
        name="divergence",
        out=out,
        as_json=as_json,
        source=source,
        interrupted=interrupted,
    )


def _facts(result: Divergence) -> list[tuple[str, str]]:
    settings = result.settings
    window = f"steps {result.window[0]} to {result.window[1]}" if result.window else "none"
    return [
        ("largest exponent", f"{show.pair(result.exponent, result.stderr)} nats {result.unit}"),
        ("method", f"{result.method}, {window}"),
        ("pairs", f"{settings['n_trajectories']}, {result.size:.1e} apart, placed: {settings['direction']}"),
        ("run", f"{result.steps[-1] if len(result.steps) else 0} steps after {settings['transient']}"),
    ]
