"""What the commands share: options, errors in one line, exit codes."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ParamSpec

import typer

from lyapmap._version import __version__
from lyapmap.core.errors import Interrupted, LyapmapError, RunError

BAD_STATUS, BAD_INPUT, INTERRUPTED = 1, 2, 130

P = ParamSpec("P")

ModelOption = Annotated[
    str | None, typer.Option("--model", metavar="NAME|FILE", help="A shipped model, or a .pt or .safetensors file.")
]
MapOption = Annotated[str | None, typer.Option("--map", metavar="NAME", help="A reference map; see `lyapmap maps`.")]
ParameterOption = Annotated[
    list[str] | None, typer.Option("-p", "--parameter", metavar="NAME=VALUE", help="Parameter of the map; repeatable.")
]
CallableOption = Annotated[
    str | None,
    typer.Option("--callable", metavar="PKG.MODULE:FUNCTION", help="A function or network that can be imported."),
]
ShapeOption = Annotated[
    str | None,
    typer.Option("--state-shape", metavar="N[,N...]", help="Shape of one state of --callable, e.g. 1,28,28."),
]
X0Option = Annotated[Path | None, typer.Option("--x0", metavar="FILE.npy", help="Initial states, one per row.")]
DataOption = Annotated[
    str | None, typer.Option("--data", metavar="NAME|FOLDER", help="Start from test images of a data set.")
]
ClassesOption = Annotated[
    str | None, typer.Option("--classes", metavar="N[,N...]", help="Only these classes of --data, e.g. 0 or 0,1,2.")
]
TrajectoriesOption = Annotated[
    int | None,
    typer.Option("--trajectories", "-b", min=1, help="Number of trajectories.", show_default="8; 4 of a model"),
]
DtypeOption = Annotated[str | None, typer.Option("--dtype", help="float32 or float64.", show_default="the map's own")]
DeviceOption = Annotated[
    str | None, typer.Option("--device", help="Where a torch map computes, e.g. cuda.", show_default="cpu")
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Of everything that is random.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


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


def echo_json(value: Any) -> None:
    """Print plain values as one JSON object."""
    typer.echo(json.dumps(value, allow_nan=False))


def integers(text: str | None, option: str) -> tuple[int, ...] | None:
    """Numbers separated by commas, as `--classes 0,1,2` and `--state-shape 1,28,28` give them."""
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.replace(" ", ",").split(",") if part)
    except ValueError:
        raise LyapmapError(f"{option}: expected whole numbers separated by commas, got {text!r}") from None


def output_folder(out: Path | None) -> Path | None:
    """The folder of `--out`, made if it does not exist."""
    if out is None:
        return None
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LyapmapError(f"--out: {out} cannot be made a folder ({error.strerror})") from None
    return out
