"""`lyapmap correlation-dimension`: D2 of a map's attractor or of points in a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lyapmap.cli import common, show
from lyapmap.core.errors import LyapmapError

if TYPE_CHECKING:
    from lyapmap.cli.source import Source

STEPS = {"map": 20_000, "callable": 20_000, "model": 2_000}

EPILOG = """Examples:

lyapmap correlation-dimension --map henon

lyapmap correlation-dimension --map henon --trajectories 4 --steps 5000 --out report

lyapmap correlation-dimension --points orbit.npy --theiler 50 --json"""


@common.command
@common.about_a_map(optional=True, trajectories=1)
def correlation_dimension(
    source: Source | None,
    seed: int,
    points: Annotated[
        Path | None, typer.Option("--points", metavar="FILE", help=".npy, .csv or .txt, one point per row.")
    ] = None,
    bundle: Annotated[
        bool, typer.Option("--bundle", help="--points holds trajectories (b, N, d) and no points of N x d values.")
    ] = False,
    steps: Annotated[
        int | None, typer.Option("--steps", "-n", min=100, help="Points of each trajectory.", show_default="20000")
    ] = None,
    transient: Annotated[int, typer.Option("--transient", min=0, help="Steps before.")] = 1_000,
    theiler: Annotated[
        int | None, typer.Option("--theiler", min=0, help="Steps between points of a pair.", show_default="auto")
    ] = None,
    window: Annotated[
        tuple[float, float] | None,
        typer.Option("--window", metavar="LOW HIGH", help="Radii to fit between.", show_default="auto"),
    ] = None,
    max_pairs: Annotated[int, typer.Option("--max-pairs", min=1000, help="Pairs to look at.")] = 4_000_000,
    out: common.OutOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Correlation dimension of an attractor, with an error bar."""
    from lyapmap.analysis.dimension.correlation import correlation_dimension as measure
    from lyapmap.cli.measured import iterated, one_of, read_numbers

    one_of(source, points, "--points")
    if bundle and points is None:
        raise LyapmapError("--bundle: only together with --points")
    given: Any
    if source is not None:
        given = iterated(source, steps=STEPS[source.kind] if steps is None else steps, transient=transient)
        name = source.name
    else:
        given, name = read_numbers(points, "--points"), points.name  # type: ignore[arg-type, union-attr]
    result, interrupted = common.completed(
        lambda: measure(
            given,
            trajectories=bundle,
            theiler="auto" if theiler is None else theiler,
            window="auto" if window is None else window,
            max_pairs=max_pairs,
            seed=seed,
            throw=False,
        )
    )
    low, high = result.window
    show.conclude(
        result,
        title=f"Correlation dimension of {name}",
        facts=[
            ("dimension", show.pair(result.dimension, result.stderr)),
            ("error", f"{show.number(result.statistical)} sample, {show.number(result.systematic)} window"),
            ("radii", "none" if low != low else f"{low:.3g} to {high:.3g}"),
            ("points", f"{result.n_points}, pairs more than {result.theiler} steps apart"),
        ],
        name="correlation_dimension",
        out=out,
        as_json=as_json,
        source=source,
        interrupted=interrupted,
    )
