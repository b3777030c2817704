"""A report as one HTML page that needs nothing beside it: numbers in words, plots to hover over, films, provenance.

The page asks the network for nothing, and could not: its policy allows no connection, and no script but those that
were written into it, which are named by their checksums. What comes from outside (names of files and of maps, labels,
messages) is text in it, whatever it looks like.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from html import unescape
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lyapmap._version import __version__
from lyapmap.core.plain import plain, with_error
from lyapmap.core.points import channels_first, image_shape
from lyapmap.core.reading.bounded import content, parsing
from lyapmap.core.writing import write_text
from lyapmap.report.glossary import documented, explained

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lyapmap.core.results import Result

MOST_BYTES = 6_000_000
"""Of a page; pictures are made smaller until it keeps to that."""
WIDTHS = (1500, 1000, 700, 480)
"""Pixels that the pictures of a page are wide at most, tried in this order."""
FEW = 8
"""Values that are listed one by one."""
FILM_STEPS, FILM_ROWS = 60, 8
"""Steps and trajectories of a film."""
STRIP_STEPS, STRIP_COLUMNS = 39, 13
"""Images of a strip, three rows of which are one trajectory."""
STILL_DOTS = 110
"""Dots per inch of pictures for paper."""

COLOURS: dict[str, dict[str, str]] = {
    "light": {
        "paper": "#ffffff", "card": "#f6f7f9", "ink": "#1d2129", "grey": "#5b6270", "pale": "#d5d9e0",
        "link": "#0b5cad",
        "vermillion": "#c95600", "blue": "#0072b2", "green": "#008562", "purple": "#b3568f", "orange": "#a87200",
        "sky": "#2b86bd", "good": "#0a6b3d", "care": "#8a5300", "bad": "#b3261e",
    },
    "dark": {
        "paper": "#14171c", "card": "#1d2129", "ink": "#e8eaee", "grey": "#a3abb8", "pale": "#39404c",
        "link": "#7db8f0",
        "vermillion": "#f07b2a", "blue": "#4ba3dc", "green": "#2fbf95", "purple": "#dc8fbd", "orange": "#e6a62e",
        "sky": "#74c0ee", "good": "#5fce94", "care": "#eab054", "bad": "#ff8f86",
    },
}  # fmt: skip
"""What colours are called, on light and on dark ground; the first six series have 3 : 1 and words 4.5 : 1 on either."""

CITATION = "The lyapmap authors. lyapmap: chaos analysis of iterated networks and maps. Version {version}, {year}."

BIBTEX = """@software{lyapmap,
  author = {{The lyapmap authors}},
  title = {lyapmap: chaos analysis of iterated networks and maps},
  version = {VERSION},
  year = {YEAR}
}"""


@dataclass(frozen=True)
class Section:
    """A part of a page with its heading: plots, pictures or a film.

    Attributes
    ----------
    title : str
    sentence : str
        What it shows.
    panels : sequence of dict
        As `lyapmap.report.interactive.panels_of` gives them.
    picture : bytes
        The same as a picture in a file's form, for paper and for those without scripts; empty without one.
    films : sequence of dict
        As `film` gives them.
    """

    title: str
    sentence: str = ""
    panels: Sequence[Mapping[str, Any]] = ()
    picture: bytes = b""
    films: Sequence[Mapping[str, Any]] = ()


def figure_section(title: str, figure: Figure, picture: Path | bytes = b"", sentence: str = "") -> Section:
    """A figure of matplotlib, with the picture that was saved of it."""
    from lyapmap.report.interactive import panels_of

    data = picture if isinstance(picture, bytes) else content(picture)
    return Section(title, sentence, panels_of(figure), data)


def picture_section(title: str, picture: Path, sentence: str = "") -> Section:
    """A file of a picture.

    Raises
    ------
    LyapmapError
        If it is none: a page shows nothing but pictures.
    """
    from io import BytesIO

    from PIL import Image

    data = content(picture)
    with parsing(picture, "is no picture"), Image.open(BytesIO(data)) as shown:
        shown.verify()
    return Section(title, sentence, picture=data)


def film_section(title: str, states: Any, *, first_step: int = 0, sentence: str = "") -> Section:
    """Trajectories of images, as a film to play and as a strip.

    Parameters
    ----------
    title : str
    states : (b, steps, *state_shape)
        Of images in either layout.
    first_step : int
        Number of the first.
    sentence : str
    """
    from lyapmap.report.hover import MOST_PIXELS, sprite
    from lyapmap.report.images import film_strip

    images = channels_first(np.asarray(states)[:FILM_ROWS])
    room = max(2, MOST_PIXELS // int(len(images) * np.prod(images.shape[3:])))
    every = max(1, -(-images.shape[1] // min(FILM_STEPS, room)))
    numbers = range(first_step, first_step + images.shape[1], every)
    images = images[:, ::every]
    b, steps = images.shape[:2]
    sheet = sprite(images.reshape(b * steps, *images.shape[2:]))
    film = sheet | {"rows": b, "steps": [*numbers], "alt": f"{title}: {b} sequences of {steps} images"}
    some = max(1, -(-steps // STRIP_STEPS))
    strip = film_strip(images[:, ::some], steps=numbers[::some], columns=STRIP_COLUMNS)
    return Section(title, sentence, films=[film], picture=_png(strip))


def result_sections(
    result: Result, title: str, picture: Path | bytes = b"", figure: Figure | None = None
) -> list[Section]:
    """Everything that can be seen of a result: its plots, and its states as a film where they are images."""
    sections = []
    if result.DRAWN_BY:
        shown = result.plot() if figure is None else figure
        sections.append(figure_section(title, shown, picture or _drawn(shown)))
    states = result.film()
    if states is not None and states.size and image_shape(states.shape[2:]) is not None:
        first = int(result.settings.get("transient") or 0)
        sections.append(film_section("The states as a film", states, first_step=first))
    return sections


def _drawn(figure: Figure) -> bytes:
    from io import BytesIO

    drawn = BytesIO()
    figure.savefig(drawn, format="png", dpi=STILL_DOTS)
    return drawn.getvalue()


def _png(pixels: Any) -> bytes:
    from io import BytesIO

    from PIL import Image

    drawn = BytesIO()
    Image.fromarray(pixels).save(drawn, format="png")
    return drawn.getvalue()


@dataclass(frozen=True)
class Account:
    """What a page says of a result, in words.

    Attributes
    ----------
    verdict : str
        One sentence that a student understands.
    level : "good", "care" or "bad"
        Whether the numbers stand, stand with care, or do not.
    status : str
        How the run ended, in words.
    checks : sequence of (name, words, residual, passed)
        Cross-checks.
    quantities, further : sequence of (name, value, what it is)
        The numbers that matter most, and all others.
    settings : mapping
    """

    verdict: str = ""
    level: str = "good"
    status: str = ""
    checks: Sequence[tuple[str, str, str, bool]] = ()
    quantities: Sequence[tuple[str, str, str]] = ()
    further: Sequence[tuple[str, str, str]] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


def account_of(result: Result) -> Account:
    """What the page of a result says of it."""
    from inspect import cleandoc

    from lyapmap.core.results import Table

    meaning = documented(cleandoc(type(result).__doc__ or ""))

    def row(name: str, value: str) -> tuple[str, str, str]:
        label, words = explained(name, _first_sentence(meaning.get(name, ("", ""))[1]))
        return label, value, words

    lines = [(name, value) for name, value in Table(result).lines if name not in ("status", "arrays")]
    shown = {name for name, _ in lines}
    rows = [row(name, value) for name, value in lines]
    further = [row(name, value) for name, value in _arrays(result) if name not in shown]
    listed = result.check() if hasattr(result, "check") and not result.failed else ()
    checks = [(c.name, c.words, f"{c.residual:+.2g}", c.passed) for c in listed]
    failed = [name for name, _, _, passed in checks if not passed]
    words = "; ".join(part for part in (result.message, result.remedy) if part)
    if result.failed:
        level, status = "bad", f"{_plainly(result.status)}: {words}" if words else _plainly(result.status)
    elif failed:
        names = ", ".join(failed)
        level = "care"
        status = f"the run ended well, but {_counted(len(failed), 'cross-check')} of {len(checks)} disagree: {names}"
        status += f"; {words}" if words else ""
    elif str(result.status) != "ok" or result.message:
        level, status = "care", words if str(result.status) == "ok" else f"{_plainly(result.status)}: {words}"
    else:
        level, status = "good", "the run ended well" + (f", and all {len(checks)} cross-checks agree" if checks else "")
    return Account(result.sentence, level, status, checks, rows, further, result.settings)


def _arrays(result: Result) -> Iterator[tuple[str, str]]:
    """Each array of numbers in a few words: all of its values where they are few, else how far they reach."""
    for name in result.DIMS:
        values = np.asarray(getattr(result, name))
        if values.dtype.kind not in "iuf" or not values.size or name.endswith(("stderr", "_interval")):
            continue
        known = values[np.isfinite(values)]
        if not known.size:
            yield name, "not determined"
        elif values.ndim == 1 and values.size <= FEW:
            errors: Any = getattr(result, f"{name}_stderr", None)
            pairs = zip(
                values, errors if np.shape(errors) == values.shape else np.full(values.size, np.nan), strict=True
            )
            yield name, ", ".join(with_error(float(v), float(e)) for v, e in pairs)
        else:
            middle = f"{np.median(known):.4g} in the middle" if known.size > 2 else ""
            reach = f"from {known.min():.4g} to {known.max():.4g}"
            yield name, f"{' x '.join(map(str, values.shape))} numbers {reach}{', ' * bool(middle)}{middle}"


def _counted(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _plainly(status: Any) -> str:
    return str(status).replace("_", " ")


def _first_sentence(text: str) -> str:
    end = text.find(". ")
    return (text if end < 0 else text[: end + 1]).replace("`", "")


def save_report(
    path: str | Path,
    *,
    title: str,
    facts: Iterable[tuple[str, str]] = (),
    sections: Sequence[Section] = (),
    provenance: Mapping[str, Any],
    tables: Sequence[tuple[str, Sequence[Sequence[str]]]] = (),
    account: Account | None = None,
    command: str = "",
    kind: str = "Report",
) -> Path:
    """Write a self-contained page.

    Parameters
    ----------
    path : path
        Of the page.
    title : str
    facts : pairs of (label, text)
        What else is to be said of the run.
    sections : sequence of Section
    provenance : mapping
        Versions, device, seed and their like.
    tables : sequence of (caption, rows)
        The first row holds the headings.
    account : Account, optional
        What the numbers say.
    command : str
        The line that makes it again.
    kind : str
        What the page is.

    Returns
    -------
    Path
    """
    page = ""
    for width in WIDTHS:
        page = _page(
            title=title,
            kind=kind,
            facts=[(str(label), str(text)) for label, text in facts],
            sections=[_shown(section, i, width) for i, section in enumerate(sections)],
            data=_data(sections),
            provenance=_rows(provenance),
            tables=tables,
            account=account or Account(),
            settings=_rows(account.settings) if account else [],
            command=command,
            plots=any(panel.get("traces") for section in sections for panel in section.panels),
            scripts=bool(sections),
        )
        if len(page) <= MOST_BYTES:
            break
    return write_text(path, page)


def result_report(result: Result, path: str | Path, *, title: str = "", command: str = "") -> Path:
    """Write the page of a result by itself.

    Parameters
    ----------
    result : Result
    path : path
    title : str
        The class and its map by default.
    command : str
        The line that makes it again.
    """
    from lyapmap.core.results import Table

    heading = title or Table(result).title
    sections = result_sections(result, "Plots")
    return save_report(
        path,
        title=heading,
        sections=sections,
        provenance=result.provenance,
        account=account_of(result),
        command=command,
    )


def _shown(section: Section, number: int, width: int) -> dict[str, Any]:
    """A section as the template takes it: what the script needs is in the data."""
    panels = [
        {key: panel[key] for key in ("alt", "picture", "size") if key in panel}
        | {"id": f"p{number}-{i}", "title": _harmless(panel["title"])}
        for i, panel in enumerate(section.panels)
    ]
    still = _fitting(section.picture, width) if section.picture else ""
    words = "; ".join(str(panel["alt"]) for panel in section.panels)
    return {
        "title": section.title,
        "sentence": section.sentence,
        "panels": panels,
        "films": [
            {"id": f"f{number}-{i}", "alt": film["alt"], "last": len(film["steps"]) - 1}
            for i, film in enumerate(section.films)
        ],
        "still": still,
        "alt": words or section.title,
    }


def _harmless(text: str) -> Any:
    """Words with indices and exponents, and no other markup."""
    from markupsafe import Markup, escape

    plainly = str(escape(unescape(text)))
    return Markup(re.sub(r"&lt;(/?(?:su[bp]|br))&gt;", r"<\1>", plainly))  # three tags, no attributes


def _data(sections: Sequence[Section]) -> str:
    """What the script draws, packed."""
    panels = {
        f"p{s}-{i}": {"traces": panel["traces"], "layout": panel["layout"], "alt": panel["alt"]}
        for s, section in enumerate(sections)
        for i, panel in enumerate(section.panels)
        if "traces" in panel
    }
    films = {f"f{s}-{i}": film for s, section in enumerate(sections) for i, film in enumerate(section.films)}
    return _packed(json.dumps(plain({"panels": panels, "films": films, "colours": COLOURS}), allow_nan=False).encode())


def _packed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data, 9)).decode("ascii")


def library() -> bytes:
    """The script of the library that draws."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs()).encode()


@cache
def _plotly() -> tuple[str, str]:
    """The library that draws, packed, and its checksum as browsers take it."""
    script = library()
    return _packed(script), _checksum(script)


def _checksum(script: bytes) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(script).digest()).decode("ascii") + "'"


@cache
def _template(name: str) -> str:
    return files("lyapmap.report").joinpath("templates", name).read_text(encoding="utf-8")


def _page(*, plots: bool, scripts: bool, **values: Any) -> str:
    from datetime import UTC, datetime

    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FunctionLoader(_template),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = _template("report.js")
    drawing, checksum = _plotly() if plots else ("", "")
    allowed = " ".join(filter(None, [_checksum(script.encode()) if scripts else "'none'", checksum]))
    year = datetime.now(UTC).year
    return environment.get_template("report.html.j2").render(
        style=Markup(colour_rules() + _template("report.css")),  # ours
        script=Markup(script if scripts else ""),  # ours
        library=drawing,
        allowed=Markup(allowed),  # ours
        citation=CITATION.format(version=__version__, year=year),
        bibtex=BIBTEX.replace("VERSION", __version__).replace("YEAR", str(year)),
        version=__version__,
        **values,
    )


def colour_rules() -> str:
    """The colours of light and dark pages as style rules."""
    sets = {name: "".join(f"--{key}:{value};" for key, value in colours.items()) for name, colours in COLOURS.items()}
    dark = f"color-scheme:dark;{sets['dark']}"
    light = f":root{{color-scheme:light;{sets['light']}}}\n"
    return f"{light}@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"


def _rows(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(str(name).replace("_", " "), text) for name, value in values.items() if (text := _words(value))]


def _words(value: Any) -> str:
    if value is None:
        return "not given"
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {_words(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_words, value[:40])) + (", ..." if len(value) > 40 else "")
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _fitting(data: bytes, width: int) -> str:
    """A picture as an address, no wider than so many pixels; a film that moves keeps its frames."""
    from io import BytesIO

    from PIL import Image

    from lyapmap.report.stills import as_address

    with parsing("picture", "cannot be read"), Image.open(BytesIO(data)) as picture:
        kind = str(picture.format or "png").lower()
        if getattr(picture, "is_animated", False):
            return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
        shown = picture.convert("RGB") if picture.mode not in ("L", "RGB") else picture.copy()
    if shown.width > width:
        shown = shown.resize((width, round(shown.height * width / shown.width)), Image.Resampling.LANCZOS)
    return as_address(shown)
