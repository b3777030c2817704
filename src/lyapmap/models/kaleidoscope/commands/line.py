"""`lyapmap kaleidoscope line`: networks fitted to points on a line, and their dynamics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lyapmap.cli import common, show
from lyapmap.core.errors import LyapmapError
from lyapmap.models.kaleidoscope.commands import fits as fits

if TYPE_CHECKING:
    from lyapmap.models.kaleidoscope.line import KaleidoscopeLine

EPILOG = """Examples:

lyapmap kaleidoscope line --out line

lyapmap kaleidoscope line --points 0.2,0.8 --depth 7 --width 5 --json

lyapmap kaleidoscope line --points -0.8,-0.2,0.2,0.8 --depth 10 --width 10 --output tanh --seed 1"""


@common.command
def line(
    points: Annotated[
        str | None,
        typer.Option("--points", metavar="X[,X...]", help="To learn.", show_default="the paper's four settings"),
    ] = None,
    depth: Annotated[
        int | None, typer.Option("--depth", min=1, help="Hidden layers, with --points.", show_default="2")
    ] = None,
    width: Annotated[
        int | None, typer.Option("--width", min=1, help="Units of each, with --points.", show_default="5")
    ] = None,
    output: Annotated[
        str | None,
        typer.Option("--output", help="sigmoid for [0, 1], tanh for [-1, 1].", show_default="sigmoid"),
    ] = None,
    steps: fits.StepsOption = 1000,
    samples: Annotated[int, typer.Option("--samples", min=1, help="Random starts.")] = 10,
    grid: Annotated[int, typer.Option("--grid", min=3, help="Places over the range, also as starts.")] = 1001,
    tolerance: fits.ToleranceOption = 0.01,
    loss: fits.LossOption = 1e-8,
    tries: fits.TriesOption = 32,
    fit_steps: fits.FitStepsOption = 12_000,
    seed: common.SeedOption = 0,
    out: common.OutOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Points on a line: loss and output over the whole range, samples, fixed points and basins (Fig. 2, 3, 4).

    Without --points, the paper's four networks, in one figure.
    """
    from lyapmap.cli.source import require_torch

    require_torch("the fit")
    from lyapmap.models.kaleidoscope.line import PAPER, LineSetting, kaleidoscope_line

    folder = common.output_folder(out)
    given = {"depth": depth, "width": width, "output": output}
    chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if points is None and chosen:
        raise LyapmapError("--depth, --width and --output: only together with --points")
    settings = PAPER if points is None else (LineSetting(fits.numbers(points, "--points"), **chosen),)
    result, interrupted = common.completed(
        lambda: kaleidoscope_line(
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
        title="Kaleidoscopes on a line",
        facts=_facts(result),
        table=None if as_json else _table(result),
        name="line",
        out=folder,
        as_json=as_json,
        interrupted=interrupted,
    )


def _table(result: KaleidoscopeLine) -> Any:
    import numpy as np

    # Steps of Adam, flat steps of the output, iterations until half and 95 % of the starts have settled.
    table = show.make_table("", "loss", "Adam", "tries", "flat", "steepest", "settled", "95 %", "at points")
    for i in range(len(result.names)):
        took = result.settled_after[i][result.settled_after[i] >= 0]
        table.add_row(
            str(i + 1),
            f"{result.fit_loss[i]:.1e}",
            str(result.fit_steps[i]),
            str(result.tries[i]) + (f" ({result.dead[i]} dead)" if result.dead[i] else ""),
            str(int(np.isfinite(result.flat_steps[i, :, 0]).sum())),
            f"{np.abs(result.slope[i]).max():.3g}",
            *((f"{np.median(took):.0f}", f"{np.percentile(took, 95):.0f}") if len(took) else ("-", "-")),
            f"{100 * result.share_at_points[i]:.0f} %",
        )
    return table


def _facts(result: KaleidoscopeLine) -> list[tuple[str, str]]:
    import numpy as np

    facts = []
    for i, name in enumerate(result.names):
        facts.append((f"network {i + 1}", name))
        for place, slope, share in zip(
            result.fixed_points[i], result.multipliers[i], result.basin_shares[i], strict=True
        ):
            if np.isfinite(place):
                kind = "stable" if abs(slope) < 1 else "unstable"
                facts.append(("  fixed point", f"{place:+.4f}  {kind}, slope {slope:+.3f}, basin {100 * share:.1f} %"))
    return facts
