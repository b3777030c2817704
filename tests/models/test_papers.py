"""Adding a paper is one folder and one line: shown with a sixth, tiny one, and nothing else names a paper."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import lyapmap
from lyapmap import models
from lyapmap.files import papers

TINY = {
    "__init__.py": '''
"""A map that halves: the smallest paper there can be."""

from lyapmap.files.papers import Network, Paper

PAPER = Paper(
    networks={"halving": Network("network:Halving", "network:HalvingConfig")},
    train={"halving": "commands"},
    names={"training": {"halve": "network"}},
)
''',
    "network.py": """
from dataclasses import asdict, dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class HalvingConfig:
    n: int = 2

    @property
    def state_shape(self):
        return (self.n,)

    def to_dict(self):
        return asdict(self)


class Halving(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.factor = nn.Parameter(torch.tensor(0.5))

    def forward(self, x):
        return self.factor * x


def halve(x):
    return x / 2
""",
    "commands.py": '''
from lyapmap.cli.command import Run, command


@command(examples="lyapmap train halving")
def halving(run: Run, *, factor: float = 0.5) -> int:
    """Train what halves.

    Parameters
    ----------
    factor : X
        By which it multiplies.
    """
    from lyapmap.files.checkpoint import Checkpoint, save
    from lyapmap.models.tiny.network import Halving, HalvingConfig
    import torch

    config = HalvingConfig()
    save(Checkpoint("halving", config.to_dict(), Halving(config).state_dict(), torch.ones(4, 2), {}), "halving.pt")
    return 0
''',
}

PROGRAM = """
import sys
import lyapmap.models
lyapmap.models.__path__.append({folder!r})
lyapmap.models.PAPERS = (*lyapmap.models.PAPERS, "tiny")
from lyapmap.cli import main
sys.argv = ["lyapmap", *sys.argv[1:]]
main()
"""


@pytest.fixture
def sixth(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny"
    folder.mkdir()
    for name, text in TINY.items():
        (folder / name).write_text(text.lstrip())
    return tmp_path


def run(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(folder=str(folder)), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_folder_and_a_line_add_a_paper(sixth: Path) -> None:
    pytest.importorskip("torch")
    assert "halving" in run(sixth, "train", "--help")
    run(sixth, "train", "halving")
    found = json.loads(run(sixth, "spectrum", "--model", "halving.pt", "--steps", "50", "--json"))
    assert np.allclose(found["exponents"], np.log(0.5), atol=1e-5)


def test_the_line_can_be_taken_back(sixth: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.setattr(models, "__path__", [*models.__path__, str(sixth)])
    monkeypatch.setattr(models, "PAPERS", (*models.PAPERS, "tiny"))
    assert papers.networks()["halving"][0] == "tiny"
    assert papers.public_names("training")["halve"] == "lyapmap.models.tiny.network"
    monkeypatch.undo()
    assert "halving" not in papers.networks()


@pytest.mark.parametrize("paper", models.PAPERS)
def test_all_that_a_paper_says_is_there(paper: str) -> None:
    pytest.importorskip("torch")
    own = papers.papers()[paper]
    for network in own.networks.values():
        for text in filter(None, (network.module, network.config)):
            assert papers.loaded(paper, text) is not None
    for name, file in [*own.train.items(), *own.study.items(), *own.commands.items(), *own.group_commands.items()]:
        module, _, function = papers.place(paper, file).partition(":")
        command = getattr(import_module(module), function or name.replace("-", "_"))
        assert getattr(command, "command", None) is None or command.command.examples
    for names in own.names.values():
        for name, file in names.items():
            assert getattr(import_module(papers.place(paper, file)), name) is not None
    package = getattr(models, paper)
    for name in package.__all__:
        assert getattr(package, name) is not None


def test_nothing_but_its_folder_names_a_paper() -> None:
    """Outside `models` no file imports one; stubs tell type checkers what a public name is."""
    root = Path(lyapmap.__file__).parent
    named = []
    for path in sorted(root.rglob("*.py")):
        if path.relative_to(root).parts[0] == "models":
            continue
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                named += [f"{path}:{node.lineno}"] * ("lyapmap.models." in f"{ast.unparse(node)}.".replace(" ", "."))
    assert named == []
