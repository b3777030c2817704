"""Exponents and dimensions of series beside nolds and neurokit2, with every package's defaults.

    python benchmarks/bench_series.py [--points 5000] [--repeats 3]

Prints a Markdown table of value, error and seconds (the median of the repeats). The other packages
are measured where they can be imported.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import numpy as np

Answer = tuple[float, float]
"""A value and its standard error, NaN where none is given."""


def henon(n: int) -> np.ndarray:
    """States (n, 2) of the usual Hénon map."""
    x, y = 0.1, 0.1
    states = np.empty((n, 2))
    for i in range(n + 200):
        x, y = 1 - 1.4 * x * x + y, 0.3 * x
        if i >= 200:
            states[i - 200] = x, y
    return states


def lorenz(n: int, dt: float) -> np.ndarray:
    """First component (n,) of the Lorenz flow, by Runge and Kutta's method of order 4."""

    def rate(s: np.ndarray) -> np.ndarray:
        x, y, z = s
        return np.array([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z])

    s, sub = np.array([1.0, 1.0, 20.0]), 5
    h = dt / sub
    values = np.empty(n)
    for i in range(-600, n):
        for _ in range(sub):
            k1 = rate(s)
            k2 = rate(s + h / 2 * k1)
            k3 = rate(s + h / 2 * k2)
            s = s + h / 6 * (k1 + 2 * k2 + 2 * k3 + rate(s + h * k3))
        if i >= 0:
            values[i] = s[0]
    return values


def cases(n: int) -> Iterator[tuple[str, str, float, Callable[[], Answer]]]:
    """Task, package, known value, and what to measure."""
    points, flow, dt = henon(n), lorenz(n, 0.05), 0.05
    x = points[:, 0]
    lm = _imported("lyapmap")
    if lm:

        def exponent(series: np.ndarray, method: str, dt: float | None = None) -> Answer:
            found = lm.from_series(series, method=method, dt=dt, throw=False)
            return found.exponent, found.stderr

        def dimension() -> Answer:
            found = lm.correlation_dimension(points, seed=0)
            return found.dimension, found.stderr

        yield "exponent of Hénon's x", "lyapmap from_series", 0.4192, lambda: exponent(x, "rosenstein")
        yield "exponent of Hénon's x", "lyapmap from_series kantz", 0.4192, lambda: exponent(x, "kantz")
        yield "exponent of Lorenz's x", "lyapmap from_series", 0.9056, lambda: exponent(flow, "rosenstein", dt)
        yield "dimension of Hénon", "lyapmap correlation_dimension", 1.22, dimension
    nolds = _imported("nolds")
    if nolds:
        yield "exponent of Hénon's x", "nolds lyap_r", 0.4192, lambda: (nolds.lyap_r(x), np.nan)
        yield "exponent of Hénon's x", "nolds lyap_e (largest)", 0.4192, lambda: (max(nolds.lyap_e(x)), np.nan)
        yield "exponent of Lorenz's x", "nolds lyap_r", 0.9056, lambda: (nolds.lyap_r(flow, tau=dt), np.nan)
        yield "dimension of Hénon", "nolds corr_dim", 1.22, lambda: (nolds.corr_dim(x, 2), np.nan)
    neurokit = _imported("neurokit2")
    if neurokit:
        yield "exponent of Hénon's x", "neurokit2", 0.4192, lambda: (neurokit.complexity_lyapunov(x)[0], np.nan)
        yield (
            "exponent of Lorenz's x",
            "neurokit2 (per step / dt)",
            0.9056,
            lambda: (neurokit.complexity_lyapunov(flow)[0] / dt, np.nan),
        )
        yield "dimension of Hénon", "neurokit2", 1.22, lambda: (neurokit.fractal_correlation(x)[0], np.nan)


def _imported(name: str) -> Any:
    try:
        return import_module(name)
    except (ImportError, TypeError):  # nolds 0.6 fails with a TypeError on Python 3.11
        return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    print("| task | package | known | found | std. error | seconds |")
    print("|---|---|---|---|---|---|")
    for task, package, known, run in cases(given.points):
        seconds, value, error = [], np.nan, np.nan
        for _ in range(given.repeats):
            begin = time.perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                value, error = run()
            seconds.append(time.perf_counter() - begin)
        shown = "-" if np.isnan(error) else f"{error:.4f}"
        print(
            f"| {task} | {package} | {known} | {value:.4f} | {shown} | {statistics.median(seconds):.2f} |", flush=True
        )


if __name__ == "__main__":
    main()
