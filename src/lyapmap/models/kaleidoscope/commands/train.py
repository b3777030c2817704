"""`lyapmap train kaleidoscope`: the kaleidoscopic network."""

from __future__ import annotations

from typing import Annotated

import typer

from lyapmap.cli import common, training_run

EPILOG = """Examples:

lyapmap train kaleidoscope --data mnist --depth 10 --width 500 --out runs/kaleidoscope

lyapmap train kaleidoscope --data cifar10 --classes 5 --limit 1000 --width 2000 --epochs 300 --out runs/dogs

lyapmap train kaleidoscope --data mnist --architecture unet --limit 1000 --out runs/unet

The same command goes on where it was stopped."""


@common.command
def kaleidoscope(
    data: training_run.DataOption,
    out: training_run.RunOption,
    classes: Annotated[
        str | None, typer.Option("--classes", metavar="N[,N...]", help="Categories.", show_default="all")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Only so many images, at random.", show_default="all")
    ] = None,
    epochs: training_run.EpochsOption = 30,
    architecture: Annotated[str, typer.Option("--architecture", help="mlp, conv or unet.")] = "mlp",
    depth: Annotated[
        int | None,
        typer.Option(
            "--depth",
            min=1,
            help="Hidden layers; of conv and unet those at a quarter of the size.",
            show_default="10; conv, unet: 4",
        ),
    ] = None,
    width: Annotated[
        int | None,
        typer.Option(
            "--width",
            min=1,
            help="Units of a hidden layer; of conv and unet channels at full size.",
            show_default="500; conv, unet: 16",
        ),
    ] = None,
    output: Annotated[str, typer.Option("--output", help="What bounds the output: tanh or sigmoid.")] = "tanh",
    image_size: training_run.ImageSizeOption = None,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Images in a step.")] = 100,
    learning_rate: Annotated[float, typer.Option("--learning-rate", help="Of Adam.")] = 1e-3,
    decay_epochs: Annotated[
        int, typer.Option("--decay-epochs", min=0, help="Epochs in which the rate falls to a hundredth; 0: constant.")
    ] = 0,
    initial: Annotated[
        str, typer.Option("--initial", help="First weights: xavier, he or default (torch's own).")
    ] = "xavier",
    monitor_every: training_run.MonitorOption = 5,
    checkpoint_every: training_run.CheckpointOption = 5,
    checkpoint_steps: training_run.CheckpointStepsOption = 0,
    keep_every: training_run.KeepOption = 0,
    device: common.DeviceOption = None,
    devices: training_run.DevicesOption = None,
    precision: training_run.PrecisionOption = "32",
    tensorboard: training_run.TensorboardOption = False,
    seed: common.SeedOption = 0,
    threads: training_run.ThreadsOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Train the kaleidoscopic network: images become themselves.

    The folder receives last.pt (the best model, usable as --model), log.jsonl, samples-EPOCH.png (noise
    iterated up to 100 times) and training.png. Ctrl-C saves; the same command goes on.
    """
    workers = training_run.begin(threads, device, devices, precision)
    from lyapmap.cli.image_data import told
    from lyapmap.data import load
    from lyapmap.models.kaleidoscope.network import KaleidoscopeConfig
    from lyapmap.models.kaleidoscope.recipe import KaleidoscopeRecipe

    chosen = common.integers(classes, "--classes")
    bounds = KaleidoscopeConfig((1,), output=output).value_range
    folder = training_run.folder_of(out)
    images = told(load(data, classes=chosen, image_size=image_size, value_range=bounds))
    if limit is not None:
        images = images.some(limit, seed=seed)
    usual_depth, usual_width = (10, 500) if architecture == "mlp" else (4, 16)
    recipe = KaleidoscopeRecipe(
        KaleidoscopeConfig(images.state_shape, depth or usual_depth, width or usual_width, output, architecture),
        images,
        batch_size=batch_size,
        learning_rate=learning_rate,
        decay_epochs=decay_epochs,
        initial=initial,
        seed=seed,
        device=workers.device,
    )
    training_run.run(
        recipe,
        folder,
        epochs=epochs,
        seed=seed,
        workers=workers,
        checkpoint_every=checkpoint_every,
        checkpoint_steps=checkpoint_steps,
        keep_every=keep_every,
        monitor_every=monitor_every,
        tensorboard=tensorboard,
        as_json=as_json,
        then="kaleidoscope sample",
    )
