"""`lyapmap alignment`: chaotic or regular, from the alignment of deviation vectors (GALI, SALI)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lyapmap.cli import common, show
from lyapmap.cli.plane import AxesOption, GridOption, HighOption, LowOption, plane

if TYPE_CHECKING:
    from rich.table import Table

    from lyapmap.analysis.exponents.alignment import Alignment
    from lyapmap.cli.source import Source

STEPS = {"map": 1_000, "callable": 1_000, "model": 200}
SHOWN = 20

EPILOG = """Examples:

lyapmap alignment --map standard --grid 100,100 --low 0,0 --high 6.283,6.283 --out islands

lyapmap alignment --map henon --transient 100

lyapmap alignment --model cycle-digits-012 -k 3 --json"""


@common.command
@common.about_a_map()
def alignment(
    source: Source,
    steps: Annotated[
        int | None, typer.Option("--steps", "-n", min=1, help="Steps to follow.", show_default="by kind of map")
    ] = None,
    k: Annotated[int, typer.Option("-k", min=2, help="Deviation vectors.")] = 2,
    transient: Annotated[int, typer.Option("--transient", min=0, help="Steps before that.")] = 0,
    grid: GridOption = None,
    low: LowOption = None,
    high: HighOption = None,
    axes: AxesOption = "0,1",
    out: common.OutOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Chaotic or regular? How the volume of deviation vectors (GALI, SALI) vanishes.

    With --out DIR: alignment.nc, alignment.json, alignment.png and report.html.
    """
    from lyapmap.analysis.exponents.alignment import alignment as align

    start: Any = source.x0 if grid is None else plane(source, grid, low, high, axes)
    result, interrupted = common.completed(
        lambda: align(
            source.map,
            start,
            n_steps=STEPS[source.kind] if steps is None else steps,
            k=k,
            transient=transient,
            seed=source.seed,
            progress=not as_json,
            throw=False,
        )
    )
    show.conclude(
        result,
        title=f"Alignment of deviation vectors of {source.name}",
        facts=_facts(result),
        table=None if as_json or grid is not None else _table(result),
        name="alignment",
        out=out,
        as_json=as_json,
        source=None if grid is not None else source,
        interrupted=interrupted,
    )


def _table(result: Alignment) -> Table:
    table = show.make_table("#", f"log GALI_{result.k}", "decay rate", "std. error", "verdict")
    for i, verdict in enumerate(result.verdict[:SHOWN]):
        numbers = (result.log_gali[i, -1], result.decay_rate[i], result.decay_stderr[i])
        table.add_row(str(i + 1), *(show.number(float(number)) for number in numbers), verdict)
    if len(result.verdict) > SHOWN:
        table.caption = f"and {len(result.verdict) - SHOWN} more; --out or --json gives all"
    return table


def _facts(result: Alignment) -> list[tuple[str, str]]:
    b = len(result.verdict)
    return [
        ("verdicts", ", ".join(f"{count} {name}" for name, count in result.counts.items())),
        ("run", f"{b} x {result.steps[-1]} steps after {result.settings['transient']}, nats {result.unit}"),
    ]
