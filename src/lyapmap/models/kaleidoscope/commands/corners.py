"""`lyapmap kaleidoscope corners`: loss at the corners of the cube against points learned and dimension."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lyapmap.cli import common, show
from lyapmap.models.kaleidoscope.commands import fits as fits

if TYPE_CHECKING:
    from lyapmap.models.kaleidoscope.cube import KaleidoscopeCorners

EPILOG = """Examples:

lyapmap kaleidoscope corners --out corners

lyapmap kaleidoscope corners --full --out corners

lyapmap kaleidoscope corners --dimensions 1,2,16 --n-points 1,64,2048 --seeds 5 --json"""


@common.command
def corners(
    full: Annotated[
        bool, typer.Option("--full", help="The paper's sizes: D = 1 to 16, 1 to 2048 points; takes long.")
    ] = False,
    dimensions: Annotated[
        str | None,
        typer.Option("--dimensions", metavar="D[,D...]", help="Of the cube.", show_default="1,2,4,8"),
    ] = None,
    n_points: Annotated[
        str | None,
        typer.Option("--n-points", metavar="N[,N...]", help="Points learned.", show_default="1,4,16,64,256"),
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Networks of each size, with own points.")] = 3,
    depth: Annotated[int, typer.Option("--depth", min=1, help="Hidden layers.")] = 2,
    width: Annotated[int, typer.Option("--width", min=1, help="Units of each.")] = 50,
    loss: Annotated[float, typer.Option("--loss", help="At which a fit is done.", rich_help_panel=fits.FIT)] = 1e-8,
    fit_steps: fits.FitStepsOption = 1500,
    seed: common.SeedOption = 0,
    out: common.OutOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Largest loss over all 2^D corners of the cube, against the number of points learned (Fig. 6)."""
    from lyapmap.cli.source import require_torch

    require_torch("the fit")
    from lyapmap.models.kaleidoscope.cube import PAPER_CORNERS, QUICK_CORNERS, kaleidoscope_corners

    folder = common.output_folder(out)
    usual = PAPER_CORNERS if full else QUICK_CORNERS
    sides = common.integers(dimensions, "--dimensions") or usual[0]
    counts = common.integers(n_points, "--n-points") or usual[1]
    result, interrupted = common.completed(
        lambda: kaleidoscope_corners(
            sides,
            counts,
            n_seeds=seeds,
            depth=depth,
            width=width,
            loss=loss,
            fit_steps=fit_steps,
            seed=seed,
            progress=not as_json,
        )
    )
    show.conclude(
        result,
        title="Largest loss over all corners of the unit cube",
        facts=[
            ("network", f"L={depth}, H={width}, sigmoid"),
            ("seeds", f"{seeds}, each with its own points"),
        ],
        table=None if as_json else _table(result),
        name="corners",
        out=folder,
        as_json=as_json,
        interrupted=interrupted,
    )


def _table(result: KaleidoscopeCorners) -> Any:
    table = show.make_table("points", *(f"D = {d}" for d in result.dimensions))
    for j, count in enumerate(result.n_points):
        cells = zip(result.largest_mean[:, j], result.largest_stderr[:, j], strict=True)
        table.add_row(str(count), *("-" if mean != mean else _cell(mean, error) for mean, error in cells))
    return table


def _cell(mean: float, error: float) -> str:
    return f"{mean:.3f} ± {error:.3f}" if error == error else f"{mean:.3f}"
