"""The command `lyapmap`: all commands by name."""

from __future__ import annotations

from typing import Any

import typer
import typer.core

from lyapmap.cli import (
    alignment,
    battle,
    burn_in,
    check,
    correlation,
    covariant,
    dimension,
    divergence,
    embed,
    entropy,
    finite_time,
    manifold,
    maps,
    memorization,
    models,
    orbits,
    series,
    settling,
    spectrum,
    study,
    sweep,
    train,
    trajectory,
    transitions,
    zero_one,
)
from lyapmap.cli.common import lists_joined, version_option
from lyapmap.models.cycle.commands import convert
from lyapmap.models.gan import commands as gan
from lyapmap.models.kaleidoscope import commands as kaleidoscope
from lyapmap.models.latent_spectral import commands as lsd


class _Commands(typer.core.TyperGroup):
    """Takes `--classes 0 1 2` for `--classes 0,1,2`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, lists_joined(args))


app = typer.Typer(
    name="lyapmap",
    cls=_Commands,
    help="Chaos analysis of iterated networks and maps: Lyapunov spectra, dimensions, pictures.",
    epilog="Start with:\n\nlyapmap spectrum --map henon\n\nlyapmap spectrum --model cycle-mnist-012 --out report",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.callback()(version_option)
for name, module in (
    ("spectrum", spectrum),
    ("trajectory", trajectory),
    ("divergence", divergence),
    ("finite-time", finite_time),
    ("covariant", covariant),
    ("alignment", alignment),
    ("orbits", orbits),
    ("settling", settling),
    ("burn-in", burn_in),
    ("entropy", entropy),
    ("sweep", sweep),
    ("dimension", dimension),
    ("correlation-dimension", correlation),
    ("series", series),
    ("zero-one", zero_one),
    ("manifold", manifold),
    ("embed", embed),
    ("transitions", transitions),
    ("memorization", memorization),
    ("battle", battle),
    ("check", check),
    ("maps", maps),
    ("models", models),
    ("convert", convert),
):
    app.command(name, epilog=module.EPILOG)(getattr(module, name.replace("-", "_")))
app.add_typer(train.app, name="train")
app.add_typer(kaleidoscope.app, name="kaleidoscope")
app.add_typer(gan.app, name="gan")
app.add_typer(lsd.app, name="lsd")
app.add_typer(study.app, name="study")


def main() -> None:
    """Entry point of the `lyapmap` command."""
    app()
