"""`lyapmap train gran`: the recurrent adversarial network."""

from __future__ import annotations

from typing import Annotated

import typer

from lyapmap.cli import common, training_run
from lyapmap.models.gan.commands import train as train_gan

EPILOG = """Examples:

lyapmap train gran --data mnist --preset mnist --canvas-steps 3 --out runs/gran3

lyapmap train gran --data mnist --canvas-steps 5 --noise fresh --weights separate --out runs/gran5-fresh

lyapmap train gran --data cifar10 --width 32 --latent 100 --out runs/gran-cifar

The same command goes on where it was stopped."""


@common.command
def gran(
    data: training_run.DataOption,
    out: training_run.RunOption,
    classes: train_gan.ClassesOption = None,
    limit: train_gan.LimitOption = None,
    epochs: training_run.EpochsOption = 25,
    canvas_steps: Annotated[int, typer.Option("--canvas-steps", min=1, help="Updates of the canvas.")] = 3,
    noise: Annotated[str, typer.Option("--noise", help="one for all steps, or fresh at each.")] = "one",
    weights: Annotated[str, typer.Option("--weights", help="Of the steps: tied or separate.")] = "tied",
    preset: Annotated[
        str | None,
        typer.Option("--preset", help="Sizes of the paper's Table 5: mnist, cifar10 or lsun.", show_default="none"),
    ] = None,
    image_size: training_run.ImageSizeOption = None,
    channels: train_gan.ChannelsOption = None,
    width: Annotated[
        int | None,
        typer.Option(
            "--width", min=1, help="Channels of the largest maps; twice as many at each halving.", show_default="40"
        ),
    ] = None,
    latent: Annotated[
        int | None, typer.Option("--latent", min=1, help="Values of the noise.", show_default="60")
    ] = None,
    hidden: Annotated[int, typer.Option("--hidden", min=1, help="Values of the codes of noise and canvas.")] = 100,
    spectral_norm: train_gan.SpectralOption = False,
    loss: train_gan.LossOption = "non-saturating",
    batch_size: train_gan.BatchOption = 100,
    learning_rate_g: train_gan.RateGOption = 2e-4,
    learning_rate_d: train_gan.RateDOption = 1e-4,
    r1: train_gan.R1Option = 0.0,
    average: train_gan.AverageOption = 0.999,
    checkpoint_every: training_run.CheckpointOption = 5,
    checkpoint_steps: training_run.CheckpointStepsOption = 0,
    keep_every: training_run.KeepOption = 0,
    device: common.DeviceOption = None,
    precision: training_run.PrecisionOption = "32",
    tensorboard: training_run.TensorboardOption = False,
    seed: common.SeedOption = 0,
    threads: training_run.ThreadsOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Train a GRAN: a generator that draws an image onto a canvas in several steps.

    With --canvas-steps 1 it is a DCGAN with one dense layer more. The folder receives last.pt (generator and
    discriminator), log.jsonl, samples-EPOCH.png (always of the same noise) and training.png. Ctrl-C saves; the
    same command goes on.
    """
    options = dict(locals())
    from lyapmap.core.errors import LyapmapError
    from lyapmap.models.gan.gran import GranConfig, usual_kernels
    from lyapmap.models.gan.gran import preset as published

    workers = train_gan.begin(threads, device, precision)
    drawing = {
        "steps": canvas_steps, "noise": noise, "weights": weights, "hidden": hidden, "spectral_norm": spectral_norm
    }  # fmt: skip
    if preset is not None:
        if width is not None or latent is not None:
            raise LyapmapError(f"--{'latent' if width is None else 'width'}: the preset {preset} has its own")
        config = published(preset, **drawing)
        image_size, channels = image_size or config.image_size, channels or config.channels
    images = train_gan.images_for(
        data, classes=classes, image_size=image_size, channels=channels, limit=limit, seed=seed
    )
    colours, height, _ = images.state_shape
    if preset is None:
        config = GranConfig(height, colours, usual_kernels(height, width or 40), latent=latent or 60, **drawing)  # type: ignore[arg-type]
    train_gan.run(config, images, out, workers, options=options)
