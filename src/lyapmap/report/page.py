"""A report as one HTML page that needs nothing beside it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from lyapmap.core.reading.bounded import content
from lyapmap.core.writing import write_text

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; } td { padding: 0.2rem 1.2rem 0.2rem 0; vertical-align: top; }
td:first-child { color: #666; white-space: nowrap; }
th { text-align: left; padding: 0.2rem 1.2rem 0.2rem 0; border-bottom: 1px solid #ccc; }
img { max-width: 100%; height: auto; }
footer { margin-top: 2rem; color: #666; font-size: 0.85rem; overflow-wrap: anywhere; }
</style>
</head>
<body>
<h1>$title</h1>
<table>$facts</table>
$tables
$pictures
<footer>$provenance</footer>
</body>
</html>
""")


def save_report(
    path: str | Path,
    *,
    title: str,
    facts: Sequence[tuple[str, str]],
    pictures: Sequence[tuple[str, Path] | tuple[str, Path, str]],
    provenance: Mapping[str, Any],
    tables: Sequence[tuple[str, Sequence[Sequence[str]]]] = (),
) -> Path:
    """Write a self-contained page.

    Parameters
    ----------
    path : path
        Of the page.
    title : str
    facts : sequence of (label, text)
        Shown as a table.
    pictures : sequence of (caption, PNG file) or (caption, PNG file, sentence)
        Stored within the page.
    provenance : dict
        Shown in small print.
    tables : sequence of (caption, rows)
        Shown below the facts; the first row holds the headings.

    Returns
    -------
    Path
    """
    rows = "".join(f"<tr><td>{escape(label)}</td><td>{escape(text)}</td></tr>" for label, text in facts)
    shown = "".join(_section(*picture) for picture in pictures)
    origin = " · ".join(f"{escape(str(key))} {escape(str(value))}" for key, value in provenance.items())
    page = _PAGE.substitute(
        title=escape(title),
        facts=rows,
        tables="".join(_table(*table) for table in tables),
        pictures=shown,
        provenance=origin,
    )
    return write_text(path, page)


def _section(caption: str, file: Path, sentence: str = "") -> str:
    words = f"<p>{escape(sentence)}</p>\n" if sentence else ""
    return f"<h2>{escape(caption)}</h2>\n{words}{_embedded(file, caption)}\n"


def _table(caption: str, rows: Sequence[Sequence[str]]) -> str:
    head, *body = ("".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in row) for tag, row in _tagged(rows))
    lines = "".join(f"<tr>{row}</tr>" for row in [head, *body])
    return f"<h2>{escape(caption)}</h2>\n<table>{lines}</table>\n"


def _tagged(rows: Sequence[Sequence[str]]) -> list[tuple[str, Sequence[str]]]:
    return [("td" if place else "th", row) for place, row in enumerate(rows)]


def _embedded(file: Path, caption: str) -> str:
    data = base64.b64encode(content(file)).decode("ascii")
    return f'<img src="data:image/png;base64,{data}" alt="{escape(caption)}">'
