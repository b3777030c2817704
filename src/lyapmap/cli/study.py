"""`lyapmap study`: whole protocols of papers, stage by stage."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lyapmap.cli import common, show
from lyapmap.core.errors import LyapmapError
from lyapmap.studies.cycle_protocol import PROTOCOLS, CycleProtocol, protocol

if TYPE_CHECKING:
    from lyapmap.studies.cycle import CycleStudy
    from lyapmap.studies.stages import Record, Stage

app = typer.Typer(
    help="Whole protocols of papers, stage by stage; what is done is kept.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)

CYCLE_EPILOG = """Examples:

lyapmap study cycle --data mnist --classes 0,1,2 --model cycle-mnist-012 --out study

lyapmap study cycle --data mnist --classes 0,1,2 --train-epochs 10 --width 32 --out study

lyapmap study cycle --data mnist --classes 0,1,2 --model ckpt.pt --protocol paper --only spectrum --out study

The same command goes on where it was stopped; changed sizes run only the stages that depend on them."""

SEEDS_EPILOG = """Examples:

lyapmap study cycle-seeds runs/1 runs/2 runs/3 --data mnist --classes 0,1,2 --out spread

lyapmap study cycle-seeds runs/* --data mnist --classes 0,1,2 --epochs 5 --epoch-steps 500 --out spread

The runs are folders of `lyapmap train cycle --keep-every 1`. The same command goes on where it was stopped."""

SIZES = "Sizes, over those of the protocol"

DataOption = Annotated[
    str, typer.Option("--data", metavar="NAME|FOLDER", help="Data set that the generator was trained on.")
]
ClassesOption = Annotated[
    str, typer.Option("--classes", metavar="N,N[,N...]", help="Its categories in the order of the cycle.")
]
FolderOption = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the study.")]
ProtocolOption = Annotated[str, typer.Option("--protocol", metavar="quick|paper", help="Sizes of all stages.")]
FeaturesOption = Annotated[
    str | None,
    typer.Option(
        "--features",
        metavar="NAME|FILE",
        help="For precision and recall: pixels, classifier, random-vgg, vgg16, or a trained classifier.",
        show_default="classifier if one is shipped, else pixels",
    ),
]


@app.callback()
def study() -> None:
    """Whole protocols of papers, stage by stage."""


def with_sizes(chosen: Callable[[str], bool]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for every size of the protocol whose name is chosen; it receives `sizes`."""
    own = [one for one in fields(CycleProtocol) if chosen(one.name)]
    options = [
        inspect.Parameter(
            one.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                _kind(str(one.type)),
                typer.Option(
                    f"--{one.name.replace('_', '-')}",
                    help=one.metadata["help"],
                    show_default="; ".join(f"{_words(getattr(p, one.name))} ({n})" for n, p in PROTOCOLS.items()),
                    rich_help_panel=SIZES,
                ),
            ],
        )
        for one in own
    ]

    def decorated(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def sized(**given: Any) -> None:
            sizes = {one.name: given.pop(one.name) for one in own}
            function(**given, sizes={name: value for name, value in sizes.items() if value is not None})

        parameters = [
            p.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for p in inspect.signature(function, eval_str=True).parameters.values()
            if p.name != "sizes"
        ]
        sized.__signature__ = inspect.Signature([*parameters, *options])  # type: ignore[attr-defined]
        sized.__annotations__ = {p.name: p.annotation for p in [*parameters, *options]}
        return sized

    return decorated


def _kind(annotation: str) -> Any:
    return float | None if "float" in annotation else int | None if annotation.startswith("int") else str | None


def _words(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else "all or auto" if value is None else str(value)


@app.command("cycle", epilog=CYCLE_EPILOG)
@common.command
@with_sizes(lambda name: True)
def cycle(
    data: DataOption,
    classes: ClassesOption,
    out: FolderOption,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", metavar="NAME|FILE", help="A trained generator.", show_default="trained first, in DIR/training"
        ),
    ] = None,
    train_epochs: Annotated[
        int | None, typer.Option("--train-epochs", min=1, help="Epochs of the training.", show_default="30")
    ] = None,
    width: Annotated[
        int | None, typer.Option("--width", min=1, help="Channels of its first stage.", show_default="64")
    ] = None,
    preset: ProtocolOption = "quick",
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="STAGE", help="Only this stage; repeatable.")
    ] = None,
    features: FeaturesOption = None,
    classifier: Annotated[
        str | None,
        typer.Option(
            "--classifier",
            metavar="NAME|FILE",
            help="Names the categories of images.",
            show_default="the shipped one of the data",
        ),
    ] = None,
    weights: common.WeightsOption = None,
    device: common.DeviceOption = None,
    seed: common.SeedOption = 0,
    as_json: common.JsonOption = False,
    *,
    sizes: dict[str, Any],
) -> None:
    """Every result of "Cyclic image generation using chaotic dynamics", as figure and number.

    DIR receives index.html, study.json, figures/, results/ (each opens with lyapmap and xarray) and stages/.
    """
    from lyapmap.cli.source import require_torch
    from lyapmap.studies.cycle import check_names, cycle_study
    from lyapmap.studies.cycle_subject import load_subject
    from lyapmap.studies.cycle_training import train_first

    require_torch("the study")
    if model is not None and (train_epochs is not None or width is not None):
        raise LyapmapError("--train-epochs and --width: only without --model, where a generator is trained first")
    chosen = _protocol(preset, sizes)
    check_names(only or ())
    numbers = common.integers(classes, "--classes") or ()
    folder = common.output_folder(out)
    assert folder is not None
    with _told(as_json) as teller:
        network: str | Path
        if model is None:
            with teller.training() as on_step:
                network = train_first(
                    folder / "training",
                    data=data,
                    classes=numbers,
                    epochs=train_epochs or 30,
                    width=width or 64,
                    seed=seed,
                    device=device,
                    on_step=on_step,
                )
        else:
            network = model
        subject = load_subject(
            network,
            data=data,
            classes=numbers,
            features=features,
            classifier=classifier,
            weights=weights,
            device=device,
            seed=seed,
        )
        found = cycle_study(subject, folder, protocol=chosen, only=only or (), progress=not as_json, told=teller.stage)
    _conclude(found, as_json)


@app.command("cycle-seeds", epilog=SEEDS_EPILOG)
@common.command
@with_sizes(lambda name: name.startswith("epoch") or name == "k")
def cycle_seeds(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of training runs with epoch-*.pt.")],
    data: DataOption,
    classes: ClassesOption,
    out: FolderOption,
    preset: ProtocolOption = "quick",
    features: FeaturesOption = None,
    weights: common.WeightsOption = None,
    device: common.DeviceOption = None,
    seed: common.SeedOption = 0,
    as_json: common.JsonOption = False,
    *,
    sizes: dict[str, Any],
) -> None:
    """How much exponents, dimension, precision and recall depend on the seed and the epoch of the training."""
    from lyapmap.cli.source import require_torch
    from lyapmap.studies.cycle_seeds import cycle_seeds as measure
    from lyapmap.studies.cycle_seeds import load_runs

    require_torch("the study")
    # All epochs by default: they are what this is about.
    chosen = _protocol(preset, {"epochs": None} | sizes)
    folder = common.output_folder(out)
    assert folder is not None
    numbers = common.integers(classes, "--classes") or ()
    with _told(as_json) as teller:
        named, subject = load_runs(
            runs, data=data, classes=numbers, features=features, weights=weights, device=device, seed=seed
        )
        found = measure(named, subject, folder, protocol=chosen, progress=not as_json, told=teller.stage)
    _conclude(found, as_json)


def _protocol(preset: str, sizes: dict[str, Any]) -> CycleProtocol:
    if isinstance(sizes.get("at"), str):
        sizes = sizes | {"at": common.integers(sizes["at"], "--at")}
    return protocol(preset, **sizes)


class _Teller:
    """Says on the terminal how a study goes."""

    def __init__(self, quiet: bool) -> None:
        self.quiet, self.now = quiet, ""

    def stage(self, what: str, stage: Stage, record: Record | None) -> None:
        self.now = stage.name
        if self.quiet or record is None:
            return
        words = f"{record.seconds:8.1f} s" if what == "ends" else "      kept"
        if record.status != "done":
            words += f"  {record.status}: {record.message}"
        typer.echo(f"{stage.name:<22}{words}")

    @contextmanager
    def training(self) -> Iterator[Callable[[Any], None]]:
        from lyapmap.analysis.progress import reporting

        self.now = "training"
        with reporting(not self.quiet, "training") as report:
            yield lambda at: report(at.step, at.steps)


@contextmanager
def _told(quiet: bool) -> Iterator[_Teller]:
    """A teller; after Ctrl-C it says where the study stands."""
    teller = _Teller(quiet)
    try:
        yield teller
    except KeyboardInterrupt:
        where = f" in {teller.now}" if teller.now else ""
        typer.echo(f"lyapmap: interrupted{where}; what was finished is kept, the same command goes on", err=True)
        raise typer.Exit(common.INTERRUPTED) from None


def _conclude(found: CycleStudy, as_json: bool) -> None:
    if as_json:
        common.echo_json(found.numbers)
    else:
        console = show.make_console()
        rows = found.numbers["table"]
        if rows:
            table = show.make_table(*rows[0])
            table.columns[0].justify = "left"
            for row in rows:
                table.add_row(*row.values())
            console.print(table)
        facts = [
            ("features", str(found.numbers["features"])),
            ("seconds", f"{found.numbers['seconds']:.0f} ({found.numbers['cpu_seconds']:.0f} of all cores)"),
            ("open", str(found.folder / "index.html")),
        ]
        show.print_facts(console, facts)
    if any(record.status == "failed" for record in found.records.values()):
        raise typer.Exit(common.BAD_STATUS)
