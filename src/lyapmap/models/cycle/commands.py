"""Commands of the cycle generator: `lyapmap train cycle`, `study cycle`, `study cycle-seeds`, `convert`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from lyapmap.cli import show, training
from lyapmap.cli import study as studies
from lyapmap.cli.command import Run, command
from lyapmap.cli.options import StudyRun, TrainingRun
from lyapmap.core.errors import LyapmapError

PAPER = "lyapmap.models.cycle"
TRIAL_SIZES = (
    *("k", "trajectories", "transient", "steps", "exponents", "ensemble", "space_steps", "space_images"),
    *("category_trajectories", "category_steps", "memorization_samples", "dimension_points"),
    *("epoch_trajectories", "epoch_transient", "epoch_steps"),
)
"""Sizes that trials use."""


@command(
    f"{PAPER}.recipe:CycleSettings",
    f"{PAPER}.extra_losses:ExtraTerms",
    training.LOOP,
    training.LAUNCH,
    shown={"classes": "0,1,2, or those of --start", "width": "64 as in the paper, or that of --start"},
    examples="""
lyapmap train cycle --data digits --classes 0,1,2 --epochs 100 --out runs/digits
lyapmap train cycle --data mnist --classes 0,1,2 --width 32 --epochs 30 --monitor-every 2 --out runs/mnist
lyapmap train cycle --data mnist --classes 0,1,2 --width 32 --recipe steady --seed 1 --out runs/steady-1
lyapmap train cycle --data digits --classes 0,1,2 --epochs 300 --exponent 0.1 --out runs/chaos-0.1
lyapmap train cycle --data mnist --start runs/mnist/last.pt --replay 0.5 --replay-cycle 1 --diversity 100 --out runs/own
lyapmap train cycle --data mnist --device cuda --devices 2 --tensorboard --out runs/mnist
torchrun --nproc-per-node 2 -m lyapmap train cycle --data mnist --device cuda --out runs/mnist
The same command goes on where it was stopped.
""",
)
def train_cycle(
    run: Run,
    about: TrainingRun,
    *,
    classes: tuple[int, ...] | None = None,
    recipe: str = "paper",
    start: Path | None = None,
    width: int | None = None,
) -> int:
    """Train the cycle model: images of each category become images of the next.

    The folder receives last.pt (usable as --model), log.jsonl, samples-EPOCH.png and training.png. Ctrl-C saves; the
    same command goes on.

    Parameters
    ----------
    classes : N,N[,N...]
        Categories in the order of the cycle.
    recipe : "paper", "steady" or "control"
        Settings by name; other options replace single ones, and show the paper's as defaults.
    start : FILE
        Begin with the networks of another run: its last.pt.
    width : N, at least 1
        Channels of the first stage.
    """
    from lyapmap.cli.source import require_torch

    require_torch("training")
    from lyapmap.files import checkpoint
    from lyapmap.models.cycle.network import CycleConfig
    from lyapmap.models.cycle.recipe import CycleRecipe, settings_by_name

    changes = run.options("CycleSettings") | run.options("ExtraTerms")
    plan = settings_by_name(recipe, **{name: value for name, value in changes.items() if name in run.given})
    workers = training.begin(run, about, precision=plan.precision)
    earlier = None if start is None else checkpoint.load(start)
    # What is of another kind is refused by the recipe.
    begun = earlier if earlier is not None and earlier.model == "cycle" else None
    settings = {} if begun is None else begun.training.get("settings", {})
    order = classes or settings.get("classes", (0, 1, 2))
    if len(set(order)) != len(order):
        raise LyapmapError(f"--classes: expected different classes, got {','.join(map(str, order))}")
    train = training.images_of(about, classes=order, square=True)
    channels, height, _ = train.state_shape
    if width is None:
        width = CycleConfig.width if begun is None else begun.config["width"]
    trained = CycleRecipe(
        CycleConfig(categories=len(order), image_size=height, channels=channels, width=width),
        train,
        training.images_of(about, classes=order, split="test"),
        classes=order,
        settings=plan,
        seed=run.seed,
        device=workers.device,
    )
    if earlier is not None:
        trained.start_from(earlier)
    return training.train(run, trained, workers, epochs=plan.epochs)


@command(
    further=studies.sizes(f"{PAPER}.protocol"),
    shown={"model": "trained first, in DIR/training", "train_epochs": "30", "width": "64"},
    examples="""
lyapmap study cycle cycle-mnist-012 --data mnist --classes 0,1,2 --out study
lyapmap study cycle --data mnist --classes 0,1,2 --train-epochs 10 --width 32 --out study
lyapmap study cycle ckpt.pt --data mnist --classes 0,1,2 --protocol paper --only spectrum --out study
The same command goes on where it was stopped; changed sizes run only the stages that depend on them.
""",
)
def study_cycle(
    run: Run,
    about: StudyRun,
    model: str | None = None,
    *,
    data: str,
    classes: tuple[int, ...],
    train_epochs: int | None = None,
    width: int | None = None,
) -> int:
    """Every result of "Cyclic image generation using chaotic dynamics", as figure and number.

    DIR receives index.html, study.json, figures/, results/ (each opens with lyapmap and xarray) and stages/.

    Parameters
    ----------
    model : NAME|FILE
        A trained generator.
    data : NAME|FOLDER
        Data set that the generator was trained on.
    classes : N,N[,N...]
        Its categories in the order of the cycle.
    train_epochs : N, at least 1
        Epochs of the training.
    width : N, at least 1
        Channels of its first stage.
    """
    from lyapmap.models.cycle.subject import load_subject

    if model is not None and (train_epochs is not None or width is not None):
        raise LyapmapError("--train-epochs and --width: only without --model, where a generator is trained first")

    def load(train: studies.Trained) -> object:
        from lyapmap.models.cycle.recipe import train_first

        network = model or train(
            train_first,
            data=data,
            classes=classes,
            epochs=30 if train_epochs is None else train_epochs,
            width=64 if width is None else width,
        )
        return load_subject(network, data=data, classes=classes, **about.subject)

    return studies.study(run, about, PAPER, load)


@command(
    further=studies.sizes(f"{PAPER}.protocol", lambda name: name.startswith("epoch") or name == "k"),
    hides=("StudyRun.only", "StudyRun.classifier"),
    examples="""
lyapmap study cycle-seeds runs/1 runs/2 runs/3 --data mnist --classes 0,1,2 --out spread
lyapmap study cycle-seeds runs/* --data mnist --classes 0,1,2 --epochs 5 --epoch-steps 500 --out spread
The runs are folders of `lyapmap train cycle --keep-every 1`. The same command goes on where it was stopped.
""",
)
def cycle_seeds(run: Run, about: StudyRun, runs: list[Path], /, *, data: str, classes: tuple[int, ...]) -> int:
    """How much exponents, dimension, precision and recall depend on the seed and the epoch of the training.

    Parameters
    ----------
    runs : RUN
        Folders of training runs with epoch-*.pt.
    data : NAME|FOLDER
        Data set that the generators were trained on.
    classes : N,N[,N...]
        Its categories in the order of the cycle.
    """
    from lyapmap.cli.source import require_torch
    from lyapmap.models.cycle.epochs import cycle_seeds as measure
    from lyapmap.models.cycle.epochs import load_runs

    require_torch("the study")
    # All epochs by default: they are what this is about.
    protocol = studies.protocol(run, f"{PAPER}.protocol", epochs=None)
    with studies.saying(run.as_json) as says:
        options = {name: value for name, value in about.subject.items() if name != "classifier"}
        named, subject = load_runs(runs, data=data, classes=classes, **options)
        findings = measure(named, subject, run.folder, protocol=protocol, progress=run.progress, on_stage=says.stage)
    return studies.conclude(findings, run.as_json)


@command(
    further=studies.sizes(f"{PAPER}.protocol", TRIAL_SIZES.__contains__),
    hides=("StudyRun.only",),
    examples="""
lyapmap study cycle-trials runs/steady-* runs/control-* --data mnist --classes 0,1,2 --out trials
lyapmap study cycle-trials runs/* --data mnist --classes 0,1,2 --also second-classifier.pt --out trials
The runs are folders of `lyapmap train cycle --recipe steady --keep-every 1`. The same command goes on where it was
stopped.
""",
)
def cycle_trials(
    run: Run,
    about: StudyRun,
    runs: list[Path],
    /,
    *,
    data: str,
    classes: tuple[int, ...],
    also: list[str] | None = None,
) -> int:
    """The last epochs of several trainings on the test images: kinds of settings side by side, every seed.

    Parameters
    ----------
    runs : RUN
        Folders of training runs with epoch-*.pt.
    data : NAME|FOLDER
        Data set that the generators were trained on.
    classes : N,N[,N...]
        Its categories in the order of the cycle.
    also : NAME|FILE
        A further feature space, beside pixels and random-vgg; repeatable.
    """
    from lyapmap.cli.source import require_torch

    require_torch("the study")
    from lyapmap.models.cycle.epochs import load_runs
    from lyapmap.models.cycle.trials import cycle_trials as measure

    # All test images by default: they are looked at once.
    protocol = studies.protocol(run, f"{PAPER}.protocol", space_images=None)
    with studies.saying(run.as_json) as says:
        named, subject = load_runs(runs, data=data, classes=classes, also=also or (), **about.subject)
        findings = measure(named, subject, run.folder, protocol=protocol, progress=run.progress, on_stage=says.stage)
    return studies.conclude(findings, run.as_json)


@command(
    f"{PAPER}.conversion:convert",
    names={"replace": "--force"},
    out=False,
    examples="""
lyapmap convert cycle-mnist-012 generator.keras
lyapmap convert generator.keras generator.pt
lyapmap convert training_checkpoints/ckpt-10 generator.keras --part generator_g
""",
)
def convert(run: Run, source: str, target: Path, /, *, seed: int = 0) -> int:
    """Convert a cycle generator between torch and Keras; both must give the same images.

    Sample states, config and the record of the training go along.

    Parameters
    ----------
    source : SOURCE
        A shipped model, or a .pt, .safetensors or .keras file, ...
    target : TARGET
        A file that ends in .keras, .pt or .safetensors.
    seed : N, at least 0
        Of the images that are compared.
    """
    from lyapmap.cli.source import require_torch

    require_torch("converting a model")
    from lyapmap.models.cycle.conversion import convert as run_conversion

    done = run_conversion(source, target, **run.options(), seed=seed)
    if run.as_json:
        show.print_json(asdict(done))
        return 0
    size = " x ".join(map(str, (done.config["image_size"],) * 2))
    console = show.make_console()
    console.print(f"{done.source} -> {done.target}", style="bold")
    facts = [
        ("model", f"{done.architecture}, width {done.config['width']}, images {size}"),
        ("along", f"{done.sample_states or 'no'} sample states"),
        ("largest difference", f"{done.difference:.1e} of a pixel in [-1, 1], {done.images} images through both"),
    ]
    show.print_facts(console, facts)
    return 0
