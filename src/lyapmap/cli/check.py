"""`lyapmap check`: does a network or map keep the map contract?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from lyapmap.cli import common

if TYPE_CHECKING:
    from lyapmap.cli.source import Source

EPILOG = """Examples:

lyapmap check --model cycle-mnist-012

lyapmap check --callable mypkg.maps:step --state-shape 2

lyapmap check --map ikeda --json"""


@common.command
@common.about_a_map(trajectories=4)
def check(
    source: Source,
    as_json: common.JsonOption = False,
) -> None:
    """Check a network or map: finite, repeatable, rows independent, derivatives right.

    Exits with 1 if a check fails.
    """
    from lyapmap.core.conformance import check_map

    report = check_map(source.map, source.x0, seed=source.seed)
    if as_json:
        common.echo_json(report.to_dict())
    else:
        typer.echo(f"{source.name}: {len(source.x0)} states from {source.started_from}")
        typer.echo(str(report))
    if not report.ok:
        raise typer.Exit(common.BAD_STATUS)
