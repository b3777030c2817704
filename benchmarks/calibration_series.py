"""How often 95 % intervals of exponents of series hold the true value: the table of docs/series.md.

    python benchmarks/calibration_series.py [--runs 60] [--only henon,lorenz] [--lengths 1000,5000,20000]

Each cell is so many series from other initial states (a third as many of 5000 values, a tenth of
20 000), measured with normal noise of a share of their spread, or rounded to three decimals.
References: exact for the logistic map; published or catalogue values for Hénon, Ikeda and Lorenz.
A limit cycle and noise have no positive exponent: each number given for them counts as wrong.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np

import lyapmap as lm

Z = 1.959964
LEVELS = (0.0, 0.001, 0.005, 0.01, 0.02, -1.0)
"""Noise relative to the spread; -1 stands for rounding to three decimals."""

Make = Callable[[int, np.random.Generator], np.ndarray]


def mapped(name: str) -> Make:
    def make(n: int, rng: np.random.Generator) -> np.ndarray:
        m = getattr(lm.systems, name)()
        return lm.trajectory(m, m.initial_states(1, rng), n_steps=n - 1, transient=300).states[0, :, 0]

    return make


def flowing(rate: Callable[[np.ndarray], np.ndarray], start: np.ndarray, dt: float, sub: int) -> Make:
    """First variable of a flow by Runge and Kutta's method of order 4, after 40 units of time."""

    def make(n: int, rng: np.random.Generator) -> np.ndarray:
        s, h, values = start + rng.normal(size=len(start)), dt / sub, np.empty(n)
        for i in range(-round(40 / dt), n):
            for _ in range(sub):
                a = rate(s)
                b = rate(s + h / 2 * a)
                c = rate(s + h / 2 * b)
                s = s + h / 6 * (a + 2 * b + 2 * c + rate(s + h * c))
            if i >= 0:
                values[i] = s[0]
        return values

    return make


def lorenz(s: np.ndarray) -> np.ndarray:
    x, y, z = s.tolist()
    return np.array([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z])


def van_der_pol(s: np.ndarray) -> np.ndarray:
    x, y = s.tolist()
    return np.array([y, (1 - x * x) * y - x])


def coloured(n: int, rng: np.random.Generator) -> np.ndarray:
    """An autoregressive series of order 1 with coefficient 0.9."""
    values, shocks = np.empty(n + 300), rng.normal(size=n + 300)
    values[0] = shocks[0]
    for i in range(1, n + 300):
        values[i] = 0.9 * values[i - 1] + shocks[i]
    return values[300:]


CASES: dict[str, tuple[Make, float | None, float | None]] = {
    "henon": (mapped("henon"), float(lm.systems.henon().known_exponents[0]), None),
    "logistic": (mapped("logistic"), float(np.log(2)), None),
    "ikeda": (mapped("ikeda"), float(lm.systems.ikeda().known_exponents[0]), None),
    "lorenz": (flowing(lorenz, np.array([1.0, 1.0, 20.0]), 0.05, 5), 0.9056, 0.05),
    "cycle": (flowing(van_der_pol, np.array([2.0, 0.0]), 0.1, 3), None, 0.1),
    "white": (lambda n, rng: rng.normal(size=n), None, None),
    "ar1": (coloured, None, None),
}
"""What makes a series, its exponent if it has a positive one, and the time between values."""


def measured(values: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    return np.round(values, 3) if level < 0 else values + level * values.std() * rng.normal(size=len(values))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--only", default=",".join(CASES))
    parser.add_argument("--lengths", default="1000,5000,20000")
    given = parser.parse_args()
    print("| series | values | noise | numbers given | within their 95 % intervals | mean z | spread of z | error |")
    print("|---|---|---|---|---|---|---|---|")
    for name in given.only.split(","):
        make, truth, dt = CASES[name]
        for n in map(int, given.lengths.split(",")):
            runs = max(4, given.runs // (1 if n <= 1000 else 3 if n <= 5000 else 10))
            clean = [make(n, np.random.default_rng([n, run])) for run in range(runs)]
            for level in LEVELS if name not in ("white", "ar1") else (0.0,):
                results = [
                    lm.from_series(measured(values, level, np.random.default_rng(run)), dt=dt, throw=False)
                    for run, values in enumerate(clean)
                ]
                ok = [r for r in results if not r.failed]
                words = "3 decimals" if level < 0 else f"{100 * level:g} %"
                row = f"| {name} | {n} | {words} | {len(ok)} of {runs} |"
                if ok and truth is not None:
                    z = np.array([(r.exponent - truth) / r.stderr for r in ok])
                    inside = int((np.abs(z) <= Z).sum())
                    row += f" {inside} | {z.mean():+.2f} | {z.std():.2f} | {np.median([r.stderr for r in ok]):.3f} |"
                else:
                    row += " 0 | | | |" if ok else " - | | | |"
                print(row, flush=True)


if __name__ == "__main__":
    main()
