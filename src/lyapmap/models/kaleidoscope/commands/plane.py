"""`lyapmap kaleidoscope plane`: networks fitted to points of the unit square, and their dynamics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lyapmap.cli import common, show
from lyapmap.core.errors import LyapmapError
from lyapmap.models.kaleidoscope.commands import fits as fits

if TYPE_CHECKING:
    from lyapmap.models.kaleidoscope.cube import KaleidoscopePlane

EPILOG = """Examples:

lyapmap kaleidoscope plane --out plane

lyapmap kaleidoscope plane --points "0.2,0.2 0.8,0.8" --depth 4 --width 20 --json"""


@common.command
def plane(
    points: Annotated[
        str | None,
        typer.Option("--points", metavar='"X,Y X,Y ..."', help="To learn.", show_default="the paper's two settings"),
    ] = None,
    depth: Annotated[
        int | None, typer.Option("--depth", min=1, help="Hidden layers, with --points.", show_default="2")
    ] = None,
    width: Annotated[
        int | None, typer.Option("--width", min=1, help="Units of each, with --points.", show_default="50")
    ] = None,
    steps: fits.StepsOption = 300,
    samples: Annotated[int, typer.Option("--samples", min=1, help="Random starts.")] = 100,
    grid: Annotated[int, typer.Option("--grid", min=2, help="Places along either axis, also as starts.")] = 101,
    tolerance: fits.ToleranceOption = 0.01,
    loss: fits.LossOption = 1e-8,
    tries: fits.TriesOption = 32,
    fit_steps: fits.FitStepsOption = 12_000,
    seed: common.SeedOption = 0,
    out: common.OutOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Points of the unit square: loss surface, samples over iterations, basins (Fig. 5).

    Without --points, the paper's two networks, in one figure.
    """
    from lyapmap.cli.source import require_torch

    require_torch("the fit")
    from lyapmap.models.kaleidoscope.cube import PAPER_PLANE, PlaneSetting, kaleidoscope_plane

    folder = common.output_folder(out)
    given = {"depth": depth, "width": width}
    chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if points is None and chosen:
        raise LyapmapError("--depth and --width: only together with --points")
    settings = PAPER_PLANE if points is None else (PlaneSetting(fits.pairs(points, "--points"), **chosen),)
    result, interrupted = common.completed(
        lambda: kaleidoscope_plane(
            settings,
            loss=loss,
            fit_steps=fit_steps,
            tries=tries,
            n_grid=grid,
            n_steps=steps,
            n_samples=samples,
            tolerance=tolerance,
            seed=seed,
            throw=False,
            progress=not as_json,
        )
    )
    show.conclude(
        result,
        title="Kaleidoscopes on the unit square",
        facts=_facts(result),
        table=None if as_json else _table(result),
        name="plane",
        out=folder,
        as_json=as_json,
        interrupted=interrupted,
    )


def _table(result: KaleidoscopePlane) -> Any:
    last = f"at points, n = {result.sampled_after[-1]}"
    table = show.make_table("", "loss", "largest", "Adam", "tries", "settled", "ends", last)
    for i in range(len(result.names)):
        table.add_row(
            str(i + 1),
            f"{result.fit_loss[i]:.1e}",
            f"{result.loss[i].max():.3f}",
            str(int(result.fit_steps[i])),
            str(int(result.tries[i])),
            f"{100 * result.settled[i]:.0f} %",
            str(int(result.n_ends[i])),
            f"{100 * result.share_at_points[i, -1]:.0f} %",
        )
    return table


def _facts(result: KaleidoscopePlane) -> list[tuple[str, str]]:
    facts = []
    for i, name in enumerate(result.names):
        facts.append((f"network {i + 1}", name))
        for (x, y), share, expansion in zip(
            result.points[i], result.share_by_point[i], result.expansion[i], strict=True
        ):
            if x == x:
                words = f"basin {100 * share:.1f} %, largest singular value {expansion:.3f}"
                facts.append(("  point", f"({x:g}, {y:g})  {words}"))
    return facts
