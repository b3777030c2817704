"""How often 95 % intervals hold the true value: the table of docs/calibration.md.

    python benchmarks/calibration.py [--runs 600]

Each row is so many runs of the public function, with other initial states each. References: exact
for the logistic map; the catalogue's long runs for Hénon and Ikeda; a run of 256 x 100 000 steps
for the coupled lattice. `resolution` prints the other table: a linear map with exponents from 0 to
-60 in both precisions. `verdicts` counts, for systems that are not in the catalogue, how often regular
motion is called chaotic and chaos is missed, whether the error of the largest exponent holds its true
value, and how often a sum rule fails: [--runs 10], of four trajectories each.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

import lyapmap as lm

Z = 1.959964
TOGETHER = 4
"""Trajectories of a run of `verdicts`."""
RUNS = ((1, 500), (1, 4000), (4, 1000), (8, 500), (8, 5000), (32, 200))


def cases(lattice_steps: int) -> dict[str, tuple[lm.systems.ReferenceMap, int | None, dict[str, np.ndarray]]]:
    """Maps, how many exponents, and what is known of them."""
    systems = lm.systems
    lattice = systems.coupled_map_lattice(n=16)
    long = lm.lyapunov_spectrum(lattice, lattice.initial_states(256, 1), n_steps=lattice_steps, transient=1000, seed=1)
    henon, ikeda = systems.henon().known_exponents, systems.ikeda().known_exponents
    return {
        "henon": (systems.henon(), None, known(henon, 1.25828)),
        "logistic, r = 4": (systems.logistic(4.0), None, known(np.array([np.log(2)]), np.nan)),
        "ikeda": (systems.ikeda(), None, known(ikeda, 1.70665)),
        "coupled lattice, n = 16": (lattice, None, known(long.exponents, np.nan)),
        "coupled lattice, 3 of n = 16": (lattice, 3, known(long.exponents[:3], np.nan)),
    }


def known(exponents: np.ndarray, dimension: float) -> dict[str, np.ndarray]:
    return {
        "exponents": exponents,
        "kaplan_yorke": np.array(dimension),
        "entropy": np.array(exponents[exponents > 0].sum()),
    }


def coverage(
    m: lm.systems.ReferenceMap, k: int | None, truth: dict[str, np.ndarray], b: int, n_steps: int, runs: int
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """For each number: how often its interval held the truth, and the median error over the scatter."""
    rng = np.random.default_rng(7)
    found: dict[str, list[np.ndarray]] = {name: [] for name in truth}
    errors: dict[str, list[np.ndarray]] = {name: [] for name in truth}
    while len(found["exponents"]) < runs:
        s = lm.lyapunov_spectrum(
            m, m.initial_states(b, rng), n_steps=n_steps, transient=300, n_exponents=k, seed=1, throw=False
        )
        if s.failed:  # an orbit of the logistic map that rounding put on 0 is reported, and no number
            continue
        for name, error in (("exponents", "stderr"), ("kaplan_yorke", None), ("entropy", None)):
            found[name].append(np.asarray(getattr(s, name)))
            errors[name].append(np.asarray(getattr(s, error or f"{name}_stderr")))
    out = {}
    for name, value in truth.items():
        if np.isnan(value).all():
            continue
        off, error = np.array(found[name]) - value, np.array(errors[name])
        out[name] = (np.abs(off) <= Z * error).mean(axis=0), np.median(error, axis=0) / off.std(axis=0)
    return out


def calibration(runs: int) -> None:
    print("| map | trajectories x steps | exponents | dimension | entropy | error over scatter |")
    print("|---|---|---|---|---|---|")
    for name, (m, k, truth) in cases(100_000).items():
        for b, n_steps in RUNS:
            got = coverage(m, k, truth, b, n_steps, runs)
            share, ratio = got["exponents"]
            low, high = 100 * np.min(share), 100 * np.max(share)
            text = f"{low:.1f}" if low == high else f"{low:.1f} to {high:.1f}"
            others = [f"{100 * float(got[key][0]):.1f}" if key in got else "" for key in ("kaplan_yorke", "entropy")]
            print(f"| {name} | {b} x {n_steps} | {text} | {' | '.join(others)} | {np.median(ratio):.2f} |", flush=True)


def resolution() -> None:
    """Exponents 0, -4, ... -60: which come out, which are marked, and by how much they are off."""
    true = -4.0 * np.arange(16)
    print("| true exponent | float64 | float32 | float32, frames in float64 |\n|---|---|---|---|")
    rows = []
    for dtype, frame in (("float64", "float64"), ("float32", "float32"), ("float32", "float64")):
        m = lm.systems.linear_map(list(true), rotated=True, dtype=dtype)
        s = lm.lyapunov_spectrum(m, np.zeros(16), n_steps=400, transient=50, seed=0, frame_dtype=frame, throw=False)
        rows.append(s.exponents)
    for i, value in enumerate(true):
        cells = ["unresolved" if np.isnan(row[i]) else f"{row[i]:.6f}" for row in rows]
        print(f"| {value:.0f} | {' | '.join(cells)} |")


def planar(function: Callable[..., Any]) -> lm.TangentMap:
    """A map of the plane from its two coordinates."""
    return lm.wrap(lambda s: np.stack(function(*s.T), axis=1), state_shape=2)


def strangers() -> dict[str, tuple[Any, float, tuple[np.ndarray, np.ndarray], bool]]:
    """Systems, their largest exponent (NaN: not known), the box of initial states, and whether they are chaotic."""
    two, low = np.ones(2), np.full(2, 0.2)
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.standard_normal((8, 8)))[0].astype("f4")
    isometry = lm.wrap(
        lambda x: x @ turn,
        state_shape=8,
        jacobian=lambda x: np.broadcast_to(turn.T, (len(x), 8, 8)).copy(),
        dtype="float32",
    )
    pendulum = lm.flow(lambda s: np.stack([s[:, 1], -np.sin(s[:, 0])], 1), 0.5, state_shape=2)
    prey = lm.flow(lambda s: np.stack([s[:, 0] * (1 - s[:, 1]), s[:, 1] * (s[:, 0] - 1)], 1), 0.5, state_shape=2)
    standard = lm.systems.standard(k=1.0)
    return {
        "twist (x + y, y)": (planar(lambda x, y: (x + y, y)), 0.0, (low, 0.7 * two), False),
        "McMillan's map": (planar(lambda x, y: (y, -x + 1.6 * y / (1 + y * y))), 0.0, (low, 0.7 * two), False),
        "circle map, K = 0.5": (
            lm.wrap(lambda x: x + 0.6180339887 - 0.5 / (2 * np.pi) * np.sin(2 * np.pi * x), state_shape=1),
            0.0,
            (np.zeros(1), np.ones(1)),
            False,
        ),
        "standard map, k = 1, island": (standard, 0.0, (np.array([2.9, -0.2]), np.array([3.4, 0.2])), False),
        "orthogonal, n = 8, float32": (isometry, 0.0, (np.zeros(8), np.ones(8)), False),
        "pendulum, tau = 0.5": (pendulum, 0.0, (np.array([0.5, 0.0]), np.array([2.9, 0.1])), False),
        "Lotka-Volterra, tau = 0.5": (prey, 0.0, (0.3 * two, 0.9 * two), False),
        "standard map, k = 1, sea": (standard, np.nan, (0.05 * two, 0.15 * two), True),
        "tent, slope 1.9": (
            lm.wrap(
                lambda x: 1.9 * np.minimum(x, 1 - x),
                state_shape=1,
                jacobian=lambda x: np.where(x < 0.5, 1.9, -1.9)[:, :, None],
            ),
            np.log(1.9),
            (np.full(1, 0.2), np.full(1, 0.8)),
            True,
        ),
        "logistic, r = 3.6": (lm.systems.logistic(3.6), np.nan, (np.full(1, 0.2), np.full(1, 0.8)), True),
        "logistic, r = 3.828 (intermittent)": (
            lm.systems.logistic(3.828),
            np.nan,
            (np.full(1, 0.2), np.full(1, 0.8)),
            True,
        ),
        "skew tent, peak at 0.1": (
            skew_tent(0.1),
            -0.1 * np.log(0.1) - 0.9 * np.log(0.9),
            (np.full(1, 0.2), np.full(1, 0.8)),
            True,
        ),
        "Henon": (lm.systems.henon(), 0.419251, (-0.1 * two, 0.1 * two), True),
        "random network, n = 20": (
            lm.systems.random_tanh_network(n=20, g=2.5, seed=1),
            np.nan,
            (-np.ones(20), np.ones(20)),
            True,
        ),
    }


def skew_tent(peak: float) -> lm.TangentMap:
    return lm.wrap(
        lambda x: np.where(x < peak, x / peak, (1 - x) / (1 - peak)),
        state_shape=1,
        jacobian=lambda x: np.where(x < peak, 1 / peak, -1 / (1 - peak))[:, :, None],
    )


def verdicts(runs: int) -> None:
    """False alarms, misses, coverage and failed sum rules of runs with four trajectories each."""
    print("| system | steps | trajectories called | interval holds | sum rule fails |\n|---|---|---|---|---|")
    for name, (m, truth, (low, high), chaotic) in strangers().items():
        for n_steps in (100, 1000):
            rng = np.random.default_rng(3)
            called: Counter[str] = Counter()
            holds = broken = 0
            for seed in range(runs):
                options = {"n_steps": n_steps, "transient": 200 if chaotic else 0, "seed": seed, "throw": False}
                s = lm.lyapunov_spectrum(m, rng.uniform(low, high, (TOGETHER, len(low))), **options)
                for part in s.attractor.split(", "):
                    kind, _, count = part.partition(" (")
                    called[kind] += int(count[:-1]) if count else TOGETHER
                broken += s.cause == "cross_check"
                holds += abs(s.exponents[0] - truth) <= max(Z * s.stderr[0], 1e-9)
            kinds = ", ".join(f"{kind} {number}" for kind, number in called.most_common())
            known = "" if np.isnan(truth) else f"{holds} of {runs}"
            print(f"| {name} | {n_steps} | {kinds} | {known} | {broken} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=["calibration", "resolution", "verdicts"], default="calibration")
    parser.add_argument("--runs", type=int)
    options = parser.parse_args()
    if options.what == "resolution":
        resolution()
    elif options.what == "verdicts":
        verdicts(options.runs or 10)
    else:
        calibration(options.runs or 600)
