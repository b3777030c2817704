"""Options of the commands that can start from a grid of states."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lyapmap.cli.common import integers
from lyapmap.core.errors import LyapmapError

if TYPE_CHECKING:
    from lyapmap.analysis.exponents.finite_time import Grid
    from lyapmap.cli.source import Source

GridOption = Annotated[
    str | None, typer.Option("--grid", metavar="N[,N]", help="Start from a grid of so many states, along 1 or 2 axes.")
]
LowOption = Annotated[
    str | None, typer.Option("--low", metavar="X[,X]", help="Lower ends of the grid.", show_default="the map's region")
]
HighOption = Annotated[
    str | None, typer.Option("--high", metavar="X[,X]", help="Upper ends of the grid.", show_default="the map's region")
]
AxesOption = Annotated[str, typer.Option("--axes", metavar="I[,I]", help="Components that vary along the grid.")]


def plane(source: Source, grid: str, low: str | None, high: str | None, axes: str) -> Grid:
    """The grid that the options describe; the first initial state gives the other components."""
    from lyapmap.analysis.exponents.finite_time import grid as make

    shape = integers(grid, "--grid") or ()
    chosen = (integers(axes, "--axes") or ())[: len(shape)]
    region = source.map.region
    bounds = []
    for option, text, end in (("--low", low, 0), ("--high", high, 1)):
        if text is not None:
            bounds.append(_numbers(text, option))
        elif region is not None and all(axis < len(region[end]) for axis in chosen):
            bounds.append([float(region[end][axis]) for axis in chosen])
        else:
            raise LyapmapError(f"{option}: needed together with --grid")
    return make(bounds[0], bounds[1], shape, axes=chosen, base=source.x0[0])


def _numbers(text: str, option: str) -> list[float]:
    try:
        return [float(part) for part in text.replace(" ", ",").split(",") if part]
    except ValueError:
        raise LyapmapError(f"{option}: expected numbers separated by commas, got {text!r}") from None
