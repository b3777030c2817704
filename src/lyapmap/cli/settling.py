"""`lyapmap settling`: when trajectories come to rest, on which fixed points and cycles, and how many on each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lyapmap.cli import common, show

if TYPE_CHECKING:
    from rich.table import Table

    from lyapmap.analysis.orbits.settling import Settling
    from lyapmap.cli.source import Source

SHOWN = 12
"""Ends that the table shows; the files hold all."""

EPILOG = """Examples:

lyapmap settling --model kaleidoscope-mnist --trajectories 32

lyapmap settling --map logistic -p r=3.5 --trajectories 200 --steps 2000

lyapmap settling --model last.pt --x0 noise.npy --steps 1000 --out rest"""


@common.command
@common.about_a_map()
def settling(
    source: Source,
    steps: Annotated[int, typer.Option("--steps", "-n", min=1, help="Steps that are given to settle.")] = 1000,
    longest_period: Annotated[
        int, typer.Option("--longest-period", min=1, help="Longest cycle that is looked for.")
    ] = 32,
    tolerance: Annotated[
        float | None,
        typer.Option("--tolerance", help="Distance, relative to |x|, that counts as rest.", show_default="by dtype"),
    ] = None,
    out: common.OutOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """When trajectories come to rest, and where: fixed points and cycles with the share of starts that end there.

    With --out DIR: settling.nc, settling.json, settling.png and report.html.
    """
    from lyapmap.analysis.orbits.settling import settling as measure

    result, interrupted = common.completed(
        lambda: measure(
            source.map,
            source.x0,
            n_steps=steps,
            longest_period=longest_period,
            tolerance=tolerance,
            progress=not as_json,
            throw=False,
        )
    )
    low, high = result.settled_interval[-1]
    half = result.median_settled_at
    settled = int((result.attractor >= 0).sum())
    facts = [
        ("at rest", f"{result.settled_share[-1]:.1%} ({low:.1%} to {high:.1%}) of {len(result.attractor)}"),
        ("half by step", f"{half:.0f}" if half < float("inf") else "-"),
        ("ends", f"{len(result.points)}, at least {result.n_estimated:.0f} in all" if len(result.points) else "-"),
        ("unseen", show.number(result.unseen) if result.unseen or not settled else f"below {1 / settled:.2g}"),
    ]
    show.conclude(
        result,
        title=f"Where {source.name} comes to rest",
        facts=facts,
        table=None if as_json or not len(result.points) else _table(result),
        name="settling",
        out=out,
        as_json=as_json,
        source=source,
        interrupted=interrupted,
    )


def _table(result: Settling) -> Table:
    table = show.make_table("#", "period", "share", "95 % limits", "first components")
    for i, (share, (low, high)) in enumerate(zip(result.share, result.share_interval, strict=True)):
        if i == SHOWN:
            table.caption = f"and {len(result.share) - SHOWN} more; --out or --json gives all"
            break
        point = " ".join(f"{value:.4f}" for value in result.points[i, :3])
        more = " ..." if result.points.shape[1] > 3 else ""
        table.add_row(str(i + 1), str(result.period[i]), f"{share:.3f}", f"{low:.3f} to {high:.3f}", point + more)
    return table
