"""What `lyapmap train dcgan` and `lyapmap train gran` share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lyapmap.cli import common, training_run

if TYPE_CHECKING:
    from lyapmap.data import ImageSet
    from lyapmap.models.gan.dcgan import DcganConfig
    from lyapmap.training.distributed import Workers

ClassesOption = Annotated[
    str | None, typer.Option("--classes", metavar="N[,N...]", help="Categories.", show_default="all")
]
LimitOption = Annotated[
    int | None, typer.Option("--limit", min=2, help="Only so many images, at random.", show_default="all")
]
ChannelsOption = Annotated[
    int | None, typer.Option("--channels", help="1 (grey) or 3 (colour).", show_default="as they are")
]
LatentOption = Annotated[int, typer.Option("--latent", min=1, help="Values of the noise.")]
LossOption = Annotated[str, typer.Option("--loss", help="Of the generator: non-saturating or minimax.")]
SpectralOption = Annotated[
    bool, typer.Option("--spectral-norm", help="Spectral norm in the discriminator instead of batch norm.")
]
BatchOption = Annotated[int, typer.Option("--batch-size", min=2, help="Images in a step.")]
RateGOption = Annotated[float, typer.Option("--learning-rate-g", help="Of Adam, for the generator.")]
RateDOption = Annotated[float, typer.Option("--learning-rate-d", help="Of Adam, for the discriminator.")]
R1Option = Annotated[float, typer.Option("--r1", min=0, help="Weight of the gradient penalty at real images.")]
AverageOption = Annotated[
    float, typer.Option("--average", help="Sample the exponential mean of the weights; weight of the past.")
]


def begin(threads: int | None, device: str | None, precision: str) -> Workers:
    """The process that trains."""
    return training_run.begin(threads, device, None, precision)


def images_for(
    data: str,
    *,
    classes: str | None,
    image_size: int | None,
    channels: int | None,
    limit: int | None,
    seed: int,
) -> ImageSet:
    """Training images of `--data`, square and with values in [-1, 1]."""
    from lyapmap.cli.image_data import told
    from lyapmap.core.errors import LyapmapError
    from lyapmap.data import load

    chosen = common.integers(classes, "--classes")
    images = told(load(data, classes=chosen, image_size=image_size, channels=channels))
    _, height, width = images.state_shape
    if height != width:
        raise LyapmapError(f"--image-size: {data} has images of {height} x {width}; give a size to make them square")
    return images if limit is None else images.some(limit, seed=seed)


def run(config: DcganConfig, images: ImageSet, out: Path, workers: Workers, *, options: dict[str, Any]) -> None:
    """Train on images; `options` of the command by the names of `GanRecipe` and of the loop."""
    from lyapmap.models.gan.recipe import GanRecipe

    of_recipe = ("loss", "batch_size", "learning_rate_g", "learning_rate_d", "r1", "average", "seed")
    folder = training_run.folder_of(out)
    recipe = GanRecipe(config, images, device=workers.device, **{name: options[name] for name in of_recipe})
    of_loop = ("epochs", "seed", "checkpoint_every", "checkpoint_steps", "keep_every", "tensorboard", "as_json")
    training_run.run(
        recipe,
        folder,
        workers=workers,
        monitor_every=0,  # a generator is no map, and has no exponents
        then="gan sample",
        **{name: options[name] for name in of_loop},
    )
