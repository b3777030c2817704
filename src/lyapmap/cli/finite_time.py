"""`lyapmap finite-time`: exponents over windows, as distributions or as fields over a plane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lyapmap.cli import common, show
from lyapmap.cli.plane import AxesOption, GridOption, HighOption, LowOption, plane

if TYPE_CHECKING:
    from rich.table import Table

    from lyapmap.analysis.exponents.finite_time import FiniteTimeExponents
    from lyapmap.cli.source import Source

STEPS = {"map": 100, "callable": 100, "model": 50}
TRANSIENT = {"map": 1_000, "callable": 1_000, "model": 100}

EPILOG = """Examples:

lyapmap finite-time --map henon -b 200 --steps 50 --windows 20 -k 2

lyapmap finite-time --map standard --grid 300,300 --low 0,0 --high 6.283,6.283 --steps 30 --out field

lyapmap finite-time --model cycle-digits-012 -b 27 -k 5 --out distribution"""


@common.command
@common.about_a_map()
def finite_time(
    source: Source,
    steps: Annotated[
        int | None, typer.Option("--steps", "-n", min=1, help="Steps in a window.", show_default="by kind of map")
    ] = None,
    windows: Annotated[int, typer.Option("--windows", min=1, help="Windows along each trajectory.")] = 1,
    exponents: Annotated[int, typer.Option("--exponents", "-k", min=1, help="How many.")] = 1,
    transient: Annotated[
        int | None, typer.Option("--transient", min=0, help="Steps before.", show_default="by kind of map; 0 of a grid")
    ] = None,
    measure: Annotated[
        str | None,
        typer.Option("--measure", help="local or stretching.", show_default="local; stretching over a grid"),
    ] = None,
    grid: GridOption = None,
    low: LowOption = None,
    high: HighOption = None,
    axes: AxesOption = "0,1",
    out: common.OutOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Exponents over windows of time: their distribution, or with --grid a field over a plane of states.

    With --out DIR: finite-time.nc, finite-time.json, finite-time.png and report.html.
    """
    from lyapmap.analysis.exponents.finite_time import finite_time_exponents

    start: Any = source.x0 if grid is None else plane(source, grid, low, high, axes)
    before = 0 if grid is not None else TRANSIENT[source.kind]
    result, interrupted = common.completed(
        lambda: finite_time_exponents(
            source.map,
            start,
            n_steps=STEPS[source.kind] if steps is None else steps,
            n_windows=windows,
            n_exponents=exponents,
            transient=before if transient is None else transient,
            measure=measure or ("local" if grid is None else "stretching"),
            seed=source.seed,
            progress=not as_json,
            throw=False,
        )
    )
    show.conclude(
        result,
        title=f"Finite-time exponents of {source.name}",
        facts=_facts(result),
        table=None if as_json else _table(result),
        name="finite-time",
        out=out,
        as_json=as_json,
        source=None if grid is not None else source,
        interrupted=interrupted,
    )


def _table(result: FiniteTimeExponents) -> Table:
    import numpy as np

    table = show.make_table("#", "mean", "spread", "smallest", "largest", "peaks")
    for i in range(result.exponents.shape[2]):
        values = result.values(i)
        if values.size == 0:
            table.add_row(str(i + 1), "-", "-", "-", "-", "-")
            continue
        numbers = [show.number(float(f(values))) for f in (np.mean, np.std, np.min, np.max)]
        table.add_row(str(i + 1), *numbers, str(result.modes(i) or "-"))
    return table


def _facts(result: FiniteTimeExponents) -> list[tuple[str, str]]:
    b, windows, _ = result.exponents.shape
    facts = [("measure", f"{result.measure} growth, nats {result.unit}")]
    if result.grid:
        facts.append(("grid", " x ".join(str(count) for count in result.grid["shape"])))
    facts.append(("run", f"{b} x {windows} windows of {result.n_steps} steps after {result.settings['transient']}"))
    return facts
