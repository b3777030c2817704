"""Pictures of a study are plots on its page, and what lies in its folder is not trusted."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from lyapmap.core.errors import LyapmapError
from lyapmap.report import style
from lyapmap.study.page import save_study
from lyapmap.study.stages import Picture, Record, Workspace


def page_of(folder, picture):
    record = Record("one", "One", "done", "", "", {}, (picture,), (), {}, 0.0, 0.0)
    failed = Record("two", "Two", "failed", "no <weights>", "", {}, (), (), {}, 0.0, 0.0)
    save_study(
        folder,
        title="Study",
        about={"model": "m"},
        settings={"steps": 3},
        table=[["what", "here"], ["a", "1"]],
        table_title="Table",
        records={"one": record, "two": failed},
        command="lyapmap study cycle --steps 3",
    )
    return (folder / "index.html").read_text()


@pytest.fixture
def shown(tmp_path):
    work = Workspace(tmp_path, SimpleNamespace())
    figure = style.new_figure(3, 2)
    figure.subplots().plot([1, 2], [3, 4])
    work.show(figure, "line", "A line", "What it shows.")
    assert work.files == ["figures/line.png", "figures/line.json"]
    return work.pictures[0]


def test_a_figure_is_a_plot_and_a_picture(tmp_path, shown):
    page = page_of(tmp_path, shown)
    assert 'id="library"' in page
    assert 'class="plot"' in page
    assert "<p>What it shows.</p>" in page
    assert "1 of 2 stages done; two failed: no &lt;weights&gt;" in page
    assert "lyapmap study cycle --steps 3" in page


def test_without_its_plots_a_figure_is_a_picture(tmp_path, shown):
    (tmp_path / "figures" / "line.json").unlink()
    page = page_of(tmp_path, shown)
    assert 'class="plot"' not in page
    assert "<img" in page


@pytest.mark.parametrize("content", ["{", "[1]", json.dumps([{"title": "<script>", "alt": "", "picture": "http://x"}])])
def test_damaged_plots_are_left_out(tmp_path, shown, content):
    (tmp_path / "figures" / "line.json").write_text(content)
    assert 'class="plot"' not in page_of(tmp_path, shown)


@pytest.mark.parametrize("file", ["../secret.png", "/etc/passwd", "notes.txt"])
def test_nothing_but_pictures_of_the_folder_gets_onto_the_page(tmp_path, file):
    folder = tmp_path / "study"
    folder.mkdir()
    for path in (tmp_path / "secret.png", folder / "notes.txt"):
        path.write_text("secret")
    with pytest.raises(LyapmapError, match=r"outside the folder|is no picture"):
        page_of(folder, Picture(file, "Title", "Words."))
