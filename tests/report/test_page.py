"""The page of a report: all that it must hold, nothing that could do harm."""

from __future__ import annotations

import base64
import json
import re
import zlib
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lyapmap as lm
from command_line import run
from lyapmap.core.errors import LyapmapError
from lyapmap.core.results import Status
from lyapmap.report import page
from lyapmap.report.page import COLOURS, Section, account_of, film_section, picture_section, save_report

EVIL = "<img src=x onerror=alert(1)>\"'</script><script>alert(2)</script>"


@pytest.fixture(scope="module")
def henon():
    return lm.lyapunov_spectrum(lm.systems.henon(), [[0.1, 0.1], [0.2, 0.1]], n_steps=2_000, transient=100, seed=0)


@pytest.fixture(scope="module")
def report(henon, tmp_path_factory):
    return henon.report(tmp_path_factory.mktemp("page") / "henon.html").read_text()


class Tags(HTMLParser):
    """The elements of a page, each with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def data_of(text: str):
    packed = re.search(r'id="data">([^<]*)<', text)
    return json.loads(zlib.decompress(base64.b64decode(packed[1])))


def test_a_page_says_what_was_asked_and_what_came_out(report, henon):
    assert "Chaotic: neighbouring states part by a factor e every 2." in report
    assert "the run ended well, and all" in report
    for words in (
        "Kaplan-Yorke dimension",
        "How to cite",
        "@software{lyapmap",
        "Settings",
        "Provenance",
        "Cross-checks",
    ):
        assert words in report
    for check in henon.check():
        assert check.words in report or check.words.replace("'", "&#39;") in report
    assert henon.provenance["created"] in report


def test_a_page_holds_everything_and_asks_for_nothing(report):
    tags = Tags(report)
    assert len(report) < page.MOST_BYTES
    addresses = [a.get("src") or a.get("href") or "" for _, a in tags.elements if a.get("src") or a.get("href")]
    assert all(address.startswith(("data:", "#")) for address in addresses)
    [policy] = [a["content"] for a in tags.all("meta") if a.get("http-equiv")]
    assert policy.startswith("default-src 'none'")
    assert "unsafe-inline' script" not in policy
    assert re.search(r"script-src ('sha256-[\w+/=]{44}' ?){2};", policy)


def test_plots_have_the_numbers_of_the_result(report, henon):
    traces = [trace for panel in data_of(report)["panels"].values() for trace in panel["traces"]]
    shown = [value for trace in traces if "error_y" in trace for value in trace["y"]]
    for exponent in henon.exponents:
        assert float(f"{exponent:.6g}") in shown


def test_a_page_can_be_heard_and_used_by_keys(report):
    tags = Tags(report)
    assert ("html", {"lang": "en"}) in tags.elements
    assert tags.all("h1")
    assert tags.all("main")
    assert all(image.get("alt") for image in tags.all("img"))
    panels = [figure for figure in tags.all("figure") if figure.get("id")]
    assert panels
    assert all(panel["tabindex"] == "0" and panel["aria-label"] for panel in panels)


def luminance(shade: str) -> float:
    parts = np.array([int(shade[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("mode", COLOURS)
def test_colours_can_be_told_from_their_ground(mode):
    """Of the Web Content Accessibility Guidelines 2.2: 4.5 for words, 3 for what is drawn."""
    colours = COLOURS[mode]
    for ground in ("paper", "card"):
        for words in ("ink", "grey", "link", "good", "care", "bad"):
            assert contrast(colours[words], colours[ground]) >= 4.5, (words, ground)
        for series in ("vermillion", "blue", "green", "purple", "orange", "sky"):
            assert contrast(colours[series], colours[ground]) >= 3, (series, ground)
    assert contrast(colours["paper"], colours["link"]) >= 4.5, "words on a button"


def test_names_from_outside_are_text_and_nothing_else(tmp_path):
    image = tmp_path / "a.png"
    Image.new("L", (2, 2)).save(image)
    panel = {"title": EVIL, "alt": EVIL, "traces": [{"x": [1], "y": [1], "name": EVIL}], "layout": {}}
    text = save_report(
        tmp_path / "page.html",
        title=EVIL,
        facts=[(EVIL, EVIL)],
        sections=[Section(EVIL, EVIL, [panel], image.read_bytes()), film_section(EVIL, np.zeros((1, 2, 1, 4, 4)))],
        provenance={EVIL: EVIL},
        tables=[(EVIL, [[EVIL], [EVIL]])],
        command=EVIL,
        account=page.Account(
            EVIL, "good", EVIL, [(EVIL, EVIL, EVIL, True)], [(EVIL,) * 3], [(EVIL,) * 3], {EVIL: EVIL}
        ),
    ).read_text()
    tags = Tags(text)
    assert not any("onerror" in attributes for _, attributes in tags.elements)
    assert len(tags.all("script")) == 3, "data, library and our own"
    assert all((attributes.get("src") or "data:").startswith("data:") for _, attributes in tags.elements)
    assert len(tags.all("h1")) == 1
    assert not tags.all("b")


def test_formulas_of_titles_stay_formulas(tmp_path):
    panel = {"title": "λ<sub>1</sub><b>bold</b>", "alt": "a", "traces": [], "layout": {}}
    text = save_report(tmp_path / "p.html", title="t", sections=[Section("s", "", [panel])], provenance={}).read_text()
    assert "λ<sub>1</sub>&lt;b&gt;bold" in text


def test_tables_and_sentences(tmp_path):
    text = save_report(
        tmp_path / "index.html",
        title="Title",
        facts=[("a", "b")],
        sections=[],
        provenance={},
        tables=[("Table", [("what", "paper"), ("x > y", "1")])],
    ).read_text()
    assert "<th>what</th><th>paper</th>" in text
    assert "<td>x &gt; y</td><td>1</td>" in text
    assert len(text) < 20_000, "no library where nothing is drawn"


def test_a_file_that_is_no_picture_is_no_section(tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    with pytest.raises(LyapmapError, match="is no picture"):
        picture_section("Secret", secret)


def test_pictures_shrink_until_the_page_keeps_to_its_size(tmp_path, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 255, (150, 300, 3), np.uint8)
    picture = tmp_path / "noise.png"
    Image.fromarray(noise).save(picture)
    sections = [picture_section(str(i), picture) for i in range(3)]
    monkeypatch.setattr(page, "MOST_BYTES", 120_000)
    monkeypatch.setattr(page, "WIDTHS", (300, 200, 100))
    save_report(tmp_path / "p.html", title="t", sections=sections, provenance={})
    assert (tmp_path / "p.html").stat().st_size < 120_000


def test_a_film_has_every_step_of_every_trajectory(tmp_path):
    states = np.linspace(-1, 1, 2 * 5 * 16).reshape(2, 5, 4, 4, 1)
    section = film_section("Film", states, first_step=10)
    [film] = section.films
    assert (film["rows"], film["steps"], film["width"]) == (2, [10, 11, 12, 13, 14], 4)
    text = save_report(tmp_path / "p.html", title="t", sections=[section], provenance={}).read_text()
    assert 'type="range"' in text
    assert "2 sequences of 5 images" in text
    assert section.picture


def test_a_failed_run_gives_no_verdict_but_its_reason():
    escaped = lm.lyapunov_spectrum(lm.wrap(lambda x: 3 * x, state_shape=1), [1.0], n_steps=2_000, throw=False, seed=0)
    account = account_of(escaped)
    assert escaped.status is Status.ESCAPED
    assert account.level == "bad"
    assert account.verdict.startswith("There is no result to rely on: ")
    assert not account.checks


def test_a_check_that_fails_takes_the_word_sound_away(henon):
    from dataclasses import replace

    first, *rest = henon.checks
    off = replace(henon, checks=({**first, "measured": first["expected"] + 5 * first["stderr"]}, *rest))
    account = account_of(off)
    assert account.level == "care"
    assert f"1 cross-check of {len(henon.checks)} disagree" in account.status
    assert account_of(henon).level == "good"


def test_the_page_of_a_command_says_how_to_make_it_again(tmp_path):
    done = run("zero-one", "logistic", "-p", "r=3.2", "--steps", "500", "--out", tmp_path / "o")
    assert done.exit_code in (0, 1), done.output
    text = Path(tmp_path, "o", "report.html").read_text()
    assert "<code>lyapmap zero-one logistic --steps 500 --parameter r=3.2</code>" in text


def test_commands_with_blanks_are_quoted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("my <b> file.csv").write_text("\n".join(str(np.sin(i)) for i in range(300)))
    done = run("zero-one", "--series", "my <b> file.csv", "--out", "o")
    assert done.exit_code in (0, 1), done.output
    text = Path("o", "report.html").read_text()
    assert "--series &#39;my &lt;b&gt; file.csv&#39;" in text
    assert "<b>" not in text
