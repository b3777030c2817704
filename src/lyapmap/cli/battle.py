"""`lyapmap battle`: generators judged by each other's discriminators."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lyapmap.cli import show
from lyapmap.cli.command import Run, command
from lyapmap.cli.options import Machine
from lyapmap.core.errors import LyapmapError

if TYPE_CHECKING:
    from lyapmap.analysis.battle import BattleResult, Tournament


@command(
    "lyapmap.analysis.battle:battle",
    "lyapmap.analysis.battle:tournament",
    group="measure",
    examples="""
lyapmap battle runs/gran1/last.pt runs/gran3/last.pt --data mnist --out battle
lyapmap battle runs/gran1/last.pt runs/gran3/last.pt runs/gran5/last.pt --data mnist --samples 5000
lyapmap battle runs/gran3/last.pt vae-samples.npy --data mnist --json
""",
)
def battle(
    run: Run,
    machine: Machine,
    models: list[str],
    /,
    *,
    data: str,
    samples: int = 2000,
    test_images: int | None = None,
) -> int:
    """Let generators battle: whose discriminator is fooled less by the other's samples?

    Two models give ratios and a winner; more give a tournament of all pairs. Samples in a file have no discriminator,
    and are only judged.

    Parameters
    ----------
    models : MODEL
        Two or more: checkpoints of a DCGAN or GRAN, shipped ones by name, or .npy files of a model's samples.
    data : NAME|FOLDER|FILE
        Data whose test images all judge.
    samples : N, at least 2
        Samples of each generator.
    test_images : N, at least 2
        Test images, at most; all by default.
    """
    from lyapmap.cli.source import require_torch, with_notes
    from lyapmap.data import load

    if len(models) < 2:
        raise LyapmapError(f"MODEL: expected two or more, got {len(models)}")
    require_torch("a battle")
    contenders = [_contender(model, machine.device) for model in models]
    shape = next((contender.config.state_shape for contender in contenders if hasattr(contender, "config")), None)
    if shape is None:
        raise LyapmapError("MODEL: expected at least one network with a discriminator, got samples only")
    images = with_notes(load(data, split="test", image_size=shape[1], channels=shape[0])).images[:test_images]
    if len(models) == 2:
        result = run(*contenders, images, samples)
        return run.show(result, f"{result.names[0]} against {result.names[1]}", _facts(result))
    result = run(contenders, images, samples, callee="tournament")
    return run.show(result, "Tournament", _standings(result), name="tournament")


def _contender(model: str, device: str | None) -> Any:
    if Path(model).suffix == ".npy":
        from lyapmap.analysis.battle import as_contender
        from lyapmap.core.reading.arrays import one_array

        samples = one_array(model, "cannot be read as an array", option="MODEL: ")
        return replace(as_contender(samples, 0), name=Path(model).name)
    from lyapmap.training import load_gan

    # The whole path: runs call their checkpoints alike.
    return replace(load_gan(model, device=device), name=model)


def _facts(result: BattleResult) -> list[tuple[str, Any]]:
    def errors(values: Any) -> str:
        return ", ".join("-" if math.isnan(v) else f"{v:.4f}" for v in values)

    facts = [
        ("errors on", "of each discriminator"),
        ("  test data", errors(result.test_errors)),
        ("  other's samples", errors(result.sample_errors)),
        ("  own samples", errors(result.own_errors)),
    ]
    for name, ratio, limits in (
        ("r_test", result.r_test, result.r_test_interval),
        ("r_sample", result.r_sample, result.r_sample_interval),
    ):
        if not math.isnan(ratio):
            facts.append((name, f"{ratio:.4g}  ({limits[0]:.4g} to {limits[1]:.4g})"))
    winner = result.winner or "none"
    return [*facts, ("winner", show.styled(winner, "bold", f": {result.reason}"))]


def _standings(table: Tournament) -> list[tuple[str, str]]:
    facts = [("ranking", " > ".join(table.ranking))]
    for name, wins, ties, losses in zip(table.names, table.wins, table.ties, table.losses, strict=True):
        facts.append((name, f"{wins} won, {ties} tied, {losses} lost"))
    return facts
