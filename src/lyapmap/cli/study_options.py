"""What the commands of `lyapmap study` share: sizes as options, what they say on the way, how they end."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import Field, fields
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lyapmap.cli import common, show
from lyapmap.study.protocol import preset as chosen_preset

if TYPE_CHECKING:
    from lyapmap.study.stages import Record, Stage
    from lyapmap.study.study import Findings, Study

SIZES = "Sizes, over those of the protocol"
PRESET = "Sizes of all stages."
Trained = Callable[..., Path]
"""Trains a network for the study: takes a paper's `train_first` and what it needs; the path of the checkpoint."""

FolderOption = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the study.")]
OnlyOption = Annotated[list[str] | None, typer.Option("--only", metavar="STAGE", help="Only this stage; repeatable.")]
FeaturesOption = Annotated[
    str | None,
    typer.Option(
        "--features",
        metavar="NAME|FILE",
        help="For precision and recall: pixels, classifier, random-vgg, vgg16, or a trained classifier.",
        show_default="classifier if one is shipped, else pixels",
    ),
]
ClassifierOption = Annotated[
    str | None,
    typer.Option(
        "--classifier",
        metavar="NAME|FILE",
        help="Names the categories of images.",
        show_default="the shipped one of the data",
    ),
]


def with_sizes(
    presets: Mapping[str, Any], chosen: Callable[[str], bool] = lambda name: True
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for every size of a protocol whose name is chosen; it receives `sizes`.

    `presets` are the protocols by their names, dataclasses of one kind.
    """
    own = [one for one in fields(next(iter(presets.values()))) if chosen(one.name)]
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
                    show_default="; ".join(f"{_words(getattr(p, one.name))} ({n})" for n, p in presets.items()),
                    rich_help_panel=SIZES,
                ),
            ],
        )
        for one in own
    ]

    def decorated(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def sized(**given: Any) -> None:
            sizes = {one.name: _value(one, given.pop(one.name)) for one in own}
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


def study_command(study: str, presets: Mapping[str, Any]) -> Callable[[Callable[..., Any]], Callable[..., None]]:
    """Make a command of a function that loads what a study is about; its own options come first.

    Parameters
    ----------
    study : str
        The module that holds `STUDY`; loaded when the command runs.
    presets : mapping
        The protocols by their names.

    The function receives its own options and, by keyword, `train` (see `Trained`) if it has such a parameter,
    and `options` for `load_subject`: features, classifier, weights, device and seed.
    """

    def decorated(function: Callable[..., Any]) -> Callable[..., None]:
        own = list(inspect.signature(function, eval_str=True).parameters.values())
        hidden = {"train", "options"}

        @functools.wraps(function)
        def command(
            *,
            out: Path,
            preset: str,
            only: list[str] | None,
            as_json: bool,
            sizes: dict[str, Any],
            **given: Any,
        ) -> None:
            from lyapmap.cli.source import require_torch

            require_torch("the study")
            paper: Study = import_module(study).STUDY
            protocol = chosen_preset(presets, preset, sizes)
            paper.check_names(only or ())
            options = {name: given.pop(name) for name in ("features", "classifier", "weights", "device", "seed")}
            with told(as_json) as teller:

                def train(first: Callable[..., Path], **settings: Any) -> Path:
                    with teller.training() as on_step:
                        folder = common.made_folder(out) / "training"
                        return first(
                            folder, **settings, seed=options["seed"], device=options["device"], on_step=on_step
                        )

                extra = {"train": train} if any(p.name == "train" for p in own) else {}
                subject = function(**given, **extra, options=options)
                folder = common.made_folder(out)
                found = paper.run(
                    subject, folder, protocol=protocol, only=only or (), progress=not as_json, told=teller.stage
                )
            conclude(found, as_json)

        names = "|".join(sorted(presets, key="quick".__ne__))
        ours = _parameters(
            preset=(
                Annotated[str, typer.Option("--protocol", metavar=names, help=PRESET)],
                "quick",
            ),
            only=(OnlyOption, None),
            features=(FeaturesOption, None),
            classifier=(ClassifierOption, None),
            weights=(common.WeightsOption, None),
            device=(common.DeviceOption, None),
            seed=(common.SeedOption, 0),
            as_json=(common.JsonOption, False),
        )
        theirs = [p for p in own if p.name not in hidden]
        place = next((i for i, p in enumerate(theirs) if p.default is not inspect.Parameter.empty), len(theirs))
        theirs.insert(place, *_parameters(out=(FolderOption, inspect.Parameter.empty)))
        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*theirs, *ours)]
        sizes = inspect.Parameter("sizes", inspect.Parameter.KEYWORD_ONLY, annotation=dict[str, Any])
        command.__signature__ = inspect.Signature([*parameters, sizes])  # type: ignore[attr-defined]
        command.__annotations__ = {p.name: p.annotation for p in parameters}
        return common.command(with_sizes(presets)(command))

    return decorated


def _parameters(**kinds: tuple[Any, Any]) -> list[inspect.Parameter]:
    return [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (annotation, default) in kinds.items()
    ]


def _kind(annotation: str) -> Any:
    if annotation.startswith("tuple"):
        return str | None  # numbers in one word, separated by commas
    return float | None if "float" in annotation else int | None if annotation.startswith("int") else str | None


def _value(size: Field[Any], given: Any) -> Any:
    """A size as the protocol takes it, where the command line gives several numbers as one word."""
    if given is None or not str(size.type).startswith("tuple"):
        return given
    option = f"--{size.name.replace('_', '-')}"
    return common.integers(given, option) if "int" in str(size.type) else common.numbers(given, option)


def _words(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else "all or auto" if value is None else str(value)


class Teller:
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
        from lyapmap.core.run import reporting

        self.now = "training"
        with reporting(not self.quiet, "training") as report:
            yield lambda at: report(at.step, at.steps)


@contextmanager
def told(quiet: bool) -> Iterator[Teller]:
    """A teller; after Ctrl-C it says where the study stands."""
    teller = Teller(quiet)
    try:
        yield teller
    except KeyboardInterrupt:
        where = f" in {teller.now}" if teller.now else ""
        typer.echo(f"lyapmap: interrupted{where}; what was finished is kept, the same command goes on", err=True)
        raise typer.Exit(common.INTERRUPTED) from None


def conclude(found: Findings, as_json: bool) -> None:
    """Print the table of a study and where its page is, and leave with its exit code."""
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
