"""Intrinsic dimension: benchmark manifolds, coverage of the errors, speed beside scikit-dimension.

    python benchmarks/bench_dimension.py manifolds [--points 5000]
    python benchmarks/bench_dimension.py coverage [--points 1000] [--draws 200]
    python benchmarks/bench_dimension.py speed [--points 20000] [--dimension 64] [--python PEERS]
    python benchmarks/bench_dimension.py mnist [--points 60000]

Prints Markdown tables. scikit-dimension is measured in a process of its own, by the interpreter that
`--python` names, so that neither has to be installed beside the other.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

import numpy as np

METHODS = ("gride", "twonn", "mle", "pca")

SKDIM = """
import resource, sys, time, warnings
warnings.simplefilter("ignore")
import numpy as np
from skdim.id import TwoNN
n, d = map(int, sys.argv[1:3])
points = np.random.default_rng(0).standard_normal((n, d))
TwoNN().fit(points[:300])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
begin = time.perf_counter()
found = TwoNN().fit(points).dimension_
print(time.perf_counter() - begin, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, found)
"""
OURS = """
import resource, sys, time
import numpy as np
import lyapmap as lm
n, d = map(int, sys.argv[1:3])
points = np.random.default_rng(0).standard_normal((n, d))
lm.intrinsic_dimension(points[:300], method="twonn")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
begin = time.perf_counter()
found = lm.intrinsic_dimension(points, method="twonn").dimension
print(time.perf_counter() - begin, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, found)
"""


def manifolds(points: int) -> None:
    import lyapmap as lm

    print("| manifold | in | true | " + " | ".join(METHODS) + " |")
    print("|---|---|---|" + "---|" * len(METHODS))
    for name, manifold in lm.data.manifolds().items():
        rows = lm.data.sample_manifold(name, points, seed=0)
        found = lm.compare_dimensions({name: rows}, methods=METHODS, seed=0, throw=False)
        cells = [f"{d:.2f} ± {e:.2f}" for d, e in zip(found.dimension[0], found.stderr[0], strict=True)]
        print(f"| {name} | {manifold.ambient} | {manifold.dimension} | " + " | ".join(cells) + " |", flush=True)


def _torus(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    """Evenly spread, without edges: d circles."""
    turns = 2 * np.pi * rng.random((n, d))
    return np.concatenate([np.cos(turns), np.sin(turns)], axis=1)


def _sphere(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    x = rng.standard_normal((n, d + 1))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


SETS = {
    "torus": _torus,
    "sphere": _sphere,
    "cube": lambda rng, n, d: rng.random((n, d)),
    "gaussian": lambda rng, n, d: rng.standard_normal((n, d)),
}


def coverage(points: int, draws: int) -> None:
    """How often estimate ± 1.96 stderr holds the method's own mean, and the true dimension."""
    import lyapmap as lm

    cases = {
        "twonn": {"method": "twonn"},
        "mle": {"method": "mle"},
        "gride n=8": {"method": "gride", "scales": [8]},
        "gride": {"method": "gride"},
    }
    print("| set | true | method | mean | spread | mean stderr | holds the mean | holds the truth |")
    print("|---|---|---|---|---|---|---|---|")
    for kind, draw in SETS.items():
        for d in (2, 5):
            found: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
            for seed in range(draws):
                rows = draw(np.random.default_rng(seed), points, d)
                for name, options in cases.items():
                    estimate = lm.intrinsic_dimension(rows, **options)
                    found[name].append((estimate.dimension, estimate.stderr))
            for name, pairs in found.items():
                values, errors = np.array(pairs).T
                holds = [np.mean(np.abs(values - x) < 1.96 * errors) for x in (values.mean(), d)]
                print(
                    f"| {kind} | {d} | {name} | {values.mean():.3f} | {values.std(ddof=1):.3f} | {errors.mean():.3f} "
                    f"| {100 * holds[0]:.0f} % | {100 * holds[1]:.0f} % |",
                    flush=True,
                )


def speed(points: int, dimension: int, python: str | None) -> None:
    print("| package | seconds | extra MB | dimension |")
    print("|---|---|---|---|")
    for name, code, interpreter in (("lyapmap", OURS, sys.executable), ("scikit-dimension", SKDIM, python)):
        if interpreter is None:
            continue
        done = subprocess.run(
            [interpreter, "-c", code, str(points), str(dimension)], capture_output=True, text=True, check=True
        )
        seconds, megabytes, found = map(float, done.stdout.split())
        print(
            f"| {name} TwoNN, n={points}, d={dimension} | {seconds:.2f} | {megabytes:.0f} | {found:.3f} |", flush=True
        )


def mnist(points: int) -> None:
    import lyapmap as lm

    rows = lm.data.load("mnist").states[:points]
    begin = time.perf_counter()
    found = lm.compare_dimensions({"mnist": rows}, seed=0, throw=False)
    print(f"{len(rows)} x {rows.shape[1]}: {time.perf_counter() - begin:.0f} s")
    for method, d, e in zip(found.methods, found.dimension[0], found.stderr[0], strict=True):
        print(f"{method}: {d:.2f} ± {e:.2f}")
    print(found.message)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("manifolds", "coverage", "speed", "mnist"))
    parser.add_argument("--points", type=int)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--dimension", type=int, default=64)
    parser.add_argument("--python", help="an interpreter that has scikit-dimension")
    given = parser.parse_args()
    if given.what == "manifolds":
        manifolds(given.points or 5000)
    elif given.what == "coverage":
        coverage(given.points or 1000, given.draws)
    elif given.what == "speed":
        speed(given.points or 20_000, given.dimension, given.python)
    else:
        mnist(given.points or 60_000)


if __name__ == "__main__":
    main()
