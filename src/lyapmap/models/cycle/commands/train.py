"""`lyapmap train cycle`: the cycle model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lyapmap.cli import common, training_run

EPILOG = """Examples:

lyapmap train cycle --data digits --classes 0,1,2 --epochs 100 --out runs/digits

lyapmap train cycle --data mnist --classes 0,1,2 --width 32 --epochs 30 --monitor-every 2 --out runs/mnist

lyapmap train cycle --data mnist --classes 0,1,2 --width 32 --recipe steady --seed 1 --out runs/steady-1

lyapmap train cycle --data digits --classes 0,1,2 --epochs 300 --exponent 0.1 --out runs/chaos-0.1

lyapmap train cycle --data mnist --start runs/mnist/last.pt --replay 0.5 --replay-cycle 1 --diversity 100 --out runs/own

lyapmap train cycle --data mnist --device cuda --devices 2 --tensorboard --out runs/mnist

torchrun --nproc-per-node 2 -m lyapmap train cycle --data mnist --device cuda --out runs/mnist

The same command goes on where it was stopped."""


def _option(default: str, name: str, **more: Any) -> Any:
    """An option that replaces a setting of the recipe."""
    return typer.Option(name, show_default=f"{default}, or the recipe's".removeprefix(", or "), **more)


@common.command
def cycle(
    data: training_run.DataOption,
    out: training_run.RunOption,
    classes: Annotated[
        str | None,
        typer.Option(
            "--classes",
            metavar="N,N[,N...]",
            help="Categories in the order of the cycle.",
            show_default="0,1,2, or those of --start",
        ),
    ] = None,
    recipe: Annotated[
        str,
        typer.Option(
            "--recipe", metavar="paper|steady|control", help="Settings by name; other options replace single ones."
        ),
    ] = "paper",
    epochs: Annotated[
        int | None,
        _option("", "--epochs", min=1, help="Epochs in all, those of earlier calls included."),
    ] = None,
    decay_epochs: Annotated[
        int | None,
        _option("", "--decay-epochs", min=0, help="Last epochs, in which the learning rate falls to zero."),
    ] = None,
    validation: Annotated[
        float | None,
        _option("", "--validation", help="Part of the training images kept to choose by."),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option("--start", metavar="FILE", help="Begin with the networks of another run: its last.pt."),
    ] = None,
    width: Annotated[
        int | None,
        typer.Option(
            "--width", min=1, help="Channels of the first stage.", show_default="64 as in the paper, or that of --start"
        ),
    ] = None,
    image_size: training_run.ImageSizeOption = None,
    batch_size: Annotated[
        int | None,
        _option("100", "--batch-size", min=1, help="Images of each category in a step."),
    ] = None,
    learning_rate: Annotated[float | None, _option("2e-4", "--learning-rate", help="Of Adam.")] = None,
    cycle_weight: Annotated[
        float | None,
        _option("10", "--cycle-weight", help="Weight of the cycle loss."),
    ] = None,
    unroll: Annotated[
        int | None,
        _option("1", "--unroll", min=1, help="Steps of G that the discriminators judge; 1 in the paper."),
    ] = None,
    replay: Annotated[
        float | None,
        _option("0", "--replay", help="Also train on G's own images of earlier steps; part of a batch."),
    ] = None,
    renewal: Annotated[
        float | None,
        _option("0.05", "--renewal", help="Chance of such an image to start anew from the data."),
    ] = None,
    replay_cycle: Annotated[
        float | None,
        _option("0", "--replay-cycle", help="Weight of the cycle loss on them, as part of that on the data."),
    ] = None,
    diversity: Annotated[
        float | None,
        _option("0", "--diversity", help="Weight of the energy distance of all images judged to the data."),
    ] = None,
    exponent: Annotated[
        float | None,
        typer.Option("--exponent", help="Largest exponent to train to, nats per step.", show_default="left free"),
    ] = None,
    exponent_weight: Annotated[
        float | None,
        _option("1", "--exponent-weight", help="Weight of its squared error."),
    ] = None,
    average: Annotated[
        float | None,
        _option("0", "--average", help="Save the exponential mean of G's weights; weight of the past."),
    ] = None,
    monitor_every: training_run.MonitorOption = 2,
    checkpoint_every: training_run.CheckpointOption = 5,
    checkpoint_steps: training_run.CheckpointStepsOption = 0,
    keep_every: training_run.KeepOption = 0,
    device: common.DeviceOption = None,
    devices: training_run.DevicesOption = None,
    precision: Annotated[
        str | None,
        _option("32", "--precision", metavar="32|tf32|bf16-mixed", help="Of the arithmetic of a training step."),
    ] = None,
    tensorboard: training_run.TensorboardOption = False,
    seed: common.SeedOption = 0,
    threads: training_run.ThreadsOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Train the cycle model: images of each category become images of the next.

    The folder receives last.pt (usable as --model), log.jsonl, samples-EPOCH.png and training.png.
    Ctrl-C saves; the same command goes on.
    """
    from lyapmap.cli.source import require_torch
    from lyapmap.core.errors import LyapmapError

    require_torch("training")
    from lyapmap.files import checkpoint
    from lyapmap.models.cycle.network import CycleConfig
    from lyapmap.models.cycle.recipe import CycleRecipe, settings_by_name

    plan = settings_by_name(
        recipe,
        epochs=epochs,
        decay_epochs=decay_epochs,
        validation=validation,
        batch_size=batch_size,
        learning_rate=learning_rate,
        cycle_weight=cycle_weight,
        precision=precision,
        unroll=unroll,
        replay=replay,
        renewal=renewal,
        replay_cycle=replay_cycle,
        diversity=diversity,
        exponent=exponent,
        exponent_weight=exponent_weight,
        average=average,
    )
    workers = training_run.begin(threads, device, devices, plan.precision)
    earlier = None if start is None else checkpoint.load(start)
    # What is of another kind is refused by the recipe.
    begun = earlier if earlier is not None and earlier.model == "cycle" else None
    settings = {} if begun is None else begun.training.get("settings", {})
    chosen = (common.integers(classes, "--classes") or ()) if classes else settings.get("classes", (0, 1, 2))
    if len(set(chosen)) != len(chosen):
        raise LyapmapError(f"--classes: expected different classes, got {classes}")
    folder = training_run.folder_of(out)
    train, test = training_run.images_of(data, chosen, image_size)
    channels, height, breadth = train.state_shape
    if height != breadth:
        raise LyapmapError(f"--image-size: {data} has images of {height} x {breadth}; give a size to make them square")
    if width is None:
        width = CycleConfig.width if begun is None else begun.config["width"]
    training = CycleRecipe(
        CycleConfig(categories=len(chosen), image_size=height, channels=channels, width=width),
        train,
        test,
        classes=chosen,
        settings=plan,
        seed=seed,
        device=workers.device,
    )
    if earlier is not None:
        training.start_from(earlier)
    training_run.run(
        training,
        folder,
        epochs=plan.epochs,
        seed=seed,
        workers=workers,
        checkpoint_every=checkpoint_every,
        checkpoint_steps=checkpoint_steps,
        keep_every=keep_every,
        monitor_every=monitor_every,
        tensorboard=tensorboard,
        as_json=as_json,
    )
