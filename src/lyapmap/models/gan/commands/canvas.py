"""`lyapmap gan canvas`: a GRAN's recurrence as a dynamical system."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lyapmap.cli import common, show
from lyapmap.models.gan.commands import sample as gan_sample

if TYPE_CHECKING:
    from lyapmap.models.gan.canvas import CanvasDynamics

EPILOG = """Examples:

lyapmap gan canvas --model runs/gran3/last.pt

lyapmap gan canvas --model runs/gran5/last.pt --state code --steps 1000 --out report"""


@common.command
def canvas(
    model: gan_sample.ModelOption,
    noises: Annotated[
        list[str] | None, typer.Option("--noise", help="one or fresh; repeatable.", show_default="both")
    ] = None,
    steps: Annotated[int, typer.Option("--steps", "-n", min=1, help="Steps to average exponents over.")] = 300,
    transient: Annotated[int, typer.Option("--transient", min=0, help="Steps before.")] = 100,
    exponents: Annotated[int, typer.Option("--exponents", "-k", min=1, help="How many.")] = 6,
    trajectories: Annotated[int, typer.Option("--trajectories", "-b", min=1, help="Pieces of noise.")] = 8,
    canvas_steps: Annotated[int, typer.Option("--canvas-steps", min=2, help="Updates to watch the canvas for.")] = 100,
    state: Annotated[
        str, typer.Option("--state", help="update (the last one, an image) or code (what it is read into).")
    ] = "update",
    dtype: Annotated[
        str | None, typer.Option("--dtype", help="float32 or float64.", show_default="the model's own")
    ] = None,
    device: common.DeviceOption = None,
    seed: common.SeedOption = 0,
    out: common.OutOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Exponents of a GRAN's canvas recurrence, and whether updates and image settle when it draws on and on."""
    from lyapmap.cli.source import require_torch

    require_torch("a canvas")
    from lyapmap.models.gan.canvas import canvas_dynamics
    from lyapmap.models.gan.gran import NOISES
    from lyapmap.models.gan.pair import load_gan

    folder = common.output_folder(out)
    gan = load_gan(model, dtype=dtype, device=device)
    result, interrupted = common.completed(
        lambda: canvas_dynamics(
            gan,
            noises=noises or NOISES,
            n_steps=steps,
            transient=transient,
            n_exponents=exponents,
            trajectories=trajectories,
            canvas_steps=canvas_steps,
            state=state,
            seed=seed,
            progress=not as_json,
            throw=False,
        )
    )
    show.conclude(
        result,
        title=f"Canvas of {gan.name}, trained with {result.trained_steps} steps and {gan.config.noise} noise",  # type: ignore[attr-defined]
        facts=_facts(result),
        table=None if as_json else _table(result),
        name="canvas",
        out=folder,
        as_json=as_json,
        interrupted=interrupted,
    )


def _table(result: CanvasDynamics) -> Any:
    table = show.make_table("", *(f"{noise} noise" for noise in result.noises))
    for k in range(result.exponents.shape[1]):
        cells = zip(result.exponents[:, k], result.stderr[:, k], strict=True)
        table.add_row(f"exponent {k + 1}", *(show.pair(*cell) for cell in cells))
    return table


def _facts(result: CanvasDynamics) -> list[tuple[str, str]]:
    facts = []
    last = result.update_size.shape[1]
    trained = min(result.trained_steps, last)
    for i, noise in enumerate(result.noises):
        size, change, moved = (
            float(x[i, -1, 1]) for x in (result.update_size, result.update_change, result.image_change)
        )
        facts.append((f"{noise} noise", f"at step {last} updates have size {size:.3g} and change by {change:.1e}"))
        then, now = float(result.saturated[i, trained - 1]), float(result.saturated[i, -1])
        ends = f"{now:.0%} of it black or white, {then:.0%} at step {trained}"
        facts.append(("", f"the image changes by {moved:.1e}, {ends}"))
    return facts
