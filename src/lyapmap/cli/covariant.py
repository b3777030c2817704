"""`lyapmap covariant`: covariant Lyapunov vectors, their growth and the angles between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lyapmap.cli import common, show

if TYPE_CHECKING:
    from rich.table import Table

    from lyapmap.analysis.exponents.covariant import CovariantVectors
    from lyapmap.cli.source import Source

STEPS = {"map": 2_000, "callable": 2_000, "model": 20}

EPILOG = """Examples:

lyapmap covariant --map henon -b 2

lyapmap covariant --model cycle-digits-012 -b 1 -k 3 --steps 20 --out directions

lyapmap covariant --map generalized_henon -b 1 --split 2 --sample-every 10 --json"""


@common.command
@common.about_a_map(trajectories=1)
def covariant(
    source: Source,
    steps: Annotated[
        int | None,
        typer.Option(
            "--steps", "-n", min=1, help="Steps along which they are computed.", show_default="by kind of map"
        ),
    ] = None,
    vectors: Annotated[
        int | None, typer.Option("--vectors", "-k", min=1, help="How many.", show_default="all to n=64, then 8")
    ] = None,
    transient: Annotated[int, typer.Option("--transient", min=0, help="Steps before, for frames to align.")] = 100,
    backward: Annotated[
        int | None,
        typer.Option("--backward-transient", min=0, help="Steps after.", show_default="by the gaps of the exponents"),
    ] = None,
    split: Annotated[
        int | None,
        typer.Option(
            "--split", min=1, help="Vectors on the first side of the angle.", show_default="the expanding ones"
        ),
    ] = None,
    sample_every: Annotated[int, typer.Option("--sample-every", min=1, help="Steps between samples.")] = 1,
    out: common.OutOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Covariant Lyapunov vectors: the directions that chaos amplifies, and the angles between them.

    With --out DIR: covariant.nc, covariant.json, covariant.png (images, where states are images)
    and report.html.
    """
    from lyapmap.analysis.exponents.covariant import covariant_vectors

    result, interrupted = common.completed(
        lambda: covariant_vectors(
            source.map,
            source.x0,
            n_steps=STEPS[source.kind] if steps is None else steps,
            n_vectors=vectors,
            transient=transient,
            backward_transient=backward,
            split=split,
            sample_every=sample_every,
            seed=source.seed,
            progress=not as_json,
            throw=False,
        )
    )
    show.conclude(
        result,
        title=f"Covariant Lyapunov vectors of {source.name}",
        facts=_facts(result),
        table=None if as_json else _table(result),
        name="covariant",
        out=out,
        as_json=as_json,
        source=source,
        interrupted=interrupted,
    )


def _table(result: CovariantVectors) -> Table:
    table = show.make_table("#", "exponent", "of the frames", "backward residual")
    columns = (result.exponents, result.qr_exponents, result.backward_residual)
    for i, (own, frame, rest) in enumerate(zip(*columns, strict=True), 1):
        table.add_row(str(i), show.number(own), show.number(frame), f"{rest:.1e}")
    return table


def _facts(result: CovariantVectors) -> list[tuple[str, str]]:
    import numpy as np

    settings = result.settings
    k, split = len(result.exponents), result.split
    facts = []
    if np.isfinite(result.smallest_angle):
        median = np.degrees(np.nanmedian(result.angles))
        words = f"smallest {np.degrees(result.smallest_angle):.2g}°, median {median:.3g}°"
        facts.append(("angle", f"{words}, between the first {split} and the other {k - split}"))
    b, samples = result.angles.shape
    lengths = f"{settings['transient']} before, {settings['backward_transient']} after"
    facts.append(("run", f"{b} x {settings['n_steps']} steps ({lengths}), {samples} samples"))
    return facts
