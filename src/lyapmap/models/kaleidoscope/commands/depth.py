"""`lyapmap kaleidoscope depth`: does depth sharpen the steps?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lyapmap.cli import common, show
from lyapmap.models.kaleidoscope.commands import fits as fits

if TYPE_CHECKING:
    from lyapmap.models.kaleidoscope.line import KaleidoscopeDepth

EPILOG = """Examples:

lyapmap kaleidoscope depth --out depth

lyapmap kaleidoscope depth --points 0.2,0.8 --output sigmoid --depths 1,2,4,8 --widths 10,50 --seeds 10

lyapmap kaleidoscope depth --depths 1,4 --widths 10 --seeds 2 --json"""


@common.command
def depth(
    points: Annotated[str, typer.Option("--points", metavar="X[,X...]", help="To learn.")] = "-0.8,-0.2,0.2,0.8",
    depths: Annotated[str, typer.Option("--depths", metavar="L[,L...]", help="Hidden layers.")] = "1,2,4,7,10",
    widths: Annotated[str, typer.Option("--widths", metavar="H[,H...]", help="Units of each.")] = "5,10,20,50",
    output: Annotated[str, typer.Option("--output", help="tanh for [-1, 1], sigmoid for [0, 1].")] = "tanh",
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Networks of each size.")] = 5,
    steps: fits.StepsOption = 500,
    tolerance: fits.ToleranceOption = 0.01,
    loss: fits.LossOption = 1e-8,
    tries: fits.TriesOption = 16,
    fit_steps: fits.FitStepsOption = 6000,
    seed: common.SeedOption = 0,
    out: common.OutOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Depth against width: steps of the output, their slopes, and how fast starts settle.

    The claim that depth sharpens the steps, measured: change for each doubling of depth and of width.
    """
    from lyapmap.cli.source import require_torch

    require_torch("the fit")
    from lyapmap.models.kaleidoscope.line import kaleidoscope_depth

    folder = common.output_folder(out)
    result, interrupted = common.completed(
        lambda: kaleidoscope_depth(
            fits.numbers(points, "--points"),
            depths=common.integers(depths, "--depths") or (),
            widths=common.integers(widths, "--widths") or (),
            output=output,
            n_seeds=seeds,
            loss=loss,
            fit_steps=fit_steps,
            tries=tries,
            n_steps=steps,
            tolerance=tolerance,
            seed=seed,
            throw=False,
            progress=not as_json,
        )
    )
    show.conclude(
        result,
        title=f"Depth against width, networks fitted to {points}",
        facts=_facts(result),
        table=None if as_json else _table(result),
        name="depth",
        out=folder,
        as_json=as_json,
        interrupted=interrupted,
    )


def _table(result: KaleidoscopeDepth) -> Any:
    from lyapmap.models.kaleidoscope.line import MEASURES

    table = show.make_table("change with", "depth doubled", "width doubled")
    for m, key in enumerate(result.measures):
        table.add_row(MEASURES[key], *(_change(result, m, of) for of in range(2)))
    return table


def _change(result: KaleidoscopeDepth, measure: int, of: int) -> str:
    effect, error = result.effect[measure, of], result.effect_stderr[measure, of]
    if effect != effect:
        return "-"
    if error != error:
        return f"{effect:+.2f}"
    return f"{effect:+.2f} ± {error:.2f} {result.verdict(measure, of):<7}"


def _facts(result: KaleidoscopeDepth) -> list[tuple[str, str]]:
    import numpy as np

    done = ~np.isnan(result.tries)
    fitted = int((result.fit_loss <= result.settings["loss"]).sum())
    facts = [
        ("fitted", f"{fitted} of {result.fit_loss.size} networks to a loss of {result.settings['loss']:g}"),
        ("errors", "standard errors over seeds; rises, falls: at 95 % confidence"),
        ("tries", f"{int(result.tries[done].sum())} sets of initial weights, {int(result.dead[done].sum())} died"),
    ]
    for i, layers in enumerate(result.depths):
        row = [f"{value:.2f}" if value == value else "-" for value in _means(result.measured[0, i])]
        widths = ", ".join(f"H={h}: {value}" for h, value in zip(result.widths, row, strict=True))
        facts.append((f"steps at L={layers}", widths))
    return facts


def _means(values: Any) -> list[float]:
    """Mean of each row over what is known."""
    known = [[value for value in row if value == value] for row in values.tolist()]
    return [sum(row) / len(row) if row else float("nan") for row in known]
