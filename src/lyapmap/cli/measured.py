"""Measured numbers: from a file, or from a map that a command iterates first."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from numpy.typing import NDArray

from lyapmap.core.errors import LyapmapError
from lyapmap.core.results import Result
from lyapmap.data.tables import SUFFIXES

if TYPE_CHECKING:
    from lyapmap.analysis.orbits.trajectory import Trajectory
    from lyapmap.cli.source import Source
    from lyapmap.data.tables import Table

R = TypeVar("R", bound=Result)

FILES = SUFFIXES
"""How names of files of numbers end."""


def read_numbers(path: Path, option: str) -> NDArray[Any]:
    """Numbers of an array or a table, with one row for each point."""
    return _read(path, option).values


def read_series(path: Path, option: str, *, column: str | None, separator: str | None, decimal: str | None) -> Table:
    """Numbers of an array or a table, with one row for each step; a column of times is left out and tells the step."""
    return _read(path, option, column=column, separator=separator, decimal=decimal, in_time=True)


def _read(path: Path, option: str, **options: Any) -> Table:
    from lyapmap.data.tables import read_table

    column = options.get("column")
    if column is not None and column.isdigit() and path.suffix == ".npy":
        options["column"] = int(column)
    try:
        return read_table(path, **options)
    except LyapmapError as error:
        words = str(error)
        for name in ("column", "decimal", "sep"):  # as the command line knows them, where it does
            words = re.sub(rf"(\(|or ){name}\b", rf"\1--{name}", words) if options else words
        named = "--column" if words.startswith("expected a column") else option
        raise type(error)(f"{named}: {words}") from None


def one_of(source: Source | None, path: Path | None, option: str) -> None:
    """Refuse a map and a file together, and neither."""
    if (source is None) == (path is None):
        got = "none" if source is None else "both"
        raise LyapmapError(f"expected a map (--map, --model or --callable) or {option}, got {got}")


def iterated(source: Source, *, steps: int, transient: int) -> Trajectory:
    """States of the map; an escape is an error here, since nothing is measured yet."""
    from lyapmap.analysis.orbits.trajectory import trajectory

    return trajectory(source.map, source.x0, n_steps=steps, transient=transient)


def iterated_from(source: Source, x0: Any, *, steps: int, transient: int, progress: bool) -> Trajectory:
    """States of the map from given ones; an escape is an error here."""
    from lyapmap.analysis.orbits.trajectory import trajectory

    return trajectory(source.map, x0, n_steps=steps, transient=transient, progress=progress)


def told_of(result: R, orbit: Trajectory, cut: bool) -> R:
    """A result of states that Ctrl-C cut short, with a word on it in its message."""
    if not cut:
        return result
    return replace(result, message="; ".join(part for part in (orbit.message, result.message) if part))
