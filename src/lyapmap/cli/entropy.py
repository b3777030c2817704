"""`lyapmap entropy`: expansion entropy on a box."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lyapmap.cli import common, show

if TYPE_CHECKING:
    from lyapmap.cli.source import Source

EPILOG = """Examples:

lyapmap entropy --map logistic --low 0 --high 1

lyapmap entropy --map henon --low -2,-2 --high 2,2 --steps 20 --samples 50000 --out henon"""


@common.command
@common.about_a_map()
def entropy(
    source: Source,
    low: Annotated[str, typer.Option("--low", metavar="X[,X...]", help="Lower corner of the region.")],
    high: Annotated[str, typer.Option("--high", metavar="X[,X...]", help="Upper corner of the region.")],
    steps: Annotated[int, typer.Option("--steps", "-n", min=4, help="Longest time.")] = 20,
    samples: Annotated[int, typer.Option("--samples", min=40, help="Points scattered over the region.")] = 20_000,
    out: common.OutOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Expansion entropy: positive where a map is chaotic within a region, attractor or not.

    Needs no initial states: points are scattered over the region. With --out DIR: entropy.nc,
    entropy.json, entropy.png and report.html.
    """
    from lyapmap.analysis.exponents.entropy import expansion_entropy

    region = common.box(low, high)
    result, interrupted = common.completed(
        lambda: expansion_entropy(
            source.map,
            region,
            n_steps=steps,
            n_samples=samples,
            seed=source.seed,
            progress=not as_json,
            throw=False,
        )
    )
    first, last = result.window
    facts = [
        ("entropy", f"{show.pair(result.entropy, result.stderr)} nats {result.unit}"),
        ("fit", f"steps {first} to {last} of {len(result.log_expansion) - 1}" if last else "-"),
        ("samples left", f"{100 * result.surviving[-1]:.4g} % of {result.settings['n_samples']}"),
    ]
    show.conclude(
        result,
        title=f"Expansion entropy of {source.name}",
        facts=facts,
        name="entropy",
        out=out,
        as_json=as_json,
        interrupted=interrupted,
    )
