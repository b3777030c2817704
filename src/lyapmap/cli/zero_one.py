"""`lyapmap zero-one`: chaotic or regular?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lyapmap.cli import common, show

if TYPE_CHECKING:
    from lyapmap.cli.source import Source

STEPS = {"map": 5_000, "callable": 5_000, "model": 1_000}

EPILOG = """Examples:

lyapmap zero-one --map logistic -p r=3.97

lyapmap zero-one --series measured.csv

lyapmap zero-one --map standard --trajectories 4 --json"""


@common.command
@common.about_a_map(optional=True, trajectories=1)
def zero_one(
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
    steps: Annotated[
        int | None, typer.Option("--steps", "-n", min=200, help="Of a map.", show_default="5000; 1000 of a model")
    ] = None,
    transient: Annotated[int, typer.Option("--transient", min=0, help="Steps of a map before.")] = 1_000,
    frequencies: Annotated[int, typer.Option("--frequencies", min=1, help="How many to try.")] = 100,
    every: Annotated[
        int | None, typer.Option("--every", min=1, help="Use each so many-th value.", show_default="auto")
    ] = None,
    out: common.OutOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """The 0-1 test for chaos: K near 0 is regular, near 1 chaotic."""
    from lyapmap.analysis.series.zero_one import zero_one_test
    from lyapmap.cli import measured

    measured.one_of(source, file, "--series")
    options: dict[str, Any] = {
        "n_frequencies": frequencies,
        "every": "auto" if every is None else every,
        "seed": seed,
        "progress": not as_json,
        "throw": False,
    }
    if source is not None:
        name = source.name
        n_steps = STEPS[source.kind] if steps is None else steps
        result, interrupted = common.completed(
            lambda: zero_one_test(
                source.map, source.x0, n_steps=n_steps, transient=transient, observable=component, **options
            )
        )
    else:
        name = file.name  # type: ignore[union-attr]
        table = measured.read_series(file, "--series", column=column, separator=sep, decimal=decimal)  # type: ignore[arg-type]
        given = table.values
        result, interrupted = common.completed(lambda: zero_one_test(given.T if given.ndim == 2 else given, **options))
    show.conclude(
        result,
        title=f"0-1 test of {name}",
        facts=[
            ("verdict", f"[bold]{result.verdict}[/bold]"),
            ("K", show.pair(result.K, result.stderr)),
            ("series", f"{len(result.K_per_series)} of {result.n_values} values, every {result.every}"),
            ("frequencies", str(len(result.frequencies))),
        ],
        name="zero_one",
        out=out,
        as_json=as_json,
        source=source,
        interrupted=interrupted,
    )
