"""Compiled reference maps against plain C, pynamicalsys, Lyapynov and their own matrix-free products.

    python benchmarks/bench_maps.py [--repeats 7]

Prints a table of nanoseconds per trajectory and step: medians of repeats in which all cases take
turns, so that a slow moment of the machine strikes them all. Run with one thread for figures of
one core. pynamicalsys and Lyapynov are measured where they can be imported, the C kernel where there is gcc.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from kernels import build_henon

from lyapmap import systems
from lyapmap.analysis.exponents.spectrum import lyapunov_spectrum
from lyapmap.core.propagate import random_frame

TRAJECTORIES = 256
BLOCK = 1000


@dataclass(frozen=True)
class Case:
    """Something to measure: `run` returns nanoseconds per trajectory and step."""

    name: str
    run: Callable[[], float]


def block(name: str, k: int, trajectories: int, steps: int, qr_every: int = 1, **parameters: Any) -> Case:
    """Blocks of steps with k tangent vectors, each going on from the one before."""
    m = systems.create(name, **parameters)
    x = m.initial_states(trajectories, 0)
    carried = [x, random_frame(m, trajectories, k, np.random.default_rng(0), "float64")]
    carried[:] = m.propagate(*carried, steps, 1)[:2]

    def run() -> float:
        begin = time.perf_counter()
        x, frame, _ = m.propagate(*carried, steps, qr_every)
        seconds = time.perf_counter() - begin
        carried[:] = x, frame
        return 1e9 * seconds / (trajectories * steps)

    given = "".join(f", {key}={value}" for key, value in parameters.items())
    label = f"{name}{given}, block of steps, k={k}, {trajectories} trajectories"
    return Case(label if qr_every == 1 else f"{label}, QR every {qr_every} steps", run)


def public(name: str, trajectories: int, steps: int, k: int | None = None, **parameters: Any) -> Case:
    """The spectrum, in full or k exponents, by `lyapmap.lyapunov_spectrum`, everything included."""
    m = systems.create(name, **parameters)
    x = m.initial_states(trajectories, 0)

    def run() -> float:
        begin = time.perf_counter()
        lyapunov_spectrum(m, x, n_steps=steps, n_exponents=k, seed=0, throw=False)
        return 1e9 * (time.perf_counter() - begin) / (trajectories * steps)

    run()
    given = "".join(f", {key}={value}" for key, value in parameters.items()) + (f", k={k}" if k else "")
    return Case(f"{name}{given}, lyapunov_spectrum, {trajectories} trajectories x {steps} steps", run)


def products(n: int, k: int) -> Case:
    """k + 1 matrix-free products: the image and k tangents of a lattice, hardly ever orthonormalized."""
    case = block("coupled_map_lattice", k, 8, 200, qr_every=200, n=n)
    return Case(f"{k + 1} matrix-free products, n={n}", case.run)


def c_kernel(steps: int = 2_000_000) -> Case | None:
    """One Hénon trajectory in C."""
    kernel = build_henon()
    return None if kernel is None else Case("plain C (gcc -O3), Hénon, one trajectory", lambda: kernel(steps)[0])


def pynamicalsys_henon(steps: int = 200_000) -> Case | None:
    """Hénon's spectrum by pynamicalsys, one trajectory, its default method."""
    try:
        from pynamicalsys import DiscreteDynamicalSystem
    except ImportError:
        return None
    system = DiscreteDynamicalSystem(model="henon map")

    def run() -> float:
        begin = time.perf_counter()
        system.lyapunov([0.1, 0.1], steps, parameters=[1.4, 0.3])
        return 1e9 * (time.perf_counter() - begin) / steps

    run()
    return Case("pynamicalsys, Hénon, one trajectory", run)


def lyapynov_henon(steps: int = 20_000) -> Case | None:
    """Hénon's spectrum by Lyapynov, one trajectory, map and Jacobian in NumPy."""
    try:
        from lyapynov import LCE, DiscreteDS
    except ImportError:
        return None

    def step(x: np.ndarray, t: float) -> np.ndarray:
        return np.array([1 - 1.4 * x[0] ** 2 + x[1], 0.3 * x[0]])

    def jacobian(x: np.ndarray, t: float) -> np.ndarray:
        return np.array([[-2.8 * x[0], 1.0], [0.3, 0.0]])

    def run() -> float:
        system = DiscreteDS(np.array([0.1, 0.1]), 0.0, step, jacobian)
        begin = time.perf_counter()
        LCE(system, 2, 0, steps, False)
        return 1e9 * (time.perf_counter() - begin) / steps

    return Case("Lyapynov, Hénon, one trajectory", run)


def measure(cases: list[Case], repeats: int) -> dict[str, float]:
    """Median of each case, all taking turns."""
    found: dict[str, list[float]] = {case.name: [] for case in cases}
    for _ in range(repeats):
        for case in cases:
            found[case.name].append(case.run())
    return {name: statistics.median(values) for name, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    henon = public("henon", TRAJECTORIES, 20_000)
    rivals = [case for case in (c_kernel(), pynamicalsys_henon(), lyapynov_henon()) if case is not None]
    others = [
        public("folded_towel", TRAJECTORIES, 20_000),
        block("henon", 2, TRAJECTORIES, BLOCK),
        block("folded_towel", 3, TRAJECTORIES, BLOCK),
        block("ikeda", 2, TRAJECTORIES, BLOCK),
    ]
    product = products(512, 16)
    lattices = [block("coupled_map_lattice", 16, 8, 50, qr_every, n=512) for qr_every in (1, 5, 10)]
    lattices.append(public("coupled_map_lattice", 8, 10_000, 16, n=512))
    found = measure([henon, *rivals, *others, product, *lattices], repeats)
    print(f"| what | ns per trajectory-step (median of {repeats}) | ratio |\n|---|---|---|")
    for case in (henon, *rivals):
        print(f"| {case.name} | {found[case.name]:.1f} | {found[case.name] / found[henon.name]:.2f} x ours |")
    for case in others:
        print(f"| {case.name} | {found[case.name]:.1f} | |")
    for case in (product, *lattices):
        print(f"| {case.name} | {found[case.name]:.0f} | {found[case.name] / found[product.name]:.2f} x the products |")


if __name__ == "__main__":
    main()
