"""What the commands of `lyapmap study` share: sizes as options, what they say on the way, how they end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lyapmap.cli import show
from lyapmap.cli.command import REAL, SIZES, WHOLE, Number, Option, Run, in_text
from lyapmap.cli.options import StudyRun
from lyapmap.cli.show import BAD_STATUS, INTERRUPTED

if TYPE_CHECKING:
    from lyapmap.study.stages import Record, Stage
    from lyapmap.study.study import Findings

Trained = Callable[..., Path]
"""Trains a network for the study: takes a paper's `train_first` and what it needs; the path of the checkpoint."""


def sizes(module: str, only: Callable[[str], bool] = lambda name: True) -> Callable[[], list[Option]]:
    """Options for the sizes of a protocol whose names are wanted, and for the protocol itself.

    Parameters
    ----------
    module : str
        Has `PROTOCOLS`: dataclasses of one kind, by name.
    only : callable
    """
    return partial(_sizes, module, only)


def _sizes(module: str, only: Callable[[str], bool]) -> list[Option]:
    presets = import_module(module).PROTOCOLS
    names = tuple(sorted(presets, key="quick".__ne__))
    options = [
        Option("protocol", ("--protocol",), "Sizes of all stages.", "quick", "quick", str, "|".join(names), names)
    ]
    for size in fields(presets["quick"]):
        if only(size.name):
            read = _reader(str(size.type))
            options.append(
                Option(
                    size.name,
                    (f"--{size.name.replace('_', '-')}",),
                    size.metadata["help"],
                    shown=_shown({name: in_text(getattr(p, size.name)) for name, p in presets.items()}),
                    read=read,
                    metavar=getattr(read, "metavar", "NAME"),
                    panel=SIZES,
                )
            )
    return options


def _shown(values: Mapping[str, str]) -> str:
    """Defaults of all protocols; one where they agree."""
    if len(set(values.values())) == 1:
        return next(iter(values.values()))
    return "; ".join(f"{value} ({name})" for name, value in values.items())


def _reader(annotation: str) -> Callable[[str], Any]:
    if annotation.startswith("tuple"):
        return WHOLE if "int" in annotation else REAL
    return Number(float) if "float" in annotation else Number() if annotation.startswith("int") else str


def protocol(run: Run, module: str, **usual: Any) -> Any:
    """The protocol that is asked for, with the sizes that are given, over those that are usual for the command."""
    from lyapmap.study.protocol import preset

    presets = import_module(module).PROTOCOLS
    names = {size.name for size in fields(presets["quick"])} & run.given
    return preset(presets, run.values["protocol"], usual | {name: run.values[name] for name in names})


def study(run: Run, about: StudyRun, paper: str, load: Callable[[Trained], Any]) -> int:
    """Run the study of a paper; the exit code.

    Parameters
    ----------
    run : Run
    about : StudyRun
    paper : str
        Package that holds `study.STUDY` and `protocol.PROTOCOLS`.
    load : callable
        Loads what the study is about. It takes a function that trains a network first, where none is given.
    """
    from lyapmap.cli.source import require_torch

    require_torch("the study")
    the = import_module(f"{paper}.study").STUDY
    wanted = protocol(run, f"{paper}.protocol")
    the.check_names(about.only or ())
    with saying(run.as_json) as says:

        def train(first: Callable[..., Path], **settings: Any) -> Path:
            with says.training() as on_step:
                return first(run.folder / "training", **settings, seed=about.seed, device=about.device, on_step=on_step)

        subject = load(train)
        findings = the.run(
            subject,
            run.folder,
            protocol=wanted,
            only=about.only or (),
            progress=run.progress,
            on_stage=says.stage,
            command=show.typed_again(run),
        )
    return conclude(findings, run.as_json)


class Narrator:
    """Says on the terminal how a study goes."""

    def __init__(self, quiet: bool) -> None:
        self.quiet, self.now = quiet, ""

    def stage(self, what: str, stage: Stage, record: Record | None) -> None:
        """Say that a stage ends, or that its results are kept."""
        self.now = stage.name
        if self.quiet or record is None:
            return
        words = f"{record.seconds:8.1f} s" if what == "ends" else "      kept"
        if record.status != "done":
            words += f"  {record.status}: {record.message}"
        print(f"{stage.name:<22}{words}")

    @contextmanager
    def training(self) -> Iterator[Callable[[Any], None]]:
        """Show the progress of a training."""
        from lyapmap.core.run import reporting

        self.now = "training"
        with reporting(not self.quiet, "training") as report:
            yield lambda at: report(at.step, at.steps)


@contextmanager
def saying(quiet: bool) -> Iterator[Narrator]:
    """A narrator; after Ctrl-C it says where the study stands."""
    narrator = Narrator(quiet)
    try:
        yield narrator
    except KeyboardInterrupt:
        where = f" in {narrator.now}" if narrator.now else ""
        print(f"lyapmap: interrupted{where}; what was finished is kept, the same command goes on", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None


def conclude(findings: Findings, as_json: bool) -> int:
    """Print the table of a study and where its page is, ; its exit code."""
    if as_json:
        show.print_json(findings.numbers)
    else:
        console = show.make_console()
        rows = findings.numbers["table"]
        if rows:
            table = show.make_table(*rows[0])
            table.columns[0].justify = "left"
            for row in rows:
                table.add_row(*row.values())
            console.print(table)
        facts = [
            ("features", str(findings.numbers["features"])),
            ("seconds", f"{findings.numbers['seconds']:.0f} ({findings.numbers['cpu_seconds']:.0f} of all cores)"),
            ("open", str(findings.folder / "index.html")),
        ]
        show.print_facts(console, facts)
    return BAD_STATUS if any(record.status == "failed" for record in findings.records.values()) else 0
