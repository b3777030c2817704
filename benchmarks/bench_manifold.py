"""Manifold metrics: seconds and peak memory, beside prdc where it is installed.

    OMP_NUM_THREADS=1 python benchmarks/bench_manifold.py --n 20000 --d 64 --k 3,5,10
    OMP_NUM_THREADS=1 python benchmarks/bench_manifold.py --n 10000 --d 64 --k 5 --peer /path/of/python-with-prdc

Each side runs in a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

COMMON = """
import json, resource, sys, time
import numpy as np
n, d, ks = int(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
r = np.random.default_rng(0)
R, F = (r.standard_normal((n, d), dtype=np.float32) for _ in range(2))
F[:, 0] += 0.5
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
"""
OURS = (
    COMMON
    + """
from lyapmap.analysis.manifold import manifold_metrics
manifold_metrics(R[:64], F[:64], k=ks, seed=0)
before, begin, cpu = peak(), time.perf_counter(), time.process_time()
m = manifold_metrics(R, F, k=ks, seed=0)
print(json.dumps({"seconds": time.perf_counter() - begin, "cpu": time.process_time() - cpu, "extra_gb": peak() - before,
    "total_gb": peak(), "remeasured": m.remeasured, "precision": m.precision.tolist(), "recall": m.recall.tolist()}))
"""
)
PRDC = (
    COMMON
    + """
import contextlib, io
from prdc import compute_prdc
before, begin, cpu = peak(), time.perf_counter(), time.process_time()
with contextlib.redirect_stdout(io.StringIO()):
    found = [compute_prdc(R, F, k) for k in ks]
print(json.dumps({"seconds": time.perf_counter() - begin, "cpu": time.process_time() - cpu, "extra_gb": peak() - before,
    "total_gb": peak(), "precision": [f["precision"] for f in found], "recall": [f["recall"] for f in found]}))
"""
)


def measured(python: str, program: str, options: argparse.Namespace) -> dict[str, object]:
    """What a program prints, run in another process."""
    ks = json.dumps([int(k) for k in options.k.split(",")])
    command = [python, "-c", program, str(options.n), str(options.d), ks]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=10_000, help="samples of each side")
    parser.add_argument("--d", type=int, default=64, help="features")
    parser.add_argument("--k", default="3,5,10", help="numbers of neighbours")
    parser.add_argument("--peer", help="a Python with prdc")
    options = parser.parse_args()
    print("lyapmap", json.dumps(measured(sys.executable, OURS, options)))
    if options.peer:
        print("prdc   ", json.dumps(measured(options.peer, PRDC, options)))


if __name__ == "__main__":
    main()
