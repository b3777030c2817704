"""Numbers of a study as cells of a table."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lyapmap._version import __version__
from lyapmap.core.errors import LyapmapError
from lyapmap.core.plain import plain
from lyapmap.core.reading.bounded import content, inside, json_in
from lyapmap.core.writing import write_text
from lyapmap.report import style
from lyapmap.report.images import sheet
from lyapmap.report.interactive import is_panels
from lyapmap.report.page import Account, Section, picture_section, save_report
from lyapmap.study.stages import DONE, FAILED, LEFT_OUT, Picture, Record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NONE = "-"


def number(value: Any, decimals: int) -> str:
    """A number, or a dash where there is none."""
    return NONE if value is None or not math.isfinite(value) else f"{value:.{decimals}f}"


def with_limits(value: Any, limits: Any, decimals: int) -> str:
    """A number and its limits."""
    text = number(value, decimals)
    if text == NONE or limits is None:
        return text
    low, high = (number(limit, decimals) for limit in limits)
    return text if low == NONE else f"{text} ({low} to {'no end' if high == NONE else high})"


def with_error(numbers: Mapping[str, Any], name: str, decimals: int, error: str = "") -> str:
    """A number and its error, which is called NAME_stderr if not otherwise.

    >>> with_error({"largest": 0.34, "largest_stderr": 0.012}, "largest", 3)
    '0.340 ± 0.012'
    """
    text, spread = number(numbers.get(name), decimals), numbers.get(error or f"{name}_stderr")
    return text if text == NONE or spread is None else f"{text} ± {spread:.{decimals}f}"


def mean_and_deviation(values: Iterable[float | None]) -> tuple[float, float, int]:
    """Mean, standard deviation over runs and their number; None left out."""
    known = np.array([value for value in values if value is not None], float)
    if not len(known):
        return math.nan, math.nan, 0
    return float(known.mean()), float(known.std(ddof=1)) if len(known) > 1 else math.nan, len(known)


WIDEST = 8
"""Fixed points side by side."""


def draw_fixed_points(
    images: NDArray[Any],
    nearest: NDArray[Any],
    share: NDArray[np.float64],
    multiplier: NDArray[np.float64],
    distance: NDArray[np.float64],
    *,
    total: int,
    unstable: int,
) -> Figure:
    """Fixed points as images, each above its nearest training image.

    Parameters
    ----------
    images, nearest : (m, channels, height, width)
        Values in [-1, 1].
    share, multiplier, distance : (m,)
        Part of the starts that end there; modulus of the leading multiplier; to the training image.
    total, unstable : int
        Of all fixed points.
    """
    columns = min(len(images), WIDEST)
    rows = -(-len(images) // columns)
    figure = style.new_figure(max(1.35 * columns, 6.2), 3.05 * rows + 0.9)
    grid = figure.subplots(2 * rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for i in range(len(images)):
        upper, lower = grid[2 * (i // columns), i % columns], grid[2 * (i // columns) + 1, i % columns]
        for axes, image in ((upper, images[i]), (lower, nearest[i])):
            axes.imshow(sheet(image[None, None], gap=0), interpolation="nearest")
        colour = style.VERMILLION if multiplier[i] > 1 else style.INK
        upper.set_title(f"{share[i]:.1%}\n|μ| {multiplier[i]:.3f}", fontsize=style.SMALL, color=colour)
        lower.set_title(f"↓ {distance[i]:.1f}", fontsize=style.SMALL, color=style.GREY)
    summary = (
        f"{total} found, {unstable} of them unstable (red); below each, the nearest training image and its distance"
    )
    style.headline(figure, "Fixed points", summary)
    return figure


def save_study(
    folder: Path,
    *,
    title: str,
    about: Mapping[str, Any],
    settings: Mapping[str, Any],
    table: Sequence[Sequence[str]],
    table_title: str,
    records: Mapping[str, Record],
    further: Sequence[tuple[str, Sequence[Sequence[str]]]] = (),
    command: str = "",
) -> dict[str, Any]:
    """Write study.json and index.html; what study.json holds.

    Parameters
    ----------
    folder : Path
    title : str
    about : mapping
        Plain facts: the model, the data.
    settings : mapping
    table : rows of text
        The first holds the headings.
    table_title : str
    records : mapping
        Of the stages, in their order.
    further : pairs of (title, rows of text)
        Tables that the page shows below.
    command : str
        The line that makes it again.
    """
    parts = {
        name: {
            "status": record.status,
            "message": record.message,
            "seconds": record.seconds,
            "cpu_seconds": record.cpu_seconds,
            "numbers": record.numbers,
        }
        for name, record in records.items()
    }
    study = plain(
        {
            "title": title,
            **about,
            "settings": settings,
            "versions": _versions(),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(sum(record.seconds for record in records.values()), 2),
            "cpu_seconds": round(sum(record.cpu_seconds for record in records.values()), 2),
            "table": [dict(zip(table[0], row, strict=True)) for row in table[1:]],
            "stages": parts,
        }
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "study.json", json.dumps(study, indent=1, allow_nan=False) + "\n")
    facts = [(name, _words(value)) for name, value in study.items() if name in about]
    facts += [("seconds", f"{study['seconds']:.0f} on the clock, {study['cpu_seconds']:.0f} of all cores")]
    done = [record for record in records.values() if record.status == DONE]
    facts += [("of these", ", ".join(f"{record.name} {record.seconds:.0f}" for record in done))]
    sections = [_section(folder, picture) for record in done for picture in record.pictures]
    save_report(
        folder / "index.html",
        title=title,
        kind="Study",
        facts=facts,
        sections=sections,
        provenance={**study["versions"], "created": study["created"], **study["settings"]},
        tables=[(name, rows) for name, rows in ((table_title, table), *further) if len(rows) > 1],
        account=_account(records, study["settings"]),
        command=command,
    )
    return study


def _account(records: Mapping[str, Record], settings: Mapping[str, Any]) -> Account:
    """How the stages ended."""
    by_status = {status: [r for r in records.values() if r.status == status] for status in (DONE, FAILED, LEFT_OUT)}
    verdict = f"{len(by_status[DONE])} of {style.counted(len(records), 'stage')} done"
    failed = "; ".join(f"{record.name} failed: {record.message}" for record in by_status[FAILED])
    left_out = "; ".join(f"{record.name} was left out: {record.message}" for record in by_status[LEFT_OUT])
    level = "bad" if failed and not by_status[DONE] else "care" if failed or left_out else "good"
    return Account("", level, "; ".join(filter(None, [verdict, failed, left_out])), settings=settings)


def _section(folder: Path, picture: Picture) -> Section:
    """A picture of a stage, with the plots that were written beside it, if they were."""
    file = inside(folder, picture.file)
    section = picture_section(picture.title, file, picture.sentence)
    plots = inside(folder, str(Path(picture.file).with_suffix(".json")))
    with suppress(LyapmapError):  # an older study has none
        panels = json_in(content(plots), plots)
        if is_panels(panels):
            return replace(section, panels=panels)
    return section


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{name}: {item}" for name, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _versions() -> dict[str, str]:
    import numpy as np

    return {"lyapmap": __version__, "python": platform.python_version(), "numpy": np.__version__}
