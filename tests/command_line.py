"""The command line as a person calls it, within this process."""

from __future__ import annotations

import io
from collections.abc import Iterable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

from lyapmap.cli import main


@dataclass(frozen=True)
class Done:
    """What a command did: its exit code, and what it printed."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        return self.stdout + self.stderr


def run(*arguments: object) -> Done:
    """Run `lyapmap` with arguments; an error that is no exit is raised."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as stopped:
            code = int(stopped.code or 0)
    return Done(code, out.getvalue(), err.getvalue())


def invoke(arguments: Iterable[object]) -> Done:
    """As `run`."""
    return run(*arguments)
