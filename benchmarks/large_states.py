"""Large states: time, peak memory and the plan of chunks of a small U-Net of images, with 8 and with 32 tangents.

    python benchmarks/large_states.py                     # one size after the other, each in a process of its own
    python benchmarks/large_states.py --sizes 64 --tangents 8
    python benchmarks/large_states.py --json out.json

A step is one image with its tangents, QR decomposition included; it is measured after one that chooses how layers carry
tangents. Times are those of the processor, of one thread, which other programs do not disturb. "Forward passes a
tangent" is the time of a step over that of a forward pass of one image, divided by the number of tangents. Memory is
the most that the process held at any moment, less what it held before the first step: states, tangents, and what is
alive within a layer.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

SIZES, TANGENTS = (64, 128, 256, 512), (8, 32)
STEPS = 2


def unet(width: int = 16):
    """Two levels of a U-Net, 3 channels in and out, bounded."""
    import torch
    from torch import nn
    from torch.nn import functional as f

    class UNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            w = width
            self.enter = nn.Conv2d(3, w, 3, padding=1)
            self.down = nn.ModuleList([nn.Conv2d(w, 2 * w, 4, 2, 1), nn.Conv2d(2 * w, 4 * w, 4, 2, 1)])
            self.middle = nn.Conv2d(4 * w, 4 * w, 3, padding=1)
            self.up = nn.ModuleList([nn.ConvTranspose2d(4 * w, 2 * w, 4, 2, 1), nn.ConvTranspose2d(4 * w, w, 4, 2, 1)])
            self.leave = nn.Conv2d(2 * w, 3, 3, padding=1)
            self.norms = nn.ModuleList(nn.GroupNorm(8, c) for c in (w, 2 * w, 4 * w, 4 * w, 2 * w, w))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            a = f.silu(self.norms[0](self.enter(x)))
            b = f.silu(self.norms[1](self.down[0](a)))
            c = f.silu(self.norms[2](self.down[1](b)))
            c = c + f.silu(self.norms[3](self.middle(c)))
            d = f.silu(self.norms[4](self.up[0](c)))
            e = f.silu(self.norms[5](self.up[1](torch.cat([d, b], 1))))
            return torch.tanh(2 * self.leave(torch.cat([e, a], 1)))

    torch.manual_seed(0)
    return UNet().eval()


class Peak:
    """The most memory that this process holds while a block runs, looked at a hundred times a second."""

    def __enter__(self) -> Peak:
        self.before = self.most = self._resident()
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)
        self._watch.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._watch.join()

    def _look(self) -> None:
        while not self._over.wait(0.01):
            self.most = max(self.most, self._resident())

    @staticmethod
    def _resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    @property
    def bytes(self) -> int:
        return self.most - self.before


def measured(size: int, k: int, memory_limit: int | None) -> dict[str, float]:
    """One row of the table."""
    import numpy as np
    import torch

    import lyapmap as lm
    from lyapmap.core.propagate import propagate, random_frame

    options = {} if memory_limit is None else {"memory_limit": memory_limit}
    torch.set_num_threads(1)
    net = unet()
    begin = time.process_time()
    tangent_map = lm.wrap(net, state_shape=(3, size, size), verify=False, **options)
    wrapped = time.process_time() - begin
    x = tangent_map.ops.from_numpy(np.random.default_rng(0).uniform(-1, 1, (1, 3 * size * size)))
    seconds = []
    for _ in range(5):
        begin = time.process_time()
        with torch.no_grad():
            net(x.view(1, 3, size, size))
        seconds.append(time.process_time() - begin)
    forward = min(seconds)
    frame = random_frame(tangent_map, 1, k, np.random.default_rng(1), "float32")
    with Peak() as peak:
        begin = time.process_time()
        block = propagate(tangent_map, x, frame, n_steps=1)
        first = time.process_time() - begin
        steps = []
        for _ in range(STEPS):
            begin = time.process_time()
            block = propagate(tangent_map, block.x, block.frame, n_steps=1)
            steps.append(time.process_time() - begin)
    rows = min(k, tangent_map.rows_at_once)
    return {
        "size": size,
        "n": 3 * size * size,
        "k": k,
        "wrap": wrapped,
        "forward": forward,
        "first": first,
        "step": min(steps),
        "passes_a_tangent": min(steps) / forward / k,
        "rows_at_once": rows,
        "passes": -(-k // rows),
        "peak": peak.bytes,
    }


def main() -> None:
    """One child process for each size and number of tangents; a table on standard output."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--tangents", type=int, nargs="+", default=TANGENTS)
    parser.add_argument("--memory-limit", type=int)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(measured(given.sizes[0], given.tangents[0], given.memory_limit)))
        return
    rows = []
    print("| state | n | k | forward pass | step | forward passes a tangent | tangents a pass | peak memory |")
    print("|---|---|---|---|---|---|---|---|")
    for size in given.sizes:
        for k in given.tangents:
            command = [sys.executable, __file__, "--child", "--sizes", str(size), "--tangents", str(k)]
            if given.memory_limit is not None:
                command += ["--memory-limit", str(given.memory_limit)]
            row = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            rows.append(row)
            plan = f"{row['rows_at_once']} ({row['passes']} pass{'es' if row['passes'] > 1 else ''})"
            print(
                f"| 3 x {size} x {size} | {row['n']:,} | {k} | {1e3 * row['forward']:.0f} ms | {row['step']:.2f} s | "
                f"{row['passes_a_tangent']:.1f} | {plan} | {row['peak'] / 1e9:.2f} GB |",
                flush=True,
            )
    if given.json is not None:
        given.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
