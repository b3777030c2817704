"""Commands of adversarial networks: `lyapmap gan ...`, `train dcgan`, `train gran`, `study gan`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lyapmap.cli import show, training
from lyapmap.cli import study as studies
from lyapmap.cli.command import Run, command
from lyapmap.cli.options import Machine, StudyRun, TrainingRun
from lyapmap.core.errors import LyapmapError

if TYPE_CHECKING:
    from pathlib import Path

    from rich.table import Table

    from lyapmap.analysis.dimension.comparison import DimensionComparison
    from lyapmap.analysis.tangents.singular_values import JacobianSpectrum
    from lyapmap.data import ImageSet
    from lyapmap.models.gan.canvas import CanvasDynamics
    from lyapmap.models.gan.dcgan import DcganConfig
    from lyapmap.models.gan.pair import Gan, GanSamples
    from lyapmap.report.page import Section
    from lyapmap.training.distributed import Workers

PAPER = "lyapmap.models.gan"


@dataclass(frozen=True)
class ImageChoice:
    """Which images of the data a generator learns.

    Parameters
    ----------
    classes : N[,N...]
        Categories; all by default.
    limit : N, at least 2
        Only so many images, at random; all by default.
    channels : N
        1 (grey) or 3 (colour); as they are by default.
    """

    classes: tuple[int, ...] | None = None
    limit: int | None = None
    channels: int | None = None


def images_of(about: TrainingRun, choice: ImageChoice, **size: Any) -> ImageSet:
    """Training images, square and with values in [-1, 1]."""
    images = training.images_of(about, square=True, classes=choice.classes, **{"channels": choice.channels} | size)
    return images if choice.limit is None else images.some(choice.limit, seed=about.seed)


def _train(run: Run, about: TrainingRun, config: DcganConfig, images: ImageSet, workers: Workers) -> int:
    from lyapmap.models.gan.recipe import GanRecipe

    recipe = GanRecipe(config, images, device=workers.device, seed=about.seed, **run.options("GanRecipe"))
    return training.train(run, recipe, workers, then="gan sample")


@command(
    f"{PAPER}.dcgan:DcganConfig",
    f"{PAPER}.recipe:GanRecipe",
    training.LOOP,
    training.LAUNCH,
    hides=("image_size", "channels", "kernels", "output", "stem", "devices", "monitor_every"),
    usual={"epochs": 25},
    examples="""
lyapmap train dcgan --data mnist --width 40 --epochs 25 --out runs/dcgan
lyapmap train dcgan --data cats --image-size 64 --width 32 --loss minimax --out runs/cats
lyapmap train dcgan --data cifar10 --spectral-norm --r1 1 --average 0.999 --out runs/cifar
The same command goes on where it was stopped.
""",
)
def train_dcgan(run: Run, about: TrainingRun, choice: ImageChoice, *, width: int = 64) -> int:
    """Train a DCGAN: images of noise, by a generator and a discriminator that play against each other.

    Images of 28, 32, 64 or 128 pixels (or any size that halves down to 4 or more). The folder receives last.pt
    (generator and discriminator), log.jsonl, samples-EPOCH.png (always of the same noise) and training.png. Ctrl-C
    saves; the same command goes on.

    Parameters
    ----------
    width : N, at least 1
        Channels of the largest maps; twice as many at each halving.
    """
    workers = training.begin(run, about)
    from lyapmap.models.gan.dcgan import DcganConfig, usual_kernels

    images = images_of(about, choice)
    colours, height, _ = images.state_shape
    config = DcganConfig(height, colours, usual_kernels(height, width), **run.options("DcganConfig"))
    return _train(run, about, config, images, workers)


@command(
    f"{PAPER}.gran:GranConfig",
    f"{PAPER}.recipe:GanRecipe",
    training.LOOP,
    training.LAUNCH,
    hides=("image_size", "channels", "kernels", "output", "stem", "kernel_size", "devices", "monitor_every"),
    usual={"epochs": 25, "learning_rate_d": 1e-4},
    names={"steps": "--canvas-steps"},
    examples="""
lyapmap train gran --data mnist --preset mnist --canvas-steps 3 --out runs/gran3
lyapmap train gran --data mnist --canvas-steps 5 --noise fresh --weights separate --out runs/gran5-fresh
lyapmap train gran --data cifar10 --width 32 --latent 100 --out runs/gran-cifar
The same command goes on where it was stopped.
""",
)
def train_gran(run: Run, about: TrainingRun, choice: ImageChoice, *, preset: str | None = None, width: int = 40) -> int:
    """Train a GRAN: a generator that draws an image onto a canvas in several steps.

    With --canvas-steps 1 it is a DCGAN with one dense layer more. The folder receives last.pt (generator and
    discriminator), log.jsonl, samples-EPOCH.png (always of the same noise) and training.png. Ctrl-C saves; the same
    command goes on.

    Parameters
    ----------
    preset : "mnist", "cifar10" or "lsun"
        Sizes of the paper's Table 5; none by default.
    width : N, at least 1
        Channels of the largest maps; twice as many at each halving.
    """
    from lyapmap.cli.source import require_torch

    require_torch("training")
    from lyapmap.models.gan.gran import GranConfig, usual_kernels
    from lyapmap.models.gan.gran import preset as published

    options = run.options("GranConfig")
    if preset is None:
        workers = training.begin(run, about)
        images = images_of(about, choice)
        colours, height, _ = images.state_shape
        return _train(run, about, GranConfig(height, colours, usual_kernels(height, width), **options), images, workers)
    own = run.given & {"width", "latent"}
    if own:
        raise LyapmapError(f"--{max(own)}: the preset {preset} has its own")
    del options["latent"]
    config = published(preset, **options)
    workers = training.begin(run, about)
    size = {"image_size": about.image_size or config.image_size, "channels": choice.channels or config.channels}
    return _train(run, about, config, images_of(about, choice, **size), workers)


@command(
    further=studies.sizes(f"{PAPER}.protocol"),
    shown={"classes": "those of the training"},
    examples="""
lyapmap study gan runs/gran1/last.pt runs/gran3/last.pt runs/gran5/last.pt --data mnist --out study
lyapmap study gan dcgan-mnist gran3-mnist --data mnist --protocol full --out study
lyapmap study gan runs/gran3-*/last.pt --data mnist --only quality --only battles --out study
The same command goes on where it was stopped; a further model runs its own stages and the battles.
""",
)
def study_gan(
    run: Run, about: StudyRun, models: list[str], /, *, data: str, classes: tuple[int, ...] | None = None
) -> int:
    """Precision, recall, coverage, nearest images, Jacobian, canvas and battles of adversarial networks.

    Models that differ only in their seed are of one kind, and are put together in the tables. DIR receives index.html,
    study.json, figures/, results/ (each opens with lyapmap and xarray) and stages/.

    Parameters
    ----------
    models : MODEL
        Checkpoints of DCGANs and GRANs, or shipped ones by name.
    data : NAME|FOLDER|FILE
        What they were trained on.
    classes : N[,N...]
        Categories.
    """

    def load(train: studies.Trained) -> Any:
        from lyapmap.models.gan.stages import load_gans

        return load_gans(models, data=data, classes=classes, **about.subject)

    return studies.study(run, about, PAPER, load)


@command(
    f"{PAPER}.pair:sample_gan",
    hides=("first",),
    out="samples",
    examples="""
lyapmap gan sample runs/dcgan/last.pt --samples 100
lyapmap gan sample runs/gran3/last.pt --canvas-steps 9 --out nine
""",
)
def sample(run: Run, machine: Machine, model: str, *, samples: int = 64) -> int:
    """Draw images of random noise with a DCGAN or GRAN.

    Writes samples.npz (opens with NumPy), grid.png and, of a canvas in several steps, strip.png and canvas.gif. The
    same seed gives the same samples, however many.

    Parameters
    ----------
    model : NAME|FILE
        A shipped DCGAN or GRAN, or a checkpoint.
    samples : N, at least 1
        How many.
    """
    gan = _loaded(model, machine, "sampling")
    result = run(gan, samples)
    steps = result.canvases.shape[1]
    words = f"{gan.name}: {len(result.canvases)} samples"
    if result.trained_steps > 1 or steps > 1:
        words += f" in {steps} steps; trained with {result.trained_steps}"
    return _written(run, result, words)


@command(
    f"{PAPER}.pair:interpolate_gan",
    out="interpolation",
    names={"steps": "--steps -n"},
    examples="lyapmap gan interpolate runs/dcgan/last.pt --pairs 6 --steps 12",
)
def interpolate(run: Run, machine: Machine, model: str, *, pairs: int = 8) -> int:
    """Draw images along arcs between pieces of noise.

    Writes samples.npz and interpolation.png. The noise turns from one end to the other on a sphere, where normal noise
    lies.

    Parameters
    ----------
    model : NAME|FILE
        A shipped DCGAN or GRAN, or a checkpoint.
    pairs : N, at least 1
        Ways, one in each row.
    """
    gan = _loaded(model, machine, "sampling")
    result = run(gan, pairs)
    return _written(run, result, f"{gan.name}: {pairs} ways of {run.values['steps']} images")


def _loaded(model: str, machine: Machine, purpose: str, dtype: str | None = None) -> Gan:
    from lyapmap.cli.source import require_torch

    require_torch(purpose)
    from lyapmap.models.gan.pair import load_gan

    return load_gan(model, dtype=dtype, device=machine.device)


def _written(run: Run, result: GanSamples, words: str) -> int:
    """Write samples and pictures, and name the files."""
    from lyapmap.models.gan.pictures import save_gan_samples

    files = [result.save(run.folder / "samples.npz"), *save_gan_samples(run.folder, result)]
    return show.files_written(run, result, words, files, without=("canvases", "latents"))


@command(
    "lyapmap.analysis.tangents.singular_values:jacobian_spectrum",
    examples="""
lyapmap gan jacobian runs/dcgan/last.pt --samples 50
lyapmap gan jacobian runs/gran3/last.pt --data mnist --out report
""",
)
def jacobian(
    run: Run,
    machine: Machine,
    model: str,
    *,
    samples: int = 50,
    data: str | None = None,
    classes: tuple[int, ...] | None = None,
    points: int = 2000,
    dtype: str = "float64",
) -> int:
    """Singular values of a generator's Jacobian, and the local dimension of what it draws.

    With --data, also the intrinsic dimensions of generated images and of the data, by neighbours.

    Parameters
    ----------
    model : NAME|FILE
        A shipped DCGAN or GRAN, or a checkpoint.
    samples : N, at least 1
        Pieces of noise to take it at.
    data : NAME|FOLDER
        Compare with the intrinsic dimension of these images.
    classes : N[,N...]
        Only these classes of --data.
    points : N, at least 10
        Images, generated and of --data, to compare by.
    dtype : "float32" or "float64"
        Precision.
    """
    if classes is not None and data is None:
        raise LyapmapError("--classes: only together with --data")
    gan = _loaded(model, machine, "a generator's Jacobian")
    from lyapmap.models.gan.pair import gan_function, gan_latents, manifold_dimensions
    from lyapmap.report.page import result_sections

    images = None if data is None else _beside(data, classes, gan, points, run.seed)
    result = run(gan_function(gan, dtype=dtype), gan_latents(gan.config.latent_shape, samples, seed=run.seed))
    facts = _about_jacobian(result)
    pictures: list[Callable[[Path], Section]] = []
    if images is not None and not run.interrupted:
        dimensions = manifold_dimensions(gan, images.images, n=points, seed=run.seed, progress=run.progress)
        facts += _dimensions(dimensions, str(data))
        if run.out is not None:
            drawn = show.save(dimensions, run.out, "dimension")
            pictures = [lambda out: result_sections(dimensions, "Intrinsic dimension", *(drawn or ()))[0]]
    title = f"Jacobian of {gan.name}: {result.inputs} values of noise to {result.outputs} pixels"
    return run.show(result, title, facts, pictures=pictures)


def _beside(data: str, classes: Sequence[int] | None, gan: Gan, points: int, seed: int) -> ImageSet:
    """Images of a data set as the generator draws them."""
    from lyapmap.cli.source import with_notes
    from lyapmap.data import load

    config = gan.config
    size = {"image_size": config.image_size, "channels": config.channels, "value_range": config.value_range}
    images = with_notes(load(data, classes=classes, **size))  # type: ignore[arg-type]
    return images.some(min(points, len(images)), seed=seed)


def _about_jacobian(result: JacobianSpectrum) -> list[tuple[str, str]]:
    if result.failed:
        return []
    largest = result.singular_values[:, 0]
    facts = [
        ("local dimension", show.pair(*result.mean("dimension")) + f" (variances above {result.threshold:g})"),
        ("numerical rank", show.pair(*result.mean("rank")) + " (above rounding)"),
        (
            "largest value",
            f"{show.number(float(largest.mean()))} on average, up to {show.number(float(largest.max()))}",
        ),
    ]
    if result.complete:
        facts.insert(1, ("participation", show.pair(*result.mean("participation"))))
    return facts


def _dimensions(beside: DimensionComparison, data: str) -> list[tuple[str, str]]:
    """Intrinsic dimensions of images, by each method."""
    facts = []
    for i, name in enumerate(beside.names):
        values = zip(beside.methods, beside.dimension[i], beside.stderr[i], strict=True)
        words = ", ".join(f"{method} {show.pair(value, error)}" for method, value, error in values)
        facts.append((data if name == "data" else name, f"{words} ({beside.n_points[i]} images)"))
    if beside.message:
        facts.append(("of these", beside.message))
    return facts


@command(
    f"{PAPER}.canvas:canvas_dynamics",
    names={"noises": "--noise"},
    examples="""
lyapmap gan canvas runs/gran3/last.pt
lyapmap gan canvas runs/gran5/last.pt --state code --steps 1000 --out report
""",
)
def canvas(run: Run, machine: Machine, model: str, *, dtype: str | None = None) -> int:
    """Exponents of a GRAN's canvas recurrence, and whether updates and image settle when it draws on and on.

    Parameters
    ----------
    model : NAME|FILE
        A shipped GRAN, or a checkpoint.
    dtype : "float32" or "float64"
        Precision; the model's own by default.
    """
    gan = _loaded(model, machine, "a canvas", dtype)
    result = run(gan)
    noise = gan.config.noise  # type: ignore[attr-defined]  # a DCGAN was refused
    title = f"Canvas of {gan.name}, trained with {result.trained_steps} steps and {noise} noise"
    return run.show(result, title, _about_canvas(result), table=_canvas_table)


def _canvas_table(result: CanvasDynamics) -> Table:
    table = show.make_table("", *(f"{noise} noise" for noise in result.noises))
    for k in range(result.exponents.shape[1]):
        cells = zip(result.exponents[:, k], result.stderr[:, k], strict=True)
        table.add_row(f"exponent {k + 1}", *(show.pair(*cell) for cell in cells))
    return table


def _about_canvas(result: CanvasDynamics) -> list[tuple[str, str]]:
    facts = []
    last = result.update_size.shape[1]
    trained = min(result.trained_steps, last)
    for i, noise in enumerate(result.noises):
        size, change, moved = (
            float(x[i, -1, 1]) for x in (result.update_size, result.update_change, result.image_change)
        )
        facts.append((f"{noise} noise", f"at step {last} updates have size {size:.3g} and change by {change:.1e}"))
        then, now = float(result.saturated[i, trained - 1]), float(result.saturated[i, -1])
        ends = f"{now:.0%} of it black or white, {then:.0%} at step {trained}"
        facts.append(("", f"the image changes by {moved:.1e}, {ends}"))
    return facts


@command(
    f"{PAPER}.line:gan_line",
    names={"steps": "--steps -n", "n_discriminator": "--discriminator-steps"},
    examples="""
lyapmap gan line --out line
lyapmap gan line --data two --loss minimax --steps 1000 --seed 3 --out line
lyapmap gan line --discriminator-steps 1 --json
""",
)
def line(run: Run, *, data: str = "one", seed: int = 0) -> int:
    """Train a GAN on a line: p_g moves to p_data, the discriminator to p_data / (p_data + p_g).

    The folder receives line.png, line.gif (the film of it), line.nc and line.json.

    Parameters
    ----------
    data : "one" or "two"
        Distribution to learn: a normal one, or two side by side.
    seed : N, at least 0
        Of everything that is random.
    """
    from lyapmap.cli.source import require_torch

    require_torch("training")
    from lyapmap.models.gan.pictures import save_gan_line_gif
    from lyapmap.report.page import picture_section

    result = run(data)
    facts = [
        ("value", f"{result.value[0]:.4f} at first, {result.value[-1]:.4f} at last; -log 4 = {-math.log(4):.4f}"),
        ("best possible", f"{result.best_value[0]:.4f} at first, {result.best_value[-1]:.4f} at last"),
        ("D against its best", f"mean difference {result.error[0]:.3f} at first, {result.error[-1]:.3f} at last"),
        ("divergence", f"{result.divergence[-1]:.4g} nats between p_g and p_data (Jensen-Shannon)"),
    ]
    return run.show(
        result,
        "A GAN on a line",
        facts,
        pictures=[lambda out: picture_section("The training as a film", save_gan_line_gif(out / "line.gif", result))],
    )
