"""What the commands share: options, errors in one line, exit codes."""

from __future__ import annotations

import functools
import inspect
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec, TypeVar

import typer

from lyapmap._version import __version__
from lyapmap.core.errors import Interrupted, LyapmapError, RunError

if TYPE_CHECKING:
    from lyapmap.cli.source import Source

BAD_STATUS, BAD_INPUT, INTERRUPTED = 1, 2, 130

P = ParamSpec("P")
R = TypeVar("R")
Number = TypeVar("Number", int, float)

SOURCE_PANEL = "Map and initial states"


def _source_option(*names: str, **details: Any) -> Any:
    return typer.Option(*names, rich_help_panel=SOURCE_PANEL, **details)


DeviceOption = Annotated[
    str | None, typer.Option("--device", help="Where a torch map computes, e.g. cuda.", show_default="cpu")
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Of everything that is random.")]
OutOption = Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Write the result and its picture there.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
SAMPLES_PANEL = "Samples"
GeneratedOption = Annotated[
    Path | None,
    typer.Option(
        "--generated", metavar="FILE", help="Generated samples, instead of a map.", rich_help_panel=SAMPLES_PANEL
    ),
]
WeightsOption = Annotated[Path | None, typer.Option("--weights", help="File of weights for vgg16.")]


def _source_options(
    model: Annotated[
        str | None,
        _source_option(
            "--model",
            metavar="NAME|FILE",
            help="A shipped model, or a .pt, .safetensors, .keras, .h5 or TensorFlow file.",
        ),
    ] = None,
    part: Annotated[
        str | None, _source_option("--part", metavar="NAME", help="Which network of a TensorFlow checkpoint.")
    ] = None,
    trust: Annotated[
        bool, _source_option("--trust", help="Load a SavedModel, a program that may do anything when it runs.")
    ] = False,
    map_name: Annotated[
        str | None, _source_option("--map", metavar="NAME", help="A reference map; see `lyapmap maps`.")
    ] = None,
    parameters: Annotated[
        list[str] | None,
        _source_option("-p", "--parameter", metavar="NAME=VALUE", help="Parameter of the map; repeatable."),
    ] = None,
    function: Annotated[
        str | None,
        _source_option("--callable", metavar="PKG.MODULE:FUNCTION", help="A function or network that can be imported."),
    ] = None,
    state_shape: Annotated[
        str | None,
        _source_option("--state-shape", metavar="N[,N...]", help="Shape of one state of --callable, e.g. 1,28,28."),
    ] = None,
    x0: Annotated[Path | None, _source_option("--x0", metavar="FILE.npy", help="Initial states, one per row.")] = None,
    data: Annotated[
        str | None, _source_option("--data", metavar="NAME|FOLDER", help="Start from test images of a data set.")
    ] = None,
    classes: Annotated[
        str | None,
        _source_option("--classes", metavar="N[,N...]", help="Only these classes of --data, e.g. 0 or 0,1,2."),
    ] = None,
    resize: Annotated[
        bool, _source_option("--resize", help="Give images the size and colour of the map's states.")
    ] = False,
    trajectories: Annotated[
        int | None,
        _source_option("--trajectories", "-b", min=1, help="Number of trajectories.", show_default="8; 4 of a model"),
    ] = None,
    dtype: Annotated[
        str | None, _source_option("--dtype", help="float32 or float64.", show_default="the map's own")
    ] = None,
    device: Annotated[
        str | None, _source_option("--device", help="Where a torch map computes, e.g. cuda.", show_default="cpu")
    ] = None,
    seed: Annotated[int, _source_option("--seed", min=0, help="Of everything that is random.")] = 0,
) -> None:
    """The options by which every command that iterates a map is told which, and where to start."""


def about_a_map(
    *, optional: bool = False, without: tuple[str, ...] = (), **defaults: Any
) -> Callable[[Callable[Concatenate[Source, P], None]], Callable[..., None]]:
    """Give a command the options that name a map; it receives what they load as its first argument.

    `defaults` replace those of the options, e.g. ``about_a_map(trajectories=256)``. A command that
    needs the seed too reads `source.seed`. With `optional`, a command that can do without a map
    receives None where none is named, and as keywords those of these options that it names, such
    as the seed. A command that chooses initial
    states itself leaves out `without` those options, by the names of `load_source`.
    """
    shared = {
        name: p.replace(default=defaults.get(name, p.default), kind=inspect.Parameter.KEYWORD_ONLY)
        for name, p in inspect.signature(_source_options, eval_str=True).parameters.items()
        if name not in without
    }

    def with_options(function: Callable[Concatenate[Source, P], None]) -> Callable[..., None]:
        # `Source` is known to type checkers only: loading it would slow `lyapmap --help`.
        own = list(inspect.signature(function, eval_str=True, locals={"Source": Any}).parameters.values())[1:]
        passed_on = [p.name for p in own if optional and p.name in shared]
        own = [p for p in own if p.name not in passed_on]

        @functools.wraps(function)
        def loaded(**given: Any) -> None:
            from lyapmap.cli.source import load_source

            chosen: dict[str, Any] = dict.fromkeys(without) | {name: given.pop(name) for name in shared}
            if "out" in given:
                given["out"] = output_folder(given["out"])  # complain before the work, not after
            given |= {name: chosen[name] for name in passed_on}
            named = any(chosen[name] for name in ("model", "map_name", "function"))
            source = load_source(**chosen) if named or not optional else None
            function(source, **given)  # type: ignore[arg-type, call-arg]

        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
        loaded.__signature__ = inspect.Signature([*shared.values(), *parameters])  # type: ignore[attr-defined]
        loaded.__annotations__ = {p.name: p.annotation for p in [*shared.values(), *parameters]}
        return loaded

    return with_options


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lyapmap {__version__}")
        raise typer.Exit


def version_option(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Chaos analysis of iterated networks and maps: Lyapunov spectra, dimensions, pictures."""


def command(function: Callable[P, None]) -> Callable[P, None]:
    """Turn the errors of a command into one line and an exit code."""

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            function(*args, **kwargs)
        except RunError as error:
            _complain(error)
            raise typer.Exit(BAD_STATUS) from None
        except LyapmapError as error:
            _complain(error)
            raise typer.Exit(BAD_INPUT) from None
        except KeyboardInterrupt as error:
            if not isinstance(error, Interrupted) or error.result is None:
                typer.echo("lyapmap: interrupted", err=True)
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            sys.stderr.close()
            raise typer.Exit(0) from None

    return guarded


def _complain(error: Exception) -> None:
    typer.echo(f"lyapmap: {' '.join(str(error).split())}", err=True)


def completed(call: Callable[[], R]) -> tuple[R, bool]:
    """The result of an analysis, and whether Ctrl-C cut it short; without any result, go on rising."""
    try:
        return call(), False
    except Interrupted as stopped:
        if stopped.result is None:
            raise
        return stopped.result, True  # type: ignore[return-value]


def echo_json(value: Any) -> None:
    """Print plain values as one JSON object."""
    typer.echo(json.dumps(value, allow_nan=False))


LISTS = ("--classes", "--order", "--k")
"""Options that take several numbers."""


def lists_joined(arguments: list[str]) -> list[str]:
    """Arguments in which numbers that follow one of `LISTS` stand in one word, `--classes 0 1 2` as `--classes 0,1,2`.

    >>> lists_joined(["spectrum", "--classes", "0", "1", "--seed", "2"])
    ['spectrum', '--classes', '0,1', '--seed', '2']
    """
    joined: list[str] = []
    for argument in arguments:
        goes_on = len(joined) > 1 and joined[-2] in LISTS and all(p.isdecimal() for p in joined[-1].split(","))
        if goes_on and argument.isdecimal():
            joined[-1] += f",{argument}"
        else:
            joined.append(argument)
    return joined


def integers(text: str | None, option: str) -> tuple[int, ...] | None:
    """Numbers separated by commas, as `--classes 0,1,2` and `--state-shape 1,28,28` give them."""
    if text is None:
        return None
    return _parsed(int, _parts(text), text, f"{option}: expected whole numbers")


def numbers(text: str, option: str) -> tuple[float, ...]:
    """Numbers separated by commas, as `--gaussian 0.2,0.4` gives them."""
    return _parsed(float, _parts(text), text, f"{option}: expected numbers")


def _parts(text: str) -> list[str]:
    return [part for part in text.replace(" ", ",").split(",") if part]


def _parsed(kind: Callable[[str], Number], parts: list[str], text: str, words: str) -> tuple[Number, ...]:
    try:
        return tuple(kind(part) for part in parts)
    except ValueError:
        raise LyapmapError(f"{words} separated by commas, got {text!r}") from None


def box(low: str | None, high: str | None) -> tuple[list[float], list[float]] | None:
    """Corners of a region, as `--low -2,-2 --high 2,2` gives them; one number stands for all components."""
    if low is None and high is None:
        return None
    if low is None or high is None:
        raise LyapmapError("--low and --high: expected both or none")
    corners = []
    for text, option in ((low, "--low"), (high, "--high")):
        # Split by commas alone: a component left out is an error, unlike in a list.
        corners.append(list(_parsed(float, text.split(","), text, f"{option}: expected numbers")))
    return corners[0], corners[1]


def output_folder(out: Path | None) -> Path | None:
    """The folder of `--out`, if it is given, made if it does not exist."""
    return None if out is None else made_folder(out)


def made_folder(out: Path) -> Path:
    """The folder of `--out`, made if it does not exist."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LyapmapError(f"--out: {out} cannot be made a folder ({error.strerror})") from None
    return out
