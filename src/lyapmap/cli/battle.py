"""`lyapmap battle`: generators judged by each other's discriminators."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lyapmap.cli import common, show

if TYPE_CHECKING:
    from lyapmap.analysis.battle import BattleResult, Tournament

EPILOG = """Examples:

lyapmap battle runs/gran1/last.pt runs/gran3/last.pt --data mnist --out battle

lyapmap battle runs/gran1/last.pt runs/gran3/last.pt runs/gran5/last.pt --data mnist --samples 5000

lyapmap battle runs/gran3/last.pt vae-samples.npy --data mnist --json"""


@common.command
def battle(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL MODEL...",
            help="Checkpoints of a DCGAN or GRAN, shipped ones by name, or .npy files of a model's samples.",
        ),
    ],
    data: Annotated[str, typer.Option("--data", metavar="NAME|FOLDER|FILE", help="Data whose test images all judge.")],
    samples: Annotated[int, typer.Option("--samples", min=2, help="Of each generator.")] = 2000,
    test_images: Annotated[
        int | None, typer.Option("--test-images", min=2, help="Test images, at most.", show_default="all")
    ] = None,
    tolerance: Annotated[
        float, typer.Option("--tolerance", help="How far r_test may be from 1 for a winner: up to 1 + this.")
    ] = 0.3,
    level: Annotated[float, typer.Option("--level", help="Of the limits.")] = 0.95,
    device: common.DeviceOption = None,
    seed: common.SeedOption = 0,
    out: common.OutOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Let generators battle: whose discriminator is fooled less by the other's samples?

    Two models give ratios and a winner; more give a tournament of all pairs. Samples in a file have no
    discriminator, and are only judged.
    """
    from lyapmap.cli.source import require_torch
    from lyapmap.core.errors import LyapmapError

    if len(models) < 2:
        raise LyapmapError(f"MODEL: expected two or more, got {len(models)}")
    require_torch("a battle")
    import lyapmap as lm
    from lyapmap.cli.image_data import told

    folder = common.output_folder(out)
    contenders = [_contender(model, device) for model in models]
    shape = next((one.config.state_shape for one in contenders if hasattr(one, "config")), None)
    if shape is None:
        raise LyapmapError("MODEL: expected at least one network with a discriminator, got samples only")
    images = told(lm.data.load(data, split="test", image_size=shape[1], channels=shape[0])).images[:test_images]
    options: dict[str, Any] = {
        "tolerance": tolerance,
        "level": level,
        "seed": seed,
        "progress": not as_json,
        "throw": False,
    }
    if len(models) == 2:
        found, interrupted = common.completed(
            lambda: lm.battle(contenders[0], contenders[1], images, samples, **options)
        )
        show.conclude(
            found,
            title=f"{found.names[0]} against {found.names[1]}",
            facts=_facts(found),
            name="battle",
            out=folder,
            as_json=as_json,
            interrupted=interrupted,
        )
        return
    table, interrupted = common.completed(lambda: lm.tournament(contenders, images, samples, **options))
    show.conclude(
        table,
        title="Tournament",
        facts=_standings(table),
        name="tournament",
        out=folder,
        as_json=as_json,
        interrupted=interrupted,
    )


def _contender(model: str, device: str | None) -> Any:
    if Path(model).suffix == ".npy":
        import numpy as np

        from lyapmap.analysis.battle import as_contender
        from lyapmap.core.errors import LyapmapError

        try:
            samples = np.load(model)
        except (OSError, ValueError) as error:
            raise LyapmapError(f"MODEL: {model} cannot be read as an array ({error})") from None
        return replace(as_contender(samples, 0), name=Path(model).name)
    from lyapmap.training import load_gan

    # The whole path: runs call their checkpoints alike.
    return replace(load_gan(model, device=device), name=model)


def _facts(found: BattleResult) -> list[tuple[str, str]]:
    def errors(values: Any) -> str:
        return ", ".join("-" if math.isnan(v) else f"{v:.4f}" for v in values)

    facts = [
        ("errors on", "of each discriminator"),
        ("  test data", errors(found.test_errors)),
        ("  other's samples", errors(found.sample_errors)),
        ("  own samples", errors(found.own_errors)),
    ]
    for name, ratio, limits in (
        ("r_test", found.r_test, found.r_test_interval),
        ("r_sample", found.r_sample, found.r_sample_interval),
    ):
        if not math.isnan(ratio):
            facts.append((name, f"{ratio:.4g}  ({limits[0]:.4g} to {limits[1]:.4g})"))
    winner = found.winner or "none"
    return [*facts, ("winner", f"[bold]{show.without_markup(winner)}[/bold]: {show.without_markup(found.reason)}")]


def _standings(table: Tournament) -> list[tuple[str, str]]:
    facts = [("ranking", " > ".join(map(show.without_markup, table.ranking)))]
    for name, wins, ties, losses in zip(table.names, table.wins, table.ties, table.losses, strict=True):
        facts.append((show.without_markup(name), f"{wins} won, {ties} tied, {losses} lost"))
    return facts
