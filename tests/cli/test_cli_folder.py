"""The folder of `--out` is of one run and of one process, and what was measured is printed before it is written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import run
from lyapmap.cli.folder import RECORD, OutFolder
from lyapmap.core.errors import LyapmapError

SHORT = ("spectrum", "henon", "--steps", "300", "--transient", "10")


def test_another_run_is_refused(tmp_path: Path) -> None:
    out = str(tmp_path / "r")
    assert run(*SHORT, "--out", out).exit_code == 0
    before = {file.name: file.read_bytes() for file in Path(out).iterdir()}
    other = run("divergence", "henon", "--out", out)
    assert (other.exit_code, "another run (spectrum)" in other.output) == (2, True)
    longer = run(*SHORT, "--seed", "1", "--out", out)
    assert (longer.exit_code, "other options (seed)" in longer.output) == (2, True)
    assert {file.name: file.read_bytes() for file in Path(out).iterdir()} == before


def test_the_same_run_comes_again(tmp_path: Path) -> None:
    for _ in range(2):
        folder = OutFolder(tmp_path, "spectrum", {"seed": 0, "low": (0.0, 1.0)})
        (tmp_path / "report.html").touch()
        folder.release()


def test_a_report_without_a_record_is_of_another_run(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("older")
    assert run(*SHORT, "--out", str(tmp_path)).exit_code == 2
    assert (tmp_path / "report.html").read_text() == "older"


def test_a_users_own_files_stay(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    OutFolder(tmp_path, "spectrum", {"seed": 0}).release()
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_run_that_wrote_nothing_leaves_nothing(tmp_path: Path) -> None:
    assert run("spectrum", "no-such-map", "--out", str(tmp_path / "new")).exit_code == 2
    assert not (tmp_path / "new").exists()


def test_a_folder_by_default_gets_a_new_name(tmp_path: Path) -> None:
    for number, name in enumerate(("samples", "samples-2", "samples-3")):
        folder = OutFolder(tmp_path / "samples", "sample", {"seed": number}, renames=True)
        (folder.path / "grid.png").touch()
        folder.release()
        assert folder.path.name == name


@pytest.mark.parametrize("text", ["", "[]", '{"command": 1}', "{"])
def test_a_damaged_record_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / RECORD).write_text(text)
    (tmp_path / "x.nc").touch()
    with pytest.raises(LyapmapError, match=r"holds a damaged run\.json"):
        OutFolder(tmp_path, "spectrum", {"seed": 0})


@pytest.mark.skipif(sys.platform == "win32", reason="no locks of folders")
def test_the_second_process_is_told(tmp_path: Path) -> None:
    first = OutFolder(tmp_path, "spectrum", {"seed": 0})
    with pytest.raises(LyapmapError, match="being written to by another process"):
        OutFolder(tmp_path, "spectrum", {"seed": 0})
    first.release()
    OutFolder(tmp_path, "spectrum", {"seed": 0}).release()


def test_numbers_are_printed_before_a_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lyapmap.core.results.Result.to_xarray", full)
    ended = run(*SHORT, "--json", "--out", str(tmp_path / "r"))
    assert ended.exit_code == 2
    assert len(json.loads(ended.stdout)["exponents"]) == 2
    assert "spectrum.nc: cannot be written (No space left on device)" in ended.output
    assert sorted(path.name for path in (tmp_path / "r").iterdir()) == ["journal", RECORD]
    monkeypatch.undo()
    again = run(*SHORT, "--json", "--out", str(tmp_path / "r"))
    assert json.loads(again.stdout)["exponents"] == json.loads(ended.stdout)["exponents"]


STOPPED = """
import os, signal
from lyapmap.analysis.exponents.growth import GrowthStatistics
from lyapmap.cli.root import main

take, calls = GrowthStatistics._record, []

def record(self):
    calls.append(1)
    if len(calls) == 5:
        os.kill(os.getpid(), signal.SIGTERM)  # in the middle of the statistics
    take(self)

GrowthStatistics._record = record
main(["spectrum", "henon", "-n", "1000000", "--json", "--out", "r"])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_sigterm_is_ctrl_c_and_keeps_what_was_done(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", STOPPED], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 130, done.stderr
    record = json.loads(done.stdout)
    assert (record["cause"], record["n_steps"] > 0) == ("interrupted", True)
    assert (tmp_path / "r" / "spectrum.nc").exists()


def test_a_killed_command_goes_on_and_leaves_no_journal(tmp_path: Path) -> None:
    command = ["spectrum", "henon", "--trajectories", 1, "--steps", 30_000, "--out"]
    assert run(*command, tmp_path / "whole").exit_code == 0

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lyapmap.report.style.save_figure", stop)
        cut = run(*command, tmp_path / "cut")
    assert cut.exit_code == 130
    assert cut.stderr.splitlines()[-1] == f"lyapmap: the same command goes on from what {tmp_path / 'cut'} holds"
    (tmp_path / "cut" / "spectrum.1-0.part.nc").write_text("left by a process that was killed")
    assert [file.name for file in (tmp_path / "cut" / "journal").iterdir()] == ["spectrum.journal"]
    assert run(*command, tmp_path / "cut").exit_code == 0
    names = [sorted(path.name for path in (tmp_path / folder).iterdir()) for folder in ("whole", "cut")]
    assert names[0] == names[1]
    numbers = [json.loads((tmp_path / folder / "spectrum.json").read_text()) for folder in ("whole", "cut")]
    for record in numbers:
        del record["provenance"]["seconds"], record["provenance"]["created"]
    assert numbers[0] == numbers[1]
