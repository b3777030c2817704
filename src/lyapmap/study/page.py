"""The page and the file of numbers of a study."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lyapmap._version import __version__
from lyapmap.study.stages import DONE, Record, plain, write_whole


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
    """
    from lyapmap.report.page import save_report

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
    write_whole(folder / "study.json", json.dumps(study, indent=1, allow_nan=False) + "\n")
    facts = [(name, _words(value)) for name, value in study.items() if name in about]
    facts += [("seconds", f"{study['seconds']:.0f} on the clock, {study['cpu_seconds']:.0f} of all cores")]
    done = [record for record in records.values() if record.status == DONE]
    facts += [("of these", ", ".join(f"{record.name} {record.seconds:.0f}" for record in done))]
    facts += [
        (f"stage {record.name}", f"{record.status}: {record.message}")
        for record in records.values()
        if record.status != DONE
    ]
    pictures = [
        (picture.title, folder / picture.file, picture.sentence)
        for record in records.values()
        for picture in record.pictures
        if record.status == DONE
    ]
    save_report(
        folder / "index.html",
        title=title,
        facts=facts,
        pictures=pictures,
        provenance={**study["versions"], "created": study["created"], **study["settings"]},
        tables=[(name, rows) for name, rows in ((table_title, table), *further) if len(rows) > 1],
    )
    return study


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{name}: {one}" for name, one in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _versions() -> dict[str, str]:
    import numpy as np

    return {"lyapmap": __version__, "python": platform.python_version(), "numpy": np.__version__}
