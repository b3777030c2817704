"""`lyapmap orbits`: fixed points and cycles with their multipliers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lyapmap.cli import common, show

if TYPE_CHECKING:
    from rich.table import Table

    from lyapmap.analysis.orbits.periodic_orbits import PeriodicOrbits
    from lyapmap.cli.source import Source

SHOWN = 20
"""Cycles that the table shows; the files hold all."""
COMPONENTS = 3
"""Components of the first point that the table shows."""

EPILOG = """Examples:

lyapmap orbits --map henon --period 7

lyapmap orbits --map logistic --period 4 --divisors --low 0 --high 1

lyapmap orbits --model cycle-digits-012 --dtype float64 --out fixed"""


@common.command
@common.about_a_map()
def orbits(
    source: Source,
    period: Annotated[int, typer.Option("--period", min=1, help="Points of a cycle; 1 for fixed points.")] = 1,
    divisors: Annotated[
        bool, typer.Option("--divisors", help="Also cycles whose period divides it.", show_default=False)
    ] = False,
    low: Annotated[
        str | None,
        typer.Option("--low", metavar="X[,X...]", help="With --high: a box to draw half of the guesses from."),
    ] = None,
    high: Annotated[str | None, typer.Option("--high", metavar="X[,X...]", help="Upper corner of the box.")] = None,
    guesses: Annotated[
        int | None, typer.Option("--guesses", min=1, help="Places to start from.", show_default="4096/n, 16 to 1000")
    ] = None,
    tolerance: Annotated[
        float | None, typer.Option("--tolerance", help="Largest defect of a cycle.", show_default="by dtype")
    ] = None,
    out: common.OutOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Fixed points and cycles of a network or map, stable and unstable, with their multipliers.

    With --out DIR: orbits.nc, orbits.json, orbits.png and report.html.
    """
    from lyapmap.analysis.orbits.periodic_orbits import periodic_orbits

    region = common.box(low, high)
    result, interrupted = common.completed(
        lambda: periodic_orbits(
            source.map,
            source.x0,
            period=period,
            divisors=divisors,
            region=region,
            n_guesses=guesses,
            tolerance=tolerance,
            seed=source.seed,
            progress=not as_json,
            throw=False,
        )
    )
    kinds = {kind: result.stability.count(kind) for kind in dict.fromkeys(result.stability)}
    facts = [
        ("cycles", f"{len(result.period)} from {result.settings['n_guesses']} guesses"),
        ("stability", ", ".join(f"{count} {kind}" for kind, count in kinds.items()) or "-"),
    ]
    show.conclude(
        result,
        title=f"Cycles of {source.name}",
        facts=facts,
        table=None if as_json or not len(result.period) else _table(result),
        name="orbits",
        out=out,
        as_json=as_json,
        source=source,
        interrupted=interrupted,
    )


def _table(result: PeriodicOrbits) -> Table:
    table = show.make_table("#", "period", "first point", "|multiplier|", "exponent", "stability", "found")
    for i in range(min(len(result.period), SHOWN)):
        point = result.orbits[i, 0]
        cells = " ".join(f"{value:.4f}" for value in point[:COMPONENTS]) + (" ..." if len(point) > COMPONENTS else "")
        table.add_row(
            str(i + 1),
            str(result.period[i]),
            cells,
            show.number(abs(result.multipliers[i, 0])),
            show.number(result.exponents[i, 0]),
            result.stability[i],
            str(result.n_found[i]),
        )
    if len(result.period) > SHOWN:
        table.caption = f"and {len(result.period) - SHOWN} more; --out or --json gives all"
    return table
