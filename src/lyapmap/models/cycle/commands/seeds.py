"""`lyapmap study cycle-seeds`: how much the numbers depend on seed and epoch of the training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lyapmap.cli import common
from lyapmap.cli.study_options import FeaturesOption, FolderOption, conclude, told, with_sizes
from lyapmap.models.cycle.commands.study import ClassesOption, DataOption
from lyapmap.models.cycle.protocol import PROTOCOLS, protocol

EPILOG = """Examples:

lyapmap study cycle-seeds runs/1 runs/2 runs/3 --data mnist --classes 0,1,2 --out spread

lyapmap study cycle-seeds runs/* --data mnist --classes 0,1,2 --epochs 5 --epoch-steps 500 --out spread

The runs are folders of `lyapmap train cycle --keep-every 1`. The same command goes on where it was stopped."""


@common.command
@with_sizes(PROTOCOLS, lambda name: name.startswith("epoch") or name == "k")
def cycle_seeds(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of training runs with epoch-*.pt.")],
    data: DataOption,
    classes: ClassesOption,
    out: FolderOption,
    preset: Annotated[str, typer.Option("--protocol", metavar="quick|paper", help="Sizes of all stages.")] = "quick",
    features: FeaturesOption = None,
    weights: common.WeightsOption = None,
    device: common.DeviceOption = None,
    seed: common.SeedOption = 0,
    as_json: common.JsonOption = False,
    *,
    sizes: dict[str, Any],
) -> None:
    """How much exponents, dimension, precision and recall depend on the seed and the epoch of the training."""
    from lyapmap.cli.source import require_torch
    from lyapmap.models.cycle.epochs import cycle_seeds as measure
    from lyapmap.models.cycle.epochs import load_runs

    require_torch("the study")
    # All epochs by default: they are what this is about.
    chosen = protocol(preset, **({"epochs": None} | sizes))
    folder = common.made_folder(out)
    numbers = common.integers(classes, "--classes") or ()
    with told(as_json) as teller:
        named, subject = load_runs(
            runs, data=data, classes=numbers, features=features, weights=weights, device=device, seed=seed
        )
        found = measure(named, subject, folder, protocol=chosen, progress=not as_json, told=teller.stage)
    conclude(found, as_json)
