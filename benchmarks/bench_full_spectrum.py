"""All 784 exponents of the cycle generator: seconds of one step, against TensorFlow's way.

    OMP_NUM_THREADS=1 python benchmarks/bench_full_spectrum.py [--tensorflow-python PATH] [--repeats 7]

Here a step is `lyapmap.core.propagate.propagate` with a full frame: the tangents of one state
and their QR decomposition, as `lyapunov_spectrum(..., n_exponents="all")` takes them. The other side
is `tensorflow_step.py`, in a process of its own, under the interpreter given (this one by default).
Both take turns; random weights, float32, one thread.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

import lyapmap as lm
from lyapmap.core.propagate import propagate, random_frame
from lyapmap.models.cycle.network import CycleConfig, Generator


class Rival:
    """TensorFlow's step in another process."""

    def __init__(self, python: str, width: int) -> None:
        command = [python, str(Path(__file__).with_name("tensorflow_step.py")), str(width)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        first = self._line()
        if not first.startswith("ready"):
            raise SystemExit(f"{python} cannot run tensorflow_step.py")
        self.version = first.split()[1]

    def step(self) -> float:
        assert self.process.stdin is not None
        print(file=self.process.stdin, flush=True)
        return float(self._line())

    def close(self) -> None:
        self.process.communicate()

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tensorflow-python", default=sys.executable if find_spec("tensorflow") else None)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--width", type=int, default=64)
    given = parser.parse_args()
    torch.manual_seed(0)
    m = lm.wrap(Generator(CycleConfig(width=given.width)).eval(), state_shape=(1, 28, 28))
    carried = [torch.rand(1, 784) * 2 - 1, random_frame(m, 1, 784, np.random.default_rng(0), "float32")]

    def ours() -> float:
        begin = time.perf_counter()
        after = propagate(m, *carried, n_steps=1)
        carried[:] = after.x, after.frame
        return time.perf_counter() - begin

    def decomposition() -> float:
        begin = time.perf_counter()
        m.ops.qr(carried[1])
        return time.perf_counter() - begin

    rival = Rival(given.tensorflow_python, given.width) if given.tensorflow_python else None
    sides = {"lyapmap, tangents and QR": ours, "of it, QR": decomposition}
    if rival is not None:
        sides[f"TensorFlow {rival.version}, batch_jacobian and QR"] = rival.step
    ours()
    found: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(given.repeats):
        for name, side in sides.items():
            found[name].append(side())
    if rival is not None:
        rival.close()
    first = found[next(iter(sides))]
    print(f"| {given.width} / {2 * given.width} channels | seconds a step (median of {given.repeats}) | ratio |")
    print("|---|---|---|")
    for name, seconds in found.items():
        ratio = statistics.median(theirs / own for theirs, own in zip(seconds, first, strict=True))
        print(f"| {name} | {statistics.median(seconds):.3f} | {ratio:.2f} x ours |")


if __name__ == "__main__":
    main()
