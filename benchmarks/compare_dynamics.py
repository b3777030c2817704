"""How often the verdict of `compare_dynamics` is right, on pairs whose truth is known.

    python benchmarks/compare_dynamics.py

Prints a table for docs/learned.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import lyapmap as lm


class Pair(NamedTuple):
    """A model, its reference, whether they differ, and options."""

    name: str
    sides: Callable[[int], tuple[Any, Any]]
    differs: bool
    options: dict[str, Any]
    seeds: int


def main() -> None:
    """Print a row for each pair."""
    print("| pair | truth | right of seeds | forecasts hold (Lyapunov times) | seconds each |")
    print("|---|---|---|---|---|")
    for pair in CHEAP:
        right, times, begin = 0, [], time.perf_counter()
        for seed in range(pair.seeds):
            model, reference = pair.sides(seed)
            result = lm.compare_dynamics(model, reference, seed=seed, **pair.options)
            right += (result.verdict == "differs") == pair.differs
            times.append(result.lyapunov_times)
        seconds = (time.perf_counter() - begin) / pair.seeds
        known = [t for t in times if np.isfinite(t)]
        words = f"{np.median(known):.1f}" if known else "-"
        print(f"| {pair.name} | {'differs' if pair.differs else 'the same'} | {right} of {pair.seeds} "
              f"| {words} | {seconds:.1f} |", flush=True)  # fmt: skip


def henon(a: float) -> Callable[[int], tuple[Any, Any]]:
    """Hénon's map with a parameter against the usual one."""
    return lambda seed: (lm.systems.henon(a=a), lm.systems.henon())


def logistic_data(*, shuffled: bool) -> Callable[[int], tuple[Any, Any]]:
    """Data of the logistic map at r = 4 against the map, in their order or in another."""

    def sides(seed: int) -> tuple[Any, Any]:
        rng = np.random.default_rng(1000 + seed)
        orbits = lm.trajectory(lm.systems.logistic(r=4.0), rng.uniform(0.1, 0.9, (16, 1)), n_steps=299).states
        return [rng.permutation(orbit) if shuffled else orbit for orbit in orbits], lm.systems.logistic(r=4.0)

    return sides


def one_recording(a: float) -> Callable[[int], tuple[Any, Any]]:
    """Hénon's map against a single recording of the usual one, which is cut into stretches."""

    def sides(seed: int) -> tuple[Any, Any]:
        truth = lm.systems.henon()
        return lm.systems.henon(a=a), lm.trajectory(
            truth, truth.initial_states(1, 2000 + seed), n_steps=9_599, transient=100
        )

    return sides


SHORT = {"n_steps": 300, "n_exponents": 0, "transient": 200, "n_permutations": 100}
CHEAP = [
    Pair("Hénon, a = 1.4", henon(1.4), False, SHORT, 40),
    Pair("Hénon, a = 1.395", henon(1.395), True, SHORT | {"n_steps": 1000}, 20),
    Pair("Hénon, a = 1.39", henon(1.39), True, SHORT, 20),
    Pair("Hénon, a = 1.35", henon(1.35), True, SHORT, 20),
    Pair("Hénon with exponents, a = 1.4", henon(1.4), False, SHORT | {"n_exponents": 2}, 20),
    Pair("data of the logistic map", logistic_data(shuffled=False), False, SHORT, 20),
    Pair("the same in another order", logistic_data(shuffled=True), True, SHORT, 20),
    Pair("Hénon against one recording, a = 1.4", one_recording(1.4), False, SHORT, 40),
    Pair("Hénon against one recording, a = 1.38", one_recording(1.38), True, SHORT, 20),
]


if __name__ == "__main__":
    main()
