"""`lyapmap train lsd`: the networks of latent spectral decomposition, in stages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lyapmap.cli import common, training_run
from lyapmap.models.gan.commands import train as train_gan

if TYPE_CHECKING:
    from lyapmap.data import ImageSet
    from lyapmap.models.latent_spectral.network import Lsd

EPILOG = """Examples:

lyapmap train lsd --data mnist --out runs/lsd

lyapmap train lsd --data mnist --width 1 --precision bf16-mixed --gan-epochs 50 --out runs/lsd

lyapmap train lsd --data mnist --gan runs/gan/last.pt --classifier classifier-mnist --out runs/lsd

The same command goes on where it was stopped; with more epochs of a stage, that stage goes on."""


@common.command
def lsd(
    data: training_run.DataOption,
    out: training_run.RunOption,
    classes: train_gan.ClassesOption = None,
    limit: train_gan.LimitOption = None,
    gan_epochs: Annotated[int, typer.Option("--gan-epochs", min=1, help="Of the generator.")] = 25,
    classifier_epochs: Annotated[int, typer.Option("--classifier-epochs", min=1, help="Of the classifier.")] = 15,
    encoder_epochs: Annotated[int, typer.Option("--encoder-epochs", min=1, help="Of the encoder.")] = 15,
    latent: Annotated[int, typer.Option("--latent", min=2, help="Values of a latent vector.")] = 100,
    width: Annotated[
        float, typer.Option("--width", help="Channels of generator and encoder, relative to the paper's.")
    ] = 0.5,
    image_size: training_run.ImageSizeOption = None,
    channels: train_gan.ChannelsOption = None,
    gan: Annotated[
        str | None, typer.Option("--gan", metavar="FILE", help="A trained GAN.", show_default="train one")
    ] = None,
    classifier: Annotated[
        str | None,
        typer.Option("--classifier", metavar="NAME|FILE", help="A trained classifier.", show_default="train one"),
    ] = None,
    batch_size: Annotated[int, typer.Option("--batch-size", min=2, help="Images in a step of every stage.")] = 100,
    learning_rate_g: train_gan.RateGOption = 4e-4,
    learning_rate_d: train_gan.RateDOption = 2e-4,
    learning_rate_encoder: Annotated[float, typer.Option("--learning-rate-encoder", help="Of Adam.")] = 1e-3,
    average: train_gan.AverageOption = 0.999,
    noise: Annotated[
        float, typer.Option("--noise", min=0, help="Spread of the noise on images that the classifier learns from.")
    ] = 0.1,
    reconstruction: Annotated[
        str, typer.Option("--reconstruction", help="What the encoder's images are compared by: hinge or squared.")
    ] = "hinge",
    reconstruction_weight: Annotated[
        float, typer.Option("--reconstruction-weight", min=0, help="Weight of that, a mean over pixels.")
    ] = 1.0,
    kl_weight: Annotated[
        float, typer.Option("--kl-weight", min=0, help="Weight of the divergence of the encoder from normal noise.")
    ] = 1.0,
    label_weight: Annotated[
        float, typer.Option("--label-weight", min=0, help="Weight of the label of what the encoder's vectors draw.")
    ] = 100.0,
    vectors: Annotated[
        int, typer.Option("--vectors", min=0, help="Latent vectors in each average of the basis; 0: no basis.")
    ] = 5000,
    checkpoint_every: training_run.CheckpointOption = 5,
    checkpoint_steps: training_run.CheckpointStepsOption = 0,
    keep_every: training_run.KeepOption = 0,
    device: common.DeviceOption = None,
    precision: training_run.PrecisionOption = "32",
    seed: common.SeedOption = 0,
    threads: training_run.ThreadsOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Train a generator, a classifier and an encoder, and build the basis of latent space.

    The folder receives gan/, classifier/ and encoder/, each with last.pt, log.jsonl, samples-EPOCH.png and
    training.png, and last.pt with all of them and the basis. At most ten categories. Ctrl-C saves; the same
    command goes on.
    """
    workers = train_gan.begin(threads, device, precision)
    from lyapmap.models.latent_spectral.training import LsdPlan, train_lsd

    images = train_gan.images_for(
        data, classes=classes, image_size=image_size, channels=channels, limit=limit, seed=seed
    )
    plan = LsdPlan(
        latent=latent,
        width=width,
        gan_epochs=gan_epochs,
        classifier_epochs=classifier_epochs,
        encoder_epochs=encoder_epochs,
        batch_size=batch_size,
        gan=gan,
        classifier=classifier,
        gan_options={"learning_rate_g": learning_rate_g, "learning_rate_d": learning_rate_d, "average": average},
        classifier_options={"noise": noise, "average": average},
        encoder_options={
            "learning_rate": learning_rate_encoder,
            "average": average,
            "kind": reconstruction,
            "reconstruction": reconstruction_weight,
            "kl": kl_weight,
            "label": label_weight,
        },
        n_vectors=vectors,
        checkpoint_every=checkpoint_every,
        checkpoint_steps=checkpoint_steps,
        keep_every=keep_every,
        seed=seed,
    )
    folder = training_run.folder_of(out)
    test = _test_images(data, images)

    @contextmanager
    def watch(stage: str) -> Iterator[Any]:
        if not as_json:
            typer.echo(f"stage: {stage}", err=True)
        with training_run.progress(as_json) as hooks:
            yield hooks
        lines = (folder / stage / "log.jsonl").read_text().splitlines()
        training_run.draw([json.loads(line) for line in lines], folder / stage)

    trained = train_lsd(images, folder, plan, test=test, workers=workers, watch=watch, progress=not as_json)
    workers.leave()
    _conclude(trained, folder, as_json)


def _test_images(data: str, images: ImageSet) -> ImageSet:
    """Test images of the same size and categories."""
    from lyapmap.data import load

    channels, height, _ = images.state_shape
    chosen = sorted(set(images.labels.tolist()))
    size: dict[str, int] = {"image_size": height, "channels": channels}
    return load(data, split="test", classes=chosen, **size)  # type: ignore[arg-type]


def _conclude(trained: Lsd, folder: Path, as_json: bool) -> None:
    measured = trained.training["accuracy"]
    path = folder / "last.pt"
    basis = trained.basis
    if as_json:
        built = None if basis is None else {"orthogonality": basis.orthogonality, "resolved": int(basis.resolved.sum())}
        common.echo_json({"accuracy": measured, "basis": built, "checkpoint": str(path)} | trained.origin)
        return
    typer.echo(
        f"labels of test images found: {measured['images']:.2%}; once encoded and decoded: {measured['decoded']:.2%}"
    )
    if basis is not None:
        typer.echo(
            f"basis of {len(basis.xi)} vectors, orthogonal to {basis.orthogonality:.0e}; "
            f"{int(basis.resolved.sum())} of them stand out of the noise of their averages"
        )
    typer.echo(f"next: lyapmap study lsd --model {path}")
