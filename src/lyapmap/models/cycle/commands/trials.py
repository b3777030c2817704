"""`lyapmap study cycle-trials`: trainings by several settings and seeds, on images that none has seen."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lyapmap.cli import common
from lyapmap.cli.study_options import ClassifierOption, FeaturesOption, FolderOption, conclude, told, with_sizes
from lyapmap.models.cycle.commands.study import ClassesOption, DataOption
from lyapmap.models.cycle.protocol import PROTOCOLS, protocol

EPILOG = """Examples:

lyapmap study cycle-trials runs/steady-* runs/control-* --data mnist --classes 0,1,2 --out trials

lyapmap study cycle-trials runs/* --data mnist --classes 0,1,2 --also second-classifier.pt --out trials

The runs are folders of `lyapmap train cycle --recipe steady --keep-every 1`. The same command goes on where it was
stopped."""

_SIZES = (
    "k",
    "trajectories",
    "transient",
    "steps",
    "exponents",
    "ensemble",
    "space_steps",
    "space_images",
    "category_trajectories",
    "category_steps",
    "memorization_samples",
    "dimension_points",
    "epoch_trajectories",
    "epoch_transient",
    "epoch_steps",
)


@common.command
@with_sizes(PROTOCOLS, lambda name: name in _SIZES)
def cycle_trials(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of training runs with epoch-*.pt.")],
    data: DataOption,
    classes: ClassesOption,
    out: FolderOption,
    preset: Annotated[str, typer.Option("--protocol", metavar="quick|paper", help="Sizes of all stages.")] = "quick",
    features: FeaturesOption = None,
    also: Annotated[
        list[str] | None,
        typer.Option("--also", metavar="NAME|FILE", help="A further feature space; pixels and random-vgg are given."),
    ] = None,
    classifier: ClassifierOption = None,
    weights: common.WeightsOption = None,
    device: common.DeviceOption = None,
    seed: common.SeedOption = 0,
    as_json: common.JsonOption = False,
    *,
    sizes: dict[str, Any],
) -> None:
    """The last epochs of several trainings on the test images: kinds of settings side by side, every seed."""
    from lyapmap.cli.source import require_torch

    require_torch("the study")
    from lyapmap.models.cycle.epochs import load_runs
    from lyapmap.models.cycle.trials import cycle_trials as measure

    # All test images by default: they are looked at once.
    plan = protocol(preset, **({"space_images": None} | sizes))
    folder = common.made_folder(out)
    numbers = common.integers(classes, "--classes") or ()
    options = {"features": features, "classifier": classifier, "weights": weights, "device": device, "seed": seed}
    with told(as_json) as teller:
        named, subject = load_runs(runs, data=data, classes=numbers, also=also or (), **options)
        findings = measure(named, subject, folder, protocol=plan, progress=not as_json, told=teller.stage)
    conclude(findings, as_json)
