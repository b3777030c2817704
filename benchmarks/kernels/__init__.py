"""Kernels in C to compare with, built and run from here."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

SOURCE = Path(__file__).with_name("henon.c")


def build_henon(compiler: str = "gcc") -> Callable[[int], tuple[float, float, float]] | None:
    """Compile the Hénon kernel with -O3; None where there is no compiler.

    Returns
    -------
    callable
        Runs a number of steps in a process of its own; nanoseconds per step and both exponents.
    """
    if shutil.which(compiler) is None:
        return None
    folder = tempfile.TemporaryDirectory(prefix="lyapmap-kernel-")
    program = Path(folder.name) / "henon"
    subprocess.run([compiler, "-O3", "-std=c99", "-o", str(program), str(SOURCE), "-lm"], check=True)

    def run(steps: int, _kept: object = folder) -> tuple[float, float, float]:
        printed = subprocess.run([str(program), str(steps)], check=True, capture_output=True, text=True).stdout
        nanoseconds, first, second = (float(part) for part in printed.split())
        return nanoseconds, first, second

    return run
