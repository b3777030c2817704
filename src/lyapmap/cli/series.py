"""`lyapmap series`: largest exponent of a measured series."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lyapmap.cli import common, show

if TYPE_CHECKING:
    from lyapmap.cli.source import Source

EPILOG = """Examples:

lyapmap series --series measured.csv --column pressure

lyapmap series --series export.csv --sep ";" --decimal "," --dt 0.02

lyapmap series --map henon --component 0 --steps 5000

lyapmap series --series states.npy --column 2 --method kantz --out report

A column of times or dates gives the step; blank lines, empty cells and NaN are gaps, each of which ends a recording."""


@common.command
@common.about_a_map(optional=True, trajectories=1)
def series(
    source: Source | None,
    seed: int,
    file: Annotated[
        Path | None,
        typer.Option("--series", metavar="FILE", help=".csv, .tsv, .txt, .dat, .npy or .npz, one row per step."),
    ] = None,
    column: Annotated[
        str | None,
        typer.Option("--column", metavar="NAME", help="Name or number (from 0) of the column.", show_default="all"),
    ] = None,
    sep: Annotated[str | None, typer.Option("--sep", help="What parts columns.", show_default="found out")] = None,
    decimal: Annotated[
        str | None, typer.Option("--decimal", help="Decimal sign: . or ,", show_default="found out")
    ] = None,
    component: Annotated[int, typer.Option("--component", min=0, help="Of a map's states.")] = 0,
    steps: Annotated[int, typer.Option("--steps", "-n", min=200, help="Of a map.")] = 5_000,
    transient: Annotated[int, typer.Option("--transient", min=0, help="Steps of a map before.")] = 1_000,
    dt: Annotated[
        float | None, typer.Option("--dt", help="Time between two values.", show_default="of the file")
    ] = None,
    method: Annotated[str, typer.Option("--method", help="rosenstein or kantz.")] = "rosenstein",
    delay: Annotated[int | None, typer.Option("--delay", min=1, show_default="auto")] = None,
    dimension: Annotated[int | None, typer.Option("--dimension", min=1, show_default="auto")] = None,
    theiler: Annotated[int | None, typer.Option("--theiler", min=0, show_default="auto")] = None,
    window: Annotated[
        tuple[float, float] | None,
        typer.Option("--window", metavar="FIRST LAST", help="Steps to fit between.", show_default="auto"),
    ] = None,
    out: common.OutOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Largest Lyapunov exponent of a series of values, without knowing the map."""
    from lyapmap.analysis.series.exponent import from_series
    from lyapmap.analysis.series.zero_one import observed
    from lyapmap.cli import measured

    measured.one_of(source, file, "--series")
    clock = ""
    if source is not None:
        states = measured.iterated(source, steps=steps, transient=transient).states
        given, name = observed(states[:1], component)[0], f"{source.name}, component {component}"
        time_step = (source.map.time_per_step if source.map.is_flow else None) if dt is None else dt
    else:
        table = measured.read_series(file, "--series", column=column, separator=sep, decimal=decimal)  # type: ignore[arg-type]
        given, name = table.values, file.name  # type: ignore[union-attr]
        time_step, clock = (table.step, table.clock) if dt is None else (dt, "")
    result, interrupted = common.completed(
        lambda: from_series(
            given,
            method=method,
            delay="auto" if delay is None else delay,
            dimension="auto" if dimension is None else dimension,
            theiler="auto" if theiler is None else theiler,
            window="auto" if window is None else window,
            dt=time_step,
            progress=not as_json,
            throw=False,
        )
    )
    first, last = result.window
    show.conclude(
        result,
        title=f"Largest exponent of the series {name}",
        facts=[
            ("exponent", f"{show.pair(result.exponent, result.stderr)} nats {result.unit}"),
            ("error", f"{show.number(result.statistical)} sample, {show.number(result.systematic)} method"),
            ("delay vectors", f"dimension {result.dimension}, delay {result.delay}, Theiler {result.theiler}"),
            ("straight part", "none" if first != first else f"steps {first:.0f} to {last:.0f}"),
            ("pairs", str(result.n_pairs)),
            ("noise", "unknown" if result.noise != result.noise else f"about {100 * result.noise:.2g} % of the spread"),
            *([("step", clock)] if clock else []),
        ],
        name="series",
        out=out,
        as_json=as_json,
        source=source,
        interrupted=interrupted,
    )
