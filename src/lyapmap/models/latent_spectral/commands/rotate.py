"""`lyapmap lsd rotate`: images turned from label to label."""

from __future__ import annotations

from typing import Annotated

import typer

from lyapmap.cli import common
from lyapmap.core.errors import LyapmapError
from lyapmap.models.latent_spectral.commands.options import CountOption, DataOption, ModelOption, loaded, tell

EPILOG = """Examples:

lyapmap lsd rotate --model runs/lsd/last.pt --data mnist --out rotated

lyapmap lsd rotate --model runs/lsd/last.pt --data mnist --cycle 0,1,2 --steps 1 --round-trip --out rotated"""


@common.command
def rotate(
    model: ModelOption,
    data: DataOption,
    cycle: Annotated[
        str | None,
        typer.Option("--cycle", metavar="N,N[,N...]", help="Categories to go through.", show_default="all"),
    ] = None,
    steps: Annotated[int, typer.Option("--steps", min=1, help="From one category to the next.")] = 3,
    round_trip: Annotated[bool, typer.Option("--round-trip", help="Decode and encode after each step.")] = False,
    samples: CountOption = 10,
    device: common.DeviceOption = None,
    out: common.OutOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Encode images of the first category and rotate them through all others and back."""
    chosen = common.integers(cycle, "--cycle")
    lsd, images = loaded(model, data, 10**9, device=device)
    from lyapmap.models.latent_spectral.images import rotated_images

    assert lsd.basis is not None
    order = lsd.classes if chosen is None else chosen
    unknown = [c for c in order if c not in lsd.classes]
    if unknown:
        raise LyapmapError(f"--cycle: {lsd.name} knows {', '.join(map(str, lsd.classes))}, got {unknown[0]}")
    first = images.only([order[0]])
    first = first.some(min(samples, len(first)))
    result = rotated_images(
        lsd.basis,
        first.images,
        labels=[lsd.classes.index(c) for c in order],
        steps=steps,
        round_trip=round_trip,
        value_range=images.value_range,
    )
    title = f"{lsd.name}: {len(first)} images through {', '.join(map(str, order))} and back"
    tell(result, lsd, first, title, name="rotated", out=out, as_json=as_json, columns=slice(1, None, steps))
