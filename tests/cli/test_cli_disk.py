"""Full disks and folders that nobody may write to: numbers are printed first, one line says what failed, and what was
there before still is. Tried for real, with the system's own limit on the size of files."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.command_line import run

from lyapmap.core import writing

COMMANDS = {
    "spectrum": "spectrum henon -n 500 --transient 10",
    "divergence": "divergence henon -b 8 --steps 60",
    "finite-time": "finite-time henon -n 10 --windows 4",
    "covariant": "covariant henon -n 100",
    "alignment": "alignment henon -n 100",
    "entropy": "entropy logistic --low 0 --high 1 --samples 200",
    "sweep": "sweep logistic --over r --from 3.5 --to 4 --values 3 -n 200",
    "zero-one": "zero-one logistic -n 1000",
    "correlation-dimension": "correlation-dimension henon -n 2000",
    "settling": "settling logistic -p r=2.5 -n 50",
    "orbits": "orbits henon --period 2",
    "trajectory": "trajectory henon -n 2000",
}
PRINTED_AFTER = {"trajectory"}
"""Commands whose numbers are their files."""


@pytest.mark.parametrize("name", ["trajectory", "sweep"])
def test_a_full_disk_costs_the_files_and_not_the_numbers(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(*COMMANDS[name].split(), "--out", tmp_path).exit_code in (0, 1)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}

    def full(source: Any, target: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(writing.os, "replace", full)
    done = run(*COMMANDS[name].split(), "--out", tmp_path)
    _is_told(name, done.exit_code, done.stdout, done.stderr, "No space left on device")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name in before} == before
    assert not list(tmp_path.glob("*.part*"))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
@pytest.mark.parametrize("name", COMMANDS)
def test_for_real(name: str, tmp_path: Path) -> None:
    arguments = [sys.executable, "-m", "lyapmap", *COMMANDS[name].split(), "--out", str(tmp_path)]

    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (900, 900))

    subprocess.run(arguments, capture_output=True, check=False)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    done = subprocess.run(arguments, capture_output=True, text=True, preexec_fn=small, check=False)
    _is_told(name, done.returncode, done.stdout, done.stderr, "File too large")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name in before} == before
    assert not list(tmp_path.glob("*.part*"))


def _is_told(name: str, code: int, printed: str, said: str, reason: str) -> None:
    assert code == 2
    assert said.count("\n") == 1
    assert said.startswith("lyapmap: ")
    assert f"cannot be written ({reason})" in said
    assert name in PRINTED_AFTER or "status" in printed
