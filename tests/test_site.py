"""The site: its reference names everything public, and each method of the toolbox has an example with a picture."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import lyapmap as lm

ROOT = Path(__file__).parents[1]
if not (ROOT / "docs" / "api.md").exists():
    pytest.skip("the documentation is not part of this installation", allow_module_level=True)


def test_the_reference_names_everything_public() -> None:
    listed = set(re.findall(r"^   (\w+)$", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE))
    assert listed == {name for name in dir(lm) if not name.startswith("_")}


EXAMPLES = sorted((ROOT / "examples" / "methods").glob("*.py"))


MODELS = sorted((ROOT / "examples" / "models").glob("*.py"))


@pytest.mark.parametrize("example", MODELS, ids=lambda path: path.stem)
def test_an_example_of_a_model_is_short_and_ends_with_its_picture(example: Path) -> None:
    tree = ast.parse(example.read_text())
    title, line = (ast.get_docstring(tree) or "").splitlines()[:2]
    assert line == "=" * len(title)
    assert ast.unparse(tree.body[-1]) in ("figure", "sweep.plot()")
    assert len(example.read_text().splitlines()) <= 60


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_has_a_title_and_ends_with_its_picture(example: Path) -> None:
    tree = ast.parse(example.read_text())
    title, line = (ast.get_docstring(tree) or "").splitlines()[:2]
    assert line == "=" * len(title)
    last = tree.body[-1]
    assert isinstance(last, ast.Expr)
    assert re.search(r"\.plot\(.*\)$", ast.unparse(last))


def test_every_example_is_named_in_the_toolbox() -> None:
    page = (ROOT / "docs" / "toolbox.md").read_text()
    named = set(re.findall(r"\.\./examples/methods/(\w+)\.py", page))
    assert named >= {path.stem for path in EXAMPLES} - {"trajectory", "compare_dimensions"}
    assert named <= {path.stem for path in EXAMPLES}


def test_choosing_has_a_line_for_every_example() -> None:
    page = (ROOT / "docs" / "choosing.md").read_text()
    named = set(re.findall(r"\(\.\./examples/methods/(\w+)\.py\)", page))
    assert named == {path.stem for path in EXAMPLES} - {"trajectory"}


PAGES = sorted([*(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "tutorials").glob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_a_page_links_to_files_that_are_there(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`]*`", "", page.read_text(), flags=re.DOTALL)
    linked = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"https?:|#", link)]
    assert [link for link in linked if not (page.parent / link.partition("#")[0]).exists()] == []


def test_every_shipped_model_has_its_card_on_the_site() -> None:
    from lyapmap.files.zoo import shipped

    page = (ROOT / "docs" / "cards.md").read_text()
    assert re.findall(r"shipped/([\w-]+)\.md", page) == sorted(shipped())
