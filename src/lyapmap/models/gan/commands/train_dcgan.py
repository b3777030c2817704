"""`lyapmap train dcgan`: DCGAN."""

from __future__ import annotations

from typing import Annotated

import typer

from lyapmap.cli import common, training_run
from lyapmap.models.gan.commands import train as train_gan

EPILOG = """Examples:

lyapmap train dcgan --data mnist --width 40 --epochs 25 --out runs/dcgan

lyapmap train dcgan --data cats --image-size 64 --width 32 --loss minimax --out runs/cats

lyapmap train dcgan --data cifar10 --spectral-norm --r1 1 --average 0.999 --out runs/cifar

The same command goes on where it was stopped."""


@common.command
def dcgan(
    data: training_run.DataOption,
    out: training_run.RunOption,
    classes: train_gan.ClassesOption = None,
    limit: train_gan.LimitOption = None,
    epochs: training_run.EpochsOption = 25,
    image_size: training_run.ImageSizeOption = None,
    channels: train_gan.ChannelsOption = None,
    width: Annotated[
        int, typer.Option("--width", min=1, help="Channels of the largest maps; twice as many at each halving.")
    ] = 64,
    latent: train_gan.LatentOption = 100,
    spectral_norm: train_gan.SpectralOption = False,
    loss: train_gan.LossOption = "non-saturating",
    batch_size: train_gan.BatchOption = 100,
    learning_rate_g: train_gan.RateGOption = 2e-4,
    learning_rate_d: train_gan.RateDOption = 2e-4,
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
    """Train a DCGAN: images of noise, by a generator and a discriminator that play against each other.

    Images of 28, 32, 64 or 128 pixels (or any size that halves down to 4 or more). The folder receives last.pt
    (generator and discriminator), log.jsonl, samples-EPOCH.png (always of the same noise) and training.png.
    Ctrl-C saves; the same command goes on.
    """
    options = dict(locals())
    workers = train_gan.begin(threads, device, precision)
    from lyapmap.models.gan.dcgan import DcganConfig, usual_kernels

    images = train_gan.images_for(
        data, classes=classes, image_size=image_size, channels=channels, limit=limit, seed=seed
    )
    colours, height, _ = images.state_shape
    config = DcganConfig(height, colours, usual_kernels(height, width), latent=latent, spectral_norm=spectral_norm)
    train_gan.run(config, images, out, workers, options=options)
