"""Intrinsic dimension: benchmark manifolds, coverage of the errors, speed beside scikit-dimension.

    python benchmarks/bench_dimension.py manifolds [--points 5000]
    python benchmarks/bench_dimension.py coverage [--points 1000] [--draws 200]
    python benchmarks/bench_dimension.py few [--draws 100]
    python benchmarks/bench_dimension.py correlation [--draws 20]
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
from collections.abc import Callable

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
    """How often estimate ± 1.96 errors of the sample hold the method's own mean, and the true dimension."""
    import lyapmap as lm

    cases = {
        "twonn": {"method": "twonn"},
        "mle": {"method": "mle"},
        "gride n=8": {"method": "gride", "scales": [8]},
        "gride": {"method": "gride"},
    }
    print("| set | true | method | mean | spread | error of the sample | holds the mean | holds the truth |")
    print("|---|---|---|---|---|---|---|---|")
    for kind, draw in SETS.items():
        for d in (2, 5):
            found: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
            for seed in range(draws):
                rows = draw(np.random.default_rng(seed), points, d)
                for name, options in cases.items():
                    estimate = lm.intrinsic_dimension(rows, **options)
                    found[name].append((estimate.dimension, estimate.statistical))
            for name, pairs in found.items():
                values, errors = np.array(pairs).T
                holds = [np.mean(np.abs(values - x) < 1.96 * errors) for x in (values.mean(), d)]
                print(
                    f"| {kind} | {d} | {name} | {values.mean():.3f} | {values.std(ddof=1):.3f} | {errors.mean():.3f} "
                    f"| {100 * holds[0]:.0f} % | {100 * holds[1]:.0f} % |",
                    flush=True,
                )


def few(draws: int) -> None:
    """How often estimate ± 1.96 stderr holds the true dimension, by number of points: in all sets, and in the worst."""
    import lyapmap as lm

    print("| points | true | " + " | ".join(METHODS) + " |")
    print("|---|---|" + "---|" * len(METHODS))
    for n in (50, 75, 100, 200, 500, 1000):
        for d in (1, 2, 3, 5):
            if d > 2 * np.log10(n):
                continue  # told as lower bounds
            held: dict[str, list[list[bool]]] = {method: [] for method in METHODS}
            errors: dict[str, list[float]] = {method: [] for method in METHODS}
            for draw in SETS.values():
                for method in METHODS:
                    held[method].append([])
                for seed in range(draws):
                    rows = draw(np.random.default_rng([n, d, seed, 7]), n, d)
                    found = lm.compare_dimensions({"set": rows}, methods=METHODS, seed=0, throw=False)
                    for method, value, error in zip(METHODS, found.dimension[0], found.stderr[0], strict=True):
                        if np.isfinite(value):
                            held[method][-1].append(bool(abs(value - d) < 1.96 * error))
                            errors[method].append(float(error))
            cells = []
            for method in METHODS:
                share = [100 * np.mean(part) for part in held[method] if part]
                cells.append(f"{np.mean(share):.0f} %, {min(share):.0f} %, ± {np.mean(errors[method]):.2f}")
            print(f"| {n} | {d} | " + " | ".join(cells) + " |", flush=True)


Rate = Callable[[np.ndarray], np.ndarray]


def _iterated(step: Rate, x: np.ndarray, n: int, transient: int) -> np.ndarray:
    states = np.empty((len(x), n, x.shape[1]))
    for i in range(-transient, n):
        x = step(x)
        if i >= 0:
            states[:, i] = x
    return states


def _flow(rate: Rate, time_step: float, h: float) -> Rate:
    """Runge and Kutta's method of order 4."""

    def step(x: np.ndarray) -> np.ndarray:
        for _ in range(round(time_step / h)):
            a = rate(x)
            b = rate(x + h / 2 * a)
            c = rate(x + h / 2 * b)
            x = x + h / 6 * (a + 2 * b + 2 * c + rate(x + h * c))
        return x

    return step


def _lorenz(s: np.ndarray) -> np.ndarray:
    x, y, z = s.T
    return np.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z], axis=1)


def _rossler(s: np.ndarray) -> np.ndarray:
    x, y, z = s.T
    return np.stack([-y - z, x + 0.2 * y, 0.2 + z * (x - 5.7)], axis=1)


def _ikeda(s: np.ndarray) -> np.ndarray:
    z = s[:, 0] + 1j * s[:, 1]
    z = 1 + 0.9 * z * np.exp(1j * (0.4 - 6 / (1 + abs(z) ** 2)))
    return np.stack([z.real, z.imag], axis=1)


def _torus_orbit(rng: np.random.Generator, b: int, n: int) -> np.ndarray:
    angle = np.arange(n)[None, :, None] * np.array([1, np.sqrt(2)]) + rng.uniform(0, 6.28, (b, 1, 2))
    return np.concatenate([np.cos(angle), np.sin(angle)], axis=2)


def _sierpinski(rng: np.random.Generator, b: int, n: int) -> np.ndarray:
    corners = np.array([[0, 0], [1, 0], [0.5, 0.75**0.5]])[rng.integers(0, 3, (b, n, 40))]
    return (corners * (2.0 ** -np.arange(1, 41))[:, None]).sum(axis=2)


# True dimension, and b orbits or samples of n points.
# Published: P. Grassberger, I. Procaccia (1983); J. C. Sprott (2003) for Ikeda.
ATTRACTORS: dict[str, tuple[float, Callable[[np.random.Generator, int, int], np.ndarray]]] = {
    "Hénon": (
        1.22,
        lambda r, b, n: _iterated(
            lambda s: np.stack([1 - 1.4 * s[:, 0] ** 2 + s[:, 1], 0.3 * s[:, 0]], 1),
            r.uniform(-0.1, 0.1, (b, 2)),
            n,
            300,
        ),
    ),
    "Ikeda": (1.70, lambda r, b, n: _iterated(_ikeda, r.uniform(-0.1, 0.1, (b, 2)), n, 1000)),
    "logistic, r = 4": (1.0, lambda r, b, n: _iterated(lambda x: 4 * x * (1 - x), r.uniform(0.1, 0.9, (b, 1)), n, 300)),
    "Lorenz, dt = 0.1": (
        2.05,
        lambda r, b, n: _iterated(_flow(_lorenz, 0.1, 0.01), r.uniform(-5, 5, (b, 3)) + np.array([0, 0, 20]), n, 500),
    ),
    "Rössler, dt = 0.2": (
        1.99,
        lambda r, b, n: _iterated(
            _flow(_rossler, 0.2, 0.025), r.uniform(-1, 1, (b, 3)) + np.array([0, -5, 0]), n, 2500
        ),
    ),
    "torus, an orbit": (2.0, lambda r, b, n: _torus_orbit(r, b, n)),
    "noise in 3": (3.0, lambda r, b, n: r.standard_normal((b, n, 3))),
    "noise in 6": (6.0, lambda r, b, n: r.standard_normal((b, n, 6))),
    "Cantor's set": (
        float(np.log(2) / np.log(3)),
        lambda r, b, n: (2 * r.integers(0, 2, (b, n, 32)) * 3.0 ** -np.arange(1, 33)).sum(axis=2)[..., None],
    ),
    "Sierpinski's triangle": (float(np.log(3) / np.log(2)), _sierpinski),
}


def correlation(draws: int) -> None:
    """How often the correlation dimension ± 2 stderr holds the true one, and how often there is one."""
    import lyapmap as lm

    print("| set | true | points | mean | spread | mean stderr | within 2 | a number |")
    print("|---|---|---|---|---|---|---|---|")
    for name, (true, draw) in ATTRACTORS.items():
        for n in (1000, 2000, 5000, 20_000):
            b = draws if n < 20_000 else max(draws // 4, 1)
            orbits = draw(np.random.default_rng([n, 11]), b, n)
            found = [lm.correlation_dimension(rows, seed=0, throw=False) for rows in orbits]
            good = [r for r in found if not r.failed]
            if not good:
                print(f"| {name} | {true:.2f} | {n} | - | - | - | - | 0 of {b} |", flush=True)
                continue
            values, errors = np.array([(r.dimension, r.stderr) for r in good]).T
            held = int((np.abs(values - true) < 2 * errors).sum())
            print(
                f"| {name} | {true:.2f} | {n} | {values.mean():.3f} | {values.std():.3f} | {errors.mean():.3f} "
                f"| {held} of {len(good)} | {len(good)} of {b} |",
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
    parser.add_argument("what", choices=("manifolds", "coverage", "few", "correlation", "speed", "mnist"))
    parser.add_argument("--points", type=int)
    parser.add_argument("--draws", type=int)
    parser.add_argument("--dimension", type=int, default=64)
    parser.add_argument("--python", help="an interpreter that has scikit-dimension")
    given = parser.parse_args()
    if given.what == "manifolds":
        manifolds(given.points or 5000)
    elif given.what == "coverage":
        coverage(given.points or 1000, given.draws or 200)
    elif given.what == "few":
        few(given.draws or 100)
    elif given.what == "correlation":
        correlation(given.draws or 20)
    elif given.what == "speed":
        speed(given.points or 20_000, given.dimension, given.python)
    else:
        mnist(given.points or 60_000)


if __name__ == "__main__":
    main()
