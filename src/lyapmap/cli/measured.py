"""Measured numbers: from a file, or from a map that a command iterates first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.errors import LyapmapError
from lyapmap.core.results import Result

if TYPE_CHECKING:
    from lyapmap.analysis.trajectory import Trajectory
    from lyapmap.cli.source import Source

R = TypeVar("R", bound=Result)

TABLES = (".csv", ".txt", ".dat")
FILES = (".npy", *TABLES)
"""How names of files of numbers end."""


def read_numbers(path: Path, option: str) -> NDArray[Any]:
    """Numbers of a .npy file, or of a table (.csv, .txt, .dat) with one row for each step."""
    if not path.is_file():
        raise LyapmapError(f"{option}: no file {path}")
    try:
        if path.suffix == ".npy":
            values = np.load(path, allow_pickle=False)
        elif path.suffix in TABLES:
            values = _table(path)
        else:
            raise LyapmapError(f"{option}: expected a .npy, .csv, .txt or .dat file, got {path.name}")
    except (ValueError, OSError, EOFError) as error:
        if isinstance(error, LyapmapError):
            raise
        raise LyapmapError(f"{option}: {path} is not a readable file of numbers ({error})") from None
    if not isinstance(values, np.ndarray) or values.size == 0:
        raise LyapmapError(f"{option}: {path} holds no array of numbers")
    return values


def _table(path: Path) -> NDArray[np.float64]:
    """Numbers apart by commas, semicolons or blanks; a heading without numbers is skipped."""
    lines = path.read_text(encoding="utf-8").replace(",", " ").replace(";", " ").splitlines()
    rows = [line.split() for line in lines if line.split() and not line.lstrip().startswith("#")]
    if rows and not _number(rows[0][0]):
        rows = rows[1:]
    if len({len(row) for row in rows}) > 1:
        raise LyapmapError(f"{path}: the rows have different numbers of columns")
    values = np.array(rows, dtype=np.float64)
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def one_of(source: Source | None, path: Path | None, option: str) -> None:
    """Refuse a map and a file together, and neither."""
    if (source is None) == (path is None):
        got = "none" if source is None else "both"
        raise LyapmapError(f"expected a map (--map, --model or --callable) or {option}, got {got}")


def iterated(source: Source, *, steps: int, transient: int) -> Trajectory:
    """States of the map; an escape is an error here, since nothing is measured yet."""
    from lyapmap.analysis.trajectory import trajectory

    return trajectory(source.map, source.x0, n_steps=steps, transient=transient)


def iterated_from(source: Source, x0: Any, *, steps: int, transient: int, progress: bool) -> Trajectory:
    """States of the map from given ones; an escape is an error here."""
    from lyapmap.analysis.trajectory import trajectory

    return trajectory(source.map, x0, n_steps=steps, transient=transient, progress=progress)


def told_of(result: R, orbit: Trajectory, cut: bool) -> R:
    """A result of states that Ctrl-C cut short, with a word on it in its message."""
    if not cut:
        return result
    return replace(result, message="; ".join(part for part in (orbit.message, result.message) if part))


def column(values: NDArray[Any], number: int | None, option: str) -> NDArray[Any]:
    """One column of a table; the table itself if none is asked for."""
    if number is None:
        return values
    if values.ndim != 2 or not 0 <= number < values.shape[1]:
        raise LyapmapError(f"{option}: expected a column of a table of shape {values.shape}, got {number}")
    return np.asarray(values[:, number])
