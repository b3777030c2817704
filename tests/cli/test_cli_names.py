"""Names of files as people have them, and terminals that do not know our letters."""

from __future__ import annotations

import io
import os
import stat
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from command_line import run
from lyapmap.cli import root
from lyapmap.files.checkpoint import Checkpoint, save

NOT_UTF8 = os.fsdecode(b"n\xff")


@pytest.mark.skipif(sys.platform == "darwin", reason="there all names are UTF-8")
@pytest.mark.parametrize("name", ["r[/b]", "[red]x", ":smile:", "a b & <c>", "größe", NOT_UTF8])
def test_a_command_ends_well_whatever_its_files_are_called(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    folder.mkdir(parents=True)
    np.save(folder / "x0.npy", np.full((2, 2), 0.1))
    done = run("spectrum", "--map", "henon", "--steps", "200", "--x0", folder / "x0.npy", "--out", folder / "o")
    assert done.exit_code == 0, done.output
    if name != NOT_UTF8:
        assert str(folder / "x0.npy") in done.stdout
        assert str(folder / "o") in done.stdout
    assert {"report.html", "spectrum.nc", "spectrum.json"} <= {path.name for path in (folder / "o").iterdir()}


def test_letters_that_a_terminal_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    root.plain_letters()
    sys.stdout.write(f"0.42 ± 0.01 ≥ ä {NOT_UTF8}\n")
    sys.stdout.flush()
    assert written.getvalue() == b"0.42 +- 0.01 >= \\xe4 n\\udcff" + os.linesep.encode()


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_checkpoints_may_be_read_by_others(suffix: str, tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    path = save(Checkpoint("x", {}, {"w": torch.zeros(1)}, torch.zeros(1)), tmp_path / f"a{suffix}")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "usual").stat().st_mode)
