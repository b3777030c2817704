"""How a command ends: numbers on the terminal or as JSON, files, and the exit code."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from lyapmap.cli.command import Run
    from lyapmap.cli.source import Source
    from lyapmap.core.results import Result
    from lyapmap.report.page import Section

Facts = Sequence[tuple[str, Any]]
"""Labels and what stands beside them: plain text, which may hold names of files and of maps, or a `Text` of rich."""

_WIDTH = 18
BAD_STATUS, BAD_INPUT, INTERRUPTED = 1, 2, 130
"""Exit codes; 0 where all is well."""


def conclude(
    run: Run,
    result: Result,
    title: str,
    facts: Facts,
    *,
    table: Callable[[Any], Table] | None = None,
    source: Source | None = None,
    name: str = "",
    pictures: Sequence[Callable[[Path], Section]] = (),
) -> int:
    """Print and write a result; the exit code that belongs to its status.

    What took longest comes first: numbers on the terminal, numbers in files, pictures, so that a full disk or Ctrl-C
    on the way loses as little as may be.

    Parameters
    ----------
    run : Run
        Which has the folder, and whether JSON is asked for.
    result : Result
    title : str
        First line on the terminal.
    facts : pairs of str
        What is printed below; what every result has (run, status) follows by itself.
    table : callable, optional
        Makes a table of the result, printed between title and facts.
    source : Source, optional
        Where the result's map comes from.
    name : str
        Of the files: NAME.nc, NAME.json, NAME.png, and report.html that shows them; that of the command by default.
    pictures : callables
        Each draws a picture into a folder and gives a section of the report's page, which stands below that of the
        result.
    """
    own = [] if any(label == "verdict" for label, _ in facts) else [("verdict", result.sentence)]
    facts = [*own, *facts, *common_facts(result, source)]
    console = make_console()
    if run.as_json:
        print(result.to_json(), flush=True)
    else:
        console.print(title, style="bold")
        if table is not None:
            console.print(table(result))
        print_facts(console, facts)
        sys.stdout.flush()
    if run.out is not None:
        from lyapmap.report.page import result_sections

        drawn = save(result, run.out, name or run.command.name)
        plots = result_sections(result, "Plots", *drawn) if drawn else []
        _page(run, result, title, facts, [*plots, *(draw(run.out) for draw in pictures)])
        if not run.as_json:
            print_facts(console, [("written to", str(run.out))])
    return exit_code(run, result)


def exit_code(run: Run, result: Result) -> int:
    """Of a command that measured something."""
    return INTERRUPTED if run.interrupted else BAD_STATUS if result.failed else 0


def files_written(run: Run, result: Result, words: str, files: Sequence[Path], *, without: Sequence[str]) -> int:
    """Name the files of a result that is large, or print it as JSON `without` its large arrays; the exit code.

    A page, report.html, shows it beside them.
    """
    from lyapmap.report.page import result_sections

    title = f"{run.command.name.capitalize()} of {words.partition(':')[0]}"
    files = [*files, _page(run, result, title, [("about", words)], result_sections(result, "Plots"))]
    if run.as_json:
        record = {key: value for key, value in result.to_dict().items() if key not in without}
        print_json(record | {"files": [str(file) for file in files]})
    else:
        print(words)
        for file in files:
            print(f"  {file}")
        if result.message:
            print(f"status {result.status}: {result.message}; {result.remedy}", file=sys.stderr)
    return exit_code(run, result)


def _page(run: Run, result: Result, title: str, facts: Facts, sections: Sequence[Section]) -> Path:
    """The page of a run, report.html."""
    from lyapmap.report.page import account_of, save_report

    return save_report(
        run.folder / "report.html",
        title=title,
        facts=[(label, str(text)) for label, text in facts if label not in ("status", "verdict")],
        sections=sections,
        provenance=result.provenance,
        account=account_of(result),
        command=typed_again(run),
    )


def aside(text: str) -> None:
    """Say something beside the results."""
    print(text, file=sys.stderr)


def print_json(value: Any) -> None:
    """Print plain values as one JSON object."""
    print(json.dumps(value, allow_nan=False))


def save(result: Result, out: Path, name: str) -> tuple[Path, Figure] | None:
    """Write NAME.nc, NAME.json and, where the result can be drawn, NAME.png; the picture and what it was made of."""
    from lyapmap.report.style import save_figure

    result.save(out / f"{name}.nc")
    result.save(out / f"{name}.json")
    if not result.DRAWN_BY:
        return None
    figure = result.plot()
    return save_figure(figure, out / f"{name}.png"), figure


def typed_again(run: Run) -> str:
    """The line that makes a run again: the command with the options that were given, --out left out."""
    words = ["lyapmap", *run.command.path]
    for option in sorted(run.command.options(), key=lambda option: option.place == "name"):
        if option.key not in run.given or option.key in ("out", "as_json"):
            continue
        value = run.values[option.key]
        if option.read is None:
            words.append(option.name if value else f"--no-{option.name.lstrip('-')}")
            continue
        for part in value if option.repeats else [value]:
            text = ",".join(
                str(word).removesuffix(".0") for word in (part if isinstance(part, tuple | list) else [part])
            )
            words += [text] if option.place in ("place", "either") else [option.name, text]
    return shlex.join(words)


NOT_USUAL = ("complex step", "dual numbers", "central differences", "reverse mode", "batch Jacobian")
"""Derivatives, as their descriptions begin, that a result tells on the terminal."""


def common_facts(result: Result, source: Source | None = None) -> list[tuple[str, Any]]:
    """What every result can say of itself: start, derivative, seconds, status."""
    facts: list[tuple[str, Any]] = []
    origin = result.provenance
    if source is not None:
        facts.append(("started from", source.started_from))
    if str(origin.get("derivative")).startswith(NOT_USUAL):
        facts.append(("derivative", str(origin["derivative"])))
    if "stored" in origin:
        facts.append(("precision", f"{origin['dtype']}; the network is stored in {origin['stored']}"))
    if "seconds" in origin:
        facts.append(("seconds", f"{origin['seconds']:.2f}"))
    status = str(result.status)
    colour = "green" if status == "ok" else "red" if result.failed else "yellow"
    words = ": " + "; ".join(part for part in (result.message, result.remedy) if part) if result.message else ""
    facts.append(("status", styled(status, colour, words)))
    return facts


def make_console() -> Console:
    """Where commands print: as wide as the terminal, unwrapped when piped."""
    from rich.console import Console

    return Console(soft_wrap=not sys.stdout.isatty(), highlight=False, markup=False, emoji=False)


def make_table(*headings: str, title: str | None = None) -> Table:
    """An empty table of numbers, which stand on the right."""
    from rich.table import Table

    table = Table(title=title, title_justify="left", caption_justify="left")
    for heading in headings:
        table.add_column(heading, justify="right")
    return table


def cut(table: Table, count: int, shown: int) -> None:
    """Say how many rows a table leaves out, if it does."""
    if count > shown:
        table.caption = f"and {count - shown} more; --out or --json gives all"


def print_facts(console: Console, facts: Facts) -> None:
    """Labels in bold, what stands beside them in one column."""
    from rich.text import Text

    for label, text in facts:
        console.print(Text.assemble((f"{label:<{_WIDTH}}", "bold"), " ", text if isinstance(text, Text) else str(text)))


def number(value: float) -> str:
    """Six decimals where that shows something, else scientific; a dash for NaN."""
    if value != value:  # NaN
        return "-"
    small = value != 0 and abs(value) < 5e-6
    return f"{value:.1e}" if small or abs(value) >= 1e6 else f"{value:.6f}"


def pair(value: float, error: float) -> str:
    """A number and its standard error."""
    if value != value:
        return "not determined"
    return f"{value:.4f} ± {error:.4f}" if error == error else f"{value:.4f}"


def styled(text: str, style: str, rest: str = "") -> Text:
    """A text with a style, and more without one.

    Markup is not used: names of files and of maps, which may look like it, stand in what commands print.
    """
    from rich.text import Text

    return Text.assemble((text, style), rest)
