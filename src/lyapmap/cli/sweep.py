"""`lyapmap sweep`: bifurcation diagram and exponents along a parameter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lyapmap.cli import common, show

if TYPE_CHECKING:
    from lyapmap.analysis.exponents.sweep import Sweep
    from lyapmap.cli.source import Source

EPILOG = """Examples:

lyapmap sweep --map logistic --over r --from 2.5 --to 4 --values 1000 --out logistic

lyapmap sweep --map henon -p b=0.3 --over a --from 1 --to 1.4 --out henon

lyapmap sweep --map ikeda --over u --from 0.9 --to 0.6 --carry --only spectrum --json"""


@common.command
@common.about_a_map()
def sweep(
    source: Source,
    over: Annotated[str, typer.Option("--over", metavar="NAME", help="The parameter that is varied.")],
    low: Annotated[float, typer.Option("--from", help="Its first value.")],
    high: Annotated[float, typer.Option("--to", help="Its last value; may be the smaller one.")],
    values: Annotated[int, typer.Option("--values", min=1, help="How many, evenly spaced.")] = 200,
    only: Annotated[
        str | None, typer.Option("--only", metavar="bifurcation|spectrum", help="One of both.", show_default="both")
    ] = None,
    steps: Annotated[int, typer.Option("--steps", "-n", min=1, help="Steps that exponents are averaged over.")] = 1_000,
    transient: Annotated[int, typer.Option("--transient", min=0, help="Steps before that.")] = 500,
    kept: Annotated[int, typer.Option("--kept", min=1, help="Steps of each trajectory kept for the diagram.")] = 25,
    carry: Annotated[
        bool, typer.Option("--carry", help="Start each value where the one before ended.", show_default=False)
    ] = False,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Threads.")] = 1,
    out: common.OutOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Bifurcation diagram and Lyapunov exponents of a reference map along one of its parameters.

    With --out DIR: sweep.nc, sweep.json, sweep.png and report.html.
    """
    import numpy as np

    from lyapmap.analysis.exponents.sweep import sweep as along

    factory = _family(source, over)
    result, interrupted = common.completed(
        lambda: along(
            factory,
            over,
            np.linspace(low, high, values),
            source.x0,
            analysis=("bifurcation", "spectrum") if only is None else only,
            n_steps=steps,
            transient=transient,
            n_kept=kept,
            carry=carry,
            workers=workers,
            seed=source.seed,
            progress=not as_json,
            throw=False,
        )
    )
    show.conclude(
        result,
        title=f"Sweep of {source.name} over {over}",
        facts=_facts(result),
        name="sweep",
        out=out,
        as_json=as_json,
        source=source,
        interrupted=interrupted,
    )


def _family(source: Source, over: str) -> Any:
    """The factory of the reference map, its other parameters fixed as `-p` gave them."""
    from functools import partial

    from lyapmap.core.errors import LyapmapError
    from lyapmap.systems import catalogue

    if source.kind != "map":
        raise LyapmapError(f"--map: only reference maps have parameters to sweep, got --{source.kind}")
    info = catalogue()[source.name]
    if over not in info.parameters:
        there = ", ".join(info.parameters) or "none"
        raise LyapmapError(f"--over: {source.name} has no parameter {over!r}; there are {there}")
    given = source.map.parameters  # type: ignore[attr-defined]  # reference maps have them
    return partial(info.factory, **{k: v for k, v in given.items() if k in info.parameters and k != over})


def _facts(result: Sweep) -> list[tuple[str, str]]:
    facts = [("values", f"{len(result.values)} from {result.values[0]:g} to {result.values[-1]:g}")]
    if result.exponents.shape[1]:
        largest, error = result.exponents[:, 0], result.stderr[:, 0]
        positive = [bool(value > 3 * e) for value, e in zip(largest, error, strict=True)]
        facts.append(("largest exponent", f"positive at {sum(positive)} values"))
        best = max((value, i) for i, value in enumerate(largest) if value == value) if any(largest == largest) else None
        if best:
            words = f"{show.pair(best[0], error[best[1]])} nats {result.unit}"
            facts.append(("its maximum", f"{words} at {result.parameter} = {result.values[best[1]]:g}"))
    return facts
