"""What the commands share that fit small kaleidoscopic networks to points."""

from __future__ import annotations

from typing import Annotated

import typer

from lyapmap.core.errors import LyapmapError

FIT = "Fit"

LossOption = Annotated[float, typer.Option("--loss", help="That a fit has to reach.", rich_help_panel=FIT)]
TriesOption = Annotated[
    int, typer.Option("--tries", min=1, help="Most sets of initial weights for one network.", rich_help_panel=FIT)
]
FitStepsOption = Annotated[
    int, typer.Option("--fit-steps", min=1, help="Most steps of Adam for each of them.", rich_help_panel=FIT)
]
ToleranceOption = Annotated[
    float, typer.Option("--tolerance", help="Distance within which a start has settled, or is at a point.")
]
StepsOption = Annotated[int, typer.Option("--steps", "-n", min=1, help="Most iterations of the starts.")]


def numbers(text: str, option: str) -> tuple[float, ...]:
    """Numbers separated by commas, as `--points 0.2,0.8` gives them.

    >>> numbers("0.2,0.8", "--points")
    (0.2, 0.8)
    """
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise LyapmapError(f"{option}: expected numbers separated by commas, got {text!r}") from None


def pairs(text: str, option: str) -> tuple[tuple[float, float], ...]:
    """Points of the plane, as `--points "0.2,0.8 0.5,0.5"` gives them.

    >>> pairs("0.2,0.8 0.5,0.5", "--points")
    ((0.2, 0.8), (0.5, 0.5))
    """
    found = [numbers(part, option) for part in text.split()]
    if not found or any(len(point) != 2 for point in found):
        raise LyapmapError(f'{option}: expected pairs as in "0.2,0.8 0.5,0.5", got {text!r}')
    return tuple((point[0], point[1]) for point in found)
