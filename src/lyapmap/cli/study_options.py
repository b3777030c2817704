"""What the commands of `lyapmap study` share: sizes as options, what they say on the way, how they end."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import Field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from lyapmap.cli import common, show

if TYPE_CHECKING:
    from lyapmap.study.stages import Record, Stage

SIZES = "Sizes, over those of the protocol"

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


class Found(Protocol):
    """What a study gives."""

    @property
    def folder(self) -> Path:
        """With the page."""

    @property
    def numbers(self) -> dict[str, Any]:
        """What study.json holds."""

    @property
    def records(self) -> dict[str, Record]:
        """Of the stages."""


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
        from lyapmap.analysis.progress import reporting

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


def conclude(found: Found, as_json: bool) -> None:
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
