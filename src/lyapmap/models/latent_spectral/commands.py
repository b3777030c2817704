"""Commands of latent spectral decomposition: `lyapmap lsd ...`, `train lsd`, `study lsd`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lyapmap.cli import show, training
from lyapmap.cli import study as studies
from lyapmap.cli.command import Run, command
from lyapmap.cli.options import Machine, StudyRun, TrainingRun
from lyapmap.core.errors import LyapmapError
from lyapmap.models.gan.commands import ImageChoice, images_of

if TYPE_CHECKING:
    from rich.table import Table

    from lyapmap.data import ImageSet
    from lyapmap.models.latent_spectral.images import LsdImages
    from lyapmap.models.latent_spectral.network import Lsd

PAPER = "lyapmap.models.latent_spectral"
SHOWN = 2
"""Components that are printed."""


@command(
    f"{PAPER}.training:LsdPlan",
    f"{PAPER}.recipes:EncoderRecipe",
    f"{PAPER}.recipes:PooledRecipe",
    "lyapmap.models.gan.recipe:GanRecipe",
    training.LAUNCH,
    hides=("classes", "loss", "beta1", "r1", "devices"),
    usual={"learning_rate_g": 4e-4},
    names={
        "n_vectors": "--vectors",
        "learning_rate": "--learning-rate-encoder",
        "kind": "--reconstruction",
        "reconstruction": "--reconstruction-weight",
        "kl": "--kl-weight",
        "label": "--label-weight",
    },
    shown={"gan": "train one", "classifier": "train one"},
    examples="""
lyapmap train lsd --data mnist --out runs/lsd
lyapmap train lsd --data mnist --width 1 --precision bf16-mixed --gan-epochs 50 --out runs/lsd
lyapmap train lsd --data mnist --gan runs/gan/last.pt --classifier classifier-mnist --out runs/lsd
The same command goes on where it was stopped; with more epochs of a stage, that stage goes on.
""",
)
def train_lsd(run: Run, about: TrainingRun, choice: ImageChoice) -> int:
    """Train a generator, a classifier and an encoder, and build the basis of latent space.

    The folder receives gan/, classifier/ and encoder/, each with last.pt, log.jsonl, samples-EPOCH.png and
    training.png, and last.pt with all of them and the basis. At most ten categories. Ctrl-C saves; the same command
    goes on.
    """
    workers = training.begin(run, about)
    from lyapmap.models.latent_spectral.training import LsdPlan
    from lyapmap.models.latent_spectral.training import train_lsd as train

    images = images_of(about, choice)
    values = run.values
    encoder = ("learning_rate", "average", "kind", "reconstruction", "kl", "label")
    plan = LsdPlan(
        **run.options("LsdPlan"),
        gan_options={name: values[name] for name in ("learning_rate_g", "learning_rate_d", "average")},
        classifier_options={name: values[name] for name in ("noise", "average")},
        encoder_options={name: values[name] for name in encoder},
        seed=run.seed,
    )

    @contextmanager
    def watch(stage: str) -> Iterator[Any]:
        if run.progress:
            show.aside(f"stage: {stage}")
        with training.progress(run.as_json) as hooks:
            yield hooks
        lines = (run.folder / stage / "log.jsonl").read_text().splitlines()
        training.draw([json.loads(line) for line in lines], run.folder / stage)

    # Test images of the same size and categories.
    channels, height, _ = images.state_shape
    classes = sorted(set(images.labels.tolist()))
    test = training.images_of(about, split="test", classes=classes, image_size=height, channels=channels)
    trained = train(images, run.folder, plan, test=test, workers=workers, watch=watch, progress=run.progress)
    workers.leave()
    _say(run, trained)
    return 0


def _say(run: Run, trained: Lsd) -> None:
    measured = trained.training["accuracy"]
    path = run.folder / "last.pt"
    basis = trained.basis
    if run.as_json:
        built = None if basis is None else {"orthogonality": basis.orthogonality, "resolved": int(basis.resolved.sum())}
        show.print_json({"accuracy": measured, "basis": built, "checkpoint": str(path)} | trained.origin)
        return
    print(f"labels of test images found: {measured['images']:.2%}; once encoded and decoded: {measured['decoded']:.2%}")
    if basis is not None:
        print(
            f"basis of {len(basis.xi)} vectors, orthogonal to {basis.orthogonality:.0e}; "
            f"{int(basis.resolved.sum())} of them stand out of the noise of their averages"
        )
    print(f"next: lyapmap study lsd --model {path}")


@command(
    further=studies.sizes(f"{PAPER}.protocol"),
    shown={"against": "cycle-mnist-012 for MNIST", "cycle": "0,1,2, or the first three"},
    examples="""
lyapmap study lsd runs/lsd/last.pt --data mnist --out study
lyapmap study lsd runs/lsd/last.pt --data mnist --against cycle-mnist-012 --cycle 0,1,2 --out study
lyapmap study lsd runs/lsd/last.pt --data mnist --protocol paper --only denoising --out study
The same command goes on where it was stopped; changed sizes run only the stages that depend on them.
""",
)
def study_lsd(
    run: Run,
    about: StudyRun,
    model: str,
    *,
    data: str,
    against: list[str] | None = None,
    cycle: tuple[int, ...] | None = None,
) -> int:
    """Every figure of "Using deep LSD to build operators in GANs latent space", denoising measured, and dynamics.

    DIR receives index.html, study.json, figures/, results/ (each opens with lyapmap and xarray) and stages/.

    Parameters
    ----------
    model : NAME|FILE
        Networks of train lsd, with or without a basis.
    data : NAME|FOLDER
        Data set that the networks were trained on.
    against : NAME|FILE
        A cycle generator to set the rotation of images beside; repeatable.
    cycle : N,N[,N...]
        Categories that the rotation of images goes through.
    """

    def load(train: studies.Trained) -> Any:
        from lyapmap.models.latent_spectral.subject import load_subject

        return load_subject(model, data=data, against=against, cycle=cycle, **about.subject)

    return studies.study(run, about, PAPER, load)


@command(
    f"{PAPER}.images:components_of_images",
    hides=("value_range", "Machine.seed"),
    examples="lyapmap lsd decompose runs/lsd/last.pt --data mnist --samples 20 --out components",
)
def decompose(run: Run, machine: Machine, model: str, *, data: str, samples: int = 10) -> int:
    """Write images as sums of quasi-eigenvectors, and decode the largest parts of the sums.

    Parameters
    ----------
    model : NAME|FILE
        Networks of train lsd, with their basis.
    data : NAME|FOLDER|FILE
        Images: the test images of a data set, a folder, or one image.
    samples : N, at least 1
        Images, the first ones.
    """
    lsd, images = _loaded(model, data, samples, machine)
    result = run(lsd.basis, images.images, value_range=images.value_range)
    return _shown(run, result, lsd, images, f"{lsd.name}: {len(images)} images", "components")


@command(
    f"{PAPER}.images:components_of_images",
    hides=("value_range",),
    usual={"components": (1, 4, 10)},
    examples="""
lyapmap lsd denoise runs/lsd/last.pt --data mnist --noise 0.8 --out denoised
lyapmap lsd denoise lsd-mnist --data photographs/ --components 4 --out denoised
lyapmap lsd denoise lsd-mnist --data digit.png
""",
)
def denoise(run: Run, machine: Machine, model: str, *, data: str, noise: float = 0.0, samples: int = 10) -> int:
    """Decode images from the largest components of their encodings, perhaps after adding noise to them.

    Parameters
    ----------
    model : NAME|FILE
        Networks of train lsd, with their basis.
    data : NAME|FOLDER|FILE
        Images: the test images of a data set, a folder, or one image.
    noise : X, at least 0
        Standard deviation of normal noise to add, for pixels in [-1, 1].
    samples : N, at least 1
        Images, the first ones.
    """
    lsd, images = _loaded(model, data, samples, machine)
    from lyapmap.models.latent_spectral.images import with_noise

    noisy = replace(images, images=with_noise(images.images, noise, images.value_range, seed=run.seed))
    result = run(lsd.basis, noisy.images, value_range=images.value_range)
    return _shown(run, result, lsd, images, f"{lsd.name}: {len(images)} images, noise {noise:g}", "denoised")


@command(
    f"{PAPER}.images:rotated_images",
    hides=("value_range", "labels", "Machine.seed"),
    shown={"cycle": "all"},
    examples="""
lyapmap lsd rotate runs/lsd/last.pt --data mnist --out rotated
lyapmap lsd rotate runs/lsd/last.pt --data mnist --cycle 0,1,2 --steps 1 --round-trip --out rotated
""",
)
def rotate(
    run: Run, machine: Machine, model: str, *, data: str, cycle: tuple[int, ...] | None = None, samples: int = 10
) -> int:
    """Encode images of the first category and rotate them through all others and back.

    Parameters
    ----------
    model : NAME|FILE
        Networks of train lsd, with their basis.
    data : NAME|FOLDER|FILE
        Images: the test images of a data set, a folder, or one image.
    cycle : N,N[,N...]
        Categories to go through.
    samples : N, at least 1
        Images, the first ones.
    """
    lsd, images = _loaded(model, data, 10**9, machine)
    order = lsd.classes if cycle is None else cycle
    unknown = [c for c in order if c not in lsd.classes]
    if unknown:
        raise LyapmapError(f"--cycle: {lsd.name} knows {', '.join(map(str, lsd.classes))}, got {unknown[0]}")
    first = images.only([order[0]])
    first = first.some(min(samples, len(first)))
    labels = [lsd.classes.index(c) for c in order]
    result = run(lsd.basis, first.images, labels=labels, value_range=images.value_range)
    title = f"{lsd.name}: {len(first)} images through {', '.join(map(str, order))} and back"
    return _shown(run, result, lsd, first, title, "rotated", slice(1, None, run.values["steps"]))


def _loaded(model: str, data: str, count: int, machine: Machine) -> tuple[Lsd, ImageSet]:
    """The networks with a basis, and images as they take them."""
    from lyapmap.cli.source import require_torch, with_notes

    require_torch("latent spectral decomposition")
    from lyapmap.data import load
    from lyapmap.models.latent_spectral.network import load_lsd

    lsd = load_lsd(model, device=machine.device)
    if lsd.basis is None:
        raise LyapmapError(f"--model: {lsd.name} has no basis; the last stage of `lyapmap train lsd` makes it")
    channels, size, _ = lsd.module.state_shape
    folder = Path(data)
    images = with_notes(
        load(
            data,
            split="train" if folder.is_dir() and not (folder / "test").is_dir() else "test",
            image_size=size,
            channels=channels,
            value_range=lsd.generator.config.value_range,  # type: ignore[union-attr, arg-type]
        )
    )
    return lsd, replace(images, images=images.images[:count], labels=images.labels[:count])


def _shown(
    run: Run, result: LsdImages, lsd: Lsd, images: ImageSet, title: str, name: str, columns: slice = slice(None)
) -> int:
    """Print one row for each image, write pictures and numbers; labels of some columns are printed."""

    def table(result: LsdImages) -> Table:
        assert lsd.basis is not None
        table = show.make_table("image", "label", "LSD", "largest components", "seen as")
        for row, label in enumerate(images.labels):
            parts = [
                f"{c:+.2f} ({lsd.classes[lsd.basis.label[k]]}, {lsd.basis.set_number[k]})"
                for k, c in zip(result.largest[row, :SHOWN], result.coefficients[row, :SHOWN], strict=True)
            ]
            seen = " ".join(str(lsd.classes[place]) for place in result.seen[row, columns])
            table.add_row(str(row + 1), str(label), str(lsd.classes[result.named[row]]), "  ".join(parts), seen)
        return table

    facts = [
        ("components", "coefficient (label, set)"),
        ("seen as", f"labels of the images: {', '.join(result.columns[columns])}"),
    ]
    return run.show(result, title, facts, name=name, table=table)
