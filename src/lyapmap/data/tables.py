"""Tables of numbers as instruments and spreadsheets write them, and arrays of files: .csv, .npy, .h5, .parquet.

What can be found out is found out: the encoding, the separator, the decimal sign, headings, comments,
a column of times or dates. What cannot is named, with the line and the column and what would do.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.errors import LyapmapError
from lyapmap.core.points import regular_times, with_gaps
from lyapmap.core.reading import bounded
from lyapmap.core.reading.arrays import Arrays, numpy_file
from lyapmap.data import stores

TEXT = (".csv", ".tsv", ".txt", ".dat")
SUFFIXES = (".npy", ".npz", *stores.SUFFIXES, *TEXT)
"""How names of files of numbers end."""
COMMENTS = ("#", "%", "//")
SEPARATORS = {";": "semicolons", "\t": "tabs", ",": "commas", " ": "blanks"}
MISSING = {"", "na", "n/a", "nan", "null", "none", "-", "--", "?", "#n/a", "<na>", "missing"}
NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)*|[.,]\d+)([eEdD][+-]?\d+)?|[+-]?inf(inity)?", re.IGNORECASE)
TIMES = re.compile(r"(t|time|date|datetime|timestamp|zeit|datum|temps|seconds?|secs?|ms|clock)\b", re.IGNORECASE)
INDICES = re.compile(r"(|index|i|n|nr|no|row|step|sample|unnamed.*)$", re.IGNORECASE)
LINES_LOOKED_AT = 200
REFUSED = "is not a readable file of numbers"


@dataclass(frozen=True)
class Table:
    """Numbers of a file.

    Attributes
    ----------
    values : (N,) or (N, m)
        One row for each line; NaN where a number is missing, and between blocks that blank lines part.
    names : tuple of str
        Headings of the columns; empty where there are none.
    step : float or None
        Time between rows, in seconds for dates, where a column tells it.
    clock : str
        What told it, in words.
    """

    values: NDArray[np.float64]
    names: tuple[str, ...] = ()
    step: float | None = None
    clock: str = ""


def read_table(
    path: Path,
    *,
    column: str | int | None = None,
    separator: str | None = None,
    decimal: str | None = None,
    in_time: bool = False,
) -> Table:
    """Numbers of a file.

    Parameters
    ----------
    path : Path
    column : str or int, optional
        Name or number (from 0) of the only column wanted; of a .npz file the name of an array, of HDF5, NetCDF and
        zarr too, unless the path names it behind a colon, as in run.h5:/states/x.
    separator, decimal : str, optional
        Where they cannot be found out.
    in_time : bool
        Rows follow each other in time: a column of times or dates gives the step and is left out,
        blank lines are gaps. Otherwise every column is numbers, and blank lines are nothing.

    Raises
    ------
    LyapmapError
        If the file cannot be read, with the line or column and what would do.
    """
    path, inner = stores.parted(path)
    suffix = path.suffix.lower()
    if not path.is_file() and not (suffix == ".zarr" and path.is_dir()):
        raise LyapmapError(f"no file {path}")
    if suffix not in SUFFIXES:
        raise LyapmapError(f"expected a {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} file, got {path.name}")
    if suffix in TEXT:
        with bounded.parsing(path, REFUSED):
            return _text(path, column, separator, decimal, in_time)
    if suffix in stores.SUFFIXES:
        return _columns_of(path, stores.read_store(path, inner), column, in_time)
    with numpy_file(path, REFUSED) as stored:
        return _arrays(path, stored, column)


def is_table(path: str | Path) -> bool:
    """Whether a file, or an array within it, is named as files of numbers are.

    >>> is_table("a.csv"), is_table("run.h5:/states"), is_table("mnist")
    (True, True, False)
    """
    return stores.parted(path)[0].suffix.lower() in SUFFIXES


def _columns_of(path: Path, arrays: dict[str, NDArray[Any]], column: str | int | None, in_time: bool) -> Table:
    """One array of a file, or the columns of a table, of which one may be a clock."""
    if len(arrays) == 1:
        return _arrays(path, next(iter(arrays.values())), column)
    if path.suffix.lower() != ".parquet":
        if not isinstance(column, str) or column not in arrays:
            names, example = ", ".join(arrays) or "none", f"{path.name}:/{next(iter(arrays), '')}"
            raise LyapmapError(f"{path} holds the arrays {names}; name one behind a colon, as in {example}")
        return _arrays(path, arrays[column], None)
    if isinstance(column, int) or (column is not None and column not in arrays and column.isdigit()):
        column = dict(enumerate(arrays)).get(int(column), str(column))
    if column is not None and column not in arrays:
        raise LyapmapError(f"expected a column of {path}, {', '.join(arrays)}, got {column}")
    if not arrays:
        raise LyapmapError(f"{path} holds no array of numbers")
    clock = next((name for name in arrays if in_time and TIMES.match(name) and name != column), None)
    kept = (column,) if column is not None else tuple(name for name in arrays if name != clock)
    values = np.column_stack([arrays[name].astype(np.float64) for name in kept])
    step, words = None, ""
    if clock is not None:
        step, places = regular_times(arrays[clock], f"{path}, time column {clock!r}")
        values, words = with_gaps(values, places), f"{step:.6g} between rows, from column {clock!r}"
    return Table(values[:, 0] if len(kept) == 1 else values, kept, step, words)


def _arrays(path: Path, content: Arrays | NDArray[Any], column: str | int | None) -> Table:
    if isinstance(content, Arrays):
        names = content.names
        if column is None and len(names) == 1:
            column = names[0]
        if not isinstance(column, str) or column not in names:
            raise LyapmapError(f"{path} holds the arrays {', '.join(names) or 'none'}; name one (column)")
        content, column = content[column], None
    if content.dtype.names:
        names = list(content.dtype.names)
        if column is None or column not in names:
            raise LyapmapError(f"{path} holds the columns {', '.join(names)}; name one (column)")
        content, column = content[column], None
    if content.size == 0:
        raise LyapmapError(f"{path} holds no array of numbers")
    if column is None:
        return Table(content)
    if not isinstance(column, int) or content.ndim != 2 or not 0 <= column < content.shape[1]:
        raise LyapmapError(f"expected a column of a table of shape {content.shape}, got {column}")
    return Table(content[:, column])


def _text(path: Path, column: str | int | None, separator: str | None, decimal: str | None, in_time: bool) -> Table:
    import pandas as pd

    lines, numbers, heading = _lines(path)
    if separator is None and lines and lines[0].strip().lower().startswith("sep="):
        separator = lines[0].strip()[4:5] or "\t"
        lines, numbers = lines[1:], numbers[1:]
    if not any(line.strip() for line in lines):
        raise LyapmapError(f"{path} holds no array of numbers")
    separator = separator or _separator(lines, decimal, path)
    rows = _split(lines, separator)
    width = Counter(len(row) for row in rows if row).most_common(1)[0][0]
    begin = next(i for i, row in enumerate(rows) if len(row) == width)
    for row, number in zip(rows[:begin], numbers, strict=False):  # titles of an instrument
        if row and all(_is_number(cell) for cell in row):
            raise LyapmapError(f"{path}, line {number}: the rows have different numbers of columns, {len(row)} here")
    rows, numbers = rows[begin:], numbers[begin:]
    for row, number in zip(rows, numbers, strict=True):
        if row and len(row) != width:
            raise LyapmapError(
                f"{path}, line {number}: the rows have different numbers of columns, {len(row)} for {width}; "
                "mend the line, or say what parts columns (sep)"
            )
    top = _first_of_numbers(rows)
    if top == len(rows):
        raise LyapmapError(
            f"{path} is not a readable file of numbers: no line holds numbers, the first is {lines[0]!r}"
        )
    above = top
    while above and rows[above - 1] and all(_is_word(cell) or not cell.strip() for cell in rows[above - 1]):
        above -= 1  # a heading, and units below it
    if above == top == 1:
        above = 0
    names: tuple[str, ...] = ()
    if above < top:
        names = tuple(cell.strip() for cell in rows[above])
    elif heading is not None:
        headings = [cell.strip() for cell in _split([heading], separator)[0]]
        names = tuple(headings) if len(headings) == width and all(_is_word(cell) for cell in headings) else ()
    rows, numbers = rows[top:], numbers[top:]
    blank = [not row or not any(cell.strip() for cell in row) for row in rows]
    kept = [i for i, empty in enumerate(blank) if not empty]
    rows, numbers = (
        _gaps(rows, numbers, blank, width) if in_time else ([rows[i] for i in kept], [numbers[i] for i in kept])
    )
    frame = pd.DataFrame(rows).map(str.strip)
    filled = [i for i in range(width) if (frame[i] != "").any()]
    names = tuple(names[i] for i in filled) if names else ()
    frame = frame[filled]
    frame.columns = range(len(filled))
    decimal = decimal or _decimal(frame)
    return _columns(path, frame, names, numbers, decimal, column, in_time)


def _lines(path: Path) -> tuple[list[str], list[int], str | None]:
    """Lines without comments, their numbers, and the last comment before them."""
    content = bounded.content(path)
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = content.decode("utf-16")
    elif b"\0" in content:
        raise LyapmapError(f"{path} is no text: expected numbers in columns")
    else:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = content.decode("cp1252", errors="replace")
    lines: list[str] = []
    numbers: list[int] = []
    heading = None
    for number, line in enumerate(
        text.replace("\r\r\n", "\n").replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1
    ):
        bare = line.lstrip()
        if bare.startswith(COMMENTS) and not bare.lower().startswith("#n/a"):
            heading = bare.lstrip("#%/ ") if not any(part.strip() for part in lines) else heading
            continue
        lines.append(line.split(" #")[0].rstrip())
        numbers.append(number)
    while lines and not lines[-1]:
        lines.pop()
        numbers.pop()
    while lines and not lines[0]:
        lines.pop(0)
        numbers.pop(0)
    return lines, numbers, heading


def _split(lines: list[str], separator: str) -> list[list[str]]:
    if separator == " ":
        return [line.split() for line in lines]
    return [row if any(cell.strip() for cell in row) else [] for row in csv.reader(lines, delimiter=separator)]


def _separator(lines: list[str], decimal: str | None, path: Path) -> str:
    """What parts the columns: the first of semicolon, tab, comma and blank that parts lines alike."""
    some = [line for line in lines if line.strip()]
    some = ([line for line in some if re.match(r"""\s*["']?[-+.,\d]""", line)] or some)[-LINES_LOOKED_AT:]
    for sign in (";", "\t"):
        if all(sign in line for line in some):
            return sign
    if decimal == "," or not any("," in line for line in some):
        return " "
    cells = [line.split() for line in some]
    if all(_is_number(cell) and cell.count(",") <= 1 for row in cells for cell in row):
        if len(cells[0]) > 1:
            return " "  # 0,53 1,27
        if all(re.fullmatch(r"\s*[+-]?\d*,?\d+\s*", line) for line in some):
            return _one_comma(some, lines, path)
    return ","


def _one_comma(some: list[str], lines: list[str], path: Path) -> str:
    """Lines like 0,53: one number with a decimal comma, or two whole numbers?"""
    first = next(line for line in lines if line.strip())
    if not _is_number(first.strip()):
        return "," if "," in first else " "
    tails = [line.strip().split(",")[1] for line in some if "," in line]
    if any(len(tail) > 1 and tail[0] == "0" for tail in tails):
        return " "
    if len(tails) < len(some):
        raise LyapmapError(
            f"{path}: the rows have different numbers of columns, or a decimal comma; say which (decimal or sep)"
        )
    raise LyapmapError(
        f"{path}: {first.strip()!r} may be one number with a decimal comma or two columns; say which (decimal or sep)"
    )


def _is_number(cell: str) -> bool:
    return NUMBER.fullmatch(cell.strip()) is not None


def _is_word(cell: str) -> bool:
    """Neither a number, nor missing, nor a date."""
    bare = cell.strip()
    return not (_is_number(bare) or bare.lower() in MISSING or (bare[:1].isdigit() and re.search(r"\d[-/.:]\d", bare)))


def _first_of_numbers(rows: list[list[str]]) -> int:
    """The first row that is no word where the last one is none."""
    last = rows[-1]
    columns = [i for i, cell in enumerate(last) if not _is_word(cell)]
    for place, row in enumerate(rows):
        if row and columns and not any(_is_word(row[i]) for i in columns):
            return place
    return len(rows)


def _gaps(
    rows: list[list[str]], numbers: list[int], blank: list[bool], width: int
) -> tuple[list[list[str]], list[int]]:
    """Blank lines as rows of nothing, one for each run of them; none where every other line is blank."""
    if sum(blank) >= len(blank) // 2:
        kept = [i for i, empty in enumerate(blank) if not empty]
    else:
        kept = [i for i, empty in enumerate(blank) if not empty or not blank[i - 1]]
    return [rows[i] if not blank[i] else [""] * width for i in kept], [numbers[i] for i in kept]


def _decimal(frame: Any) -> str:
    cells = [cell for cell in frame.iloc[-LINES_LOOKED_AT:].to_numpy().ravel() if cell and _is_number(cell)]
    commas = [cell for cell in cells if "," in cell]
    if not commas or any(cell.rfind(".") > cell.rfind(",") for cell in commas):
        return "."
    return "," if all(cell.count(",") == 1 for cell in commas) else "."


def _numbers(cells: Any, decimal: str) -> NDArray[np.float64]:
    """Numbers of a column of text; NaN where there is none."""
    import pandas as pd

    other = "," if decimal == "." else "."
    plain = cells.str.replace(other, "", regex=False).str.replace(decimal, ".", regex=False)
    plain = plain.str.replace(r"[dD](?=[+-]?\d+$)", "e", regex=True)
    return np.asarray(pd.to_numeric(plain, errors="coerce"), dtype=np.float64)


def _columns(
    path: Path,
    frame: Any,
    names: tuple[str, ...],
    lines: list[int],
    decimal: str,
    column: str | int | None,
    in_time: bool,
) -> Table:
    """The columns wanted, with what the clock tells."""

    def called(i: int) -> str:
        return repr(names[i]) if names and names[i] else str(i)

    wanted = _wanted(path, column, names, frame.shape[1])
    step, clock, places = None, "", None
    there = np.asarray((frame != "").any(axis=1))
    if in_time and frame.shape[1] > 1:
        for i in [i for i in range(frame.shape[1]) if wanted is None or i != wanted]:
            times, unit = _times(frame[i][there], names[i] if names else "", i, decimal)
            if times is None:
                continue
            label = f"{path}, time column {called(i)}"
            blocks = np.split(times, np.flatnonzero(np.diff(np.flatnonzero(there)) > 1) + 1)
            if len(blocks) > 1:  # each block has a clock of its own
                step = regular_times(max(blocks, key=len), label)[0]
            else:
                step, places = regular_times(times, label, [lines[j] for j in np.flatnonzero(there)])
            clock = "" if unit == "index" else f"{step:.6g}{unit} between rows, from column {called(i)}"
            step = None if unit == "index" else step
            frame = frame.drop(columns=i)
            break
    if wanted is not None:
        frame = frame[[wanted]]
    values = np.empty((len(frame), frame.shape[1]))
    for place, i in enumerate(frame.columns):
        cells = frame[i]
        values[:, place] = _numbers(cells, decimal)
        bad = np.flatnonzero(np.isnan(values[:, place]) & ~np.asarray(cells.str.lower().isin(MISSING)))
        if len(bad):
            raise LyapmapError(
                f"{path} is not a readable file of numbers: line {lines[bad[0]]}, column {called(i)} "
                f"holds {cells.iloc[bad[0]]!r}; name the column that is wanted (column)"
            )
    if places is not None and len(places) == len(values):
        values = with_gaps(values, places)
    if values.shape[1] == 1:
        values = values[:, 0]
    return Table(values, tuple(names[i] for i in frame.columns) if names else (), step, clock)


def _wanted(path: Path, column: str | int | None, names: tuple[str, ...], width: int) -> int | None:
    if column is None:
        return None
    if isinstance(column, str) and column in names:
        return names.index(column)
    if str(column).isdigit() and int(column) < width:
        return int(column)
    known = f"{', '.join(names)}, or " if names else ""
    raise LyapmapError(f"expected a column of {path}, {known}0 to {width - 1}, got {column}")


def _times(cells: Any, name: str, place: int, decimal: str) -> tuple[NDArray[np.float64] | None, str]:
    """Times of a column that is a clock, with their unit in words; None if it is none.

    A heading says so, or dates do, or else the first column's even steps.
    """
    import pandas as pd

    times = _numbers(cells, decimal)
    is_text = np.isnan(times).any() and bool(cells.str.contains(r"\d[-/.:]\d", regex=True).all())
    if is_text:
        try:
            dates = pd.to_datetime(cells, format="mixed", dayfirst="." in cells.iloc[0], utc=True)
        except (ValueError, OverflowError):
            return None, ""
        return np.asarray((dates - dates.iloc[0]).dt.total_seconds(), dtype=np.float64), " s"
    if np.isnan(times).any() or len(times) < 3:
        return None, ""
    if name and TIMES.match(name):
        return times, ""
    if place or not (np.diff(times) > 0).all() or not INDICES.match(name):
        return None, ""
    try:
        step = regular_times(times)[0]
    except LyapmapError:
        return None, ""
    return times, "index" if name or step == 1 else ""
