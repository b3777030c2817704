"""The command `lyapmap`: all commands by name."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
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
    sweep,
    trajectory,
    transitions,
    zero_one,
)
from lyapmap.cli.common import lists_joined, version_option
from lyapmap.files.papers import papers, place


class _Commands(typer.core.TyperGroup):
    """Takes `--classes 0 1 2` for `--classes 0,1,2`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, lists_joined(args))


COMMANDS = {
    "spectrum": spectrum,
    "trajectory": trajectory,
    "divergence": divergence,
    "finite-time": finite_time,
    "covariant": covariant,
    "alignment": alignment,
    "orbits": orbits,
    "settling": settling,
    "burn-in": burn_in,
    "entropy": entropy,
    "sweep": sweep,
    "dimension": dimension,
    "correlation-dimension": correlation,
    "series": series,
    "zero-one": zero_one,
    "manifold": manifold,
    "embed": embed,
    "transitions": transitions,
    "memorization": memorization,
    "battle": battle,
    "check": check,
    "maps": maps,
    "models": models,
}
TRAIN = "Train the networks of the papers."
STUDY = "Whole protocols of papers, stage by stage; what is done is kept."


def command_line() -> typer.Typer:
    """The whole command line: commands of analyses, and those that the papers bring."""
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
    for name, module in COMMANDS.items():
        _add(app, name, module)
    known = papers()
    _add_all(app, {key: paper.commands for key, paper in known.items()})
    train = _group(app, "train", TRAIN)
    _add_all(train, {key: paper.train for key, paper in known.items()})
    for key, paper in known.items():
        if paper.group:
            _add_all(_group(app, paper.group, paper.group_help), {key: paper.group_commands})
    study = _group(app, "study", STUDY)
    _add_all(study, {key: paper.study for key, paper in known.items()})
    return app


def _group(app: typer.Typer, name: str, words: str) -> typer.Typer:
    group = typer.Typer(help=words, no_args_is_help=True, rich_markup_mode="rich", pretty_exceptions_enable=False)
    group.callback()(lambda: None)  # a group stays one, with a single command too
    app.add_typer(group, name=name, help=words)
    return group


def _add_all(group: typer.Typer, commands: Mapping[str, Mapping[str, str]]) -> None:
    for paper, files in commands.items():
        for name, file in files.items():
            _add(group, name, import_module(place(paper, file)))


def _add(group: typer.Typer, name: str, module: Any) -> None:
    group.command(name, epilog=module.EPILOG)(getattr(module, name.replace("-", "_")))


app = command_line()


def main() -> None:
    """Entry point of the `lyapmap` command."""
    app()
